//! `/api/v1/collections` and `vellum collection list|show|set --json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::collection::{self, SplitMethod, SplitterSettings};
use vellum_core::ids::CollectionName;
use vellum_rag::collections::{Change, Summary};

/// All collections that the caller may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionList {
    /// Ascending by name.
    pub collections: Vec<CollectionInfo>,
}

/// How the documents of a collection are cut; see `[collection]` of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Splitter {
    /// Name of the splitter.
    pub name: String,
    /// Largest chunk in tokens of the embedder.
    pub max_tokens: usize,
    /// Most tokens that are repeated from the previous chunk.
    pub overlap_tokens: usize,
    /// Percentile of the differences in meaning above which a chunk begins; null but for `semantic`.
    pub semantic_percentile: Option<u8>,
    /// Whether title and headings are embedded and indexed with each chunk.
    pub context: bool,
    /// Most tokens of the section around a chunk that answers are drawn from; 0 where that is the chunk alone.
    pub parent_tokens: usize,
}

impl From<&SplitterSettings> for Splitter {
    fn from(settings: &SplitterSettings) -> Self {
        Self {
            name: settings.method.name().to_owned(),
            max_tokens: settings.max_tokens,
            overlap_tokens: settings.overlap_tokens,
            semantic_percentile: match settings.method {
                SplitMethod::Semantic { percentile } => Some(percentile),
                _ => None,
            },
            context: settings.context,
            parent_tokens: settings.parent_tokens,
        }
    }
}

/// A collection in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionInfo {
    /// Name.
    #[schema(value_type = String)]
    pub name: CollectionName,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// Id of the live index version: a digest of its settings.
    pub index_version: String,
    /// Name of the embedder that made the vectors.
    pub embedder: String,
    /// How its documents are cut.
    pub splitter: Splitter,
}

/// A collection with the digest of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionShow {
    /// Name.
    #[schema(value_type = String)]
    pub name: CollectionName,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// Order-independent hash over all chunk ids and texts; equal collections have equal digests.
    pub digest: String,
    /// Id of the live index version: a digest of its settings.
    pub index_version: String,
    /// Name of the embedder that made the vectors.
    pub embedder: String,
    /// How its documents are cut.
    pub splitter: Splitter,
    /// Language of the lexical index; null until it is settled, or where it has no analyser.
    pub language: Option<String>,
    /// Other languages whose documents have an analyser of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_languages: Vec<String>,
    /// How it is searched, where that differs from the settings.
    #[serde(default)]
    pub retrieval: Tuning,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// How ranked lists are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// Weighted mean of scores.
    Score,
    /// Weighted reciprocal ranks.
    Rank,
}

impl From<Fusion> for collection::Fusion {
    fn from(fusion: Fusion) -> Self {
        match fusion {
            Fusion::Score => Self::Score,
            Fusion::Rank => Self::Rank,
        }
    }
}

impl From<collection::Fusion> for Fusion {
    fn from(fusion: collection::Fusion) -> Self {
        match fusion {
            collection::Fusion::Score => Self::Score,
            collection::Fusion::Rank => Self::Rank,
        }
    }
}

/// How a collection is searched; what is absent is as the settings of the server say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// How the legs are fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub fusion: Option<Fusion>,
    /// Weight of the embeddings in fusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense_weight: Option<f32>,
    /// Weight of the words in fusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparse_weight: Option<f32>,
    /// Results asked of each index before fusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg_limit: Option<usize>,
    /// Passages that an answer is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Whether hits are chosen so that they differ from each other. Passages for an answer are, unless this is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmr: Option<bool>,
    /// That choice: 1 is pure relevance, 0 pure diversity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmr_lambda: Option<f32>,
    /// Candidates that the reranker reads; 0 leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank_depth: Option<usize>,
}

impl From<collection::Tuning> for Tuning {
    fn from(tuning: collection::Tuning) -> Self {
        Self {
            fusion: tuning.fusion.map(Into::into),
            dense_weight: tuning.dense_weight,
            sparse_weight: tuning.sparse_weight,
            leg_limit: tuning.leg_limit,
            top_k: tuning.top_k,
            mmr: tuning.mmr,
            mmr_lambda: tuning.mmr_lambda,
            rerank_depth: tuning.rerank_depth,
        }
    }
}

impl From<Tuning> for collection::Tuning {
    fn from(tuning: Tuning) -> Self {
        Self {
            fusion: tuning.fusion.map(Into::into),
            dense_weight: tuning.dense_weight,
            sparse_weight: tuning.sparse_weight,
            leg_limit: tuning.leg_limit,
            top_k: tuning.top_k,
            mmr: tuning.mmr,
            mmr_lambda: tuning.mmr_lambda,
            rerank_depth: tuning.rerank_depth,
        }
    }
}

/// A change of how a collection is searched (`PATCH`): what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionChange {
    /// New values.
    #[serde(default)]
    pub retrieval: Tuning,
    /// Names of values that are again as the settings of the server say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<String>,
}

impl From<CollectionChange> for Change {
    fn from(change: CollectionChange) -> Self {
        Self { set: change.retrieval.into(), cleared: change.reset }
    }
}

impl From<Summary> for CollectionInfo {
    fn from(summary: Summary) -> Self {
        Self {
            index_version: summary.collection.version(),
            splitter: (&summary.collection.settings.splitter).into(),
            name: summary.collection.name,
            documents: summary.documents,
            chunks: summary.chunks,
            embedder: summary.collection.settings.embedder,
        }
    }
}

impl CollectionShow {
    /// Returns what `collection show` tells; `digest` is that of [`vellum_rag::collections::digest`].
    pub fn new(summary: Summary, digest: String) -> Self {
        let collection = summary.collection;
        let index_version = collection.version();
        let (language, others) = match collection.sparse {
            Some(sparse) => (sparse.language, sparse.others),
            None => (collection.language, Vec::new()),
        };
        Self {
            index_version,
            splitter: (&collection.settings.splitter).into(),
            name: collection.name,
            documents: summary.documents,
            chunks: summary.chunks,
            digest,
            embedder: collection.settings.embedder,
            retrieval: collection.tuning.into(),
            other_languages: others,
            language,
            created_ms: collection.created_ms,
        }
    }
}
