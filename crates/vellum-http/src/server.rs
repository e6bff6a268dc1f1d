//! What every handler shares, and the bounds on work in flight.

use crate::guard::Guard;
use crate::metrics::Metrics;
use axum::http::Uri;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::app::App;

/// Searches and questions in flight. A question costs about 50 ms of two cores, so the last of a full
/// house waits about a second; more are refused, because they would only wait longer.
pub(crate) const MAX_QUESTIONS: usize = 32;
/// Originals in flight. Each is held in memory until it is sent.
pub(crate) const MAX_ORIGINALS: usize = 4;
/// Comparisons of versions in flight. Each asks one question after the other.
pub(crate) const MAX_COMPARISONS: usize = 1;
/// Streams of job events; each holds a connection as long as the job runs.
pub(crate) const MAX_WATCHERS: usize = 64;

/// What the composition root gives.
#[derive(Clone)]
pub struct State {
    /// The product.
    pub app: Arc<App>,
    /// Who may call.
    pub guard: Guard,
    /// Path below which everything lives: empty, or like `/vellum`.
    pub base_path: String,
    /// Version of the binary.
    pub version: String,
}

/// The shared state of the routes.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) guard: Guard,
    pub(crate) base_path: String,
    pub(crate) version: String,
    pub(crate) metrics: Metrics,
    /// Turns true when the server shuts down, so that streams end.
    pub(crate) closing: watch::Receiver<bool>,
    questions: Arc<Semaphore>,
    originals: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    comparisons: Arc<Semaphore>,
}

/// What a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Question,
    Original,
    Watch,
    Compare,
}

impl Server {
    pub(crate) fn new(state: State, closing: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            app: state.app,
            guard: state.guard,
            base_path: normalised(&state.base_path),
            version: state.version,
            metrics: Metrics::default(),
            closing,
            questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
            originals: Arc::new(Semaphore::new(MAX_ORIGINALS)),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            comparisons: Arc::new(Semaphore::new(MAX_COMPARISONS)),
        })
    }

    /// Returns the right to do one piece of work; released when dropped.
    ///
    /// # Errors
    /// `Overloaded` at once when all are taken: waiting would only hide the load.
    pub(crate) fn permit(&self, work: Work) -> Result<OwnedSemaphorePermit> {
        let (semaphore, what) = match work {
            Work::Question => (&self.questions, "questions"),
            Work::Original => (&self.originals, "downloads"),
            Work::Watch => (&self.watchers, "job watchers"),
            Work::Compare => (&self.comparisons, "comparisons"),
        };
        semaphore.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorKind::Overloaded, format!("too many {what} at a time"))
                .with_hint("try again in a moment")
        })
    }

    /// Completes when the server shuts down; never for a router without a server.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.closing.clone();
        async move {
            if closing.wait_for(|closing| *closing).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Returns a base path that is empty or begins with one `/` and does not end with any.
fn normalised(base_path: &str) -> String {
    match base_path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Returns `uri` without the base path; as it is where a proxy has taken it off.
pub(crate) fn below(uri: &Uri, base_path: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix(base_path).filter(|rest| rest.starts_with('/'))?;
    let target = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_paths() {
        for (given, expected) in [("", ""), ("/", ""), ("vellum/", "/vellum"), ("/a/b", "/a/b")] {
            assert_eq!(normalised(given), expected);
        }
        let strip = |uri: &'static str| {
            below(&Uri::from_static(uri), "/vellum").map(|uri| uri.to_string()).unwrap_or_default()
        };
        assert_eq!(strip("/vellum/?q=1"), "/?q=1");
        assert_eq!(strip("/vellum/api/v1/jobs"), "/api/v1/jobs");
        assert_eq!(strip("/vellumx/api"), "");
        assert_eq!(strip("/api"), "");
    }
}
