//! Sizes and thresholds of the embedded store, with the reasons for their defaults.

/// Smaller copies of the vectors, which `optimize` makes beside a graph. Candidates found by them are scored again with the
/// vectors themselves, so scores are exact and only recall suffers. ARCHITECTURE.md has what each costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantization {
    /// None.
    #[default]
    None,
    /// A byte for each dimension; twice the wanted candidates are scored again.
    Scalar,
    /// A bit for each dimension; four times the wanted candidates are scored again.
    Binary,
}

/// Sizes and thresholds of the embedded store. Changing them needs no re-ingest: they are applied
/// when a collection is opened, and indexes follow at the next `optimize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeSettings {
    /// Chunks in a collection from which searches use a graph (HNSW), which `optimize` builds for a segment of
    /// as many. Below it a search compares with every vector: exact, and a few milliseconds for 50,000 x 384.
    ///
    /// Exactness is worth that. Among many near-duplicates (forms, minutes, logs) a graph of usual size
    /// loses the odd one out, which is what people ask for: of 200 such passages among 50,000 it put
    /// 14% first where a full comparison puts 90%.
    pub index_from_chunks: usize,
    /// Edges per node of the graph (HNSW `m`). More: better recall, larger index.
    pub graph_edges: usize,
    /// Candidates kept while building the graph (HNSW `ef_construct`). More: better recall, slower
    /// `optimize`.
    pub graph_build_beam: usize,
    /// Candidates kept while searching the graph (HNSW `ef`), at least; twice the limit if larger.
    pub graph_search_beam: usize,
    /// Whether graphs are searched through smaller copies of the vectors.
    pub quantization: Quantization,
    /// Threads that build indexes; 0 leaves the choice to the engine.
    pub index_threads: usize,
    /// Capacity of one file of the engine's log in bytes. Each collection reserves one such file.
    pub log_file_bytes: usize,
    /// Bytes of log after which the log is cut. The log is mapped, so this bounds what writing adds
    /// to the resident memory; cutting it reloads the collection, so less means slower ingestion.
    pub log_bytes: u64,
    /// Free bytes that must remain on the disk; a write that could go below is refused. The engine
    /// writes through maps, and a map on a full disk ends the process.
    pub reserve_bytes: u64,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            index_from_chunks: 100_000,
            graph_edges: 32,
            graph_build_beam: 256,
            graph_search_beam: 256,
            quantization: Quantization::None,
            index_threads: 0,
            log_file_bytes: 2 << 20,
            log_bytes: 16 << 20,
            reserve_bytes: 64 << 20,
        }
    }
}
