//! R2 in small: every write of a sync is made to fail in turn; running again always heals.

use crate::world::{World, pass, run_job, sync};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::{Collection, IndexVersion, Lag, SparseSettings, Tuning};
use vellum_core::error::{Error, ErrorKind, Result};
use vellum_core::feedback::Feedback;
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use vellum_core::job::{Job, JobState};
use vellum_core::ledger::{Claimed, Lease, LedgerRow, Scope};
use vellum_core::ports::{
    Leg, Metastore, Missing, Point, ScoredId, StoreSpec, StoredChunk, VectorStore, WithVectors,
};
use vellum_core::testing::MemoryMetastore;
use vellum_core::testing::vector_store::MemoryVectorStore;
use vellum_core::vector::SparseVector;
use vellum_rag::app::App;
use vellum_rag::collections;

/// Fails the call at which the fuse burns down, and every one after it until it is reset.
fn burn(fuse: &AtomicI64) -> Result<()> {
    let left = fuse.load(Ordering::SeqCst);
    if left < 0 {
        return Ok(());
    }
    if left == 0 {
        return Err(Error::new(ErrorKind::NoSpace, "write: no space left on device"));
    }
    fuse.store(left - 1, Ordering::SeqCst);
    Ok(())
}

pub(crate) struct FaultyVectors {
    pub(crate) inner: Arc<MemoryVectorStore>,
    pub(crate) fuse: Arc<AtomicI64>,
}

#[async_trait]
impl VectorStore for FaultyVectors {
    async fn create(&self, pass: &VersionPass, spec: StoreSpec) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.create(pass, spec).await
    }
    async fn drop_collection(&self, pass: &VersionPass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.drop_collection(pass).await
    }
    async fn upsert(&self, pass: &VersionPass, points: Vec<Point>) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.upsert(pass, points).await
    }
    async fn update_sparse(
        &self,
        pass: &VersionPass,
        vectors: Vec<(ChunkId, SparseVector)>,
    ) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.update_sparse(pass, vectors).await
    }
    async fn delete_document(
        &self,
        pass: &VersionPass,
        id: DocumentId,
        keep: &[ChunkId],
    ) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.delete_document(pass, id, keep).await
    }
    async fn search(&self, pass: &VersionPass, leg: &Leg) -> Result<Vec<ScoredId>> {
        self.inner.search(pass, leg).await
    }
    async fn fetch(
        &self,
        pass: &VersionPass,
        ids: &[ChunkId],
        with: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        self.inner.fetch(pass, ids, with).await
    }
    async fn scan(
        &self,
        pass: &VersionPass,
        after: Option<ChunkId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Chunk>> {
        self.inner.scan(pass, after, limit, filter).await
    }
    async fn count(&self, pass: &VersionPass) -> Result<u64> {
        self.inner.count(pass).await
    }
    async fn flush(&self, pass: &VersionPass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.flush(pass).await
    }
    async fn optimize(&self, pass: &VersionPass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.optimize(pass).await
    }
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

pub(crate) struct FaultyMetastore {
    pub(crate) inner: Arc<MemoryMetastore>,
    pub(crate) fuse: Arc<AtomicI64>,
}

#[async_trait]
impl Metastore for FaultyMetastore {
    async fn create_collection(&self, collection: &Collection) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.create_collection(collection).await
    }
    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>> {
        self.inner.collection(name).await
    }
    async fn collections(&self) -> Result<Vec<Collection>> {
        self.inner.collections().await
    }
    async fn create_version(&self, pass: &Pass, version: &Collection) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.create_version(pass, version).await
    }
    async fn versions(&self, pass: &Pass) -> Result<Vec<IndexVersion>> {
        self.inner.versions(pass).await
    }
    async fn set_built(&self, pass: &VersionPass, built_ms: Option<i64>) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.set_built(pass, built_ms).await
    }
    async fn lag(&self, pass: &VersionPass) -> Result<Lag> {
        self.inner.lag(pass).await
    }
    async fn promote(&self, pass: &VersionPass, now_ms: i64, missing: Missing) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.promote(pass, now_ms, missing).await
    }
    async fn roll_back(&self, pass: &VersionPass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.roll_back(pass).await
    }
    async fn delete_version(&self, pass: &VersionPass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.delete_version(pass).await
    }
    async fn settle_sparse(
        &self,
        pass: &VersionPass,
        sparse: Option<&SparseSettings>,
    ) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.settle_sparse(pass, sparse).await
    }
    async fn set_tuning(&self, pass: &VersionPass, tuning: &Tuning) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.set_tuning(pass, tuning).await
    }
    async fn delete_collection(&self, pass: &Pass) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.delete_collection(pass).await
    }
    async fn open_lease(
        &self,
        pass: &VersionPass,
        owner: &str,
        job: JobId,
        ttl: Duration,
    ) -> Result<Lease> {
        burn(&self.fuse)?;
        self.inner.open_lease(pass, owner, job, ttl).await
    }
    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.renew_lease(lease, ttl).await
    }
    async fn close_lease(&self, lease: &Lease) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.close_lease(lease).await
    }
    async fn live_leases(&self, pass: &VersionPass) -> Result<u64> {
        self.inner.live_leases(pass).await
    }
    async fn claim(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        new: &[LedgerRow],
        documents: &[DocumentId],
    ) -> Result<Claimed> {
        burn(&self.fuse)?;
        self.inner.claim(pass, lease, new, documents).await
    }
    async fn commit(&self, pass: &VersionPass, lease: &Lease, rows: &[LedgerRow]) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.commit(pass, lease, rows).await
    }
    async fn delete_rows(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        ids: &[DocumentId],
    ) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.delete_rows(pass, lease, ids).await
    }
    async fn rows(
        &self,
        pass: &VersionPass,
        scope: Scope<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        self.inner.rows(pass, scope, after, limit).await
    }
    async fn same_content(
        &self,
        pass: &VersionPass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        self.inner.same_content(pass, content, after, limit).await
    }
    async fn untold_copies(
        &self,
        pass: &VersionPass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        self.inner.untold_copies(pass, after, limit).await
    }
    async fn copies(
        &self,
        pass: &VersionPass,
        ids: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>> {
        self.inner.copies(pass, ids).await
    }
    async fn known_sources(&self, pass: &Pass, candidates: &[String]) -> Result<Vec<String>> {
        self.inner.known_sources(pass, candidates).await
    }
    async fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        self.inner.unfinished_jobs().await
    }
    async fn forget_jobs(&self, keep: usize) -> Result<u64> {
        burn(&self.fuse)?;
        self.inner.forget_jobs(keep).await
    }
    async fn totals(&self, pass: &VersionPass) -> Result<(u64, u64)> {
        self.inner.totals(pass).await
    }
    async fn find_document(&self, id: DocumentId) -> Result<Option<(Collection, LedgerRow)>> {
        self.inner.find_document(id).await
    }
    async fn put_feedback(&self, pass: &Pass, feedback: &Feedback) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.put_feedback(pass, feedback).await
    }
    async fn feedback(
        &self,
        pass: &Pass,
        after: Option<FeedbackId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        self.inner.feedback(pass, after, limit).await
    }
    async fn put_job(&self, job: &Job) -> Result<()> {
        burn(&self.fuse)?;
        self.inner.put_job(job).await
    }
    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.inner.job(id).await
    }
    async fn jobs(&self, limit: usize) -> Result<Vec<Job>> {
        self.inner.jobs(limit).await
    }
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

