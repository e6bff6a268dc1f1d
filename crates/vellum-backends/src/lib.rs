//! Adapters of the ports to stores outside the process: SQLite metadata, folders of files, buckets, web sites.
//!
//! - [`SqliteMetastore`] keeps collections, ledger and jobs in one file.
//! - [`FolderStore`] lists and reads local folders; it never writes to them.
//! - [`BucketStore`] lists and reads buckets, [`WebStore`] pages of web sites; [`Sources`] is all of them by the scheme of
//!   a uri.
//!
//! Each adapter runs the conformance suite of its port. Adapters do not know each other, and nothing
//! here decides what the product does: order and limits are the caller's. What goes over the network does so under one
//! policy ([`Client`]), which alone tries again.

#![warn(missing_docs)]

mod bucket;
mod client;
mod environment;
mod folder;
mod s3;
mod size;
mod sources;
mod spool;
mod sqlite;
mod stamp;
mod web;

pub use bucket::BucketStore;
pub use client::Client;
pub use environment::Environment;
pub use folder::{FolderStore, local_path};
pub use s3::S3Settings;
pub use sources::{Sources, absolute, is_remote};
pub use sqlite::{SqliteEmbeddingCache, SqliteMetastore};
pub use web::WebStore;

use size::too_large;
