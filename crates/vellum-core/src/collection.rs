//! Collections and the immutable settings under which their chunks were made.

use crate::ids::CollectionName;
use serde::{Deserialize, Serialize};

/// How documents are cut. Sizes are tokens of the embedder, special tokens included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitterSettings {
    /// Upper bound of a chunk; never above the embedder's limit.
    pub max_tokens: usize,
    /// Text repeated from the end of the previous chunk, in whole sentences, at most this much.
    pub overlap_tokens: usize,
}

/// Language of the lexical analyser: stemmer and stop words. ISO 639-1 codes, or `None` for text
/// whose language has no analyser (words are then only folded and cut).
pub type Language = Option<String>;

/// How BM25 vectors are made. Both values are settled at the end of a collection's first job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparseSettings {
    /// Analyser language; fixed by the user or detected from the documents.
    pub language: Language,
    /// Mean number of terms of a chunk, > 0; BM25's document-length normalisation.
    pub avg_len: f32,
    /// Number of chunks when the values were settled; far more or fewer later settle them anew.
    pub chunks: u64,
}

/// Everything that decides which chunks and dense vectors a document yields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// Version of the converters; raised when they extract different text.
    pub converter: String,
    /// Splitter settings.
    pub splitter: SplitterSettings,
    /// Embedder name.
    pub embedder: String,
    /// Digest of the embedder's files.
    pub embedder_digest: String,
    /// Dimensions of the dense vectors.
    pub dim: usize,
}

impl IndexSettings {
    /// Returns 16 hexadecimal digits that identify the settings.
    pub fn digest(&self) -> String {
        let canonical = serde_json::to_vec(self).expect("plain structs always serialise");
        blake3::hash(&canonical).to_hex()[..16].to_owned()
    }
}

/// A named corpus with its live index version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// Name.
    pub name: CollectionName,
    /// Settings of the live index version; their digest is the version's id.
    pub settings: IndexSettings,
    /// Language that the user asked for; `None` means detect.
    pub language: Option<String>,
    /// BM25 settings under which all stored sparse vectors were made; `None` before the first job ended.
    pub sparse: Option<SparseSettings>,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
}
