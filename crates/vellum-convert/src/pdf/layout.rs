//! Reading order: words of a page to blocks, column after column.
//!
//! 1. Tables framed by rules are cut out first (`table.rs`) and travel as one item.
//! 2. A gutter is looked for: a place that many lines leave blank with text on both sides of it. The
//!    sides must read like prose (lines that fill their side) or have been drawn one after the other, or the gutter is
//!    one of a table.
//! 3. Lines that cross the gutter (titles, wide tables) divide the region into bands; in each band the
//!    left side is read before the right, each side again from step 2.
//! 4. What has no gutter is one block; rows of cells in it become a table.
//!
//! Recursion is at most [`MAX_DEPTH`] deep. Cost is linear in the words times the probed places.

use super::drawn;
use super::glyphs::Rules;
use super::lines::{Line, Word, lines};
use super::table::{self, Table};

/// Columns nest at most this often: eight columns.
const MAX_DEPTH: usize = 3;
/// Least lines that a gutter must part.
const MIN_PARTED: usize = 4;
/// Least width of a gutter, in em.
const MIN_GUTTER: f64 = 0.75;
/// Distance between places that are probed for a gutter, in points.
const PROBE_STEP: f64 = 2.0;
/// Least share of the parted lines whose sides were drawn apart, and lines for each change from side to side, in columns
/// that are no prose.
const MIN_APART: f64 = 0.8;
const MIN_LINES_OF_CHANGE: usize = 3;
/// Gap, in em, that parts what stands side by side.
const PIECE_GAP: f64 = 1.5;
/// Least share of the widest lines' width that a median line of prose has.
const MIN_FILL: f64 = 0.5;
/// Least characters of a mean line of prose; a third of it where words have no blanks.
const MIN_PROSE_CHARS: f64 = 14.0;

/// A part of a page that is read from top to bottom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    /// Lines of running text, or of anything that is no table.
    Lines(Vec<Line>),
    /// A table.
    Table(Table),
}

/// Returns the blocks of a page in reading order; `gap` is the word gap in em.
pub(crate) fn blocks(words: Vec<Word>, rules: &Rules, gap: f64) -> Vec<Block> {
    let (tables, words) = table::ruled(words, rules, gap);
    let mut blocks = Vec::new();
    region(words, tables, gap, 0, &mut blocks);
    drawn::ordered(blocks)
}

fn region(words: Vec<Word>, tables: Vec<Table>, gap: f64, depth: usize, blocks: &mut Vec<Block>) {
    let lines = lines(words);
    let gutter = if depth < MAX_DEPTH { find_gutter(&lines) } else { None };
    let Some(x) = gutter else { return single_column(lines, tables, gap, blocks) };

    // What crosses the gutter, from top to bottom, with what stands between.
    let mut band = Band::default();
    let mut spanning = Band::default();
    let mut tables = tables.into_iter().peekable();
    for line in lines {
        while let Some(table) = tables.next_if(|table| table.top <= line.top()) {
            if table.x0 < x && table.x1 > x {
                band.read(x, gap, depth, blocks);
                spanning.tables.push(table);
            } else {
                spanning.read_whole(gap, blocks);
                band.tables.push(table);
            }
        }
        if side(&line, x) == Side::Across {
            band.read(x, gap, depth, blocks);
            spanning.lines.push(line);
        } else {
            spanning.read_whole(gap, blocks);
            band.lines.push(line);
        }
    }
    for table in tables {
        let crosses = table.x0 < x && table.x1 > x;
        if crosses { spanning.tables.push(table) } else { band.tables.push(table) }
    }
    band.read(x, gap, depth, blocks);
    spanning.read_whole(gap, blocks);
}

/// Lines and tables that are read together.
#[derive(Default)]
struct Band {
    lines: Vec<Line>,
    tables: Vec<Table>,
}

