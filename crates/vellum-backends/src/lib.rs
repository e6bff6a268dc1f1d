//! Adapters of the ports to stores outside the process: SQLite metadata and folders of files.
//!
//! - [`SqliteMetastore`] keeps collections, ledger and jobs in one file.
//! - [`FolderStore`] lists and reads local folders; it never writes to them.
//!
//! Each adapter runs the conformance suite of its port. Adapters do not know each other, and nothing
//! here decides what the product does: order, retries and limits are the caller's.

#![warn(missing_docs)]

mod folder;
mod sqlite;

pub use folder::{FolderStore, local_path};
pub use sqlite::SqliteMetastore;
