//! Trials as runs of MLflow, where a tracking server is configured.
//!
//! Runs are sent beside the search, through a queue that holds all trials of a study at most; MLflow that is slow or away
//! delays nothing but the end, and costs a warning. A run bears the study and the trial as tags, so a study that goes on
//! sends what MLflow does not have yet.

use super::Since;
use std::collections::{BTreeMap, HashSet};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use vellum_backends::{Mlflow, MlflowRun, MlflowSettings};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::dataset::Dataset;
use vellum_rag::tune::record::{End, Measured, Study, Trial};
use vellum_rag::tune::study::{Event, Plan};
use vellum_server::config::Config;

const STUDY: &str = "vellum.study";
const TRIAL: &str = "vellum.trial";

/// Sends trials to MLflow; does nothing where none is configured.
pub(super) struct Logger {
    sender: Option<Sender>,
}

struct Sender {
    queue: mpsc::Sender<MlflowRun>,
    task: JoinHandle<Result<()>>,
    base: MlflowRun,
    metric: String,
    /// Trials that are sent or queued.
    known: HashSet<usize>,
    /// When trials began, milliseconds since the Unix epoch.
    began: BTreeMap<usize, i64>,
}

impl Logger {
    /// Begins to log a study; asks the server which of its trials it has.
    ///
    /// # Errors
    /// `Invalid` for an address that is none; whatever the server refuses: better now than after hours.
    pub(super) async fn start(config: &Config, plan: &Plan, dataset: &Dataset) -> Result<Self> {
        let identity = &plan.identity;
        let settings =
            MlflowSettings::read(&config.mlflow.tracking_uri, |name| std::env::var(name).ok());
        let Some(settings) = settings else { return Ok(Self { sender: None }) };
        let mlflow = Mlflow::new(settings)?;
        let experiment = mlflow.experiment(&config.mlflow.experiment).await?;
        let study = identity.id();
        let found = mlflow.find(&experiment, (STUDY, &study), TRIAL).await?;
        let tags = [
            (STUDY, study),
            ("vellum.dataset", dataset.name.clone()),
            ("vellum.dataset_digest", dataset.digest.clone()),
            ("vellum.algorithm", identity.algorithm.to_string()),
        ];
        let base = MlflowRun {
            tags: tags.map(|(key, value)| (key.to_owned(), value)).into(),
            ..MlflowRun::default()
        };
        let (queue, runs) = mpsc::channel(plan.trials + 1);
        let task = tokio::spawn(send(mlflow, experiment, runs));
        Ok(Self {
            sender: Some(Sender {
                queue,
                task,
                base,
                metric: identity.metric.clone(),
                known: found.iter().filter_map(|trial| trial.parse().ok()).collect(),
                began: BTreeMap::new(),
            }),
        })
    }

    /// Notes when a trial began.
    pub(super) fn hear(&mut self, study: &Study, event: Event) {
        if let (Some(sender), Event::Started(trial)) = (&mut self.sender, event) {
            sender.began.insert(trial, Since::now_ms());
        }
        self.catch_up(study);
    }

    /// Queues the trials that have ended and are not there yet.
    pub(super) fn catch_up(&mut self, study: &Study) {
        let Some(sender) = &mut self.sender else { return };
        for (number, trial) in study.trials.iter().enumerate() {
            if trial.end.is_some() && sender.known.insert(number) {
                let now = Since::now_ms();
                let began = sender.began.get(&number).copied().unwrap_or(now);
                // Full or closed once sending has failed, which the end tells.
                let _ = sender.queue.try_send(sender.run(number, trial, (began, now)));
            }
        }
    }

    /// Waits until all is sent.
    ///
    /// # Errors
    /// The first thing that MLflow did not take.
    pub(super) async fn end(self) -> Result<()> {
        let Some(sender) = self.sender else { return Ok(()) };
        let Sender { queue, task, .. } = sender;
        drop(queue);
        task.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "logging to MLflow broke off").with_source(error)
        })?
    }
}

impl Sender {
    fn run(&self, number: usize, trial: &Trial, span_ms: (i64, i64)) -> MlflowRun {
        let mut run = MlflowRun { name: format!("trial {number}"), span_ms, ..self.base.clone() };
        run.tags.insert(TRIAL.to_owned(), number.to_string());
        run.params =
            trial.settings.iter().map(|(path, value)| (path.clone(), value.to_string())).collect();
        let mut metric = |name: &str, value: f64| {
            run.metrics.insert(name.to_owned(), value);
        };
        match &trial.end {
            Some(End::Done(Measured { value, latency_p95_ms, index_bytes, chunks, cost })) => {
                metric(&self.metric, *value);
                metric("latency_p95_ms", *latency_p95_ms);
                metric("index_bytes", *index_bytes as f64);
                metric("chunks", *chunks as f64);
                metric("seconds", cost.index_s.unwrap_or_default() + cost.queries_s);
                run.succeeded = true;
            }
            Some(End::Stopped { value, queries, .. }) => {
                metric(&format!("{}_when_stopped", self.metric), *value);
                metric("queries", *queries as f64);
                run.succeeded = true;
            }
            Some(End::Failed { .. }) | None => {}
        }
        run
    }
}

/// Sends runs until there will be no more; after a failure the rest is left to the next time.
async fn send(
    mlflow: Mlflow,
    experiment: String,
    mut runs: mpsc::Receiver<MlflowRun>,
) -> Result<()> {
    while let Some(run) = runs.recv().await {
        mlflow.log(&experiment, &run).await?;
    }
    Ok(())
}
