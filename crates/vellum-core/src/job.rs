//! Jobs: what was asked, how far it got, and what came of it.

use crate::ids::{CollectionName, JobId};
use serde::{Deserialize, Serialize};

/// An order to bring a collection in line with a source. Versioned: all runners read the same JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Version of this structure; 1.
    pub version: u32,
    /// Target collection.
    pub collection: CollectionName,
    /// Source uri: `file:///...`; a folder ends with `/`.
    pub source: String,
    /// Follow removals even when most documents are suddenly gone.
    pub prune: bool,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, not started.
    Queued,
    /// At work.
    Running,
    /// Ended; the report tells what became of each document.
    Done,
    /// Ended before its end; the message says why. Committed documents stay.
    Failed,
    /// Ended by its caller. Committed documents stay.
    Cancelled,
}

impl JobState {
    /// Returns whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A document that was not indexed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The document's uri.
    pub uri: String,
    /// One line.
    pub reason: String,
}

/// What became of each listed document: `listed = added + updated + unchanged + rejected + failed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Documents that the source showed.
    pub listed: u64,
    /// New documents, now searchable.
    pub added: u64,
    /// Changed documents, now searchable in their new form.
    pub updated: u64,
    /// Documents that needed no work.
    pub unchanged: u64,
    /// Documents that vanished from the source and from the collection.
    pub removed: u64,
    /// Documents that cannot be read as they are.
    pub rejected: Vec<Refusal>,
    /// Documents that may succeed when tried again.
    pub failed: Vec<Refusal>,
    /// Notes for the user: skipped links, removals held back.
    pub warnings: Vec<String>,
    /// Chunks written.
    pub chunks: u64,
    /// Texts embedded; less than `chunks` where vectors were reused.
    pub embedded: u64,
    /// Pages read.
    pub pages: u64,
}

impl Report {
    /// Returns the documents that have come to an end in this job.
    pub fn settled(&self) -> u64 {
        self.added
            + self.updated
            + self.unchanged
            + self.rejected.len() as u64
            + self.failed.len() as u64
    }
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// What was asked.
    pub spec: JobSpec,
    /// State.
    pub state: JobState,
    /// Committed work so far; final once the state is.
    pub report: Report,
    /// Why it failed, with the hint; one line.
    pub error: Option<String>,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Time of the last change, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}
