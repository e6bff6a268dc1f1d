//! Parents: the chunks around a found one that are handed to an answer with it.
//!
//! Chunks are packed once more, as they were packed from sentences: up to the parent's bound, and by preference from heading to
//! heading, so that a section that fits is one parent. Neither text nor vectors are stored for it, only the ordinals.

use super::meter::Meter;
use super::pack::{Edge, Piece, pack};
use std::ops::Range;
use vellum_core::document::Span;

/// Returns the parents of chunks as ranges of them; `meter` is that of the parents' bound, `headings` ascend.
pub(super) fn parents(meter: &Meter<'_>, chunks: &[Span], headings: &[usize]) -> Vec<Range<usize>> {
    let pieces: Vec<Piece> = chunks
        .iter()
        .map(|span| {
            let begins = headings.binary_search(&span.start).is_ok();
            let edge = if begins { Edge::Soft } else { Edge::Open };
            Piece { span: *span, tokens: meter.tokens(*span), edge }
        })
        .collect();
    pack(meter, &pieces, 0)
}
