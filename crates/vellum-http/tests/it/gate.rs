//! Who may call: every route against a server that needs the token, and the ways to prove it.

use crate::spy::Spy;
use crate::world::{Reply, TOKEN, app, loopback, send, state};
use axum::Router;
use axum::body::Body;
use serde_json::json;
use std::sync::Arc;
use vellum_core::testing::WordReranker;
use vellum_http::{Guard, Secret, router, routes};

const ID: &str = "00000000-0000-0000-0000-000000000000";

fn network() -> Guard {
    Guard::network(Secret::new(TOKEN)).unwrap()
}

/// Returns the routes with their parameters filled in.
fn requests() -> Vec<String> {
    let fill = |path: &str| path.replace("{name}", "default").replace("{id}", ID);
    routes().into_iter().map(|(method, path)| format!("{method} {}", fill(path))).collect()
}

fn body_for(request: &str) -> Body {
    match request.split_once(' ').unwrap().1 {
        "/api/v1/search" => Body::from(r#"{"query": "x"}"#),
        "/api/v1/ask" => Body::from(r#"{"question": "x"}"#),
        "/api/v1/feedback" => Body::from(r#"{"question": "x", "verdict": "up"}"#),
        "/api/v1/collections/default/jobs" => Body::from(r#"{"source": "x"}"#),
        _ => Body::empty(),
    }
}

async fn call(router: &Router, request: &str, extra: &[(&str, &str)]) -> Reply {
    let mut headers = vec![("host", "docs.example"), ("content-type", "application/json")];
    headers.extend_from_slice(extra);
    send(router, request, &headers, body_for(request)).await
}

#[tokio::test]
async fn without_the_token_no_route_answers_and_no_port_is_called() {
    let spy = Spy::new();
    let router = router(state(spy.app(), network()));
    let session = "cookie: vellum_session=0123";
    let proofs: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", TOKEN)],
        &[session.split_once(": ").unwrap()],
        &[("accept", "text/html"), ("sec-fetch-site", "same-origin")],
    ];
    for request in requests() {
        if ["GET /healthz", "GET /health", "GET /readyz"].contains(&request.as_str()) {
            continue;
        }
        for proof in proofs {
            let reply = call(&router, &request, proof).await;
            assert_eq!(reply.status, 401, "{request} with {proof:?}");
        }
    }
    assert_eq!(call(&router, "GET /nowhere", &[]).await.status, 401, "routes cannot be probed");
    assert_eq!(spy.calls(), 0);
}

#[tokio::test]
async fn with_the_token_every_route_is_reached() {
    let spy = Spy::new();
    let router = router(state(spy.app(), network()));
    for request in requests() {
        if request == "POST /login" {
            continue;
        }
        let reply = call(&router, &request, &[("authorization", "Bearer t0ken")]).await;
        assert_ne!(reply.status, 401, "{request}");
        assert_ne!(reply.status, 403, "{request}");
    }
    assert!(spy.calls() > 10);
}

#[tokio::test]
async fn readiness_tells_which_port_fails_and_no_secret() {
    let spy = Spy::new();
    let router = router(state(spy.app(), network()));
    let reply = send(&router, "GET /readyz", &[], Body::empty()).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["checks"][4]["name"], "metastore");
    assert!(!reply.text.contains("secret.internal"));
    let reply =
        call(&router, "GET /api/v1/collections", &[("authorization", "Bearer t0ken")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "5"));
}

#[tokio::test]
async fn a_failing_reranker_is_told_and_takes_no_traffic_away() {
    let reranker = Arc::new(WordReranker::default());
    let mut app = app(Arc::default());
    app.reranker = Some(reranker.clone());
    let router = router(state(Arc::new(app), loopback()));
    let ready = async || {
        let host = [("host", "localhost:7117")];
        let reply = send(&router, "GET /readyz", &host, Body::empty()).await;
        (reply.status.as_u16(), reply.json()["checks"][5].clone())
    };
    assert_eq!(ready().await, (200, json!({ "name": "reranker", "ok": true })));
    reranker.set_down(true);
    let (status, check) = ready().await;
    assert_eq!(status, 200, "search goes on without it");
    assert_eq!((&check["ok"], &check["degrades"]), (&json!(false), &json!(true)), "{check}");
}

#[tokio::test]
async fn a_browser_logs_in_by_link_or_by_form() {
    let spy = Spy::new();
    let router = router(state(spy.app(), network()));
    let html = ("accept", "text/html");

    let page = call(&router, "GET /documents/x", &[html]).await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains(r#"action="../login""#), "{}", page.text);
    assert!(page.header("content-security-policy").contains("sha256-"));

    let entered = call(&router, "GET /?token=t0ken&q=a%20b", &[html]).await;
    assert_eq!((entered.status.as_u16(), entered.header("location")), (303, "./?q=a%20b"));
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("Path=/;"));
    assert!(!cookie.contains(TOKEN));
    let pair = cookie.split(';').next().unwrap().to_owned();
    let inside = call(&router, "GET /api/v1/openapi.json", &[("cookie", &pair)]).await;
    assert_eq!(inside.status, 200);

    let wrong = call(&router, "GET /?token=nope", &[html]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("not valid") && wrong.header("set-cookie").is_empty());

    let form = [("host", "docs.example"), ("content-type", "application/x-www-form-urlencoded")];
    let posted = send(&router, "POST /login", &form, Body::from("token=t0ken")).await;
    assert_eq!((posted.status.as_u16(), posted.header("location")), (303, "./"));
    assert!(posted.header("set-cookie").starts_with(&pair));
    let posted = send(&router, "POST /login", &form, Body::from("token=nope")).await;
    assert_eq!((posted.status.as_u16(), posted.header("set-cookie")), (401, ""));
    assert_eq!(spy.calls(), 0);
}

#[tokio::test]
async fn on_loopback_other_sites_reach_nothing() {
    let spy = Spy::new();
    let router = router(state(spy.app(), loopback()));
    for request in requests() {
        if ["GET /healthz", "GET /health", "GET /readyz", "POST /login"].contains(&request.as_str())
        {
            continue;
        }
        let json = ("content-type", "application/json");
        for headers in [
            [("host", "localhost:7117"), ("sec-fetch-site", "cross-site"), json],
            [("host", "localhost:7117"), ("origin", "http://evil.example"), json],
            [("host", "evil.example"), ("sec-fetch-site", "same-origin"), json],
        ] {
            let reply = send(&router, &request, &headers, body_for(&request)).await;
            assert_eq!(reply.status, 403, "{request} with {headers:?}");
        }
    }
    assert_eq!(spy.calls(), 0);
}
