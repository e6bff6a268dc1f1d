//! Events of buckets, and jobs that are paused and resumed, over HTTP.

use crate::world::{TOKEN, World, send};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const EVENTS: &str = "/api/v1/collections/default/events";

/// A notification as MinIO's webhook sends it.
fn minio(name: &str, bucket: &str, key: &str) -> Value {
    json!({
        "EventName": name,
        "Key": format!("{bucket}/{key}"),
        "Records": [{
            "eventVersion": "2.0", "eventSource": "minio:s3", "eventName": name,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "1"}},
        }],
    })
}

/// Returns the job once it has stopped.
async fn stopped(world: &World, id: &str) -> Value {
    for _ in 0..400 {
        let job = world.call(&format!("GET /api/v1/jobs/{id}"), None).await.json();
        if !["queued", "running", "waiting"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("job {id} does not stop");
}

/// Sends events and returns the jobs that they started, stopped.
async fn notify(world: &World, body: Value) -> Vec<Value> {
    let reply = world.call(&format!("POST {EVENTS}"), Some(body)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    let mut jobs = Vec::new();
    for id in reply.json()["jobs"].as_array().unwrap() {
        jobs.push(stopped(world, id.as_str().unwrap()).await);
    }
    jobs
}

#[tokio::test]
async fn an_object_that_was_put_or_removed_is_followed() {
    let world = World::filled().await;
    let find = async || {
        let body = json!({"query": "pelican", "mode": "sparse"});
        world.call("POST /api/v1/search", Some(body)).await.json()["hits"].as_array().unwrap().len()
    };
    world.objects.put("mem:///docs/a b.txt", "A pelican sits on the pier.");
    let put = minio("s3:ObjectCreated:Put", "docs", "a+b.txt");
    let jobs = notify(&world, put.clone()).await;
    assert_eq!((jobs.len(), &jobs[0]["report"]["added"]), (1, &json!(1)), "{jobs:?}");
    assert_eq!(find().await, 1);
    // The same again is harmless.
    assert_eq!(notify(&world, put).await[0]["report"]["unchanged"], json!(1));
    world.objects.remove("mem:///docs/a b.txt");
    let jobs = notify(&world, minio("s3:ObjectRemoved:Delete", "docs", "a%20b.txt")).await;
    assert_eq!(jobs[0]["report"]["removed"], json!(1), "{jobs:?}");
    assert_eq!(find().await, 0);
    assert!(notify(&world, minio("s3:ObjectAccessed:Get", "docs", "pages.txt")).await.is_empty());
    // The mark of a folder is no document, and asking again would not make it one.
    assert!(notify(&world, minio("s3:ObjectCreated:Put", "docs", "new/")).await.is_empty());
}

#[tokio::test]
async fn many_objects_are_one_comparison() {
    let world = World::filled().await;
    let records: Vec<Value> = (0..30)
        .map(|n| {
            let key = format!("more/{n}.txt");
            world.objects.put(&format!("mem:///docs/{key}"), format!("Note {n} of many."));
            minio("s3:ObjectCreated:Put", "docs", &key)["Records"][0].clone()
        })
        .collect();
    let jobs = notify(&world, json!({"Records": records})).await;
    assert_eq!((jobs.len(), &jobs[0]["report"]["added"]), (1, &json!(30)));
}

#[tokio::test]
async fn cloud_events_in_each_mode() {
    let world = World::filled().await;
    world.objects.put("mem:///docs/ce.txt", "An event of the cloud.");
    let record = minio("ObjectCreated:Put", "docs", "ce.txt")["Records"][0].clone();
    let event = json!({
        "specversion": "1.0", "id": "7", "source": "aws:s3.eu.docs", "subject": "ce.txt",
        "type": "com.amazonaws.s3.ObjectCreated:Put", "data": record,
    });
    let bearer = format!("Bearer {TOKEN}");
    let post = async |media_type: &str, extra: &[(&str, &str)], body: &Value| {
        let mut headers = vec![
            ("host", "localhost:7117"),
            ("authorization", &bearer),
            ("content-type", media_type),
        ];
        headers.extend(extra);
        let body = Body::from(body.to_string());
        send(&world.router, &format!("POST {EVENTS}"), &headers, body).await
    };
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-type", "com.amazonaws.s3.ObjectCreated:Put"),
        ("ce-source", "aws:s3.eu.docs"),
        ("ce-id", "7"),
    ];
    for reply in [
        post("application/cloudevents+json", &[], &event).await,
        post("application/cloudevents-batch+json", &[], &json!([event])).await,
        post("application/json", &binary, &record).await,
    ] {
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
        let id = reply.json()["jobs"][0].as_str().unwrap().to_owned();
        let report = &stopped(&world, &id).await["report"];
        assert_eq!((&report["listed"], &report["failed"]), (&json!(1), &json!([])), "{report}");
    }
}

#[tokio::test]
async fn events_of_strangers_are_refused() {
    let world = World::filled().await;
    let foreign = minio("s3:ObjectCreated:Put", "other-bucket", "x.txt");
    let reply = world.call(&format!("POST {EVENTS}"), Some(foreign.clone())).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(reply.text.contains("other-bucket/x.txt"), "{}", reply.text);
    let reply = world.call(&format!("POST {EVENTS}"), Some(json!({"hello": 1}))).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text);
    let headers = [("host", "localhost:7117"), ("content-type", "application/json")];
    let body = Body::from(foreign.to_string());
    let reply = send(&world.router, &format!("POST {EVENTS}"), &headers, body).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "without the token: {}", reply.text);
    let probe = world.call(&format!("HEAD {EVENTS}"), None).await;
    assert_eq!(probe.status, StatusCode::NO_CONTENT, "as MinIO asks whether somebody is there");
}

#[tokio::test]
async fn jobs_are_resumed_when_there_is_something_to_do() {
    let world = World::filled().await;
    let jobs = world.call("GET /api/v1/jobs", None).await.json();
    let id = jobs["jobs"][0]["id"].as_str().unwrap();
    for order in ["pause", "resume"] {
        let reply = world.call(&format!("POST /api/v1/jobs/{id}/{order}"), None).await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "it is done: {}", reply.text);
    }
}
