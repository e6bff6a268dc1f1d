//! Whether the server lives, whether it can work, and its metrics.

use crate::metrics;
use crate::server::Server;
use crate::wire::{Check, Readiness};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use vellum_rag::documents::{self, Checked};

/// A check that takes longer fails; probes give up at about this time.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`: every port that is needed could serve now. A reranker that fails is told and takes no traffic away: search goes
/// on without it.
///
/// Without a token this tells the names of the ports and whether they work; why they do not may hold
/// names of hosts and paths, so it goes to the log.
pub(crate) async fn ready(State(server): State<Arc<Server>>) -> Response {
    let checks = match tokio::time::timeout(CHECK_LIMIT, documents::checks(&server.app)).await {
        Ok(checks) => checks.into_iter().map(check).collect(),
        Err(_) => vec![Check {
            name: "time".to_owned(),
            ok: false,
            degrades: false,
            reason: Some(format!("the checks took more than {} s", CHECK_LIMIT.as_secs())),
            hint: None,
        }],
    };
    let ready = checks.iter().all(|check: &Check| check.ok || check.degrades);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks })).into_response()
}

fn check(checked: Checked) -> Check {
    let Checked { name, result, is_needed } = checked;
    let passed =
        Check { name: name.to_owned(), ok: true, degrades: false, reason: None, hint: None };
    let Err(error) = result else { return passed };
    tracing::warn!(port = name, error = error.full_message(), "not ready");
    Check {
        ok: false,
        degrades: !is_needed,
        reason: Some(error.kind().title().to_owned()),
        hint: Some("the server's log says more".to_owned()),
        ..passed
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(server): State<Arc<Server>>) -> Response {
    ([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], server.metrics.text(&server.app.jobs))
        .into_response()
}
