//! Jobs of this process: started, watched, paused, resumed, cancelled; those of one collection take turns, but a version is
//! built while the live one is written to.
//!
//! A job is stored when it is accepted, about every second while it works, and whenever its state changes.
//! [`Progress`] is what a watcher sees live. All that a job did is in the ledger, so it can be started again at any
//! time and goes on where the ledger stands: after a pause, a crash ([`recover`]), or a cause that passed, such as a
//! full disk ([`drive`]).

mod drive;
mod totals;

pub use totals::{Counts, Totals};

use crate::app::App;
use crate::versions;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, watch};
use vellum_core::access::Pass;
use vellum_core::ids::{CollectionName, JobId};
use vellum_core::job::{self, Job, JobSpec, JobState, Report};
use vellum_core::{Error, ErrorKind, Result};

/// Jobs that may run or wait at a time; more are refused.
const MAX_ACTIVE: usize = 64;

/// What a watcher of a job sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The job as it would be stored now.
    pub job: Job,
    /// Documents listed so far; final once `listing_done`.
    pub listed: u64,
    /// Whether the whole source has been listed.
    pub listing_done: bool,
    /// Bytes of the documents that need work, as listed so far.
    pub planned_bytes: u64,
    /// Bytes of those that have come to an end.
    pub finished_bytes: u64,
    /// Chunks per second since the first chunk.
    pub chunks_per_s: f64,
    /// Estimated time left; `None` before it can be told.
    pub remaining: Option<Duration>,
    /// Names of documents at work, at most a few.
    pub current: Vec<String>,
}

impl Progress {
    fn of(job: Job) -> Self {
        Self {
            job,
            listed: 0,
            listing_done: false,
            planned_bytes: 0,
            finished_bytes: 0,
            chunks_per_s: 0.0,
            remaining: None,
            current: Vec::new(),
        }
    }

    /// Returns to the beginning of a run. What the ledger cannot tell again is kept.
    pub(crate) fn begin_anew(&mut self) {
        let Report { removed, embedded, .. } = self.job.report;
        self.job.report = Report { removed, embedded, ..Report::default() };
        *self = Self::of(self.job.clone());
    }
}

/// What the caller of a job wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Go,
    /// Stop until it is resumed.
    Pause,
    /// Stop for good.
    Cancel,
    /// The process ends; another one goes on.
    Leave,
}

/// The lock that the writers of a side of a collection hold.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// The jobs that are active in this process.
#[derive(Default)]
pub struct Jobs {
    active: Mutex<HashMap<JobId, Active>>,
    turns: Mutex<HashMap<(CollectionName, Side), Turn>>,
    /// Counters since the process began.
    pub totals: Totals,
}

struct Active {
    progress: watch::Receiver<Progress>,
    order: watch::Sender<Order>,
}

/// What of a collection a job writes to. The two go on at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Live,
    /// A version that is not live.
    Build,
}

impl Side {
    fn of(spec: &JobSpec) -> Self {
        if spec.builds().is_some() { Self::Build } else { Self::Live }
    }
}

/// The right to be the only writer of a collection; released when dropped.
pub struct Exclusive(#[expect(dead_code, reason = "held, not read")] Vec<OwnedMutexGuard<()>>);

impl Jobs {
    /// Returns the right to write to `name`.
    ///
    /// # Errors
    /// `Conflict` while a job has it.
    pub fn exclusive(&self, name: &CollectionName) -> Result<Exclusive> {
        let mut held = Vec::new();
        for side in [Side::Live, Side::Build] {
            held.push(self.turn(name, side).try_lock_owned().map_err(|_| {
                let message = format!("a job is writing to collection `{name}`");
                Error::new(ErrorKind::Conflict, message)
                    .with_hint("wait for it to end, or cancel it; `vellum job list` shows it")
            })?);
        }
        Ok(Exclusive(held))
    }

    /// Waits for the right to write to a side, up to `patience`; `None` when a job keeps it longer.
    pub(crate) async fn wait_for(
        &self,
        name: &CollectionName,
        side: Side,
        patience: Duration,
    ) -> Option<Exclusive> {
        let turn = self.turn(name, side).lock_owned();
        tokio::time::timeout(patience, turn).await.ok().map(|held| Exclusive(vec![held]))
    }

    /// Returns the lock that the writers of a side hold; it is handed on first come, first served.
    fn turn(&self, name: &CollectionName, side: Side) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry((name.clone(), side)).or_default().clone()
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many jobs wait for their turn to write to a collection.
    pub(crate) fn n_queued(&self, name: &CollectionName) -> usize {
        let active = self.active();
        let waits = |active: &&Active| {
            let job = &active.progress.borrow().job;
            job.state == JobState::Queued && job.spec.collection == *name
        };
        active.values().filter(waits).count()
    }

    /// Returns how many active jobs are in each state.
    pub fn states(&self) -> HashMap<JobState, u64> {
        let mut states = HashMap::new();
        for active in self.active().values() {
            *states.entry(active.progress.borrow().job.state).or_default() += 1;
        }
        states
    }
}

/// What is asked of a new job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// A path or uri, as a user types it.
    pub source: &'a str,
    /// Follow removals even when most documents are suddenly gone.
    pub prune: bool,
    /// Try documents again that were rejected as they are.
    pub rejected: bool,
}

