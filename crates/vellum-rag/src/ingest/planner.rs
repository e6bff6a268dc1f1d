//! First stage: merges the listing with the ledger and hands on what needs work.
//!
//! Memory is O(page) plus 16 bytes for each removed document. Unchanged documents cost one listing entry
//! and one ledger row read; nothing is written for them.

use super::Run;
use super::claim::Planned;
use super::commit::keep;
use crate::plan::{self, Merge, Step};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use vellum_core::access::VersionPass;
use vellum_core::ids::DocumentId;
use vellum_core::job::Refusal;
use vellum_core::ledger::{LedgerRow, Scope};
use vellum_core::ports::{Listed, Listing, ObjectMeta};
use vellum_core::{Error, ErrorKind, Result};

/// Ledger rows read at a time.
const LEDGER_PAGE: usize = 1_000;
/// Skipped entries that are named in the report; the rest are counted.
const NAMED_SKIPS: usize = 5;

/// What the listing no longer shows.
#[derive(Default)]
pub(super) struct Removals {
    pub(super) gone: Vec<DocumentId>,
    /// Documents that the ledger had under this source.
    pub(super) known: u64,
}

pub(super) async fn plan(run: &Run<'_>, planned: mpsc::Sender<Planned>) -> Result<Removals> {
    let mut listing = match &run.follows {
        None => sourced(listing(run).await?, run.source.clone()),
        Some(live) => remembered(run, live.clone()),
    };
    let mut ledger = Ledger { run, rows: VecDeque::new(), after: None, ended: false };
    let mut removals = Removals::default();
    let mut notes = Notes::default();
    let mut listed = next_listed(&mut listing, &mut notes).await?;
    let mut row = ledger.next().await?;
    loop {
        let side = plan::merge(
            listed.as_ref().map(|(entry, _)| entry.uri()),
            row.as_ref().map(|row| row.uri.as_str()),
        );
        let mut source = None;
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
                entry.and_then(|(entry, of)| {
                    source = Some(of);
                    entry.compare(run, known)
                })
            }
        };
        match step {
            None => {}
            Some(Step::Add(object) | Step::Update(object, _)) => {
                let source = source.unwrap_or_else(|| run.source.clone());
                send(run, &planned, Planned { object, source }).await;
            }
            Some(Step::Keep(row) | Step::StillRejected(row)) => keep(run, &row),
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

/// A listing whose entries know the source that they belong to.
type Sourced = BoxStream<'static, Result<(Listed, Arc<str>)>>;

fn sourced(listing: Listing, source: Arc<str>) -> Sourced {
    listing.map(move |entry| Ok((entry?, source.clone()))).boxed()
}

/// Returns what the live version knows as a listing: what a source showed when it was read last.
fn remembered(run: &Run<'_>, live: VersionPass) -> Sourced {
    let metastore = run.app.metastore.clone();
    let pages = futures::stream::try_unfold(None::<String>, move |after| {
        let (metastore, live) = (metastore.clone(), live.clone());
        async move {
            let page =
                metastore.rows(&live, Scope::Prefix(""), after.as_deref(), LEDGER_PAGE).await?;
            let last = page.last().map(|row| row.uri.clone());
            Ok::<_, Error>(
                last.map(|last| (futures::stream::iter(page.into_iter().map(Ok)), Some(last))),
            )
        }
    });
    let rows = pages.try_flatten();
    rows.map_ok(|row: LedgerRow| {
        let object =
            ObjectMeta { name: row.uri.clone(), uri: row.uri, size: row.bytes, etag: row.etag };
        (Listed::Object(object), Arc::from(row.source))
    })
    .boxed()
}

/// Returns the listing of the source; an empty one when it is a single object that is gone from where it was.
async fn listing(run: &Run<'_>) -> Result<Listing> {
    let source = run.spec.source.as_str();
    match run.app.objects.list(source).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A place that cannot be listed either tells nothing about the object.
            let place = match extent(source) {
                Extent::Itself => container(source),
                Extent::All | Extent::Below | Extent::Listed => None,
            };
            match place {
                Some(place) if run.app.objects.list(place).await.is_ok() => {
                    Ok(futures::stream::empty().boxed())
                }
                _ => Err(error),
            }
        }
        listing => listing,
    }
}

/// Returns the bucket or root of a uri: up to the first `/` after the authority.
fn container(uri: &str) -> Option<&str> {
    let authority = uri.find("://")? + 3;
    let end = authority + uri.get(authority..)?.find('/')?;
    uri.get(..=end)
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
            Self::Object(object) => {
                Some(plan::compare(object, known, &run.settings, run.spec.rejected))
            }
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
    listing: &mut Sourced,
    notes: &mut Notes,
) -> Result<Option<(Entry, Arc<str>)>> {
    while let Some(entry) = listing.next().await {
        let (entry, source) = entry?;
        match entry {
            Listed::Object(object) => return Ok(Some((Entry::Object(object), source))),
            Listed::Unreadable { uri, reason } => {
                if uri.ends_with('/') {
                    notes.unreadable_folders.push(uri.clone());
                }
                return Ok(Some((Entry::Unreadable(Refusal { uri, reason }), source)));
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

async fn send(run: &Run<'_>, planned: &mpsc::Sender<Planned>, document: Planned) {
    let planned_bytes = {
        let mut pace = run.pace();
        pace.planned_bytes += document.object.size;
        pace.planned_bytes
    };
    run.progress.send_modify(|progress| progress.planned_bytes = planned_bytes);
    // A closed channel means that the next stage has failed; its error ends the job.
    let _ = planned.send(document).await;
}

/// Which documents a source has.
enum Extent {
    /// All of the version.
    All,
    /// Those whose uris begin with its own.
    Below,
    /// Those that it names: a page that lists others, or stands for itself.
    Listed,
    /// Itself.
    Itself,
}

fn extent(source: &str) -> Extent {
    if source.starts_with("https://") || source.starts_with("http://") {
        Extent::Listed
    } else if source.ends_with('/') {
        Extent::Below
    } else {
        Extent::Itself
    }
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
            let extent = if self.run.follows.is_some() { Extent::All } else { extent(source) };
            let page = match extent {
                Extent::All => Scope::Prefix(""),
                Extent::Below => Scope::Prefix(source),
                Extent::Listed => Scope::Source(source),
                // Only its own row: others may begin with the same characters.
                Extent::Itself => {
                    self.ended = true;
                    let mut page = app.metastore.rows(pass, Scope::Prefix(source), None, 1).await?;
                    page.retain(|row| row.uri == source);
                    self.rows = page.into();
                    return Ok(self.rows.pop_front());
                }
            };
            let page = app.metastore.rows(pass, page, after, LEDGER_PAGE).await?;
            self.ended = page.len() < LEDGER_PAGE;
            self.after = page.last().map(|row| row.uri.clone());
            self.rows = page.into();
        }
        Ok(self.rows.pop_front())
    }
}
