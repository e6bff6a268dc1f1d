//! Errors as problem+json (RFC 9457).
//!
//! [`vellum_core::Error`] is mapped by the core's code table; the few answers that only HTTP knows (method,
//! media type, size, a gone original) are in the table [`HttpOnly`]. The type of every problem is a
//! relative reference that ends with its stable code.
//!
//! Invariants: an error is logged here, once, and only when someone must act on it (5xx); causes go to the
//! log and never to the client; the message of a broken invariant is not shown at all.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use vellum_core::{Error, ErrorKind, Retry};

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Wait that is named for a full queue: about the time of one question.
const RETRY_OVERLOADED: Duration = Duration::from_secs(1);
/// Wait that is named for a dependency that does not answer: the order of a restart.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(5);

/// What went wrong, for programs and for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Relative reference that ends with the code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What kind of problem it is.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened to which object.
    pub detail: String,
    /// Stable machine-readable code.
    pub code: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds to wait, sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// Answers that have no counterpart in the core's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpOnly {
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The original was there once.
    Gone,
    /// The body is over the limit.
    TooLarge,
    /// The body is not JSON by its header.
    UnsupportedMediaType,
}

impl HttpOnly {
    const fn row(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::MethodNotAllowed => {
                ("method_not_allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Gone => ("gone", "The original is gone", StatusCode::GONE),
            Self::TooLarge => ("too_large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                "The media type is not supported",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
        }
    }
}

impl Problem {
    pub(crate) fn http_only(which: HttpOnly, detail: impl Into<String>) -> Self {
        let (code, title, status) = which.row();
        Self::of(code, title, status.as_u16(), detail.into())
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn of(code: &str, title: &str, status: u16, detail: String) -> Self {
        Self {
            type_uri: format!("/problems/{code}"),
            title: title.to_owned(),
            status,
            detail,
            code: code.to_owned(),
            hint: None,
            retry_after: None,
        }
    }

    /// Returns the error that the problem was made of, as well as it can be told; for clients.
    pub fn into_error(self) -> Error {
        let by_status = || match self.status {
            404 | 410 => ErrorKind::NotFound,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let kind = ErrorKind::from_code(&self.code).unwrap_or_else(by_status);
        let error = Error::new(kind, self.detail);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        if kind.http_status() >= 500 {
            tracing::error!(code = kind.code(), error = error.full_message(), "request failed");
        }
        let detail = match kind {
            ErrorKind::Internal => "the server made a mistake; its log says more".to_owned(),
            _ => error.message().to_owned(),
        };
        let wait = match (error.retry(), kind) {
            (Retry::After(wait), _) => Some(wait),
            (_, ErrorKind::Overloaded) => Some(RETRY_OVERLOADED),
            (_, ErrorKind::Unavailable) => Some(RETRY_UNAVAILABLE),
            _ => None,
        };
        let retry_after = wait.map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64);
        let hint = error.hint().map(str::to_owned);
        Self {
            hint,
            retry_after,
            ..Self::of(kind.code(), kind.title(), kind.http_status(), detail)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // 499 and the like are in the table, so every status is in range; 500 for a foreign problem.
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a struct of strings always serialises");
        let mut response =
            (status, [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], body)
                .into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"vellum\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error) -> String {
        let response = Problem::from(error).into_response();
        let retry = response.headers().get(header::RETRY_AFTER);
        format!("{} {:?}", response.status().as_u16(), retry.map(|it| it.to_str().unwrap()))
    }

    #[test]
    fn every_kind_has_a_status_and_some_a_wait() {
        for kind in ErrorKind::ALL {
            let problem = Problem::from(Error::new(kind, "m"));
            assert_eq!(problem.clone().into_error().kind(), kind);
            assert_eq!(problem.into_response().status().as_u16(), kind.http_status());
        }
        let overloaded = || Error::new(ErrorKind::Overloaded, "full");
        assert_eq!(check(overloaded()), "429 Some(\"1\")");
        let wait = Retry::After(Duration::from_millis(2500));
        assert_eq!(check(overloaded().with_retry(wait)), "429 Some(\"3\")");
        assert_eq!(check(Error::new(ErrorKind::Unavailable, "m")), "503 Some(\"5\")");
        assert_eq!(check(Error::new(ErrorKind::Invalid, "m")), "400 None");
    }

    #[test]
    fn causes_and_broken_invariants_stay_in_the_log() {
        let cause = std::io::Error::other("password=hunter2");
        let io = Problem::from(Error::io("read `a.txt`", cause));
        assert_eq!(io.detail, "read `a.txt`");
        let bug = Problem::from(Error::new(ErrorKind::Internal, "secret state"));
        assert!(!bug.detail.contains("secret"));
    }
}