/// Two states of a source: the second changes, removes and adds.
fn stage(world: &World, stage: usize) {
    if stage == 0 {
        for n in 0..4 {
            world.put(&format!("{n}.txt"), &format!("Version one of document {n}. It says {n}."));
        }
    } else {
        world.put("1.txt", "Version two of document one. It is longer now. Much longer.");
        world.remove("2.txt");
        world.put("9.txt", "A document that came later.");
    }
}

/// A product whose jobs fail at once where they would wait for the disk.
fn impatient(world: &World) -> Arc<App> {
    let mut app = world.product("local");
    app.settings.ingest.patience = Duration::ZERO;
    Arc::new(app)
}

#[tokio::test]
async fn r2_any_write_may_fail_and_the_next_run_heals() {
    let clean = World::new();
    stage(&clean, 0);
    sync(&clean.app()).await;
    stage(&clean, 1);
    sync(&clean.app()).await;
    let expected = (clean.contents().await, sparse(&clean).await);

    let mut failures = 0;
    for nth in 0.. {
        let world = World::new();
        stage(&world, 0);
        world.fuse.store(nth, Ordering::SeqCst);
        let first = run_job(&impatient(&world), false).await;
        world.fuse.store(-1, Ordering::SeqCst);
        let first_ended_well = matches!(&first, Ok(job) if job.state == JobState::Done);
        sync(&world.app()).await;
        stage(&world, 1);
        world.fuse.store(nth, Ordering::SeqCst);
        let second = run_job(&impatient(&world), false).await;
        world.fuse.store(-1, Ordering::SeqCst);
        let second_ended_well = matches!(&second, Ok(job) if job.state == JobState::Done);
        let healed = sync(&world.app()).await;
        assert!(healed.failed.count + healed.rejected.count == 0);
        assert_eq!((world.contents().await, sparse(&world).await), expected, "write {nth} failed");
        if first_ended_well && second_ended_well {
            break;
        }
        failures += 1;
    }
    assert!(failures >= 15, "only {failures} writes were visited");
}

async fn sparse(world: &World) -> Option<String> {
    let collection = collections::get(&world.app(), &pass()).await.unwrap();
    collection.sparse.map(|sparse| format!("{sparse:?}"))
}
