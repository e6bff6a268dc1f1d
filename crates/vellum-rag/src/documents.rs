//! What is stored, read back: collections, documents, their originals, and the text around a citation.
//!
//! A document's text is not stored as such; it is rebuilt from its chunks, which are byte-exact. Steps of
//! [`part`]: outline of the document's chunks (places only, no text) -> the chunks of the wanted part
//! -> cut to the page -> joined where they touch or overlap. A part is a page, or, where the format has no
//! pages, a fixed number of chunks, so every chunk of a document lies in a part that can be named.
//!
//! Invariants: nothing here writes; text between chunks (white space, table rules) is not invented, so a
//! gap separates two [`Run`]s; memory is O(number of chunks) + O(part), never O(text).

use crate::app::App;
use crate::collections::{self, Summary};
use crate::copies;
use crate::ingest::blocking;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use vellum_core::access::{Pass, Principal, Verb, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::document::{PageBox, PageSize, Span};
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ledger::{LedgerRow, Scope};
use vellum_core::ports::{Content, ObjectMeta, WithVectors};
use vellum_core::{Error, ErrorKind, Result};

/// How long the check of a reranker may take.
const RERANKER_PATIENCE: Duration = Duration::from_secs(3);
/// Chunks of a part where the format has no pages; about 2,000 words.
const PART_CHUNKS: usize = 8;
/// Most chunks read for one page; a page beyond that is shown up to here.
const MAX_PAGE_CHUNKS: usize = 256;
/// Chunks read at a time for the outline.
const SCAN_PAGE: usize = 512;

/// Contiguous text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Character offset of the text in the document's text.
    pub char_start: usize,
    /// The text, verbatim.
    pub text: String,
}

/// A page of a document, or what stands for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Number, from 1; the page number where the format has pages.
    pub number: usize,
    /// Number of parts, at least 1.
    pub of: usize,
    /// The text, ascending; runs are separated by what no chunk holds, mostly white space.
    pub runs: Vec<Run>,
    /// Size of the page; `None` where words have no place on it.
    pub size: Option<PageSize>,
    /// Where on the page the cited characters stand.
    pub boxes: Vec<PageBox>,
}

/// Names a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By number, from 1; a number beyond the last means the last.
    Number(usize),
    /// By a character of the document's text that lies in it.
    Char(usize),
}

/// Returns the summaries of the collections that `principal` may read, ascending by name.
///
/// # Errors
/// `Unauthenticated` for a caller that has proven nothing.
pub async fn collections(app: &App, principal: &Principal) -> Result<Vec<Summary>> {
    let mut summaries = Vec::new();
    for collection in app.metastore.collections().await? {
        let pass = Pass::grant(principal, &collection.name, Verb::Read)?;
        match collections::summary(app, &pass).await {
            // Deleted between the two reads.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            summary => summaries.push(summary?),
        }
    }
    Ok(summaries)
}

/// Returns up to `limit` documents with a uri above `after`, ascending by the bytes of the uri.
///
/// # Errors
/// `NotFound` for an unknown collection.
pub async fn list(
    app: &App,
    pass: &Pass,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LedgerRow>> {
    let (_, live) = collections::live(app, pass).await?;
    app.metastore.rows(&live, Scope::Prefix(""), after, limit).await
}

/// Returns the row of the document at `uri` in the version of the pass; `None` when that does not know it.
pub(crate) async fn row(app: &App, pass: &VersionPass, uri: &str) -> Result<Option<LedgerRow>> {
    let first = app.metastore.rows(pass, Scope::Prefix(uri), None, 1).await?.pop();
    Ok(first.filter(|row| row.uri == uri))
}

/// Returns a document's row in the live version of its collection, with the right to read that version.
///
/// # Errors
/// `Unauthenticated` for a caller that has proven nothing; `NotFound` when there is no such document.
pub async fn find(
    app: &App,
    principal: &Principal,
    id: DocumentId,
) -> Result<(VersionPass, LedgerRow)> {
    let Some((collection, row)) = app.metastore.find_document(id).await? else {
        return Err(Error::new(ErrorKind::NotFound, format!("document `{id}` does not exist"))
            .with_hint("it may have been removed from its source; search again"));
    };
    Ok((Pass::grant(principal, &collection.name, Verb::Read)?.at(&collection)?, row))
}

/// Returns the original of a document, as it was when it was ingested: from its source, or what is kept of it.
///
/// # Errors
/// `NotFound` when it is gone from its source; `Conflict` when it changed since it was ingested, because
/// citations would point to other text; else what [`vellum_core::ports::ObjectStore::get`] fails with.
pub async fn original(
    app: &App,
    pass: &VersionPass,
    row: &LedgerRow,
) -> Result<(ObjectMeta, Content)> {
    if DocumentId::derive(pass.collection(), &row.uri) != row.document {
        let message = format!("the pass is not for the collection of `{}`", row.uri);
        return Err(Error::new(ErrorKind::Internal, message));
    }
    match from_source(app, row).await {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
            let Some(hash) = row.content.clone() else { return Err(error) };
            let (kept, name) = (app.kept.clone(), pass.collection().clone());
            let found = blocking(move || kept.get(&name, &hash)).await??;
            let meta = |content: &Content| ObjectMeta {
                uri: row.uri.clone(),
                name: name_of(&row.uri),
                size: content.len(),
                etag: row.etag.clone(),
            };
            found.map(|content| (meta(&content), content)).ok_or(error)
        }
        read => read,
    }
}

