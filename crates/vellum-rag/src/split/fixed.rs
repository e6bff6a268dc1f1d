//! Windows of as many words as fit, whatever they say: the plainest splitter, and the one to compare others with.
//!
//! A port counts tokens but does not tell where they lie, so windows end between words, and overlap is whole words.

use super::cut::{cut, trimmed};
use super::meter::Meter;
use super::pack::{Edge, Piece};
use std::collections::HashMap;
use unicode_segmentation::UnicodeSegmentation;
use vellum_core::document::Span;

/// Longest run without white space that counts as one word, in bytes; a longer one is a script that writes none, or data.
const MAX_WORD: usize = 40;

/// Returns the words of the text with the signs at them; one that is too long between characters.
pub(super) fn pieces(meter: &Meter<'_>, whole: Span) -> Vec<Piece> {
    let mut counted: HashMap<&str, usize> = HashMap::new();
    let mut pieces = Vec::new();
    let mut push = |span: Span| {
        let tokens = *counted.entry(meter.slice(span)).or_insert_with(|| meter.tokens(span));
        if tokens <= meter.room(span.start) {
            pieces.push(Piece { span, tokens, edge: Edge::Open });
        } else {
            cut(meter, span, Vec::new(), &mut pieces);
        }
    };
    let mut start = whole.start;
    for run in meter.slice(whole).split_inclusive(char::is_whitespace) {
        let span = Span { start, end: start + run.len() };
        start = span.end;
        let Some(span) = trimmed(meter, span) else { continue };
        if span.len() <= MAX_WORD {
            push(span);
            continue;
        }
        for (at, word) in meter.slice(span).split_word_bound_indices() {
            push(Span { start: span.start + at, end: span.start + at + word.len() });
        }
    }
    pieces
}
