//! Writes a collection's live version to a file.
//!
//! Ledger, chunks and originals are read page by page and handed to a thread that packs and writes them, so memory is a
//! few pages whatever the collection's size. No job writes to the live version meanwhile.

use super::write::{Entry, Writer};
use super::{End, FORMAT, Manifest, Progress, opinions};
use crate::app::App;
use crate::collections::{self, ContentDigest};
use crate::datasets;
use crate::documents;
use crate::jobs::Side;
use std::io::Write;
use std::time::Duration;
use tokio::sync::mpsc;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::ids::ChunkId;
use vellum_core::job::Refusal;
use vellum_core::ledger::{LedgerRow, Scope};
use vellum_core::ports::WithVectors;
use vellum_core::{Error, ErrorKind, Result};

/// Ledger rows of an entry.
const ROWS: usize = 512;
/// Chunks of an entry.
const CHUNKS: usize = 256;
/// Opinions of an entry.
const OPINIONS: usize = 512;
/// Entries that wait for the writer.
const QUEUE: usize = 2;
/// How long an export waits for a job that writes to the collection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Originals that are named when they cannot be read.
const NAMED: usize = 100;

/// Whether the documents themselves travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originals {
    /// They do, as far as they can still be read as they were ingested.
    With,
    /// Their texts do, in the chunks.
    Without,
}

/// Writes the live version of the pass's collection to `out`; returns that, flushed.
///
/// Dropping the future ends the work; what was written by then is no whole file.
///
/// # Errors
/// `NotFound` for an unknown collection; `Conflict` when a job keeps writing to it; `Io` and `NoSpace` of `out`.
pub async fn export<W: Write + Send + 'static>(
    app: &App,
    pass: &Pass,
    originals: Originals,
    out: W,
    show: &(dyn Fn(Progress) + Sync),
) -> Result<W> {
    let name = pass.collection();
    let busy = || {
        Error::new(ErrorKind::Conflict, format!("a job is writing to collection `{name}`"))
            .with_hint("wait for it to end, or cancel it; `vellum job list` shows it")
    };
    let _turn = app.jobs.wait_for(name, Side::Live, PATIENCE).await.ok_or_else(busy)?;
    let (collection, live) = collections::live(app, pass).await?;
    let summary = collections::summary_in(app, &live, collection.clone()).await?;
    let manifest = Manifest {
        format: FORMAT,
        version: collection.version(),
        collection: collection.name,
        settings: collection.settings,
        language: collection.language,
        sparse: collection.sparse,
        tuning: collection.tuning,
        created_ms: collection.created_ms,
        documents: summary.documents,
        chunks: summary.chunks,
    };
    let (entries, queue) = mpsc::channel(QUEUE);
    let head = manifest.clone();
    let written = tokio::task::spawn_blocking(move || write(out, &head, queue));
    let read = read(app, pass, &live, originals, &manifest, &entries, show).await;
    drop(entries);
    let written = written.await.map_err(|error| {
        Error::new(ErrorKind::Internal, "the writer of the export panicked").with_source(error)
    })?;
    // Its failure is the cause when it stopped taking entries.
    let out = match written {
        Err(error) => return Err(Error::io("write the export", error)),
        Ok(out) => out,
    };
    read?;
    out.ok_or_else(|| Error::new(ErrorKind::Internal, "the export has no end"))
}

/// Writes entries until the last; `None` when that did not come.
fn write<W: Write>(
    out: W,
    manifest: &Manifest,
    mut queue: mpsc::Receiver<Entry>,
) -> std::io::Result<Option<W>> {
    let mut writer = Writer::new(out, manifest)?;
    while let Some(entry) = queue.blocking_recv() {
        let is_last = matches!(entry, Entry::End(_));
        writer.write(entry)?;
        if is_last {
            return writer.finish().map(Some);
        }
    }
    Ok(None)
}

async fn send(entries: &mpsc::Sender<Entry>, entry: Entry) -> Result<()> {
    let gone = |_| Error::new(ErrorKind::Cancelled, "the export is written no further");
    entries.send(entry).await.map_err(gone)
}

async fn read(
    app: &App,
    pass: &Pass,
    live: &VersionPass,
    originals: Originals,
    manifest: &Manifest,
    entries: &mpsc::Sender<Entry>,
    show: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let mut end = End::default();
    let mut rows = Rows::new(app, live);
    while let Some(page) = rows.next().await? {
        end.rows += page.len() as u64;
        let page = page.into_iter().map(|row| LedgerRow { claim: None, ..row }).collect();
        send(entries, Entry::Rows(page)).await?;
    }
    let of = manifest.chunks + if originals == Originals::With { end.rows } else { 0 };
    let mut digest = ContentDigest::default();
    let mut after: Option<ChunkId> = None;
    loop {
        let page = match app.vectors.scan(live, after, CHUNKS, None).await {
            // Nothing was ever written to it.
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        page.iter().for_each(|chunk| digest.add(chunk));
        let ids: Vec<ChunkId> = page.iter().map(|chunk| chunk.id).collect();
        let stored = app.vectors.fetch(live, &ids, WithVectors::Yes).await?;
        if stored.len() != ids.len() || stored.iter().any(|stored| stored.dense.is_none()) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the collection changed while it was read",
            )
            .with_hint("export it again"));
        }
        end.chunks += stored.len() as u64;
        send(entries, Entry::Chunks(stored)).await?;
        show(Progress { done: end.chunks, of });
    }
    end.digest = digest.to_string();
    for (name, bytes) in datasets::files(app, pass.collection()).await? {
        send(entries, Entry::Dataset(name, bytes)).await?;
        end.datasets += 1;
    }
    let mut opinions = opinions::of_collection(app, pass).await?;
    end.opinions = opinions.len() as u64;
    while !opinions.is_empty() {
        let rest = opinions.split_off(opinions.len().min(OPINIONS));
        send(entries, Entry::Opinions(std::mem::replace(&mut opinions, rest))).await?;
    }
    if originals == Originals::With {
        read_originals(app, live, &mut end, of, entries, show).await?;
    }
    send(entries, Entry::End(end)).await
}

/// Hands on the originals, each content once.
async fn read_originals(
    app: &App,
    live: &VersionPass,
    end: &mut End,
    of: u64,
    entries: &mpsc::Sender<Entry>,
    show: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let mut seen = 0;
    let mut rows = Rows::new(app, live);
    while let Some(page) = rows.next().await? {
        for row in page {
            seen += 1;
            show(Progress { done: end.chunks + seen, of });
            // A copy has the content of a document that travels.
            let (Some(hash), false) = (&row.content, row.is_copy) else { continue };
            match documents::original(app, live, &row).await {
                Ok((_, content)) => {
                    send(entries, Entry::Original(hash.clone(), content)).await?;
                    end.originals += 1;
                }
                Err(error) if end.left_out.len() < NAMED => {
                    end.left_out.push(Refusal { uri: row.uri, reason: error.full_message() });
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// The rows of a version, page by page.
struct Rows<'a> {
    app: &'a App,
    live: &'a VersionPass,
    after: Option<String>,
}

impl<'a> Rows<'a> {
    fn new(app: &'a App, live: &'a VersionPass) -> Self {
        Self { app, live, after: None }
    }

    async fn next(&mut self) -> Result<Option<Vec<LedgerRow>>> {
        let (store, after) = (&self.app.metastore, self.after.as_deref());
        let page = store.rows(self.live, Scope::Prefix(""), after, ROWS).await?;
        self.after = page.last().map(|row| row.uri.clone()).or(self.after.take());
        Ok((!page.is_empty()).then_some(page))
    }
}
