//! The client of MLflow against MLflow itself, in a process of its own; and against what is no MLflow.

use crate::site::{Reply, Site};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vellum_backends::{Mlflow, MlflowRun, MlflowSettings};
use vellum_core::ErrorKind;

/// MLflow's server with a store of its own; it ends with its owner.
struct Server {
    address: String,
    child: Child,
    _store: tempfile::TempDir,
}

impl Server {
    /// Starts MLflow; `None` where it is not installed, which `cargo xtask test` does.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program: PathBuf = root.join("target/tests/venv/bin/mlflow");
        if !program.is_file() {
            return None;
        }
        let store = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = |name: &str| store.path().join(name).to_string_lossy().into_owned();
        let child = Command::new(program)
            .args(["server", "--host", "127.0.0.1", "--workers", "1"])
            .args(["--port", &port.to_string()])
            .args(["--backend-store-uri", &format!("sqlite:///{}", file("mlflow.db"))])
            .args(["--default-artifact-root", &file("artifacts")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { address: format!("127.0.0.1:{port}"), child, _store: store };
        let start = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(120), "MLflow starts");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers are children of its own, and end with it when it is asked to.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn client(address: &str) -> Mlflow {
    let settings = MlflowSettings::read(&format!("http://{address}"), |_| None).unwrap();
    Mlflow::new(settings).unwrap()
}

fn tags(trial: usize) -> BTreeMap<String, String> {
    [("vellum.study", "s1".to_owned()), ("vellum.trial", trial.to_string())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

#[tokio::test]
async fn runs_are_kept_with_all_they_have() {
    let Some(server) = Server::start() else {
        eprintln!("skipped: MLflow is not installed; `cargo xtask test` does that");
        return;
    };
    let mlflow = client(&server.address);
    let experiment = mlflow.experiment("vellum/täglich").await.unwrap();
    assert_eq!(mlflow.experiment("vellum/täglich").await.unwrap(), experiment);
    // More than one call may carry.
    let params = (0..250).map(|n| (format!("retrieval.p{n}"), n.to_string())).collect();
    let metrics = (0..1_010).map(|n| (format!("m{n}"), f64::from(n) / 8.0)).collect();
    let run = MlflowRun {
        name: "trial 3".to_owned(),
        tags: tags(3),
        params,
        metrics,
        succeeded: true,
        span_ms: (1_700_000_000_000, 1_700_000_001_500),
    };
    let id = mlflow.log(&experiment, &run).await.unwrap();
    mlflow
        .log(&experiment, &MlflowRun { name: "no".to_owned(), tags: tags(4), ..Default::default() })
        .await
        .unwrap();
    let other: BTreeMap<String, String> = [("vellum.study".to_owned(), "s2".to_owned())].into();
    mlflow.log(&experiment, &MlflowRun { tags: other, ..Default::default() }).await.unwrap();
    let mut found = mlflow.find(&experiment, ("vellum.study", "s1"), "vellum.trial").await.unwrap();
    found.sort();
    assert_eq!(found, ["3", "4"]);

    let url = format!("http://{}/api/2.0/mlflow/runs/get?run_id={id}", server.address);
    let stored: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let (info, data) = (&stored["run"]["info"], &stored["run"]["data"]);
    assert_eq!(info["run_name"], "trial 3");
    assert_eq!(info["status"], "FINISHED");
    assert_eq!(info["start_time"], 1_700_000_000_000_i64);
    assert_eq!(info["end_time"], 1_700_000_001_500_i64);
    assert_eq!(data["params"].as_array().unwrap().len(), 250);
    let metrics = data["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 1_010);
    let eighth = metrics.iter().find(|metric| metric["key"] == "m9").unwrap();
    assert_eq!(eighth["value"], 1.125);
}

#[tokio::test]
async fn what_is_no_mlflow_is_said_so() {
    let file = MlflowSettings::read("file:///tmp/mlruns", |_| None).unwrap();
    assert_eq!(Mlflow::new(file).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(MlflowSettings::read("", |_| None).is_none());
    let variable = |name: &str| match name {
        "MLFLOW_TRACKING_URI" => Some("http://m:1".to_owned()),
        "MLFLOW_TRACKING_TOKEN" => Some("secret".to_owned()),
        _ => None,
    };
    let settings = MlflowSettings::read("", variable).unwrap();
    assert_eq!(settings.tracking_uri, "http://m:1");
    assert!(!format!("{settings:?} {:?}", Mlflow::new(settings.clone())).contains("secret"));

    let page = Site::start(|_, _| Reply::ok("<html>"));
    let error = client(&page.address).experiment("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("`x`: the answer is not that of MLflow"), "{error}");
}

#[tokio::test]
async fn credentials_go_with_every_call() {
    let site = Site::start(|_, _| Reply::status("401 Unauthorized"));
    let variable = |name: &str| match name {
        "MLFLOW_TRACKING_USERNAME" => Some("me".to_owned()),
        "MLFLOW_TRACKING_PASSWORD" => Some("secret".to_owned()),
        _ => None,
    };
    let settings = MlflowSettings::read(&site.url("/tracking/"), variable).unwrap();
    let error = Mlflow::new(settings).unwrap().experiment("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!error.full_message().contains("secret"), "{error}");
    let request = site.requests().remove(0);
    assert_eq!(request.path, "/tracking/api/2.0/mlflow/experiments/get-by-name?experiment_name=x");
    assert_eq!(request.header("authorization"), Some("Basic bWU6c2VjcmV0"));
}
