//! Filters, options and explanations of a search, and how a collection is searched, as they are typed.

use crate::tool::Tool;
use serde_json::json;

#[test]
fn filters_options_and_explanations() {
    let tool = Tool::with_documents();
    let dated = |name: &str, date: &str| {
        let text = format!(
            "---\nauthor: Kim\ndate: {date}\n---\n# Note\n\nThe pump of {name} was oiled.\n"
        );
        tool.write(&format!("notes/{name}.md"), text);
    };
    dated("old", "2023-12-31");
    dated("new", "2024-03-01");
    tool.json(&["ingest", "docs", "--json"]);
    let sources = |args: &[&str]| -> Vec<String> {
        let found =
            tool.run(&[&["search", "pump pressure alarm leave", "--json"], args].concat()).json();
        let hits = found["hits"].as_array().unwrap().clone();
        hits.iter().map(|hit| hit["source"].as_str().unwrap().to_owned()).collect()
    };
    let filter =
        "format = \"markdown\" and metadata.date >= 2024-01-01 and not source in [\"a.md\"]";
    assert_eq!(sources(&["--filter", filter]), ["new.md"]);
    assert_eq!(sources(&["--filter", "metadata.date in 2023-01-01..2023-12-31"]), ["old.md"]);
    assert_eq!(sources(&["--filter", "metadata.author = \"Kim\" or format = \"html\""]).len(), 3);
    let notes =
        format!("uri under \"file://{}/notes\"", tool.docs().canonicalize().unwrap().display());
    assert_eq!(sources(&["--filter", &notes, "--exact", "--fusion", "rank"]).len(), 2);
    assert!(sources(&["--filter", "exists(metadata.nothing)"]).is_empty());

    let ran = tool.run(&["search", "pump", "--filter", "formt = \"pdf\""]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("filter, character 1: expected a field"), "{}", ran.stderr);
    assert!(ran.stderr.contains("fields are document, uri"), "{}", ran.stderr);

    let ask = ["ask", "What is the pump pressure limit?", "--json", "--filter"];
    let answer = tool.json(&[&ask[..], &["source = \"pump.txt\""]].concat());
    assert_eq!(answer["citations"][0]["source"], "pump.txt");
    assert_eq!(tool.run(&[&ask[..], &["source = \"leave.md\""]].concat()).status, 1);

    let found =
        tool.json(&["search", "pump", "--json", "--explain", "--mmr-lambda", "0.5", "-k", "2"]);
    let stages = found["explain"]["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dense", "sparse", "fuse", "fetch", "mmr"]);
    assert!(tool.json(&["search", "pump", "--json"])["explain"].is_null());
    let shown = tool.run(&["search", "pump", "--explain", "--filter", "bytes < 1000"]).stdout;
    for part in ["filter: bytes < 1000", "STAGE", "dense", "sparse", "fuse", "RANK", "CHUNK"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_collection_keeps_how_it_is_searched() {
    let tool = Tool::with_documents();
    tool.json(&["ingest", "docs", "--json"]);
    let set = ["collection", "set", "default", "--json"];
    let shown = tool.json(&[&set[..], &["dense_weight=0.6", "fusion=rank"]].concat());
    assert_eq!(shown["retrieval"]["fusion"], "rank");
    let best = tool.json(&["search", "pump", "--json"])["hits"][0]["score"].as_f64().unwrap();
    assert!(best < 0.1, "reciprocal ranks are small: {best}");
    let text = tool.run(&["collection", "show", "default"]).stdout;
    assert!(text.contains("fusion=rank"), "{text}");
    let shown = tool.json(&[&set[..], &["fusion=", "dense_weight="]].concat());
    assert_eq!(shown["retrieval"], json!({}));
    for (wrong, part) in [
        ("color=red", "unknown field `color`"),
        ("color=", "no setting `color`"),
        ("dense_weight=-1", "`dense_weight` is not"),
        ("fusion=best", "unknown variant `best`"),
        ("fusion", "is not NAME=VALUE"),
    ] {
        let ran = tool.run(&[&set[..], &[wrong]].concat());
        assert_eq!(ran.status, 2, "{wrong}");
        assert!(ran.stderr.contains(part), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn a_reranker_that_is_away_leaves_the_rest() {
    let tool = Tool::with_documents();
    tool.json(&["ingest", "docs", "--json"]);
    let mut command = tool.command(&["search", "pump pressure", "--json"]);
    command.env("VELLUM_RERANKER_MODEL", "http://127.0.0.1:9");
    let ran = command.output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(found["hits"][0]["source"], "pump.txt");
    assert!(found["notes"][0].as_str().unwrap().contains("the reranker did not answer"), "{found}");

    let folder = crate::tool::root().join("crates/vellum-inference/tests/reranker");
    let mut command = tool.command(&["search", "pump pressure", "--json"]);
    command.env("VELLUM_RERANKER_MODEL", folder.canonicalize().unwrap());
    let ran = command.output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let hits = found["hits"].as_array().unwrap();
    assert!(hits.iter().all(|hit| hit["scores"]["rerank"] == hit["score"]), "{found}");
    assert!(found["notes"].is_null());
}
