//! `/api/v1/collections`.

use crate::extract::{Caller, Json as Body, Path};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{
    CollectionChange, CollectionInfo, CollectionList, CollectionRequest, CollectionShow,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::CollectionName;
use vellum_rag::{collections, documents};

/// Lists the collections.
#[utoipa::path(
    get, path = "/api/v1/collections", tag = "collections",
    responses((status = 200, body = CollectionList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
) -> Result<Json<CollectionList>, Problem> {
    let summaries = documents::collections(&server.app, &principal).await?;
    let collections = summaries.into_iter().map(CollectionInfo::from).collect();
    Ok(Json(CollectionList { collections }))
}

/// Shows a collection with the digest of its content; reads every chunk.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}", tag = "collections",
    params(("name" = String, Path)),
    responses((status = 200, body = CollectionShow), (status = "default", body = Problem))
)]
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<CollectionShow>, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Read)?;
    let summary = collections::summary(&server.app, &pass).await?;
    let digest = collections::digest(&server.app, &pass).await?;
    Ok(Json(CollectionShow::new(summary, digest)))
}

/// Changes how a collection is searched; shows it as [`show`] does.
#[utoipa::path(
    patch, path = "/api/v1/collections/{name}", tag = "collections",
    params(("name" = String, Path)), request_body = CollectionChange,
    responses((status = 200, body = CollectionShow), (status = "default", body = Problem))
)]
pub(crate) async fn change(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Body(change): Body<CollectionChange>,
) -> Result<Json<CollectionShow>, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Write)?;
    collections::tune(&server.app, &pass, &change.into()).await?;
    let summary = collections::summary(&server.app, &pass).await?;
    let digest = collections::digest(&server.app, &pass).await?;
    Ok(Json(CollectionShow::new(summary, digest)))
}

/// Makes an empty collection with the server's settings.
#[utoipa::path(
    post, path = "/api/v1/collections", tag = "collections", request_body = CollectionRequest,
    responses((status = 201, body = CollectionInfo), (status = "default", body = Problem))
)]
pub(crate) async fn create(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Body(request): Body<CollectionRequest>,
) -> Result<(StatusCode, Json<CollectionInfo>), Problem> {
    let pass = Pass::grant(&principal, &request.name, Verb::Write)?;
    let made = collections::create(&server.app, &pass).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Deletes a collection with everything in it.
#[utoipa::path(
    delete, path = "/api/v1/collections/{name}", tag = "collections",
    params(("name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem))
)]
pub(crate) async fn remove(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Write)?;
    collections::delete(&server.app, &pass).await?;
    Ok(StatusCode::NO_CONTENT)
}
