//! Cuts a document into chunks within a bound of tokens.
//!
//! A splitter ([`SplitMethod`], one file each) cuts the text into pieces and says where a chunk should begin; `pack` joins
//! pieces into chunks; [`split`] gives them identity, place, context and parent. Token counts come from the embedder and are
//! checked on the finished text, context included, so no chunk is ever cut off silently.
//!
//! Invariants, for every splitter: a chunk is byte-exact text of the document within the bound; chunks ascend, each holds text
//! that none before it does, and they share none but the overlap; every visible character lies in a chunk, but for
//! table rules; the same document and settings give the same chunks.

mod cut;
mod fixed;
mod markdown;
mod meter;
mod pack;
mod page;
mod parent;
mod recursive;
mod semantic;
mod sentence;
mod windows;

use meter::{Meter, headings_at};
use pack::{Piece, pack, span_of};
use std::ops::Range;
use vellum_core::chunk::{Chunk, PageStart, Parent};
use vellum_core::collection::{SplitMethod, SplitterSettings};
use vellum_core::document::{Document, PART_SEPARATOR, Places, SectionKind, Span};
use vellum_core::ids::{ChunkId, CollectionName, ContentHash, DocumentId};
use vellum_core::metadata::Metadata;
use vellum_core::vector::Embedding;
pub use windows::{Window, joined, windows};

/// Where a part begins in its document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub bytes: usize,
    /// Characters before it.
    pub chars: usize,
    /// Chunks before it.
    pub chunks: u32,
}

/// Identity of the document that is split.
pub struct Origin<'a> {
    /// Its collection.
    pub collection: &'a CollectionName,
    /// Its uri.
    pub uri: &'a str,
    /// Its file name.
    pub name: &'a str,
    /// Hash of its bytes.
    pub content: &'a ContentHash,
    /// Digest of the index settings.
    pub settings: &'a str,
    /// Title of the whole document.
    pub title: Option<&'a str>,
    /// Language of the whole document, ISO 639-1.
    pub language: Option<&'a str>,
    /// Size of its source object in bytes.
    pub bytes: u64,
    /// What it says about itself.
    pub metadata: &'a Metadata,
}

/// Returns the chunks of a part of a document, in order; empty when it has no visible text.
///
/// `place` says where the part begins and is moved to where the next one does. No chunk and no parent reaches over the
/// end of a part. `sentences` are those of [`sentences`] with their vectors.
pub fn split(
    document: &Document,
    place: &mut Place,
    origin: &Origin<'_>,
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
    sentences: &[(Sentence, Embedding)],
) -> Vec<Chunk> {
    let meter = meter(document, origin.title, settings, n_tokens);
    let spans = chunk_spans(document, &meter, settings, sentences);
    let parents = parents(document, &spans, settings, n_tokens);
    let document_id = DocumentId::derive(origin.collection, origin.uri);
    let mut counter = CharCounter { text: &document.text, byte: 0, chars: 0 };
    let mut chunks = Vec::with_capacity(spans.len());
    for (index, span) in spans.into_iter().enumerate() {
        let ordinal = place.chunks + index as u32;
        let settings = origin.settings;
        let parent = parents.get(index).map(|siblings| Parent {
            first: place.chunks + siblings.start as u32,
            last: place.chunks + siblings.end as u32 - 1,
        });
        chunks.push(Chunk {
            id: ChunkId::derive(origin.collection, origin.uri, origin.content, settings, ordinal),
            document: document_id,
            uri: origin.uri.to_owned(),
            source: origin.name.to_owned(),
            title: origin.title.map(str::to_owned),
            format: document.format,
            language: origin.language.map(str::to_owned),
            bytes: origin.bytes,
            metadata: origin.metadata.clone(),
            ordinal,
            text: document.text[span.start..span.end].to_owned(),
            span: Span { start: place.bytes + span.start, end: place.bytes + span.end },
            char_start: place.chars + counter.chars_before(span.start),
            pages: page_starts(document, span),
            headings: headings_at(document, span.start),
            context: meter.context_of(span),
            parent: parent.filter(|parent| parent.first < parent.last),
            places: Places::cut(document, span),
        });
    }
    if !document.text.is_empty() {
        place.bytes += document.text.len() + PART_SEPARATOR.len();
        place.chars += document.text.chars().count() + PART_SEPARATOR.len();
    }
    place.chunks += chunks.len() as u32;
    chunks
}

/// A sentence with its place in the part that it stands in.
#[derive(Debug, Clone)]
pub struct Sentence {
    /// The text.
    pub text: String,
    span: Span,
    /// Special tokens left out.
    tokens: usize,
}

