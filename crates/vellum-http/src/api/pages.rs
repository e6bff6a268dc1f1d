//! `/api/v1/documents/{id}/pages/{page}/image` and `/boxes`: what a page looks like, and where on it text stands.

use crate::extract::{Caller, Path, Query};
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::PageBoxes;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use vellum_core::ids::ContentHash;
use vellum_core::{Error, ErrorKind};
use vellum_rag::{documents, pictures};

/// How large a picture is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageQuery {
    /// Width in pixels.
    #[serde(default = "default_width")]
    #[param(default = 1000, minimum = 64, maximum = 2400)]
    width: u32,
}

fn default_width() -> u32 {
    1000
}

/// Draws a page of a PDF.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{page}/image", tag = "documents",
    params(("id" = String, Path), ("page" = u32, Path, description = "From 1"), ImageQuery),
    responses(
        (status = 200, description = "The page on white ground; its pixels are to `width` as points are to \
            `page_width` of a box", content_type = "image/png"),
        (status = 304, description = "The picture of `If-None-Match` is still right"),
        (status = 404, description = "There is no such page or picture", body = Problem),
        (status = 409, description = "The document changed since it was ingested", body = Problem),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn image(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path((id, page)): Path<(String, u32)>,
    Query(query): Query<ImageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (pass, row) = documents::find(&server.app, &principal, id.parse()?).await?;
    let content = row.content.as_ref().map_or("", ContentHash::as_str);
    let tag = format!("\"{content}-{page}-{}\"", query.width);
    // The address outlives the content, so a browser asks each time whether its copy is right.
    let kept =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let _permit = server.permit(Work::Original)?;
    let png = pictures::page(&server.app, &pass, &row, page, query.width).await?;
    Ok((kept, [(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// A range of characters of a document's text.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BoxesQuery {
    /// First character.
    start: usize,
    /// One past the last character.
    end: usize,
}

/// Tells where a range of characters stands on the pages.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/boxes", tag = "documents",
    params(("id" = String, Path), BoxesQuery),
    responses((status = 200, body = PageBoxes), (status = "default", body = Problem))
)]
pub(crate) async fn boxes(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(BoxesQuery { start, end }): Query<BoxesQuery>,
) -> Result<Json<PageBoxes>, Problem> {
    let (pass, row) = documents::find(&server.app, &principal, id.parse()?).await?;
    if start > end {
        let message = format!("start {start} is behind end {end}");
        return Err(Error::new(ErrorKind::Invalid, message).into());
    }
    let boxes = documents::boxes(&server.app, &pass, &row, start..end).await?;
    Ok(Json(PageBoxes { boxes: boxes.into_iter().map(Into::into).collect() }))
}
