//! The order in which a page was drawn, as far as it is one to read in.
//!
//! Most programs draw a page as its author wrote it: one text box, form field or column after the other, whatever stands
//! beside it. So what stands side by side is read as it was drawn. What stands close over a text or a table is read before it,
//! labels excepted, because programs also draw by font; what stands close together on a line stays together for the same
//! reason. Where lines were drawn across columns, the place decides alone.

use super::flow::is_list_marker;
use super::layout::Block;
use super::lines::{Line, Word};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Gap, in em, at which a line may have been drawn in pieces that belong to other texts.
const PIECE_GAP: f64 = 1.0;
/// Least number of lines that go on in another column, and their share of all pieces, from which a page was drawn across its
/// columns.
const MIN_ACROSS: usize = 4;
const MAX_ACROSS: f64 = 0.2;
/// Most parts of a page that are ordered; every two are compared.
const MAX_PARTS: usize = 5_000;
/// Share of the narrower of two parts that stands over the other, from which they are of one column.
const MIN_SHARED: f64 = 0.2;
/// Largest distance, in em, of a text from one that it stands over; and of a table, or from one.
const MAX_DISTANCE: f64 = 1.6;
const MAX_TABLE_DISTANCE: f64 = 3.0;
/// Most words of a label, numbers aside.
const MAX_LABEL_WORDS: usize = 3;
/// Most lines between two that were drawn one after the other, of which none may come between.
const MAX_SKIPPED: usize = 12;

/// A part of a line that was drawn at one time.
struct Piece {
    words: Vec<Word>,
    /// When most of it was drawn.
    order: usize,
    /// The block and the line it stands in.
    line: (usize, usize),
}

/// A block with the place it takes.
struct Part {
    block: Block,
    order: usize,
    x0: f64,
    x1: f64,
    /// First and last baseline, or the edges of a table.
    top: f64,
    bottom: f64,
    size: f64,
    /// Whether it says no more than the labels of a form or the numbers of an axis.
    is_label: bool,
}

/// Returns the blocks of a page, which are in the order of their places, in that of drawing. Without words drawn across
/// columns, and with at most [`MAX_PARTS`] parts; else as they are.
pub(crate) fn ordered(blocks: Vec<Block>) -> Vec<Block> {
    let mut parts: Vec<Part> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    for (n_block, block) in blocks.iter().enumerate() {
        match block {
            Block::Table(table) => parts.push(Part {
                order: table.order,
                x0: table.x0,
                x1: table.x1,
                top: table.top,
                bottom: table.bottom,
                size: 10.0,
                is_label: false,
                block: block.clone(),
            }),
            Block::Lines(lines) => {
                for (n_line, line) in lines.iter().enumerate() {
                    pieces.extend(pieces_of(line, (n_block, n_line)));
                }
            }
        }
    }
    pieces.sort_by_key(|piece| piece.order);
    if is_across(&pieces) {
        return blocks;
    }
    let mut open: Option<(Part, (usize, usize))> = None;
    let tables: Vec<usize> = parts.iter().map(|part| part.order).collect();
    for run in pieces.chunk_by(|a, b| a.line == b.line) {
        let line = Line::new(run.iter().flat_map(|piece| piece.words.clone()).collect());
        let (order, at) = (run[0].order, run[0].line);
        if let Some((part, last)) = &mut open {
            let is_parted = tables.iter().any(|table| (part.order..order).contains(table));
            if !is_parted && goes_on(&blocks, part, *last, &line, at) {
                part.add(line);
                *last = at;
                continue;
            }
        }
        if let Some((part, _)) = open.replace((Part::new(line, order), at)) {
            parts.push(part);
        }
    }
    parts.extend(open.map(|(part, _)| part));
    if parts.len() > MAX_PARTS {
        return blocks;
    }
    sorted(parts)
}

/// Returns whether lines were drawn across columns of text, from one to the next and back.
fn is_across(pieces: &[Piece]) -> bool {
    let is_across = |pair: &&[Piece]| {
        let (a, b) = (&pair[0].words[0], &pair[1].words[0]);
        pair[0].line.0 != pair[1].line.0 && (a.y - b.y).abs() < 0.5 * a.size.max(b.size)
    };
    let n_across = pieces.windows(2).filter(is_across).count();
    n_across >= MIN_ACROSS && n_across as f64 > MAX_ACROSS * pieces.len() as f64
}

