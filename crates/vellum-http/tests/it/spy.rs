//! Ports that count calls and never answer: a refused request must not reach any.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::{Collection, IndexVersion, Lag, SparseSettings, Tuning};
use vellum_core::feedback::Feedback;
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use vellum_core::job::Job;
use vellum_core::ledger::{Claimed, Lease, LedgerRow, Scope};
use vellum_core::ports::{
    Content, ConvertInput, Converter, Embedder, EmbedderInfo, Leg, Listing, Metastore, Missing,
    ObjectMeta, ObjectStore, Parts, Point, ScoredId, StoreSpec, StoredChunk, TextKind, VectorStore,
    WithVectors,
};
use vellum_core::testing::ManualClock;
use vellum_core::vector::{Embedding, SparseVector};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::app::{App, Settings};
use vellum_rag::jobs::Jobs;
use vellum_rag::pictures::Pictures;

/// All ports in one; every call is counted and fails.
pub(crate) struct Spy {
    calls: AtomicU64,
    info: EmbedderInfo,
}

impl Spy {
    pub(crate) fn new() -> Arc<Self> {
        let info = EmbedderInfo {
            name: "spy".into(),
            digest: "spy".into(),
            dim: 2,
            max_tokens: 16,
            languages: Vec::new(),
        };
        Arc::new(Self { calls: AtomicU64::new(0), info })
    }

    pub(crate) fn app(self: &Arc<Self>) -> Arc<App> {
        Arc::new(App {
            objects: self.clone(),
            converter: self.clone(),
            embedder: self.clone(),
            earlier_embedders: Vec::new(),
            kept: Arc::<vellum_core::testing::MemoryKeptOriginals>::default(),
            shelf: Arc::<vellum_core::testing::MemoryShelf>::default(),
            vectors: self.clone(),
            metastore: self.clone(),
            reranker: None,
            converted: None,
            embeddings: None,
            worker: "test".to_owned(),
            clock: Arc::new(ManualClock::default()),
            settings: Settings::default(),
            jobs: Jobs::default(),
            pictures: Pictures::default(),
        })
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn seen<T>(&self) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Unavailable, "spied on host `secret.internal`"))
    }
}

#[async_trait]
impl ObjectStore for Spy {
    async fn resolve(&self, _: &str) -> Result<String> {
        self.seen()
    }
    async fn list(&self, _: &str) -> Result<Listing> {
        self.seen()
    }
    async fn get(&self, _: &str, _: u64) -> Result<(ObjectMeta, Content)> {
        self.seen()
    }
    async fn check(&self) -> Result<()> {
        self.seen()
    }
}

#[async_trait]
impl Converter for Spy {
    fn version(&self) -> &str {
        "spy"
    }
    fn parts(&self, _: ConvertInput) -> Parts {
        stream::iter([self.seen()]).boxed()
    }
    async fn check(&self) -> Result<()> {
        self.seen()
    }
}

#[async_trait]
impl Embedder for Spy {
    fn info(&self) -> &EmbedderInfo {
        &self.info
    }
    async fn embed(&self, _: &[String], _: TextKind) -> Result<Vec<Embedding>> {
        self.seen()
    }
    fn n_tokens(&self, text: &str) -> usize {
        text.len()
    }
    async fn check(&self) -> Result<()> {
        self.seen()
    }
}

#[async_trait]
impl VectorStore for Spy {
    async fn create(&self, _: &VersionPass, _: StoreSpec) -> Result<()> {
        self.seen()
    }
    async fn drop_collection(&self, _: &VersionPass) -> Result<()> {
        self.seen()
    }
    async fn upsert(&self, _: &VersionPass, _: Vec<Point>) -> Result<()> {
        self.seen()
    }
    async fn update_sparse(&self, _: &VersionPass, _: Vec<(ChunkId, SparseVector)>) -> Result<()> {
        self.seen()
    }
    async fn delete_document(&self, _: &VersionPass, _: DocumentId, _: &[ChunkId]) -> Result<()> {
        self.seen()
    }
    async fn search(&self, _: &VersionPass, _: &Leg) -> Result<Vec<ScoredId>> {
        self.seen()
    }
    async fn fetch(
        &self,
        _: &VersionPass,
        _: &[ChunkId],
        _: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        self.seen()
    }
    async fn scan(
        &self,
        _: &VersionPass,
        _: Option<ChunkId>,
        _: usize,
        _: Option<&Filter>,
    ) -> Result<Vec<Chunk>> {
        self.seen()
    }
    async fn count(&self, _: &VersionPass) -> Result<u64> {
        self.seen()
    }
    async fn flush(&self, _: &VersionPass) -> Result<()> {
        self.seen()
    }
    async fn optimize(&self, _: &VersionPass) -> Result<()> {
        self.seen()
    }
    async fn check(&self) -> Result<()> {
        self.seen()
    }
}

