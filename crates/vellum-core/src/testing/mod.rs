//! Conformance suites: what every implementation of a port must show, and in-memory peers.
//!
//! A suite panics with the broken clause. Implementations call it from their own tests.

pub mod clock;
pub mod converted_cache;
pub mod converter;
pub mod embedder;
pub mod embedding_cache;
pub mod kept_originals;
pub mod metastore;
pub mod object_store;
pub mod reranker;
pub mod shelf;
pub mod vector_store;

pub use clock::ManualClock;
pub use converted_cache::MemoryConvertedCache;
pub use converter::PlainConverter;
pub use embedder::HashEmbedder;
pub use embedding_cache::MemoryEmbeddingCache;
pub use kept_originals::MemoryKeptOriginals;
pub use metastore::MemoryMetastore;
pub use object_store::MemoryObjectStore;
pub use reranker::WordReranker;
pub use shelf::MemoryShelf;
pub use vector_store::MemoryVectorStore;
