//! Third stage: makes finished documents durable, in groups.
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

/// Commits until the workers are done; returns whether chunks were written or deleted.
pub(super) async fn commit(run: &Run<'_>, mut outcomes: mpsc::Receiver<Outcome>) -> Result<bool> {
    let mut wrote = false;
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
        wrote |= commit_group(run, group).await?;
    }
    Ok(wrote)
}

async fn commit_group(run: &Run<'_>, group: Vec<Outcome>) -> Result<bool> {
    let wrote = group.iter().any(|outcome| outcome.change != Change::Touched);
    if wrote {
        run.app.vectors.flush(run.pass).await?;
    }
    let rows: Vec<LedgerRow> = group.iter().map(|outcome| outcome.row.clone()).collect();
    run.app.metastore.put_rows(run.pass, &rows).await?;
    run.progress.send_modify(|progress| {
        for outcome in group {
            count(&mut progress.job.report, outcome);
        }
        progress.job.updated_ms = run.app.clock.unix_ms();
    });
    let job = run.progress.borrow().job.clone();
    run.app.metastore.put_job(&job).await?;
    Ok(wrote)
}

fn count(report: &mut Report, outcome: Outcome) {
    let Outcome { row, change, chunks, pages } = outcome;
    report.chunks += chunks;
    report.embedded += chunks;
    report.pages += pages;
    match row.state {
        DocumentState::Rejected(reason) => {
            report.rejected.push(Refusal { uri: row.uri, reason });
        }
        DocumentState::Failed(reason) => report.failed.push(Refusal { uri: row.uri, reason }),
        DocumentState::Indexed => match change {
            Change::Added => report.added += 1,
            Change::Updated => report.updated += 1,
            Change::Touched => report.unchanged += 1,
        },
    }
}
