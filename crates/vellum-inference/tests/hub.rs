//! Downloads from a hub that this test plays, on a local port.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use vellum_core::ErrorKind;
use vellum_core::ports::Embedder;
use vellum_inference::hub::{self, HubModel};
use vellum_inference::{LocalEmbedder, Options};

const PREFIX: &str = "/acme/minilm/resolve/main/";
const OPTIONS: Options = Options { workers: 1, max_calls: 1, max_texts: 1 };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("model/all-MiniLM-L6-v2")
}

/// Serves the bundled model as `acme/minilm`; returns the endpoint and the count of requests.
async fn hub() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream));
        }
    });
    (endpoint, requests)
}

async fn answer(mut stream: TcpStream) {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let request = lines.next_line().await.unwrap().unwrap();
    while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap();
    let (status, body) = match path.strip_prefix(PREFIX).map(|name| folder().join(name)) {
        Some(file) if file.is_file() => ("200 OK", std::fs::read(file).unwrap()),
        _ if path.starts_with("/gated/") => ("401 Unauthorized", Vec::new()),
        _ => ("404 Not Found", Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    write.write_all(head.as_bytes()).await.unwrap();
    // The client may leave early.
    let _ = write.write_all(&body).await;
}

fn model(endpoint: &str, id: &str, sha256: &str) -> HubModel {
    HubModel {
        endpoint: endpoint.into(),
        id: id.into(),
        revision: "main".into(),
        sha256: sha256.into(),
    }
}

fn digest() -> String {
    LocalEmbedder::bundled(OPTIONS).unwrap().info().digest.clone()
}

#[tokio::test]
async fn a_pinned_model_is_downloaded_once() {
    let (endpoint, requests) = hub().await;
    let cache = tempfile::tempdir().unwrap();
    let model = model(&endpoint, "acme/minilm", &digest());
    let bytes = AtomicUsize::new(0);
    let progress = |p: hub::Progress<'_>| {
        if p.file == "model.onnx" {
            assert!(p.done <= p.total.unwrap());
            bytes.store(p.done as usize, Ordering::SeqCst);
        }
    };
    let dir = hub::download(&model, cache.path(), &progress).await.unwrap();
    assert_eq!(bytes.into_inner() as u64, dir.join("model.onnx").metadata().unwrap().len());
    assert_eq!(LocalEmbedder::from_dir(&dir, OPTIONS).unwrap().info().digest, model.sha256);

    let before = requests.load(Ordering::SeqCst);
    let again = hub::download(&model, cache.path(), &|_| {}).await.unwrap();
    assert_eq!((again, requests.load(Ordering::SeqCst)), (dir, before));
}

#[tokio::test]
async fn failures_leave_nothing_and_say_what_to_do() {
    let (endpoint, _) = hub().await;
    let cache = tempfile::tempdir().unwrap();
    let pin = "0".repeat(64);
    for (endpoint, id, kind, hint) in [
        (endpoint.as_str(), "acme/minilm", ErrorKind::Corrupt, digest()),
        (endpoint.as_str(), "acme/other", ErrorKind::NotFound, "ONNX".into()),
        (endpoint.as_str(), "gated/model", ErrorKind::Forbidden, "login".into()),
        ("http://127.0.0.1:9", "acme/minilm", ErrorKind::Unavailable, "`embedder.model`".into()),
    ] {
        let model = model(endpoint, id, &pin);
        let error = hub::download(&model, cache.path(), &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.hint().unwrap().contains(&hint), "{error:?}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