/// Returns the file name in a uri, as it stands there.
pub(crate) fn name_of(uri: &str) -> String {
    uri.trim_end_matches('/').rsplit('/').next().unwrap_or(uri).to_owned()
}

async fn from_source(app: &App, row: &LedgerRow) -> Result<(ObjectMeta, Content)> {
    let limit = app.settings.ingest.max_document_bytes;
    let (meta, content) = app.objects.get(&row.uri, limit).await.map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            let message = format!("the original `{}` is gone from its source", row.uri);
            return Error::new(ErrorKind::NotFound, message)
                .with_hint("ingest the source again; the text of the document can still be read");
        }
        error
    })?;
    let same = match &row.content {
        Some(hash) => crate::ingest::hash_of(content.clone()).await? == *hash,
        None => meta.etag == row.etag,
    };
    if !same {
        let message = format!("the original `{}` changed since it was ingested", row.uri);
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("ingest the source again, then ask again"));
    }
    Ok((meta, content))
}

/// Returns the text of one part of a document, with the place of the `cited` characters on it; no runs where the
/// part holds no text.
pub async fn part(
    app: &App,
    pass: &VersionPass,
    row: &LedgerRow,
    place: Place,
    cited: &Range<usize>,
) -> Result<Part> {
    let outline = outline(app, pass, copies::holder(app, pass, row).await?).await?;
    if row.pages == 0 {
        return chunk_part(app, pass, &outline, place).await;
    }
    let of = row.pages as usize;
    let number = match place {
        Place::Number(number) => number,
        Place::Char(at) => page_of(app, pass, &outline, at).await?.unwrap_or(1),
    };
    let number = number.clamp(1, of);
    let page = u32::try_from(number).unwrap_or(u32::MAX);
    let on_page = |entry: &&Entry| (entry.first_page..=entry.last_page).contains(&page);
    let ids: Vec<ChunkId> =
        outline.iter().filter(on_page).take(MAX_PAGE_CHUNKS).map(|entry| entry.id).collect();
    let chunks = chunks(app, pass, &ids).await?;
    let runs = join(chunks.iter().filter_map(|chunk| Piece::on_page(chunk, page)));
    let size = chunks.iter().find_map(|chunk| chunk.places.page_size(page));
    let mut boxes = boxes_in(&chunks, cited);
    boxes.retain(|place| place.on.page == page);
    Ok(Part { number, of, runs, size, boxes })
}

async fn chunk_part(
    app: &App,
    pass: &VersionPass,
    outline: &[Entry],
    place: Place,
) -> Result<Part> {
    let of = outline.len().div_ceil(PART_CHUNKS).max(1);
    let number = match place {
        Place::Number(number) => number,
        Place::Char(at) => holder(outline, at) / PART_CHUNKS + 1,
    };
    let number = number.clamp(1, of);
    let ids: Vec<ChunkId> = outline
        .iter()
        .skip((number - 1) * PART_CHUNKS)
        .take(PART_CHUNKS)
        .map(|entry| entry.id)
        .collect();
    let chunks = chunks(app, pass, &ids).await?;
    let runs = join(chunks.iter().map(Piece::whole));
    Ok(Part { number, of, runs, size: None, boxes: Vec::new() })
}

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Title.
    pub title: Option<String>,
    /// What stands in its chunks, at the characters where it stands in the document; white space between.
    pub text: String,
    /// Pages with their bytes in `text`, ascending; empty where the format has none.
    pub pages: Vec<(u32, Span)>,
}

