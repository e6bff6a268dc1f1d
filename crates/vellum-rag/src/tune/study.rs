//! Runs a study: propose, measure, stop what falls behind, confirm the winner.
//!
//! One task steers; it alone writes the journal and decides. Trials run beside it, at most `jobs` at a time, and ask it
//! after each rung whether to go on. Trial 0 has the settings in force and runs alone: it is what the others are compared
//! with, and its index is made with nothing cached, which tells what a full ingest costs.
//!
//! A record is durable before anything follows from it. So a study can be killed at any moment; run again, it repeats
//! the trials that had not ended and goes on. Dropping [`run`] ends all trials.

use super::bench::Bench;
use super::parameters::Assignment;
use super::queries::Split;
use super::record::{Cost, End, Identity, Measured, Record, Study};
use super::sample::{Observation, Sampler};
use super::{space::Space, stop};
use crate::eval::stats;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use vellum_core::error::Retry;
use vellum_core::{Error, ErrorKind, Result};

/// Keeps the records of a study.
pub trait Journal: Send {
    /// Returns once `record` survives a crash, with all before it; a mean of a trial that runs may be lost with the machine.
    ///
    /// # Errors
    /// What keeping it fails with.
    fn append(&mut self, record: &Record) -> Result<()>;
}

/// What is searched, and how far.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The study.
    pub identity: Identity,
    /// Its space.
    pub space: Space,
    /// Its queries.
    pub queries: Split,
    /// Trials besides that of the settings in force.
    pub trials: usize,
    /// Trials at a time, >= 1.
    pub jobs: usize,
}

/// What a study tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A trial began.
    Started(usize),
    /// A trial ended.
    Ended(usize),
    /// The winner is being compared on the queries held out.
    Confirming(usize),
}

/// Shows where a study stands.
pub type Show<'a> = &'a mut (dyn FnMut(&Study, Event) + Send);

/// Runs the study that `records` began, or begins it, until its trials are done and its winner is confirmed.
///
/// A trial that fails is recorded as such and stops no other, but for that of the settings in force.
///
/// # Errors
/// `Invalid` for a grid that cannot be; `Corrupt` for records of another study; what the journal, the settings in force
/// or a cause that may pass fails with. Run again, the study goes on.
pub async fn run(
    bench: &Arc<dyn Bench>,
    journal: &mut dyn Journal,
    records: &[Record],
    plan: &Plan,
    show: Show<'_>,
) -> Result<Study> {
    let mut keeper = Keeper { study: Study::replay(records)?, journal, show };
    match &keeper.study.identity {
        None => keeper.note(&Record::Study(plan.identity.clone()))?,
        Some(known) if *known == plan.identity => {}
        Some(_) => return Err(Error::new(ErrorKind::Corrupt, "the journal is of another study")),
    }
    search(bench, &mut keeper, plan).await?;
    confirm(bench, &mut keeper, plan).await?;
    Ok(keeper.study)
}

/// The state of a study and where it is kept.
struct Keeper<'a> {
    study: Study,
    journal: &'a mut dyn Journal,
    show: Show<'a>,
}

impl Keeper<'_> {
    fn note(&mut self, record: &Record) -> Result<()> {
        self.journal.append(record)?;
        self.study.apply(record)
    }

    fn tell(&mut self, event: Event) {
        (self.show)(&self.study, event);
    }
}

/// A trial's question whether to go on.
struct Question {
    trial: usize,
    queries: usize,
    value: f64,
    go_on: oneshot::Sender<bool>,
}

async fn search(bench: &Arc<dyn Bench>, keeper: &mut Keeper<'_>, plan: &Plan) -> Result<()> {
    let sampler = Sampler::new(&plan.space, plan.identity.algorithm, plan.identity.seed)?;
    let n_queries = plan.queries.seen.len();
    let rungs = if plan.identity.stopping { stop::rungs(n_queries) } else { vec![n_queries] };
    let (asking, mut questions) = mpsc::channel::<Question>(plan.jobs);
    let mut running: JoinSet<(usize, Result<End>)> = JoinSet::new();
    let mut begun = 0;
    loop {
        while running.len() < plan.jobs {
            // The settings in force go first and alone.
            if begun > 0 && keeper.study.trials[0].end.is_none() {
                break;
            }
            let Some(number) = next(bench, keeper, plan, &sampler, &mut begun)? else { break };
            let trial = Run {
                bench: Arc::clone(bench),
                number,
                settings: keeper.study.trials[number].settings.clone(),
                queries: plan.queries.seen.clone(),
                rungs: rungs.clone(),
                asking: asking.clone(),
            };
            keeper.tell(Event::Started(number));
            running.spawn(async move { (number, trial.run().await) });
        }
        if running.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(Question { trial, queries, value, go_on }) = questions.recv() => {
                keeper.note(&Record::Rung { trial, queries, value })?;
                let is_last = queries == plan.queries.seen.len();
                // Who does not wait for the answer has been stopped already.
                let _ = go_on.send(is_last || trial == 0 || !keeper.study.is_behind(queries, value));
            }
            Some(ended) = running.join_next() => {
                let (trial, end) = ended.map_err(|error| {
                    Error::new(ErrorKind::Internal, "a trial panicked").with_source(error)
                })?;
                keeper.note(&Record::Ended { trial, end: settle(trial, end)? })?;
                keeper.tell(Event::Ended(trial));
            }
        }
    }
}

