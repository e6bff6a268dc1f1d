//! Cuts a stretch of text that is too long for a chunk, at the bounds that are allowed and else between characters.

use super::meter::Meter;
use super::pack::{Edge, Piece};
use vellum_core::document::Span;

/// Adds the longest parts of `span` that fit, each ending at one of `bounds` (bytes in the span, ascending, without its
/// ends), or between characters where even the next bound is too far. Parts are trimmed; blank ones are left out.
pub(super) fn cut(meter: &Meter<'_>, span: Span, mut bounds: Vec<usize>, pieces: &mut Vec<Piece>) {
    let slice = meter.slice(span);
    bounds.push(slice.len());
    let mut start = 0;
    while start < slice.len() {
        let from = bounds.partition_point(|at| *at <= start);
        let room = meter.room(span.start + start);
        let fits = |end: usize| meter.tokens_of(&slice[start..end]) <= room;
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
        if let Some(part) =
            trimmed(meter, Span { start: span.start + start, end: span.start + end })
        {
            pieces.push(Piece { span: part, tokens: meter.tokens(part), edge: Edge::Open });
        }
        start = end;
    }
}

/// Returns the span without the white space at its ends; `None` when there is nothing else.
pub(super) fn trimmed(meter: &Meter<'_>, span: Span) -> Option<Span> {
    let slice = meter.slice(span);
    let text = slice.trim();
    let start = span.start + (slice.len() - slice.trim_start().len());
    (!text.is_empty()).then_some(Span { start, end: start + text.len() })
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
