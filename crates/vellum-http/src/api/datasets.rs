//! `/api/v1/collections/{name}/datasets`: questions with the documents that answer them.

use crate::extract::{Caller, Json, Path};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{DatasetAdded, DatasetList, DatasetRequest};
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use vellum_core::access::{Pass, Verb};
use vellum_rag::datasets;

/// Lists the datasets that versions of a collection are measured on.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/datasets", tag = "versions",
    params(("name" = String, Path)),
    responses((status = 200, body = DatasetList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<DatasetList>, Problem> {
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Read)?;
    let list = datasets::list(&server.app, &pass).await?;
    Ok(axum::Json(DatasetList { datasets: list.into_iter().map(Into::into).collect() }))
}

/// Keeps a dataset in a folder of the server for a collection. A judged document that the collection does not have is an
/// error, unless that is accepted.
#[utoipa::path(
    post, path = "/api/v1/collections/{name}/datasets", tag = "versions",
    params(("name" = String, Path)), request_body = DatasetRequest,
    responses((status = 201, body = DatasetAdded), (status = "default", body = Problem))
)]
pub(crate) async fn add(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Json(request): Json<DatasetRequest>,
) -> Result<(StatusCode, axum::Json<DatasetAdded>), Problem> {
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Write)?;
    let absent = request.absent();
    let dir = std::path::Path::new(&request.dir);
    let added = datasets::add(&server.app, &pass, dir, request.name.clone(), absent).await?;
    Ok((StatusCode::CREATED, axum::Json(added.into())))
}

/// Removes a dataset, and what versions were worth on it.
#[utoipa::path(
    delete, path = "/api/v1/collections/{name}/datasets/{dataset}", tag = "versions",
    params(("name" = String, Path), ("dataset" = String, Path)),
    responses((status = 204), (status = "default", body = Problem))
)]
pub(crate) async fn remove(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path((name, dataset)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let pass = Pass::grant(&principal, &name.parse()?, Verb::Write)?;
    datasets::remove(&server.app, &pass, &dataset.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