impl Band {
    /// Reads the left side, then the right.
    fn read(&mut self, x: f64, gap: f64, depth: usize, blocks: &mut Vec<Block>) {
        let lines = std::mem::take(&mut self.lines);
        let tables = std::mem::take(&mut self.tables);
        if lines.is_empty() && tables.is_empty() {
            return;
        }
        let words = lines.into_iter().flat_map(|line| line.words);
        let (left, right) = words.partition(|word| (word.x0 + word.x1) / 2.0 < x);
        let (left_tables, right_tables) =
            tables.into_iter().partition(|table| (table.x0 + table.x1) / 2.0 < x);
        region(left, left_tables, gap, depth + 1, blocks);
        region(right, right_tables, gap, depth + 1, blocks);
    }

    fn read_whole(&mut self, gap: f64, blocks: &mut Vec<Block>) {
        let lines = std::mem::take(&mut self.lines);
        single_column(lines, std::mem::take(&mut self.tables), gap, blocks);
    }
}

fn single_column(lines: Vec<Line>, tables: Vec<Table>, gap: f64, blocks: &mut Vec<Block>) {
    let mut open = Vec::new();
    let mut tables = tables.into_iter().peekable();
    for line in lines {
        while let Some(table) = tables.next_if(|table| table.top <= line.top()) {
            table::unruled(&std::mem::take(&mut open), gap, blocks);
            blocks.push(Block::Table(table));
        }
        open.push(line);
    }
    table::unruled(&open, gap, blocks);
    blocks.extend(tables.map(Block::Table));
}

/// How a line stands to a gutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    /// Text on both sides and a wide gap between; the right may have been drawn next.
    Parted {
        in_turn: bool,
    },
    Across,
}

fn side(line: &Line, x: f64) -> Side {
    let (mut left, mut right): (Option<&Word>, Option<&Word>) = (None, None);
    for word in &line.words {
        if word.x0 < x && word.x1 > x {
            return Side::Across;
        }
        if word.x1 <= x {
            left = left.filter(|left| left.x1 >= word.x1).or(Some(word));
        } else {
            right = right.filter(|right| right.x0 <= word.x0).or(Some(word));
        }
    }
    match (left, right) {
        (Some(_), None) => Side::Left,
        (None, _) => Side::Right,
        (Some(left), Some(right)) if right.x0 - left.x1 >= MIN_GUTTER * line.size => {
            Side::Parted { in_turn: right.order == left.order + 1 }
        }
        (Some(_), Some(_)) => Side::Across,
    }
}

/// Returns the middle of the gutter between two columns of prose, or of what was drawn one after the other.
fn find_gutter(lines: &[Line]) -> Option<f64> {
    let x0 = lines.iter().map(Line::x0).fold(f64::MAX, f64::min);
    let x1 = lines.iter().map(Line::x1).fold(f64::MIN, f64::max);
    let width = x1 - x0;
    if lines.len() < MIN_PARTED || width <= 0.0 || width > 20_000.0 {
        return None;
    }
    let n_probes = (width * 0.7 / PROBE_STEP) as usize;
    let place = |n: usize| x0 + width * 0.15 + n as f64 * PROBE_STEP;
    let scores: Vec<Score> = (0..=n_probes).map(|n| score(lines, place(n))).collect();
    // The middle of the widest place that is nearly as good as the best: the blank behind the numbers of a list parts
    // lines as well.
    let widest = |value: &dyn Fn(&Score) -> usize| {
        let best = scores.iter().map(value).max().filter(|&best| best > 0)?;
        let good: Vec<usize> =
            (0..=n_probes).filter(|&n| value(&scores[n]) * 10 >= best * 9).collect();
        let widest = good.chunk_by(|a, b| a + 1 == *b).rev().max_by_key(|run| run.len())?;
        Some((place(widest[0]) + place(widest[widest.len() - 1])) / 2.0)
    };
    let prose = widest(&|score| score.n_sides).filter(|&x| is_prose(lines, x));
    prose.or_else(|| widest(&|score| score.n_drawn_apart).filter(|&x| is_drawn_apart(lines, x)))
}

