//! `/api/v1/jobs`: long work is answered at once with a job; its events tell how far it is.

use crate::api::ask::{event, respond};
use crate::extract::{Caller, Json, Path, Query};
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::{Job, JobList, JobRequest};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, future, stream};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::IntoParams;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::ids::{CollectionName, JobId};
use vellum_core::{Error, ErrorKind, Result, job};
use vellum_rag::jobs::{self, Progress};

/// Shortest time between two events of a job: five a second look live and cost nothing.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);
/// Most jobs of one list.
const MAX_LIMIT: usize = 500;

/// Starts bringing a collection in line with a source; makes the collection if there is none.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/jobs", tag = "jobs", params(("name" = String, Path)),
    request_body = JobRequest,
    responses(
        (status = 202, body = Job, headers(("Location" = String, description = "The job"))),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn start(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Json(request): Json<JobRequest>,
) -> Result<Response, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Write)?;
    let (id, progress) = jobs::start(&server.app, &pass, &request.as_request()).await?;
    let live = progress.borrow().clone();
    Ok(accepted(&server, id, live))
}

/// Answers that a job is accepted, and where it is.
pub(crate) fn accepted(server: &Server, id: JobId, live: Progress) -> Response {
    // Ids and base paths are visible ASCII; a base path that is not would match no request.
    let location = HeaderValue::try_from(format!("{}/api/v1/jobs/{id}", server.base_path))
        .unwrap_or(HeaderValue::from_static(""));
    let headers = [(header::LOCATION, location)];
    (StatusCode::ACCEPTED, headers, axum::Json(Job::from(live))).into_response()
}

/// How many jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Jobs wanted, 1 to 500.
    #[serde(default = "default_limit")]
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: usize,
}

fn default_limit() -> usize {
    50
}

/// Lists the newest jobs.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, body = JobList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<JobList>, Problem> {
    if !(1..=MAX_LIMIT).contains(&query.limit) {
        let message = format!("limit {} is not in 1 to {MAX_LIMIT}", query.limit);
        return Err(Error::new(ErrorKind::Invalid, message).into());
    }
    Ok(axum::Json(JobList { jobs: newest(&server, &principal, query.limit).await? }))
}

/// Returns the newest jobs, live where they are active, newest first.
pub(crate) async fn newest(
    server: &Server,
    principal: &Principal,
    limit: usize,
) -> Result<Vec<Job>> {
    let mut newest = Vec::new();
    for job in jobs::list(&server.app, limit).await? {
        Pass::grant(principal, &job.spec.collection, Verb::Read)?;
        newest.push(live(server, job));
    }
    Ok(newest)
}

fn live(server: &Server, job: job::Job) -> Job {
    match jobs::watch(&server.app, job.id) {
        Some(progress) => progress.borrow().clone().into(),
        None => job.into(),
    }
}

/// Returns a job that the caller may use in the way of `verb`.
async fn granted(
    server: &Server,
    principal: &Principal,
    id: JobId,
    verb: Verb,
) -> Result<job::Job> {
    let job = jobs::get(&server.app, id).await?;
    Pass::grant(principal, &job.spec.collection, verb)?;
    Ok(job)
}

/// Shows a job.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = "default", body = Problem))
)]
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Job>, Problem> {
    let job = granted(&server, &principal, id.parse()?, Verb::Read).await?;
    Ok(axum::Json(live(&server, job)))
}

/// Asks a job to end for good; what it committed stays. Does nothing when it has ended.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = "default", body = Problem))
)]
pub(crate) async fn cancel(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Job>), Problem> {
    let job = granted(&server, &principal, id.parse()?, Verb::Write).await?;
    jobs::cancel(&server.app, job.id).await?;
    let job = jobs::get(&server.app, job.id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(live(&server, job))))
}

/// Asks a job to stop until it is resumed; what it committed stays.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/pause", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = "default", body = Problem))
)]
pub(crate) async fn pause(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Job>), Problem> {
    let job = granted(&server, &principal, id.parse()?, Verb::Write).await?;
    jobs::pause(&server.app, job.id).await?;
    let job = jobs::get(&server.app, job.id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(live(&server, job))))
}

/// Lets a job go on that was paused, interrupted or cancelled, or that failed, or in which documents failed.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = "default", body = Problem))
)]
pub(crate) async fn resume(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = granted(&server, &principal, id.parse()?, Verb::Write).await?;
    let pass = Pass::grant(&principal, &job.spec.collection, Verb::Write)?;
    let (id, progress) = jobs::resume(&server.app, &pass, job.id).await?;
    let live = progress.borrow().clone();
    Ok(accepted(&server, id, live))
}

/// Streams a job's progress: events `progress`, at most five a second, then `done` with the job as it
/// stopped, and the stream ends.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)),
    responses(
        (status = 200, content((Job = "text/event-stream"))),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn events(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: JobId = id.parse()?;
    // Watched before it is read: a job that ends in between is then seen as ended.
    let watched = jobs::watch(&server.app, id);
    let job = granted(&server, &principal, id, Verb::Read).await?;
    let Some(progress) = watched else {
        let name = if job.state.is_active() { "progress" } else { "done" };
        let only = event(name, &Job::from(job));
        return Ok(respond(stream::once(future::ready(only))));
    };
    let permit = server.permit(Work::Watch)?;
    let events = job_events(progress).map(move |event| {
        let _held = &permit;
        event
    });
    Ok(respond(events.take_until(server.closed())))
}

/// Returns the present state at once, then each newest state, slowed down, up to the one in which the job stops.
fn job_events(progress: watch::Receiver<Progress>) -> impl Stream<Item = Event> + Send {
    stream::unfold(Some((progress, false)), |state| async {
        let (mut progress, started) = state?;
        if started {
            tokio::time::sleep(EVENT_INTERVAL).await;
            // The sender goes with the job's end, after the final state was sent.
            let _ = progress.changed().await;
        }
        let live = progress.borrow_and_update().clone();
        let is_active = live.job.state.is_active();
        let name = if is_active { "progress" } else { "done" };
        let next = (is_active && progress.has_changed().is_ok()).then_some((progress, true));
        Some((event(name, &Job::from(live)), next))
    })
}
