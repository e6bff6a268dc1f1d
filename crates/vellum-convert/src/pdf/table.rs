//! Tables: rows and cells out of rules and gaps.
//!
//! A ruled table is a stack of at least three horizontal rules of one extent (the frame, the line
//! under the header, shaded rows). Its columns are the places that its words leave blank from top to
//! bottom. Where most rows have a rule of their own, what lies between two rules is one row,
//! however often its cells are wrapped; else every line is a row, and a line whose first cell is blank
//! continues the row above.
//!
//! Without rules, two or more consecutive lines with wide gaps are a table of their own lines.
//!
//! A program draws a table row by row, cell by cell. So the rows that follow the order of drawing best are the true ones,
//! and where none do, as in forms and charts, there is no table, unless rules frame a grid of short cells nearly all filled.

use super::glyphs::{Rule, Rules, Upright};
use super::layout::Block;
use super::lines::{Line, Word, lines, text_of};
use super::placed::Placed;

/// Tolerance for "the same place", in points.
const SAME_PLACE: f64 = 4.0;
/// Least rules of a table: top, under the header, bottom.
const MIN_RULES: usize = 3;
/// Largest distance between two rules of one table, in points; beyond it, one is a page's own rule.
const MAX_ROW_HEIGHT: f64 = 200.0;
/// Height, in points, up to which a row is never too high for its table.
const MAX_GRID_ROW: f64 = 45.0;
/// Height of a row, as a multiple of the usual one, from which it may be text between two tables.
const WIDER_GAP: f64 = 1.5;
/// Least blank between columns, in em; and where at least so many rows agree.
const MIN_COLUMN_GAP: f64 = 0.7;
const MIN_COLUMN_GAP_OF_MANY: f64 = 0.4;
const MANY_ROWS: usize = 8;
/// Widest blank between words of one cell, in em.
const WORD_GAP: f64 = 0.45;
/// Gap, in em, that makes two cells of a line where no rule helps.
const CELL_GAP: f64 = 1.5;
/// Widest table, in points; wider than any page that is printed.
const MAX_WIDTH: f64 = 20_000.0;
/// Characters of a mean line from which two columns are text in columns and not a table.
const PROSE_CHARS: usize = 30;
/// Characters of a mean cell, in every column, from which lines without rules are text in columns.
const PROSE_CELL_CHARS: usize = 22;
/// Lines from which they can be that.
const MIN_PROSE_LINES: usize = 4;

/// Least share of the lines of its cells that a table lets follow each other as they were drawn, or it is a form, a chart
/// or text with a margin; and by how much other rows must agree better to be the true ones.
const MIN_AGREEMENT: f64 = 0.75;
const BETTER_AGREEMENT: f64 = 0.02;
/// Least share of filled cells, and most words of a mean cell, of a table that was drawn in another order.
const MIN_FILLED: f64 = 0.9;
const MAX_CELL_WORDS: usize = 6;

/// Rows of cells with their place on the page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Vec<Placed>>,
    pub(crate) x0: f64,
    pub(crate) x1: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    /// When the first of its words was drawn.
    pub(crate) order: usize,
}

/// The lines of a cell.
type Cell = Vec<Line>;
/// The cells of a row.
type Row = Vec<Cell>;

/// Cuts the ruled tables out of `words`; returns them from top to bottom, and the other words.
pub(crate) fn ruled(words: Vec<Word>, rules: &Rules, gap: f64) -> (Vec<Table>, Vec<Word>) {
    let mut tables = Vec::new();
    let mut rest = words;
    let mut pending: Vec<Vec<Rule>> = stacks(&rules.level)
        .into_iter()
        .flat_map(|stack| connected(stack, &rules.upright))
        .collect();
    pending.sort_by_key(Vec::len);
    while let Some(stack) = pending.pop() {
        if stack.len() < MIN_RULES {
            continue;
        }
        let (x0, x1) = (stack[0].x0 - SAME_PLACE, stack[0].x1 + SAME_PLACE);
        let (top, bottom) = (stack[0].y, stack[stack.len() - 1].y);
        let (inside, outside): (Vec<Word>, Vec<Word>) = rest.into_iter().partition(|word| {
            let middle = (word.top() + word.bottom()) / 2.0;
            word.x0 >= x0 && word.x1 <= x1 && middle > top && middle < bottom
        });
        rest = outside;
        match rows(&inside, &stack, &rules.upright) {
            Some(rows) => tables.push(Table {
                rows: texts(&rows, gap),
                x0,
                x1,
                top,
                bottom,
                order: first_drawn(&rows),
            }),
            None => {
                // Two tables of one width with text between look like one; the text is the widest row.
                rest.extend(inside);
                pending.extend(halves(stack).into_iter().flatten());
            }
        }
    }
    tables.sort_by(|a, b| a.top.total_cmp(&b.top));
    (tables, rest)
}

