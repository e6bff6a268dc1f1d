//! The main job: ingest, search, ask, follow changes.

use crate::tool::{Tool, root};
use serde_json::{Value, json};

#[test]
fn ingest_search_ask_and_follow() {
    let tool = Tool::with_documents();
    let first = tool.json(&["ingest", "docs", "--json"]);
    assert_eq!((&first["added"], &first["listed"]), (&json!(3), &json!(3)));
    assert!(first["peak_rss_mb"].as_f64().unwrap() > 0.0 || cfg!(not(target_os = "linux")));

    let found = tool.json(&["search", "pump pressure", "--json"]);
    let hit = &found["hits"][0];
    assert_eq!(
        (&hit["rank"], &hit["source"], &hit["page"]),
        (&json!(1), &json!("pump.txt"), &Value::Null)
    );
    for key in ["score", "scores", "chunk_id", "uri", "start", "end", "text"] {
        assert!(!hit[key].is_null(), "{key} in {hit}");
    }

    let answer = tool.json(&["ask", "What is the pump pressure limit?", "--json"]);
    assert_eq!((&answer["refused"], &answer["generator"]), (&json!(false), &json!("extractive")));
    let citation = &answer["citations"][0];
    assert_eq!(citation["text"], "The pump pressure limit is 7 bar.");
    assert_eq!(
        (&citation["n"], &citation["start"], &citation["end"]),
        (&json!(1), &json!(0), &json!(33))
    );
    assert!(answer["timings_ms"]["total"].as_f64().unwrap() > 0.0);

    let digest = tool.digest();
    let again = tool.json(&["ingest", "docs", "--json"]);
    assert_eq!(
        (&again["unchanged"], &again["embedded"], &again["chunks"]),
        (&json!(3), &json!(0), &json!(0))
    );
    assert_eq!(tool.digest(), digest);

    tool.write("pump.txt", "The pump was replaced by a turbine of 9 bar.\n");
    std::fs::remove_file(tool.docs().join("leave.md")).unwrap();
    let changed = tool.json(&["ingest", "docs", "--json"]);
    assert_eq!((&changed["updated"], &changed["removed"]), (&json!(1), &json!(1)));
    let text = tool.run(&["search", "annual leave pump pressure", "--json"]).stdout;
    assert!(!text.contains("25 days") && !text.contains("7 bar"), "{text}");
}

#[test]
fn refusals_and_empty_results_exit_with_1() {
    let tool = Tool::with_documents();
    tool.json(&["ingest", "docs", "--json"]);
    let ran = tool.run(&["ask", "Who won the football world cup in 1974?", "--json"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!((&ran.json()["refused"], &ran.json()["citations"]), (&json!(true), &json!([])));
    assert_eq!(tool.run(&["search", "zzzzqqq", "--mode", "sparse"]).status, 1);
}

#[test]
fn the_handbook_with_its_pdfs() {
    let tool = Tool::new();
    let handbook = root().join("examples/handbook").canonicalize().unwrap();
    let report = tool.json(&["ingest", handbook.to_str().unwrap(), "--json"]);
    assert_eq!((&report["rejected"], &report["failed"]), (&json!([]), &json!([])), "{report}");
    assert!(report["added"].as_u64().unwrap() >= 25 && report["pages"].as_u64().unwrap() >= 15);
    let answer = tool.json(&["ask", "When was the datasheet DS-TW-2026-03 issued?", "--json"]);
    let citation = &answer["citations"][0];
    assert_eq!(citation["source"], "tw-series-datasheet.pdf", "{answer}");
    assert!(citation["page"].as_u64().unwrap() >= 1);
}

#[test]
fn human_output_is_for_humans() {
    let tool = Tool::with_documents();
    let ran = tool.run(&["ingest", "docs"]);
    assert_eq!(ran.status, 0);
    assert!(ran.stdout.starts_with("3 documents in "), "{ran:?}");
    let ran = tool.run(&["ask", "What is the pump pressure limit?"]);
    insta::assert_snapshot!(ran.stdout, @r#"
    The pump pressure limit is 7 bar. [1]

    [1] pump.txt
        "The pump pressure limit is 7 bar."
    "#);
    let ran = tool.run(&["collection", "list"]);
    assert!(ran.stdout.contains("default") && ran.stdout.contains("NAME"), "{ran:?}");
    let check = tool.run(&["check"]);
    assert_eq!(check.status, 0, "{check:?}");
    let checks = tool.json(&["check", "-o", "json"]);
    assert_eq!(checks["ok"], json!(true));
    let config = tool.run(&["config", "show"]);
    assert!(config.stdout.contains("# environment VELLUM_DATA_DIR"), "{}", config.stdout);
    assert!(config.stdout.parse::<toml::Table>().is_ok());
}
