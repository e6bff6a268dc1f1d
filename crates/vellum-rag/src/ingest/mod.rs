//! Brings a collection in line with a source.
//!
//! ```text
//! plan (listing x ledger) --bounded--> documents, a few at a time --bounded--> commit, in groups
//!                                      fetch -> convert -> split -> embed -> upsert -> delete stale
//! then: follow removals -> settle BM25 -> optimise the index
//! ```
//!
//! Invariants: vectors are flushed before the ledger says `indexed`; progress counts committed work
//! only; `listed = added + updated + unchanged + rejected + failed` at every end; a document that cannot
//! be read stops nobody else, while a store or an embedder that fails ends the job.

mod commit;
mod document;
mod planner;
mod settle;

pub(crate) use document::hash_of;

use crate::app::App;
use crate::collections;
use crate::jobs::Progress;
use document::Outcome;
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use vellum_core::Result;
use vellum_core::access::Pass;
use vellum_core::collection::Collection;
use vellum_core::ids::DocumentId;
use vellum_core::job::JobSpec;

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
    collection: Collection,
    /// Digest of the settings that documents are indexed under now.
    settings: String,
    /// Whether the store was empty when the job began, so that nothing stale can be in it.
    store_was_empty: bool,
    /// Permits of [`PERMIT_BYTES`] each: bytes of source objects held in memory.
    memory: Semaphore,
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

/// Runs the job of `progress` to its end.
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
    let spec = progress.borrow().job.spec.clone();
    let collection = collections::ensure(app, pass).await?;
    let budget = app.settings.ingest.memory_budget;
    let run = Run {
        app,
        pass,
        spec,
        settings: collection.settings.digest(),
        store_was_empty: app.vectors.count(pass).await? == 0,
        collection,
        memory: Semaphore::new((budget / PERMIT_BYTES) as usize + 1),
        progress,
        pace: std::sync::Mutex::new(Pace::default()),
    };

    let (planned, plan) = mpsc::channel(PLAN_AHEAD);
    let (finished, outcomes) = mpsc::channel(COMMIT_QUEUE);
    let (removals, (), wrote) = futures::try_join!(
        planner::plan(&run, planned),
        work(&run, plan, finished),
        commit::commit(&run, outcomes),
    )?;
    app.converter.release();
    let removed = follow_removals(&run, removals).await?;
    if wrote || removed || run.collection.sparse.is_none() {
        settle::settle(&run).await?;
        app.vectors.flush(pass).await?;
        app.vectors.optimize(pass).await?;
    }
    Ok(())
}

/// Works on planned documents, a few at a time, and hands on what became of each.
async fn work(
    run: &Run<'_>,
    plan: mpsc::Receiver<planner::Work>,
    finished: mpsc::Sender<Outcome>,
) -> Result<()> {
    let works =
        futures::stream::unfold(plan, |mut plan| async { Some((plan.recv().await?, plan)) });
    let outcomes = works
        .map(|work| document::process(run, work))
        .buffer_unordered(run.app.settings.ingest.concurrency.max(1));
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
    for group in gone.chunks(COMMIT_QUEUE) {
        remove(run, group).await?;
    }
    Ok(true)
}

/// Deletes documents: chunks first, so that an interruption leaves a row that names what is left.
async fn remove(run: &Run<'_>, documents: &[DocumentId]) -> Result<()> {
    for document in documents {
        run.app.vectors.delete_document(run.pass, *document, &[]).await?;
    }
    run.app.vectors.flush(run.pass).await?;
    run.app.metastore.delete_rows(run.pass, documents).await?;
    run.progress.send_modify(|progress| progress.job.report.removed += documents.len() as u64);
    Ok(())
}

impl Run<'_> {
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
