//! Collections, the ledger and jobs: everything that a restart must not lose, except vectors.

use crate::access::{Pass, VersionPass};
use crate::collection::{Collection, IndexVersion, Lag, SparseSettings, Tuning};
use crate::error::Result;
use crate::feedback::Feedback;
use crate::ids::{CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use crate::job::Job;
use crate::ledger::{Claimed, Lease, LedgerRow, Scope};
use async_trait::async_trait;
use std::time::Duration;

/// What a promotion does about documents that the new version could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Refuses.
    Refuse,
    /// Goes on without them.
    Accept,
}

/// Stores metadata. Each call is one transaction: on return it is durable, on error nothing changed.
///
/// All calls but `create_collection` are idempotent. Calls that change a collection answer `Forbidden`
/// to a read pass. The pass's filter is about chunks and is not applied to the ledger. Each version of a collection has a
/// ledger and leases of its own.
#[async_trait]
pub trait Metastore: Send + Sync {
    /// Stores a new collection with its first version, which is live and complete.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    async fn create_collection(&self, collection: &Collection) -> Result<()>;

    /// Returns the collection as its live version shows it; `None` when there is none.
    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>>;

    /// Returns all collections as their live versions show them, ascending by name.
    async fn collections(&self) -> Result<Vec<Collection>>;

    /// Stores a version that is to be built, without what its collection sets of retrieval: [`Metastore::set_tuning`] does that.
    /// There need not be a collection yet: the promotion of its first version makes it,
    /// and until then nobody sees it.
    ///
    /// # Errors
    /// `Conflict` when there is one in the same space.
    async fn create_version(&self, pass: &Pass, version: &Collection) -> Result<()>;

    /// Returns the versions under the pass's name, those of a collection that does not exist yet too, oldest first.
    async fn versions(&self, pass: &Pass) -> Result<Vec<IndexVersion>>;

    /// Records when the version was complete; `None` when it no longer is.
    ///
    /// # Errors
    /// `NotFound` when there is no such version.
    async fn set_built(&self, pass: &VersionPass, built_ms: Option<i64>) -> Result<()>;

    /// Returns how far the version is from the live one; nothing when it is live or none is.
    ///
    /// A document is *behind* when the live version has it indexed and this one has no row of it, or a row with other content
    /// that is older; or when this one has it indexed and the live one has no row of it. It is *missing* when this one
    /// has looked at it and has it rejected or failed.
    async fn lag(&self, pass: &VersionPass) -> Result<Lag>;

    /// Makes the version the live one, at once for all that reads the collection afterwards. Does nothing when it is.
    ///
    /// A version for which nobody said how it is searched is then searched as the one that was live.
    ///
    /// `now_ms` is the time, or a little more where an earlier promotion bears a later one.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Conflict` when it is not complete, when a worker holds a lease on it
    /// or on the live one, when it is behind, or when documents are missing and that is not accepted.
    async fn promote(&self, pass: &VersionPass, now_ms: i64, missing: Missing) -> Result<()>;

    /// Makes a version live that was live before, whatever came since, and leaves the times of promotions as they are. It is
    /// searched as it was when it was live.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Conflict` when it is not complete or never was live, or when a worker
    /// holds a lease on it or on the live one.
    async fn roll_back(&self, pass: &VersionPass) -> Result<()>;

    /// Removes the version with its ledger; does nothing when there is none.
    ///
    /// # Errors
    /// `Conflict` when it is live.
    async fn delete_version(&self, pass: &VersionPass) -> Result<()>;

    /// Records the settings under which all stored sparse vectors were made; `None` while they are
    /// being made anew, so that an interrupted change is seen and finished later.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection.
    async fn settle_sparse(
        &self,
        pass: &VersionPass,
        sparse: Option<&SparseSettings>,
    ) -> Result<()>;

    /// Replaces how the version is searched. Until that is said for a version that is not live, it shows what is set for the live
    /// one.
    ///
    /// # Errors
    /// `NotFound` when there is no such version.
    async fn set_tuning(&self, pass: &VersionPass, tuning: &Tuning) -> Result<()>;

    /// Removes the collection, its versions with their ledgers, its jobs and its feedback; does nothing when there is none.
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
        pass: &VersionPass,
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
    async fn live_leases(&self, pass: &VersionPass) -> Result<u64>;

    /// Claims `documents`, after adding the rows of `new` whose uris are not in the ledger. Those that a live lease
    /// other than this one holds stay as they are.
    ///
    /// Documents that are not in the ledger are ignored.
    ///
    /// # Errors
    /// `Conflict` when `lease` has ended; `NotFound` when there is no such collection.
    async fn claim(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        new: &[LedgerRow],
        documents: &[DocumentId],
    ) -> Result<Claimed>;

    /// Replaces claimed rows, keyed by uri, and lifts their claims: all or none. The `claim` of a row is not looked at.
    ///
    /// # Errors
    /// `Conflict` when one of them is not claimed under this lease: another worker took it over.
    async fn commit(&self, pass: &VersionPass, lease: &Lease, rows: &[LedgerRow]) -> Result<()>;

    /// Removes claimed rows: all or none; ids without a row are ignored.
    ///
    /// # Errors
    /// As [`Metastore::commit`].
    async fn delete_rows(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        documents: &[DocumentId],
    ) -> Result<()>;

    /// Returns up to `limit` rows of `scope` with a uri above `after`, ascending by the bytes of the uri.
    async fn rows(
        &self,
        pass: &VersionPass,
        scope: Scope<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>>;

    /// Returns up to `limit` indexed rows with this content and a uri above `after`, ascending by the bytes of the uri.
    async fn same_content(
        &self,
        pass: &VersionPass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>>;

    /// Returns up to `limit` contents above `after` whose indexed rows, of which there are several or which are all
    /// copies, are not told apart as they should be: the first by uri is no copy, all others are.
    async fn untold_copies(
        &self,
        pass: &VersionPass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>>;

    /// Returns the uris of the copies of `documents`, with the document that each one is a copy of, ascending.
    async fn copies(
        &self,
        pass: &VersionPass,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>>;

    /// Returns the number of indexed documents and the sum of their chunks.
    async fn totals(&self, pass: &VersionPass) -> Result<(u64, u64)>;

    /// Returns the row of a document in the live version of any collection, with the collection.
    ///
    /// The caller must then be granted a pass for that collection before using it.
    async fn find_document(&self, document: DocumentId) -> Result<Option<(Collection, LedgerRow)>>;

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
