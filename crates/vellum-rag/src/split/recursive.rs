//! At blank lines; a paragraph that does not fit at line ends, a line at sentences, a sentence between words.
//!
//! After LangChain's `RecursiveCharacterTextSplitter`, with sentences by UAX #29 in place of full stops. One departure: where a part
//! had to be cut further, what stands beside it may join its ends while they are short, so that a heading is no chunk alone.

use super::cut::{cut, trimmed};
use super::meter::Meter;
use super::pack::{Edge, Piece};
use unicode_segmentation::UnicodeSegmentation;
use vellum_core::document::Span;

/// Where a text may be cut, in the order of preference: the ends of its parts, in bytes, ascending.
const LEVELS: [fn(&str) -> Vec<usize>; 4] =
    [|text| ends_of("\n\n", text), |text| ends_of("\n", text), sentences, words];

/// Returns parts of the text, of as high a level as fits.
pub(super) fn pieces(meter: &Meter<'_>, whole: Span) -> Vec<Piece> {
    let mut pieces = Vec::new();
    parts(meter, whole, 0, &mut pieces);
    pieces
}

fn parts(meter: &Meter<'_>, span: Span, level: usize, pieces: &mut Vec<Piece>) {
    let ends_at = |level: usize| (level + 1, LEVELS[level](meter.slice(span)));
    let divided = (level..LEVELS.len()).map(ends_at).find(|(_, ends)| ends.len() > 1);
    let Some((below, ends)) = divided else { return cut(meter, span, Vec::new(), pieces) };
    let mut start = 0;
    let mut after_cut = false;
    for end in ends {
        let part = Span { start: span.start + start, end: span.start + end };
        start = end;
        let Some(part) = trimmed(meter, part) else { continue };
        let first = pieces.len();
        let tokens = meter.tokens(part);
        let fits = tokens <= meter.room(part.start);
        if fits {
            pieces.push(Piece { span: part, tokens, edge: Edge::Open });
        } else {
            parts(meter, part, below, pieces);
        }
        if let Some(piece) = pieces.get_mut(first)
            && (after_cut || !fits)
            && first > 0
        {
            piece.edge = Edge::Soft;
        }
        after_cut = !fits;
    }
}

fn ends_of(separator: &str, text: &str) -> Vec<usize> {
    let ends = text.match_indices(separator).map(|(at, _)| at + separator.len());
    ends.chain([text.len()]).collect()
}

fn sentences(text: &str) -> Vec<usize> {
    text.split_sentence_bound_indices().map(|(at, part)| at + part.len()).collect()
}

fn words(text: &str) -> Vec<usize> {
    text.split_word_bound_indices().map(|(at, part)| at + part.len()).collect()
}