/// Returns how a trial ended; a failure that concerns the whole study stays one.
fn settle(trial: usize, end: Result<End>) -> Result<End> {
    match end {
        Err(error) if trial == 0 => Err(error.context("the settings in force")),
        Err(error) if error.retry() != Retry::Never => Err(error.context(format!("trial {trial}"))),
        Err(error) => Ok(End::Failed { reason: error.full_message() }),
        Ok(end) => Ok(end),
    }
}

/// Returns the next trial to run: one that never ended, else a new one; `None` when there are enough or none is left.
///
/// `begun` counts the trials that this run has looked at.
fn next(
    bench: &Arc<dyn Bench>,
    keeper: &mut Keeper<'_>,
    plan: &Plan,
    sampler: &Sampler<'_>,
    begun: &mut usize,
) -> Result<Option<usize>> {
    while *begun < keeper.study.trials.len() {
        let number = *begun;
        *begun += 1;
        if keeper.study.trials[number].end.is_none() {
            return Ok(Some(number));
        }
    }
    let number = keeper.study.trials.len();
    if number > plan.trials {
        return Ok(None);
    }
    let settings = match number {
        0 => Some(Assignment::new()),
        _ => {
            let tried: Vec<&Assignment> =
                keeper.study.trials[1..].iter().map(|trial| &trial.settings).collect();
            let is_open = |settings: &Assignment| {
                !tried.contains(&settings) && bench.accepts(settings).is_ok()
            };
            sampler.propose(number, &observations(&keeper.study), &is_open)
        }
    };
    let Some(settings) = settings else { return Ok(None) };
    keeper.note(&Record::Started { trial: number, settings })?;
    *begun = number + 1;
    Ok(Some(number))
}

/// Returns what the search has learnt; a trial that was stopped counts with what it had reached.
fn observations(study: &Study) -> Vec<Observation> {
    let observe = |trial: &super::record::Trial| {
        let value = match trial.end.as_ref()? {
            End::Done(measured) => measured.value,
            End::Stopped { value, .. } => *value,
            End::Failed { .. } => return None,
        };
        Some(Observation { settings: trial.settings.clone(), value })
    };
    study.trials.iter().skip(1).filter_map(observe).collect()
}

/// A trial with what it needs.
struct Run {
    bench: Arc<dyn Bench>,
    number: usize,
    settings: Assignment,
    queries: Vec<usize>,
    rungs: Vec<usize>,
    asking: mpsc::Sender<Question>,
}

impl Run {
    async fn run(self) -> Result<End> {
        let stand = self.bench.open(&self.settings).await?;
        let index = stand.index();
        let began = self.bench.clock().elapsed();
        let mut cost = Cost { index_s: index.made_s, embedded: index.embedded, ..Cost::default() };
        let mut sum = 0.0;
        for upto in &self.rungs {
            let values = stand.values(&self.queries[cost.queries..*upto]).await?;
            sum += values.iter().sum::<f64>();
            cost.queries = *upto;
            let value = sum / *upto as f64;
            let (go_on, answer) = oneshot::channel();
            let question = Question { trial: self.number, queries: *upto, value, go_on };
            let gone = |_| Error::new(ErrorKind::Cancelled, "the study has ended");
            self.asking.send(question).await.map_err(|error| gone(error.0.trial))?;
            if !answer.await.map_err(|_| gone(self.number))? {
                cost.queries_s = self.since(began);
                return Ok(End::Stopped { value, queries: *upto, cost });
            }
        }
        cost.queries_s = self.since(began);
        let latency_p95_ms = stand.latency_p95_ms().await?;
        Ok(End::Done(Measured {
            value: sum / self.queries.len() as f64,
            latency_p95_ms,
            index_bytes: index.bytes,
            chunks: index.chunks,
            cost,
        }))
    }

    fn since(&self, began: Duration) -> f64 {
        self.bench.clock().elapsed().saturating_sub(began).as_secs_f64()
    }
}

