//! Brings the live version of a collection in line with a source, or another version in line with the live one.
//!
//! ```text
//! plan (listing x ledger) --bounded--> claim --bounded--> documents, a few at a time --bounded--> commit, in groups
//!                                                         fetch -> convert -> split -> embed -> upsert -> delete stale
//! then: follow removals -> tell copies apart -> settle BM25 -> optimise the index
//! ```
//!
//! A build is the same work with another listing: the documents that the live version knows, read from where they came
//! from. The version has a ledger of its own, so nothing here asks which of the two it is at.
//!
//! Invariants: a document is claimed before its first chunk is written, and vectors are flushed before the ledger
//! says `indexed`; progress counts committed work only; `listed = added + updated + unchanged + rejected + failed` at
//! every end; a document that cannot be read stops nobody else, while a store or an embedder that fails ends the run,
//! which `jobs` begins anew when the cause has passed.

mod claim;
mod commit;
mod converted;
mod copies;
mod cut;
mod document;
mod embed;
mod planner;
mod remembered;
mod settle;

pub(crate) use document::{PROVISIONAL_AVG_LEN, blocking, hash_of};

use crate::app::App;
use crate::jobs::Progress;
use crate::{collections, versions};
use document::Outcome;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::Collection;
use vellum_core::ids::DocumentId;
use vellum_core::job::JobSpec;
use vellum_core::ledger::{Lease, Scope};
use vellum_core::ports::{Embedder, StoreSpec};
use vellum_core::{Error, ErrorKind, Result};

/// Documents that may be planned ahead of the work; bounds memory, about 300 bytes each.
const PLAN_AHEAD: usize = 16_384;
/// Finished documents that may wait for their commit.
const COMMIT_QUEUE: usize = 256;
/// How often a build looks again for what came while it was at work.
const CATCH_UPS: usize = 3;
/// Unit of the byte budget's permits.
const PERMIT_BYTES: u64 = 4 << 10;

/// What the stages of one job share.
struct Run<'a> {
    app: &'a App,
    pass: &'a VersionPass,
    spec: JobSpec,
    /// The source of what is listed; of a build, each document has its own.
    source: Arc<str>,
    /// The live version that a build follows; `None` when a source is.
    follows: Option<VersionPass>,
    lease: Lease,
    /// Unix time, in milliseconds, up to which nobody else can hold what this run has claimed.
    holds_until_ms: AtomicI64,
    /// The collection, seen through the version that is written.
    collection: Collection,
    embedder: &'a Arc<dyn Embedder>,
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
    let Target { collection, at, follows } = target(app, pass, &spec).await?;
    let budget = app.settings.ingest.memory_budget;
    let asked_ms = app.clock.unix_ms();
    let lease = app.metastore.open_lease(&at, &app.worker, id, claim::LEASE).await?;
    let run = Run {
        app,
        pass: &at,
        source: spec.source.as_str().into(),
        spec,
        lease,
        holds_until_ms: AtomicI64::new(asked_ms + claim::lease_ms()),
        settings: collection.settings.digest(),
        // A build may come to a document twice.
        store_was_empty: follows.is_none() && app.vectors.count(&at).await? == 0,
        follows,
        embedder: app.embedder_of(&collection)?,
        collection,
        memory: Semaphore::new((budget / PERMIT_BYTES) as usize + 1),
        outages: AtomicU32::new(0),
        progress,
        pace: std::sync::Mutex::new(Pace::default()),
    };

    let outcome = tokio::select! {
        outcome = passes(&run, pass) => outcome,
        lost = claim::keep_alive(&run) => Err(lost),
    };
    app.converter.release();
    let closed = app.metastore.close_lease(&run.lease).await;
    let wrote = outcome?;
    closed?;
    // With other workers at the version, the last one does it.
    let is_last = app.metastore.live_leases(&at).await? == 0;
    if is_last && (wrote || run.collection.sparse.is_none()) {
        settle::settle(&run).await?;
        app.vectors.flush(&at).await?;
        app.vectors.optimize(&at).await?;
    }
    if is_last && run.follows.is_some() {
        app.metastore.set_built(&at, Some(app.clock.unix_ms())).await?;
    }
    Ok(())
}

/// What a job writes to.
struct Target {
    collection: Collection,
    at: VersionPass,
    follows: Option<VersionPass>,
}

async fn target(app: &App, pass: &Pass, spec: &JobSpec) -> Result<Target> {
    let Some(version) = spec.builds() else {
        let (collection, at) = collections::ensure(app, pass).await?;
        return Ok(Target { collection, at, follows: None });
    };
    let (_, live) = collections::live(app, pass).await?;
    let version = versions::get(app, pass, version).await?;
    if version.is_live {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the version is live; jobs bring it in line with sources",
        ));
    }
    let at = pass.at(&version.collection)?;
    app.embedder_of(&version.collection)?;
    if app.metastore.rows(&at, Scope::Prefix(""), None, 1).await?.is_empty() {
        // A document is claimed before its first chunk is written, so these are what an interrupted removal left.
        app.vectors.drop_collection(&at).await?;
    }
    app.vectors.create(&at, StoreSpec { dim: version.collection.settings.dim }).await?;
    Ok(Target { collection: version.collection, at, follows: Some(live) })
}

/// Goes over the documents: once over a source; over the live version until the new one is no longer behind, a few times
/// at most, because documents may keep coming.
async fn passes(run: &Run<'_>, pass: &Pass) -> Result<bool> {
    run.progress.send_modify(Progress::begin_anew);
    if run.follows.is_none() {
        // A promotion waits for leases, so from here on what is live stays.
        return match collections::live(run.app, pass).await?.1 {
            live if live == *run.pass => stages(run).await,
            _ => Err(Lease::ended().context("another version was made live")),
        };
    }
    run.app.metastore.set_built(run.pass, None).await?;
    let mut wrote = stages(run).await?;
    for _ in 0..CATCH_UPS {
        if run.app.metastore.lag(run.pass).await?.behind == 0 {
            break;
        }
        run.progress.send_modify(Progress::begin_anew);
        wrote |= stages(run).await?;
    }
    Ok(wrote)
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
    converted::forget(run, documents.to_vec()).await?;
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
