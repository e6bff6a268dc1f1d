//! The reranker against a server that speaks TEI's wire format (router 1.9).

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use vellum_backends::TeiReranker;
use vellum_core::ErrorKind;
use vellum_core::ports::Reranker;
use vellum_core::testing::reranker::reranker_suite;

/// What the server answers to the n-th `/rerank`, from 0; `None` is a proper answer.
type Trouble = fn(n: usize, request: &Value) -> Option<(u16, Value)>;

struct Server {
    address: String,
    /// Bodies of `/rerank`, in order.
    asked: Arc<Mutex<Vec<Value>>>,
}

/// Share of the query's words in a text: what a model is to these tests.
fn score(query: &str, text: &str) -> f64 {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<HashSet<_>>();
    let asked = words(query);
    words(text).intersection(&asked).count() as f64 / asked.len().max(1) as f64
}

/// TEI sorts its answer by score, descending.
fn ranks(request: &Value) -> Value {
    let query = request["query"].as_str().unwrap();
    let texts = request["texts"].as_array().unwrap().iter().enumerate();
    let mut ranks: Vec<(usize, f64)> =
        texts.map(|(index, text)| (index, score(query, text.as_str().unwrap()))).collect();
    ranks.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranks.into_iter().map(|(index, score)| json!({ "index": index, "score": score })).collect()
}

async fn serve(trouble: Trouble) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/tei", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<Value>>>::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&log), trouble));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    Server { address, asked }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Value>>>,
    trouble: Trouble,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_known = request.headers().get("authorization").is_some_and(|key| key == "Bearer k");
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let (status, body) = match path.as_str() {
        _ if !is_known => (401, json!({ "error": "Unauthorized", "error_type": "Unauthorized" })),
        "/tei/info" => (200, json!({ "model_id": "m", "max_client_batch_size": 4 })),
        "/tei/rerank" => {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let n = log.lock().unwrap().len();
            log.lock().unwrap().push(request.clone());
            trouble(n, &request).unwrap_or_else(|| (200, ranks(&request)))
        }
        _ => (404, Value::Null),
    };
    // A bare NaN, which is no JSON, is what some servers write.
    let body = body.to_string().replace("\"NaN\"", "NaN");
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
}

fn reranker(server: &Server) -> TeiReranker {
    TeiReranker::new(&server.address, Some("k".to_owned())).unwrap()
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("text {n} of a pump")).collect()
}

#[tokio::test]
async fn a_tei_server_is_a_reranker() {
    let server = serve(|_, _| None).await;
    reranker_suite(&reranker(&server)).await;
}

#[tokio::test]
async fn batches_are_as_large_as_the_server_takes() {
    let server = serve(|_, _| None).await;
    let scores = reranker(&server).rerank("pump 7", &texts(10)).await.unwrap();
    let best = (0..10).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    assert_eq!((scores.len(), best), (10, Some(7)));
    let asked = server.asked.lock().unwrap();
    let sizes: Vec<usize> =
        asked.iter().map(|ask| ask["texts"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let rest = json!({ "raw_scores": false, "return_text": false, "truncate": true });
    for (key, value) in rest.as_object().unwrap() {
        assert_eq!(&asked[0][key], value, "{key}");
    }
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let server = serve(|n, _| {
        (n < 2)
            .then(|| (429, json!({ "error": "Model is overloaded", "error_type": "Overloaded" })))
    });
    let server = server.await;
    assert_eq!(reranker(&server).rerank("pump", &texts(2)).await.unwrap().len(), 2);
    assert_eq!(server.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_halved() {
    let server = serve(|_, request| {
        let n = request["texts"].as_array().unwrap().len();
        (n > 1).then(|| (413, Value::Null))
    });
    let server = server.await;
    assert_eq!(reranker(&server).rerank("pump", &texts(5)).await.unwrap().len(), 5);
}

#[tokio::test]
async fn wrong_answers_are_refused() {
    let cases: [(Trouble, &str); 8] = [
        (
            |_, _| {
                Some((
                    424,
                    json!({ "error": "Model is not a re-ranker model", "error_type": "Backend" }),
                ))
            },
            "Backend",
        ),
        (|_, _| Some((422, json!({ "error": "too many", "error_type": "Validation" }))), "422"),
        (|_, _| Some((413, Value::Null)), "413"),
        (|_, _| Some((200, json!([{ "index": 0, "score": 0.5 }]))), "once each"),
        (
            |_, _| Some((200, json!([{ "index": 0, "score": 0.5 }, { "index": 0, "score": 0.5 }]))),
            "once each",
        ),
        (
            |_, _| Some((200, json!([{ "index": 0, "score": 0.5 }, { "index": 2, "score": 0.5 }]))),
            "once each",
        ),
        (
            |_, _| {
                Some((200, json!([{ "index": 0, "score": "NaN" }, { "index": 1, "score": 0.5 }])))
            },
            "no JSON",
        ),
        (
            |_, _| {
                Some((200, json!([{ "index": 0, "score": 1e300 }, { "index": 1, "score": 0.5 }])))
            },
            "a score of inf",
        ),
    ];
    for (trouble, part) in cases {
        let server = serve(trouble).await;
        let error = reranker(&server).rerank("pump", &texts(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{part}");
        assert!(error.message().contains(part), "{part}: {error}");
        assert!(error.hint().is_some() || part == "no JSON", "{part}");
    }
    let server = serve(|_, _| None).await;
    let stranger = TeiReranker::new(&server.address, None).unwrap();
    let error = stranger.check().await.unwrap_err();
    assert!(error.hint().unwrap().contains("TEI_API_KEY"), "{error}");
}

#[tokio::test]
async fn a_dead_server_is_given_up_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = TeiReranker::new(&address, None).unwrap().rerank("q", &texts(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // The deadline, and not how long a busy machine took to notice it.
    assert!(error.message().contains("no success in 2 s"), "{error}");
}