impl<'a> Request<'a> {
    /// Returns the plain request for a source.
    pub const fn of(source: &'a str) -> Self {
        Self { source, prune: false, rejected: false }
    }
}

/// Accepts a job and starts it in the background; returns its id and its progress.
///
/// The source is resolved before anything is stored, so a wrong path is the caller's error. A job that waits for its
/// turn to do the same is returned in place of a new one, and one that was interrupted goes on.
///
/// # Errors
/// What [`vellum_core::ports::ObjectStore::resolve`] fails with; `Overloaded` when too many jobs are active.
pub async fn start(
    app: &Arc<App>,
    pass: &Pass,
    request: &Request<'_>,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    if let Some(version) = job::built_by(request.source) {
        return versions::build_again(app, pass, version).await;
    }
    let source = app.objects.resolve(request.source).await?;
    start_resolved(app, pass, &Request { source: &source, ..*request }).await
}

/// As [`start`] with a source uri that was resolved before; what it names may be gone.
pub(crate) async fn start_resolved(
    app: &Arc<App>,
    pass: &Pass,
    request: &Request<'_>,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    let spec = JobSpec {
        version: 1,
        collection: pass.collection().clone(),
        source: request.source.to_owned(),
        prune: request.prune,
        rejected: request.rejected,
    };
    if let Some(queued) = queued(app, &spec) {
        return Ok(queued);
    }
    let interrupted = app.metastore.unfinished_jobs().await?.into_iter().find(|job| {
        job.spec == spec && job.state == JobState::Interrupted && watch(app, job.id).is_none()
    });
    let now = app.clock.unix_ms();
    let job = interrupted.unwrap_or_else(|| Job {
        id: JobId::from(uuid::Uuid::new_v4()),
        spec,
        state: JobState::Queued,
        report: Report::default(),
        error: None,
        created_ms: now,
        updated_ms: now,
    });
    launch(app, pass, job).await
}

/// Returns the active job that waits for its turn with the same order.
fn queued(app: &App, spec: &JobSpec) -> Option<(JobId, watch::Receiver<Progress>)> {
    app.jobs.active().iter().find_map(|(id, active)| {
        let progress = active.progress.borrow();
        let same = progress.job.state == JobState::Queued && progress.job.spec == *spec;
        same.then(|| (*id, active.progress.clone()))
    })
}

/// Lets a job that has stopped go on under its id: what it did counts, what failed is tried again.
///
/// # Errors
/// `NotFound` when there is none; `Conflict` when it is active or has done all its work; `Overloaded` when too many
/// jobs are active.
pub async fn resume(
    app: &Arc<App>,
    pass: &Pass,
    id: JobId,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    let job = get(app, id).await?;
    if job.spec.collection != *pass.collection() {
        return Err(Error::new(ErrorKind::Internal, "the pass is not for the job's collection"));
    }
    if job.state.is_active() {
        let message = format!("job `{id}` is {}", job.state.as_str());
        return Err(Error::new(ErrorKind::Conflict, message).with_hint("it goes on by itself"));
    }
    if job.state == JobState::Done && job.report.failed.count == 0 {
        return Err(Error::new(ErrorKind::Conflict, format!("job `{id}` is done"))
            .with_hint("ingest its source again to follow changes"));
    }
    launch(app, pass, job).await
}

/// Stores a job as queued and starts it in the background.
async fn launch(
    app: &Arc<App>,
    pass: &Pass,
    job: Job,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    let id = job.id;
    let job = Job { state: JobState::Queued, error: None, ..job };
    let (progress, watcher) = watch::channel(Progress::of(job.clone()));
    let (order, orders) = watch::channel(Order::Go);
    {
        let mut active = app.jobs.active();
        if active.len() >= MAX_ACTIVE {
            return Err(Error::new(ErrorKind::Overloaded, "too many jobs are active")
                .with_hint("`vellum job list` shows them"));
        }
        if active.contains_key(&id) {
            return Err(Error::new(ErrorKind::Conflict, format!("job `{id}` is active")));
        }
        active.insert(id, Active { progress: watcher.clone(), order });
    }
    if let Err(error) = app.metastore.put_job(&job).await {
        app.jobs.active().remove(&id);
        return Err(error);
    }
    let (app, pass) = (app.clone(), pass.clone());
    tokio::spawn(async move { drive::drive(&app, &pass, progress, orders).await });
    Ok((id, watcher))
}

