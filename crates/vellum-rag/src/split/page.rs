//! Whole sentences of one page, slide or sheet: no chunk reaches over its end, so each has one page number.
//!
//! A sentence that goes on over a page's end is cut there. Where the format has no pages this is the sentence splitter.

use super::markdown::regions;
use super::meter::Meter;
use super::pack::{Edge, Piece};
use super::sentence;
use vellum_core::document::Span;

/// Returns the units of the pages that begin at `pages`, which ascend, each page behind a wall.
pub(super) fn pieces(
    meter: &Meter<'_>,
    whole: Span,
    pages: &[usize],
    headings: &[usize],
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for page in regions(whole, pages) {
        let first = pieces.len();
        pieces.extend(sentence::pieces(meter, page, headings));
        if let Some(piece) = pieces.get_mut(first) {
            piece.edge = Edge::Wall;
        }
    }
    pieces
}
