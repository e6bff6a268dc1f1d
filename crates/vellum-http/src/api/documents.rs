//! `/api/v1/documents` and the documents of a collection; originals are in `content`.

use crate::extract::{Caller, Path, Query};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{Document, DocumentList, DocumentText};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::documents;

/// Most documents of one page.
const MAX_LIMIT: usize = 1000;

/// Which documents are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Uri after which the page begins: `next` of the page before.
    after: Option<String>,
    /// Documents of a page, 1 to 1000.
    #[serde(default = "default_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Lists the documents of a collection.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/documents", tag = "documents",
    params(("name" = String, Path), ListQuery),
    responses((status = 200, body = DocumentList), (status = "default", body = Problem))
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<DocumentList>, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Read)?;
    if !(1..=MAX_LIMIT).contains(&query.limit) {
        let message = format!("limit {} is not in 1 to {MAX_LIMIT}", query.limit);
        return Err(Error::new(ErrorKind::Invalid, message).into());
    }
    Ok(Json(page_of(&server, &pass, query.after.as_deref(), query.limit).await?))
}

/// Returns up to `limit` documents after a uri, and where the next page begins.
pub(crate) async fn page_of(
    server: &Server,
    pass: &Pass,
    after: Option<&str>,
    limit: usize,
) -> Result<DocumentList> {
    // One more tells whether there is a next page.
    let mut rows = documents::list(&server.app, pass, after, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.uri.clone());
    let documents = rows.into_iter().map(|row| Document::new(pass.collection(), row)).collect();
    Ok(DocumentList { documents, next })
}

/// Shows a document.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = Document), (status = "default", body = Problem))
)]
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Json<Document>, Problem> {
    let (pass, row) = documents::find(&server.app, &principal, id.parse()?).await?;
    Ok(Json(Document::new(pass.collection(), row)))
}

/// Returns the text of a document, whole: what citations count their characters in.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/text", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = DocumentText), (status = "default", body = Problem))
)]
pub(crate) async fn text(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Json<DocumentText>, Problem> {
    let (pass, row) = documents::find(&server.app, &principal, id.parse()?).await?;
    Ok(Json(documents::text(&server.app, &pass, &row).await?.into()))
}
