//! Adapters of the ports to stores outside the process: SQLite metadata, folders of files, buckets, web sites.
//!
//! - [`SqliteMetastore`] keeps collections, ledger and jobs in one file.
//! - [`FolderStore`] lists and reads local folders; it never writes to them.
//! - [`KeptFolder`] keeps the originals of imported collections.
//! - [`S3Store`] lists and reads buckets, [`WebStore`] pages of web sites; [`Sources`] is all of them by the scheme of
//!   a uri.
//!
//! Each adapter runs the conformance suite of its port. Adapters do not know each other, and nothing
//! here decides what the product does: order and limits are the caller's. What goes over the network does so under one
//! policy ([`Client`]), which alone tries again.

#![warn(missing_docs)]

mod client;
mod folder;
mod kept;
mod s3;
mod size;
mod sources;
mod spool;
mod sqlite;
mod stamp;
mod web;

pub use client::Client;
pub use folder::{FolderStore, local_path};
pub use kept::KeptFolder;
pub use s3::{S3Environment, S3Settings, S3Store};
pub use sources::{Sources, absolute, is_remote};
pub use sqlite::{SqliteEmbeddingCache, SqliteMetastore};
pub use web::WebStore;

use size::too_large;
