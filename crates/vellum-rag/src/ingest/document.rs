//! Third stage: one document from bytes to stored chunks.

use super::claim::{Work, must_hold};
use super::converted;
use super::copies::original_of;
use super::cut::{About, split_part};
use super::embed::{BATCH, embed_whole};
use super::remembered::{self, Body};
use super::{PERMIT_BYTES, Run};
use crate::bm25::{self, Analyser};
use crate::search::analyser;
use crate::split::Place;
use futures::{StreamExt, future, stream};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vellum_core::chunk::Chunk;
use vellum_core::document::PAGES_WITHOUT_TEXT;
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::{ChunkId, ContentHash};
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{Content, ConvertInput, ObjectMeta, Point};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_core::{Error, ErrorKind, Result, Retry};

/// Warnings of a job that are kept; more of one kind tell nothing new.
pub(super) const MAX_WARNINGS: usize = 100;
/// Chunk ids that are read at a time when a document is withdrawn.
const SCAN_PAGE: usize = 512;
/// Mean chunk length that is assumed until the collection's own is settled, in terms.
pub(crate) const PROVISIONAL_AVG_LEN: f32 = 120.0;
/// Documents in a row that fail because something does not answer, after which the job waits for it.
const MAX_OUTAGES: u32 = 5;

/// What became of a document, to be committed.
pub(super) struct Outcome {
    pub(super) row: LedgerRow,
    pub(super) change: Change,
    /// Whether chunks were written or deleted.
    pub(super) wrote: bool,
    /// Chunks written.
    pub(super) chunks: u64,
    /// Texts embedded; less than the chunks where vectors were known.
    pub(super) embedded: u64,
    /// Pages read.
    pub(super) pages: u64,
}

impl Outcome {
    /// Returns the outcome for a row as it will stand, of which nothing was read or written.
    pub(super) fn of(row: LedgerRow, change: Change) -> Self {
        Self { row, change, wrote: false, chunks: 0, embedded: 0, pages: 0 }
    }
}

/// How the document counts in the report, besides rejected and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Updated,
    /// The marker changed, the content did not.
    Touched,
}

/// Works on one document.
///
/// # Errors
/// Only failures that concern every document: of the vector store, the embedder, or the lease.
pub(super) async fn process(run: &Run<'_>, work: Work) -> Result<Outcome> {
    let name = work.object.name.clone();
    let size = work.object.size;
    run.progress.send_modify(|progress| progress.current.push(name.clone()));
    let outcome = in_time(run, work, Task::Follow).await;
    run.pace().finished_bytes += size;
    run.progress.send_modify(|progress| {
        if let Some(at) = progress.current.iter().position(|current| *current == name) {
            progress.current.swap_remove(at);
        }
    });
    outcome
}

/// Reads and stores a copy, whose original is gone. It may be of another source than the run's, which may not answer: then
/// the copy fails, and the run goes on.
///
/// # Errors
/// As [`process`].
pub(super) async fn promote(run: &Run<'_>, work: Work) -> Result<Outcome> {
    in_time(run, work, Task::Promote).await
}

/// Why a document is worked on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Its source listed it. Content that is stored already spares the rest of the work.
    Follow,
    /// It is to hold the chunks that it was a copy of.
    Promote,
}

/// Works on a document until its deadline.
async fn in_time(run: &Run<'_>, work: Work, task: Task) -> Result<Outcome> {
    let limit = run.app.settings.ingest.document_timeout;
    let row = new_row(run, &work, task);
    let mut written = Written::default();
    let outcome =
        tokio::time::timeout(limit, stages(run, work, row.clone(), task, &mut written)).await;
    match outcome {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(Stop::Run(error))) => Err(error),
        Ok(Err(Stop::Document(row, error))) => {
            if task == Task::Follow {
                count_outage(run, &error)?;
            }
            refuse(run, *row, &written, &error).await
        }
        Err(_) => {
            let message = format!("it took longer than {} s", limit.as_secs());
            let error = Error::new(ErrorKind::Timeout, message)
                .with_hint("`ingest.document_timeout_s` is the limit")
                .with_retry(Retry::Never);
            refuse(run, row, &written, &error).await
        }
    }
}

