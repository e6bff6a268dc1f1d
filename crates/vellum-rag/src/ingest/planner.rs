//! First stage: merges the listing with the ledger and hands out the work.
//!
//! Memory is O(page) plus 16 bytes for each removed document. Unchanged documents cost one listing entry
//! and one ledger row read; nothing is written for them.

use super::Run;
use crate::plan::{self, Merge, Step};
use futures::StreamExt;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use vellum_core::Result;
use vellum_core::ids::DocumentId;
use vellum_core::job::Refusal;
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{Listed, ObjectMeta};

/// Ledger rows read at a time.
const LEDGER_PAGE: usize = 1_000;
/// Skipped entries that are named in the report; the rest are counted.
const NAMED_SKIPS: usize = 5;

/// One document to be worked on.
pub(super) struct Work {
    pub(super) object: ObjectMeta,
    /// Its ledger row, unless it is new.
    pub(super) row: Option<LedgerRow>,
}

/// What the listing no longer shows.
#[derive(Default)]
pub(super) struct Removals {
    pub(super) gone: Vec<DocumentId>,
    /// Documents that the ledger had under this source.
    pub(super) known: u64,
}

pub(super) async fn plan(run: &Run<'_>, planned: mpsc::Sender<Work>) -> Result<Removals> {
    let mut listing = run.app.objects.list(&run.spec.source).await?;
    let mut ledger = Ledger { run, rows: VecDeque::new(), after: None, ended: false };
    let mut removals = Removals::default();
    let mut notes = Notes::default();
    let mut listed = next_listed(&mut listing, &mut notes).await?;
    let mut row = ledger.next().await?;
    loop {
        let side =
            plan::merge(listed.as_ref().map(Entry::uri), row.as_ref().map(|row| row.uri.as_str()));
        let step = match side {
            Merge::Done => break,
            Merge::Ledger => {
                let gone = row.take();
                row = ledger.next().await?;
                gone.map(Step::Remove)
            }
            Merge::Listed | Merge::Both => {
                let entry = listed.take();
                let known = if side == Merge::Both {
                    let known = row.take();
                    row = ledger.next().await?;
                    known
                } else {
                    None
                };
                listed = next_listed(&mut listing, &mut notes).await?;
                count_listed(run);
                removals.known += u64::from(known.is_some());
                entry.and_then(|entry| entry.compare(run, known))
            }
        };
        match step {
            None => {}
            Some(Step::Add(object)) => send(run, &planned, object, None).await,
            Some(Step::Update(object, row)) => send(run, &planned, object, Some(row)).await,
            Some(Step::Keep(_)) => {
                run.progress.send_modify(|progress| progress.job.report.unchanged += 1);
            }
            Some(Step::StillRejected(row)) => {
                if let DocumentState::Rejected(reason) = row.state {
                    let refusal = Refusal { uri: row.uri, reason };
                    run.progress.send_modify(|p| p.job.report.rejected.push(refusal));
                }
            }
            Some(Step::Remove(row)) => {
                removals.known += 1;
                if !notes.unreadable_folders.iter().any(|folder| row.uri.starts_with(folder)) {
                    removals.gone.push(row.document);
                }
            }
        }
    }
    let warnings = notes.warnings();
    run.progress.send_modify(|progress| {
        progress.listing_done = true;
        progress.job.report.warnings.extend(warnings);
    });
    Ok(removals)
}

/// A listed entry that counts: an object, or something unreadable.
enum Entry {
    Object(ObjectMeta),
    Unreadable(Refusal),
}

impl Entry {
    fn uri(&self) -> &str {
        match self {
            Self::Object(object) => &object.uri,
            Self::Unreadable(refusal) => &refusal.uri,
        }
    }

    /// Returns the step for an object; reports what is unreadable and keeps what is known of it.
    fn compare(self, run: &Run<'_>, known: Option<LedgerRow>) -> Option<Step> {
        match self {
            Self::Object(object) => Some(plan::compare(object, known, &run.settings)),
            Self::Unreadable(refusal) => {
                run.progress.send_modify(|p| p.job.report.failed.push(refusal));
                None
            }
        }
    }
}

/// What a listing says beside its objects.
#[derive(Default)]
struct Notes {
    skipped: Vec<String>,
    n_skipped: usize,
    /// Folders that could not be listed: what the ledger has below them is not gone.
    unreadable_folders: Vec<String>,
}

impl Notes {
    fn warnings(self) -> Vec<String> {
        let mut warnings = self.skipped;
        if self.n_skipped > warnings.len() {
            warnings.push(format!("{} more entries were skipped", self.n_skipped - warnings.len()));
        }
        warnings
    }
}

async fn next_listed(
    listing: &mut vellum_core::ports::Listing,
    notes: &mut Notes,
) -> Result<Option<Entry>> {
    while let Some(entry) = listing.next().await {
        match entry? {
            Listed::Object(object) => return Ok(Some(Entry::Object(object))),
            Listed::Unreadable { uri, reason } => {
                if uri.ends_with('/') {
                    notes.unreadable_folders.push(uri.clone());
                }
                return Ok(Some(Entry::Unreadable(Refusal { uri, reason })));
            }
            Listed::Skipped { uri, reason } => {
                notes.n_skipped += 1;
                if notes.skipped.len() < NAMED_SKIPS {
                    notes.skipped.push(format!("skipped {uri}: {reason}"));
                }
            }
        }
    }
    Ok(None)
}

fn count_listed(run: &Run<'_>) {
    run.progress.send_modify(|progress| {
        progress.listed += 1;
        progress.job.report.listed += 1;
    });
}

async fn send(
    run: &Run<'_>,
    planned: &mpsc::Sender<Work>,
    object: ObjectMeta,
    row: Option<LedgerRow>,
) {
    run.pace().planned_bytes += object.size;
    // A closed channel means that the workers have failed; their error ends the job.
    let _ = planned.send(Work { object, row }).await;
}

/// The ledger rows of the source, ascending by uri, read page by page.
struct Ledger<'a> {
    run: &'a Run<'a>,
    rows: VecDeque<LedgerRow>,
    after: Option<String>,
    ended: bool,
}

impl Ledger<'_> {
    async fn next(&mut self) -> Result<Option<LedgerRow>> {
        if self.rows.is_empty() && !self.ended {
            let Run { app, pass, spec, .. } = self.run;
            let (source, after) = (spec.source.as_str(), self.after.as_deref());
            // Of a source that is one object only its own row: others may begin with the same characters.
            let is_folder = source.ends_with('/');
            let limit = if is_folder { LEDGER_PAGE } else { 1 };
            let mut page = app.metastore.rows(pass, source, after, limit).await?;
            page.retain(|row| is_folder || row.uri == source);
            self.ended = !is_folder || page.len() < LEDGER_PAGE;
            self.after = page.last().map(|row| row.uri.clone());
            self.rows = page.into();
        }
        Ok(self.rows.pop_front())
    }
}
