//! Adapters of the ports to what is outside the process: SQLite metadata, folders of files, buckets, web sites, models behind
//! HTTP.
//!
//! - [`SqliteMetastore`] keeps collections, ledger and jobs in one file.
//! - [`FolderStore`] lists and reads local folders; it never writes to them.
//! - [`Mlflow`] keeps runs in a tracking server.
//! - [`KeptFolder`] keeps the originals of imported collections, [`ShelfFolder`] datasets and what was measured on them.
//! - [`BucketStore`] lists and reads buckets (S3, Google Cloud Storage, Azure Blob Storage), [`WebStore`] pages of web sites; [`Sources`] is all of them by the scheme of
//!   a uri.
//! - [`TeiReranker`] asks a text-embeddings-inference server for scores.
//!
//! Each adapter runs the conformance suite of its port. Adapters do not know each other, and nothing
//! here decides what the product does: order and limits are the caller's. What goes over the network does so under one
//! policy ([`Client`]), which alone tries again.

#![warn(missing_docs)]

mod azure;
mod bucket;
mod client;
mod converted;
mod environment;
mod folder;
mod gcs;
mod kept;
mod mlflow;
mod s3;
mod shelf;
mod size;
mod sources;
mod spool;
mod sqlite;
mod stamp;
mod tei;
mod web;

pub use azure::AzureSettings;
pub use bucket::BucketStore;
pub use client::Client;
pub use converted::ConvertedFolder;
pub use environment::Environment;
pub use folder::{FolderStore, local_path};
pub use gcs::GcsSettings;
pub use kept::KeptFolder;
pub use mlflow::{Mlflow, MlflowRun, MlflowSettings};
pub use s3::S3Settings;
pub use shelf::ShelfFolder;
pub use sources::{Sources, absolute, is_remote};
pub use sqlite::{SqliteEmbeddingCache, SqliteMetastore};
pub use tei::TeiReranker;
pub use web::WebStore;

use size::too_large;
