//! Packs a document's units into chunks that fit the embedder.
//!
//! Units are taken greedily until the next one would not fit. A heading starts a new chunk once the open
//! one is a quarter full, so that a chunk speaks of one thing. A unit that alone is too long is cut
//! between words. Token counts come from the embedder and are checked on the finished text, so no
//! chunk is ever cut off silently.
//!
//! Invariants: every chunk is byte-exact text of the document; without overlap chunks do not share a
//! byte, and every unit lies in a chunk.

use crate::units::{self, Unit, UnitKind};
use unicode_segmentation::UnicodeSegmentation;
use vellum_core::chunk::{Chunk, PageStart};
use vellum_core::collection::SplitterSettings;
use vellum_core::document::{Document, PART_SEPARATOR, Places, SectionKind, Span};
use vellum_core::ids::{ChunkId, CollectionName, ContentHash, DocumentId};
use vellum_core::metadata::Metadata;

/// Tokens that an embedder adds around every text; what `n_tokens("")` counts.
const SPECIAL_TOKENS: usize = 2;

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
/// `place` says where the part begins and is moved to where the next one does. No chunk reaches over the
/// end of a part.
pub fn split(
    document: &Document,
    place: &mut Place,
    origin: &Origin<'_>,
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let spans = chunk_spans(document, settings, n_tokens);
    let document_id = DocumentId::derive(origin.collection, origin.uri);
    let mut counter = CharCounter { text: &document.text, byte: 0, chars: 0 };
    let mut chunks = Vec::with_capacity(spans.len());
    for (index, span) in spans.into_iter().enumerate() {
        let ordinal = place.chunks + index as u32;
        let settings = origin.settings;
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

/// Returns the byte ranges of the chunks, ascending by start.
pub fn chunk_spans(
    document: &Document,
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Span> {
    let text = &document.text;
    let headings: Vec<usize> = document
        .sections
        .iter()
        .filter(|section| matches!(section.kind, SectionKind::Heading { .. }))
        .map(|section| section.span.start)
        .collect();
    let budget = settings.max_tokens.max(SPECIAL_TOKENS + 1);
    let pieces = fitting_pieces(text, budget, n_tokens);

    let mut spans = Vec::new();
    let mut first = 0;
    while first < pieces.len() {
        let mut tokens = SPECIAL_TOKENS;
        let mut end = first;
        while end < pieces.len() {
            let piece = &pieces[end];
            let at_heading = headings.binary_search(&piece.span.start).is_ok();
            if end > first
                && (tokens + piece.tokens > budget || (at_heading && tokens * 4 >= budget))
            {
                break;
            }
            tokens += piece.tokens;
            end += 1;
        }
        let span =
            |end: usize| Span { start: pieces[first].span.start, end: pieces[end - 1].span.end };
        // Joined text can count more tokens than its parts; measure, and give back units that do not fit.
        while end > first + 1 && n_tokens(&text[span(end).start..span(end).end]) > budget {
            end -= 1;
        }
        spans.push(span(end));
        first = if end == pieces.len() {
            end
        } else {
            back_up(&pieces, first, end, settings.overlap_tokens)
        };
    }
    spans
}

/// Returns where the next chunk starts: `end`, or up to `overlap` tokens of whole units earlier.
fn back_up(pieces: &[Piece], first: usize, end: usize, overlap: usize) -> usize {
    let mut start = end;
    let mut tokens = 0;
    while overlap > 0 && start > first + 1 && tokens + pieces[start - 1].tokens <= overlap {
        start -= 1;
        tokens += pieces[start].tokens;
    }
    start
}

/// A unit, or a part of one, that fits the budget alone. `tokens` leaves special tokens out.
struct Piece {
    span: Span,
    tokens: usize,
}

fn fitting_pieces(text: &str, budget: usize, n_tokens: &dyn Fn(&str) -> usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for unit in units::units(text) {
        let slice = &text[unit.span.start..unit.span.end];
        let tokens = n_tokens(slice);
        if tokens <= budget {
            pieces.push(Piece { span: unit.span, tokens: tokens.saturating_sub(SPECIAL_TOKENS) });
        } else {
            cut_unit(text, unit, budget, n_tokens, &mut pieces);
        }
    }
    pieces
}

/// Cuts a unit that is too long between words; a word that is too long between characters.
fn cut_unit(
    text: &str,
    unit: Unit,
    budget: usize,
    n_tokens: &dyn Fn(&str) -> usize,
    pieces: &mut Vec<Piece>,
) {
    let slice = &text[unit.span.start..unit.span.end];
    let cells = unit.kind == UnitKind::TableRow;
    let mut bounds: Vec<usize> = if cells && slice.matches('|').count() > 2 {
        slice.match_indices('|').map(|(at, _)| at).skip(1).collect()
    } else {
        slice.split_word_bound_indices().map(|(at, _)| at).skip(1).collect()
    };
    bounds.push(slice.len());
    let mut start = 0;
    while start < slice.len() {
        let from = bounds.partition_point(|at| *at <= start);
        let fits = |end: usize| n_tokens(&slice[start..end]) <= budget;
        let mut end = longest(&bounds[from..], &fits);
        if end.is_none() {
            let rest = &slice[start..bounds[from]];
            let chars: Vec<usize> = rest
                .char_indices()
                .skip(1)
                .map(|(at, _)| start + at)
                .chain([bounds[from]])
                .collect();
            end = longest(&chars, &fits).or(chars.first().copied());
        }
        let end = end.unwrap_or(slice.len());
        let part = &slice[start..end];
        let lead = part.len() - part.trim_start().len();
        let trimmed = part.trim();
        if !trimmed.is_empty() {
            let from = unit.span.start + start + lead;
            let span = Span { start: from, end: from + trimmed.len() };
            pieces.push(Piece { span, tokens: n_tokens(trimmed).saturating_sub(SPECIAL_TOKENS) });
        }
        start = end;
    }
}

/// Returns the last bound that fits, by doubling then halving: token counts grow with the text.
fn longest(bounds: &[usize], fits: &dyn Fn(usize) -> bool) -> Option<usize> {
    let mut high = 1;
    while high < bounds.len() && fits(bounds[high - 1]) {
        high *= 2;
    }
    let window = &bounds[..high.min(bounds.len())];
    let count = window.partition_point(|end| fits(*end));
    count.checked_sub(1).map(|last| window[last])
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

fn headings_at(document: &Document, at: usize) -> Vec<String> {
    let mut path = Vec::new();
    for section in &document.sections {
        if let SectionKind::Heading { title, .. } = &section.kind
            && section.span.start <= at
            && at < section.span.end
        {
            path.push(title.clone());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vellum_core::document::Section;

    /// Counts words, as a stand-in for a tokenizer.
    fn words(text: &str) -> usize {
        text.split_whitespace().count() + SPECIAL_TOKENS
    }

    fn spans(document: &Document, max_tokens: usize, overlap_tokens: usize) -> Vec<&str> {
        let settings = SplitterSettings { max_tokens, overlap_tokens };
        chunk_spans(document, &settings, &words)
            .into_iter()
            .map(|span| &document.text[span.start..span.end])
            .collect()
    }

    #[test]
    fn packs_whole_sentences() {
        let document = Document::plain("One two three. Four five six. Seven eight nine.");
        assert_eq!(spans(&document, 8, 0), ["One two three. Four five six.", "Seven eight nine."]);
        assert_eq!(
            spans(&document, 8, 3),
            ["One two three. Four five six.", "Four five six. Seven eight nine."]
        );
        assert_eq!(spans(&document, 4, 0).len(), 6, "a long sentence is cut between words");
    }

    #[test]
    fn a_heading_starts_a_chunk_when_there_is_enough_before_it() {
        let text = "Intro goes here now.\n\nPolicy\n\nText of it.";
        let mut document = Document::plain(text);
        let start = text.find("Policy").unwrap();
        let kind = SectionKind::Heading { level: 1, title: "Policy".to_owned() };
        document.sections.push(Section { kind, span: Span { start, end: text.len() } });
        assert_eq!(spans(&document, 14, 0), ["Intro goes here now.", "Policy\n\nText of it."]);
        assert_eq!(headings_at(&document, start), ["Policy"]);
        assert!(headings_at(&document, 0).is_empty());
    }

    #[test]
    fn pages_and_characters_of_a_chunk() {
        let text = "äöü one. Two.";
        let mut document = Document::plain(text);
        let second = text.find("Two").unwrap();
        for (page, start, end) in [(1, 0, second), (2, second, text.len())] {
            document
                .sections
                .push(Section { kind: SectionKind::Page(page), span: Span { start, end } });
        }
        let name: CollectionName = "c".parse().unwrap();
        let content = ContentHash::of(text.as_bytes());
        let origin = Origin {
            collection: &name,
            uri: "file:///a",
            name: "a",
            content: &content,
            settings: "s",
            title: Some("T"),
            language: Some("en"),
            bytes: 14,
            metadata: &Metadata::default(),
        };
        let split = |place: &mut Place, max_tokens| {
            let settings = SplitterSettings { max_tokens, overlap_tokens: 0 };
            split(&document, place, &origin, &settings, &words)
        };
        let one = split(&mut Place::default(), 99);
        assert_eq!((one[0].page_at(0), one[0].page_at(second)), (Some(1), Some(2)));
        let mut place = Place::default();
        let two = split(&mut place, 4);
        assert_eq!((two[1].char_start, two[1].page_at(0)), (9, Some(2)));
        assert_eq!(two[1].char_range(Span { start: 0, end: 3 }), (9, 12));

        // The same text once more, as the next part: as if it stood behind the first.
        assert_eq!(place, Place { bytes: text.len() + 2, chars: 15, chunks: 2 });
        let next = split(&mut place, 4);
        assert_eq!((next[0].ordinal, next[0].char_start, next[0].span.start), (2, 15, 18));
        assert_eq!((next[1].ordinal, next[1].char_start), (3, 24));
        assert_eq!(place.chunks, 4);
        assert!(next.iter().all(|chunk| chunk.title.as_deref() == Some("T")));
        let ids: std::collections::HashSet<_> = two.iter().chain(&next).map(|c| c.id).collect();
        assert_eq!(ids.len(), 4);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_too_long(
            text in "([a-zé一 ]{1,30}[.!?\n|-]{0,2} ?){0,12}",
            max_tokens in 3usize..20,
        ) {
            let document = Document::plain(text);
            let settings = SplitterSettings { max_tokens, overlap_tokens: 0 };
            let by_chars = |text: &str| text.chars().count() / 4 + SPECIAL_TOKENS;
            let mut covered = String::new();
            let mut at = 0;
            for span in chunk_spans(&document, &settings, &by_chars) {
                prop_assert!(span.start >= at);
                at = span.end;
                let chunk = &document.text[span.start..span.end];
                prop_assert!(by_chars(chunk) <= max_tokens.max(3));
                covered.push_str(chunk);
            }
            let visible = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(visible(&covered), visible(&document.text));
        }
    }
}
