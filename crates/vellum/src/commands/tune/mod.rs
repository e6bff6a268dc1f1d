//! `vellum tune`: search the settings that find best on a dataset.
//!
//! ```text
//! DATA_DIR/tune/embeddings.db    embeddings of all studies
//! DATA_DIR/tune/STUDY/           a study: see `journal`; `stores/` holds its indexes until it is over
//! ```
//!
//! No collection of the user is touched until a winner is to be saved (`save`), and a running server is not in the way: a study
//! has a lock of its own. The same command goes on with a study that was interrupted, and tells the result of one that is over.

mod journal;
mod katib;
mod mlflow;
mod page;
mod plot;
mod report;
mod save;
mod trial;
mod workshop;

use crate::args;
use crate::interrupt::Interrupts;
use crate::local::local;
use crate::print::{self, Outcome};
use crate::progress;
use crate::session;
use journal::Journal;
use report::Report;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use vellum_backends::SqliteEmbeddingCache;
use vellum_core::ids::CollectionName;
use vellum_core::ports::{Clock, EmbeddingCache, Reranker};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::dataset::{self, Dataset};
use vellum_rag::tune::bench::Bench;
use vellum_rag::tune::products::{self, Products};
use vellum_rag::tune::queries::{self, Split};
use vellum_rag::tune::record::{End, Identity, Study};
use vellum_rag::tune::sample::{Algorithm, Sampler};
use vellum_rag::tune::space::{self, Space};
use vellum_rag::tune::study::{self, Event, Plan};
use vellum_server::config::{Config, Resolved};
use workshop::Workshop;

/// Trials of a study that does not say how many.
const TRIALS: usize = 30;

pub(crate) async fn tune(settings: &Resolved, args: args::Tune) -> Result<Outcome> {
    if args.render_katib {
        return katib::render(settings, &args);
    }
    if let (Some(name), Some(study)) = (&args.save, &args.study) {
        return save::of_study(settings, &args, name, study).await;
    }
    let material = Material::gather(settings, &args).await?;
    if let Some(name) = &args.save {
        save::check(&settings.config, name, material.embedder.as_ref()).await?;
    }
    match &args.trial_settings {
        Some(text) => trial::run(settings, &args, &material, text).await,
        None => search(settings, &args, &material).await,
    }
}

/// What trials are made of.
struct Material {
    dataset: Arc<Dataset>,
    /// The queries that the metric can be measured on.
    queries: Vec<dataset::Query>,
    split: Split,
    embedder: Arc<dyn vellum_core::ports::Embedder>,
    embeddings: Option<Arc<dyn EmbeddingCache>>,
    reranker: Option<Arc<dyn Reranker>>,
    /// `DATA_DIR/tune`.
    home: PathBuf,
}

impl Material {
    async fn gather(settings: &Resolved, args: &args::Tune) -> Result<Self> {
        let config = &settings.config;
        let folder = args.dataset.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "no dataset is named").with_hint("add `--dataset DIR`")
        })?;
        let dataset = dataset::open(folder)?;
        let queries = products::measurable(&dataset, &args.metric)?;
        let ids: Vec<&str> = queries.iter().map(|query| query.id.as_str()).collect();
        let split = queries::split(&ids, args.seed, args.held_out)?;
        let home = session::data_path(config)?.join("tune");
        std::fs::create_dir_all(&home)
            .map_err(|error| Error::io(format!("make `{}`", home.display()), error))?;
        Ok(Self {
            dataset: Arc::new(dataset),
            queries,
            split,
            embedder: (local().embedder)(config).await?,
            embeddings: embeddings(config, &home).await?,
            reranker: vellum_server::compose::reranker(config, &local())?,
            home,
        })
    }

    /// Returns the bench with its stores below `root`.
    fn bench(
        &self,
        settings: &Resolved,
        args: &args::Tune,
        root: PathBuf,
    ) -> Result<Arc<dyn Bench>> {
        let shop = Workshop {
            settings: settings.clone(),
            dataset: Arc::clone(&self.dataset),
            embedder: Arc::clone(&self.embedder),
            embeddings: self.embeddings.clone(),
            reranker: self.reranker.clone(),
            root,
        };
        let bench = Products::new(
            Arc::new(shop),
            Arc::clone(&self.embedder),
            Arc::new(Since(Instant::now())),
            self.queries.clone(),
            &args.metric,
            jobs(args) + 1,
        )?;
        Ok(Arc::new(bench))
    }
}

async fn embeddings(config: &Config, home: &Path) -> Result<Option<Arc<dyn EmbeddingCache>>> {
    let max_bytes = config.ingest.embedding_cache;
    if max_bytes == 0 {
        return Ok(None);
    }
    let cache = SqliteEmbeddingCache::open(home.join("embeddings.db"), max_bytes).await?;
    Ok(Some(Arc::new(cache)))
}

fn jobs(args: &args::Tune) -> usize {
    match args.jobs {
        0 => vellum_server::compose::cores(),
        jobs => usize::from(jobs),
    }
}

fn read_space(args: &args::Tune) -> Result<Space> {
    let path = args.space.as_deref().ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "no space is named").with_hint("add `--space FILE`")
    })?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::io(format!("read `{}`", path.display()), error))?;
    space::parse(&path.display().to_string(), &text)
}