/// Returns the blocks, those that stand above others first, else as they were drawn.
fn sorted(mut parts: Vec<Part>) -> Vec<Block> {
    parts.sort_by_key(|part| part.order);
    let mut n_above: Vec<usize> = parts
        .iter()
        .map(|part| parts.iter().filter(|other| other.is_above(part)).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..parts.len()).filter(|&n| n_above[n] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(parts.len());
    while let Some(Reverse(next)) = ready.pop() {
        order.push(next);
        for (n, part) in parts.iter().enumerate() {
            if parts[next].is_above(part) {
                n_above[n] -= 1;
                if n_above[n] == 0 {
                    ready.push(Reverse(n));
                }
            }
        }
    }
    let mut parts: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
    let mut blocks: Vec<Block> =
        order.into_iter().filter_map(|n| parts[n].take()).map(|part| part.block).collect();
    // Lines of large type may reach into each other so that parts stand above one another in a ring. Nothing is lost.
    blocks.extend(parts.into_iter().flatten().map(|part| part.block));
    blocks
}

impl Part {
    fn new(line: Line, order: usize) -> Self {
        let (x0, x1, y, size) = (line.x0(), line.x1(), line.y, line.size);
        let is_label = is_label(&line);
        let block = Block::Lines(vec![line]);
        Self { block, order, x0, x1, top: y, bottom: y, size, is_label }
    }

    fn add(&mut self, line: Line) {
        (self.x0, self.x1) = (self.x0.min(line.x0()), self.x1.max(line.x1()));
        self.bottom = line.y;
        self.size = self.size.max(line.size);
        self.is_label &= is_label(&line);
        if let Block::Lines(lines) = &mut self.block {
            lines.push(line);
        }
    }

    fn is_above(&self, other: &Self) -> bool {
        let shared = self.x1.min(other.x1) - self.x0.max(other.x0);
        let narrower = (self.x1 - self.x0).min(other.x1 - other.x0);
        let distance = other.top - self.bottom;
        let is_table = |part: &Self| matches!(part.block, Block::Table(_));
        let near_table = is_table(self) || is_table(other);
        let most = if near_table { MAX_TABLE_DISTANCE } else { MAX_DISTANCE };
        !(self.is_label && other.is_label)
            && distance > 3.0
            && distance < most * self.size.max(other.size)
            && shared > MIN_SHARED * narrower
    }
}

fn is_label(line: &Line) -> bool {
    let has_letter = |word: &&Word| word.text.contains(char::is_alphabetic);
    line.words.iter().filter(has_letter).count() <= MAX_LABEL_WORDS
}

/// Returns whether `line` goes on under the last line of a part, in one column with it and with nothing between.
fn goes_on(
    blocks: &[Block],
    part: &Part,
    (block, last): (usize, usize),
    line: &Line,
    at: (usize, usize),
) -> bool {
    let Block::Lines(above) = &part.block else { return false };
    let Some(above) = above.last() else { return false };
    let (x0, x1) = (above.x0().max(line.x0()), above.x1().min(line.x1()));
    let Block::Lines(lines) = &blocks[block] else { return false };
    block == at.0
        && (last + 1..last + 1 + MAX_SKIPPED).contains(&at.1)
        && x1 > x0
        && lines[last + 1..at.1]
            .iter()
            .flat_map(|line| &line.words)
            .all(|word| word.x1 <= x0 || word.x0 >= x1)
}

fn pieces_of(line: &Line, at: (usize, usize)) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for words in line.cells(PIECE_GAP) {
        match pieces.last_mut() {
            Some(Piece { words: marker, order, .. })
                if marker.len() == 1 && is_list_marker(&marker[0].text) =>
            {
                marker.extend_from_slice(words);
                *order = order_of(words);
            }
            _ => pieces.push(Piece { words: words.to_vec(), order: order_of(words), line: at }),
        }
    }
    pieces
}

/// Returns when most of the words were drawn.
fn order_of(words: &[Word]) -> usize {
    let runs = words.chunk_by(|a, b| a.order < b.order && b.order - a.order < 3);
    let longest = runs.max_by_key(|run| run.iter().map(|word| word.text.len()).sum::<usize>());
    longest.and_then(|run| run.first()).map_or(0, |word| word.order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads texts of one line each, given with their place in the order of drawing.
    fn read(texts: &[(&str, f64, f64)]) -> Vec<String> {
        let word = |(order, (text, x0, y)): (usize, &(&str, f64, f64))| {
            let (x0, y, text) = (*x0, *y, (*text).to_owned());
            Word {
                x1: x0 + 5.0 * text.len() as f64,
                text,
                x0,
                y,
                size: 10.0,
                after_blank: false,
                order,
            }
        };
        let words = texts.iter().enumerate().map(word).collect();
        let blocks = ordered(vec![Block::Lines(super::super::lines::lines(words))]);
        let texts = blocks.iter().flat_map(|block| match block {
            Block::Lines(lines) => lines.clone(),
            Block::Table(_) => Vec::new(),
        });
        texts.map(|line| line.words.iter().map(|word| word.text.as_str()).collect()).collect()
    }

    #[test]
    fn boxes_side_by_side_are_read_as_they_were_drawn() {
        let boxes =
            [("Name", 0.0, 0.0), ("Smith", 0.0, 12.0), ("Born", 200.0, 0.0), ("1970", 200.0, 12.0)];
        assert_eq!(read(&boxes), ["Name", "Smith", "Born", "1970"]);
    }

    /// A part whose last line stands above its first makes a ring with one between.
    #[test]
    fn parts_above_one_another_are_all_there() {
        let part = |order, top, bottom| {
            let word = Word {
                text: format!("a longer text than a label, number {order}"),
                x0: 0.0,
                x1: 90.0,
                y: top,
                size: 40.0,
                after_blank: false,
                order,
            };
            let line = Line::new(vec![word]);
            Part { bottom, is_label: false, ..Part::new(line, order) }
        };
        let ring = vec![part(0, 100.0, 60.0), part(1, 80.0, 80.0)];
        assert!(ring[0].is_above(&ring[1]) && ring[1].is_above(&ring[0]));
        assert_eq!(sorted(ring).len(), 2);
    }

    #[test]
    fn a_number_stays_with_its_label() {
        let by_font =
            [("1", 0.0, 0.0), ("2", 0.0, 40.0), ("Interest", 12.0, 0.0), ("Dividends", 12.0, 40.0)];
        assert_eq!(read(&by_font), ["1Interest", "2Dividends"]);
    }
}