/// Returns the whole text of a document; characters have the places that citations name. O(text).
pub async fn text(app: &App, pass: &VersionPass, row: &LedgerRow) -> Result<Text> {
    let outline = outline(app, pass, copies::holder(app, pass, row).await?).await?;
    let (mut text, mut chars) = (String::new(), 0);
    let mut starts: Vec<(u32, usize)> = Vec::new();
    for part in outline.chunks(MAX_PAGE_CHUNKS) {
        let ids: Vec<ChunkId> = part.iter().map(|entry| entry.id).collect();
        for chunk in chunks(app, pass, &ids).await? {
            append(&chunk, &mut text, &mut chars, &mut starts);
        }
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([text.len()]);
    let pages = starts.iter().zip(ends).map(|((n, start), end)| (*n, Span { start: *start, end }));
    Ok(Text { title: row.title.clone(), pages: pages.collect(), text })
}

/// Adds what a chunk has beyond the `chars` characters of `text`, and the pages that begin there.
fn append(chunk: &Chunk, text: &mut String, chars: &mut usize, starts: &mut Vec<(u32, usize)>) {
    match chunk.char_start.saturating_sub(*chars) {
        1 => text.push(' '),
        gap => text.extend(std::iter::repeat_n('\n', gap)),
    }
    let known = chars.saturating_sub(chunk.char_start);
    *chars = (*chars).max(chunk.char_start);
    let skip = chunk.text.char_indices().nth(known).map_or(chunk.text.len(), |(at, _)| at);
    for start in &chunk.pages {
        if starts.last().is_none_or(|(page, _)| *page < start.page) {
            starts.push((start.page, text.len() + start.at.saturating_sub(skip)));
        }
    }
    text.push_str(&chunk.text[skip..]);
    *chars += chunk.text[skip..].chars().count();
}

/// Returns the rectangles that cover a range of characters of the document's text; empty where the format
/// does not tell. At most the characters of [`MAX_PAGE_CHUNKS`] chunks are covered.
pub async fn boxes(
    app: &App,
    pass: &VersionPass,
    row: &LedgerRow,
    chars: Range<usize>,
) -> Result<Vec<PageBox>> {
    if chars.is_empty() {
        return Ok(Vec::new());
    }
    let outline = outline(app, pass, copies::holder(app, pass, row).await?).await?;
    let ids: Vec<ChunkId> = outline
        .iter()
        .skip(holder(&outline, chars.start))
        .take_while(|entry| entry.char_start < chars.end)
        .take(MAX_PAGE_CHUNKS)
        .map(|entry| entry.id)
        .collect();
    Ok(boxes_in(&chunks(app, pass, &ids).await?, &chars))
}

/// Returns the rectangles that cover the characters that lie in `chunks`, which ascend.
fn boxes_in(chunks: &[Chunk], chars: &Range<usize>) -> Vec<PageBox> {
    let mut boxes = Vec::new();
    let mut from = chars.start;
    for chunk in chunks {
        let byte_of = |at: usize| {
            let inside = at.saturating_sub(chunk.char_start);
            chunk.text.char_indices().nth(inside).map_or(chunk.text.len(), |(byte, _)| byte)
        };
        let (start, end) = (byte_of(from), byte_of(chars.end));
        if start < end {
            boxes.extend(chunk.boxes_of(Span { start, end }));
        }
        // What chunks share is covered once.
        from = from.max(chunk.char_start + chunk.text.chars().count());
    }
    boxes
}

/// Where a chunk lies.
struct Entry {
    id: ChunkId,
    ordinal: u32,
    char_start: usize,
    first_page: u32,
    last_page: u32,
}

/// Returns the places of a document's chunks, ascending.
async fn outline(app: &App, pass: &VersionPass, document: DocumentId) -> Result<Vec<Entry>> {
    let filter = Filter::In(Field::Document, vec![document.to_string()]);
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = match app.vectors.scan(pass, after, SCAN_PAGE, Some(&filter)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        entries.extend(page.iter().map(|chunk| Entry {
            id: chunk.id,
            ordinal: chunk.ordinal,
            char_start: chunk.char_start,
            first_page: chunk.pages.first().map_or(0, |start| start.page),
            last_page: chunk.pages.last().map_or(0, |start| start.page),
        }));
    }
    entries.sort_by_key(|entry| entry.ordinal);
    Ok(entries)
}

/// Returns the index of the last chunk that starts at or before character `at`; 0 if there is none.
fn holder(outline: &[Entry], at: usize) -> usize {
    outline.partition_point(|entry| entry.char_start <= at).saturating_sub(1)
}

async fn page_of(
    app: &App,
    pass: &VersionPass,
    outline: &[Entry],
    at: usize,
) -> Result<Option<usize>> {
    let Some(entry) = outline.get(holder(outline, at)) else { return Ok(None) };
    let chunks = chunks(app, pass, &[entry.id]).await?;
    Ok(chunks.first().and_then(|chunk| {
        let inside = at.saturating_sub(chunk.char_start);
        let byte = chunk.text.char_indices().nth(inside).map_or(chunk.text.len(), |(byte, _)| byte);
        chunk.page_at(byte).map(|page| page as usize)
    }))
}

async fn chunks(app: &App, pass: &VersionPass, ids: &[ChunkId]) -> Result<Vec<Chunk>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let stored = app.vectors.fetch(pass, ids, WithVectors::No).await?;
    Ok(stored.into_iter().map(|stored| Arc::unwrap_or_clone(stored.chunk)).collect())
}

