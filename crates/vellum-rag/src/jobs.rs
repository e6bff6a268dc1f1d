//! Jobs of this process: started, watched, cancelled; one writer per collection.
//!
//! A job is stored when it is accepted, at every committed batch, and at its end. [`Progress`] is what a
//! watcher sees live. After a crash, [`recover`] marks what was left running as failed; running
//! the same source again takes up where the ledger stands.

use crate::app::App;
use crate::ingest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use vellum_core::access::Pass;
use vellum_core::ids::{CollectionName, JobId};
use vellum_core::job::{Job, JobSpec, JobState, Report};
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
    /// Chunks per second since the first chunk.
    pub chunks_per_s: f64,
    /// Estimated time left; `None` before it can be told.
    pub remaining: Option<Duration>,
    /// Names of documents at work, at most a few.
    pub current: Vec<String>,
}

/// The jobs that are active in this process.
#[derive(Default)]
pub struct Jobs {
    active: Mutex<HashMap<JobId, Active>>,
    writing: Arc<Mutex<HashSet<CollectionName>>>,
}

struct Active {
    progress: watch::Receiver<Progress>,
    cancel: watch::Sender<bool>,
}

/// The right to be the only writer of a collection; released when dropped.
pub struct Exclusive {
    writing: Arc<Mutex<HashSet<CollectionName>>>,
    name: CollectionName,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Jobs {
    /// Returns the right to write to `name`.
    ///
    /// # Errors
    /// `Conflict` while another job has it.
    pub fn exclusive(&self, name: &CollectionName) -> Result<Exclusive> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !writing.insert(name.clone()) {
            let message = format!("another job is writing to collection `{name}`");
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint("wait for it to end; `GET /api/v1/jobs` shows it"));
        }
        Ok(Exclusive { writing: self.writing.clone(), name: name.clone() })
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts a job and starts it in the background; returns its id and its progress.
///
/// The source is resolved before anything is stored, so a wrong path is the caller's error.
///
/// # Errors
/// What [`vellum_core::ports::ObjectStore::resolve`] fails with; `Conflict` while another job writes to
/// the collection; `Overloaded` when too many jobs are active.
pub async fn start(
    app: &Arc<App>,
    pass: &Pass,
    source: &str,
    prune: bool,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    let source = app.objects.resolve(source).await?;
    if app.jobs.active().len() >= MAX_ACTIVE {
        return Err(Error::new(ErrorKind::Overloaded, "too many jobs are active"));
    }
    let exclusive = app.jobs.exclusive(pass.collection())?;
    let now = app.clock.unix_ms();
    let job = Job {
        id: JobId::from(uuid::Uuid::new_v4()),
        spec: JobSpec { version: 1, collection: pass.collection().clone(), source, prune },
        state: JobState::Running,
        report: Report::default(),
        error: None,
        created_ms: now,
        updated_ms: now,
    };
    app.metastore.put_job(&job).await?;
    let id = job.id;
    let (progress, watcher) = watch::channel(Progress {
        job,
        listed: 0,
        listing_done: false,
        chunks_per_s: 0.0,
        remaining: None,
        current: Vec::new(),
    });
    let (cancel, cancelled) = watch::channel(false);
    app.jobs.active().insert(id, Active { progress: watcher.clone(), cancel });
    let (app, pass) = (app.clone(), pass.clone());
    tokio::spawn(async move {
        let ended = run(&app, &pass, &progress, cancelled).await;
        if let Err(error) = app.metastore.put_job(&ended).await {
            tracing::error!(job = %id, error = error.full_message(), "the job's end was not stored");
        }
        // Whoever sees the end may start the next job at once, so the right to write goes first.
        drop(exclusive);
        app.jobs.active().remove(&id);
        progress.send_modify(|progress| {
            progress.job = ended;
            progress.current.clear();
            progress.remaining = None;
        });
    });
    Ok((id, watcher))
}

/// Runs an accepted job; returns it as it ended.
async fn run(
    app: &App,
    pass: &Pass,
    progress: &watch::Sender<Progress>,
    mut cancelled: watch::Receiver<bool>,
) -> Job {
    let outcome = tokio::select! {
        outcome = ingest::ingest(app, pass, progress) => outcome,
        _ = cancelled.wait_for(|asked| *asked) => {
            Err(Error::new(ErrorKind::Cancelled, "cancelled by its caller"))
        }
    };
    let mut job = progress.borrow().job.clone();
    job.updated_ms = app.clock.unix_ms();
    match outcome {
        Ok(()) => {
            job.state = JobState::Done;
            tracing::info!(job = %job.id, listed = job.report.listed, "job done");
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            job.state = JobState::Cancelled;
            job.error = Some(error.full_message());
        }
        Err(error) => {
            job.state = JobState::Failed;
            tracing::error!(job = %job.id, error = error.full_message(), "job failed");
            job.error = Some(match error.hint() {
                Some(hint) => format!("{} (hint: {hint})", error.full_message()),
                None => error.full_message(),
            });
        }
    }
    job
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

/// Asks an active job to end; what it committed stays. Does nothing when it has ended.
///
/// # Errors
/// `NotFound` when there is no such job.
pub async fn cancel(app: &App, id: JobId) -> Result<()> {
    if let Some(active) = app.jobs.active().get(&id) {
        // The receiver lives as long as the job; a job that ends meanwhile needs no signal.
        let _ = active.cancel.send(true);
        return Ok(());
    }
    get(app, id).await.map(|_| ())
}

/// Asks every active job to end and waits for it, up to `patience`. For shutdown.
pub async fn cancel_all(app: &App, patience: Duration) {
    let watchers: Vec<_> = {
        let active = app.jobs.active();
        let end = |job: &Active| {
            let _ = job.cancel.send(true);
            job.progress.clone()
        };
        active.values().map(end).collect()
    };
    let all_ended = async {
        for mut watcher in watchers {
            let _ = watcher.wait_for(|progress| progress.job.state.is_final()).await;
        }
    };
    let _ = tokio::time::timeout(patience, all_ended).await;
}

/// Marks jobs that an earlier process left running as failed. Call once, before any job starts.
pub async fn recover(app: &App) -> Result<()> {
    for mut job in app.metastore.jobs(MAX_ACTIVE).await? {
        if job.state.is_final() {
            continue;
        }
        job.state = JobState::Failed;
        job.error = Some("the process ended before the job did; run it again to go on".to_owned());
        job.updated_ms = app.clock.unix_ms();
        app.metastore.put_job(&job).await?;
    }
    Ok(())
}