/// Divides a stack where no upright rule leads from one rule to the next.
///
/// Without upright rules, where a row would be several times as high as is usual; a table of three rules
/// has one high row by design.
fn connected(stack: Vec<Rule>, uprights: &[Upright]) -> Vec<Vec<Rule>> {
    let within = |upright: &&Upright| {
        upright.x > stack[0].x0 - SAME_PLACE && upright.x < stack[0].x1 + SAME_PLACE
    };
    let uprights: Vec<&Upright> = uprights.iter().filter(within).collect();
    let leads = |a: &Rule, b: &Rule| {
        let middle = (a.y + b.y) / 2.0;
        uprights.iter().any(|upright| upright.top < middle && upright.bottom > middle)
    };
    if stack.windows(2).any(|pair| leads(&pair[0], &pair[1])) {
        return stack.chunk_by(leads).map(<[Rule]>::to_vec).collect();
    }
    let mut heights: Vec<f64> = stack.windows(2).map(|pair| pair[1].y - pair[0].y).collect();
    heights.sort_by(f64::total_cmp);
    let usual = heights.get(heights.len() / 2).copied().unwrap_or_default();
    if stack.len() <= MIN_RULES {
        return vec![stack];
    }
    let is_row = |a: &Rule, b: &Rule| b.y - a.y <= (3.0 * usual).max(MAX_GRID_ROW);
    stack.chunk_by(is_row).map(<[Rule]>::to_vec).collect()
}

/// Divides a stack at its widest gap, if that is wider than others.
fn halves(stack: Vec<Rule>) -> Option<[Vec<Rule>; 2]> {
    let height = |n: &usize| stack[*n].y - stack[*n - 1].y;
    let mut heights: Vec<f64> = (1..stack.len()).map(|n| height(&n)).collect();
    heights.sort_by(f64::total_cmp);
    let usual = heights.get(heights.len() / 2)?;
    let at = (1..stack.len()).max_by(|a, b| height(a).total_cmp(&height(b)))?;
    if height(&at) < WIDER_GAP * usual {
        return None;
    }
    let mut upper = stack;
    let lower = upper.split_off(at);
    Some([upper, lower])
}

/// Groups rules of one extent, one below the other; each group ascends by `y`.
fn stacks(rules: &[Rule]) -> Vec<Vec<Rule>> {
    // A row of cells drawn one by one has a rule per cell; joined they show the table's extent.
    let rules = joined(rules);
    let mut stacks: Vec<Vec<Rule>> = Vec::new();
    for rule in rules {
        let fitting = stacks.iter_mut().rev().take(64).find(|stack| {
            let last = stack[stack.len() - 1];
            (last.x0 - rule.x0).abs() < SAME_PLACE
                && (last.x1 - rule.x1).abs() < SAME_PLACE
                && rule.y - last.y < MAX_ROW_HEIGHT
        });
        match fitting {
            Some(stack) if rule.y - stack[stack.len() - 1].y < 2.5 => {}
            Some(stack) => stack.push(rule),
            None => stacks.push(vec![rule]),
        }
    }
    stacks
}

