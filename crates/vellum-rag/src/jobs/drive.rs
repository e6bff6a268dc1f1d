//! The life of an active job: waits for its turn, runs, waits for causes to pass, ends.

use super::{Order, Progress, Side};
use crate::app::App;
use crate::ingest;
use std::time::Duration;
use tokio::sync::watch;
use vellum_core::access::Pass;
use vellum_core::job::{Job, JobState};
use vellum_core::{Error, ErrorKind, Result, Retry};

/// First and longest wait before a job that met an outage looks again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Jobs that are remembered; of older ones that have ended, the newest of each source. A folder that is watched makes 144 a day.
const KEPT_JOBS: usize = 1_000;

/// Drives a job that was stored as queued until it stops, and tells its watchers and the store.
pub(super) async fn drive(
    app: &App,
    pass: &Pass,
    progress: watch::Sender<Progress>,
    mut orders: watch::Receiver<Order>,
) {
    let side = Side::of(&progress.borrow().job.spec);
    let turn = app.jobs.turn(pass.collection(), side);
    let (held, outcome) = tokio::select! {
        held = turn.lock_owned() => {
            let outcome = tokio::select! {
                outcome = run(app, pass, &progress) => outcome.map_err(Stop::Failed),
                order = ordered(&mut orders) => Err(Stop::Ordered(order)),
            };
            (Some(held), outcome)
        }
        order = ordered(&mut orders) => (None, Err(Stop::Ordered(order))),
    };
    let job = stopped(app, progress.borrow().job.clone(), outcome);
    if let Err(error) = app.metastore.put_job(&job).await {
        tracing::error!(job = %job.id, error = error.full_message(), "the job's end was not stored");
    }
    if let Err(error) = app.metastore.forget_jobs(KEPT_JOBS).await {
        tracing::warn!(error = error.full_message(), "old jobs were not forgotten");
    }
    // Whoever sees the end may start the next job at once, so the right to write goes first.
    drop(held);
    app.jobs.active().remove(&job.id);
    progress.send_modify(|progress| {
        progress.job = job;
        progress.current.clear();
        progress.remaining = None;
    });
}

/// Why a job stopped before it was done.
enum Stop {
    Failed(Error),
    Ordered(Order),
}

/// Returns when the job is told to stop.
async fn ordered(orders: &mut watch::Receiver<Order>) -> Order {
    let given = orders.wait_for(|order| *order != Order::Go).await.map(|order| *order);
    match given {
        Ok(order) => order,
        // Nobody can give orders any more.
        Err(_) => std::future::pending().await,
    }
}

/// Runs a job to its end, over causes that pass.
async fn run(app: &App, pass: &Pass, progress: &watch::Sender<Progress>) -> Result<()> {
    let mut wait = FIRST_WAIT;
    let mut waiting_since: Option<Duration> = None;
    let mut most_settled = 0;
    loop {
        set_state(app, progress, JobState::Running, None).await;
        let outcome = ingest::ingest(app, pass, progress).await;
        let Err(error) = outcome else { return Ok(()) };
        if !may_pass(&error) {
            return Err(error);
        }
        let settled = progress.borrow().job.report.settled();
        if settled > most_settled {
            // It got on, so this is another outage.
            (most_settled, wait, waiting_since) = (settled, FIRST_WAIT, None);
        }
        let since = *waiting_since.get_or_insert_with(|| app.clock.elapsed());
        if app.clock.elapsed().saturating_sub(since) >= app.settings.ingest.patience {
            return Err(error);
        }
        let reason = error.full_message();
        tracing::warn!(job = %progress.borrow().job.id, reason, "the job waits");
        set_state(app, progress, JobState::Waiting, Some(told(&error))).await;
        let after = match error.retry() {
            Retry::After(asked) => asked.max(wait),
            _ => wait,
        };
        tokio::time::sleep(after).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Whether the cause of a failure may pass by itself.
fn may_pass(error: &Error) -> bool {
    error.retry() != Retry::Never
        && matches!(
            error.kind(),
            ErrorKind::NoSpace
                | ErrorKind::Unavailable
                | ErrorKind::Overloaded
                | ErrorKind::Timeout
                | ErrorKind::Locked
                | ErrorKind::Conflict
        )
}

/// Shows and stores a state. What cannot be stored, perhaps for the very cause, is shown all the same.
async fn set_state(
    app: &App,
    progress: &watch::Sender<Progress>,
    state: JobState,
    error: Option<String>,
) {
    progress.send_modify(|progress| {
        progress.job.state = state;
        progress.job.error = error;
        progress.job.updated_ms = app.clock.unix_ms();
        progress.current.clear();
        progress.remaining = None;
    });
    let job = progress.borrow().job.clone();
    if let Err(error) = app.metastore.put_job(&job).await {
        tracing::warn!(job = %job.id, error = error.full_message(), "the job's state was not stored");
    }
}

/// Returns the job as it stopped.
fn stopped(app: &App, mut job: Job, outcome: Result<(), Stop>) -> Job {
    job.updated_ms = app.clock.unix_ms();
    (job.state, job.error) = match outcome {
        Ok(()) => (JobState::Done, None),
        Err(Stop::Failed(error)) => (JobState::Failed, Some(told(&error))),
        Err(Stop::Ordered(Order::Pause)) => (JobState::Paused, None),
        Err(Stop::Ordered(Order::Leave)) => {
            (JobState::Interrupted, Some("the process ended before the job did".to_owned()))
        }
        Err(Stop::Ordered(Order::Cancel | Order::Go)) => {
            (JobState::Cancelled, Some("cancelled by its caller".to_owned()))
        }
    };
    tracing::info!(job = %job.id, state = job.state.as_str(), error = job.error, listed = job.report.listed, "job stopped");
    job
}

/// Returns an error as a job tells it: one line, with the hint.
fn told(error: &Error) -> String {
    match error.hint() {
        Some(hint) => format!("{} (hint: {hint})", error.full_message()),
        None => error.full_message(),
    }
}
