//! `POST /api/v1/ask` and `vellum ask --json`.

use super::{Filter, PageBox, TimingsMs, default_collection, timings_ms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::ids::{ChunkId, CollectionName, DocumentId};
use vellum_core::{Error, ErrorKind};
use vellum_rag::{answer as rag, search};

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    /// The words.
    pub question: String,
    /// The collection.
    #[serde(default = "default_collection")]
    #[schema(value_type = String, default = "default")]
    pub collection: CollectionName,
    /// Passages to answer from. Absent: as many as the collection and the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub top_k: Option<usize>,
    /// Whether the answer comes as server-sent events.
    #[serde(default)]
    pub stream: bool,
    /// Condition on the passages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

impl TryFrom<AskRequest> for rag::AskRequest {
    type Error = Error;

    fn try_from(request: AskRequest) -> Result<Self, Error> {
        let bound = 1..=search::MAX_TOP_K;
        if let Some(top_k) = request.top_k.filter(|top_k| !bound.contains(top_k)) {
            let message = format!("top_k {top_k} is not in 1 to {}", search::MAX_TOP_K);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Self {
            question: request.question,
            top_k: request.top_k,
            filter: request.filter.map(|filter| filter.of(&request.collection)).transpose()?,
        })
    }
}

/// An answer with its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AskResponse {
    /// The text, with `[n]` where citation `n` applies.
    pub answer: String,
    /// Whether the documents do not answer the question; then there are no citations.
    pub refused: bool,
    /// What wrote the text.
    pub generator: String,
    /// Citations, by number.
    pub citations: Vec<Citation>,
    /// Milliseconds by stage, with `total`.
    pub timings_ms: TimingsMs,
    /// What did not work as it should, so that less was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a part of an answer comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// Number in the answer's text, from 1.
    pub n: usize,
    /// File name.
    pub source: String,
    /// Uri of the document.
    pub uri: String,
    /// Uris of other documents with the same content, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// 1-based page; null where the format has none.
    pub page: Option<u32>,
    /// What a page is in this format: `page`, `slide` or `sheet`.
    pub page_kind: String,
    /// Where on pages the cited text stands, one rectangle for each run of words on a line; empty where the
    /// format does not tell.
    #[serde(default)]
    pub boxes: Vec<PageBox>,
    /// The cited text, verbatim.
    pub text: String,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// How well the text answers, about 0 to 1.
    pub score: f32,
    /// Share of the answer's sentence that the cited text supports, 0 to 1; 1 is verbatim.
    pub support: f32,
    /// The cited chunk.
    #[schema(value_type = String, format = "uuid")]
    pub chunk_id: ChunkId,
    /// The cited document.
    #[schema(value_type = String, format = "uuid")]
    pub document_id: DocumentId,
}

/// Data of the event `delta`: more of the answer's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delta {
    /// The text.
    pub text: String,
}

impl From<rag::Answer> for AskResponse {
    fn from(answer: rag::Answer) -> Self {
        Self {
            answer: answer.text,
            refused: answer.refused,
            generator: answer.generator.to_owned(),
            citations: answer.citations.into_iter().map(Into::into).collect(),
            timings_ms: timings_ms(&answer.timings),
            notes: answer.notes,
        }
    }
}

impl From<rag::Citation> for Citation {
    fn from(citation: rag::Citation) -> Self {
        Self {
            n: citation.n,
            source: citation.source,
            uri: citation.uri,
            also: citation.also,
            page: citation.page,
            page_kind: citation.format.page_noun().to_owned(),
            boxes: citation.boxes.into_iter().map(Into::into).collect(),
            text: citation.text,
            start: citation.start,
            end: citation.end,
            score: citation.score,
            support: citation.support,
            chunk_id: citation.chunk,
            document_id: citation.document,
        }
    }
}
