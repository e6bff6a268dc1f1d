//! Collections and the immutable settings under which their chunks were made.

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionName, Space};
use serde::{Deserialize, Serialize};

/// Largest bound of a chunk in tokens: what the largest models read.
pub const MAX_CHUNK_TOKENS: usize = 8_192;

/// Where chunks may begin and end. All stay within [`SplitterSettings::max_tokens`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitMethod {
    /// Whole sentences, list items and table rows; a heading begins a chunk unless the one before is short.
    #[default]
    Sentence,
    /// Windows of as many words as fit.
    Fixed,
    /// At blank lines; what does not fit at line ends, then sentences, then words.
    Recursive,
    /// Whole paragraphs, lists and tables of one heading.
    Markdown,
    /// As `Sentence`, and never over the end of a page.
    Page,
    /// Where the meaning of neighbouring sentences differs most.
    Semantic {
        /// Percentile of the differences above which a chunk begins, 1 to 99; higher means longer chunks.
        percentile: u8,
    },
}

impl SplitMethod {
    /// The names, in the order of the methods.
    pub const NAMES: [&str; 6] = ["sentence", "fixed", "recursive", "markdown", "page", "semantic"];

    /// Returns the method with this name; `percentile` is that of `semantic`.
    pub fn from_name(name: &str, percentile: u8) -> Option<Self> {
        [
            Self::Sentence,
            Self::Fixed,
            Self::Recursive,
            Self::Markdown,
            Self::Page,
            Self::Semantic { percentile },
        ]
        .into_iter()
        .find(|method| method.name() == name)
    }

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        let at = match self {
            Self::Sentence => 0,
            Self::Fixed => 1,
            Self::Recursive => 2,
            Self::Markdown => 3,
            Self::Page => 4,
            Self::Semantic { .. } => 5,
        };
        Self::NAMES[at]
    }
}

/// How documents are cut. Sizes are tokens of the embedder, special tokens included.
///
/// Part of what identifies an index version: fields that came later are written only where they differ from what was
/// done before them, so that stored collections keep their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitterSettings {
    /// Where chunks may begin and end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: SplitMethod,
    /// Upper bound of a chunk with its context. A chunk that the embedder cannot read whole is embedded in windows.
    pub max_tokens: usize,
    /// Text repeated from the end of the previous chunk, in whole sentences (words where chunks are cut
    /// between words), at most this much, special tokens left out.
    pub overlap_tokens: usize,
    /// Upper bound of the parent that is handed to an answer in place of a chunk; 0 for no parents.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_tokens: usize,
    /// Whether title and headings are embedded and indexed with each chunk.
    #[serde(default, skip_serializing_if = "is_default")]
    pub context: bool,
}

impl SplitterSettings {
    /// Returns settings that cut by sentences, without parents and context.
    pub const fn new(max_tokens: usize, overlap_tokens: usize) -> Self {
        let method = SplitMethod::Sentence;
        Self { method, max_tokens, overlap_tokens, parent_tokens: 0, context: false }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Language of the lexical analyser: stemmer and stop words. ISO 639-1 codes, or `None` for text
/// whose language has no analyser (words are then only folded and cut).
pub type Language = Option<String>;

/// How BM25 vectors are made. Both values are settled at the end of a collection's first job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparseSettings {
    /// Analyser language of most chunks; fixed by the user or detected from the documents.
    pub language: Language,
    /// Other languages of the collection: documents in one of them are analysed by their own.
    #[serde(default)]
    pub others: Vec<String>,
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

/// How ranked lists are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// Weighted mean of scores, each as a share of what its list can reach.
    #[default]
    Score,
    /// Weighted reciprocal ranks.
    Rank,
}

/// What a version of a collection, or a request, sets of retrieval; what is absent is as the settings say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuning {
    /// How the legs are fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// Weight of the dense leg in fusion, >= 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense_weight: Option<f32>,
    /// Weight of the sparse leg in fusion, >= 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparse_weight: Option<f32>,
    /// Results asked of each leg, 1 to 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg_limit: Option<usize>,
    /// Passages that an answer is made from, 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Whether results are chosen by marginal relevance. Passages for an answer are, unless this says that they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmr: Option<bool>,
    /// Trade of relevance (1) against diversity (0) where results are diversified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmr_lambda: Option<f32>,
    /// Candidates that the reranker reads, 0 to 1,000; 0 leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank_depth: Option<usize>,
}

