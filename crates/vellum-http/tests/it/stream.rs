//! Server-sent events: a streamed answer, a watched job.

use crate::world::{LEAVE, World, send};
use axum::body::Body;
use serde_json::{Value, json};
use vellum_http::wire::Job;

/// Returns the events as `(name, data)`.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    text.split("\n\n")
        .filter_map(|block| Some((field(block, "event:")?, field(block, "data:")?)))
        .map(|(name, data)| (name, serde_json::from_str(&data).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_streamed_answer_ends_with_the_whole() {
    let world = World::filled().await;
    let question = "How many days of paid leave do employees receive per year?";
    let whole = world.call("POST /api/v1/ask", Some(json!({"question": question}))).await.json();
    let body = json!({"question": question, "stream": true});
    let reply = world.call("POST /api/v1/ask", Some(body)).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = events(&reply.text);
    let text: String = events
        .iter()
        .filter(|(name, _)| name == "delta")
        .map(|(_, data)| data["text"].as_str().unwrap())
        .collect();
    let citations: Vec<&Value> =
        events.iter().filter(|(name, _)| name == "citation").map(|(_, data)| data).collect();
    let (last, done) = events.last().unwrap();
    assert_eq!((last.as_str(), &done["answer"]), ("done", &whole["answer"]));
    assert_eq!(json!(text), whole["answer"]);
    assert_eq!(json!(citations), whole["citations"]);
    assert_eq!(citations[0]["text"], LEAVE);
}

#[tokio::test]
async fn accept_asks_for_a_stream_and_errors_come_as_an_event() {
    let world = World::filled().await;
    let headers = [
        ("host", "localhost"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
    ];
    let body = Body::from(json!({"question": "x", "collection": "other"}).to_string());
    let reply = send(&world.router, "POST /api/v1/ask", &headers, body).await;
    let events = events(&reply.text);
    assert_eq!((events.len(), events[0].0.as_str()), (1, "error"));
    assert_eq!(events[0].1["code"], "not_found");
}

#[tokio::test]
async fn a_job_is_started_watched_and_listed() {
    let world = World::empty();
    for n in 0..5 {
        world.objects.put(&format!("mem:///in/{n}.txt"), format!("Text number {n} is about jobs."));
    }
    world.objects.put("mem:///in/blank.txt", " ");
    let body = json!({"source": "in"});
    let started = world.call("POST /api/v1/collections/new/jobs", Some(body)).await;
    assert_eq!(started.status, 202);
    let job: Job = serde_json::from_value(started.json()).unwrap();
    assert_eq!((job.collection.as_str(), job.source.as_str()), ("new", "mem:///in/"));
    let location = started.header("location").to_owned();
    assert_eq!(location, format!("/api/v1/jobs/{}", job.id));

    let stream = world.call(&format!("GET {location}/events"), None).await;
    let events = events(&stream.text);
    let (last, done) = events.last().unwrap();
    assert_eq!(last, "done");
    let report = &done["report"];
    assert_eq!((&report["listed"], &report["added"]), (&json!(6), &json!(5)));
    assert_eq!(report["rejected"][0]["uri"], "mem:///in/blank.txt");
    assert!(
        events
            .iter()
            .rev()
            .skip(1)
            .all(|(name, data)| name == "progress" && data["progress"].is_object())
    );

    let shown = world.call(&format!("GET {location}"), None).await.json();
    assert_eq!((&shown["state"], &shown["progress"]), (&json!("done"), &Value::Null));
    assert_eq!(world.call("GET /api/v1/jobs", None).await.json()["jobs"][0], shown);
    let cancelled = world.call(&format!("POST {location}/cancel"), None).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["state"]), (202, &json!("done")));
    let again = world.call(&format!("GET {location}/events"), None).await;
    assert!(again.text.contains("event: done"));
}
