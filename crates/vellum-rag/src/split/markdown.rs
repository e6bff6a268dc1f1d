//! Whole paragraphs, lists and tables under one heading: no chunk reaches over a heading.
//!
//! The headings are those that the converter found, in whatever format. One that nothing but a further heading follows stays
//! with that. A block that does not fit is cut into its sentences, items and rows.

use super::meter::Meter;
use super::pack::{Edge, Piece};
use super::sentence::{push_fitting, units_in};
use crate::units::Unit;
use vellum_core::document::Span;

/// Returns the blocks of the sections that begin at `headings`, which ascend, each section behind a wall.
pub(super) fn pieces(meter: &Meter<'_>, whole: Span, headings: &[usize]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut has_body = false;
    for region in regions(whole, headings) {
        let first = pieces.len();
        push_blocks(meter, region, &mut pieces);
        if let Some(piece) = pieces.get_mut(first) {
            if has_body {
                piece.edge = Edge::Wall;
            }
            has_body = meter.slice(region).trim().contains('\n');
        }
    }
    pieces
}

/// Returns the text from each of `bounds`, which ascend, to the next, with what stands before the first.
pub(super) fn regions(whole: Span, bounds: &[usize]) -> Vec<Span> {
    let starts = [whole.start].into_iter().chain(bounds.iter().copied());
    let ends = bounds.iter().copied().chain([whole.end]);
    starts
        .zip(ends)
        .map(|(start, end)| Span { start, end })
        .filter(|span| !span.is_empty())
        .collect()
}

fn push_blocks(meter: &Meter<'_>, region: Span, pieces: &mut Vec<Piece>) {
    let units: Vec<Unit> = units_in(meter, region).collect();
    for block in units.chunk_by(|_, next| !next.starts_block) {
        let span = Span { start: block[0].span.start, end: block[block.len() - 1].span.end };
        let tokens = meter.tokens(span);
        if tokens <= meter.room(span.start) {
            pieces.push(Piece { span, tokens, edge: Edge::Open });
        } else {
            block.iter().for_each(|unit| push_fitting(meter, *unit, pieces));
        }
    }
}
