//! Collections, the ledger and jobs: everything that a restart must not lose, except vectors.

use crate::access::Pass;
use crate::collection::{Collection, SparseSettings, Tuning};
use crate::error::Result;
use crate::feedback::Feedback;
use crate::ids::{CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use crate::job::Job;
use crate::ledger::{Claimed, Lease, LedgerRow, Scope};
use async_trait::async_trait;
use std::time::Duration;

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

    /// Replaces how the collection is searched.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn set_tuning(&self, pass: &Pass, tuning: &Tuning) -> Result<()>;

    /// Removes the collection, its ledger, its jobs and its feedback; does nothing when there is none.
    async fn delete_collection(&self, pass: &Pass) -> Result<()>;

    /// Opens a lease that ends `ttl` from now, by the clock of the store. Its token is above all before it.
    ///
    /// `owner` names the worker across its lives. It runs one job of a collection at a time, so its other leases on the
    /// collection are those of jobs that died, and end.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn open_lease(
        &self,
        pass: &Pass,
        owner: &str,
        job: JobId,
        ttl: Duration,
    ) -> Result<Lease>;

    /// Lets the lease end `ttl` from now, also when it has ended meanwhile.
    ///
    /// # Errors
    /// `Conflict` when it was closed, or ended by another of its owner.
    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<()>;

    /// Ends the lease. Claims that bear its token stay as marks; anybody may take them over.
    async fn close_lease(&self, lease: &Lease) -> Result<()>;

    /// Returns the number of leases on the collection that have not ended.
    async fn live_leases(&self, pass: &Pass) -> Result<u64>;

    /// Claims `documents`, after adding the rows of `new` whose uris are not in the ledger. Those that a live lease
    /// other than this one holds stay as they are.
    ///
    /// Documents that are not in the ledger are ignored.
    ///
    /// # Errors
    /// `Conflict` when `lease` has ended; `NotFound` when there is no such collection.
    async fn claim(
        &self,
        pass: &Pass,
        lease: &Lease,
        new: &[LedgerRow],
        documents: &[DocumentId],
    ) -> Result<Claimed>;

    /// Replaces claimed rows, keyed by uri, and lifts their claims: all or none. The `claim` of a row is not looked at.
    ///
    /// # Errors
    /// `Conflict` when one of them is not claimed under this lease: another worker took it over.
    async fn commit(&self, pass: &Pass, lease: &Lease, rows: &[LedgerRow]) -> Result<()>;

    /// Removes claimed rows: all or none; ids without a row are ignored.
    ///
    /// # Errors
    /// As [`Metastore::commit`].
    async fn delete_rows(&self, pass: &Pass, lease: &Lease, documents: &[DocumentId])
    -> Result<()>;

    /// Returns up to `limit` rows of `scope` with a uri above `after`, ascending by the bytes of the uri.
    async fn rows(
        &self,
        pass: &Pass,
        scope: Scope<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>>;

    /// Returns up to `limit` indexed rows with this content and a uri above `after`, ascending by the bytes of the uri.
    async fn same_content(
        &self,
        pass: &Pass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>>;

    /// Returns up to `limit` contents above `after` whose indexed rows, of which there are several or which are all
    /// copies, are not told apart as they should be: the first by uri is no copy, all others are.
    async fn untold_copies(
        &self,
        pass: &Pass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>>;

    /// Returns the uris of the copies of `documents`, with the document that each one is a copy of, ascending.
    async fn copies(
        &self,
        pass: &Pass,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>>;

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

    /// Returns those of `candidates` that a job of the collection had as its source, ascending.
    async fn known_sources(&self, pass: &Pass, candidates: &[String]) -> Result<Vec<String>>;

    /// Returns the jobs that have not ended, oldest first.
    async fn unfinished_jobs(&self) -> Result<Vec<Job>>;

    /// Removes jobs that have ended, except the newest `keep` of all jobs and the newest of each source of a collection that
    /// lies in no folder which is one too; returns how many.
    async fn forget_jobs(&self, keep: usize) -> Result<u64>;

    /// Returns the newest `limit` jobs by creation time, newest first; ties by id, descending.
    async fn jobs(&self, limit: usize) -> Result<Vec<Job>>;

    /// Inserts or replaces feedback on the pass's collection, keyed by id. A read pass is enough: whoever may read answers
    /// may judge them.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn put_feedback(&self, pass: &Pass, feedback: &Feedback) -> Result<()>;

    /// Returns up to `limit` opinions on the pass's collection with an id above `after`, ascending by id.
    async fn feedback(
        &self,
        pass: &Pass,
        after: Option<FeedbackId>,
        limit: usize,
    ) -> Result<Vec<Feedback>>;

    /// Fails when the store could not serve now.
    async fn check(&self) -> Result<()>;
}
