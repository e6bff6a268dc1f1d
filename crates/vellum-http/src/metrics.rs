//! Every metric of the server, in one place.
//!
//! Names are `vellum_<noun>_<unit>`; the encoder adds `_total` to counters. Labels are bounded: routes come
//! from the route table, methods from a fixed list, statuses and modes from small sets. The registry
//! belongs to one server, so two servers in a process do not mix.

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;
use vellum_core::job::JobState;
use vellum_rag::jobs::Jobs;

/// Media type of the exposition.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds in seconds: from a cached page (1 ms) to the request limit (60 s).
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabels {
    mode: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Histograms<RouteLabels>,
    searches: Histograms<ModeLabels>,
    questions: Counter,
    refused: Counter,
    memory: Gauge,
    jobs: Family<StateLabels, Gauge>,
    documents: Family<OutcomeLabels, Counter>,
    bytes: Counter,
    chunks: Counter,
    reused: Counter,
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            searches: Family::new_with_constructor(histogram),
            questions: Counter::default(),
            refused: Counter::default(),
            memory: Gauge::default(),
            jobs: Family::default(),
            documents: Family::default(),
            bytes: Counter::default(),
            chunks: Counter::default(),
            reused: Counter::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("vellum_http_requests", "Requests answered", metrics.requests.clone());
        registry.register(
            "vellum_http_request_duration_seconds",
            "Time until the head of the answer",
            metrics.durations.clone(),
        );
        registry.register(
            "vellum_search_duration_seconds",
            "Time of the retrieval of searches and questions",
            metrics.searches.clone(),
        );
        registry.register("vellum_ask", "Questions answered or refused", metrics.questions.clone());
        registry.register(
            "vellum_ask_refused",
            "Questions that the documents do not answer",
            metrics.refused.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory of the process; 0 where it cannot be told",
            metrics.memory.clone(),
        );
        registry.register("vellum_jobs", "Active jobs", metrics.jobs.clone());
        registry.register(
            "vellum_ingest_documents",
            "Documents that came to an end",
            metrics.documents.clone(),
        );
        registry.register("vellum_ingest_bytes", "Bytes of those documents", metrics.bytes.clone());
        registry.register("vellum_ingest_chunks", "Chunks written", metrics.chunks.clone());
        registry.register(
            "vellum_embeddings_reused",
            "Vectors taken from the cache in place of being made",
            metrics.reused.clone(),
        );
        metrics
    }
}

impl Metrics {
    pub(crate) fn request(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = method_label(method);
        let labels = RequestLabels { route: route.to_owned(), method, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned(), method };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn search(&self, mode: &'static str, took: Duration) {
        self.searches.get_or_create(&ModeLabels { mode }).observe(took.as_secs_f64());
    }

    pub(crate) fn answer(&self, refused: bool) {
        self.questions.inc();
        if refused {
            self.refused.inc();
        }
    }

    /// Brings the metrics of ingestion in line with the counters that `jobs` keeps.
    fn ingestion(&self, jobs: &Jobs) {
        let active = jobs.states();
        for state in [JobState::Queued, JobState::Running, JobState::Waiting] {
            let n = active.get(&state).copied().unwrap_or(0);
            let labels = StateLabels { state: state.as_str() };
            self.jobs.get_or_create(&labels).set(i64::try_from(n).unwrap_or(i64::MAX));
        }
        let totals = jobs.totals.read();
        let to = |counter: &Counter, value: u64| {
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        for (outcome, n) in
            [("indexed", totals.indexed), ("rejected", totals.rejected), ("failed", totals.failed)]
        {
            to(&self.documents.get_or_create(&OutcomeLabels { outcome }), n);
        }
        to(&self.bytes, totals.bytes);
        to(&self.chunks, totals.chunks);
        to(&self.reused, totals.reused);
    }

    /// Returns the exposition of all metrics.
    pub(crate) fn text(&self, jobs: &Jobs) -> String {
        self.ingestion(jobs);
        self.memory.set(resident_bytes().unwrap_or(0));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

/// Returns the method, or `other` for the ones that clients invent.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Returns the resident memory of this process, where Linux tells it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_every_family() {
        let metrics = Metrics::default();
        let took = Duration::from_millis(3);
        metrics.request("/api/v1/ask", &Method::POST, StatusCode::OK, took);
        metrics.request("unmatched", &"BREW".parse().unwrap(), StatusCode::NOT_FOUND, took);
        metrics.search("hybrid", took);
        metrics.answer(true);
        let text = metrics.text(&Jobs::default());
        for line in [
            r#"vellum_http_requests_total{route="/api/v1/ask",method="POST",status="200"} 1"#,
            r#"vellum_http_requests_total{route="unmatched",method="other",status="404"} 1"#,
            r#"vellum_http_request_duration_seconds_bucket{le="0.005",route="/api/v1/ask",method="POST"} 1"#,
            r#"vellum_search_duration_seconds_count{mode="hybrid"} 1"#,
            "vellum_ask_refused_total 1",
            "process_resident_memory_bytes ",
            r#"vellum_jobs{state="running"} 0"#,
            r#"vellum_ingest_documents_total{outcome="indexed"} 0"#,
            "vellum_embeddings_reused_total 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
