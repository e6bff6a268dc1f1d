//! `/api/v1/collections/{name}/versions`, `.../promote` and `.../rollback`.

use crate::api::jobs::accepted;
use crate::extract::{Caller, Json, Path};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{BuildRequest, Job, PromoteReport, PromoteRequest, VersionInfo, VersionList};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_rag::versions;

fn pass(principal: &Principal, name: &str, verb: Verb) -> Result<Pass> {
    Pass::grant(principal, &name.parse()?, verb)
}

/// Lists the index versions of a collection.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/versions", tag = "versions",
    params(("name" = String, Path)),
    responses((status = 200, body = VersionList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<VersionList>, Problem> {
    let pass = pass(&principal, &name, Verb::Read)?;
    let versions = versions::list(&server.app, &pass).await?;
    Ok(axum::Json(VersionList { versions: versions.into_iter().map(Into::into).collect() }))
}

/// Starts building an index version beside the live one, from what the live one knows; the job's source is `index:VERSION`.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/versions", tag = "versions", params(("name" = String, Path)),
    request_body = BuildRequest,
    responses(
        (status = 202, body = Job, headers(("Location" = String, description = "The job"))),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn build(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Json(request): Json<BuildRequest>,
) -> Result<Response, Problem> {
    let pass = pass(&principal, &name, Verb::Write)?;
    let (id, progress) =
        versions::start(&server.app, &pass, request.version.as_deref(), &request.change()).await?;
    let live = progress.borrow().clone();
    Ok(accepted(&server, id, live))
}

/// Deletes an index version that is not live.
#[utoipa::path(
    delete, path = "/api/v1/collections/{name}/versions/{version}", tag = "versions",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 204), (status = "default", body = Problem))
)]
pub(crate) async fn remove(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let pass = pass(&principal, &name, Verb::Write)?;
    versions::delete(&server.app, &pass, &version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a complete version the live one; 409 when it is not complete, behind, or lacks documents. That it was measured worse
/// is a warning.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/promote", tag = "versions", params(("name" = String, Path)),
    request_body = PromoteRequest,
    responses((status = 200, body = PromoteReport), (status = "default", body = Problem))
)]
pub(crate) async fn promote(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Json(request): Json<PromoteRequest>,
) -> Result<axum::Json<PromoteReport>, Problem> {
    let pass = pass(&principal, &name, Verb::Write)?;
    let live = versions::promote(&server.app, &pass, &request.version, request.missing()).await?;
    Ok(axum::Json(live.into()))
}

/// Makes the version live that was so before the live one; `behind` tells what it lacks.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/rollback", tag = "versions", params(("name" = String, Path)),
    responses((status = 200, body = VersionInfo), (status = "default", body = Problem))
)]
pub(crate) async fn roll_back(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<VersionInfo>, Problem> {
    let pass = pass(&principal, &name, Verb::Write)?;
    Ok(axum::Json(versions::roll_back(&server.app, &pass).await?.into()))
}
