//! Brings a collection in line with a source.
//!
//! ```text
//! plan (listing x ledger) --bounded--> claim --bounded--> documents, a few at a time --bounded--> commit, in groups
//!                                                         fetch -> convert -> split -> embed -> upsert -> delete stale
//! then: follow removals -> tell copies apart -> settle BM25 -> optimise the index
//! ```
//!
//! Invariants: a document is claimed before its first chunk is written, and vectors are flushed before the ledger
//! says `indexed`; progress counts committed work only; `listed = added + updated + unchanged + rejected + failed` at
//! every end; a document that cannot be read stops nobody else, while a store or an embedder that fails ends the run,
//! which `jobs` begins anew when the cause has passed.

mod claim;
mod commit;
mod copies;
mod document;
mod planner;
mod settle;

pub(crate) use document::hash_of;

use crate::app::App;
use crate::collections;
use crate::jobs::Progress;
use document::Outcome;
use futures::StreamExt;
use std::sync::atomic::{AtomicI64, AtomicU32};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use vellum_core::Result;
use vellum_core::access::Pass;
use vellum_core::collection::Collection;
use vellum_core::ids::DocumentId;
use vellum_core::job::JobSpec;
use vellum_core::ledger::Lease;

/// Documents that may be planned ahead of the work; bounds memory, about 300 bytes each.
const PLAN_AHEAD: usize = 16_384;
/// Finished documents that may wait for their commit.
const COMMIT_QUEUE: usize = 256;
/// Unit of the byte budget's permits.
const PERMIT_BYTES: u64 = 4 << 10;

/// What the stages of one job share.
struct Run<'a> {
    app: &'a App,
    pass: &'a Pass,
    spec: JobSpec,
    lease: Lease,
    /// Unix time, in milliseconds, up to which nobody else can hold what this run has claimed.
    holds_until_ms: AtomicI64,
    collection: Collection,
    /// Digest of the settings that documents are indexed under now.
    settings: String,
    /// Whether the store was empty when the job began, so that nothing stale can be in it.
    store_was_empty: bool,
    /// Permits of [`PERMIT_BYTES`] each: bytes of source objects held in memory.
    memory: Semaphore,
    /// Documents in a row that failed because something did not answer.
    outages: AtomicU32,
    progress: &'a watch::Sender<Progress>,
    pace: std::sync::Mutex<Pace>,
}

/// What the estimates derive from.
#[derive(Default)]
struct Pace {
    started: Option<Duration>,
    chunks: u64,
    planned_bytes: u64,
    finished_bytes: u64,
}

/// Runs the job of `progress` to its end. Its report begins anew: what the job did in an earlier run counts as its work.
///
/// Dropping the future ends the work; what was committed stays.
///
/// # Errors
/// Failures of the listing, the vector store, the embedder or the metastore.
pub(crate) async fn ingest(
    app: &App,
    pass: &Pass,
    progress: &watch::Sender<Progress>,
) -> Result<()> {
    let (id, spec) = {
        let progress = progress.borrow();
        (progress.job.id, progress.job.spec.clone())
    };
    let collection = collections::ensure(app, pass).await?;
    let budget = app.settings.ingest.memory_budget;
    let asked_ms = app.clock.unix_ms();
    let lease = app.metastore.open_lease(pass, &app.worker, id, claim::LEASE).await?;
    progress.send_modify(Progress::begin_anew);
    let run = Run {
        app,
        pass,
        spec,
        lease,
        holds_until_ms: AtomicI64::new(asked_ms + claim::lease_ms()),
        settings: collection.settings.digest(),
        store_was_empty: app.vectors.count(pass).await? == 0,
        collection,
        memory: Semaphore::new((budget / PERMIT_BYTES) as usize + 1),
        outages: AtomicU32::new(0),
        progress,
        pace: std::sync::Mutex::new(Pace::default()),
    };

    let outcome = tokio::select! {
        outcome = stages(&run) => outcome,
        lost = claim::keep_alive(&run) => Err(lost),
    };
    app.converter.release();
    let closed = app.metastore.close_lease(&run.lease).await;
    let wrote = outcome?;
    closed?;
    // With other workers at the collection, the last one does it.
    let is_last = app.metastore.live_leases(pass).await? == 0;
    if is_last && (wrote || run.collection.sparse.is_none()) {
        settle::settle(&run).await?;
        app.vectors.flush(pass).await?;
        app.vectors.optimize(pass).await?;
    }
    Ok(())
}