/// Runs a study to its end and tells what came of it.
async fn search(settings: &Resolved, args: &args::Tune, material: &Material) -> Result<Outcome> {
    let space = read_space(args)?;
    let algorithm = Algorithm::from(args.algorithm);
    // A grid that cannot be is refused before anything is made.
    let n_points = Sampler::new(&space, algorithm, args.seed)?.n_points();
    let base = workshop::base_digest(&settings.config, material.embedder.as_ref());
    let digests = [material.dataset.digest.clone(), space.digest(), base];
    let mut identity = Identity::new(digests, (algorithm, args.seed), &args.metric, args.held_out);
    if args.no_stopping {
        identity = identity.without_stopping();
    }
    let dir = material.home.join(identity.id());
    let (mut journal, records) = Journal::open(&dir)?;
    let stores = dir.join("stores");
    let bench = material.bench(settings, args, stores.clone())?;
    let plan = Plan {
        identity,
        space,
        queries: material.split.clone(),
        trials: args.trials.map(usize::from).or(n_points).unwrap_or(TRIALS),
        jobs: jobs(args),
    };
    let mut logger = mlflow::Logger::start(&settings.config, &plan, &material.dataset).await?;
    let began = Instant::now();
    let mut show = Show::new(&plan, args);
    let ended = {
        let mut tell = |study: &Study, event: Event| {
            show.tell(study, event);
            logger.hear(study, event);
        };
        let run = study::run(&bench, &mut journal, &records, &plan, &mut tell);
        let interrupts = Interrupts::listen();
        tokio::select! {
            ended = run => ended,
            () = interrupts.next() => Err(Error::new(ErrorKind::Cancelled, "the study was interrupted")),
        }
    };
    show.end();
    if let Ok(study) = &ended {
        logger.catch_up(study);
    }
    let logged = logger.end().await;
    let study = ended.map_err(|error| match error.hint() {
        Some(_) => error,
        None => error.with_hint("what was measured is kept; run the same command again to go on"),
    })?;
    if let Err(error) = logged {
        print::warn(format_args!("not all trials were logged: {}", error.full_message()));
    }
    drop(bench);
    remove(&stores)?;
    let report = Report::new(settings, args, material, &plan, &study, began.elapsed());
    if let Some(path) = &args.report {
        std::fs::write(path, page::page(&report)?)
            .map_err(|error| Error::io(format!("write `{}`", path.display()), error))?;
    }
    match (args.json.json, args.katib) {
        // With what became of the winner.
        (true, _) if args.save.is_some() => {}
        (true, _) => print::json(&report.to_json())?,
        // Its lines were printed as trials ended.
        (false, true) => {}
        (false, false) => report.tell()?,
    }
    let failed = study.trials.iter().any(|trial| matches!(trial.end, Some(End::Failed { .. })));
    let saved = match &args.save {
        Some(name) => save_winner(settings, args, name, material, &report).await?,
        None => Outcome::Yes,
    };
    Ok(if failed { Outcome::No } else { saved })
}

/// Saves the winner of a study that was told about, and tells of that.
async fn save_winner(
    settings: &Resolved,
    args: &args::Tune,
    name: &CollectionName,
    material: &Material,
    report: &Report,
) -> Result<Outcome> {
    let saved = save::save(settings, args, name, &report.study, material.embedder.as_ref());
    let saved = saved.await.inspect_err(|_| {
        print::note(format_args!(
            "the study is kept: `vellum tune --save {name} --study {}` saves its winner",
            report.id
        ));
    })?;
    match args.json.json {
        true => print::json(&save::with(report.to_json(), &saved))?,
        false => saved.tell()?,
    }
    Ok(saved.outcome())
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove `{}`", dir.display()), error))
        }
        _ => Ok(()),
    }
}

/// Shows on stderr how far a study is; prints metrics for Katib where that is asked.
struct Show {
    bar: indicatif::ProgressBar,
    metric: String,
    trials: usize,
    katib: bool,
}

impl Show {
    fn new(plan: &Plan, args: &args::Tune) -> Self {
        let bar = progress::steps_bar(plan.trials as u64 + 1, "trials");
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, metric: args.metric.clone(), trials: plan.trials, katib: args.katib }
    }

    fn tell(&mut self, study: &Study, event: Event) {
        let ended = study.trials.iter().filter(|trial| trial.end.is_some()).count();
        self.bar.set_position(ended as u64);
        match event {
            Event::Started(_) => {}
            Event::Confirming(trial) => {
                self.note(&format!("comparing trial {trial} on the queries held out"));
            }
            Event::Ended(number) => {
                self.note(&self.line(study, number));
                if self.katib {
                    katib::print_end(&self.metric, &study.trials[number]);
                }
            }
        }
    }

    fn line(&self, study: &Study, number: usize) -> String {
        let metric = &self.metric;
        let what = match &study.trials[number].end {
            Some(End::Done(measured)) => format!(
                "{metric} {:.4}, p95 {:.1} ms, index {}",
                measured.value,
                measured.latency_p95_ms,
                report::size(measured.index_bytes)
            ),
            Some(End::Stopped { value, queries, .. }) => {
                format!("stopped after {queries} queries at {metric} {value:.4}")
            }
            Some(End::Failed { reason }) => format!("failed: {reason}"),
            None => String::new(),
        };
        let best = study.best().and_then(|best| Some((best, study.trials[best].measured()?.value)));
        let best = best.map(|(best, value)| format!("; best {value:.4}, trial {best}"));
        format!("trial {number} of {}: {what}{}", self.trials, best.unwrap_or_default())
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| print::note(text));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Time since the command began.
struct Since(Instant);

impl Clock for Since {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_ms(&self) -> i64 {
        Self::now_ms()
    }
}

impl Since {
    fn now_ms() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
