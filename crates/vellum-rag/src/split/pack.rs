//! Packs pieces of text into chunks that fit the embedder.
//!
//! Pieces are taken greedily until the next one would not fit; the finished text is counted, and pieces are given back, or
//! more are taken, where it counts otherwise than its pieces. What a splitter wants is told by the [`Edge`] before each piece.
//!
//! Invariants: every piece lies in a chunk; each chunk holds a piece that no chunk before it does; overlap is whole pieces and
//! never reaches over an edge that a chunk begins with.

use super::meter::Meter;
use std::ops::Range;
use vellum_core::document::Span;

/// Times that a chunk is counted anew because it turned out to have room for more.
const REFILLS: usize = 4;

/// A stretch of text that fits a chunk alone and is not cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) span: Span,
    /// Special tokens left out.
    pub(super) tokens: usize,
    /// What stands before it.
    pub(super) edge: Edge,
}

/// What speaks for beginning a chunk with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Nothing.
    Open,
    /// It does, once the chunk before is a quarter full.
    Soft,
    /// It must.
    Wall,
}

/// Returns the chunks as ranges of pieces, ascending by start and by end.
pub(super) fn pack(meter: &Meter<'_>, pieces: &[Piece], overlap: usize) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut fresh = 0;
    while fresh < pieces.len() {
        let before = chunks.last().map_or(0, |chunk: &Range<usize>| chunk.start);
        let first = back_up(meter, pieces, before, fresh, overlap);
        let chunk = fill(meter, pieces, first, fresh);
        fresh = chunk.end;
        chunks.push(chunk);
    }
    chunks
}

/// Returns the text from the first piece of `chunk` to its last.
pub(super) fn span_of(pieces: &[Piece], chunk: &Range<usize>) -> Span {
    Span { start: pieces[chunk.start].span.start, end: pieces[chunk.end - 1].span.end }
}

/// Returns where a chunk begins whose first new piece is `fresh`: there, or up to `overlap` tokens of whole pieces earlier, but
/// behind the first piece `before` of the chunk before it.
fn back_up(
    meter: &Meter<'_>,
    pieces: &[Piece],
    before: usize,
    fresh: usize,
    overlap: usize,
) -> usize {
    let mut first = fresh;
    let mut tokens = 0;
    while overlap > 0
        && first > before + 1
        && pieces[first].edge == Edge::Open
        && tokens + pieces[first - 1].tokens <= overlap
    {
        first -= 1;
        tokens += pieces[first].tokens;
    }
    while first < fresh && meter.tokens(span_of(pieces, &(first..fresh))) > overlap {
        first += 1;
    }
    // What is repeated must leave room for what is new.
    while first < fresh && tokens_in(&pieces[first..=fresh]) > meter.room(pieces[first].span.start)
    {
        first += 1;
    }
    first
}

/// Returns the chunk that begins with `first` and holds `fresh`; `first` may move up to `fresh`.
fn fill(meter: &Meter<'_>, pieces: &[Piece], mut first: usize, fresh: usize) -> Range<usize> {
    let mut end = fresh + 1;
    let mut tokens = tokens_in(&pieces[first..end]);
    let room = meter.room(pieces[first].span.start);
    for _ in 0..=REFILLS {
        let from = end;
        while let Some(piece) = pieces.get(end) {
            let begins = match piece.edge {
                Edge::Open => false,
                Edge::Soft => meter.is_quarter(tokens, room),
                Edge::Wall => true,
            };
            if begins || tokens + piece.tokens > room {
                break;
            }
            tokens += piece.tokens;
            end += 1;
        }
        if end == from && end > fresh + 1 {
            break;
        }
        let counted = meter.finished(span_of(pieces, &(first..end)));
        let is_full = counted >= tokens;
        tokens = counted;
        if is_full || end == pieces.len() {
            break;
        }
    }
    while tokens > meter.room(pieces[first].span.start) {
        if end > fresh + 1 {
            end -= 1;
        } else if first < fresh {
            first += 1;
        } else {
            break;
        }
        tokens = meter.finished(span_of(pieces, &(first..end)));
    }
    first..end
}

fn tokens_in(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.tokens).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs the words of a text; `|` before a word is a soft edge, `#` a wall.
    fn chunks(text: &str, max: usize, overlap: usize) -> Vec<String> {
        let count = |text: &str| text.split_whitespace().count() + 2;
        let meter = Meter::new(text, max, &count);
        let mut start = 0;
        let mut pieces = Vec::new();
        for word in text.split(' ') {
            let edge = match word.as_bytes()[0] {
                b'|' => Edge::Soft,
                b'#' => Edge::Wall,
                _ => Edge::Open,
            };
            pieces.push(Piece { span: Span { start, end: start + word.len() }, tokens: 1, edge });
            start += word.len() + 1;
        }
        let chunks = pack(&meter, &pieces, overlap);
        chunks.iter().map(|chunk| meter.slice(span_of(&pieces, chunk)).to_owned()).collect()
    }

    #[test]
    fn edges_and_overlap() {
        assert_eq!(chunks("a b c d e", 4, 0), ["a b", "c d", "e"]);
        assert_eq!(chunks("a b c d e", 5, 1), ["a b c", "c d e"]);
        assert_eq!(chunks("a b #c d e", 9, 1), ["a b", "#c d e"], "no overlap over a wall");
        assert_eq!(chunks("a |b c", 20, 0), ["a |b c"], "a short chunk goes on over a soft edge");
        assert_eq!(chunks("a b c |d e", 20, 2), ["a b c", "|d e"]);
        assert_eq!(chunks("a b c d", 3, 1), ["a", "b", "c", "d"], "no room for what is repeated");
    }

    #[test]
    fn finished_text_decides() {
        // Joined text counts more than its pieces, then less.
        let pieces: Vec<Piece> = (0..6)
            .map(|n| Piece { span: Span { start: n, end: n + 1 }, tokens: 2, edge: Edge::Open })
            .collect();
        let more = |text: &str| text.len() * 3;
        let chunks = pack(&Meter::new("abcdef", 8, &more), &pieces, 0);
        assert_eq!(chunks, [0..2, 2..4, 4..6]);
        let less = |text: &str| text.len();
        let chunks = pack(&Meter::new("abcdef", 4, &less), &pieces, 0);
        assert_eq!(chunks, [0..3, 3..6], "room that is left is filled as far as the pieces tell");
    }
}
