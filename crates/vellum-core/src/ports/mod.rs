//! The ports: what the product needs from the world, one trait per file.
//!
//! Traits are object-safe and used as `Arc<dyn _>`. Each documents idempotence, ordering, limits and
//! retry class, offers `check()` for readiness, and has a conformance suite (feature `testing`).

mod clock;
mod content;
mod converted_cache;
mod converter;
mod embedder;
mod embedding_cache;
mod kept_originals;
mod metastore;
mod object_store;
mod reranker;
mod shelf;
mod vector_store;

pub use clock::Clock;
pub use content::Content;
pub use converted_cache::{Conversion, ConvertedCache};
pub use converter::{ConvertInput, Converter, Parts};
pub use embedder::{Embedder, EmbedderInfo, TextKind};
pub use embedding_cache::EmbeddingCache;
pub use kept_originals::KeptOriginals;
pub use metastore::{Metastore, Missing};
pub use object_store::{Listed, Listing, ObjectMeta, ObjectStore};
pub use reranker::{Reranker, must_be_scores};
pub use shelf::{Place, Shelf};
pub use vector_store::{
    Leg, LegVector, Point, Precision, ScoredId, StoreSpec, StoredChunk, VectorStore, WithVectors,
};
