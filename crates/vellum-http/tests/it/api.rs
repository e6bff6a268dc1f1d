//! The JSON API: answers, problems, originals.

use crate::world::{LEAVE, World, loopback, send, state};
use axum::body::Body;
use insta::assert_snapshot;
use serde_json::{Value, json};
use vellum_http::wire::{AskResponse, CollectionShow, DocumentList, SearchResponse};
use vellum_http::{State, router};

#[tokio::test]
async fn search_finds_and_tells_the_score_of_each_stage() {
    let world = World::filled().await;
    let body = json!({"query": "paid leave days", "top_k": 3});
    let reply = world.call("POST /api/v1/search", Some(body)).await;
    let found: SearchResponse = serde_json::from_value(reply.json()).unwrap();
    let best = &found.hits[0];
    assert_eq!((best.rank, best.source.as_str(), best.page), (1, "handbook.txt", None));
    assert!(best.text.starts_with(LEAVE));
    assert_eq!(best.end - best.start, best.text.chars().count());
    assert!(best.scores.dense.is_some() && best.scores.fused == Some(best.score));
    assert_eq!(reply.json()["hits"][0]["scores"]["rerank"], Value::Null);
    assert!(found.timings_ms.contains_key("total"));
    assert!(found.hits.len() <= 3);

    let in_pages = async |field: &str, value: &Value| {
        let filter = json!({"in": {"field": field, "values": [value, "absent"]}});
        let body = json!({"query": "paid leave days", "mode": "dense", "filter": filter});
        let found = world.call("POST /api/v1/search", Some(body)).await.json();
        let hits = found["hits"].as_array().unwrap().clone();
        assert!(!hits.is_empty() && hits.iter().all(|hit| hit["source"] == "pages.txt"), "{field}");
        assert!(hits.iter().all(|hit| hit["scores"]["sparse"].is_null() && hit["page"].is_u64()));
        hits
    };
    let hits = in_pages("source", &json!("pages.txt")).await;
    for (field, key) in [("uri", "uri"), ("document", "document_id")] {
        assert_eq!(in_pages(field, &hits[0][key]).await, hits, "one file has that name");
    }
}