impl Tuning {
    /// Returns these values, and those of `base` where there is none.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            fusion: self.fusion.or(base.fusion),
            dense_weight: self.dense_weight.or(base.dense_weight),
            sparse_weight: self.sparse_weight.or(base.sparse_weight),
            leg_limit: self.leg_limit.or(base.leg_limit),
            top_k: self.top_k.or(base.top_k),
            mmr: self.mmr.or(base.mmr),
            mmr_lambda: self.mmr_lambda.or(base.mmr_lambda),
            rerank_depth: self.rerank_depth.or(base.rerank_depth),
        }
    }

    /// Removes the value called `name`.
    ///
    /// # Errors
    /// `Invalid` when there is no such value.
    pub fn clear(&mut self, name: &str) -> Result<()> {
        match name {
            "fusion" => self.fusion = None,
            "dense_weight" => self.dense_weight = None,
            "sparse_weight" => self.sparse_weight = None,
            "leg_limit" => self.leg_limit = None,
            "top_k" => self.top_k = None,
            "mmr" => self.mmr = None,
            "mmr_lambda" => self.mmr_lambda = None,
            "rerank_depth" => self.rerank_depth = None,
            _ => {
                let message = format!("a collection has no setting `{name}`");
                return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                    "there are fusion, dense_weight, sparse_weight, leg_limit, top_k, mmr, mmr_lambda and rerank_depth",
                ));
            }
        }
        Ok(())
    }

    /// Fails unless every value lies in its range.
    ///
    /// # Errors
    /// `Invalid` naming the value.
    pub fn check(&self) -> Result<()> {
        let wrong = |name: &str, range: &str| {
            Err(Error::new(ErrorKind::Invalid, format!("`{name}` is not {range}")))
        };
        for (name, weight) in
            [("dense_weight", self.dense_weight), ("sparse_weight", self.sparse_weight)]
        {
            if weight.is_some_and(|weight| !weight.is_finite() || weight < 0.0) {
                return wrong(name, "a number from 0 up");
            }
        }
        if self.leg_limit.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
            return wrong("leg_limit", "in 1 to 10000");
        }
        if self.top_k.is_some_and(|top_k| !(1..=1_000).contains(&top_k)) {
            return wrong("top_k", "in 1 to 1000");
        }
        if self.mmr_lambda.is_some_and(|lambda| !(0.0..=1.0).contains(&lambda)) {
            return wrong("mmr_lambda", "in 0 to 1");
        }
        if self.rerank_depth.is_some_and(|depth| depth > 1_000) {
            return wrong("rerank_depth", "in 0 to 1000");
        }
        Ok(())
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
    /// How it is searched through this version, where that differs from the settings; of a version that sets nothing, how it is
    /// searched through the live one.
    pub tuning: Tuning,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(splitter: SplitterSettings) -> IndexSettings {
        IndexSettings {
            converter: "c".to_owned(),
            splitter,
            embedder: "e".to_owned(),
            embedder_digest: "d".to_owned(),
            dim: 3,
        }
    }

    #[test]
    fn settings_of_stored_collections_keep_their_digest() {
        // What was stored before there were methods, parents and contexts, byte for byte.
        let stored = r#"{"converter":"c","splitter":{"max_tokens":256,"overlap_tokens":32},"embedder":"e","embedder_digest":"d","dim":3}"#;
        let plain = settings(SplitterSettings::new(256, 32));
        assert_eq!(serde_json::to_string(&plain).unwrap(), stored);
        assert_eq!(serde_json::from_str::<IndexSettings>(stored).unwrap(), plain);
        assert_eq!(plain.digest(), &blake3::hash(stored.as_bytes()).to_hex()[..16]);
    }

    #[test]
    fn every_setting_tells_in_the_digest() {
        let with = |method| SplitterSettings { method, ..SplitterSettings::new(256, 32) };
        let mut all = vec![
            SplitterSettings { parent_tokens: 512, ..SplitterSettings::new(256, 32) },
            SplitterSettings { context: true, ..SplitterSettings::new(256, 32) },
            with(SplitMethod::Semantic { percentile: 80 }),
        ];
        for name in &SplitMethod::NAMES {
            let method = SplitMethod::from_name(name, 90).unwrap();
            assert_eq!(method.name(), *name);
            all.push(with(method));
        }
        let digests: std::collections::HashSet<String> =
            all.iter().map(|splitter| settings(splitter.clone()).digest()).collect();
        assert_eq!(digests.len(), all.len());
        for splitter in all {
            let text = serde_json::to_string(&splitter).unwrap();
            assert_eq!(serde_json::from_str::<SplitterSettings>(&text).unwrap(), splitter);
        }
        assert_eq!(SplitMethod::from_name("words", 90), None);
    }
}
