//! `vellum tune`: studies that go on after a kill, one at a time, spaces that are refused, trials as Katib and MLflow
//! have them.

use crate::tool::{Tool, root};
use serde_json::Value;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SPACE: &str = r#"
[collection]
max_tokens = { list = [32, 64, 128] }

[retrieval]
fusion = { list = ["score", "rank"] }
dense_weight = { min = 0.1, max = 0.9, step = 0.1, when = { "retrieval.fusion" = "score" } }
"#;

/// A dataset of twenty documents with a question each, and a space.
fn with_dataset() -> Tool {
    let tool = Tool::new();
    let (mut corpus, mut queries, mut qrels) =
        (String::new(), String::new(), "query-id\tcorpus-id\tscore\n".to_owned());
    let parts = ["valve", "pump", "rotor", "seal", "gauge"];
    for n in 0..20 {
        let part = parts[n % 5];
        let text = format!(
            "The {part} of line {n} is rated for {} bar. It is serviced every {} days by team {}. \
             Before the {part} is opened, the line is drained and the pressure is read twice. \
             Parts for it are kept in store {}. Orders go to the purchasing desk on Mondays.",
            n * 3 + 2,
            n + 7,
            n % 4,
            n / 3,
        );
        corpus.push_str(&format!("{{\"_id\":\"d{n}\",\"text\":{}}}\n", Value::from(text)));
        queries.push_str(&format!(
            "{{\"_id\":\"q{n}\",\"text\":\"how many bar may the {part} of line {n} have\"}}\n"
        ));
        qrels.push_str(&format!("q{n}\td{n}\t1\n"));
    }
    tool.write("set/corpus.jsonl", corpus);
    tool.write("set/queries.jsonl", queries);
    tool.write("set/qrels/test.tsv", qrels);
    tool.write("space.toml", SPACE);
    tool
}

const STUDY: [&str; 9] =
    ["tune", "--dataset", "docs/set", "--space", "docs/space.toml", "--jobs", "1", "--seed", "7"];

/// What a study must give whenever it is run: settings, outcomes and the comparison, without times and sizes.
fn essence(study: &Value) -> Value {
    let trials = study["trials"].as_array().unwrap().iter();
    let trials: Vec<Value> = trials
        .map(|trial| serde_json::json!([trial["settings"], trial["state"], trial["value"]]))
        .collect();
    serde_json::json!([study["study"], trials, study["best"]["trial"], study["held_out"]])
}

/// The journal of the only study.
fn journal(tool: &Tool) -> String {
    let studies = std::fs::read_dir(tool.data().join("tune"));
    let entries = studies.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("journal.jsonl")).ok())
        .collect()
}

fn ended(tool: &Tool) -> usize {
    journal(tool).matches("\"record\":\"ended\"").count()
}