/// Returns whether the sides of `x` were drawn one after the other, as text boxes and tables side by side are.
fn is_drawn_apart(lines: &[Line], x: f64) -> bool {
    let mut words: Vec<&Word> = lines.iter().flat_map(|line| &line.words).collect();
    words.sort_by_key(|word| word.order);
    let is_left = |word: &&Word| (word.x0 + word.x1) / 2.0 < x;
    let n_changes = words.windows(2).filter(|pair| is_left(&pair[0]) != is_left(&pair[1])).count();
    n_changes * MIN_LINES_OF_CHANGE <= lines.len()
}

/// How well a place parts lines.
#[derive(Default)]
struct Score {
    /// Lines with text on both sides, or in turn on one and the other; zero when too many cross.
    n_sides: usize,
    /// Lines whose sides were not drawn one after the other; zero when they are few.
    n_drawn_apart: usize,
}

fn score(lines: &[Line], x: f64) -> Score {
    let (mut n_parted, mut n_across, mut n_apart) = (0, 0, 0);
    // Columns whose baselines differ have no parted lines, but lines in turn left and right.
    let (mut left, mut right) = (Extent::default(), Extent::default());
    for line in lines {
        match side(line, x) {
            Side::Parted { in_turn } => {
                n_parted += 1;
                n_apart += usize::from(!in_turn);
            }
            Side::Across => n_across += 1,
            Side::Left => left.add(line.y),
            Side::Right => right.add(line.y),
        }
    }
    let n_in_turn = if left.overlaps(&right) { left.n.min(right.n) } else { 0 };
    let n_sides = n_parted + n_in_turn;
    if n_sides < MIN_PARTED || n_sides * 3 < n_across {
        return Score::default();
    }
    let is_apart = n_apart >= MIN_PARTED && n_apart as f64 >= MIN_APART * n_parted as f64;
    Score { n_sides, n_drawn_apart: if is_apart { n_apart } else { 0 } }
}

struct Extent {
    n: usize,
    top: f64,
    bottom: f64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { n: 0, top: f64::MAX, bottom: f64::MIN }
    }
}

impl Extent {
    fn add(&mut self, y: f64) {
        self.n += 1;
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
    }

    fn overlaps(&self, other: &Self) -> bool {
        let shared = self.bottom.min(other.bottom) - self.top.max(other.top);
        shared > 0.25 * (self.bottom - self.top).min(other.bottom - other.top)
    }
}

/// Returns whether the lines on both sides of `x` fill their side as running text does.
///
/// A side may hold columns itself, so what a wide gap parts counts apart: long pieces are lines of further columns,
/// short ones are cells.
fn is_prose(lines: &[Line], x: f64) -> bool {
    let mut widths = [Vec::new(), Vec::new()];
    let mut n_chars = [0, 0];
    for line in lines.iter().filter(|line| side(line, x) != Side::Across) {
        for piece in line.cells(PIECE_GAP) {
            let (left, right) = piece.split_at(piece.partition_point(|word| word.x1 <= x));
            for (n, words) in [left, right].into_iter().enumerate() {
                let (Some(first), Some(last)) = (words.first(), words.last()) else { continue };
                widths[n].push(last.x1 - first.x0);
                n_chars[n] += words.iter().map(|word| weight(&word.text)).sum::<usize>();
            }
        }
    }
    widths.iter_mut().zip(n_chars).all(|(widths, n_chars)| {
        widths.sort_by(f64::total_cmp);
        let Some(widest) = widths.get(widths.len() * 9 / 10) else { return false };
        let median = widths[widths.len() / 2];
        median >= MIN_FILL * widest && n_chars as f64 >= MIN_PROSE_CHARS * widths.len() as f64
    })
}

/// Counts characters; an ideograph says as much as three letters.
fn weight(text: &str) -> usize {
    text.chars().map(|c| if super::flow::is_unspaced(c) { 3 } else { 1 }).sum()
}
