//! The ledger: one durable row per document, from which progress and plans derive.
//!
//! A document is *claimed* by a worker before its first chunk is written, and the claim goes when the row
//! is committed. So a claim whose worker is dead marks a document whose chunks may be of any version.

use crate::document::Format;
use crate::error::{Error, ErrorKind, Retry};
use crate::ids::{ContentHash, DocumentId, JobId};
use serde::{Deserialize, Serialize};

/// The durable state of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum DocumentState {
    /// Listed, and not yet come to an end.
    Queued,
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
    /// The source that listed it last.
    pub source: String,
    /// The job that wrote its state; for a copy or a failure too.
    pub job: Option<JobId>,
    /// How many contents were indexed under this uri: 1 after the first.
    pub version: u32,
    /// Tries since it was last indexed or rejected.
    pub attempts: u32,
    /// Whether the same content is stored under a lesser uri, so that this one has no chunks of its own.
    pub is_copy: bool,
    /// Token of the worker that is at it, or was when it died.
    pub claim: Option<u64>,
    /// Time of the last change of the row, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

/// A worker's right to claim documents, until a time that it keeps moving on.
///
/// Tokens ascend: a worker that was taken for dead and comes back holds a token that no claim bears any more,
/// and its commits are refused (<https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Fencing token.
    pub token: u64,
    /// The job that the worker runs.
    pub job: JobId,
}

impl Lease {
    /// Returns the error of a worker whose lease has ended; beginning anew under another one can help.
    pub fn ended() -> Error {
        Error::new(ErrorKind::Conflict, "the lease of this worker has ended")
            .with_retry(Retry::Later)
    }

    /// Returns the error of a worker that no longer holds the document at `uri`.
    pub fn taken_over(uri: &str) -> Error {
        Error::new(ErrorKind::Conflict, format!("another worker took over `{uri}`"))
            .with_retry(Retry::Later)
    }
}

/// What came of an attempt to claim documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The rows of those that are claimed now, as they stood before: a claim on one is a dead worker's mark.
    pub rows: Vec<LedgerRow>,
    /// Those that a live worker holds.
    pub refused: Vec<DocumentId>,
}

/// Which rows of the ledger belong to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Those whose uri starts with this.
    Prefix(&'a str),
    /// Those that this source listed last: the uris of a list of pages begin as they like.
    Source(&'a str),
}
