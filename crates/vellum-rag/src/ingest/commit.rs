//! Last stage: makes finished documents durable, in groups.
//!
//! A group is flushed to the vector store first and written to the ledger second. Only then does the
//! report count it.

use super::Run;
use super::document::{Change, Outcome};
use std::time::Duration;
use tokio::sync::mpsc;
use vellum_core::Result;
use vellum_core::job::{Refusal, Report};
use vellum_core::ledger::{DocumentState, LedgerRow};

/// Most documents of a group.
const GROUP: usize = 256;
/// Longest that a finished document waits for company.
const GROUP_WAIT: Duration = Duration::from_millis(500);
/// Shortest time between two writes of the job's row, which tells only what the ledger holds anyway.
const JOB_EVERY: Duration = Duration::from_secs(1);

/// Commits until the workers are done; returns whether chunks were written or deleted.
pub(super) async fn commit(run: &Run<'_>, mut outcomes: mpsc::Receiver<Outcome>) -> Result<bool> {
    let mut wrote = false;
    let mut stored_at = run.app.clock.elapsed();
    while let Some(first) = outcomes.recv().await {
        let mut group = vec![first];
        let _ = tokio::time::timeout(GROUP_WAIT, async {
            while group.len() < GROUP {
                match outcomes.recv().await {
                    Some(outcome) => group.push(outcome),
                    None => break,
                }
            }
        })
        .await;
        wrote |= commit_group(run, group, Count::All).await?;
        let now = run.app.clock.elapsed();
        if now.saturating_sub(stored_at) >= JOB_EVERY {
            stored_at = now;
            let job = run.progress.borrow().job.clone();
            run.app.metastore.put_job(&job).await?;
        }
    }
    Ok(wrote)
}

/// What of a group the report counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    All,
    /// Chunks only: the documents were counted when they were listed.
    Chunks,
}

/// Makes finished documents durable and counts them; returns whether chunks were written or deleted.
pub(super) async fn commit_group(run: &Run<'_>, group: Vec<Outcome>, what: Count) -> Result<bool> {
    let wrote = group.iter().any(|outcome| outcome.wrote);
    if wrote {
        run.app.vectors.flush(run.pass).await?;
    }
    let rows: Vec<LedgerRow> = group.iter().map(|outcome| outcome.row.clone()).collect();
    run.app.metastore.commit(run.pass, &run.lease, &rows).await?;
    run.progress.send_modify(|progress| {
        for outcome in group {
            run.app.jobs.totals.count(&outcome.row.state, outcome.row.bytes, outcome.chunks);
            count(&mut progress.job.report, outcome, what);
        }
        progress.job.updated_ms = run.app.clock.unix_ms();
        progress.finished_bytes = run.pace().finished_bytes;
    });
    Ok(wrote)
}

fn count(report: &mut Report, outcome: Outcome, what: Count) {
    let Outcome { row, change, chunks, embedded, pages, .. } = outcome;
    report.chunks += chunks;
    report.embedded += embedded;
    report.pages += pages;
    match row.state {
        DocumentState::Rejected(reason) | DocumentState::Failed(reason)
            if what == Count::Chunks =>
        {
            report.warnings.push(format!("{}: {reason}", row.uri));
        }
        DocumentState::Queued | DocumentState::Indexed if what == Count::Chunks => {}
        DocumentState::Rejected(reason) => {
            report.rejected.push(Refusal { uri: row.uri, reason });
        }
        DocumentState::Failed(reason) => report.failed.push(Refusal { uri: row.uri, reason }),
        DocumentState::Queued | DocumentState::Indexed => match change {
            Change::Added => report.added += 1,
            Change::Updated => report.updated += 1,
            Change::Touched => report.unchanged += 1,
        },
    }
}

/// Counts a document that needs no work: as what this job made of it, if it was resumed, or as unchanged.
pub(super) fn keep(run: &Run<'_>, row: &LedgerRow) {
    let is_ours = row.job == Some(run.lease.job);
    run.progress.send_modify(|progress| {
        let report = &mut progress.job.report;
        match &row.state {
            DocumentState::Rejected(reason) => {
                let refusal = Refusal { uri: row.uri.clone(), reason: reason.clone() };
                report.rejected.push(refusal);
            }
            _ if is_ours => {
                match row.version {
                    0 | 1 => report.added += 1,
                    _ => report.updated += 1,
                }
                report.chunks += u64::from(row.chunks);
                report.pages += u64::from(row.pages);
            }
            _ => report.unchanged += 1,
        }
    });
}
