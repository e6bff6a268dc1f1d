//! Ports that remember what they answered, so that a trial pays only for what its settings change.
//!
//! An index that is ready is not written any more, so its answers stay true: the results of a leg depend on the query and
//! the limit, a chunk on its id. What the settings of a search do with them is computed anew by the product itself, which
//! does not know that its ports remember. Each memory is bounded by bytes and may forget anything.

use async_trait::async_trait;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vellum_core::Result;
use vellum_core::access::VersionPass;
use vellum_core::chunk::Chunk;
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ports::{
    Embedder, EmbedderInfo, Leg, LegVector, Point, ScoredId, StoreSpec, StoredChunk, TextKind,
    VectorStore, WithVectors,
};
use vellum_core::vector::{Embedding, SparseVector};

/// Bytes of the results of legs, and of chunks, that are remembered of one index.
const RESULTS_BYTES: u64 = 64 << 20;
const CHUNKS_BYTES: u64 = 128 << 20;
/// Bytes of the embeddings of queries; 20,000 queries of 384 dimensions.
const QUERIES_BYTES: u64 = 32 << 20;
/// Texts whose tokens are remembered; about 60 bytes each. Of a corpus of 1 MB cut in one way there are some 10,000.
const COUNTS: usize = 500_000;
/// Bytes of an entry beside its content, about.
const OVERHEAD: u64 = 64;

/// An embedder that remembers queries and how many tokens texts have, and counts the passages that it embedded.
///
/// Ways to cut a corpus have most sentences and many chunks in common, and counting their tokens takes longer than all else of
/// an ingest whose embeddings are known.
pub(super) struct RememberingEmbedder {
    inner: Arc<dyn Embedder>,
    queries: Arc<Cache<String, Embedding, EmbeddingWeight>>,
    /// By the hash of the text.
    counts: Arc<Cache<[u8; 32], usize>>,
    passages: AtomicU64,
}

/// Weighs an embedding with its text.
#[derive(Clone)]
pub(super) struct EmbeddingWeight;

impl Weighter<String, Embedding> for EmbeddingWeight {
    fn weight(&self, key: &String, value: &Embedding) -> u64 {
        OVERHEAD + key.len() as u64 + value.dim() as u64 * 4
    }
}

impl RememberingEmbedder {
    /// Returns an embedder that remembers nothing yet.
    pub(super) fn new(inner: Arc<dyn Embedder>) -> Self {
        let queries = Cache::with_weighter(1_024, QUERIES_BYTES, EmbeddingWeight);
        let counts = Arc::new(Cache::new(COUNTS));
        Self { inner, queries: Arc::new(queries), counts, passages: AtomicU64::new(0) }
    }

