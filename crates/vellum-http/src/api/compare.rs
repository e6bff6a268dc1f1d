//! `POST /api/v1/collections/{name}/compare`: whether another index version would find better.
//!
//! It takes as long as asking every question of the datasets twice. As events: `progress` while it works, then `done` with
//! what was found, or `error` with a problem. The work belongs to the answer: a caller that goes away ends it. One is
//! at work at a time, since it takes what users' questions need.

use crate::api::ask::{AbortOnDrop, event, respond};
use crate::extract::{Caller, Json, Path};
use crate::gate::accepts;
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::{CompareRequest, CompareStep, Comparison};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use vellum_core::access::{Pass, Verb};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::versions::{self, Step};

/// Shortest time between two events.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

/// Asks the collection's datasets of two index versions, keeps both as experiments, and tells whether the one is worse than the
/// other, and not by chance.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/compare", tag = "versions",
    params(("name" = String, Path)), request_body = CompareRequest,
    responses(
        (status = 200, description = "JSON, or events `progress`, `done`, `error` for `stream: true` or `Accept: \
            text/event-stream`",
            content((Comparison = "application/json"), (CompareStep = "text/event-stream"))),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn compare(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(request): Json<CompareRequest>,
) -> Result<Response, Problem> {
    // What was measured is kept, and shown with the versions.
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Write)?;
    let permit = server.permit(Work::Compare)?;
    if request.stream || accepts(&headers, "text/event-stream") {
        return Ok(streaming(server, pass, request, permit));
    }
    let _permit = permit;
    Ok(axum::Json(work(&server, &pass, request, &|_| {}).await?).into_response())
}

async fn work(
    server: &Server,
    pass: &Pass,
    request: CompareRequest,
    show: &(dyn Fn(Step) + Sync),
) -> Result<Comparison> {
    let compared = versions::compare(&server.app, pass, &request.into(), show).await?;
    Comparison::new(pass.collection().clone(), &compared)
}

fn streaming(
    server: Arc<Server>,
    pass: Pass,
    request: CompareRequest,
    permit: OwnedSemaphorePermit,
) -> Response {
    let (sender, steps) = watch::channel(Step::default());
    let closed = server.closed();
    let work = AbortOnDrop(tokio::spawn(async move {
        let _permit = permit;
        // Its end ends the steps.
        let sender = sender;
        work(&server, &pass, request, &|step| drop(sender.send_replace(step))).await
    }));
    let steps = stream::unfold(steps, |mut steps| async move {
        steps.changed().await.ok()?;
        tokio::time::sleep(EVENT_INTERVAL).await;
        let step = steps.borrow_and_update().clone();
        Some((event("progress", &CompareStep::from(step)), steps))
    });
    respond(steps.chain(stream::once(last_event(work))).take_until(closed))
}

async fn last_event(mut work: AbortOnDrop<Result<Comparison>>) -> Event {
    let compared = (&mut work.0)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the comparison panicked")));
    match compared {
        Ok(comparison) => event("done", &comparison),
        Err(error) => event("error", &Problem::from(error)),
    }
}
