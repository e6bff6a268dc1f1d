//! `GET /api/v1/documents/{id}` and the list of a collection's documents.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::document::{self, Format};
use vellum_core::ids::{CollectionName, DocumentId, JobId};
use vellum_core::ledger::{self, LedgerRow};

/// A page of a collection's documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentList {
    /// Ascending by uri.
    pub documents: Vec<Document>,
    /// Value of `after` that gives the next page; null on the last.
    pub next: Option<String>,
}

/// A document and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: DocumentId,
    /// Its collection.
    #[schema(value_type = String)]
    pub collection: CollectionName,
    /// Uri.
    pub uri: String,
    /// File name.
    pub source: String,
    /// Title.
    pub title: Option<String>,
    /// Recognised format, by its lowercase name; null when it was not recognised.
    pub format: Option<String>,
    /// State.
    pub state: DocumentState,
    /// Why it is not indexed; null when it is.
    pub reason: Option<String>,
    /// Whether the same content is stored under a lesser uri, which holds the chunks.
    #[serde(default)]
    pub is_copy: bool,
    /// How many contents were indexed under this uri.
    #[serde(default)]
    pub version: u32,
    /// Tries since it was last indexed or rejected.
    #[serde(default)]
    pub attempts: u32,
    /// The job that wrote its state.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub job: Option<JobId>,
    /// Stored chunks.
    pub chunks: u32,
    /// Pages; 0 where the format has none.
    pub pages: u32,
    /// What a page is in this format: `page`, `slide` or `sheet`.
    pub page_kind: String,
    /// Size of the original in bytes.
    pub bytes: u64,
    /// Time of the last change, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

/// A rectangle on a page, in points (1/72 inch) from the top left corner of the page as it is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PageBox {
    /// 1-based page.
    pub page: u32,
    /// Left end.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right end.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
    /// Width of the page.
    pub page_width: f32,
    /// Height of the page.
    pub page_height: f32,
}

impl From<document::PageBox> for PageBox {
    fn from(from: document::PageBox) -> Self {
        let document::Rect { x0, y0, x1, y1 } = from.rect;
        let document::PageSize { page, width, height } = from.on;
        Self { page, x0, y0, x1, y1, page_width: width, page_height: height }
    }
}

/// Where a range of characters stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PageBoxes {
    /// One rectangle for each run of words on a line, in order of the text; empty where the format does not tell.
    pub boxes: Vec<PageBox>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DocumentState {
    /// Listed, and not yet come to an end.
    Queued,
    /// All its chunks are stored.
    Indexed,
    /// It cannot be read as it is.
    Rejected,
    /// It could not be read or written this time.
    Failed,
}

impl DocumentState {
    /// Returns the lowercase name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Indexed => "indexed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

impl Document {
    /// Returns the document of a ledger row.
    pub fn new(collection: &CollectionName, row: LedgerRow) -> Self {
        let (state, reason) = match row.state {
            ledger::DocumentState::Queued => (DocumentState::Queued, None),
            ledger::DocumentState::Indexed => (DocumentState::Indexed, None),
            ledger::DocumentState::Rejected(reason) => (DocumentState::Rejected, Some(reason)),
            ledger::DocumentState::Failed(reason) => (DocumentState::Failed, Some(reason)),
        };
        Self {
            id: row.document,
            collection: collection.clone(),
            source: display_name(&row.uri),
            uri: row.uri,
            title: row.title,
            format: row.format.map(Format::as_str).map(str::to_owned),
            state,
            reason,
            is_copy: row.is_copy,
            version: row.version,
            attempts: row.attempts,
            job: row.job,
            chunks: row.chunks,
            pages: row.pages,
            page_kind: row.format.map_or("page", Format::page_noun).to_owned(),
            bytes: row.bytes,
            updated_ms: row.updated_ms,
        }
    }
}

/// Returns the file name of a uri, decoded, for people.
pub fn display_name(uri: &str) -> String {
    let last = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded() {
        for (uri, name) in [
            ("file:///a/b%20c.pdf", "b c.pdf"),
            ("file:///a/folder/", "folder"),
            ("mem:///%E6%97%A5.txt", "日.txt"),
            ("x", "x"),
        ] {
            assert_eq!(display_name(uri), name);
        }
    }
}