#[tokio::test]
async fn a_search_takes_options_and_explains_itself() {
    let world = World::filled().await;
    let search = async |body: Value| world.call("POST /api/v1/search", Some(body)).await;
    let range = json!({"range": {"field": "page", "gte": 2}});
    let body = json!({"query": "paid leave days", "filter": range, "explain": true, "neighbours": 1,
        "group_by_document": 1, "mmr_lambda": 0.5, "exact": true, "fusion": "rank", "dense_weight": 0.1});
    let reply = search(body).await;
    let found: SearchResponse = serde_json::from_value(reply.json()).unwrap();
    assert!(
        !found.hits.is_empty() && found.hits.iter().all(|hit| hit.page >= Some(2)),
        "{}",
        reply.text
    );
    let trace = found.explain.unwrap();
    assert_eq!(trace.filter.as_deref(), Some("page >= 2"));
    let names: Vec<&str> = trace.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["dense", "sparse", "fuse", "fetch", "group", "mmr", "neighbours"]);
    let plain = search(json!({"query": "paid leave days"})).await.json();
    assert!(
        plain["explain"].is_null()
            && plain["notes"].is_null()
            && plain["hits"][0]["before"].is_null()
    );
    for (wrong, status) in [
        (json!({"range": {"field": "format", "gte": 2}}), 400),
        (json!({"in": {"field": "payload.key", "values": []}}), 400),
        (json!({"in": {"field": "metadata.A", "values": []}}), 400),
    ] {
        let reply = search(json!({"query": "x", "filter": wrong})).await;
        assert_eq!(reply.status, status, "{wrong}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_collection_is_tuned() {
    let world = World::filled().await;
    let change =
        async |body: Value| world.call("PATCH /api/v1/collections/default", Some(body)).await;
    let changed = change(json!({"retrieval": {"fusion": "rank", "sparse_weight": 1}})).await.json();
    assert_eq!(changed["retrieval"], json!({"fusion": "rank", "sparse_weight": 1.0}));
    let changed = change(json!({"reset": ["fusion"]})).await.json();
    assert_eq!(changed["retrieval"], json!({"sparse_weight": 1.0}));
    for wrong in [
        json!({"retrieval": {"mmr_lambda": 2}}),
        json!({"reset": ["x"]}),
        json!({"retrieval": {"x": 1}}),
    ] {
        assert_eq!(change(wrong).await.status, 400);
    }
}

#[tokio::test]
async fn ask_answers_with_verbatim_citations() {
    let world = World::filled().await;
    let body = json!({"question": "How many days of paid leave do employees receive per year?"});
    let reply = world.call("POST /api/v1/ask", Some(body)).await;
    let answer: AskResponse = serde_json::from_value(reply.json()).unwrap();
    assert!(!answer.refused, "{}", reply.text);
    let first = &answer.citations[0];
    assert_eq!((first.n, first.text.as_str(), first.start), (1, LEAVE, 0));
    assert!(answer.answer.contains("[1]"));
    let metrics = world.call("GET /metrics", None).await.text;
    assert!(metrics.contains(r#"vellum_search_duration_seconds_count{mode="hybrid"} 1"#));
    assert!(metrics.contains(r#"route="/api/v1/ask",method="POST",status="200""#));
}

#[tokio::test]
async fn collections_are_listed_shown_and_deleted() {
    let world = World::filled().await;
    let list = world.call("GET /api/v1/collections", None).await.json();
    assert_eq!(list["collections"][0]["name"], "default");
    let shown = world.call("GET /api/v1/collections/default", None).await.json();
    let shown: CollectionShow = serde_json::from_value(shown).unwrap();
    assert_eq!((shown.documents, shown.digest.len(), shown.embedder.as_str()), (4, 32, "hash"));
    assert!(shown.chunks > 4);
    let deleted = world.call("DELETE /api/v1/collections/default", None).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    let list = world.call("GET /api/v1/collections", None).await.json();
    assert_eq!(list, json!({"collections": []}));
}

#[tokio::test]
async fn documents_are_paged_by_uri() {
    let world = World::filled().await;
    let mut seen = Vec::new();
    let mut path = "GET /api/v1/collections/default/documents?limit=2".to_owned();
    loop {
        let page = world.call(&path, None).await.json();
        let page: DocumentList = serde_json::from_value(page).unwrap();
        assert!(page.documents.len() <= 2);
        seen.extend(page.documents);
        let Some(next) = page.next else { break };
        let next = next.replace('%', "%25");
        path = format!("GET /api/v1/collections/default/documents?limit=2&after={next}");
    }
    let names: Vec<&str> = seen.iter().map(|it| it.source.as_str()).collect();
    assert_eq!(names, ["blank.txt", "evil<b>.txt", "handbook.txt", "long one.txt", "pages.txt"]);
    let blank = serde_json::to_value(&seen[0]).unwrap();
    assert_eq!((&blank["state"], &blank["chunks"]), (&json!("rejected"), &json!(0)));
    assert!(blank["reason"].is_string());
    let same = world.call(&format!("GET /api/v1/documents/{}", seen[2].id), None).await.json();
    assert_eq!(same, serde_json::to_value(&seen[2]).unwrap());
}

#[tokio::test]
async fn originals_are_served_as_they_were_or_not_at_all() {
    let world = World::filled().await;
    let path = format!(
        "GET /api/v1/documents/{}/content",
        world.id_of("mem:///docs/evil%3Cb%3E.txt").await
    );
    let reply = world.call(&path, None).await;
    assert_eq!(reply.text, crate::world::HOSTILE);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("content-disposition"), "inline; filename*=UTF-8''evil%3Cb%3E.txt");
    assert!(reply.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert_eq!(reply.header("content-length"), reply.text.len().to_string());

    world.objects.put("mem:///docs/evil%3Cb%3E.txt", "other");
    let changed = world.call(&path, None).await;
    assert_eq!(changed.status, 409);
    assert!(changed.json()["hint"].is_string());
    world.objects.remove("mem:///docs/evil%3Cb%3E.txt");
    let gone = world.call(&path, None).await.json();
    assert_snapshot!(serde_json::to_string_pretty(&gone).unwrap(), @r##"
{
  "type": "/problems/gone",
  "title": "The original is gone",
  "status": 410,
  "detail": "the original `mem:///docs/evil%3Cb%3E.txt` is gone from its source",
  "code": "gone",
  "hint": "ingest the source again; the text of the document can still be read"
}
"##);
}

#[tokio::test]
async fn opinions_on_answers_are_kept_and_can_be_changed() {
    let world = World::filled().await;
    let question = "How many days of paid leave do employees receive per year?";
    let answer = world.call("POST /api/v1/ask", Some(json!({"question": question}))).await.json();
    let cited = &answer["citations"][0];
    let passage = json!({
        "document_id": cited["document_id"], "start": cited["start"], "end": cited["end"]
    });
    let opinion = |verdict: &str, comment: Value| {
        let mut body =
            json!({"question": question, "verdict": verdict, "citations": [passage.clone()]});
        if !comment.is_null() {
            body["comment"] = comment;
        }
        body
    };
    let give = async |body| world.call("POST /api/v1/feedback", Some(body)).await;
    let first = give(opinion("down", json!(" Not what I asked. "))).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = give(opinion("up", Value::Null)).await;
    assert_eq!(second.json()["id"], first.json()["id"], "the same answer");
    let refusal = give(json!({"question": "zzz?", "verdict": "down", "comment": " "})).await;
    assert_ne!(refusal.json()["id"], first.json()["id"]);

    let list = world.call("GET /api/v1/collections/default/feedback?limit=1", None).await.json();
    let next = list["next"].as_str().unwrap();
    let path = format!("GET /api/v1/collections/default/feedback?after={next}");
    let rest = world.call(&path, None).await.json();
    assert_eq!((&rest["next"], rest["feedback"].as_array().unwrap().len()), (&Value::Null, 1));
    let all = [&list["feedback"][0], &rest["feedback"][0]];
    let kept = all.iter().find(|one| one["id"] == first.json()["id"]).unwrap();
    assert_eq!((&kept["verdict"], &kept["comment"]), (&json!("up"), &Value::Null));
    assert_eq!((&kept["question"], &kept["citations"]), (&json!(question), &json!([passage])));

    for (body, status, code) in [
        (json!({"question": " ", "verdict": "up"}), 400, "invalid"),
        (json!({"question": "x", "verdict": "meh"}), 400, "invalid"),
        (json!({"question": "x", "verdict": "up", "comment": "x".repeat(5000)}), 400, "invalid"),
        (json!({"question": "x", "verdict": "up", "collection": "other"}), 404, "not_found"),
        (
            json!({"question": "x", "verdict": "up", "citations": [
                {"document_id": "00000000-0000-0000-0000-000000000000", "start": 0, "end": 1}
            ]}),
            404,
            "not_found",
        ),
    ] {
        let reply = give(body).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn the_text_of_a_document_counts_as_citations_do() {
    let world = World::filled().await;
    let body = json!({"question": "How many days of paid leave do employees receive per year?"});
    let answer = world.call("POST /api/v1/ask", Some(body)).await.json();
    let cited = &answer["citations"][0];
    let id = cited["document_id"].as_str().unwrap();
    let whole = world.call(&format!("GET /api/v1/documents/{id}/text"), None).await.json();
    let number = |key: &str| cited[key].as_u64().unwrap() as usize;
    let found: String = whole["text"]
        .as_str()
        .unwrap()
        .chars()
        .skip(number("start"))
        .take(number("end") - number("start"))
        .collect();
    assert_eq!(found, cited["text"].as_str().unwrap());
    let id = world.id_of("mem:///docs/pages.txt").await;
    let paged = world.call(&format!("GET /api/v1/documents/{id}/text"), None).await.json();
    let pages: Vec<u64> =
        paged["pages"].as_array().unwrap().iter().map(|it| it["page"].as_u64().unwrap()).collect();
    assert_eq!(pages, [1, 2, 3]);
}

/// Returns `status code` and the problem for each wrong request.
async fn problem(world: &World, request: &str, body: Option<Value>) -> String {
    let reply = world.call(request, body).await;
    assert_eq!(reply.header("content-type"), "application/problem+json", "{request}");
    let problem = reply.json();
    assert_eq!(problem["status"], reply.status.as_u16());
    let (code, detail) = (problem["code"].as_str().unwrap(), problem["detail"].as_str().unwrap());
    assert_eq!(problem["type"], format!("/problems/{code}"));
    let hint = problem["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{request} -> {} {code}: {detail}{hint}", reply.status.as_u16())
}

#[tokio::test]
async fn wrong_requests_are_problems() {
    let world = World::filled().await;
    let nobody = "00000000-0000-0000-0000-000000000000";
    let cases = [
        ("GET /nowhere", None),
        ("GET /api/v1/nowhere", None),
        ("PUT /api/v1/search", None),
        ("POST /api/v1/search", None),
        ("POST /api/v1/search", Some(json!({"query": "x", "topk": 3}))),
        ("POST /api/v1/search", Some(json!({"query": ""}))),
        ("POST /api/v1/search", Some(json!({"query": "x", "top_k": 0}))),
        ("POST /api/v1/search", Some(json!({"query": "x", "mode": "fuzzy"}))),
        ("POST /api/v1/search", Some(json!({"query": "x", "collection": "No Such"}))),
        ("POST /api/v1/search", Some(json!({"query": "x", "collection": "other"}))),
        ("POST /api/v1/search", Some(json!({"query": "x", "filter": {"near": []}}))),
        ("POST /api/v1/ask", Some(json!({"question": "x", "top_k": 100_000}))),
        ("POST /api/v1/ask", Some(json!({}))),
        ("GET /api/v1/collections/UPPER", None),
        ("GET /api/v1/collections/other", None),
        ("DELETE /api/v1/collections/other", None),
        ("GET /api/v1/collections/default/documents?limit=0", None),
        ("GET /api/v1/collections/default/documents?size=3", None),
        ("GET /api/v1/documents/x", None),
        (&format!("GET /api/v1/documents/{nobody}"), None),
        (&format!("GET /api/v1/jobs/{nobody}"), None),
        (&format!("GET /api/v1/jobs/{nobody}/events"), None),
        (&format!("POST /api/v1/jobs/{nobody}/cancel"), None),
        ("POST /api/v1/collections/default/jobs", Some(json!({"source": "no/such"}))),
        ("POST /api/v1/collections/default/jobs", Some(json!({"source": "docs", "force": true}))),
    ];
    let mut shown = Vec::new();
    for (request, body) in cases {
        shown.push(problem(&world, request, body).await);
    }
    assert_snapshot!(shown.join("\n"), @r##"
GET /nowhere -> 404 not_found: there is no route `/nowhere` (`/api/v1/openapi.json` lists the routes)
GET /api/v1/nowhere -> 404 not_found: there is no route `/api/v1/nowhere` (`/api/v1/openapi.json` lists the routes)
PUT /api/v1/search -> 405 method_not_allowed: `/api/v1/search` does not answer to PUT
POST /api/v1/search -> 415 unsupported_media_type: the body's media type is `none` (send `Content-Type: application/json`)
POST /api/v1/search -> 400 invalid: the body is not what this route takes: unknown field `topk`, expected one of `query`, `collection`, `top_k`, `mode`, `filter`, `fusion`, `dense_weight`, `sparse_weight`, `leg_limit`, `rerank_depth`, `mmr`, `mmr_lambda`, `group_by_document`, `neighbours`, `exact`, `explain` at line 1 column 19
POST /api/v1/search -> 400 invalid: the query is empty (ask something)
POST /api/v1/search -> 400 invalid: top_k 0 is not in 1 to 1000
POST /api/v1/search -> 400 invalid: the body is not what this route takes: unknown variant `fuzzy`, expected one of `hybrid`, `dense`, `sparse` at line 1 column 27
POST /api/v1/search -> 400 invalid: the body is not what this route takes: collection name `No Such` is not valid at line 1 column 36
POST /api/v1/search -> 404 not_found: collection `other` does not exist (`vellum ingest PATH` makes it, `vellum collection list` shows what there is)
POST /api/v1/search -> 400 invalid: the body is not what this route takes: unknown variant `near`, expected one of `all`, `any`, `not`, `in`, `range`, `exists`, `under` at line 1 column 29
POST /api/v1/ask -> 400 invalid: top_k 100000 is not in 1 to 1000
POST /api/v1/ask -> 400 invalid: the body is not what this route takes: missing field `question` at line 1 column 2
GET /api/v1/collections/UPPER -> 400 invalid: collection name `UPPER` is not valid (use 1 to 63 characters of a-z, 0-9, - and _, starting with a letter or digit)
GET /api/v1/collections/other -> 404 not_found: collection `other` does not exist (`vellum ingest PATH` makes it, `vellum collection list` shows what there is)
DELETE /api/v1/collections/other -> 404 not_found: collection `other` does not exist (`vellum ingest PATH` makes it, `vellum collection list` shows what there is)
GET /api/v1/collections/default/documents?limit=0 -> 400 invalid: limit 0 is not in 1 to 1000
GET /api/v1/collections/default/documents?size=3 -> 400 invalid: the query is not valid: size: unknown field `size`, expected `after` or `limit`
GET /api/v1/documents/x -> 400 invalid: `x` is not a document id
GET /api/v1/documents/00000000-0000-0000-0000-000000000000 -> 404 not_found: document `00000000-0000-0000-0000-000000000000` does not exist (it may have been removed from its source; search again)
GET /api/v1/jobs/00000000-0000-0000-0000-000000000000 -> 404 not_found: job `00000000-0000-0000-0000-000000000000` does not exist
GET /api/v1/jobs/00000000-0000-0000-0000-000000000000/events -> 404 not_found: job `00000000-0000-0000-0000-000000000000` does not exist
POST /api/v1/jobs/00000000-0000-0000-0000-000000000000/cancel -> 404 not_found: job `00000000-0000-0000-0000-000000000000` does not exist
POST /api/v1/collections/default/jobs -> 404 not_found: `no/such` does not exist (check the spelling of the source)
POST /api/v1/collections/default/jobs -> 400 invalid: the body is not what this route takes: unknown field `force`, expected one of `source`, `prune`, `rejected` at line 1 column 24
"##);
}

#[tokio::test]
async fn large_and_malformed_bodies_are_problems() {
    let world = World::empty();
    let headers = [("host", "localhost"), ("content-type", "application/json")];
    let cases = [
        ("{\"query\": ".to_owned(), 400),
        ("\u{0}".to_owned(), 400),
        (format!("{{\"query\": \"{}\"}}", "x".repeat(2 << 20)), 413),
    ];
    for (body, status) in cases {
        let reply = send(&world.router, "POST /api/v1/search", &headers, Body::from(body)).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["status"], status);
    }
    let plain = [("host", "localhost"), ("content-type", "text/plain")];
    let reply = send(&world.router, "POST /api/v1/search", &plain, Body::from("{}")).await;
    assert_eq!(reply.json()["code"], "unsupported_media_type");
}

#[tokio::test]
async fn health_and_readiness() {
    let world = World::empty();
    for path in ["/healthz", "/health"] {
        let reply = send(&world.router, &format!("GET {path}"), &[], Body::empty()).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, "ok"));
    }
    let reply = send(&world.router, "GET /readyz", &[], Body::empty()).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["ready"]), (200, &json!(true)));
    assert_eq!(reply.json()["checks"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn everything_works_below_a_prefix() {
    let world = World::filled().await;
    let state = State { base_path: "/vellum".to_owned(), ..state(world.app.clone(), loopback()) };
    let router = router(state);
    let host = [("host", "localhost"), ("authorization", "Bearer t0ken")];
    let get = async |path: &str| send(&router, &format!("GET {path}"), &host, Body::empty()).await;
    assert_eq!(get("/vellum/").await.status, 200);
    assert_eq!(get("/vellum/api/v1/collections").await.status, 200);
    assert_eq!(get("/api/v1/collections").await.status, 200);
    assert_eq!(get("/vellum/nowhere").await.status, 404);
    let openapi = get("/vellum/api/v1/openapi.json").await.json();
    assert_eq!(openapi["servers"], json!([{"url": "/vellum"}]));
    let metrics = get("/vellum/metrics").await.text;
    assert!(
        metrics.contains(r#"route="/api/v1/collections",method="GET",status="200"} 2"#),
        "{metrics}"
    );
    let bare = axum::http::Request::get("/vellum").body(Body::empty()).unwrap();
    let bare = tower::ServiceExt::oneshot(router.clone(), bare).await.unwrap();
    assert_eq!(
        (bare.status().as_u16(), &bare.headers()["location"]),
        (308, &"/vellum/".parse().unwrap())
    );
    let headers = [host[0], host[1], ("content-type", "application/json")];
    let body = Body::from(r#"{"source": "docs"}"#);
    let started = send(&router, "POST /vellum/api/v1/collections/two/jobs", &headers, body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert!(started.header("location").starts_with("/vellum/api/v1/jobs/"));
}