/// Text with its place in the document, in bytes and in characters.
struct Piece<'a> {
    start: usize,
    char_start: usize,
    text: &'a str,
}

impl<'a> Piece<'a> {
    fn whole(chunk: &'a Chunk) -> Self {
        Self { start: chunk.span.start, char_start: chunk.char_start, text: &chunk.text }
    }

    /// Returns the part of a chunk that lies on `page`, if any.
    fn on_page(chunk: &'a Chunk, page: u32) -> Option<Self> {
        let index = chunk.pages.iter().position(|start| start.page == page)?;
        let end = chunk.pages.get(index + 1).map_or(chunk.text.len(), |next| next.at);
        Some(Self::whole(chunk).until(end)?.from(chunk.pages[index].at))
            .filter(|p| !p.text.is_empty())
    }

    fn until(self, end: usize) -> Option<Self> {
        Some(Self { text: self.text.get(..end)?, ..self })
    }

    /// Leaves out the first `skip` bytes; `skip` is a character boundary within the text.
    fn from(self, skip: usize) -> Self {
        let (before, text) = self.text.split_at(skip);
        Self {
            start: self.start + skip,
            char_start: self.char_start + before.chars().count(),
            text,
        }
    }
}

/// Joins pieces, ascending by start, where they touch; text that two of them hold is taken once.
fn join<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut end: usize = 0;
    for piece in pieces {
        // Both pieces are byte-exact cuts of one text, so the end of one is a boundary in the other.
        let overlap = if runs.is_empty() { 0 } else { end.saturating_sub(piece.start) };
        if overlap >= piece.text.len() {
            continue;
        }
        let piece = piece.from(overlap);
        match runs.last_mut() {
            Some(run) if piece.start == end => run.text.push_str(piece.text),
            _ => runs.push(Run { char_start: piece.char_start, text: piece.text.to_owned() }),
        }
        end = piece.start + piece.text.len();
    }
    runs
}

/// What a port says about its readiness.
#[derive(Debug)]
pub struct Checked {
    /// Name of the port.
    pub name: &'static str,
    /// Why it could not serve now.
    pub result: Result<()>,
    /// Whether nothing can be done without it. Search goes on without a reranker, and says so.
    pub is_needed: bool,
}