#[async_trait]
impl Metastore for Spy {
    async fn create_collection(&self, _: &Collection) -> Result<()> {
        self.seen()
    }
    async fn collection(&self, _: &CollectionName) -> Result<Option<Collection>> {
        self.seen()
    }
    async fn collections(&self) -> Result<Vec<Collection>> {
        self.seen()
    }
    async fn create_version(&self, _: &Pass, _: &Collection) -> Result<()> {
        self.seen()
    }
    async fn versions(&self, _: &Pass) -> Result<Vec<IndexVersion>> {
        self.seen()
    }
    async fn set_built(&self, _: &VersionPass, _: Option<i64>) -> Result<()> {
        self.seen()
    }
    async fn lag(&self, _: &VersionPass) -> Result<Lag> {
        self.seen()
    }
    async fn promote(&self, _: &VersionPass, _: i64, _: Missing) -> Result<()> {
        self.seen()
    }
    async fn roll_back(&self, _: &VersionPass) -> Result<()> {
        self.seen()
    }
    async fn delete_version(&self, _: &VersionPass) -> Result<()> {
        self.seen()
    }
    async fn settle_sparse(&self, _: &VersionPass, _: Option<&SparseSettings>) -> Result<()> {
        self.seen()
    }
    async fn set_tuning(&self, _: &VersionPass, _: &Tuning) -> Result<()> {
        self.seen()
    }
    async fn delete_collection(&self, _: &Pass) -> Result<()> {
        self.seen()
    }
    async fn open_lease(&self, _: &VersionPass, _: &str, _: JobId, _: Duration) -> Result<Lease> {
        self.seen()
    }
    async fn renew_lease(&self, _: &Lease, _: Duration) -> Result<()> {
        self.seen()
    }
    async fn close_lease(&self, _: &Lease) -> Result<()> {
        self.seen()
    }
    async fn live_leases(&self, _: &VersionPass) -> Result<u64> {
        self.seen()
    }
    async fn claim(
        &self,
        _: &VersionPass,
        _: &Lease,
        _: &[LedgerRow],
        _: &[DocumentId],
    ) -> Result<Claimed> {
        self.seen()
    }
    async fn commit(&self, _: &VersionPass, _: &Lease, _: &[LedgerRow]) -> Result<()> {
        self.seen()
    }
    async fn delete_rows(&self, _: &VersionPass, _: &Lease, _: &[DocumentId]) -> Result<()> {
        self.seen()
    }
    async fn rows(
        &self,
        _: &VersionPass,
        _: Scope<'_>,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<LedgerRow>> {
        self.seen()
    }
    async fn same_content(
        &self,
        _: &VersionPass,
        _: &ContentHash,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<LedgerRow>> {
        self.seen()
    }
    async fn untold_copies(
        &self,
        _: &VersionPass,
        _: Option<&ContentHash>,
        _: usize,
    ) -> Result<Vec<ContentHash>> {
        self.seen()
    }
    async fn copies(&self, _: &VersionPass, _: &[DocumentId]) -> Result<Vec<(DocumentId, String)>> {
        self.seen()
    }
    async fn known_sources(&self, _: &Pass, _: &[String]) -> Result<Vec<String>> {
        self.seen()
    }
    async fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        self.seen()
    }
    async fn forget_jobs(&self, _: usize) -> Result<u64> {
        self.seen()
    }
    async fn totals(&self, _: &VersionPass) -> Result<(u64, u64)> {
        self.seen()
    }
    async fn find_document(&self, _: DocumentId) -> Result<Option<(Collection, LedgerRow)>> {
        self.seen()
    }
    async fn put_feedback(&self, _: &Pass, _: &Feedback) -> Result<()> {
        self.seen()
    }
    async fn feedback(&self, _: &Pass, _: Option<FeedbackId>, _: usize) -> Result<Vec<Feedback>> {
        self.seen()
    }
    async fn put_job(&self, _: &Job) -> Result<()> {
        self.seen()
    }
    async fn job(&self, _: JobId) -> Result<Option<Job>> {
        self.seen()
    }
    async fn jobs(&self, _: usize) -> Result<Vec<Job>> {
        self.seen()
    }
    async fn check(&self) -> Result<()> {
        self.seen()
    }
}
