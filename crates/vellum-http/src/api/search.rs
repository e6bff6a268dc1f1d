//! `POST /api/v1/search`.

use crate::extract::{Caller, Json};
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::{SearchRequest, SearchResponse};
use axum::extract::State;
use std::sync::Arc;
use std::time::Duration;
use vellum_core::access::{Pass, Verb};
use vellum_core::ports::WithVectors;
use vellum_rag::search::{self, Timings};

/// Finds the chunks that match best.
#[utoipa::path(
    post, path = "/api/v1/search", tag = "questions", request_body = SearchRequest,
    responses((status = 200, body = SearchResponse), (status = "default", body = Problem))
)]
pub(crate) async fn search(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Json(request): Json<SearchRequest>,
) -> Result<axum::Json<SearchResponse>, Problem> {
    let pass = Pass::grant(&principal, &request.collection, Verb::Read)?;
    let _permit = server.permit(Work::Question)?;
    let request: search::SearchRequest = request.try_into()?;
    let found = search::search(&server.app, &pass, &request, WithVectors::No).await?;
    server.metrics.search(request.mode.as_str(), total(&found.timings));
    Ok(axum::Json(found.into()))
}

/// Returns the time of all stages together.
fn total(timings: &Timings) -> Duration {
    timings.iter().map(|(_, time)| *time).sum()
}
