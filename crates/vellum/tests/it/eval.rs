//! `vellum eval`: what it measures, keeps and compares, and the gate of the handbook.

use crate::tool::{Tool, root};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vellum_rag::eval::compare;
use vellum_rag::eval::experiment::{Experiment, Part};

/// A dataset of two documents and two questions below `docs/set`.
fn with_dataset() -> Tool {
    let tool = Tool::new();
    tool.write("set/corpus.jsonl", "{\"_id\":\"d1\",\"title\":\"\",\"text\":\"The pump limit is 7 bar.\"}\n{\"_id\":\"d2\",\"text\":\"Leave is 25 days a year.\"}\n");
    tool.write(
        "set/queries.jsonl",
        "{\"_id\":\"q1\",\"text\":\"pump limit\"}\n{\"_id\":\"q2\",\"text\":\"days of leave\"}\n",
    );
    tool.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n");
    tool
}

fn kept(tool: &Tool, report: &Value) -> Experiment {
    let file = format!("evals/{}.json", report["id"].as_str().unwrap());
    Experiment::from_json(&std::fs::read(tool.data().join(file)).unwrap()).unwrap()
}

#[test]
fn a_dataset_is_scored() {
    let tool = with_dataset();
    let run = tool.docs().join("run.txt");
    let (html, csv) = (tool.docs().join("report.html"), tool.docs().join("values.csv"));
    let report = tool.json(&[
        "eval",
        "--dataset",
        "docs/set",
        "--k",
        "2",
        "--json",
        "--run",
        run.to_str().unwrap(),
        "--report",
        html.to_str().unwrap(),
        "--csv",
        csv.to_str().unwrap(),
    ]);
    for mode in ["hybrid", "dense", "sparse"] {
        let scores = &report["modes"][mode];
        assert_eq!(scores["ndcg_at_10"], json!(1.0), "{report}");
        assert_eq!(scores["precision_at_2"], json!(0.5), "{report}");
        assert_eq!(scores["intervals"]["mrr_at_10"], json!([1.0, 1.0]), "{report}");
        assert!(scores["latency_ms"]["p95"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert_eq!((&report["documents"], &report["queries"]), (&json!(2), &json!(2)));
    let run = std::fs::read_to_string(run).unwrap();
    let first: Vec<&str> = run.lines().next().unwrap().split(' ').collect();
    assert_eq!(
        (first[0], first[1], first[2], first[3], first[5]),
        ("q1", "Q0", "d1", "1", "vellum-hybrid")
    );
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains("<svg") && html.contains("set"), "{html}");
    for foreign in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let csv = std::fs::read_to_string(csv).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 3 * 2, "{csv}");
    assert!(lines[0].starts_with("part,query_id,query,first_documents,hit_rate_at_10"), "{csv}");
    assert!(lines[1].starts_with("hybrid,q1,pump limit,d1 d2,1,"), "{csv}");
}

#[test]
fn experiments_are_kept_and_compared() {
    let tool = with_dataset();
    let eval = |args: &[&str]| tool.run(&[&["eval"], args].concat());
    let first = eval(&["--dataset", "docs/set", "--name", "before", "--json"]);
    assert_eq!(first.status, 0, "{first:?}");
    assert!(!first.stderr.contains("earlier evaluation"), "{first:?}");
    let before = kept(&tool, &first.json());

    // Only how is searched changes, so nothing is ingested again.
    let mut other = tool.command(&["eval", "--dataset", "docs/set", "--mode", "sparse", "--json"]);
    let second = crate::tool::run(other.env("VELLUM_RETRIEVAL_LEG_LIMIT", "7"));
    assert!(second.stderr.contains("the index of an earlier evaluation is used"), "{second:?}");
    let second = second.json();
    assert_eq!(second["setup"]["retrieval"]["leg_limit"], json!(7));
    assert_ne!(second["setup_digest"], json!(before.setup_digest));
    assert_eq!(second["modes"]["sparse"]["ndcg_at_10"], json!(1.0));

    let list = eval(&["list", "--json"]).json();
    assert_eq!(list["experiments"].as_array().unwrap().len(), 2);
    assert_eq!(list["experiments"][1]["name"], json!("before"));
    let shown = eval(&["show", &before.id[..4], "--json"]).json();
    assert_eq!(shown["modes"], first.json()["modes"]);

    let id = second["id"].as_str().unwrap();
    let same = eval(&["compare", "before", id, "--json"]);
    assert_eq!(same.status, 0, "{same:?}");
    assert_eq!(same.json()["verdict"], json!("undecided"));
    assert_eq!(same.json()["part"], json!("sparse"));

    // One that finds nothing is worse, and the exit status says so.
    let mut worse = before;
    let hybrid: &mut Part = worse.parts.get_mut("hybrid").unwrap();
    hybrid.values.insert("ndcg_at_10".to_owned(), vec![Some(0.0); 2]);
    hybrid.first = vec![vec!["d2".to_owned()], vec!["d1".to_owned()]];
    let worse = worse.named(Some("worse".to_owned()));
    let file = tool.write("worse.json", worse.to_json());
    let ran = eval(&["compare", "before", file.to_str().unwrap()]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for part in ["Worse: ndcg_at_10 of hybrid -1.0000", "pump limit", "was: d1, d2", "is:  d2"] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let better = eval(&["compare", file.to_str().unwrap(), "before", "--json"]).json();
    assert_eq!((&better["verdict"], &better["gained"][0]["b"]), (&json!("better"), &json!(1.0)));

    // As a step of CI: measure and compare in one go.
    let gate = eval(&["--dataset", "docs/set", "--baseline", file.to_str().unwrap(), "--json"]);
    assert_eq!((gate.status, &gate.json()["comparison"]["verdict"]), (0, &json!("better")));

    tool.write("set/qrels/test.tsv", "q1\td1\t1\nq2\td2\t2\n");
    let other = eval(&["--dataset", "docs/set", "--baseline", "before"]);
    assert_eq!(other.status, 2, "{other:?}");
    assert!(other.stderr.contains("made on another dataset"), "{other:?}");
    let other = eval(&["--dataset", "docs/set", "--mode", "sparse", "--json"]).json();
    let other = eval(&["compare", "before", other["id"].as_str().unwrap()]);
    assert_eq!(other.status, 2, "{other:?}");
    assert!(other.stderr.contains("queries or judgements differ"), "{other:?}");

    assert_eq!(eval(&["delete", "before"]).status, 0);
    let gone = eval(&["show", "before"]);
    assert_eq!(gone.status, 2, "{gone:?}");
    assert!(gone.stderr.contains("there is no experiment `before`"), "{gone:?}");
}

/// What the gate watches.
const WATCHED: [(&str, &[&str]); 4] = [
    ("hybrid", &["ndcg_at_10", "recall_at_5", "mrr_at_10", "evidence_recall_at_5"]),
    ("dense", &["ndcg_at_10"]),
    ("sparse", &["ndcg_at_10"]),
    ("answers", &["answered", "first_citation_holds", "refused"]),
];

/// The gate of the handbook: retrieval and answers must not fall below the intervals of `baseline.json`, nor be worse
/// on the same questions. `UPDATE=1` makes what is now the baseline.
#[test]
fn the_handbook_evaluation_holds() {
    let tool = Tool::new();
    let dataset = root().join("eval/handbook").canonicalize().unwrap();
    let run = tool.docs().join("run.txt");
    let report = tool.json(&[
        "eval",
        "--dataset",
        dataset.to_str().unwrap(),
        "--json",
        "--run",
        run.to_str().unwrap(),
    ]);
    let now = kept(&tool, &report);
    let file = dataset.join("baseline.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, [&watched(&now).to_json()[..], b"\n"].concat()).unwrap();
    }
    let baseline = Experiment::from_json(&std::fs::read(&file).unwrap()).unwrap();
    for (part, metrics) in WATCHED {
        let known: Vec<&String> = baseline.parts[part].means.keys().collect();
        assert_eq!(known.len(), metrics.len(), "{part} has {known:?}; UPDATE=1 makes it anew");
    }
    let falls = compare::falls(&baseline, &now).unwrap();
    let story: Vec<String> = falls.iter().map(describe).collect();
    assert!(falls.is_empty(), "{}", story.join("\n"));

    // A baseline that is out of reach fails, and names what was lost.
    let mut high = baseline;
    let sparse: &mut Part = high.parts.get_mut("sparse").unwrap();
    let values = sparse.values.get_mut("ndcg_at_10").unwrap();
    values.iter_mut().flatten().for_each(|value| *value = 1.0);
    sparse.means.get_mut("ndcg_at_10").unwrap().low = 1.0;
    let falls = compare::falls(&high, &now).unwrap();
    assert_eq!(falls.len(), 1);
    assert!(falls[0].lost.len() > 5 && falls[0].lost[0].difference() <= -0.5, "{falls:?}");

    match python_with_trec_eval() {
        Some(python) => agree_with_trec_eval(&now, &std::fs::read_to_string(run).unwrap(), &python),
        None => eprintln!("skipped: pytrec_eval is missing; `cargo xtask test` installs it"),
    }
}

/// Returns what the gate watches of an experiment: the same whenever and wherever it is made.
fn watched(now: &Experiment) -> Experiment {
    let mut kept = Experiment { created_ms: 0, ..now.clone() };
    kept.parts.retain(|name, _| WATCHED.iter().any(|(part, _)| name == part));
    for (name, metrics) in WATCHED {
        let part = kept.parts.get_mut(name).unwrap();
        let is_watched = |metric: &String| metrics.contains(&metric.as_str());
        part.means.retain(|metric, _| is_watched(metric));
        part.values.retain(|metric, _| is_watched(metric));
        part.latencies_ms.clear();
        if name != "hybrid" {
            part.first.clear();
        }
    }
    kept.named(Some("baseline".to_owned()))
}

fn describe(fall: &compare::Fall) -> String {
    let compare::Fall { part, metric, was, paired, lost } = fall;
    let mut text = format!(
        "{part} {metric}: {:.4}, was {:.4} ({:.4} to {:.4}), difference {:+.4}, p = {:.4}; worse now:",
        paired.b, was.mean, was.low, was.high, paired.difference, paired.p
    );
    for change in lost.iter().take(10) {
        text.push_str(&format!(
            "\n  {:+.3} {} {} (was {:?}, is {:?})",
            change.difference(),
            change.query,
            change.text,
            change.first_a,
            change.first_b
        ));
    }
    text
}

fn python_with_trec_eval() -> Option<PathBuf> {
    let python = root().join("target/tests/venv/bin/python");
    let probe = Command::new(&python).args(["-c", "import pytrec_eval"]).output();
    probe.is_ok_and(|output| output.status.success()).then_some(python)
}

/// Fails unless trec_eval finds the same figures in the run file.
fn agree_with_trec_eval(now: &Experiment, run: &str, python: &Path) {
    let mut runs: HashMap<&str, HashMap<&str, f64>> = HashMap::new();
    for line in run.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        runs.entry(fields[0]).or_default().insert(fields[2], fields[4].parse().unwrap());
    }
    let judged = std::fs::read_to_string(root().join("eval/handbook/qrels/test.tsv")).unwrap();
    let mut qrels: HashMap<&str, HashMap<&str, i64>> = HashMap::new();
    for line in judged.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        qrels.entry(fields[0]).or_default().insert(fields[1], fields[2].parse().unwrap());
    }
    let script = include_str!("../../../vellum-rag/tests/trec_eval.py");
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let data = json!({ "qrels": qrels, "run": runs }).to_string();
    child.stdin.take().unwrap().write_all(data.as_bytes()).unwrap();
    let theirs: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let mut compared = 0;
    for (ours, trec) in [
        ("ndcg_at_10", "ndcg_cut_10"),
        ("recall_at_5", "recall_5"),
        ("precision_at_5", "P_5"),
        ("map_at_100", "map_cut_100"),
        ("mrr_at_100", "recip_rank"),
        ("hit_rate_at_1", "success_1"),
    ] {
        let values = &now.parts["hybrid"].values[ours];
        for (query, value) in now.queries.iter().zip(values) {
            let Some(value) = value else { continue };
            let found = theirs[&query.id][trec].as_f64().unwrap();
            assert!((value - found).abs() <= 1e-6, "{} {ours}: {value}, {found}", query.id);
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * now.dataset.queries);
}