/// Compares the winner with the settings in force on the queries that no trial was asked.
async fn confirm(bench: &Arc<dyn Bench>, keeper: &mut Keeper<'_>, plan: &Plan) -> Result<()> {
    let Some(best) = keeper.study.best() else {
        return Err(Error::new(ErrorKind::Internal, "no trial was asked every query"));
    };
    if keeper.study.confirmed.is_some() {
        return Ok(());
    }
    keeper.tell(Event::Confirming(best));
    let held_out = &plan.queries.held_out;
    let values = async |number: usize| {
        let stand = bench.open(&keeper.study.trials[number].settings).await?;
        stand.values(held_out).await
    };
    let (before, after) = (values(0).await?, values(best).await?);
    keeper.note(&Record::Confirmed { trial: best, paired: stats::paired(&before, &after) })
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Index, Stand};
    use super::super::parameters::Value;
    use super::super::sample::Algorithm;
    use super::super::space;
    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use vellum_core::ports::Clock;
    use vellum_core::testing::ManualClock;

    const SPACE: &str = r#"
        [retrieval]
        dense_weight = { min = 0, max = 1, step = 0.01 }
        [collection]
        max_tokens = { min = 64, max = 256, step = 64 }
    "#;

    /// Measures a function of the settings; a query is worth a little more or less.
    #[derive(Default)]
    struct Formula {
        clock: ManualClock,
        /// Queries asked.
        asked: AtomicUsize,
        /// Settings of this weight fail.
        broken: Option<(f64, ErrorKind)>,
    }

    fn weight(settings: &Assignment) -> f64 {
        match settings.get("retrieval.dense_weight") {
            Some(Value::Number(weight)) => *weight,
            _ => 0.0,
        }
    }

    struct Fixed(f64, Arc<Formula>);

    /// The bench and its counts.
    struct Shared(Arc<Formula>);

    #[async_trait]
    impl Bench for Shared {
        fn accepts(&self, settings: &Assignment) -> Result<()> {
            if weight(settings) > 0.9 {
                return Err(Error::new(ErrorKind::Invalid, "too heavy"));
            }
            Ok(())
        }

        async fn open(&self, settings: &Assignment) -> Result<Box<dyn Stand>> {
            let weight = weight(settings);
            if let Some((broken, kind)) = self.0.broken
                && weight >= broken
            {
                return Err(Error::new(kind, "broken"));
            }
            Ok(Box::new(Fixed(1.0 - (weight - 0.6).abs(), Arc::clone(&self.0))))
        }

        fn clock(&self) -> &dyn Clock {
            &self.0.clock
        }
    }

    #[async_trait]
    impl Stand for Fixed {
        fn index(&self) -> Index {
            Index { bytes: 1, chunks: 1, made_s: None, embedded: 0 }
        }

        async fn values(&self, queries: &[usize]) -> Result<Vec<f64>> {
            self.1.asked.fetch_add(queries.len(), Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(queries.iter().map(|query| self.0 + (*query % 7) as f64 / 100.0).collect())
        }

        async fn latency_p95_ms(&self) -> Result<f64> {
            Ok(1.0)
        }
    }

    /// Keeps records in memory; fails once it holds so many.
    struct Memory {
        records: Vec<Record>,
        room: usize,
    }

    impl Journal for Memory {
        fn append(&mut self, record: &Record) -> Result<()> {
            if self.records.len() >= self.room {
                return Err(Error::new(ErrorKind::NoSpace, "full"));
            }
            self.records.push(record.clone());
            Ok(())
        }
    }

    fn plan(algorithm: Algorithm, trials: usize, jobs: usize) -> Plan {
        let space = space::parse("s", SPACE).unwrap();
        let digests = ["d".to_owned(), space.digest(), "b".to_owned()];
        Plan {
            identity: Identity::new(digests, (algorithm, 3), "ndcg_at_10", 0.3),
            space,
            queries: Split { seen: (0..128).collect(), held_out: (128..180).collect() },
            trials,
            jobs,
        }
    }

    async fn run_on(formula: &Arc<Formula>, memory: &mut Memory, plan: &Plan) -> Result<Study> {
        let bench: Arc<dyn Bench> = Arc::new(Shared(Arc::clone(formula)));
        let records = memory.records.clone();
        run(&bench, memory, &records, plan, &mut |_, _| {}).await
    }

    fn endless() -> Memory {
        Memory { records: Vec::new(), room: usize::MAX }
    }

    #[tokio::test]
    async fn the_winner_is_confirmed_on_queries_it_never_saw() {
        for jobs in [1, 3] {
            let plan = plan(Algorithm::Tpe, 30, jobs);
            let study = run_on(&Arc::default(), &mut endless(), &plan).await.unwrap();
            assert_eq!(study.trials.len(), 31);
            let (best, paired) = study.confirmed.unwrap();
            assert_eq!(Some(best), study.best());
            assert!((weight(&study.trials[best].settings) - 0.6).abs() < 0.1, "{study:?}");
            assert_eq!((paired.n, paired.wins), (52, 52));
            let stopped =
                study.trials.iter().filter(|t| matches!(t.end, Some(End::Stopped { .. })));
            assert!(stopped.count() > 3, "{study:?}");
            assert!(study.trials.iter().all(|trial| weight(&trial.settings) <= 0.9));
        }
    }

    #[tokio::test]
    async fn no_trial_is_stopped_where_that_is_not_wanted() {
        let stopping = plan(Algorithm::Tpe, 30, 1);
        let identity = stopping.identity.clone().without_stopping();
        assert_ne!(identity.id(), stopping.identity.id(), "another study");
        let study = Plan { identity, ..stopping };
        let study = run_on(&Arc::default(), &mut endless(), &study).await.unwrap();
        assert!(study.trials.iter().all(|t| matches!(t.end, Some(End::Done(_)))), "{study:?}");
    }

    #[tokio::test]
    async fn a_kill_at_any_record_loses_nothing() {
        let plan = plan(Algorithm::Tpe, 12, 1);
        let mut whole = endless();
        let expected = run_on(&Arc::default(), &mut whole, &plan).await.unwrap();
        for room in 0..whole.records.len() {
            let mut memory = Memory { records: Vec::new(), room };
            let error = run_on(&Arc::default(), &mut memory, &plan).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            memory.room = usize::MAX;
            let study = run_on(&Arc::default(), &mut memory, &plan).await.unwrap();
            assert_eq!(study, expected, "killed after {room} records");
        }
    }

    #[tokio::test]
    async fn what_is_done_is_not_done_again() {
        let formula: Arc<Formula> = Arc::default();
        let (mut memory, plan) = (endless(), plan(Algorithm::Random, 8, 2));
        let first = run_on(&formula, &mut memory, &plan).await.unwrap();
        let asked = formula.asked.load(Ordering::Relaxed);
        assert_eq!(run_on(&formula, &mut memory, &plan).await.unwrap(), first);
        assert_eq!(formula.asked.load(Ordering::Relaxed), asked);

        let more = Plan { trials: 10, ..plan };
        let study = run_on(&formula, &mut memory, &more).await.unwrap();
        assert_eq!(study.trials.len(), 11);
        assert_eq!(study.trials[..9], first.trials);
    }

    #[tokio::test]
    async fn random_and_grid_do_not_depend_on_what_runs_beside() {
        for algorithm in [Algorithm::Random, Algorithm::Grid] {
            let mut all = Vec::new();
            for jobs in [1, 4] {
                let plan = plan(algorithm, 20, jobs);
                let study = run_on(&Arc::default(), &mut endless(), &plan).await.unwrap();
                all.push(study.trials.into_iter().map(|t| t.settings).collect::<Vec<_>>());
            }
            assert_eq!(all[0], all[1]);
        }
    }

    #[tokio::test]
    async fn a_failed_trial_stops_no_other_but_trouble_that_passes_does() {
        let broken = Formula { broken: Some((0.5, ErrorKind::Invalid)), ..Formula::default() };
        let study = run_on(&Arc::new(broken), &mut endless(), &plan(Algorithm::Random, 20, 2))
            .await
            .unwrap();
        let failed = study.trials.iter().filter(|t| matches!(t.end, Some(End::Failed { .. })));
        assert!((3..18).contains(&failed.count()), "{study:?}");
        assert!(study.confirmed.is_some());

        let away = Formula { broken: Some((0.5, ErrorKind::Unavailable)), ..Formula::default() };
        let error = run_on(&Arc::new(away), &mut endless(), &plan(Algorithm::Random, 20, 2)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().starts_with("trial "), "{}", error.message());

        let never = Formula { broken: Some((0.0, ErrorKind::Invalid)), ..Formula::default() };
        let error = run_on(&Arc::new(never), &mut endless(), &plan(Algorithm::Random, 20, 2)).await;
        assert_eq!(error.unwrap_err().message(), "the settings in force: broken");
    }

    #[tokio::test]
    async fn another_study_is_refused() {
        let mut memory = endless();
        run_on(&Arc::default(), &mut memory, &plan(Algorithm::Random, 2, 1)).await.unwrap();
        let other = plan(Algorithm::Tpe, 2, 1);
        let error = run_on(&Arc::default(), &mut memory, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