/// Returns what each port says about its readiness; of the reranker where one is configured.
pub async fn checks(app: &App) -> Vec<Checked> {
    let reranker = async {
        let reranker = app.reranker.as_ref()?;
        // One that is silent must not make the others look as if they were.
        let checked = tokio::time::timeout(RERANKER_PATIENCE, reranker.check()).await;
        Some(checked.unwrap_or_else(|_| {
            let message =
                format!("the reranker said nothing for {} s", RERANKER_PATIENCE.as_secs());
            Err(Error::new(ErrorKind::Timeout, message))
        }))
    };
    let (objects, converter, embedder, vectors, metastore, reranker) = futures::join!(
        app.objects.check(),
        app.converter.check(),
        app.embedder.check(),
        app.vectors.check(),
        app.metastore.check(),
        reranker,
    );
    let needed = [
        ("objects", objects),
        ("converter", converter),
        ("embedder", embedder),
        ("vectors", vectors),
        ("metastore", metastore),
    ];
    let needed = needed.map(|(name, result)| Checked { name, result, is_needed: true });
    let reranker = reranker.map(|result| Checked { name: "reranker", result, is_needed: false });
    needed.into_iter().chain(reranker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::{Origin, Place as Start, split};
    use vellum_core::collection::SplitterSettings;
    use vellum_core::document::{Document, Section, SectionKind};
    use vellum_core::ids::ContentHash;

    /// Returns a text of 60 sentences with wide characters, 20 on each of three pages, and its chunks.
    fn chunked(overlap_tokens: usize) -> (Document, Vec<Chunk>) {
        let sentence = |n: usize| format!("Sätze número {n} tell of 日本 and more things. ");
        let text: String = (0..60).map(sentence).collect();
        let mut document = Document::plain(text.trim_end());
        let start_of = |n| document.text.find(&sentence(n)).unwrap();
        let bounds = [0, start_of(20), start_of(40), document.text.len()];
        for (number, pair) in (1..).zip(bounds.windows(2)) {
            let span = Span { start: pair[0], end: pair[1] };
            document.sections.push(Section { kind: SectionKind::Page(number), span });
        }
        let origin = Origin {
            collection: &"c".parse().unwrap(),
            uri: "mem:///a",
            name: "a",
            content: &ContentHash::of(b"x"),
            settings: "s",
            language: None,
            bytes: 1,
            metadata: &vellum_core::metadata::Metadata::default(),
            title: None,
        };
        let settings = SplitterSettings::new(40, overlap_tokens);
        let n_tokens = |text: &str| text.split_whitespace().count() + 2;
        let chunks = split(&document, &mut Start::default(), &origin, &settings, &n_tokens, &[]);
        (document, chunks)
    }

    /// Asserts that runs are verbatim text and that only white space lies between them.
    fn check(document: &Document, runs: &[Run], whole: Span) {
        let text = &document.text;
        let byte_of = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
        let mut end = whole.start;
        for run in runs {
            let start = byte_of(run.char_start);
            assert!(start >= end, "runs do not overlap");
            assert!(text[end..start].trim().is_empty(), "left out {:?}", &text[end..start]);
            assert_eq!(&text[start..start + run.text.len()], run.text);
            end = start + run.text.len();
        }
        assert!(text[end..whole.end].trim().is_empty(), "left out {:?}", &text[end..whole.end]);
    }

    #[test]
    fn chunks_join_to_the_text_without_doubling() {
        for overlap in [0, 9, 25] {
            let (document, chunks) = chunked(overlap);
            assert!(chunks.len() > 5);
            let whole = Span { start: 0, end: document.text.len() };
            check(&document, &join(chunks.iter().map(Piece::whole)), whole);
            for (page, span) in document.pages() {
                let runs = join(chunks.iter().filter_map(|chunk| Piece::on_page(chunk, page)));
                check(&document, &runs, span);
            }
        }
    }

    #[test]
    fn the_whole_text_keeps_every_character_in_its_place() {
        for overlap in [0, 9, 25] {
            let (document, chunks) = chunked(overlap);
            let (mut text, mut chars, mut starts) = (String::new(), 0, Vec::new());
            for chunk in &chunks {
                append(chunk, &mut text, &mut chars, &mut starts);
            }
            assert_eq!(text, document.text, "sentences are a blank apart");
            assert_eq!(chars, text.chars().count());
            let pages: Vec<_> = document.pages().map(|(page, span)| (page, span.start)).collect();
            assert_eq!(starts, pages);
        }
    }

    #[test]
    fn the_holder_of_a_character_is_the_chunk_that_starts_last_before_it() {
        let (_, chunks) = chunked(0);
        let entry = |chunk: &Chunk| Entry {
            id: chunk.id,
            ordinal: chunk.ordinal,
            char_start: chunk.char_start,
            first_page: 1,
            last_page: 1,
        };
        let outline: Vec<Entry> = chunks.iter().map(entry).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            assert_eq!(holder(&outline, chunk.char_start), index);
        }
        assert_eq!(holder(&outline, usize::MAX), chunks.len() - 1);
        assert_eq!(holder(&[], 7), 0);
    }
}
