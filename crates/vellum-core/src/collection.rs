//! Collections and the immutable settings under which their chunks were made.

use crate::ids::{CollectionName, Space};
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

/// A named corpus, seen through one of its index versions; through the live one unless something else is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Name.
    pub name: CollectionName,
    /// Where the version's chunks and ledger are.
    pub space: Space,
    /// Settings of the version.
    pub settings: IndexSettings,
    /// Language that the user asked for; `None` means detect.
    pub language: Option<String>,
    /// BM25 settings under which all stored sparse vectors were made; `None` before the first job ended.
    pub sparse: Option<SparseSettings>,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl Collection {
    /// Returns the id of the index version: 16 hexadecimal digits over all that it is made by.
    ///
    /// A language that was asked for is part of it, because it decides the sparse vectors; one that was detected is not.
    pub fn version(&self) -> String {
        version_id(&self.settings, &self.language)
    }
}

/// Returns the id of the index version that settings and an asked-for language make.
pub fn version_id(settings: &IndexSettings, language: &Language) -> String {
    match language {
        None => settings.digest(),
        Some(language) => {
            let both = format!("{}/{language}", settings.digest());
            blake3::hash(both.as_bytes()).to_hex()[..16].to_owned()
        }
    }
}

/// Where an index version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// Not, or not again, complete: a job is at it or was interrupted.
    Building,
    /// Complete, and never live.
    Ready,
    /// Searched, and brought in line with sources.
    Live,
    /// Was live.
    Retired,
}

impl VersionState {
    /// Returns the name, in lowercase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }
}

/// An index version of a collection: its settings never change, what is indexed under them does.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexVersion {
    /// The collection, seen through this version.
    pub collection: Collection,
    /// Whether searches go to it.
    pub is_live: bool,
    /// When it was complete, milliseconds since the Unix epoch; `None` while it is built.
    pub built_ms: Option<i64>,
    /// When it was promoted last, milliseconds since the Unix epoch; `None` when it never was. Ascends with each promotion
    /// of the collection, so that the version before the live one is the one with the next lower time.
    pub live_ms: Option<i64>,
}

impl IndexVersion {
    /// Returns where it is in its life.
    pub const fn state(&self) -> VersionState {
        match (self.is_live, self.built_ms, self.live_ms) {
            (true, ..) => VersionState::Live,
            (false, None, _) => VersionState::Building,
            (false, Some(_), None) => VersionState::Ready,
            (false, Some(_), Some(_)) => VersionState::Retired,
        }
    }
}

/// How far a version is from what the live one knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Documents that came, changed or went since it was built: building again brings them.
    pub behind: u64,
    /// Documents that the live version has and this one could not read or write.
    pub missing: u64,
}
