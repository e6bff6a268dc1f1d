//! `GET /api/v1/documents/{id}/content`: the original file.
//!
//! Originals are untrusted. They are served with the media type of the format that was recognised, never
//! sniffed, and under a policy that gives them an origin of their own where no script runs. PDF viewers
//! of browsers do not start in such a sandbox; a PDF gets the same policy without it, and runs nothing in
//! our origin, because a viewer has its own.
//!
//! A gone original is 410 and a changed one 409: citations would point to other text.

use crate::extract::{Caller, Path};
use crate::problem::{HttpOnly, Problem};
use crate::server::{Server, Work};
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use vellum_core::ErrorKind;
use vellum_core::document::Format;
use vellum_core::ports::Content;
use vellum_rag::documents;

const SANDBOX: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";
const VIEWER: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; \
    img-src 'self' data:; frame-ancestors 'none'";
/// What a `filename*` may hold unescaped: `attr-char` of RFC 8187.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');
/// Bytes handed to the connection at a time.
const FRAME: usize = 64 << 10;

/// Sends the original of a document as it was when it was ingested.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/content", tag = "documents", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 409, description = "It changed since it was ingested", body = Problem),
        (status = 410, description = "It is gone from its source", body = Problem),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn original(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (pass, row) = documents::find(&server.app, &principal, id.parse()?).await?;
    let permit = server.permit(Work::Original)?;
    let (meta, content) = documents::original(&server.app, &pass, &row).await.map_err(|error| {
        if error.kind() != ErrorKind::NotFound {
            return error.into();
        }
        let gone = Problem::http_only(HttpOnly::Gone, error.message());
        match error.hint() {
            Some(hint) => gone.with_hint(hint),
            None => gone,
        }
    })?;
    let media_type = row.format.map_or("application/octet-stream", Format::media_type);
    let policy = if row.format == Some(Format::Pdf) { VIEWER } else { SANDBOX };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_LENGTH, content.len().to_string()),
        (header::CONTENT_DISPOSITION, disposition(&meta.name)),
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, body(content, permit)).into_response())
}

/// Returns a header value that a client cannot misread: the name is ASCII, escaped, without quotes.
fn disposition(name: &str) -> String {
    format!("inline; filename*=UTF-8''{}", utf8_percent_encode(name, ATTR_CHAR))
}

/// Returns the content as a body that holds the permit until it is sent or dropped.
fn body(content: Content, permit: OwnedSemaphorePermit) -> Body {
    let frames = stream::unfold((content, 0, permit), |(content, at, permit)| async move {
        if at >= content.len() {
            return None;
        }
        let frame = match &content {
            Content::Memory(_) => content.read_at(at, FRAME),
            Content::Spooled { .. } => {
                let content = content.clone();
                let read = tokio::task::spawn_blocking(move || content.read_at(at, FRAME));
                read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
            }
        };
        let n = frame.as_ref().map_or(u64::MAX, |frame| frame.len() as u64);
        Some((frame, (content, at.saturating_add(n), permit)))
    });
    Body::from_stream(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_the_header() {
        for (name, encoded) in [
            ("a.pdf", "a.pdf"),
            ("jährlich 日.pdf", "j%C3%A4hrlich%20%E6%97%A5.pdf"),
            (
                "a\"; filename=b\r\nSet-Cookie: x=1",
                "a%22%3B%20filename%3Db%0D%0ASet-Cookie%3A%20x%3D1",
            ),
            ("it's 100%.txt", "it%27s%20100%25.txt"),
        ] {
            assert_eq!(disposition(name), format!("inline; filename*=UTF-8''{encoded}"));
        }
    }
}