/// Joins rules at one height that touch each other; the result ascends by `y`.
fn joined(rules: &[Rule]) -> Vec<Rule> {
    let mut sorted = rules.to_vec();
    sorted.sort_by(|a, b| {
        (a.y.round(), a.x0).partial_cmp(&(b.y.round(), b.x0)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut joined: Vec<Rule> = Vec::with_capacity(sorted.len());
    for rule in sorted {
        match joined.last_mut() {
            Some(last) if (last.y - rule.y).abs() < 1.5 && rule.x0 - last.x1 < SAME_PLACE => {
                last.x1 = last.x1.max(rule.x1);
            }
            _ => joined.push(rule),
        }
    }
    joined
}

fn rows(words: &[Word], stack: &[Rule], uprights: &[Upright]) -> Option<Vec<Row>> {
    let all = lines(words.to_vec());
    let starts = drawn_columns(stack, uprights).or_else(|| column_starts(&all))?;
    let n_chars: usize = words.iter().map(|word| word.text.chars().count()).sum();
    if starts.len() == 2 && all.len() >= 8 && n_chars / (2 * all.len()) >= PROSE_CHARS {
        return None;
    }
    let bands: Vec<Vec<Line>> = stack
        .windows(2)
        .map(|pair| {
            let between = |line: &&Line| {
                let middle = line.y - 0.25 * line.size;
                middle > pair[0].y && middle <= pair[1].y
            };
            all.iter().filter(between).cloned().collect()
        })
        .filter(|band: &Vec<Line>| !band.is_empty())
        .collect();
    // Three rules (frame and header) bound many rows at once; a grid bounds each.
    let n_wide = bands.iter().filter(|band| n_full_lines(band, &starts) >= 3).count();
    let is_grid = n_wide == 0 || bands.len() >= 4 && n_wide * 3 < bands.len();
    let by_band = || bands.iter().map(|band| row(band, &starts)).collect::<Vec<Row>>();
    let by_line = |joins: bool| {
        let mut rows: Vec<Row> = Vec::new();
        for band in &bands {
            for line in band {
                let cells = row(std::slice::from_ref(line), &starts);
                match rows.last_mut() {
                    Some(above) if joins && cells[0].is_empty() && line.y > band[0].y => {
                        append(above, cells);
                    }
                    _ => rows.push(cells),
                }
            }
        }
        rows
    };
    let mut rows = if is_grid { by_band() } else { by_line(true) };
    let mut best = agreement(&rows);
    if best < 1.0 {
        for other in [by_band(), by_line(true), by_line(false)] {
            let agrees = agreement(&other);
            if agrees > best + BETTER_AGREEMENT {
                (rows, best) = (other, agrees);
            }
        }
    }
    rows.retain(|cells: &Row| cells.iter().any(|cell| !cell.is_empty()));
    (rows.len() >= 2 && (best >= MIN_AGREEMENT || is_regular(&rows))).then_some(rows)
}

/// Returns how far the rows read as they were drawn: the share of the lines of their cells that follow what was drawn
/// before them.
fn agreement(rows: &[Row]) -> f64 {
    let lines: Vec<&Line> = rows.iter().flatten().flatten().collect();
    let mut drawn: Vec<usize> = words_of(rows).map(|word| word.order).collect();
    drawn.sort_unstable();
    let follows = |a: &Line, b: &Line| {
        let (last, first) = (
            a.words.iter().map(|word| word.order).max(),
            b.words.iter().map(|word| word.order).min(),
        );
        let at = last.and_then(|last| drawn.binary_search(&last).ok());
        at.and_then(|at| drawn.get(at + 1).copied()) == first
    };
    let n_follow = lines.windows(2).filter(|pair| follows(pair[0], pair[1])).count();
    if lines.len() < 2 { 1.0 } else { n_follow as f64 / (lines.len() - 1) as f64 }
}

fn words_of(rows: &[Row]) -> impl Iterator<Item = &Word> {
    rows.iter().flatten().flatten().flat_map(|line| &line.words)
}

/// Returns whether most places of a table are filled, and not with texts.
fn is_regular(rows: &[Row]) -> bool {
    let n_cells = rows.iter().map(Vec::len).sum::<usize>();
    let filled: Vec<&Cell> = rows.iter().flatten().filter(|cell| !cell.is_empty()).collect();
    let n_words = words_of(rows).count();
    rows.len() >= 3
        && filled.len() as f64 >= MIN_FILLED * n_cells as f64
        && n_words <= MAX_CELL_WORDS * filled.len()
}

/// Returns when the first word of a table was drawn.
fn first_drawn(rows: &[Row]) -> usize {
    words_of(rows).map(|word| word.order).min().unwrap_or_default()
}

/// Returns the texts of the cells.
fn texts(rows: &[Row], gap: f64) -> Vec<Vec<Placed>> {
    let text = |cell: &Cell| {
        let lines: Vec<Placed> = cell.iter().map(|line| text_of(&line.words, gap)).collect();
        super::flow::join_lines(&lines)
    };
    rows.iter().map(|cells| cells.iter().map(text).collect()).collect()
}

/// Counts lines of a band that are a row each: text in most columns, the first among them, or numbers.
fn n_full_lines(band: &[Line], starts: &[f64]) -> usize {
    let is_full = |line: &&Line| {
        let mut seen = vec![false; starts.len()];
        let mut n_digits = 0;
        let mut n_chars = 0;
        for word in &line.words {
            seen[column(word, starts)] = true;
            n_digits += word.text.chars().filter(char::is_ascii_digit).count();
            n_chars += word.text.chars().count();
        }
        // Lines of numbers are rows, even where the first column names a group of them.
        let is_row = seen[0] || n_digits * 2 > n_chars;
        is_row && seen.iter().filter(|&&seen| seen).count() * 2 > starts.len().max(3)
    };
    band.iter().filter(is_full).count()
}

/// Returns the left end of each column where upright rules part them over most of the table's height.
fn drawn_columns(stack: &[Rule], uprights: &[Upright]) -> Option<Vec<f64>> {
    let (first, last) = (stack.first()?, stack.last()?);
    let mut covered: Vec<(f64, f64)> = Vec::new();
    let mut sorted = uprights.to_vec();
    sorted.sort_by(|a, b| a.x.total_cmp(&b.x));
    for upright in sorted {
        let length = upright.bottom.min(last.y) - upright.top.max(first.y);
        if length <= 0.0 || upright.x > last.x1 - SAME_PLACE {
            continue;
        }
        match covered.last_mut() {
            Some((x, sum)) if upright.x - *x < SAME_PLACE => *sum += length,
            _ => covered.push((upright.x, length)),
        }
    }
    covered.retain(|(x, sum)| *sum >= 0.6 * (last.y - first.y) && *x > first.x0 + SAME_PLACE);
    if covered.is_empty() {
        return None;
    }
    Some(std::iter::once(first.x0).chain(covered.into_iter().map(|(x, _)| x)).collect())
}

/// Returns the left end of each column: places after a blank that hardly any line crosses.
///
/// Lines of few pieces have no say: headers over several columns and captions cross what the rows leave blank.
fn column_starts(lines: &[Line]) -> Option<Vec<f64>> {
    let n_pieces: Vec<usize> = lines.iter().map(|line| line.cells(MIN_COLUMN_GAP).len()).collect();
    let mut sorted = n_pieces.clone();
    sorted.sort_unstable();
    let usual_most = sorted.get(sorted.len() * 3 / 4).copied().unwrap_or_default();
    let has_say = |(line, n): (&Line, &usize)| (n * 2 > usual_most).then(|| line.clone());
    let rows: Vec<Line> = lines.iter().zip(&n_pieces).filter_map(has_say).collect();
    let lines = if rows.len() < 2 { lines } else { &rows };
    let words = || lines.iter().flat_map(|line| &line.words);
    let x0 = lines.iter().map(Line::x0).fold(f64::MAX, f64::min);
    let x1 = lines.iter().map(Line::x1).fold(f64::MIN, f64::max);
    if lines.is_empty() || x1 - x0 > MAX_WIDTH {
        return None;
    }
    let mut cover = vec![0_usize; (x1 - x0) as usize + 2];
    for word in words() {
        let (from, to) = ((word.x0 - x0) as usize, (word.x1 - x0) as usize);
        for place in &mut cover[from..=to.max(from)] {
            *place += 1;
        }
    }
    // One merged cell in a long table must not hide its columns.
    let allowed = lines.len() / 10;
    let mean_size = words().map(|word| word.size).sum::<f64>() / words().count() as f64;
    // What many rows leave blank, however narrow, is no accident.
    let least = if lines.len() < MANY_ROWS { MIN_COLUMN_GAP } else { MIN_COLUMN_GAP_OF_MANY };
    let mut starts = vec![x0];
    let mut blank = 0.0;
    // Few rows that stick out to the left, such as totals, make no column.
    let mut is_begun = false;
    for (place, &n) in cover.iter().enumerate() {
        if n <= allowed {
            blank += 1.0;
            continue;
        }
        if is_begun && blank >= least * mean_size {
            starts.push(x0 + place as f64);
        }
        (is_begun, blank) = (true, 0.0);
    }
    (starts.len() >= 2).then_some(starts)
}

fn column(word: &Word, starts: &[f64]) -> usize {
    let at = word.x0 + 1.5;
    starts.iter().rposition(|&start| start <= at).unwrap_or(0)
}

/// Returns the cells of a row's lines. Words without numbers that only blanks part stay together, in the column where
/// they begin: they may be a header over several.
fn row(row: &[Line], starts: &[f64]) -> Row {
    let mut cells: Vec<Vec<Word>> = vec![Vec::new(); starts.len()];
    for piece in row.iter().flat_map(|line| line.cells(WORD_GAP)) {
        let first = column(&piece[0], starts);
        let has_digit = |word: &Word| word.text.contains(|c: char| c.is_ascii_digit());
        let is_text = !piece.iter().any(|word| column(word, starts) > first && has_digit(word));
        for word in piece {
            cells[if is_text { first } else { column(word, starts) }].push(word.clone());
        }
    }
    cells.into_iter().map(lines).collect()
}

fn append(row: &mut [Cell], continued: Row) {
    for (cell, mut more) in row.iter_mut().zip(continued) {
        cell.append(&mut more);
    }
}

/// Divides lines without rules into running text and tables.
pub(crate) fn unruled(lines: &[Line], gap: f64, blocks: &mut Vec<Block>) {
    let mut text: Vec<Line> = Vec::new();
    let mut rest = lines;
    while let Some(line) = rest.first() {
        let (n_rows, n_lines) = table_at_start(rest);
        if n_rows < 2 {
            text.push(line.clone());
            rest = &rest[1..];
            continue;
        }
        if !text.is_empty() {
            blocks.push(Block::Lines(std::mem::take(&mut text)));
        }
        match (prose_columns(&rest[..n_lines]), table_of(&rest[..n_lines], gap)) {
            (Some(columns), _) => blocks.extend(columns.into_iter().map(Block::Lines)),
            (None, Some(table)) => blocks.push(Block::Table(table)),
            (None, None) => blocks.push(Block::Lines(rest[..n_lines].to_vec())),
        }
        rest = &rest[n_lines..];
    }
    if !text.is_empty() {
        blocks.push(Block::Lines(text));
    }
}

/// Returns the columns of what looks like a table and is running text side by side: every column is full of
/// long lines.
fn prose_columns(rows: &[Line]) -> Option<Vec<Vec<Line>>> {
    if rows.len() < MIN_PROSE_LINES {
        return None;
    }
    let words: Vec<Word> = rows.iter().flat_map(|line| line.words.clone()).collect();
    let starts = column_starts(rows)?;
    let mut columns: Vec<Vec<Word>> = vec![Vec::new(); starts.len()];
    for word in words {
        columns[column(&word, &starts)].push(word);
    }
    let n_chars = |column: &[Word]| -> usize {
        column.iter().map(|word| word.text.chars().count() + 1).sum()
    };
    let is_prose = |column: &Vec<Word>| n_chars(column) >= PROSE_CELL_CHARS * rows.len();
    columns.iter().all(is_prose).then(|| columns.into_iter().map(lines).collect())
}

/// Counts the rows, and the lines they take, of the table that `lines` start with.
fn table_at_start(lines: &[Line]) -> (usize, usize) {
    let (mut n_rows, mut n_lines) = (0, 0_usize);
    let mut row: Option<&Line> = None;
    for line in lines {
        let above = n_lines.checked_sub(1).map(|n| &lines[n]);
        let is_row = n_cells(line) >= 2 && row.is_none_or(|row| is_next_row(row, line));
        if is_row {
            row = Some(line);
            n_rows += 1;
        } else if !row.zip(above).is_some_and(|(row, above)| is_wrapped(row, above, line)) {
            break;
        }
        n_lines += 1;
    }
    (n_rows, n_lines)
}

/// Returns whether `line` continues cells of `row`, the first excepted.
fn is_wrapped(row: &Line, above: &Line, line: &Line) -> bool {
    let cells = row.cells(CELL_GAP);
    let starts_under_cell =
        |word: &Word| cells.iter().skip(1).any(|cell| (cell[0].x0 - word.x0).abs() < SAME_PLACE);
    line.y - above.y < 1.6 * above.size && line.words.first().is_some_and(starts_under_cell)
}

fn table_of(lines: &[Line], gap: f64) -> Option<Table> {
    let x0 = lines.iter().map(Line::x0).fold(f64::MAX, f64::min);
    let x1 = lines.iter().map(Line::x1).fold(f64::MIN, f64::max);
    let by_cells = |line: &Line| -> Row {
        line.cells(CELL_GAP).iter().map(|cell| vec![Line::new(cell.to_vec())]).collect()
    };
    let rows = match column_starts(lines) {
        Some(starts) => {
            let mut rows: Vec<Row> = Vec::new();
            for line in lines {
                let cells = row(std::slice::from_ref(line), &starts);
                match rows.last_mut() {
                    Some(above) if cells[0].is_empty() && n_cells(line) == 1 => {
                        append(above, cells);
                    }
                    _ => rows.push(cells),
                }
            }
            rows
        }
        None => lines.iter().map(by_cells).collect(),
    };
    let (top, bottom) = (lines[0].top(), lines[lines.len() - 1].y);
    let order = first_drawn(&rows);
    let agrees = agreement(&rows) >= MIN_AGREEMENT;
    agrees.then(|| Table { rows: texts(&rows, gap), x0, x1, top, bottom, order })
}

fn n_cells(line: &Line) -> usize {
    let cells = line.cells(CELL_GAP);
    // A bullet or a number before its item is not a cell.
    let is_marker =
        cells.len() == 2 && cells[0].len() == 1 && super::flow::is_list_marker(&cells[0][0].text);
    if is_marker { 1 } else { cells.len() }
}

/// Returns whether `b` can be the next row: close below, and with a cell that starts or ends alike.
fn is_next_row(a: &Line, b: &Line) -> bool {
    let (a_cells, b_cells) = (a.cells(CELL_GAP), b.cells(CELL_GAP));
    let edges = |cells: &[&[Word]]| -> Vec<(f64, f64)> {
        cells.iter().skip(1).filter_map(|cell| Some((cell.first()?.x0, cell.last()?.x1))).collect()
    };
    let aligned = edges(&a_cells).iter().any(|a| {
        edges(&b_cells)
            .iter()
            .any(|b| (a.0 - b.0).abs() < SAME_PLACE || (a.1 - b.1).abs() < SAME_PLACE)
    });
    aligned && b.y - a.y < 3.5 * a.size.max(b.size)
}

#[cfg(test)]
mod tests {
    use super::super::{glyphs::Glyph, lines::words};
    use super::*;

    /// Sets each column's lines at its place, drawn line by line or column by column, and returns what they are taken for: text of `Lines`, or `table`.
    fn taken_for(columns: &[(f64, &[&str])], by_column: bool) -> Vec<String> {
        let n_lines = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default();
        let mut places: Vec<(usize, usize)> =
            (0..n_lines).flat_map(|n| (0..columns.len()).map(move |column| (n, column))).collect();
        if by_column {
            places.sort_by_key(|(n, column)| (*column, *n));
        }
        let mut glyphs = Vec::new();
        for (n, column) in places {
            let (x, lines) = columns[column];
            for (at, c) in lines[n].chars().enumerate() {
                let x0 = x + 5.0 * at as f64;
                let (text, y) = (c.to_string(), 12.0 * n as f64);
                let (x1, size) = (x0 + 5.0, 10.0);
                glyphs.push(Glyph { text, x0, x1, y, size, is_visible: true });
            }
        }
        let found = words(&glyphs);
        let mut blocks = Vec::new();
        unruled(&lines(found.words), found.gap, &mut blocks);
        let texts = blocks.iter().map(|block| match block {
            Block::Table(_) => "table".to_owned(),
            Block::Lines(lines) => {
                let lines = lines.iter().map(|line| text_of(&line.words, found.gap).to_string());
                lines.collect::<Vec<_>>().join("\n")
            }
        });
        texts.collect()
    }

    #[test]
    fn prose_side_by_side_is_no_table() {
        let left = [
            "The service is given by the",
            "national charity for those",
            "who need it, and has been",
            "running for eleven years.",
        ];
        let right = [
            "Our support comes from the",
            "trained workers of a team,",
            "and the largest of them is",
            "the one that takes calls.",
        ];
        let numbers = ["1,204", "7", "19", "22,014"];
        assert_eq!(
            taken_for(&[(0.0, &left), (160.0, &right)], false),
            [left.join("\n"), right.join("\n")]
        );
        assert_eq!(taken_for(&[(0.0, &left), (160.0, &numbers)], false), ["table"]);
        // Drawn apart they are text and the numbers of its margin.
        assert_ne!(taken_for(&[(0.0, &left), (160.0, &numbers)], true), ["table"]);
        assert_eq!(taken_for(&[(0.0, &left[..2]), (160.0, &right[..2])], false), ["table"]);
    }
}
