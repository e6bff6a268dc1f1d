//! `POST /api/v1/search` and `vellum search --json`.

use super::{Filter, Fusion, TimingsMs, default_collection, milliseconds, timings_ms};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use vellum_core::collection::Tuning;
use vellum_core::document::Span;
use vellum_core::ids::{ChunkId, CollectionName, DocumentId};
use vellum_core::ports::{Precision, ScoredId};
use vellum_core::{Error, Result};
use vellum_rag::search as rag;

/// A search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The words.
    pub query: String,
    /// The collection.
    #[serde(default = "default_collection")]
    #[schema(value_type = String, default = "default")]
    pub collection: CollectionName,
    /// Number of hits wanted.
    #[serde(default = "default_top_k")]
    #[schema(default = 10, minimum = 1, maximum = 1000)]
    pub top_k: usize,
    /// Which indexes are searched.
    #[serde(default)]
    #[schema(inline, default = "hybrid")]
    pub mode: Mode,
    /// Condition on the chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// How the legs are fused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub fusion: Option<Fusion>,
    /// Weight of the embeddings in fusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub dense_weight: Option<f32>,
    /// Weight of the words in fusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub sparse_weight: Option<f32>,
    /// Results asked of each index before fusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub leg_limit: Option<usize>,
    /// Candidates that the reranker reads, if one is configured; 0 leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1000)]
    pub rerank_depth: Option<usize>,
    /// Whether hits are chosen so that they differ from each other. Absent: as the collection and the settings say, and yes
    /// where `mmr_lambda` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmr: Option<bool>,
    /// That choice: 1 is pure relevance, 0 pure diversity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub mmr_lambda: Option<f32>,
    /// Most hits of one document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub group_by_document: Option<usize>,
    /// Chunks before and after each hit whose text comes with it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(default = 0, maximum = 10)]
    pub neighbours: usize,
    /// Compares every chunk, also where the collection has an approximate index.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(default = false)]
    pub exact: bool,
    /// Tells what each stage saw, kept and removed.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(default = false)]
    pub explain: bool,
}

impl SearchRequest {
    /// Returns a search of `collection` without options.
    pub fn new(query: impl Into<String>, collection: CollectionName) -> Self {
        Self {
            query: query.into(),
            collection,
            top_k: default_top_k(),
            mode: Mode::default(),
            filter: None,
            fusion: None,
            dense_weight: None,
            sparse_weight: None,
            leg_limit: None,
            rerank_depth: None,
            mmr: None,
            mmr_lambda: None,
            group_by_document: None,
            neighbours: 0,
            exact: false,
            explain: false,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_top_k() -> usize {
    10
}

impl TryFrom<SearchRequest> for rag::SearchRequest {
    type Error = Error;

    fn try_from(request: SearchRequest) -> Result<Self> {
        let filter = request.filter.map(|filter| filter.of(&request.collection)).transpose()?;
        Ok(Self {
            filter,
            tuning: Tuning {
                fusion: request.fusion.map(Into::into),
                dense_weight: request.dense_weight,
                sparse_weight: request.sparse_weight,
                leg_limit: request.leg_limit,
                top_k: None,
                mmr: request.mmr.or(request.mmr_lambda.map(|_| true)),
                mmr_lambda: request.mmr_lambda,
                rerank_depth: request.rerank_depth,
            },
            precision: if request.exact { Precision::Exact } else { Precision::Usual },
            group_by_document: request.group_by_document,
            neighbours: request.neighbours,
            explain: request.explain,
            ..Self::new(request.query, request.top_k, request.mode.into())
        })
    }
}

/// Which indexes are searched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Embeddings and words, fused.
    #[default]
    Hybrid,
    /// Embeddings only.
    Dense,
    /// Words (BM25) only.
    Sparse,
}

impl From<Mode> for rag::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Dense => Self::Dense,
            Mode::Sparse => Self::Sparse,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Milliseconds by stage, with `total`.
    pub timings_ms: TimingsMs,
    /// What did not work as it should, so that less was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What each stage did; present when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<Trace>,
}

/// What the stages of a search did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// The filter in force, as text; null without one.
    pub filter: Option<String>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// What one stage of a search did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `dense`, `sparse`, `fuse`, `fetch`, `rerank`, `group`, `mmr`, `cut` or `neighbours`.
    pub name: String,
    /// Candidates that came in; for `dense` and `sparse` the results that were asked for.
    pub seen: usize,
    /// Candidates that went out.
    pub kept: usize,
    /// Those that went out, best first, with the stage's score; the first 100.
    pub scores: Vec<Candidate>,
    /// Those that did not, with the reason; the first 100.
    pub removed: Vec<Candidate>,
    /// What the stage did, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Milliseconds; `dense` and `sparse` run at the same time.
    pub ms: f64,
}

