//! A product over in-memory ports, with handles to turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use vellum_core::access::{Pass, Principal, Verb, VersionPass};
use vellum_core::error::{Error, ErrorKind, Result};
use vellum_core::job::{Job, Report};
use vellum_core::ports::{
    ConvertedCache, Converter, Embedder, EmbeddingCache, KeptOriginals, Metastore, ObjectStore,
    Shelf, VectorStore,
};
use vellum_core::testing::vector_store::MemoryVectorStore;
use vellum_core::testing::{
    HashEmbedder, ManualClock, MemoryConvertedCache, MemoryEmbeddingCache, MemoryKeptOriginals,
    MemoryMetastore, MemoryObjectStore, MemoryShelf, PlainConverter,
};
use vellum_rag::app::{App, Settings};
use vellum_rag::jobs::{self, Jobs, Request};
use vellum_rag::pictures::Pictures;

pub(crate) const SOURCE: &str = "mem:///docs/";

/// The ports behind an app, kept so that a test can look at them and start over with them.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) objects: Arc<MemoryObjectStore>,
    pub(crate) embedder: Arc<HashEmbedder>,
    pub(crate) metastore: Arc<MemoryMetastore>,
    pub(crate) vectors: Arc<MemoryVectorStore>,
    pub(crate) embeddings: Arc<MemoryEmbeddingCache>,
    pub(crate) kept: Arc<MemoryKeptOriginals>,
    /// `None` unless a test sets it: builds then read originals.
    pub(crate) converted: Option<Arc<MemoryConvertedCache>>,
    pub(crate) shelf: Arc<MemoryShelf>,
    /// Port calls until one fails; negative means never.
    pub(crate) fuse: Arc<AtomicI64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            objects: Arc::default(),
            embedder: Arc::default(),
            metastore: Arc::default(),
            vectors: Arc::default(),
            embeddings: Arc::default(),
            kept: Arc::default(),
            converted: None,
            shelf: Arc::default(),
            fuse: Arc::new(AtomicI64::new(-1)),
        }
    }

    /// Returns a product over these ports, as a fresh process would make it.
    pub(crate) fn app(&self) -> Arc<App> {
        self.worker("local")
    }

    /// Returns a product over these ports as another process of a cluster has it.
    pub(crate) fn worker(&self, worker: &str) -> Arc<App> {
        Arc::new(self.product(worker))
    }

    /// Returns a product over these ports, to be changed before it is shared.
    pub(crate) fn product(&self, worker: &str) -> App {
        let vectors: Arc<dyn VectorStore> = Arc::new(crate::faults::FaultyVectors {
            inner: self.vectors.clone(),
            fuse: self.fuse.clone(),
        });
        let metastore: Arc<dyn Metastore> = Arc::new(crate::faults::FaultyMetastore {
            inner: self.metastore.clone(),
            fuse: self.fuse.clone(),
        });
        App {
            objects: self.objects.clone() as Arc<dyn ObjectStore>,
            converter: Arc::new(PlainConverter) as Arc<dyn Converter>,
            embedder: self.embedder.clone() as Arc<dyn Embedder>,
            earlier_embedders: Vec::new(),
            kept: self.kept.clone() as Arc<dyn KeptOriginals>,
            shelf: self.shelf.clone() as Arc<dyn Shelf>,
            vectors,
            metastore,
            reranker: None,
            converted: self.converted.clone().map(|cache| cache as Arc<dyn ConvertedCache>),
            embeddings: Some(self.embeddings.clone() as Arc<dyn EmbeddingCache>),
            worker: worker.to_owned(),
            clock: Arc::new(ManualClock::default()),
            settings: Settings::default(),
            jobs: Jobs::default(),
            pictures: Pictures::default(),
        }
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        self.objects.put(&format!("{SOURCE}{name}"), text.as_bytes().to_vec());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.objects.remove(&format!("{SOURCE}{name}"));
    }

    /// The right to the live version; `None` while there is no collection.
    pub(crate) async fn live(&self) -> Option<VersionPass> {
        let seen = self.metastore.collection(pass().collection()).await.unwrap()?;
        Some(pass().at(&seen).unwrap())
    }

    /// Everything that is stored, for comparison: chunk id to text, and sparse settings.
    pub(crate) async fn contents(&self) -> BTreeMap<String, String> {
        let Some(live) = self.live().await else { return BTreeMap::new() };
        let chunks = self.vectors.scan(&live, None, 100_000, None).await.unwrap_or_default();
        chunks.into_iter().map(|chunk| (chunk.id.to_string(), chunk.text)).collect()
    }
}

pub(crate) fn pass() -> Pass {
    Pass::grant(&Principal::Owner, &"default".parse().unwrap(), Verb::Write).unwrap()
}

/// Runs a job to its end; returns it, whatever became of it.
pub(crate) async fn run_job(app: &Arc<App>, prune: bool) -> Result<Job> {
    run_source(app, SOURCE, prune).await
}

/// Runs a job over a source to its end.
pub(crate) async fn run_source(app: &Arc<App>, source: &str, prune: bool) -> Result<Job> {
    let (_, mut watcher) =
        jobs::start(app, &pass(), &Request { prune, ..Request::of(source) }).await?;
    let ended = watcher.wait_for(|progress| !progress.job.state.is_active()).await;
    ended.map(|progress| progress.job.clone()).map_err(|_| Error::new(ErrorKind::Internal, "gone"))
}

/// Runs a job that must end well; checks the report's identity.
pub(crate) async fn sync(app: &Arc<App>) -> Report {
    let job = run_job(app, false).await.unwrap();
    assert_eq!(job.error, None);
    assert_eq!(job.report.listed, job.report.settled(), "{:?}", job.report);
    job.report
}