/// Brings the documents in line; returns whether chunks were written or deleted.
async fn stages(run: &Run<'_>) -> Result<bool> {
    let (planned, plan) = mpsc::channel(PLAN_AHEAD);
    let (claimed, works) = mpsc::channel(claim::CLAIMED_AHEAD);
    let (finished, outcomes) = mpsc::channel(COMMIT_QUEUE);
    let (removals, (), (), wrote) = futures::try_join!(
        planner::plan(run, planned),
        claim::claim(run, plan, claimed),
        work(run, works, finished),
        commit::commit(run, outcomes),
    )?;
    let removed = follow_removals(run, removals).await?;
    let moved = copies::tell_apart(run).await?;
    Ok(wrote || removed || moved)
}

/// Works on claimed documents, a few at a time, and hands on what became of each.
async fn work(
    run: &Run<'_>,
    claimed: mpsc::Receiver<claim::Work>,
    finished: mpsc::Sender<Outcome>,
) -> Result<()> {
    let works =
        futures::stream::unfold(claimed, |mut works| async { Some((works.recv().await?, works)) });
    let outcomes =
        works.map(|work| document::process(run, work)).buffer_unordered(run.concurrency());
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        if finished.send(outcome?).await.is_err() {
            // The committer has failed; its error ends the job.
            return Ok(());
        }
    }
    Ok(())
}

/// Deletes what vanished from the source, unless that looks like a mishap; returns whether it did.
async fn follow_removals(run: &Run<'_>, removals: planner::Removals) -> Result<bool> {
    let planner::Removals { gone, known } = removals;
    if gone.is_empty() {
        return Ok(false);
    }
    if !run.spec.prune && crate::plan::removals_are_suspicious(gone.len() as u64, known) {
        let warning = format!(
            "{} of {known} documents are gone from the source; they were kept, `--prune` removes them",
            gone.len()
        );
        tracing::warn!(gone = gone.len(), known, "removals held back");
        run.progress.send_modify(|progress| progress.job.report.warnings.push(warning));
        return Ok(false);
    }
    let mut removed = 0;
    for group in gone.chunks(COMMIT_QUEUE) {
        removed += claim::remove_claimed(run, group).await?;
    }
    if removed < gone.len() as u64 {
        run.warn(format!(
            "{} documents are gone from the source but another worker is at them",
            gone.len() as u64 - removed
        ));
    }
    Ok(removed > 0)
}

/// Deletes claimed documents: chunks first, so that an interruption leaves a row that names what is left.
async fn remove(run: &Run<'_>, documents: &[DocumentId]) -> Result<()> {
    for document in documents {
        claim::must_hold(run)?;
        run.app.vectors.delete_document(run.pass, *document, &[]).await?;
    }
    run.app.vectors.flush(run.pass).await?;
    run.app.metastore.delete_rows(run.pass, &run.lease, documents).await?;
    run.progress.send_modify(|progress| progress.job.report.removed += documents.len() as u64);
    Ok(())
}

impl Run<'_> {
    /// Documents worked on at a time.
    fn concurrency(&self) -> usize {
        self.app.settings.ingest.concurrency.max(1)
    }

    fn id_of(&self, uri: &str) -> DocumentId {
        DocumentId::derive(&self.collection.name, uri)
    }

    /// Adds a note for the user, unless there are plenty.
    fn warn(&self, warning: String) {
        self.progress.send_modify(|progress| {
            let warnings = &mut progress.job.report.warnings;
            if warnings.len() < document::MAX_WARNINGS {
                warnings.push(warning);
            }
        });
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Shows that `chunks` more were embedded, and brings rate and estimate up to date.
    fn embedded(&self, chunks: u64) {
        let (rate, remaining) = {
            let mut pace = self.pace();
            pace.chunks += chunks;
            let now = self.app.clock.elapsed();
            let started = *pace.started.get_or_insert(now);
            let spent = now.saturating_sub(started).as_secs_f64();
            let rate = if spent > 0.0 { pace.chunks as f64 / spent } else { 0.0 };
            let left = pace.planned_bytes.saturating_sub(pace.finished_bytes) as f64;
            let remaining = (pace.finished_bytes > 0 && spent > 0.0)
                .then(|| Duration::from_secs_f64(spent * left / pace.finished_bytes as f64));
            (rate, remaining)
        };
        self.progress.send_modify(|progress| {
            progress.chunks_per_s = rate;
            progress.remaining = remaining.filter(|_| progress.listing_done);
        });
    }
}
