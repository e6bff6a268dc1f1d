//! Second stage: one document from bytes to stored chunks.

use super::planner::Work;
use super::{PERMIT_BYTES, Run};
use crate::bm25::{self, Analyser};
use crate::search::analyser_language;
use crate::split::{self, Origin, Place};
use futures::StreamExt;
use std::sync::Arc;
use vellum_core::chunk::Chunk;
use vellum_core::document::{Document, PAGES_WITHOUT_TEXT};
use vellum_core::ids::{ChunkId, ContentHash, DocumentId};
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{Content, ConvertInput, ObjectMeta, Point, TextKind};
use vellum_core::vector::SparseVector;
use vellum_core::{Error, ErrorKind, Result};

/// Warnings of a job that are kept; more of one kind tell nothing new.
const MAX_WARNINGS: usize = 100;
/// Chunks that are embedded and written together.
const BATCH: usize = 32;
/// Mean chunk length that is assumed until the collection's own is settled, in terms.
const PROVISIONAL_AVG_LEN: f32 = 120.0;

/// What became of a document, to be committed.
pub(super) struct Outcome {
    pub(super) row: LedgerRow,
    pub(super) change: Change,
    /// Chunks written in this job.
    pub(super) chunks: u64,
    /// Pages read in this job.
    pub(super) pages: u64,
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
/// Only failures that concern every document: of the vector store or the embedder.
pub(super) async fn process(run: &Run<'_>, work: Work) -> Result<Outcome> {
    let name = work.object.name.clone();
    let size = work.object.size;
    run.progress.send_modify(|progress| progress.current.push(name.clone()));
    let outcome = process_inner(run, work).await;
    run.pace().finished_bytes += size;
    run.progress.send_modify(|progress| {
        if let Some(at) = progress.current.iter().position(|current| *current == name) {
            progress.current.swap_remove(at);
        }
    });
    outcome
}

async fn process_inner(run: &Run<'_>, work: Work) -> Result<Outcome> {
    let Work { object, row } = work;
    let mut outcome = Outcome {
        row: new_row(run, &object, row.as_ref()),
        change: if row.is_some() { Change::Updated } else { Change::Added },
        chunks: 0,
        pages: 0,
    };
    // Held while the source's bytes are in memory.
    let mut permit = run.memory.acquire_many(permits(run, object.size)).await;
    let (object, content) = match run.app.objects.get(&object.uri, max_bytes(run)).await {
        Ok(read) => read,
        Err(error) => return refuse(run, outcome, &error).await,
    };
    if let Content::Spooled { .. } = content {
        permit = run.memory.acquire_many(0).await;
    }
    let hash = match hash_of(content.clone()).await {
        Ok(hash) => hash,
        Err(error) => return refuse(run, outcome, &error).await,
    };
    outcome.row.etag = object.etag.clone();
    outcome.row.bytes = object.size;
    if let Some(row) = &row
        && row.content.as_ref() == Some(&hash)
        && row.settings == run.settings
        && row.state == DocumentState::Indexed
    {
        outcome.change = Change::Touched;
        outcome.row = LedgerRow { etag: object.etag, ..row.clone() };
        return Ok(outcome);
    }
    outcome.row.content = Some(hash);
    let stored = store_parts(run, &object, content, &mut outcome).await?;
    drop(permit);
    let error = match stored {
        Ok(()) if outcome.chunks > 0 => {
            outcome.row.state = DocumentState::Indexed;
            return Ok(outcome);
        }
        Ok(()) => Error::new(ErrorKind::Rejected, "the document has no text"),
        Err(error) => error,
    };
    refuse(run, outcome, &error).await
}

/// Converts, splits, embeds and writes the document part by part, then deletes what an older version left.
///
/// The inner result is the document's own: its content cannot be read, perhaps after some of it was written.
async fn store_parts(
    run: &Run<'_>,
    object: &ObjectMeta,
    content: Content,
    outcome: &mut Outcome,
) -> Result<Result<()>> {
    let mut parts = run.app.converter.parts(ConvertInput { name: object.name.clone(), content });
    let mut place = Place::default();
    let mut kept: Vec<ChunkId> = Vec::new();
    while let Some(part) = parts.next().await {
        let part = match part {
            Ok(part) => part,
            Err(error) => return Ok(Err(error)),
        };
        if kept.is_empty() {
            outcome.row.format = Some(part.format);
            outcome.row.title.clone_from(&part.title);
        }
        if let Some(pages) = part.metadata.get(PAGES_WITHOUT_TEXT) {
            warn_of_scans(run, object, pages);
        }
        outcome.pages += part.pages().count() as u64;
        outcome.row.pages = outcome.pages as u32;
        let chunks;
        (chunks, place) = split_part(run, part, place, object, &outcome.row).await?;
        store(run, &chunks).await?;
        outcome.chunks += chunks.len() as u64;
        kept.extend(chunks.iter().map(|chunk| chunk.id));
    }
    outcome.row.chunks = place.chunks;
    if !run.store_was_empty {
        run.app.vectors.delete_document(run.pass, outcome.row.document, &kept).await?;
    }
    Ok(Ok(()))
}

/// Reports pages that hold pictures of text, which were left out.
fn warn_of_scans(run: &Run<'_>, object: &ObjectMeta, pages: &str) {
    let warning = format!(
        "{}: left out pages without a text layer: {pages} (`tesseract` with the languages of `ingest.ocr` reads them)",
        object.name
    );
    run.progress.send_modify(|progress| {
        let warnings = &mut progress.job.report.warnings;
        if warnings.len() < MAX_WARNINGS {
            warnings.push(warning);
        }
    });
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
fn new_row(run: &Run<'_>, object: &ObjectMeta, before: Option<&LedgerRow>) -> LedgerRow {
    LedgerRow {
        document: DocumentId::derive(&run.collection.name, &object.uri),
        uri: object.uri.clone(),
        etag: object.etag.clone(),
        content: None,
        settings: run.settings.clone(),
        state: DocumentState::Failed("not finished".to_owned()),
        format: None,
        title: None,
        chunks: before.map_or(0, |row| row.chunks),
        pages: 0,
        bytes: object.size,
        updated_ms: run.app.clock.unix_ms(),
    }
}

/// Ends a document that could not be read.
///
/// A rejected one loses its old chunks, because its old content is no more. A failed one keeps them.
async fn refuse(run: &Run<'_>, mut outcome: Outcome, error: &Error) -> Result<Outcome> {
    let reason = error.full_message();
    if error.kind() == ErrorKind::Rejected {
        if !run.store_was_empty || outcome.chunks > 0 {
            run.app.vectors.delete_document(run.pass, outcome.row.document, &[]).await?;
        }
        outcome.row.chunks = 0;
        outcome.chunks = 0;
        outcome.row.state = DocumentState::Rejected(reason);
    } else {
        outcome.row.state = DocumentState::Failed(reason);
    }
    Ok(outcome)
}

async fn split_part(
    run: &Run<'_>,
    part: Document,
    mut place: Place,
    object: &ObjectMeta,
    row: &LedgerRow,
) -> Result<(Vec<Chunk>, Place)> {
    let embedder = run.app.embedder.clone();
    let splitter = run.collection.settings.splitter.clone();
    let collection = run.collection.name.clone();
    let (name, row) = (object.name.clone(), row.clone());
    let unread = || Error::new(ErrorKind::Internal, "a document is split before it is read");
    let content = row.content.clone().ok_or_else(unread)?;
    blocking(move || {
        let origin = Origin {
            collection: &collection,
            uri: &row.uri,
            name: &name,
            content: &content,
            settings: &row.settings,
            title: row.title.as_deref(),
        };
        let n_tokens = |text: &str| embedder.n_tokens(text);
        let chunks = split::split(&part, &mut place, &origin, &splitter, &n_tokens);
        (chunks, place)
    })
    .await
}

/// Embeds and writes chunks.
async fn store(run: &Run<'_>, chunks: &[Chunk]) -> Result<()> {
    let analyser = Arc::new(Analyser::new(analyser_language(&run.collection)));
    let avg_len = run.collection.sparse.as_ref().map_or(PROVISIONAL_AVG_LEN, |s| s.avg_len);
    for batch in chunks.chunks(BATCH) {
        let texts: Vec<String> = batch.iter().map(|chunk| chunk.text.clone()).collect();
        let dense = run.app.embedder.embed(&texts, TextKind::Passage).await?;
        let sparse = encode_sparse(analyser.clone(), texts, avg_len).await?;
        let points = batch.iter().zip(dense).zip(sparse);
        let points = points
            .map(|((chunk, dense), sparse)| Point { chunk: chunk.clone(), dense, sparse })
            .collect();
        run.app.vectors.upsert(run.pass, points).await?;
        run.embedded(batch.len() as u64);
    }
    Ok(())
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
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "a worker thread panicked").with_source(error)
    })
}
