//! `POST /api/v1/ask`: an answer as JSON, or as server-sent events.
//!
//! Events: `delta` (more text) and `citation` as they become known, then `done` with the whole answer, or
//! `error` with a problem. Errors that are known before the first event are plain problems only where they
//! concern the request itself; what the work runs into comes as the event `error`.
//!
//! The work belongs to the stream: a client that goes away ends it. The permit is released with it.

use crate::extract::{Caller, Json};
use crate::gate::accepts;
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::{AskRequest, AskResponse, Citation, Delta};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use vellum_core::access::{Pass, Verb};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::answer::{self, Answer, AskEvent};

/// Events between the answerer and a slow reader; the answerer waits when it is full.
const EVENT_QUEUE: usize = 32;
/// Stages of an answer that are retrieval.
const RETRIEVAL: [&str; 7] = ["embed", "search", "fuse", "fetch", "rerank", "mmr", "copies"];

/// Answers a question with citations.
#[utoipa::path(
    post, path = "/api/v1/ask", tag = "questions", request_body = AskRequest,
    responses(
        (status = 200, description = "JSON, or events `delta`, `citation`, `done`, `error` for \
            `stream: true` or `Accept: text/event-stream`",
            content((AskResponse = "application/json"), (Delta = "text/event-stream"))),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn ask(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    headers: HeaderMap,
    Json(request): Json<AskRequest>,
) -> Result<Response, Problem> {
    let pass = Pass::grant(&principal, &request.collection, Verb::Read)?;
    let streamed = request.stream || accepts(&headers, "text/event-stream");
    let request: answer::AskRequest = request.try_into()?;
    if streamed {
        let permit = server.permit(Work::Question)?;
        return Ok(streaming(server, pass, request, permit));
    }
    let answer = answer_whole(&server, &pass, &request).await?;
    Ok(axum::Json(AskResponse::from(answer)).into_response())
}

/// Answers a question at once, within the bounds of the server.
pub(crate) async fn answer_whole(
    server: &Server,
    pass: &Pass,
    request: &answer::AskRequest,
) -> Result<Answer> {
    let _permit = server.permit(Work::Question)?;
    let answer = answer::ask(&server.app, pass, request, None).await?;
    count(server, &answer);
    Ok(answer)
}

fn count(server: &Server, answer: &Answer) {
    let retrieval: Duration = answer
        .timings
        .iter()
        .filter(|(stage, _)| RETRIEVAL.contains(stage))
        .map(|(_, time)| *time)
        .sum();
    server.metrics.search("hybrid", retrieval);
    server.metrics.answer(answer.refused);
}

fn streaming(
    server: Arc<Server>,
    pass: Pass,
    request: answer::AskRequest,
    permit: OwnedSemaphorePermit,
) -> Response {
    let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
    let closed = server.closed();
    let work = AbortOnDrop(tokio::spawn(async move {
        let _permit = permit;
        let answer = answer::ask(&server.app, &pass, &request, Some(&sender)).await?;
        count(&server, &answer);
        Ok(answer)
    }));
    let parts = ReceiverStream::new(receiver).map(|part| match part {
        AskEvent::Delta(text) => event("delta", &Delta { text }),
        AskEvent::Citation(citation) => event("citation", &Citation::from(citation)),
    });
    let events = parts.chain(stream::once(last_event(work))).take_until(closed);
    respond(events)
}

async fn last_event(mut work: AbortOnDrop<Result<Answer>>) -> Event {
    let answer = (&mut work.0)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the answering task panicked")));
    match answer {
        Ok(answer) => event("done", &AskResponse::from(answer)),
        Err(error) => event("error", &Problem::from(error)),
    }
}

/// Ends its task when it is dropped.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns an event with JSON data.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).expect("wire types always serialise")
}

/// Returns events as an answer; a comment every 15 s keeps proxies from closing a quiet stream.
pub(crate) fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    // Proxies that buffer would hold events back.
    let unbuffered = [("x-accel-buffering", "no")];
    (unbuffered, Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive)).into_response()
}