    /// Returns an embedder that shares what is remembered, and counts for itself.
    pub(super) fn sharing(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            queries: Arc::clone(&self.queries),
            counts: Arc::clone(&self.counts),
            passages: AtomicU64::new(0),
        }
    }

    /// Returns the number of passages embedded so far.
    pub(super) fn passages(&self) -> u64 {
        self.passages.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Embedder for RememberingEmbedder {
    fn info(&self) -> &EmbedderInfo {
        self.inner.info()
    }

    async fn embed(&self, texts: &[String], kind: TextKind) -> Result<Vec<Embedding>> {
        if kind == TextKind::Passage {
            let embedded = self.inner.embed(texts, kind).await?;
            self.passages.fetch_add(texts.len() as u64, Ordering::Relaxed);
            return Ok(embedded);
        }
        let known: Option<Vec<_>> = texts.iter().map(|text| self.queries.get(text)).collect();
        if let Some(known) = known {
            return Ok(known);
        }
        let embedded = self.inner.embed(texts, kind).await?;
        for (text, embedding) in texts.iter().zip(&embedded) {
            self.queries.insert(text.clone(), embedding.clone());
        }
        Ok(embedded)
    }

    fn n_tokens(&self, text: &str) -> usize {
        let key = *blake3::hash(text.as_bytes()).as_bytes();
        if let Some(known) = self.counts.get(&key) {
            return known;
        }
        let n = self.inner.n_tokens(text);
        self.counts.insert(key, n);
        n
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

/// A store that is only read and remembers.
pub(super) struct RememberingStore {
    inner: Arc<dyn VectorStore>,
    results: Cache<[u8; 32], Arc<Vec<ScoredId>>, ResultsWeight>,
    /// Each with its vector if it was asked for so.
    chunks: Cache<ChunkId, StoredChunk, ChunkWeight>,
}

#[derive(Clone)]
struct ResultsWeight;

impl Weighter<[u8; 32], Arc<Vec<ScoredId>>> for ResultsWeight {
    fn weight(&self, _: &[u8; 32], value: &Arc<Vec<ScoredId>>) -> u64 {
        OVERHEAD + (value.len() * size_of::<ScoredId>()) as u64
    }
}

#[derive(Clone)]
struct ChunkWeight;

impl Weighter<ChunkId, StoredChunk> for ChunkWeight {
    fn weight(&self, _: &ChunkId, StoredChunk { chunk, dense }: &StoredChunk) -> u64 {
        let vector = dense.as_ref().map_or(0, |dense| dense.dim() as u64 * 4);
        // Its text, about as much for what goes with it, and the places of its words.
        OVERHEAD + size_of::<Chunk>() as u64 + chunk.text.len() as u64 * 3 + vector
    }
}

impl RememberingStore {
    /// Returns a store that remembers nothing yet.
    pub(super) fn new(inner: Arc<dyn VectorStore>) -> Self {
        Self {
            inner,
            results: Cache::with_weighter(4_096, RESULTS_BYTES, ResultsWeight),
            chunks: Cache::with_weighter(4_096, CHUNKS_BYTES, ChunkWeight),
        }
    }
}

/// Returns what tells a leg from all others, within one collection.
fn key(leg: &Leg) -> [u8; 32] {
    let Leg { vector, filter, limit, precision } = leg;
    let mut bytes = Vec::new();
    match vector {
        LegVector::Dense(vector) => {
            bytes.extend_from_slice(b"dense");
            bytes.extend(vector.as_slice().iter().flat_map(|value| value.to_le_bytes()));
        }
        LegVector::Sparse(vector) => {
            bytes.extend_from_slice(b"sparse");
            bytes.extend(vector.indices().iter().flat_map(|index| index.to_le_bytes()));
            bytes.extend(vector.values().iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    bytes.extend_from_slice(format!("{filter:?} {limit} {precision:?}").as_bytes());
    *blake3::hash(&bytes).as_bytes()
}

#[async_trait]
impl VectorStore for RememberingStore {
    async fn search(&self, pass: &VersionPass, leg: &Leg) -> Result<Vec<ScoredId>> {
        let key = key(leg);
        if let Some(known) = self.results.get(&key) {
            return Ok(known.to_vec());
        }
        let found = self.inner.search(pass, leg).await?;
        self.results.insert(key, Arc::new(found.clone()));
        Ok(found)
    }

    async fn fetch(
        &self,
        pass: &VersionPass,
        ids: &[ChunkId],
        with_vectors: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        let as_asked = |known: StoredChunk| match (with_vectors, known.dense) {
            (WithVectors::Yes, None) => None,
            (WithVectors::Yes, dense) => Some(StoredChunk { chunk: known.chunk, dense }),
            (WithVectors::No, _) => Some(StoredChunk { chunk: known.chunk, dense: None }),
        };
        let known: Vec<Option<StoredChunk>> =
            ids.iter().map(|id| self.chunks.get(id).and_then(as_asked)).collect();
        let is_unknown =
            |(id, known): (&ChunkId, &Option<StoredChunk>)| known.is_none().then_some(*id);
        let unknown: Vec<ChunkId> = ids.iter().zip(&known).filter_map(is_unknown).collect();
        if unknown.is_empty() {
            return Ok(known.into_iter().flatten().collect());
        }
        let fetched = self.inner.fetch(pass, &unknown, with_vectors).await?;
        for stored in &fetched {
            self.chunks.insert(stored.chunk.id, stored.clone());
        }
        // In the order of the ids, which what was fetched has too; ids that are stored nowhere are left out.
        let mut fetched = fetched.into_iter().peekable();
        let stored = ids.iter().zip(known).filter_map(|(id, known)| {
            known.or_else(|| fetched.next_if(|stored| stored.chunk.id == *id))
        });
        Ok(stored.collect())
    }

    async fn create(&self, pass: &VersionPass, spec: StoreSpec) -> Result<()> {
        self.inner.create(pass, spec).await
    }

    async fn drop_collection(&self, pass: &VersionPass) -> Result<()> {
        self.inner.drop_collection(pass).await
    }

    async fn upsert(&self, pass: &VersionPass, points: Vec<Point>) -> Result<()> {
        self.inner.upsert(pass, points).await
    }

    async fn update_sparse(
        &self,
        pass: &VersionPass,
        vectors: Vec<(ChunkId, SparseVector)>,
    ) -> Result<()> {
        self.inner.update_sparse(pass, vectors).await
    }

    async fn delete_document(
        &self,
        pass: &VersionPass,
        document: DocumentId,
        keep: &[ChunkId],
    ) -> Result<()> {
        self.inner.delete_document(pass, document, keep).await
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
        self.inner.flush(pass).await
    }

    async fn optimize(&self, pass: &VersionPass) -> Result<()> {
        self.inner.optimize(pass).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}
