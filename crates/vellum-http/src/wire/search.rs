//! `POST /api/v1/search` and `vellum search --json`.

use super::{TimingsMs, default_collection, timings_ms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::document::Span;
use vellum_core::filter::{self, Field};
use vellum_core::ids::{ChunkId, CollectionName, DocumentId};
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
}

fn default_top_k() -> usize {
    10
}

impl From<SearchRequest> for rag::SearchRequest {
    fn from(request: SearchRequest) -> Self {
        Self {
            query: request.query,
            top_k: request.top_k,
            mode: request.mode.into(),
            filter: request.filter.map(|filter| filter.of(&request.collection)),
        }
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

/// A boolean condition on chunks: an object with one of these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(no_recursion)]
pub enum Filter {
    /// All of these hold.
    All(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The field equals one of the values.
    In(FilterIn),
}

/// A field and the values that it may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterIn {
    /// The field.
    pub field: FilterField,
    /// The values; an empty list never holds.
    pub values: Vec<String>,
}

/// A property of a chunk that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterField {
    /// The document's id.
    Document,
    /// The document's uri.
    Uri,
    /// The document's file name.
    Source,
    /// The document's format, by its lowercase name.
    Format,
}

impl Filter {
    /// Returns the condition on the chunks of a collection.
    pub(super) fn of(self, collection: &CollectionName) -> filter::Filter {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.of(collection)).collect();
        match self {
            Self::All(parts) => filter::Filter::All(all(parts)),
            Self::Any(parts) => filter::Filter::Any(all(parts)),
            Self::Not(part) => filter::Filter::Not(Box::new(part.of(collection))),
            Self::In(FilterIn { field, values }) => match field {
                FilterField::Document => filter::Filter::In(Field::Document, values),
                FilterField::Uri => {
                    let id = |uri: &String| DocumentId::derive(collection, uri).to_string();
                    filter::Filter::In(Field::Document, values.iter().map(id).collect())
                }
                FilterField::Source => filter::Filter::In(Field::Source, values),
                FilterField::Format => filter::Filter::In(Field::Format, values),
            },
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
            hits: response.hits.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<rag::Hit> for Hit {
    fn from(hit: rag::Hit) -> Self {
        let chunk = hit.chunk;
        let (start, end) = chunk.char_range(Span { start: 0, end: chunk.text.len() });
        Self {
            rank: hit.rank,
            score: hit.score,
            scores: Scores {
                dense: hit.scores.dense,
                sparse: hit.scores.sparse,
                fused: hit.scores.fused,
                rerank: None,
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
        }
    }
}
