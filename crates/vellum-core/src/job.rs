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
    /// Source uri: `file:///...`; a folder ends with `/`. `index:VERSION` builds the index version of that id from what the
    /// live one knows.
    pub source: String,
    /// Follow removals even when most documents are suddenly gone.
    pub prune: bool,
    /// Try documents again that were rejected as they are.
    #[serde(default)]
    pub rejected: bool,
}

/// Scheme of the source of jobs that build an index version.
const BUILD: &str = "index:";

impl JobSpec {
    /// Returns the id of the index version that the job builds; `None` for a job that reads a source.
    pub fn builds(&self) -> Option<&str> {
        built_by(&self.source)
    }
}

/// Returns the source of a job that builds the index version of this id.
pub fn source_of_build(version: &str) -> String {
    format!("{BUILD}{version}")
}

/// Returns the id of the index version that a job with this source builds.
pub fn built_by(source: &str) -> Option<&str> {
    source.strip_prefix(BUILD)
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, not started.
    Queued,
    /// At work.
    Running,
    /// Stopped by a cause that may pass, which `error` names; it goes on by itself.
    Waiting,
    /// Stopped by its caller until it is resumed.
    Paused,
    /// Its process ended before it did. Starting the same again, or resuming it, goes on.
    Interrupted,
    /// Ended; the report tells what became of each document.
    Done,
    /// Ended before its end; the message says why. Committed documents stay.
    Failed,
    /// Ended by its caller. Committed documents stay.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Interrupted,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the name, in lowercase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the state with this name; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether a process is at it, or will be by itself.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Waiting)
    }

    /// Returns whether nothing more will happen unless somebody starts it again.
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

/// Refusals that a report names, of each kind; the ledger has all.
pub const NAMED_REFUSALS: usize = 10_000;

/// Documents that were not indexed: all counted, the first [`NAMED_REFUSALS`] named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRefusals")]
pub struct Refusals {
    /// How many.
    pub count: u64,
    /// Which.
    pub named: Vec<Refusal>,
}

/// Refusals as they are stored; earlier versions stored the list alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRefusals {
    Counted { count: u64, named: Vec<Refusal> },
    Named(Vec<Refusal>),
}

impl From<StoredRefusals> for Refusals {
    fn from(stored: StoredRefusals) -> Self {
        match stored {
            StoredRefusals::Counted { count, named } => Self { count, named },
            StoredRefusals::Named(named) => Self { count: named.len() as u64, named },
        }
    }
}

impl Refusals {
    /// Adds one.
    pub fn push(&mut self, refusal: Refusal) {
        self.count += 1;
        if self.named.len() < NAMED_REFUSALS {
            self.named.push(refusal);
        }
    }
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
    pub rejected: Refusals,
    /// Documents that may succeed when tried again.
    pub failed: Refusals,
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
        self.added + self.updated + self.unchanged + self.rejected.count + self.failed.count
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_earlier_versions_are_read() {
        let refusal = |uri: &str| Refusal { uri: uri.to_owned(), reason: "empty".to_owned() };
        let old = r#"[{"uri":"a","reason":"empty"}]"#;
        let read: Refusals = serde_json::from_str(old).expect("read");
        assert_eq!(read, Refusals { count: 1, named: vec![refusal("a")] });
        let mut many = Refusals::default();
        for n in 0..NAMED_REFUSALS + 5 {
            many.push(refusal(&n.to_string()));
        }
        assert_eq!((many.count, many.named.len()), (NAMED_REFUSALS as u64 + 5, NAMED_REFUSALS));
        let stored = serde_json::to_string(&many).expect("written");
        assert_eq!(serde_json::from_str::<Refusals>(&stored).expect("read"), many);
    }
}
