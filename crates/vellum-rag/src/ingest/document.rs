//! Second stage: one document from bytes to stored chunks.

use super::planner::Work;
use super::{PERMIT_BYTES, Run};
use crate::bm25::{self, Analyser};
use crate::search::analyser_language;
use crate::split::{self, Origin};
use bytes::Bytes;
use std::sync::Arc;
use vellum_core::chunk::Chunk;
use vellum_core::document::Document;
use vellum_core::ids::{ChunkId, ContentHash, DocumentId};
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{ConvertInput, ObjectMeta, Point, TextKind};
use vellum_core::vector::SparseVector;
use vellum_core::{Error, ErrorKind, Result};

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
    // Held until the text is split: source bytes and text are what is large.
    let permit = run.memory.acquire_many(permits(run, object.size)).await;
    let (object, bytes) = match run.app.objects.get(&object.uri, max_bytes(run)).await {
        Ok(read) => read,
        Err(error) => return refuse(run, outcome, &error).await,
    };
    let content = ContentHash::of(&bytes);
    outcome.row.etag = object.etag.clone();
    outcome.row.bytes = object.size;
    if let Some(row) = &row
        && row.content.as_ref() == Some(&content)
        && row.settings == run.settings
        && row.state == DocumentState::Indexed
    {
        outcome.change = Change::Touched;
        outcome.row = LedgerRow { etag: object.etag, ..row.clone() };
        return Ok(outcome);
    }
    outcome.row.content = Some(content.clone());
    let document = match convert(run, &object, bytes).await {
        Ok(document) => document,
        Err(error) => return refuse(run, outcome, &error).await,
    };
    outcome.row.format = Some(document.format);
    outcome.row.title.clone_from(&document.title);
    outcome.row.pages = document.pages().count() as u32;
    outcome.pages = u64::from(outcome.row.pages);
    let chunks = split_document(run, document, &object, content).await?;
    drop(permit);
    if chunks.is_empty() {
        let error = Error::new(ErrorKind::Rejected, "the document has no text");
        return refuse(run, outcome, &error).await;
    }
    store(run, outcome.row.document, &chunks).await?;
    outcome.row.chunks = chunks.len() as u32;
    outcome.chunks = chunks.len() as u64;
    outcome.row.state = DocumentState::Indexed;
    Ok(outcome)
}

fn max_bytes(run: &Run<'_>) -> u64 {
    run.app.settings.ingest.max_document_bytes
}

/// Returns how many permits an object of `size` bytes takes; what is too large is not read at all.
fn permits(run: &Run<'_>, size: u64) -> u32 {
    (size.min(max_bytes(run)) / PERMIT_BYTES + 1) as u32
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
        if !run.store_was_empty {
            run.app.vectors.delete_document(run.pass, outcome.row.document, &[]).await?;
        }
        outcome.row.chunks = 0;
        outcome.row.state = DocumentState::Rejected(reason);
    } else {
        outcome.row.state = DocumentState::Failed(reason);
    }
    Ok(outcome)
}

async fn convert(run: &Run<'_>, object: &ObjectMeta, bytes: Bytes) -> Result<Document> {
    run.app.converter.convert(ConvertInput { name: object.name.clone(), bytes }).await
}

async fn split_document(
    run: &Run<'_>,
    document: Document,
    object: &ObjectMeta,
    content: ContentHash,
) -> Result<Vec<Chunk>> {
    let embedder = run.app.embedder.clone();
    let splitter = run.collection.settings.splitter.clone();
    let (collection, settings) = (run.collection.name.clone(), run.settings.clone());
    let (uri, name) = (object.uri.clone(), object.name.clone());
    blocking(move || {
        let origin = Origin {
            collection: &collection,
            uri: &uri,
            name: &name,
            content: &content,
            settings: &settings,
        };
        split::split(&document, &origin, &splitter, &|text| embedder.n_tokens(text))
    })
    .await
}

/// Embeds and writes the chunks, then deletes what an older version of the document left.
async fn store(run: &Run<'_>, document: DocumentId, chunks: &[Chunk]) -> Result<()> {
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
    if !run.store_was_empty {
        let keep: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
        run.app.vectors.delete_document(run.pass, document, &keep).await?;
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
