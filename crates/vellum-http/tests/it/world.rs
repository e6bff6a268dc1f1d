//! A server over in-memory peers, with a few documents, and a client that needs no socket.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::testing::{
    HashEmbedder, ManualClock, MemoryMetastore, MemoryObjectStore, MemoryVectorStore,
    PlainConverter,
};
use vellum_http::{Guard, Secret, State, router};
use vellum_rag::app::{App, Settings};
use vellum_rag::jobs::{self, Jobs};
use vellum_rag::pictures::Pictures;

pub(crate) const TOKEN: &str = "t0ken";
pub(crate) const LEAVE: &str = "Employees receive thirty days of paid leave per year.";
pub(crate) const HOSTILE: &str =
    "<script>alert('owned')</script> & \"quotes\" about volcanoes erupting.";

pub(crate) struct World {
    pub(crate) objects: Arc<MemoryObjectStore>,
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Returns an app over fresh peers.
pub(crate) fn app(objects: Arc<MemoryObjectStore>) -> App {
    App {
        objects,
        converter: Arc::new(PlainConverter),
        embedder: Arc::new(HashEmbedder::new(24)),
        earlier_embedders: Vec::new(),
        kept: Arc::<vellum_core::testing::MemoryKeptOriginals>::default(),
        shelf: Arc::<vellum_core::testing::MemoryShelf>::default(),
        vectors: Arc::new(MemoryVectorStore::default()),
        metastore: Arc::new(MemoryMetastore::default()),
        reranker: None,
        converted: None,
        embeddings: None,
        worker: "test".to_owned(),
        clock: Arc::new(ManualClock::default()),
        settings: Settings::default(),
        jobs: Jobs::default(),
        pictures: Pictures::default(),
    }
}

pub(crate) fn pass(collection: &str) -> Pass {
    Pass::grant(&Principal::Owner, &collection.parse().unwrap(), Verb::Write).unwrap()
}

pub(crate) fn state(app: Arc<App>, guard: Guard) -> State {
    State { app, guard, base_path: String::new(), version: "0.0.0-test".to_owned() }
}

pub(crate) fn loopback() -> Guard {
    Guard::loopback(Some(Secret::new(TOKEN)))
}

impl World {
    /// Returns a server on loopback without documents.
    pub(crate) fn empty() -> Self {
        let objects = Arc::new(MemoryObjectStore::default());
        let app = Arc::new(app(objects.clone()));
        let router = router(state(app.clone(), loopback()));
        Self { objects, app, router }
    }

    /// Returns a server on loopback whose collection `default` holds five documents.
    pub(crate) async fn filled() -> Self {
        let world = Self::empty();
        let pages: Vec<String> = (1..=3)
            .map(|page| format!("Page {page} speaks of subject number {page}. It ends here."))
            .collect();
        let long: Vec<String> =
            (0..80).map(|n| format!("Sätze number {n} tell of many long things.")).collect();
        world.objects.put("mem:///docs/handbook.txt", format!("{LEAVE} Lunch is at noon."));
        world.objects.put("mem:///docs/pages.txt", pages.join("\u{c}"));
        world.objects.put("mem:///docs/long%20one.txt", long.join(" "));
        world.objects.put("mem:///docs/evil%3Cb%3E.txt", HOSTILE);
        world.objects.put("mem:///docs/blank.txt", "  ");
        world.ingest("default", "docs").await;
        world
    }

    pub(crate) async fn ingest(&self, collection: &str, source: &str) {
        let pass = pass(collection);
        let (_, mut progress) =
            jobs::start(&self.app, &pass, &jobs::Request::of(source)).await.unwrap();
        let ended = progress.wait_for(|progress| progress.job.state.is_final()).await.unwrap();
        assert_eq!(ended.job.error, None);
    }

    /// Sends `METHOD /path`, with the token and a JSON body if there is one.
    pub(crate) async fn call(&self, request: &str, body: Option<Value>) -> Reply {
        let mut headers = vec![("host", "localhost:7117"), ("authorization", "Bearer t0ken")];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        send(&self.router, request, &headers, body).await
    }

    /// Returns the bytes at `path`.
    pub(crate) async fn download(&self, path: &str) -> Vec<u8> {
        let request = Request::get(path)
            .header("host", "localhost:7117")
            .header("authorization", "Bearer t0ken")
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    /// Opens `path` as a browser does.
    pub(crate) async fn open(&self, path: &str) -> Reply {
        let headers = [
            ("host", "localhost:7117"),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("sec-fetch-site", "none"),
        ];
        send(&self.router, &format!("GET {path}"), &headers, Body::empty()).await
    }

    /// Returns the id of the document with this uri.
    pub(crate) async fn id_of(&self, uri: &str) -> String {
        let list = self.call("GET /api/v1/collections/default/documents", None).await.json();
        let documents = list["documents"].as_array().unwrap();
        let found = documents.iter().find(|it| it["uri"] == uri).unwrap();
        found["id"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn send(
    router: &Router,
    request: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Reply {
    let (method, uri) = request.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let response = router.clone().oneshot(builder.body(body).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{request} has no policy");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}
