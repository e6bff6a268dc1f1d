//! Chunks with their vectors: stored, found, deleted.

use crate::access::VersionPass;
use crate::chunk::Chunk;
use crate::error::Result;
use crate::filter::Filter;
use crate::ids::{ChunkId, DocumentId};
use crate::vector::{Embedding, SparseVector};
use async_trait::async_trait;
use std::sync::Arc;

/// What a version's store must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSpec {
    /// Dimensions of the dense vectors (cosine).
    pub dim: usize,
}

/// A chunk with its vectors.
#[derive(Debug, Clone)]
pub struct Point {
    /// The chunk; stored whole.
    pub chunk: Chunk,
    /// Dense vector.
    pub dense: Embedding,
    /// BM25 document weights; the store multiplies query weights with the inverse document frequency.
    pub sparse: SparseVector,
}

/// The vector of one search leg.
#[derive(Debug, Clone)]
pub enum LegVector {
    /// Cosine similarity, higher is better.
    Dense(Embedding),
    /// Dot product with inverse document frequencies (Qdrant's IDF modifier), higher is better.
    Sparse(SparseVector),
}

/// How sure a search must be to find the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As the store is set up: large collections may be searched through an approximate index.
    #[default]
    Usual,
    /// Every chunk that passes the filters is compared at full precision.
    Exact,
}

/// One search leg.
#[derive(Debug, Clone)]
pub struct Leg {
    /// What to compare with.
    pub vector: LegVector,
    /// Condition besides the pass's own.
    pub filter: Option<Filter>,
    /// Number of results wanted, >= 1.
    pub limit: usize,
    /// How sure it must be to find the best.
    pub precision: Precision,
}

/// A result of a leg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredId {
    /// The chunk.
    pub id: ChunkId,
    /// Higher is better.
    pub score: f32,
}

/// A stored chunk with its dense vector.
#[derive(Debug, Clone)]
pub struct StoredChunk {
    /// The chunk, which whoever keeps it in memory need not copy to hand it out.
    pub chunk: Arc<Chunk>,
    /// Dense vector; `None` unless it was asked for.
    pub dense: Option<Embedding>,
}

/// Stores chunks and finds them by vector; each index version of a collection has a store of its own.
///
/// Writes are durable after [`VectorStore::flush`]. Every read adds the pass's filter. Calls on a
/// version that was never created answer `NotFound`. All calls are idempotent and safe to retry.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Makes room for a version; does nothing when it exists with the same spec.
    ///
    /// # Errors
    /// `Conflict` when it exists with another spec.
    async fn create(&self, pass: &VersionPass, spec: StoreSpec) -> Result<()>;

    /// Removes the version's store and everything in it; does nothing when there is none.
    async fn drop_collection(&self, pass: &VersionPass) -> Result<()>;

    /// Writes points, replacing those of equal chunk id; visible to searches on return.
    async fn upsert(&self, pass: &VersionPass, points: Vec<Point>) -> Result<()>;

    /// Replaces the sparse vectors of stored chunks; ids that are not stored are ignored.
    async fn update_sparse(
        &self,
        pass: &VersionPass,
        vectors: Vec<(ChunkId, SparseVector)>,
    ) -> Result<()>;

    /// Deletes the chunks of `document`, except those in `keep`; returns nothing about how many.
    async fn delete_document(
        &self,
        pass: &VersionPass,
        document: DocumentId,
        keep: &[ChunkId],
    ) -> Result<()>;

    /// Returns the best chunks of one leg, descending by score; ties are stable between calls.
    async fn search(&self, pass: &VersionPass, leg: &Leg) -> Result<Vec<ScoredId>>;

    /// Returns the chunks with these ids, in the order of `ids`; unknown ids are left out.
    async fn fetch(
        &self,
        pass: &VersionPass,
        ids: &[ChunkId],
        with_vectors: WithVectors,
    ) -> Result<Vec<StoredChunk>>;

    /// Returns up to `limit` chunks with an id above `after`, ascending by id.
    async fn scan(
        &self,
        pass: &VersionPass,
        after: Option<ChunkId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Chunk>>;

    /// Returns the exact number of chunks.
    async fn count(&self, pass: &VersionPass) -> Result<u64>;

    /// Returns once everything written so far survives a crash.
    async fn flush(&self, pass: &VersionPass) -> Result<()>;

    /// Builds indexes over what was written. Slow; searches go on meanwhile.
    async fn optimize(&self, pass: &VersionPass) -> Result<()>;

    /// Fails when the store could not serve now.
    async fn check(&self) -> Result<()>;
}

/// Whether a fetch returns dense vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithVectors {
    /// Chunks only.
    No,
    /// Chunks and dense vectors.
    Yes,
}
