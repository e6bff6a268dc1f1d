//! Jobs: `/api/v1/jobs`, `vellum job ... --json` and the report of `vellum ingest --json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::ids::{CollectionName, JobId};
use vellum_core::job;
use vellum_rag::jobs;

/// An order to bring a collection in line with a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// A path or uri that the server can read.
    pub source: String,
    /// Whether removals are followed even when most documents are suddenly gone.
    #[serde(default)]
    pub prune: bool,
    /// Whether documents are tried again that were rejected as they are.
    #[serde(default)]
    pub rejected: bool,
}

impl JobRequest {
    /// Returns what is asked of the product.
    pub fn as_request(&self) -> jobs::Request<'_> {
        jobs::Request { source: &self.source, prune: self.prune, rejected: self.rejected }
    }
}

/// The newest jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// Newest first.
    pub jobs: Vec<Job>,
}

/// A job: what was asked, how far it got, what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: JobId,
    /// State.
    pub state: JobState,
    /// Target collection.
    #[schema(value_type = String)]
    pub collection: CollectionName,
    /// Source uri, resolved.
    pub source: String,
    /// Whether all removals are followed.
    pub prune: bool,
    /// Whether rejected documents are tried again.
    pub rejected: bool,
    /// Committed work so far; final once the state is.
    pub report: Counts,
    /// Why it failed, or what it waits for; else null.
    pub error: Option<String>,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Time of the last change, milliseconds since the Unix epoch.
    pub updated_ms: i64,
    /// Live view; null for a job that is not at work in this process.
    pub progress: Option<Progress>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, not started.
    Queued,
    /// At work.
    Running,
    /// Stopped by a cause that may pass; goes on by itself.
    Waiting,
    /// Stopped by its caller until it is resumed.
    Paused,
    /// Its process ended before it did; goes on when the same is ingested again, or when it is resumed.
    Interrupted,
    /// Ended; the report tells what became of each document.
    Done,
    /// Ended before its end. Committed documents stay.
    Failed,
    /// Ended by its caller. Committed documents stay.
    Cancelled,
}

impl JobState {
    /// Returns the lowercase name.
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

    /// Returns whether a process is at it, or will be by itself.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Waiting)
    }

    /// Returns whether it can be resumed.
    pub const fn is_resumable(self) -> bool {
        matches!(self, Self::Paused | Self::Interrupted | Self::Failed | Self::Cancelled)
    }
}

/// Live view of a job at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Documents listed so far; final once `listing_done`.
    pub listed: u64,
    /// Whether the whole source has been listed.
    pub listing_done: bool,
    /// Documents that have come to an end.
    pub settled: u64,
    /// Bytes of the documents that need work, as listed so far.
    pub planned_bytes: u64,
    /// Bytes of those that have come to an end.
    pub finished_bytes: u64,
    /// Chunks per second since the first chunk.
    pub chunks_per_s: f64,
    /// Estimated seconds left; null before it can be told.
    pub remaining_s: Option<f64>,
    /// Names of documents at work, at most a few.
    pub current: Vec<String>,
}

/// What became of each listed document: `listed = added + updated + unchanged + rejected + failed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
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
    /// Rejected and failed documents beyond the first 10,000 of each, which are not named; left out when 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnamed: u64,
    /// Notes for the user: skipped links, removals held back.
    pub warnings: Vec<String>,
    /// Chunks written.
    pub chunks: u64,
    /// Texts embedded; less than `chunks` where vectors were reused.
    pub embedded: u64,
    /// Pages read.
    pub pages: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A document that was not indexed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// The document's uri.
    pub uri: String,
    /// One line.
    pub reason: String,
}

/// What `vellum ingest --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IngestReport {
    /// What became of each document.
    #[serde(flatten)]
    pub counts: Counts,
    /// Seconds from start to end.
    pub elapsed_s: f64,
    /// Largest resident memory of the process that ingested, in MiB.
    pub peak_rss_mb: f64,
}

impl IngestReport {
    /// Returns the report of a job that took `elapsed_s` seconds in a process of `peak_rss_mb` MiB.
    pub fn new(counts: Counts, elapsed_s: f64, peak_rss_mb: f64) -> Self {
        Self { counts, elapsed_s, peak_rss_mb }
    }
}

impl From<job::Report> for Counts {
    fn from(report: job::Report) -> Self {
        let refusals = |refusals: job::Refusals| -> Vec<Refusal> {
            let named = refusals.named.into_iter();
            named.map(|it| Refusal { uri: it.uri, reason: it.reason }).collect()
        };
        let unnamed = |it: &job::Refusals| it.count - it.named.len() as u64;
        Self {
            listed: report.listed,
            added: report.added,
            updated: report.updated,
            unchanged: report.unchanged,
            removed: report.removed,
            unnamed: unnamed(&report.rejected) + unnamed(&report.failed),
            rejected: refusals(report.rejected),
            failed: refusals(report.failed),
            warnings: report.warnings,
            chunks: report.chunks,
            embedded: report.embedded,
            pages: report.pages,
        }
    }
}

impl From<job::JobState> for JobState {
    fn from(state: job::JobState) -> Self {
        match state {
            job::JobState::Queued => Self::Queued,
            job::JobState::Running => Self::Running,
            job::JobState::Waiting => Self::Waiting,
            job::JobState::Paused => Self::Paused,
            job::JobState::Interrupted => Self::Interrupted,
            job::JobState::Done => Self::Done,
            job::JobState::Failed => Self::Failed,
            job::JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<job::Job> for Job {
    fn from(job: job::Job) -> Self {
        Self {
            id: job.id,
            state: job.state.into(),
            collection: job.spec.collection,
            source: job.spec.source,
            prune: job.spec.prune,
            rejected: job.spec.rejected,
            report: job.report.into(),
            error: job.error,
            created_ms: job.created_ms,
            updated_ms: job.updated_ms,
            progress: None,
        }
    }
}

impl From<jobs::Progress> for Job {
    fn from(live: jobs::Progress) -> Self {
        let progress = Progress {
            listed: live.listed,
            listing_done: live.listing_done,
            settled: live.job.report.settled(),
            planned_bytes: live.planned_bytes,
            finished_bytes: live.finished_bytes,
            chunks_per_s: live.chunks_per_s,
            remaining_s: live.remaining.map(|left| left.as_secs_f64()),
            current: live.current,
        };
        let is_active = live.job.state.is_active();
        Self { progress: is_active.then_some(progress), ..live.job.into() }
    }
}
