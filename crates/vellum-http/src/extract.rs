//! Inputs of handlers; every refusal is a [`Problem`].
//!
//! [`Json`] wants `application/json`, reads at most [`BODY_LIMIT`] bytes and names the field that is
//! wrong. [`Query`] and [`Path`] do the same for the uri. [`Caller`] is who the guard found.

use crate::problem::{HttpOnly, Problem};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use vellum_core::access::Principal;
use vellum_core::{Error, ErrorKind};

/// Largest request body in bytes. A question has at most 16 KiB; the rest is room for filters.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

fn invalid(message: String) -> Problem {
    Error::new(ErrorKind::Invalid, message).into()
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = media_type(&request);
        if media_type.as_deref() != Some("application/json") {
            let shown = media_type.as_deref().unwrap_or("none");
            let detail = format!("the body's media type is `{shown}`");
            return Err(Problem::http_only(HttpOnly::UnsupportedMediaType, detail)
                .with_hint("send `Content-Type: application/json`"));
        }
        let bytes = read_body(request.into_body()).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| invalid(format!("the body is not what this route takes: {error}")))
    }
}

/// Returns the media type of the body, lowercase, without parameters.
fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a whole body within the limit.
async fn read_body(body: Body) -> Result<bytes::Bytes, Problem> {
    axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(it) = cause {
            if it.to_string().contains("length limit exceeded") {
                let detail = format!("the body has more than {BODY_LIMIT} bytes");
                return Problem::http_only(HttpOnly::TooLarge, detail);
            }
            cause = it.source();
        }
        invalid("the body broke off".to_owned())
    })
}

/// The query of the uri.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| invalid(format!("the query is not valid: {}", cause_of(&error))))
    }
}

/// The parameters in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|error| invalid(format!("the path is not valid: {}", error.body_text())))
    }
}

fn cause_of(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Who is calling, as the guard found.
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Absent only if a route were mounted outside the guard, and then nothing is proven.
        Ok(Self(parts.extensions.get().cloned().unwrap_or(Principal::Anonymous)))
    }
}
