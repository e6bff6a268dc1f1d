//! The layers around every route: headers, metrics, span, panics, the guard's decision, the time limit.
//!
//! Order, from outside: [`observe`] sees every answer -> [`gate`] lets nothing through that the
//! [`Guard`](crate::guard::Guard) refuses, except the login, which proves the token itself -> [`limit_time`].
//! A refused browser gets a page that asks for the token, anything else a problem.

use crate::console::login;
use crate::problem::Problem;
use crate::server::Server;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;
use vellum_core::access::Principal;
use vellum_core::{Error, ErrorKind};

/// Time until the head of an answer; streams go on after it. The slowest work is the digest of a large
/// collection.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Policy of our own pages: nothing from elsewhere, nothing inline, no frames.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the security headers that a handler has not set itself.
fn secure(headers: &mut HeaderMap) {
    let defaults: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // Documents are private, and what a question found is out of date at once.
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Counts, times and names the request, turns a panic into a problem and secures the answer.
pub(crate) async fn observe(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", %method, route);
    let answer = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_| {
        let _entered = span.enter();
        Problem::from(Error::new(ErrorKind::Internal, "a handler panicked")).into_response()
    });
    secure(response.headers_mut());
    let took = started.elapsed();
    server.metrics.request(&route, &method, response.status(), took);
    let (status, elapsed_ms) = (response.status().as_u16(), took.as_millis() as u64);
    span.in_scope(|| tracing::debug!(status, elapsed_ms, "answered"));
    response
}

/// Lets a request through, with its principal, if the guard admits it.
pub(crate) async fn gate(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match login::attempt(&server, &parts) {
        login::Attempt::Answered(response) => return response,
        login::Attempt::Posted => {
            return next.run(Request::from_parts(parts, body)).await;
        }
        login::Attempt::No => {}
    }
    if let Err(error) = server.guard.admit(&parts) {
        let by_browser = parts.method == Method::GET && wants_page(&parts.headers);
        let is_page = by_browser && !parts.uri.path().starts_with("/api/");
        return match error.kind() {
            ErrorKind::Unauthenticated if is_page => login::page(parts.uri.path(), None),
            _ => Problem::from(error).into_response(),
        };
    }
    parts.extensions.insert(Principal::Owner);
    next.run(Request::from_parts(parts, body)).await
}

/// Answers with a problem when the head of the answer takes too long.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    if path.is_some_and(|path| crate::router::UNTIMED.contains(&path.as_str())) {
        return next.run(request).await;
    }
    tokio::time::timeout(TIME_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!("the request took more than {} s", TIME_LIMIT.as_secs());
        Problem::from(Error::new(ErrorKind::Timeout, message)).into_response()
    })
}

/// Returns whether the client would rather show a page than read JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Returns whether the client names this media type in `Accept`.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().unwrap_or_default().trim() == media_type)
}
