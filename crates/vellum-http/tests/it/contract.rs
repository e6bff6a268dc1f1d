//! What clients rely on: the OpenAPI description and the names in the JSON.

use serde_json::{Value, json};
use std::path::Path;
use vellum_http::wire::{Counts, IngestReport, Refusal};
use vellum_http::{openapi_json, routes};

/// Run with `UPDATE=1` to write the file anew.
#[test]
fn the_description_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let generated = openapi_json();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == generated,
        "crates/vellum-http/openapi.json is out of date: run `UPDATE=1 cargo test -p vellum-http`"
    );
}

#[test]
fn the_description_names_every_route_of_the_api_and_no_other() {
    let description: Value = serde_json::from_str(&openapi_json()).unwrap();
    let mut described: Vec<String> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let mut routed: Vec<String> = routes()
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/"))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    described.sort();
    routed.sort();
    assert_eq!(described, routed);
}

#[test]
fn the_ingest_report_is_flat() {
    let refusal = Refusal { uri: "mem:///a".to_owned(), reason: "empty".to_owned() };
    let counts = Counts { listed: 2, added: 1, rejected: vec![refusal], ..Counts::default() };
    let report = IngestReport::new(counts, 1.5, 64.25);
    let value = serde_json::to_value(&report).unwrap();
    let expected = json!({
        "listed": 2, "added": 1, "updated": 0, "unchanged": 0, "removed": 0,
        "rejected": [{"uri": "mem:///a", "reason": "empty"}], "failed": [], "warnings": [],
        "chunks": 0, "embedded": 0, "pages": 0, "elapsed_s": 1.5, "peak_rss_mb": 64.25
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<IngestReport>(value).unwrap(), report);
}