/// Returns the sentences whose vectors [`split`] needs; none for splitters that look at no meaning. One that a model cannot
/// read that reads `window` tokens is cut.
pub fn sentences(
    document: &Document,
    origin: &Origin<'_>,
    settings: &SplitterSettings,
    window: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Sentence> {
    let SplitMethod::Semantic { .. } = settings.method else { return Vec::new() };
    let max_tokens = settings.max_tokens.min(window);
    let settings = &SplitterSettings { max_tokens, ..settings.clone() };
    let meter = meter(document, origin.title, settings, n_tokens);
    let sentence = |piece: Piece| Sentence {
        text: meter.slice(piece.span).to_owned(),
        span: piece.span,
        tokens: piece.tokens,
    };
    sentence::fitting(&meter, whole(document)).into_iter().map(sentence).collect()
}

/// Returns the vectors of chunks of the part that begins at `place`, made of those of their sentences; `None` for a
/// chunk that has to be embedded, since it has no sentences or a context besides.
pub fn vectors(
    chunks: &[Chunk],
    place: Place,
    sentences: &[(Sentence, Embedding)],
) -> Vec<Option<Embedding>> {
    let vector = |chunk: &Chunk| {
        let first =
            sentences.partition_point(|(it, _)| place.bytes + it.span.start < chunk.span.start);
        let end = sentences.partition_point(|(it, _)| place.bytes + it.span.end <= chunk.span.end);
        let within = sentences.get(first..end).filter(|_| chunk.context.is_empty())?;
        semantic::weighted_mean(within.iter().map(|(it, vector)| (it.tokens, vector)))
    };
    chunks.iter().map(vector).collect()
}

fn meter<'a>(
    document: &'a Document,
    title: Option<&str>,
    settings: &SplitterSettings,
    n_tokens: &'a dyn Fn(&str) -> usize,
) -> Meter<'a> {
    let meter = Meter::new(&document.text, settings.max_tokens, n_tokens);
    if settings.context { meter.with_contexts(document, title) } else { meter }
}

/// Returns the byte ranges of the chunks, ascending.
fn chunk_spans(
    document: &Document,
    meter: &Meter<'_>,
    settings: &SplitterSettings,
    sentences: &[(Sentence, Embedding)],
) -> Vec<Span> {
    let (whole, headings) = (whole(document), heading_starts(document));
    let pieces = match settings.method {
        SplitMethod::Sentence => sentence::pieces(meter, whole, &headings),
        SplitMethod::Fixed => fixed::pieces(meter, whole),
        SplitMethod::Recursive => recursive::pieces(meter, whole),
        SplitMethod::Markdown => markdown::pieces(meter, whole, &headings),
        SplitMethod::Page => page::pieces(meter, whole, &page_bounds(document), &headings),
        SplitMethod::Semantic { percentile } => semantic::pieces(sentences, percentile, &headings),
    };
    spans(&pieces, &pack(meter, &pieces, settings.overlap_tokens))
}

fn spans(pieces: &[Piece], chunks: &[Range<usize>]) -> Vec<Span> {
    chunks.iter().map(|chunk| span_of(pieces, chunk)).collect()
}

/// Returns, for each chunk, the chunks of its parent; empty where there are no parents.
fn parents(
    document: &Document,
    chunks: &[Span],
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Range<usize>> {
    if settings.parent_tokens == 0 {
        return Vec::new();
    }
    let meter = Meter::new(&document.text, settings.parent_tokens, n_tokens);
    let parents = parent::parents(&meter, chunks, &heading_starts(document));
    parents.into_iter().flat_map(|parent| parent.clone().map(move |_| parent.clone())).collect()
}

fn whole(document: &Document) -> Span {
    Span { start: 0, end: document.text.len() }
}

fn heading_starts(document: &Document) -> Vec<usize> {
    let headings =
        document.sections.iter().filter(|s| matches!(s.kind, SectionKind::Heading { .. }));
    ascending(headings.map(|section| section.span.start))
}

fn page_bounds(document: &Document) -> Vec<usize> {
    ascending(document.pages().map(|(_, span)| span.start))
}

fn ascending(bounds: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut bounds: Vec<usize> = bounds.collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
}

/// Counts characters up to ascending offsets in one pass; falls back to a recount for overlaps.
struct CharCounter<'a> {
    text: &'a str,
    byte: usize,
    chars: usize,
}

impl CharCounter<'_> {
    fn chars_before(&mut self, at: usize) -> usize {
        if at < self.byte {
            self.chars -= self.text[at..self.byte].chars().count();
        } else {
            self.chars += self.text[self.byte..at].chars().count();
        }
        self.byte = at;
        self.chars
    }
}

fn page_starts(document: &Document, span: Span) -> Vec<PageStart> {
    let mut starts: Vec<PageStart> = Vec::new();
    for (page, range) in document.pages().take_while(|(_, range)| range.start < span.end) {
        let at = range.start.saturating_sub(span.start);
        // Pages that begin before the chunk: only the last of them is where the chunk begins.
        if at == 0 {
            starts.clear();
        }
        starts.push(PageStart { page, at });
    }
    starts
}

#[cfg(test)]
mod tests;
