//! The ledger: one durable row per document, from which progress and plans derive.

use crate::document::Format;
use crate::ids::{ContentHash, DocumentId};
use serde::{Deserialize, Serialize};

/// The durable state of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum DocumentState {
    /// All its chunks are stored.
    Indexed,
    /// It cannot be read as it is; the reason names the cause.
    Rejected(String),
    /// It could not be read or written this time.
    Failed(String),
}

/// A row of the ledger. `(collection, uri)` is its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Derived from collection and uri.
    pub document: DocumentId,
    /// The document's uri.
    pub uri: String,
    /// The source's change marker when the content was read.
    pub etag: String,
    /// Hash of the content; `None` when it was never read.
    pub content: Option<ContentHash>,
    /// Digest of the index settings that produced the state.
    pub settings: String,
    /// State and, unless indexed, the reason.
    #[serde(flatten)]
    pub state: DocumentState,
    /// Recognised format.
    pub format: Option<Format>,
    /// Title.
    pub title: Option<String>,
    /// Stored chunks.
    pub chunks: u32,
    /// Pages; 0 where the format has none.
    pub pages: u32,
    /// Size of the source object in bytes.
    pub bytes: u64,
    /// Time of the last change of the row, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}