/// Returns the progress of an active job; `None` when it is not active in this process.
pub fn watch(app: &App, id: JobId) -> Option<watch::Receiver<Progress>> {
    app.jobs.active().get(&id).map(|active| active.progress.clone())
}

/// Returns a job, live if it is active.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    if let Some(progress) = watch(app, id) {
        return Ok(progress.borrow().job.clone());
    }
    app.metastore
        .job(id)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("job `{id}` does not exist")))
}

/// Returns the newest `limit` jobs, newest first, live where active.
pub async fn list(app: &App, limit: usize) -> Result<Vec<Job>> {
    let mut jobs = app.metastore.jobs(limit).await?;
    for job in &mut jobs {
        if let Some(progress) = watch(app, job.id) {
            *job = progress.borrow().job.clone();
        }
    }
    Ok(jobs)
}

/// Asks a job to end for good; what it committed stays. Does nothing when it has ended.
///
/// # Errors
/// `NotFound` when there is no such job.
pub async fn cancel(app: &App, id: JobId) -> Result<()> {
    stop(app, id, Order::Cancel, JobState::Cancelled).await
}

/// Asks a job to stop until it is resumed; what it committed stays.
///
/// # Errors
/// `NotFound` when there is no such job; `Conflict` when it has ended.
pub async fn pause(app: &App, id: JobId) -> Result<()> {
    let job = get(app, id).await?;
    if job.state.is_final() {
        let message = format!("job `{id}` has ended: {}", job.state.as_str());
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    stop(app, id, Order::Pause, JobState::Paused).await
}

/// Gives an order to an active job, or a state to one that is only stored and has not ended.
async fn stop(app: &App, id: JobId, order: Order, state: JobState) -> Result<()> {
    if let Some(active) = app.jobs.active().get(&id) {
        // The receiver lives as long as the job; a job that ends meanwhile needs no order.
        let _ = active.order.send(order);
        return Ok(());
    }
    let job = get(app, id).await?;
    if job.state.is_final() {
        return Ok(());
    }
    let updated_ms = app.clock.unix_ms();
    app.metastore.put_job(&Job { state, updated_ms, ..job }).await
}

/// Stops every active job and waits for it, up to `patience`. For shutdown: they go on when the product is served again.
pub async fn leave_all(app: &App, patience: Duration) {
    let watchers: Vec<_> = {
        let active = app.jobs.active();
        let leave = |job: &Active| {
            let _ = job.order.send(Order::Leave);
            job.progress.clone()
        };
        active.values().map(leave).collect()
    };
    let all_stopped = async {
        for mut watcher in watchers {
            let _ = watcher.wait_for(|progress| !progress.job.state.is_active()).await;
        }
    };
    let _ = tokio::time::timeout(patience, all_stopped).await;
}

/// Marks jobs that an earlier life of this worker left active as interrupted. Call once, before any job starts.
///
/// On a full disk they stay as they are: what is there can be read all the same.
pub async fn recover(app: &App) -> Result<()> {
    for mut job in app.metastore.unfinished_jobs().await? {
        if !job.state.is_active() {
            continue;
        }
        job.state = JobState::Interrupted;
        job.error = Some("the process ended before the job did".to_owned());
        job.updated_ms = app.clock.unix_ms();
        match app.metastore.put_job(&job).await {
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                tracing::warn!(job = %job.id, error = error.full_message(), "an interrupted job was not marked");
            }
            stored => stored?,
        }
    }
    Ok(())
}

/// Lets every interrupted job go on, as far as there is room. For a process that serves.
pub async fn resume_interrupted(app: &Arc<App>, grant: &dyn Fn(&CollectionName) -> Result<Pass>) {
    let jobs = match app.metastore.unfinished_jobs().await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::error!(error = error.full_message(), "interrupted jobs cannot be read");
            return;
        }
    };
    for job in jobs.into_iter().filter(|job| job.state == JobState::Interrupted) {
        let id = job.id;
        let launched = match grant(&job.spec.collection) {
            Ok(pass) => launch(app, &pass, job).await.map(drop),
            Err(error) => Err(error),
        };
        match launched {
            Ok(()) => tracing::info!(job = %id, "an interrupted job goes on"),
            Err(error) => {
                tracing::warn!(job = %id, error = error.full_message(), "a job stays interrupted");
            }
        }
    }
}