/// What ended the work on a document before it was indexed.
enum Stop {
    /// Its own failure, with the row as far as it is known.
    Document(Box<LedgerRow>, Error),
    /// A failure that concerns every document.
    Run(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

/// What has been written of a document so far.
#[derive(Default)]
struct Written {
    ids: Vec<ChunkId>,
    embedded: u64,
    pages: u64,
}

async fn stages(
    run: &Run<'_>,
    work: Work,
    mut row: LedgerRow,
    task: Task,
    written: &mut Written,
) -> Result<Outcome, Stop> {
    let may_cut_short = task == Task::Follow && !work.is_unfinished();
    let before = work.row;
    // Held while the source's bytes are in memory.
    let mut permit = run.memory.acquire_many(permits(run, work.object.size)).await;
    let (object, body) = match remembered::read(run, &work.object, max_bytes(run)).await {
        Ok(read) => read,
        Err(error) => return Err(Stop::Document(Box::new(row), error)),
    };
    if let Body::Bytes(Content::Spooled { .. }) = body {
        permit = run.memory.acquire_many(0).await;
    }
    let hash = match &body {
        Body::Bytes(content) => hash_of(content.clone()).await,
        Body::Parts(_, content) => Ok(content.clone()),
        Body::Text(text) => Ok(text.content.clone()),
    };
    let hash = match hash {
        Ok(hash) => hash,
        Err(error) => return Err(Stop::Document(Box::new(row), error)),
    };
    row.etag = object.etag.clone();
    row.bytes = object.size;
    let same = before.content.as_ref() == Some(&hash) && before.settings == run.settings;
    if may_cut_short && same && before.state == DocumentState::Indexed {
        let LedgerRow { source, updated_ms, .. } = row;
        let row = LedgerRow { etag: object.etag, claim: None, source, updated_ms, ..before };
        return Ok(Outcome::of(row, Change::Touched));
    }
    let change = if before.version == 0 { Change::Added } else { Change::Updated };
    let version = if same { before.version.max(1) } else { before.version + 1 };
    row.content = Some(hash);
    if may_cut_short
        && let Some(hash) = &row.content
        && let Some(original) = original_of(run, hash, &row.uri).await?
    {
        let row = LedgerRow { version, ..row };
        return Ok(Outcome { change, ..copy(run, row, &original, &before).await? });
    }
    let stored = store_parts(run, &object, body, &mut row, written).await?;
    drop(permit);
    match stored {
        Ok(()) if !written.ids.is_empty() => {
            run.outages.store(0, Ordering::Relaxed);
            row = LedgerRow { state: DocumentState::Indexed, version, attempts: 0, ..row };
            Ok(Outcome {
                wrote: true,
                chunks: written.ids.len() as u64,
                embedded: written.embedded,
                pages: written.pages,
                ..Outcome::of(row, change)
            })
        }
        Ok(()) => {
            let error = Error::new(ErrorKind::Rejected, "the document has no text");
            Err(Stop::Document(Box::new(row), error))
        }
        Err(error) => Err(Stop::Document(Box::new(row), error)),
    }
}

/// Ends a document whose content is stored under another uri.
async fn copy(
    run: &Run<'_>,
    row: LedgerRow,
    original: &LedgerRow,
    before: &LedgerRow,
) -> Result<Outcome> {
    // A failed one may have left some, whatever its version.
    let had_chunks = before.state != DocumentState::Queued && !before.is_copy;
    if had_chunks {
        must_hold(run)?;
        run.app.vectors.delete_document(run.pass, row.document, &[]).await?;
    }
    let row = LedgerRow {
        state: DocumentState::Indexed,
        format: original.format,
        title: original.title.clone(),
        pages: original.pages,
        chunks: 0,
        attempts: 0,
        is_copy: true,
        ..row
    };
    Ok(Outcome { wrote: had_chunks, ..Outcome::of(row, Change::Updated) })
}

/// Converts, splits, embeds and writes the document part by part, then deletes what an older version left.
///
/// The inner result is the document's own: its content cannot be read, perhaps after some of it was written.
async fn store_parts(
    run: &Run<'_>,
    object: &ObjectMeta,
    body: Body,
    row: &mut LedgerRow,
    written: &mut Written,
) -> Result<Result<()>> {
    let (mut parts, known) = match body {
        Body::Bytes(content) => {
            let input = ConvertInput { name: object.name.clone(), content };
            (converted::keep(run, row, run.app.converter.parts(input)), None)
        }
        Body::Parts(parts, _) => (parts, None),
        Body::Text(text) => {
            (stream::once(future::ready(Ok(text.document))).boxed(), Some(text.about))
        }
    };
    let mut place = Place::default();
    let mut about = known.clone().unwrap_or_default();
    while let Some(part) = parts.next().await {
        let part = match part {
            Ok(part) => part,
            Err(error) => return Ok(Err(error)),
        };
        if written.ids.is_empty() {
            row.format = Some(part.format);
            row.title.clone_from(&part.title);
            if known.is_none() {
                about = About::of(&part);
            }
        }
        if let Some(pages) = part.metadata.get(PAGES_WITHOUT_TEXT) {
            warn_of_scans(run, object, pages);
        }
        written.pages += part.pages().count() as u64;
        row.pages = written.pages as u32;
        let cut = split_part(run, part, place, object, row, &about).await?;
        place = cut.end;
        written.embedded += cut.embedded;
        for (batch, known) in cut.chunks.chunks(BATCH).zip(cut.vectors.chunks(BATCH)) {
            // Named before they are written: a deadline may fall in between.
            written.ids.extend(batch.iter().map(|chunk| chunk.id));
            written.embedded += store(run, batch, known).await?;
        }
    }
    row.chunks = place.chunks;
    if !run.store_was_empty && !written.ids.is_empty() {
        must_hold(run)?;
        run.app.vectors.delete_document(run.pass, row.document, &written.ids).await?;
    }
    Ok(Ok(()))
}

/// Reports pages that hold pictures of text, which were left out.
fn warn_of_scans(run: &Run<'_>, object: &ObjectMeta, pages: &str) {
    let warning = format!(
        "{}: left out pages without a text layer: {pages} (`tesseract` with the languages of `ingest.ocr` reads them)",
        object.name
    );
    run.warn(warning);
}

pub(crate) async fn hash_of(content: Content) -> Result<ContentHash> {
    blocking(move || content.hash())
        .await?
        .map_err(|error| Error::io("read the copy of the file", error))
}

fn max_bytes(run: &Run<'_>) -> u64 {
    run.app.settings.ingest.max_document_bytes
}

/// Returns how many permits an object of `size` bytes takes, at most all: a larger one is held on disk.
fn permits(run: &Run<'_>, size: u64) -> u32 {
    let all = run.app.settings.ingest.memory_budget / PERMIT_BYTES;
    (size / PERMIT_BYTES + 1).min(all.max(1)) as u32
}

/// Returns the row as it stands before anything is known but the listing.
fn new_row(run: &Run<'_>, work: &Work, task: Task) -> LedgerRow {
    let Work { object, source, row: before } = work;
    let job = match task {
        Task::Follow => Some(run.lease.job),
        Task::Promote => before.job,
    };
    LedgerRow {
        document: before.document,
        uri: object.uri.clone(),
        etag: object.etag.clone(),
        content: None,
        settings: run.settings.clone(),
        state: DocumentState::Failed("not finished".to_owned()),
        format: None,
        title: None,
        chunks: before.chunks,
        pages: 0,
        bytes: object.size,
        source: source.to_string(),
        job,
        version: before.version,
        attempts: before.attempts + 1,
        is_copy: false,
        claim: None,
        updated_ms: run.app.clock.unix_ms(),
    }
}

/// Ends a document that could not be read; nothing that was written of it in this job stays.
///
/// A rejected one loses its old chunks too, because its old content is no more. A failed one keeps them.
///
/// # Errors
/// What the store fails with.
async fn refuse(
    run: &Run<'_>,
    mut row: LedgerRow,
    written: &Written,
    error: &Error,
) -> Result<Outcome> {
    let reason = error.full_message();
    let mut wrote = !written.ids.is_empty();
    if error.kind() == ErrorKind::Rejected {
        if !run.store_was_empty || wrote {
            must_hold(run)?;
            run.app.vectors.delete_document(run.pass, row.document, &[]).await?;
            wrote = true;
        }
        converted::forget(run, vec![row.document]).await?;
        row.chunks = 0;
        row.attempts = 0;
        row.state = DocumentState::Rejected(reason);
    } else {
        if wrote {
            withdraw(run, &row, &written.ids).await?;
        }
        row.state = DocumentState::Failed(reason);
    }
    Ok(Outcome { wrote, ..Outcome::of(row, Change::Updated) })
}

/// Fails when so many documents in a row met an outage that it is about what holds them rather than about one of them.
fn count_outage(run: &Run<'_>, error: &Error) -> Result<()> {
    let kinds = [ErrorKind::Unavailable, ErrorKind::Overloaded, ErrorKind::Timeout];
    if !kinds.contains(&error.kind()) || error.retry() == Retry::Never {
        return Ok(());
    }
    let outages = run.outages.fetch_add(1, Ordering::Relaxed) + 1;
    if outages < MAX_OUTAGES {
        return Ok(());
    }
    let message =
        format!("{outages} documents in a row could not be read: {}", error.full_message());
    Err(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Later))
}

/// Deletes the chunks that were written of a document, and leaves those of its older version.
async fn withdraw(run: &Run<'_>, row: &LedgerRow, written: &[ChunkId]) -> Result<()> {
    must_hold(run)?;
    let written: HashSet<ChunkId> = written.iter().copied().collect();
    let filter = Filter::In(Field::Document, vec![row.document.to_string()]);
    let (mut keep, mut after) = (Vec::new(), None);
    loop {
        let page = run.app.vectors.scan(run.pass, after, SCAN_PAGE, Some(&filter)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        keep.extend(page.iter().map(|chunk| chunk.id).filter(|id| !written.contains(id)));
    }
    run.app.vectors.delete_document(run.pass, row.document, &keep).await
}

/// Embeds and writes a batch of chunks of one document, of which some vectors are known; returns the number of texts that were
/// embedded.
async fn store(run: &Run<'_>, batch: &[Chunk], known: &[Option<Embedding>]) -> Result<u64> {
    let language = batch.first().and_then(|chunk| chunk.language.as_deref());
    let analyser = Arc::new(analyser(&run.collection, language));
    let avg_len = run.collection.sparse.as_ref().map_or(PROVISIONAL_AVG_LEN, |s| s.avg_len);
    let texts: Vec<String> = batch.iter().map(|chunk| chunk.indexed_text().into_owned()).collect();
    let unknown: Vec<String> = texts
        .iter()
        .zip(known)
        .filter(|(_, vector)| vector.is_none())
        .map(|(text, _)| text.clone())
        .collect();
    let (made, embedded) = embed_whole(run, unknown).await?;
    let mut made = made.into_iter();
    let dense = known.iter().filter_map(|vector| vector.clone().or_else(|| made.next()));
    let sparse = encode_sparse(analyser, texts, avg_len).await?;
    let points = batch.iter().zip(dense).zip(sparse);
    let points = points
        .map(|((chunk, dense), sparse)| Point { chunk: chunk.clone(), dense, sparse })
        .collect();
    must_hold(run)?;
    run.app.vectors.upsert(run.pass, points).await?;
    run.embedded(batch.len() as u64);
    Ok(embedded)
}

async fn encode_sparse(
    analyser: Arc<Analyser>,
    texts: Vec<String>,
    avg_len: f32,
) -> Result<Vec<SparseVector>> {
    blocking(move || {
        texts.iter().map(|text| bm25::document_vector(&analyser.terms(text), avg_len)).collect()
    })
    .await
}

/// Runs CPU work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "a worker thread panicked").with_source(error)
    })
}