/// A chunk in a stage of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// The chunk.
    #[schema(value_type = String, format = "uuid")]
    pub chunk_id: ChunkId,
    /// Its score: of what was kept, after the stage; of what was removed, before it.
    pub score: f32,
    /// Why it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A found chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// Position, from 1.
    pub rank: usize,
    /// Score of the last stage; higher is better.
    pub score: f32,
    /// Score of each stage.
    pub scores: Scores,
    /// The chunk.
    #[schema(value_type = String, format = "uuid")]
    pub chunk_id: ChunkId,
    /// The document.
    #[schema(value_type = String, format = "uuid")]
    pub document_id: DocumentId,
    /// File name.
    pub source: String,
    /// Uri of the document.
    pub uri: String,
    /// Uris of other documents with the same content, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// 1-based page on which the chunk begins; null where the format has none.
    pub page: Option<u32>,
    /// What a page is in this format: `page`, `slide` or `sheet`.
    pub page_kind: String,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// The text.
    pub text: String,
    /// Texts of the chunks before it, in reading order, as many as `neighbours` asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Texts of the chunks after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// Scores by stage; null where the stage did not see the chunk. Scales differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scores {
    /// Cosine similarity.
    pub dense: Option<f32>,
    /// BM25.
    pub sparse: Option<f32>,
    /// Both legs fused, 0 to 1 by score.
    pub fused: Option<f32>,
    /// Reranker.
    pub rerank: Option<f32>,
}

impl From<rag::SearchResponse> for SearchResponse {
    fn from(response: rag::SearchResponse) -> Self {
        Self {
            timings_ms: timings_ms(&response.timings),
            notes: response.notes,
            explain: response.trace.map(Into::into),
            hits: response.hits.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<rag::Trace> for Trace {
    fn from(trace: rag::Trace) -> Self {
        let stages = trace.stages.into_iter().map(Into::into).collect();
        Self { filter: trace.filter, stages }
    }
}

impl From<rag::Stage> for Stage {
    fn from(stage: rag::Stage) -> Self {
        let kept = |ScoredId { id, score }| Candidate { chunk_id: id, score, reason: None };
        let removed = |gone: rag::Removed| Candidate {
            chunk_id: gone.id,
            score: gone.score,
            reason: Some(gone.reason),
        };
        Self {
            name: stage.name.to_owned(),
            seen: stage.seen,
            kept: stage.kept,
            scores: stage.scores.into_iter().map(kept).collect(),
            removed: stage.removed.into_iter().map(removed).collect(),
            note: stage.note,
            ms: milliseconds(stage.time),
        }
    }
}

impl From<rag::Hit> for Hit {
    fn from(hit: rag::Hit) -> Self {
        let chunk = Arc::unwrap_or_clone(hit.chunk);
        let (start, end) = chunk.char_range(Span { start: 0, end: chunk.text.len() });
        Self {
            rank: hit.rank,
            score: hit.score,
            scores: Scores {
                dense: hit.scores.dense,
                sparse: hit.scores.sparse,
                fused: hit.scores.fused,
                rerank: hit.scores.rerank,
            },
            chunk_id: chunk.id,
            document_id: chunk.document,
            page: chunk.page_at(0),
            page_kind: chunk.format.page_noun().to_owned(),
            start,
            end,
            source: chunk.source,
            also: hit.also,
            uri: chunk.uri,
            text: chunk.text,
            before: hit.before,
            after: hit.after,
        }
    }
}
