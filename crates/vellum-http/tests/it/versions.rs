//! Index versions, export and import over HTTP.

use crate::world::World;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use vellum_rag::archive;

const VERSIONS: &str = "/api/v1/collections/default/versions";

async fn built(world: &World, request: Value) -> Value {
    let accepted = world.call(&format!("POST {VERSIONS}"), Some(request)).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert!(accepted.headers["location"].to_str().unwrap().ends_with(&id));
    loop {
        let job = world.call(&format!("GET /api/v1/jobs/{id}"), None).await.json();
        match job["state"].as_str().unwrap() {
            "done" => return job,
            "queued" | "running" => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other}: {job}"),
        }
    }
}

#[tokio::test]
async fn a_version_is_built_listed_promoted_rolled_back_and_deleted() {
    let world = World::filled().await;
    let order = json!({"max_tokens": 12, "context": true, "parent_tokens": 40, "retrieval": {"mmr": true, "top_k": 4}});
    let job = built(&world, order).await;
    let id = job["source"].as_str().unwrap().strip_prefix("index:").unwrap();
    let list = world.call(&format!("GET {VERSIONS}"), None).await.json();
    let states: Vec<_> =
        list["versions"].as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["live", "ready"]);
    assert_eq!(
        (&list["versions"][1]["version"], &list["versions"][1]["splitter"]["max_tokens"]),
        (&json!(id), &json!(12))
    );
    let made = &list["versions"][1];
    assert_eq!(made["retrieval"], json!({"mmr": true, "top_k": 4}));
    assert_eq!(
        (&made["splitter"]["context"], &made["splitter"]["parent_tokens"]),
        (&json!(true), &json!(40))
    );
    assert_eq!(list["versions"][0]["retrieval"], json!({}));
    let again = world.call(&format!("POST {VERSIONS}"), Some(json!({}))).await;
    assert_eq!(
        (again.status, &again.json()["code"]),
        (StatusCode::CONFLICT, &json!("conflict")),
        "{}",
        again.text
    );
    for wrong in [
        json!({"max_tokens": 9, "semantic_percentile": 0, "splitter": "semantic"}),
        json!({"max_tokens": 9, "parent_tokens": 8}),
        json!({"max_tokens": 9, "retrieval": {"top_k": 0}}),
        json!({"max_tokens": 9, "retrieval": {"x": 1}}),
    ] {
        let reply = world.call(&format!("POST {VERSIONS}"), Some(wrong)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text);
    }
    let both = json!({"version": id, "max_tokens": 9});
    let both = world.call(&format!("POST {VERSIONS}"), Some(both)).await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST, "{}", both.text);

    let promote = "POST /api/v1/collections/default/promote";
    let unknown = world.call(promote, Some(json!({"version": "ffffffff"}))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.text);
    let live = world.call(promote, Some(json!({"version": &id[..6]}))).await.json();
    assert_eq!(
        (&live["version"], &live["state"], &live["behind"]),
        (&json!(id), &json!("live"), &json!(0))
    );
    let refused = world.call(&format!("DELETE {VERSIONS}/{id}"), None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let back =
        world.call("POST /api/v1/collections/default/rollback", Some(json!({}))).await.json();
    assert_eq!((&back["state"], &back["splitter"]["max_tokens"]), (&json!("live"), &json!(24)));
    let none = world.call("POST /api/v1/collections/default/rollback", Some(json!({}))).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.text);
    let deleted = world.call(&format!("DELETE {VERSIONS}/{id}"), None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text);
    let missing = world.call("GET /api/v1/collections/other/versions", None).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{}", missing.text);
}

#[tokio::test]
async fn a_collection_is_exported_and_imported() {
    let world = World::filled().await;
    let pass = crate::world::pass("default");
    let direct = archive::export(&world.app, &pass, archive::Originals::With, Vec::new(), &|_| {})
        .await
        .unwrap();
    let streamed = world.download("/api/v1/collections/default/export").await;
    assert_eq!(streamed, direct, "the stream is the file");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &streamed).unwrap();
    let request = json!({"file": file.path(), "collection": "second"});
    let made = world.call("POST /api/v1/import", Some(request.clone())).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let shown = world.call("GET /api/v1/collections/second", None).await.json();
    assert_eq!((&shown["digest"], &shown["documents"]), (&made.json()["digest"], &json!(4)));
    let taken = world.call("POST /api/v1/import", Some(request)).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    std::fs::write(file.path(), &streamed[1..]).unwrap();
    let request = json!({"file": file.path(), "collection": "third"});
    let damaged = world.call("POST /api/v1/import", Some(request)).await;
    assert_eq!(&damaged.json()["code"], "corrupt", "{}", damaged.text);
    let unknown = world.call("GET /api/v1/collections/none/export", None).await;
    assert_eq!(
        unknown.status,
        StatusCode::NOT_FOUND,
        "what fails at once is a problem: {}",
        unknown.text
    );
    let made = world.call("POST /api/v1/collections", Some(json!({"name": "fresh"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let again = world.call("POST /api/v1/collections", Some(json!({"name": "fresh"}))).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
}
