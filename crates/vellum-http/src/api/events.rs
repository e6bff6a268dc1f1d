//! `/api/v1/collections/{name}/events`: object stores and event brokers tell what changed.

use crate::extract::{Caller, Path};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{self, EventsAccepted};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use vellum_core::access::{Pass, Verb};
use vellum_rag::events;

/// Takes S3 event notifications (as MinIO's webhook sends them) or CloudEvents that hold one; answers once the jobs
/// that look at the objects are stored. Events may be sent again: that is harmless.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/events", tag = "jobs", params(("name" = String, Path)),
    request_body(content = serde_json::Value, description = "S3 notification or CloudEvent", content_type = "application/json"),
    responses((status = 202, body = EventsAccepted), (status = "default", body = Problem))
)]
pub(crate) async fn accept(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<EventsAccepted>), Problem> {
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Write)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let touched = wire::touched(media_type, header("ce-type"), &body)?;
    let jobs = if touched.is_empty() {
        Vec::new()
    } else {
        events::notify(&server.app, &pass, &touched).await?
    };
    Ok((StatusCode::ACCEPTED, Json(EventsAccepted { jobs })))
}

/// Answers those who ask whether somebody is there before they send events, as MinIO does with HEAD.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/events", tag = "jobs", params(("name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem))
)]
pub(crate) async fn probe(
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    Pass::grant(&principal, &name.parse()?, Verb::Read)?;
    Ok(StatusCode::NO_CONTENT)
}
