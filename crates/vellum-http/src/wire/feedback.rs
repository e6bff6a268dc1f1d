//! `POST /api/v1/feedback`, the list of a collection's feedback, and `GET /api/v1/documents/{id}/text`.

use super::default_collection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::feedback as core;
use vellum_core::ids::{CollectionName, DocumentId, FeedbackId};
use vellum_rag::feedback::Opinion;

/// What somebody thinks of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The question that was answered.
    pub question: String,
    /// The collection that was asked.
    #[serde(default = "default_collection")]
    #[schema(value_type = String, default = "default")]
    pub collection: CollectionName,
    /// Whether the answer was right.
    pub verdict: Verdict,
    /// More about it, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What the answer cited, at most 100 passages; none for a refusal.
    #[serde(default)]
    pub citations: Vec<CitedPassage>,
}

/// Whether an answer was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was, and what it cites proves it; of a refusal: the documents do not tell.
    Up,
    /// It was not.
    Down,
}

/// A passage that was cited: the same fields as those of a citation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitedPassage {
    /// The document.
    #[schema(value_type = String, format = "uuid")]
    pub document_id: DocumentId,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// That an opinion is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackStored {
    /// Its id: the same for the same question and citations.
    #[schema(value_type = String, format = "uuid")]
    pub id: FeedbackId,
}

/// A page of a collection's feedback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackList {
    /// Ascending by id.
    pub feedback: Vec<Feedback>,
    /// Value of `after` that gives the next page; null on the last.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<FeedbackId>,
}

/// What somebody thought of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Feedback {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: FeedbackId,
    /// The question.
    pub question: String,
    /// Whether the answer was right.
    pub verdict: Verdict,
    /// More about it.
    pub comment: Option<String>,
    /// What the answer cited.
    pub citations: Vec<CitedPassage>,
    /// When, milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// The text of a document as citations count it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentText {
    /// Title.
    pub title: Option<String>,
    /// The text: what stands in its chunks at its place, and white space between.
    pub text: String,
    /// Pages, ascending; empty where the format has none.
    pub pages: Vec<TextPage>,
}

/// Where a page stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextPage {
    /// 1-based page.
    pub page: u32,
    /// First byte of the text (UTF-8).
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<Verdict> for core::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Up => Self::Up,
            Verdict::Down => Self::Down,
        }
    }
}

impl From<core::Verdict> for Verdict {
    fn from(verdict: core::Verdict) -> Self {
        match verdict {
            core::Verdict::Up => Self::Up,
            core::Verdict::Down => Self::Down,
        }
    }
}

impl From<CitedPassage> for core::Cited {
    fn from(CitedPassage { document_id, start, end }: CitedPassage) -> Self {
        Self { document: document_id, start, end }
    }
}

impl From<core::Cited> for CitedPassage {
    fn from(core::Cited { document, start, end }: core::Cited) -> Self {
        Self { document_id: document, start, end }
    }
}

impl From<FeedbackRequest> for Opinion {
    fn from(request: FeedbackRequest) -> Self {
        Self {
            question: request.question,
            verdict: request.verdict.into(),
            comment: request.comment,
            cited: request.citations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<core::Feedback> for Feedback {
    fn from(from: core::Feedback) -> Self {
        Self {
            id: from.id,
            question: from.question,
            verdict: from.verdict.into(),
            comment: from.comment,
            citations: from.cited.into_iter().map(Into::into).collect(),
            created_ms: from.created_ms,
        }
    }
}

impl From<Feedback> for core::Feedback {
    fn from(from: Feedback) -> Self {
        Self {
            id: from.id,
            question: from.question,
            verdict: from.verdict.into(),
            comment: from.comment,
            cited: from.citations.into_iter().map(Into::into).collect(),
            created_ms: from.created_ms,
        }
    }
}

impl From<vellum_rag::documents::Text> for DocumentText {
    fn from(from: vellum_rag::documents::Text) -> Self {
        let page = |(page, span): (u32, vellum_core::document::Span)| TextPage {
            page,
            start: span.start,
            end: span.end,
        };
        Self {
            title: from.title,
            text: from.text,
            pages: from.pages.into_iter().map(page).collect(),
        }
    }
}
