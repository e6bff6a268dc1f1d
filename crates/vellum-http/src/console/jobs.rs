//! `GET /jobs`: start an ingestion, watch the jobs.
//!
//! The script sends the form, follows the events of jobs at work and asks to cancel; without it the page
//! shows how far each job was when it was loaded.

use super::{Layout, Section, error_page, page, utc};
use crate::api::jobs::newest;
use crate::extract::{Caller, Query};
use crate::server::Server;
use crate::wire::{Job, display_name};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::Principal;

/// Jobs that are shown.
const N_JOBS: usize = 20;
/// Refused documents that are shown for a job; the documents page has all.
const N_REFUSALS: usize = 20;

#[derive(Deserialize)]
pub(crate) struct JobsQuery {
    collection: Option<String>,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    layout: Layout,
    jobs: Vec<JobView>,
}

/// A job as it is shown.
struct JobView {
    job: Job,
    started: String,
    settled: u64,
    listed: u64,
    refusals: Vec<(String, String)>,
    more_refusals: usize,
}

/// `GET /jobs`.
pub(crate) async fn jobs_page(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Query(query): Query<JobsQuery>,
) -> Response {
    match render(&server, &principal, query).await {
        Ok(template) => page(StatusCode::OK, &template),
        Err(error) => error_page("./", error),
    }
}

async fn render(server: &Server, principal: &Principal, query: JobsQuery) -> Result<JobsPage> {
    let layout = Layout::new(server, principal, Section::Jobs, query.collection.as_deref()).await?;
    let jobs = newest(server, principal, N_JOBS).await?;
    Ok(JobsPage { layout, jobs: jobs.into_iter().map(view).collect() })
}

fn view(job: Job) -> JobView {
    let counts = &job.report;
    let refused = || counts.rejected.iter().chain(&counts.failed);
    let n_refused = refused().count() as u64 + counts.unnamed;
    let settled = counts.added + counts.updated + counts.unchanged + n_refused;
    let refusals: Vec<(String, String)> =
        refused().take(N_REFUSALS).map(|it| (display_name(&it.uri), it.reason.clone())).collect();
    JobView {
        started: utc(job.created_ms),
        settled,
        listed: job.progress.as_ref().map_or(counts.listed, |live| live.listed),
        more_refusals: refused().count() - refusals.len(),
        refusals,
        job,
    }
}
