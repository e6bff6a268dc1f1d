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
    check(
        SPACE,
        &["--metric", "evidence_recall_at_top_k"],
        "no query of dataset `set` has the metric",
    );
    check("[retrieval]\ntop_k = { list = [0] }", &[], "in 1 to 1000");
    check(
        "[retrieval]\nmmr = { list = [true, \"yes\"] }",
        &[],
        "`retrieval.mmr` must be true or false",
    );
    check(SPACE, &["--force"], "--save");
    check(SPACE, &["--save", "x", "--study", "y"], "cannot be used with");
    check(SPACE, &["--held-out", "0.1"], "20 queries with answers are too few");
    check(SPACE, &["--trials", "0"], "--trials");
    assert_eq!(journal(&tool), "");
}

/// A tool with a collection of some documents, and a study whose winner is better on every query: nothing is found without words.
fn to_be_saved(space: &str) -> Tool {
    let tool = with_dataset();
    tool.write(
        "live/a.txt",
        "The valve of line 3 is rated for 11 bar. It is serviced every 10 days.",
    );
    tool.write(
        "live/b.txt",
        "The pump of line 4 is rated for 14 bar. It is serviced every 11 days.",
    );
    tool.json(&["ingest", "docs/live", "--json"]);
    tool.write(
        "../vellum.toml",
        "[retrieval]\nfusion = \"rank\"\ndense_weight = 0.0\nsparse_weight = 0.0\n",
    );
    tool.write("space.toml", space);
    tool
}

const SAVED: [&str; 11] = [
    "tune",
    "--dataset",
    "docs/set",
    "--space",
    "docs/space.toml",
    "--algorithm",
    "grid",
    "--held-out",
    "0.5",
    "--save",
    "default",
];

const WINNING: &str = "[retrieval]\nsparse_weight = { list = [1.0] }\nmmr = { list = [false] }\n";

fn shown(tool: &Tool) -> (Value, Value) {
    let shown = tool.json(&["collection", "show", "--json"]);
    (shown["index_version"].clone(), shown["retrieval"].clone())
}

#[test]
fn a_winner_that_cuts_otherwise_becomes_a_version_with_its_way_of_searching() {
    let space = format!("[collection]\nmax_tokens = {{ list = [64] }}\n{WINNING}");
    let tool = to_be_saved(&space);
    tool.json(&["collection", "set", "default", "leg_limit=50", "--json"]);
    let before = shown(&tool);
    let told = tool.json(&[&SAVED[..], &["--json"]].concat());
    assert_eq!(told["held_out"]["verdict"], "better", "{told}");
    let saved = &told["saved"];
    let version = saved["version"]["version"].as_str().unwrap();
    assert_eq!(saved["version"]["state"], "ready", "{saved}");
    assert_eq!(saved["version"]["splitter"]["max_tokens"], 64);
    let retrieval = serde_json::json!({ "sparse_weight": 1.0, "mmr": false });
    assert_eq!(saved["version"]["retrieval"], retrieval);
    let promote = format!("vellum collection promote default {version}");
    assert_eq!(saved["next"][0], promote.as_str());
    assert_eq!(shown(&tool), before, "nothing changes before it is promoted");

    // Through a server, and again: what is there is found, and nothing is measured.
    let server = tool.serve(&["serve"]);
    let journal_before = journal(&tool);
    let ran = tool.run(&SAVED);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains(&promote), "{ran:?}");
    assert!(ran.stdout.contains("sparse_weight=1.0"), "{ran:?}");
    assert_eq!(journal(&tool), journal_before);
    let study = told["study"].as_str().unwrap();
    let by_id = ["tune", "--save", "default", "--study", &study[..8], "--json"];
    assert_eq!(tool.json(&by_id)["saved"]["version"]["version"], version);
    tool.json(&["collection", "promote", "default", version, "--json"]);
    assert_eq!(shown(&tool), (version.into(), retrieval.clone()));
    // It is live now, so saving it again changes nothing.
    let again = tool.json(&by_id);
    assert_eq!(
        (&again["saved"]["version"], &again["saved"]["retrieval"]),
        (&Value::Null, &retrieval)
    );
    tool.json(&["collection", "rollback", "default", "--json"]);
    assert_eq!(shown(&tool), before, "it went with its version");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_winner_that_only_searches_otherwise_is_set_for_the_live_version() {
    let tool = to_be_saved(WINNING);
    tool.json(&["collection", "set", "default", "leg_limit=50", "--json"]);
    let ran = tool.run(&SAVED);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("the live version of default is cut so already"), "{ran:?}");
    assert!(ran.stdout.contains("again as the settings say: leg_limit"), "{ran:?}");
    let retrieval = serde_json::json!({ "sparse_weight": 1.0, "mmr": false });
    assert_eq!(shown(&tool).1, retrieval);
    let list = tool.json(&["collection", "versions", "--json"]);
    assert_eq!(list["versions"].as_array().unwrap().len(), 1);
    assert_eq!(list["versions"][0]["retrieval"], retrieval);
}

