//! Datasets of a collection, versions compared on them, and their page in the console.

use crate::world::{World, pass};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use vellum_rag::versions::{self, Change};

const COLLECTION: &str = "/api/v1/collections/default";

/// A dataset about the documents of [`World::filled`].
fn dataset() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "queries.jsonl",
        "{\"_id\":\"leave\",\"text\":\"days of paid leave\"}\n{\"_id\":\"two\",\"text\":\"subject <b>number</b> 2\"}\n",
    );
    write("qrels/test.tsv", "leave\thandbook.txt\t1\ntwo\tmem:///docs/pages.txt\t1\n");
    dir
}

async fn add(world: &World, dir: &Path, name: &str) -> crate::world::Reply {
    let body = json!({ "dir": dir, "name": name });
    world.call(&format!("POST {COLLECTION}/datasets"), Some(body)).await
}

/// Builds a version of smaller chunks; returns its id.
async fn built(world: &World) -> String {
    let change = Change { max_tokens: Some(12), ..Change::default() };
    let (_, mut watcher) = versions::build(&world.app, &pass("default"), &change).await.unwrap();
    let ended = watcher.wait_for(|progress| progress.job.state.is_final()).await.unwrap();
    ended.job.spec.builds().unwrap().to_owned()
}

#[tokio::test]
async fn versions_are_compared_on_a_dataset() {
    let world = World::filled().await;
    let dir = dataset();
    let compare = format!("POST {COLLECTION}/compare");
    let nothing = world.call(&compare, Some(json!({}))).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{}", nothing.text);
    let added = add(&world, dir.path(), "set").await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    assert_eq!((&added.json()["judged"], &added.json()["unknown"]), (&json!(2), &json!(0)));
    let taken = add(&world, dir.path(), "set").await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    let list = world.call(&format!("GET {COLLECTION}/datasets"), None).await.json();
    assert_eq!(list["datasets"][0]["name"], "set");

    let id = built(&world).await;
    let compared = world.call(&compare, Some(json!({ "version": &id[..6] }))).await;
    assert_eq!(compared.status, StatusCode::OK, "{}", compared.text);
    let compared = compared.json();
    let on = &compared["datasets"][0];
    assert_eq!((&compared["version"], &on["dataset"]), (&json!(id), &json!("set")));
    assert_eq!((&on["queries"], &on["metric"]), (&json!(2), &json!("ndcg_at_10")));
    assert!(["better", "worse", "undecided"].contains(&on["verdict"].as_str().unwrap()), "{on}");
    let list = world.call(&format!("GET {COLLECTION}/versions"), None).await.json();
    for version in list["versions"].as_array().unwrap() {
        let score = &version["scores"][0];
        assert_eq!((&score["dataset"], &score["queries"]), (&json!("set"), &json!(2)), "{version}");
    }
    for (body, status) in [
        (json!({ "metric": "luck" }), StatusCode::BAD_REQUEST),
        (json!({ "dataset": "other" }), StatusCode::NOT_FOUND),
        (json!({ "version": id, "against": id }), StatusCode::BAD_REQUEST),
        (json!({ "versions": id }), StatusCode::BAD_REQUEST),
    ] {
        let refused = world.call(&compare, Some(body)).await;
        assert_eq!(refused.status, status, "{}", refused.text);
    }

    // As events.
    let streamed = world.call(&compare, Some(json!({ "stream": true }))).await;
    let events: Vec<&str> =
        streamed.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(events.last(), Some(&"done"), "{}", streamed.text);
    assert!(events[..events.len() - 1].iter().all(|event| *event == "progress"), "{events:?}");
    let last =
        streamed.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["version"], json!(id));
    let failed = world.call(&compare, Some(json!({ "stream": true, "dataset": "other" }))).await;
    assert!(failed.text.contains("event: error") && failed.text.contains("no dataset `other`"));

    let promote = format!("POST {COLLECTION}/promote");
    let promoted = world.call(&promote, Some(json!({ "version": id }))).await;
    assert!(promoted.json()["warnings"].is_array(), "{}", promoted.text);
    let gone = world.call(&format!("DELETE {COLLECTION}/datasets/set"), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let gone = world.call(&format!("DELETE {COLLECTION}/datasets/set"), None).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text);
}

#[tokio::test]
async fn the_console_shows_versions_and_what_they_are_worth() {
    let world = World::filled().await;
    let page = world.open("/versions").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("No dataset yet"), "{}", page.text);
    assert!(page.text.contains("aria-current=\"page\">Versions"), "{}", page.text);
    assert!(!page.text.contains("Promote") && !page.text.contains("Roll back"), "{}", page.text);
    let none = world.open("/versions?collection=none").await.text;
    assert!(none.contains("no such collection"), "{none}");

    let dir = dataset();
    add(&world, dir.path(), "set").await;
    let id = built(&world).await;
    world.call(&format!("POST {COLLECTION}/compare"), Some(json!({}))).await;
    let page = world.open("/versions").await.text;
    for shown in [
        "nDCG@10 on set",
        "Beside the live version, on set",
        "Compare with the live one",
        "data-follow=\"api/v1/collections/default/compare\"",
        "data-send=\"api/v1/collections/default/promote\"",
        &format!("data-body=\"{{&#34;version&#34;:&#34;{id}&#34;}}\""),
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<b>number"), "{page}");
    assert!(!page.contains("Roll back"), "nothing was live before: {page}");
    world.call(&format!("POST {COLLECTION}/promote"), Some(json!({ "version": id }))).await;
    let page = world.open("/versions").await.text;
    assert!(page.contains("Roll back to") && page.contains("state retired"), "{page}");

    // Behind: it is brought up to date before it can be promoted.
    world.objects.put("mem:///docs/new.txt", "Something new.");
    world.ingest("default", "docs").await;
    let page = world.open("/versions").await.text;
    assert!(page.contains("1 documents behind") && page.contains("Go on building"), "{page}");
    assert!(!page.contains("Promote…"), "{page}");
}
