//! Whole sentences, list items and table rows, with a soft edge at each heading, so that a chunk speaks of one thing.
//!
//! What alone is too long is cut between words (a table row between cells), and a word that is too long between
//! characters. The other splitters that respect sentences begin with these pieces.

use super::cut;
use super::meter::Meter;
use super::pack::{Edge, Piece};
use crate::units::{self, Unit, UnitKind};
use unicode_segmentation::UnicodeSegmentation;
use vellum_core::document::Span;

/// Returns the units of the whole text, with soft edges at `headings`, which ascend.
pub(super) fn pieces(meter: &Meter<'_>, whole: Span, headings: &[usize]) -> Vec<Piece> {
    let mut pieces = fitting(meter, whole);
    soften(&mut pieces, headings);
    pieces
}

/// Sets a soft edge before each piece that begins at one of `headings`, which ascend.
pub(super) fn soften(pieces: &mut [Piece], headings: &[usize]) {
    for piece in pieces {
        if headings.binary_search(&piece.span.start).is_ok() {
            piece.edge = Edge::Soft;
        }
    }
}

/// Returns the units of a region, cut so that each fits a chunk alone.
pub(super) fn fitting(meter: &Meter<'_>, region: Span) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for unit in units_in(meter, region) {
        push_fitting(meter, unit, &mut pieces);
    }
    pieces
}

/// Returns the units of a region, in bytes of the document.
pub(super) fn units_in(meter: &Meter<'_>, region: Span) -> impl Iterator<Item = Unit> {
    units::units(meter.slice(region)).into_iter().map(move |unit| Unit {
        span: Span { start: region.start + unit.span.start, end: region.start + unit.span.end },
        ..unit
    })
}

/// Adds a unit, in parts where it alone is too long.
pub(super) fn push_fitting(meter: &Meter<'_>, unit: Unit, pieces: &mut Vec<Piece>) {
    let tokens = meter.tokens(unit.span);
    if tokens <= meter.room(unit.span.start) {
        pieces.push(Piece { span: unit.span, tokens, edge: Edge::Open });
        return;
    }
    let slice = meter.slice(unit.span);
    let bounds: Vec<usize> = if unit.kind == UnitKind::TableRow && slice.matches('|').count() > 2 {
        slice.match_indices('|').map(|(at, _)| at).skip(1).collect()
    } else {
        slice.split_word_bound_indices().map(|(at, _)| at).skip(1).collect()
    };
    cut::cut(meter, unit.span, bounds, pieces);
}
