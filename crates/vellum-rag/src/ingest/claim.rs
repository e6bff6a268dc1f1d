//! Second stage: makes this worker the only one that writes a document, and marks the document as unfinished.
//!
//! A claim is durable before the first chunk is written. So a crash leaves no chunk without a ledger row, and a row
//! whose chunks may be of any version is known by the claim of a dead worker. Documents that another live worker
//! holds are asked for again until it is done with them or dead.

use super::commit::keep;
use super::{Run, remove};
use crate::plan::{self, Step};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use vellum_core::ids::DocumentId;
use vellum_core::ledger::{DocumentState, Lease, LedgerRow};
use vellum_core::ports::ObjectMeta;
use vellum_core::{Error, ErrorKind, Result};

/// Most documents that are claimed together.
const GROUP: usize = 64;
/// Claimed documents that may wait for a worker.
pub(super) const CLAIMED_AHEAD: usize = 64;
/// Documents of other workers that are remembered; beyond, the listing waits.
const MAX_WAITING: usize = 4_096;
/// How often they are asked for.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long a worker that says nothing is taken to live.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// A document that needs work, as it was listed.
pub(super) struct Planned {
    pub(super) object: ObjectMeta,
    /// The source that it belongs to.
    pub(super) source: Arc<str>,
}

/// One document to be worked on.
pub(super) struct Work {
    pub(super) object: ObjectMeta,
    /// The source that it belongs to.
    pub(super) source: Arc<str>,
    /// Its ledger row as it stood before the claim.
    pub(super) row: LedgerRow,
}

impl Work {
    /// Whether a worker died over it, so that its chunks may be of any version.
    pub(super) fn is_unfinished(&self) -> bool {
        self.row.claim.is_some()
    }
}

/// Claims what is planned and hands it on, until both the plan and the documents of other workers are used up.
pub(super) async fn claim(
    run: &Run<'_>,
    mut planned: mpsc::Receiver<Planned>,
    claimed: mpsc::Sender<Work>,
) -> Result<()> {
    let mut waiting: Vec<Planned> = Vec::new();
    let mut planning = true;
    while planning || !waiting.is_empty() {
        let mut group = Vec::new();
        if planning && waiting.is_empty() {
            planning = planned.recv_many(&mut group, GROUP).await > 0;
        } else if planning && waiting.len() < MAX_WAITING {
            let news = planned.recv_many(&mut group, GROUP);
            if let Ok(received) = tokio::time::timeout(ASK_AGAIN, news).await {
                planning = received > 0;
            }
        } else {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        if group.is_empty() {
            let n = waiting.len().min(GROUP);
            group.extend(waiting.drain(..n));
        }
        for work in claim_group(run, group, &mut waiting).await? {
            // A closed channel means that the workers have failed; their error ends the job.
            if claimed.send(work).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Returns the claimed documents of a group that are still to be done; those of other workers go to `waiting`.
async fn claim_group(
    run: &Run<'_>,
    group: Vec<Planned>,
    waiting: &mut Vec<Planned>,
) -> Result<Vec<Work>> {
    let ids: Vec<DocumentId> = group.iter().map(|it| run.id_of(&it.object.uri)).collect();
    let queued: Vec<LedgerRow> = group.iter().map(|it| queued(run, it)).collect();
    let claimed = run.app.metastore.claim(run.pass, &run.lease, &queued, &ids).await?;
    let mut rows: HashMap<DocumentId, LedgerRow> =
        claimed.rows.into_iter().map(|row| (row.document, row)).collect();
    let (mut works, mut done) = (Vec::new(), Vec::new());
    for (planned, id) in group.into_iter().zip(ids) {
        let Some(row) = rows.remove(&id) else {
            waiting.push(planned);
            continue;
        };
        let Planned { object, source } = planned;
        // Another worker may have finished it since it was planned.
        match plan::compare(object, Some(row), &run.settings, run.spec.rejected) {
            Step::Add(_) | Step::Remove(_) => {}
            Step::Update(object, row) => works.push(Work { object, source, row }),
            Step::Keep(row) | Step::StillRejected(row) => done.push(row),
        }
    }
    if !done.is_empty() {
        run.app.metastore.commit(run.pass, &run.lease, &done).await?;
        for row in &done {
            keep(run, row);
        }
    }
    Ok(works)
}

/// Returns the row of a document of which nothing is known but the listing.
fn queued(run: &Run<'_>, planned: &Planned) -> LedgerRow {
    let Planned { object, source } = planned;
    LedgerRow {
        document: run.id_of(&object.uri),
        uri: object.uri.clone(),
        etag: object.etag.clone(),
        content: None,
        settings: run.settings.clone(),
        state: DocumentState::Queued,
        format: None,
        title: None,
        chunks: 0,
        pages: 0,
        bytes: object.size,
        source: source.to_string(),
        job: Some(run.lease.job),
        version: 0,
        attempts: 0,
        is_copy: false,
        claim: None,
        updated_ms: run.app.clock.unix_ms(),
    }
}

/// Removes the documents that no other worker holds; returns how many.
pub(super) async fn remove_claimed(run: &Run<'_>, documents: &[DocumentId]) -> Result<u64> {
    let claimed = run.app.metastore.claim(run.pass, &run.lease, &[], documents).await?;
    let documents: Vec<DocumentId> = claimed.rows.iter().map(|row| row.document).collect();
    remove(run, &documents).await?;
    Ok(documents.len() as u64)
}

/// Keeps the lease alive; returns only when it is lost.
pub(super) async fn keep_alive(run: &Run<'_>) -> Error {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let asked_ms = run.app.clock.unix_ms();
        match run.app.metastore.renew_lease(&run.lease, LEASE).await {
            Ok(()) => run.holds_until_ms.store(asked_ms + lease_ms(), Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return error;
            }
            // The store may come back before the lease ends; `must_hold` watches over the writes.
            Err(error) => tracing::warn!(error = error.full_message(), "lease not renewed"),
        }
    }
}

/// Fails once the lease may have ended: another worker may be at the same documents by now.
pub(super) fn must_hold(run: &Run<'_>) -> Result<()> {
    if run.app.clock.unix_ms() < run.holds_until_ms.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(Lease::ended())
}

/// The length of a lease in milliseconds, less a margin for the time that a write takes.
pub(super) fn lease_ms() -> i64 {
    (LEASE * 3 / 4).as_millis() as i64
}
