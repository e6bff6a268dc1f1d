//! Bounds and accidents: a full house is refused at once, a panic is a problem.

use crate::world::{Reply, app, loopback, send, state};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::ports::{Embedder, EmbedderInfo, TextKind};
use vellum_core::testing::{HashEmbedder, MemoryObjectStore};
use vellum_core::vector::Embedding;
use vellum_http::router;
use vellum_rag::app::App;
use vellum_rag::collections;

/// An embedder that never answers, or breaks when the question says so.
struct Stuck(HashEmbedder);

#[async_trait]
impl Embedder for Stuck {
    fn info(&self) -> &EmbedderInfo {
        self.0.info()
    }
    async fn embed(&self, texts: &[String], _: TextKind) -> Result<Vec<Embedding>> {
        assert!(texts[0] != "break", "a secret state");
        std::future::pending().await
    }
    fn n_tokens(&self, text: &str) -> usize {
        self.0.n_tokens(text)
    }
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn stuck() -> Router {
    let base = app(Arc::new(MemoryObjectStore::default()));
    let app = Arc::new(App { embedder: Arc::new(Stuck(HashEmbedder::new(24))), ..base });
    let name = "default".parse().unwrap();
    let pass = Pass::grant(&Principal::Owner, &name, Verb::Write).unwrap();
    collections::ensure(&app, &pass).await.unwrap();
    router(state(app, loopback()))
}

async fn search(router: &Router, query: &str) -> Reply {
    let headers = [("host", "localhost"), ("content-type", "application/json")];
    let body = Body::from(format!("{{\"query\": \"{query}\"}}"));
    send(router, "POST /api/v1/search", &headers, body).await
}

#[tokio::test]
async fn more_than_the_house_holds_is_refused_at_once() {
    let router = stuck().await;
    let waiting: Vec<_> = (0..32)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { search(&router, "x").await.status })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let refused = search(&router, "x").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "1"));
    // Whoever gives up makes room.
    for task in waiting {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(search(&router, "break").await.status, 500);
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    let reply = search(&stuck().await, "break").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (500, &"internal".into()));
    assert!(!reply.text.contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_a_problem() {
    let reply = search(&stuck().await, "x").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (504, &"timeout".into()));
}
