//! Datasets of collections, and what was measured on them.

use crate::error::Result;
use crate::ids::{CollectionName, DatasetName};

/// Where something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// An experiment, by its id.
    Experiment(&'a str),
    /// A dataset of a collection.
    Dataset(&'a CollectionName, &'a DatasetName),
    /// What a version of a collection was worth on a dataset, measured last.
    Score {
        /// The collection.
        collection: &'a CollectionName,
        /// Id of the version.
        version: &'a str,
        /// The dataset.
        dataset: &'a DatasetName,
    },
    /// Opinions that came with an imported collection, until the metadata store has them.
    Opinions(&'a CollectionName),
}

/// Keeps small files: written as a whole, read as a whole. Experiments are also written by processes that do not own the
/// data directory, and belong to no collection.
///
/// Calls block: make them off the async threads. All are idempotent and durable on return; what is put is there whole or
/// not at all.
pub trait Shelf: Send + Sync {
    /// Puts `bytes` at a place, instead of what lay there.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    fn put(&self, at: Place<'_>, bytes: &[u8]) -> Result<()>;

    /// Returns what lies at a place; `None` when nothing does.
    fn get(&self, at: Place<'_>) -> Result<Option<Vec<u8>>>;

    /// Takes away what lies at a place, if anything does.
    fn remove(&self, at: Place<'_>) -> Result<()>;

    /// Returns the ids of all experiments, ascending.
    fn experiments(&self) -> Result<Vec<String>>;

    /// Returns the names of the collection's datasets, ascending.
    fn datasets(&self, collection: &CollectionName) -> Result<Vec<DatasetName>>;

    /// Returns the collection's scores, in no order.
    fn scores(&self, collection: &CollectionName) -> Result<Vec<Vec<u8>>>;

    /// Takes away all of the collection's: datasets, scores and opinions.
    fn forget(&self, collection: &CollectionName) -> Result<()>;
}
