//! The JSON contracts: what the API answers, the CLI prints with `--json` and its remote client reads.
//!
//! Domain types carry no wire format; they are converted here, once, at the edge. Requests refuse unknown
//! fields, so a misspelt option is an error and not a silent default; answers may gain fields, so a
//! client must ignore what it does not know.
//!
//! Field names and meanings are a contract with clients; `openapi.json` pins them. Offsets are characters
//! (Unicode scalar values) of the document's extracted text, pages are 1-based, times are milliseconds.

mod archive;
mod ask;
mod collection;
mod dataset;
mod document;
mod event;
mod feedback;
mod filter;
mod job;
mod search;
mod version;

pub use archive::{ExportReport, ImportReport, ImportRequest};
pub use ask::{AskRequest, AskResponse, Citation, Delta};
pub use collection::{
    CollectionChange, CollectionInfo, CollectionList, CollectionShow, Fusion, Splitter, Tuning,
};
pub use dataset::{
    CompareRequest, CompareStep, Comparison, DatasetAdded, DatasetComparison, DatasetInfo,
    DatasetList, DatasetRequest, QueryChange, VersionScore,
};
pub use document::{Document, DocumentList, DocumentState, PageBox, PageBoxes, display_name};
pub use event::{EventsAccepted, touched};
pub use feedback::{
    CitedPassage, DocumentText, Feedback, FeedbackList, FeedbackRequest, FeedbackStored, TextPage,
    Verdict,
};
pub use filter::{Filter, FilterEnd, FilterExists, FilterField, FilterIn, FilterRange};
pub use job::{Counts, IngestReport, Job, JobList, JobRequest, JobState, Progress, Refusal};
pub use search::{Candidate, Hit, Mode, Scores, SearchRequest, SearchResponse, Stage, Trace};
pub use version::{
    BuildReport, BuildRequest, CollectionRequest, PromoteReport, PromoteRequest, VersionInfo,
    VersionList, VersionState,
};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use vellum_core::ids::CollectionName;
use vellum_rag::search::Timings;

/// Milliseconds by stage, with their sum as `total`.
pub type TimingsMs = BTreeMap<String, f64>;

/// Returns the times by stage and their sum, in milliseconds with three decimals.
pub fn timings_ms(timings: &Timings) -> TimingsMs {
    let total = timings.iter().map(|(_, time)| *time).sum();
    let mut by_stage = TimingsMs::new();
    for (stage, time) in timings {
        *by_stage.entry((*stage).to_owned()).or_default() += milliseconds(*time);
    }
    by_stage.insert("total".to_owned(), milliseconds(total));
    by_stage
}

/// Returns milliseconds with three decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// What `GET /` answers to a client that asks for JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Index {
    /// `vellum`.
    pub name: String,
    /// Version of the server.
    pub version: String,
    /// Where things are, relative to this resource.
    pub links: BTreeMap<String, String>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether every port that is needed could serve now.
    pub ready: bool,
    /// Checks, in a fixed order.
    pub checks: Vec<Check>,
}

/// One check of readiness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Whether the server goes on without it, doing less: a search without a reranker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degrades: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

fn default_collection() -> CollectionName {
    "default".parse().expect("the name is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_add_up_by_stage() {
        let us = Duration::from_micros;
        let timings = timings_ms(&vec![("embed", us(1500)), ("search", us(2)), ("embed", us(500))]);
        let expected = [("embed", 2.0), ("search", 0.002), ("total", 2.002)];
        assert_eq!(timings, expected.map(|(stage, ms)| (stage.to_owned(), ms)).into());
    }
}
