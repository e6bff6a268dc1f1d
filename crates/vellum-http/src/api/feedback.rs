//! `POST /api/v1/feedback` and the feedback of a collection.

use crate::extract::{Caller, Json, Path, Query};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{FeedbackList, FeedbackRequest, FeedbackStored};
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::FeedbackId;
use vellum_core::{Error, ErrorKind};
use vellum_rag::feedback;

/// Most opinions of one page.
const MAX_LIMIT: usize = 1000;

/// Stores what somebody thinks of an answer. The same again changes nothing; another verdict on the same answer replaces
/// the first.
#[utoipa::path(
    post, path = "/api/v1/feedback", tag = "questions", request_body = FeedbackRequest,
    responses((status = 200, body = FeedbackStored), (status = "default", body = Problem))
)]
pub(crate) async fn give(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Json(request): Json<FeedbackRequest>,
) -> Result<axum::Json<FeedbackStored>, Problem> {
    // Whoever may read answers may judge them.
    let pass = Pass::grant(&principal, &request.collection, Verb::Read)?;
    let id = feedback::give(&server.app, &pass, request.into()).await?;
    Ok(axum::Json(FeedbackStored { id }))
}

/// Which feedback is listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Id after which the page begins: `next` of the page before.
    after: Option<String>,
    /// Opinions of a page, 1 to 1000.
    #[serde(default = "default_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Lists what people thought of answers.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/feedback", tag = "questions",
    params(("name" = String, Path), ListQuery),
    responses((status = 200, body = FeedbackList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<FeedbackList>, Problem> {
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Read)?;
    if !(1..=MAX_LIMIT).contains(&query.limit) {
        let message = format!("limit {} is not in 1 to {MAX_LIMIT}", query.limit);
        return Err(Error::new(ErrorKind::Invalid, message).into());
    }
    let after: Option<FeedbackId> = query.after.as_deref().map(str::parse).transpose()?;
    // One more tells whether there is a next page.
    let mut found = feedback::list(&server.app, &pass, after, query.limit + 1).await?;
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let next = found.last().filter(|_| more).map(|one| one.id);
    Ok(axum::Json(FeedbackList { feedback: found.into_iter().map(Into::into).collect(), next }))
}