/// Waits until a study has ended so many trials.
fn wait_for(tool: &Tool, child: &mut Child, trials: usize) {
    let start = Instant::now();
    while ended(tool) < trials {
        assert!(start.elapsed() < Duration::from_secs(120), "trials end");
        assert!(child.try_wait().unwrap().is_none(), "the study is over");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(tool: &Tool, args: &[&str]) -> Child {
    let mut command = tool.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_study_goes_on_after_a_kill_and_ends_as_if_it_had_not_been() {
    let study = [&STUDY[..], &["--trials", "14", "--json"]].concat();
    let whole = with_dataset().json(&study);
    assert_eq!(whole["trials"].as_array().unwrap().len(), 15);
    assert_eq!(whole["queries"], serde_json::json!({ "search": 14, "held_out": 6 }));
    assert_eq!(whole["held_out"]["queries"], 6);
    assert!(whole["pareto"].as_array().unwrap().iter().all(Value::is_u64), "{whole}");
    assert!(whole["trial_cost"]["full_ingest_embedded"].as_f64().unwrap() > 0.9, "{whole}");
    assert!(whole["trial_cost"]["chunking_trials"].as_u64().unwrap() >= 1, "{whole}");

    let tool = with_dataset();
    for trials in [1, 4, 9] {
        let mut child = start(&tool, &study);
        wait_for(&tool, &mut child, trials);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let kept = ended(&tool);
    assert!((9..15).contains(&kept), "{kept}");
    let resumed = tool.json(&study);
    assert_eq!(essence(&resumed), essence(&whole));
    assert_eq!(ended(&tool), 15);

    // The study is over: the same command tells its result and measures nothing.
    let before = journal(&tool);
    let report = tool.docs().join("report.html");
    let again = [&study[..], &["--report", report.to_str().unwrap()]].concat();
    assert_eq!(essence(&tool.json(&again)), essence(&whole));
    assert_eq!(journal(&tool), before);
    let report = std::fs::read_to_string(report).unwrap();
    assert_eq!(report.matches("<svg").count(), 3);
    assert!(report.contains("retrieval.dense_weight"), "{report}");
}

#[test]
fn one_study_is_run_by_one_process() {
    let tool = with_dataset();
    let study = [&STUDY[..], &["--trials", "40"]].concat();
    let mut first = start(&tool, &study);
    wait_for(&tool, &mut first, 1);
    // Held, so that it cannot be over before the second one looks.
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let second = tool.run(&study);
    assert_eq!(second.status, 2, "{second:?}");
    let pid = first.id();
    assert!(
        second.stderr.contains(&format!("is being run by another vellum (pid {pid})")),
        "{second:?}"
    );
    // Another study may run beside it.
    let other = ["tune", "--dataset", "docs/set", "--space", "docs/space.toml", "--seed", "8"];
    let other = tool.run(&[&other[..], &["--trials", "2"]].concat());
    assert_eq!(other.status, 0, "{other:?}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_space_that_cannot_be_is_refused_before_anything_is_made() {
    let tool = with_dataset();
    let check = |space: &str, args: &[&str], expect: &str| {
        tool.write("bad.toml", space);
        let command = ["tune", "--dataset", "docs/set", "--space", "docs/bad.toml"];
        let ran = tool.run(&[&command[..], args].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(expect), "{ran:?}");
    };
    check(
        "[retrieval]\ndense_wait = { min = 0, max = 1 }",
        &[],
        "docs/bad.toml line 2: `retrieval.dense_wait` is no parameter that can be tuned\nhint: did you mean `retrieval.dense_weight`?",
    );
    check("[retrieval]\nleg_limit = { min = 9, max = 3 }", &[], "has an empty range");
    check(
        "[retrieval]\ndense_weight = { min = 0, max = 1 }",
        &["--algorithm", "grid"],
        "`retrieval.dense_weight`, which has no step",
    );
    check(SPACE, &["--metric", "ndgc_at_10"], "no query of dataset `set` has the metric");
    check(SPACE, &["--metric", "evidence_recall_at_5"], "no query of dataset `set`");
    check(SPACE, &["--metric", "ndcg"], "does not end in `_at_`");
    check(SPACE, &["--held-out", "0.1"], "20 queries with answers are too few");
    check(SPACE, &["--trials", "0"], "--trials");
    assert_eq!(journal(&tool), "");
}

#[test]
fn a_trial_prints_lines_for_katib() {
    let tool = with_dataset();
    let trial = |settings: &str| {
        tool.run(&[
            "tune",
            "--dataset",
            "docs/set",
            "--space",
            "docs/space.toml",
            "--trial-settings",
            settings,
        ])
    };
    let ran = trial("collection.max_tokens=64,retrieval.fusion=rank,retrieval.dense_weight=0.3");
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines: Vec<(&str, &str)> =
        ran.stdout.lines().map(|line| line.split_once('=').unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ndcg_at_10", "latency_p95_ms", "index_bytes", "chunks"]);
    for (name, value) in &lines {
        // What Katib's default filter takes: digits, a point, an exponent.
        assert!(
            value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)),
            "{name}={value}"
        );
        assert!(value.parse::<f64>().unwrap().is_finite());
    }
    let wrong = trial("collection.max_tokens=8");
    assert_eq!(wrong.status, 2);
    assert!(
        wrong.stderr.contains("`collection.max_tokens` must be a whole number in 16"),
        "{wrong:?}"
    );
}

#[test]
fn the_space_is_an_experiment_of_katib() {
    let tool = with_dataset();
    let ran = tool.run(&[
        "tune",
        "--space",
        "docs/space.toml",
        "--render-katib",
        "--trials",
        "12",
        "--jobs",
        "2",
    ]);
    assert_eq!(ran.status, 0, "{ran:?}");
    insta::assert_snapshot!(ran.stdout);
}

/// MLflow's server; `None` where it is not installed, which `cargo xtask test` does.
fn mlflow(tool: &Tool) -> Option<(Child, String)> {
    let program = root().join("target/tests/venv/bin/mlflow");
    if !program.is_file() {
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = format!("sqlite:///{}", tool.docs().join("mlflow.db").display());
    let child = Command::new(program)
        .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
        .args(["--backend-store-uri", &store])
        .args(["--default-artifact-root", tool.docs().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(120), "MLflow starts");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some((child, format!("http://127.0.0.1:{port}")))
}

#[test]
fn trials_are_runs_of_mlflow_each_once() {
    let tool = with_dataset();
    let Some((mut server, address)) = mlflow(&tool) else {
        eprintln!("skipped: MLflow is not installed; `cargo xtask test` does that");
        return;
    };
    let run = |trials: &str| {
        let mut command = tool.command(&[&STUDY[..], &["--trials", trials, "--json"]].concat());
        crate::tool::run(command.env("MLFLOW_TRACKING_URI", &address))
    };
    let first = run("3");
    assert_eq!(first.status, 0, "{first:?}");
    assert!(!first.stderr.contains("not all trials were logged"), "{first:?}");
    // What is there already is not sent again.
    let study = run("5").json();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let settings = vellum_backends::MlflowSettings::read(&address, |_| None).unwrap();
        let mlflow = vellum_backends::Mlflow::new(settings).unwrap();
        let experiment = mlflow.experiment("vellum").await.unwrap();
        let id = study["study"].as_str().unwrap();
        let mut trials =
            mlflow.find(&experiment, ("vellum.study", id), "vellum.trial").await.unwrap();
        trials.sort();
        trials
    });
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    server.wait().unwrap();
    assert_eq!(found, ["0", "1", "2", "3", "4", "5"]);
}
