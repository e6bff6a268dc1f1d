//! Collections, the ledger and jobs: everything that a restart must not lose, except vectors.

use crate::access::Pass;
use crate::collection::{Collection, SparseSettings};
use crate::error::Result;
use crate::ids::{CollectionName, DocumentId, JobId};
use crate::job::Job;
use crate::ledger::LedgerRow;
use async_trait::async_trait;

/// Stores metadata. Each call is one transaction: on return it is durable, on error nothing changed.
///
/// All calls but `create_collection` are idempotent. Calls that change a collection answer `Forbidden`
/// to a read pass. The pass's filter is about chunks and is not applied to the ledger.
#[async_trait]
pub trait Metastore: Send + Sync {
    /// Stores a new collection.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    async fn create_collection(&self, collection: &Collection) -> Result<()>;

    /// Returns the collection; `None` when there is none.
    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>>;

    /// Returns all collections, ascending by name.
    async fn collections(&self) -> Result<Vec<Collection>>;

    /// Records the settings under which all stored sparse vectors were made; `None` while they are
    /// being made anew, so that an interrupted change is seen and finished later.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn settle_sparse(&self, pass: &Pass, sparse: Option<&SparseSettings>) -> Result<()>;

    /// Removes the collection, its ledger and its jobs; does nothing when there is none.
    async fn delete_collection(&self, pass: &Pass) -> Result<()>;

    /// Inserts or replaces rows, keyed by uri: all or none.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn put_rows(&self, pass: &Pass, rows: &[LedgerRow]) -> Result<()>;

    /// Removes rows; ids without a row are ignored.
    async fn delete_rows(&self, pass: &Pass, documents: &[DocumentId]) -> Result<()>;

    /// Returns up to `limit` rows whose uri starts with `prefix` and is above `after`, ascending by the
    /// bytes of the uri.
    async fn rows(
        &self,
        pass: &Pass,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>>;

    /// Returns the number of indexed documents and the sum of their chunks.
    async fn totals(&self, pass: &Pass) -> Result<(u64, u64)>;

    /// Returns the row of a document in any collection, with the collection's name.
    ///
    /// The caller must then be granted a pass for that collection before using it.
    async fn find_document(
        &self,
        document: DocumentId,
    ) -> Result<Option<(CollectionName, LedgerRow)>>;

    /// Inserts or replaces a job. Its collection need not exist: a job may be what creates it.
    async fn put_job(&self, job: &Job) -> Result<()>;

    /// Returns the job; `None` when there is none.
    async fn job(&self, id: JobId) -> Result<Option<Job>>;

    /// Returns the newest `limit` jobs by creation time, newest first; ties by id, descending.
    async fn jobs(&self, limit: usize) -> Result<Vec<Job>>;

    /// Fails when the store could not serve now.
    async fn check(&self) -> Result<()>;
}