#[test]
fn a_kill_amid_saving_loses_nothing() {
    let space = format!("[collection]\nmax_tokens = {{ list = [64] }}\n{WINNING}");
    let tool = to_be_saved(&space);
    let before = shown(&tool);
    let study = tool.json(&[&SAVED[..9], &["--json"]].concat());
    let records = journal(&tool);
    for ms in [50, 120, 200, 300, 450] {
        let mut child = start(&tool, &SAVED);
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(shown(&tool), before, "killed after {ms} ms");
    }
    let told = tool.json(&[&SAVED[..], &["--json"]].concat());
    assert_eq!((&told["study"], journal(&tool)), (&study["study"], records));
    let version = &told["saved"]["version"];
    assert_eq!((&version["state"], &version["documents"]), (&"ready".into(), &2.into()), "{told}");
    let list = tool.json(&["collection", "versions", "--json"]);
    assert_eq!(list["versions"].as_array().unwrap().len(), 2, "{list}");
}

#[test]
fn what_cannot_be_saved_is_said() {
    let tool = to_be_saved(
        "[retrieval]\ndense_weight = { list = [0.0] }\n[index]\ngraph_from = { list = [2000] }\n",
    );
    // Before anything is measured.
    let mut unknown = SAVED;
    unknown[10] = "nowhere";
    let refused = tool.run(&unknown);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("collection `nowhere` does not exist"), "{refused:?}");
    assert_eq!(journal(&tool), "");

    let refused = tool.run(&[&SAVED[..], &["--json"]].concat());
    assert_eq!(refused.status, 1, "{refused:?}");
    let told = refused.json();
    assert_eq!((&told["saved"], &told["held_out"]["confirmed"]), (&Value::Null, &false.into()));
    let refused = tool.run(&SAVED);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("was not saved\nhint: `--force`"), "{refused:?}");
    assert_eq!(shown(&tool).1, serde_json::json!({}));

    let study = told["study"].as_str().unwrap();
    let by_id =
        |more: &[&str]| tool.run(&[&["tune", "--save", "default", "--study"], more].concat());
    assert_eq!(by_id(&[study]).status, 1);
    assert_eq!(by_id(&[study, "--force"]).status, 0);
    let strange = by_id(&["0000"]);
    assert!(
        strange.status == 2 && strange.stderr.contains("there is no study `0000`"),
        "{strange:?}"
    );
    tool.write("../vellum.toml", "[retrieval]\ndense_weight = 0.5\n");
    let changed = by_id(&[study]);
    assert!(
        changed.status == 2 && changed.stderr.contains("changed since the study"),
        "{changed:?}"
    );

    let lock = std::fs::File::open(tool.data().join("tune").join(study).join("lock")).unwrap();
    lock.try_lock().unwrap();
    let running = by_id(&[study, "--force"]);
    assert!(running.status == 2 && running.stderr.contains("is being run"), "{running:?}");
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
    tool.write(
        "space.toml",
        "[retrieval]\nmmr = { list = [true, false] }\ntop_k = { list = [3, 8] }\n\
         mmr_lambda = { min = 0, max = 1, when = { \"retrieval.mmr\" = true } }\n",
    );
    let ran = trial("retrieval.mmr=true,retrieval.top_k=3,retrieval.mmr_lambda=0.5");
    assert_eq!(ran.status, 0, "{ran:?}");
    let katib = tool.run(&["tune", "--space", "docs/space.toml", "--render-katib"]).stdout;
    for part in [
        "name: retrieval.mmr\n",
        "parameterType: categorical",
        "- \"true\"",
        "retrieval.top_k=${trial",
    ] {
        assert!(katib.contains(part), "{part}: {katib}");
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
