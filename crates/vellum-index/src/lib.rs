//! The embedded vector store: the engine of Qdrant in process, behind the port `VectorStore`.
//!
//! ```text
//! EdgeStore              async face: passes, bounded concurrency, blocking threads    store.rs
//!  └ Collection          one directory; who may run with whom; upkeep of the log      collection.rs
//!     └ EdgeShard        the engine, created, opened and checked in                   shard.rs
//!          convert.rs    chunks, vectors and filters in the engine's words
//!          inventory.rs  what a flush left on disk, checked at open
//!          repair.rs     points that a crash left in two segments
//!          error.rs      the engine's failures and panics in ours
//!          disk.rs       free space, atomic creation and removal, the lock on the root
//! ```
//!
//! Invariants: one process per root (a lock file); a collection appears and disappears by one
//! rename; what was written before a `flush` that returned survives a crash; searches never wait
//! for `optimize`; no panic of the engine leaves this crate.
//!
//! Not here: fusion of legs, BM25 weights, access checks. They live in `vellum-rag` and `vellum-core`.

#![warn(missing_docs)]

mod collection;
mod convert;
mod disk;
mod error;
mod inventory;
mod repair;
mod settings;
mod shard;
mod store;

pub use settings::{EdgeSettings, Quantization};
pub use store::EdgeStore;
