//! Cells to tables: rows are gathered, cut into regions, and written in parts.
//!
//! An empty row ends a block of rows, unless a merged cell reaches through it. In a block, an empty column divides two regions when both sides are at least two
//! columns wide; a narrower empty column only keeps labels and values apart. Rows with a single cell that open a
//! region are its caption. The header is said again every [`REPEAT_HEADER`] rows, so that each passage knows its columns.
//!
//! A block that grows beyond [`MAX_PENDING`] is written in pieces that share its header; a part of the document ends at
//! about [`PART`]. So memory does not follow the size of a sheet.

use crate::clean::{TextBuilder, table_row};
use crate::{Emit, Settings, too_much_text};
use std::collections::{BTreeMap, BTreeSet};
use vellum_core::Result;
use vellum_core::document::{Document, Format, Layout, Section, SectionKind, Span};

/// After how many rows the header is written again.
const REPEAT_HEADER: usize = 50;
/// Text of the rows that wait for the end of their block, in bytes.
const MAX_PENDING: usize = 256 << 10;
/// Text after which a part of a sheet ends, in bytes.
const PART: usize = 512 << 10;
/// Longest text that a merged cell repeats, in bytes.
const MAX_REPEATED: usize = 100;
/// Most rows and columns in which a merged cell is repeated.
const MAX_SPREAD: (u32, u32) = (1_000, 64);
/// Most columns of a row; a row with more is data and not a table that anyone reads.
const MAX_COLUMNS: usize = 16_384;

type Cells = BTreeMap<u32, String>;

/// A merged area with the text of its first cell, once that is known.
struct Merge {
    start: (u32, u32),
    end: (u32, u32),
    text: Option<String>,
}

/// The sheets of a workbook on their way into parts of a document.
pub(crate) struct Grid<'e> {
    format: Format,
    title: Option<String>,
    metadata: BTreeMap<String, String>,
    emit: Emit<'e>,
    /// Text that may still be written, in bytes.
    left: usize,
    max_text: Settings,
    number: u32,
    name: String,
    out: TextBuilder,
    /// Length of the heading that opens the part.
    opening: usize,
    merges: Vec<Merge>,
    rows: Vec<(u32, Cells)>,
    row: (u32, Cells),
    /// The last row into which a merged cell of these rows reaches.
    reach: u32,
    pending: usize,
    /// The header rows of the block that goes on, when it was written in pieces.
    header: Option<Vec<(u32, Cells)>>,
}

impl<'e> Grid<'e> {
    pub(crate) fn new(
        format: Format,
        title: Option<String>,
        metadata: BTreeMap<String, String>,
        settings: &Settings,
        emit: Emit<'e>,
    ) -> Self {
        Self {
            format,
            title,
            metadata,
            emit,
            left: settings.max_text_bytes,
            max_text: settings.clone(),
            number: 0,
            name: String::new(),
            out: TextBuilder::default(),
            opening: 0,
            merges: Vec::new(),
            rows: Vec::new(),
            row: (0, Cells::new()),
            reach: 0,
            pending: 0,
            header: None,
        }
    }

    /// Starts the sheet `name`, the `number`th.
    pub(crate) fn open(&mut self, number: u32, name: &str) {
        self.number = number;
        self.name = crate::clean::collapsed(&crate::clean::characters(name));
        self.merges.clear();
        self.reach = 0;
        self.header = None;
        self.open_part();
    }

    /// Makes the cells from `start` to `end` one, as `(row, column)`; known before its first row ends.
    pub(crate) fn merge(&mut self, start: (u32, u32), end: (u32, u32)) {
        if end.0 >= start.0 && end.1 >= start.1 {
            self.merges.push(Merge { start, end, text: None });
        }
    }

    /// Takes a cell; cells come row by row. `text` is on one line.
    ///
    /// # Errors
    /// `Rejected` when the file holds too much text; those of the receiver.
    pub(crate) fn cell(&mut self, row: u32, column: u32, text: String) -> Result<()> {
        if row != self.row.0 {
            self.end_row()?;
            self.row.0 = row;
        }
        if !text.is_empty() && self.row.1.len() < MAX_COLUMNS {
            self.pending += text.len() + 3;
            self.row.1.insert(column, text);
        }
        Ok(())
    }

    /// Ends the sheet.
    ///
    /// # Errors
    /// As [`Self::cell`].
    pub(crate) fn close(&mut self) -> Result<()> {
        self.end_row()?;
        self.write_block()?;
        self.end_part()
    }

    fn end_row(&mut self) -> Result<()> {
        let (row, mut cells) = std::mem::take(&mut self.row);
        if cells.is_empty() {
            return Ok(());
        }
        let last = self.rows.last().map_or(row, |(last, _)| (*last).max(self.reach));
        self.spread(row, &mut cells);
        if last.saturating_add(1) < row {
            self.write_block()?;
        }
        self.rows.push((row, cells));
        if self.pending > MAX_PENDING {
            self.write_piece()?;
        }
        Ok(())
    }

    /// Writes the texts of merged cells into the places they cover in `row`.
    fn spread(&mut self, row: u32, cells: &mut Cells) {
        if self.merges.is_empty() {
            return;
        }
        let n_own = cells.len();
        let mut covered = Vec::new();
        for merge in &mut self.merges {
            let (first, last) = (merge.start, merge.end);
            if row < first.0 || row > last.0 {
                continue;
            }
            if row == first.0 {
                merge.text = cells.get(&first.1).filter(|t| t.len() <= MAX_REPEATED).cloned();
            }
            let Some(text) = &merge.text else { continue };
            // A cell over the whole row is a caption; it says its text once.
            let is_caption = n_own == 1 && cells.contains_key(&first.1) && first.0 == row;
            if is_caption || row - first.0 > MAX_SPREAD.0 {
                continue;
            }
            self.reach = self.reach.max(last.0.min(first.0.saturating_add(MAX_SPREAD.0)));
            let columns = first.1..=last.1.min(first.1.saturating_add(MAX_SPREAD.1));
            covered.extend(columns.map(|column| (column, text.clone())));
        }
        for (column, text) in covered {
            cells.entry(column).or_insert(text);
        }
        self.merges.retain(|merge| merge.end.0 > row);
    }

    /// Writes what waits and ends the block.
    fn write_block(&mut self) -> Result<()> {
        self.write_piece()?;
        self.header = None;
        Ok(())
    }

    /// Writes what waits; the block may go on.
    fn write_piece(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.pending = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let header = self.header.take();
        let first = rows.iter().take(2).cloned().collect();
        for columns in regions(header.iter().flatten().chain(&rows)) {
            self.write_region(&columns, &rows, header.as_deref())?;
        }
        self.header = header.or(Some(first));
        Ok(())
    }

    /// Writes the table that stands in `columns` of `rows`.
    fn write_region(
        &mut self,
        columns: &[u32],
        rows: &[(u32, Cells)],
        header: Option<&[(u32, Cells)]>,
    ) -> Result<()> {
        let line = |cells: &Cells| -> Vec<String> {
            columns.iter().map(|column| cells.get(column).cloned().unwrap_or_default()).collect()
        };
        let is_filled = |line: &Vec<String>| line.iter().any(|cell| !cell.is_empty());
        let mut rest = rows.iter().map(|(_, cells)| line(cells)).filter(is_filled).peekable();
        self.out.block();
        while let Some(first) = rest.next_if(|line| {
            columns.len() == 1 || line.iter().filter(|cell| !cell.is_empty()).count() == 1
        }) {
            self.out.push(&first.concat());
            self.out.line();
            self.end_full_part()?;
        }
        self.out.block();
        let lines: Vec<Vec<String>> = rest.collect();
        let repeated: Vec<Vec<String>> = match header {
            Some(rows) => headers(&rows.iter().map(|(_, cells)| line(cells)).collect::<Vec<_>>()),
            None => headers(&lines),
        };
        for (n, line) in lines.iter().enumerate() {
            let is_new_part = self.out.len() == self.opening;
            let is_due = n % REPEAT_HEADER == 0 && (n > 0 || header.is_some());
            if is_due || (is_new_part && n > 0) {
                for header in &repeated {
                    self.out.push(&table_row(header));
                    self.out.line();
                }
            }
            self.out.push(&table_row(line));
            self.out.line();
            self.end_full_part()?;
        }
        Ok(())
    }

    fn open_part(&mut self) {
        self.out = TextBuilder::default();
        self.out.heading(1, &self.name);
        self.opening = self.out.len();
    }

    fn end_full_part(&mut self) -> Result<()> {
        if self.out.len() > PART {
            self.end_part()?;
            self.open_part();
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        if self.out.len() <= self.opening {
            return Ok(());
        }
        let (text, mut sections) = std::mem::take(&mut self.out).finish();
        self.opening = 0;
        self.left =
            self.left.checked_sub(text.len()).ok_or_else(|| too_much_text(&self.max_text))?;
        let span = Span { start: 0, end: text.len() };
        sections.insert(0, Section { kind: SectionKind::Page(self.number), span });
        let (title, metadata) = (self.title.clone(), self.metadata.clone());
        (self.emit)(Document {
            format: self.format,
            title,
            text,
            sections,
            metadata,
            layout: Layout::default(),
        })
    }
}

/// Returns the columns of each region of `rows`, from left to right.
fn regions<'a>(rows: impl Iterator<Item = &'a (u32, Cells)>) -> Vec<Vec<u32>> {
    let used: BTreeSet<u32> = rows.flat_map(|(_, cells)| cells.keys().copied()).collect();
    let mut runs: Vec<Vec<u32>> = Vec::new();
    for column in used {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last + 1 == column) => run.push(column),
            _ => runs.push(vec![column]),
        }
    }
    let mut regions: Vec<Vec<u32>> = Vec::new();
    for run in runs {
        match regions.last_mut() {
            Some(region) if region.len() < 2 || run.len() < 2 => region.extend(run),
            _ => regions.push(run),
        }
    }
    regions
}

/// Returns the rows of a table's header: the first, and the second when the first only groups it.
fn headers(lines: &[Vec<String>]) -> Vec<Vec<String>> {
    let is_number = |cell: &String| {
        cell.chars().any(|c| c.is_ascii_digit()) && !cell.contains(char::is_alphabetic)
    };
    let n_numbers = |line: &Vec<String>| line.iter().filter(|cell| is_number(cell)).count();
    let n_filled = |line: &Vec<String>| line.iter().filter(|cell| !cell.is_empty()).count();
    let Some(first) = lines.first() else { return Vec::new() };
    if n_numbers(first) * 2 > n_filled(first) {
        return Vec::new();
    }
    let groups = first.windows(2).any(|pair| pair[0] == pair[1] || pair[1].is_empty());
    let second = lines.get(1).filter(|second| {
        groups
            && n_numbers(second) == 0
            && n_filled(second) >= n_filled(first)
            && lines.get(2).is_some_and(|third| n_numbers(third) > 0)
    });
    std::iter::once(first).chain(second).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &[(u32, u32, &str)], merges: &[[(u32, u32); 2]]) -> Vec<String> {
        let mut parts = Vec::new();
        let mut emit = |part: Document| {
            assert_eq!(part.pages().next(), Some((1, Span { start: 0, end: part.text.len() })));
            parts.push(part.text);
            Ok(())
        };
        let settings = Settings::default();
        let mut grid = Grid::new(Format::Xlsx, None, BTreeMap::new(), &settings, &mut emit);
        grid.open(1, "S");
        for [start, end] in merges {
            grid.merge(*start, *end);
        }
        for (row, column, text) in cells {
            grid.cell(*row, *column, (*text).to_owned()).unwrap();
        }
        grid.close().unwrap();
        parts
    }

    #[test]
    fn regions_are_tables() {
        let cells = [
            (0, 0, "Report"),
            (1, 0, "a"),
            (1, 1, "b"),
            (1, 3, "x"),
            (1, 4, "y"),
            (2, 0, "1"),
            (2, 1, "2"),
            (4, 0, "Total"),
            (4, 2, "3"),
        ];
        let expect = "S\n\nReport\n\n| a | b |\n| 1 | 2 |\n\n| x | y |\n\n| Total | 3 |";
        assert_eq!(texts(&cells, &[]), [expect]);
    }

    #[test]
    fn merged_cells_say_their_text_in_every_place() {
        let cells = [
            (0, 0, "Title"),
            (1, 1, "2023"),
            (1, 3, "2024"),
            (2, 0, "North"),
            (2, 1, "1"),
            (2, 2, "2"),
            (2, 3, "3"),
            (2, 4, "4"),
            (3, 1, "5"),
        ];
        let merges = [[(0, 0), (0, 4)], [(1, 1), (1, 2)], [(1, 3), (1, 4)], [(2, 0), (3, 0)]];
        let expect = "S\n\nTitle\n\n|  | 2023 | 2023 | 2024 | 2024 |\n| North | 1 | 2 | 3 | 4 |\n\
                      | North | 5 |  |  |  |";
        assert_eq!(texts(&cells, &merges), [expect]);
    }

    #[test]
    fn a_row_that_only_merged_cells_reach_is_no_gap() {
        let cells = [
            (0, 0, "Part"),
            (0, 1, "Price"),
            (2, 0, "Bolt"),
            (2, 1, "7"),
            (4, 0, "x"),
            (4, 1, "y"),
        ];
        let merges = [[(0, 0), (1, 0)], [(0, 1), (1, 1)]];
        let expect = "S\n\n| Part | Price |\n| Bolt | 7 |\n\n| x | y |";
        assert_eq!(texts(&cells, &merges), [expect]);
    }

    #[test]
    fn long_tables_repeat_their_header_and_come_in_parts() {
        let long = "x".repeat(200);
        let mut cells = vec![(0, 0, "Name"), (0, 1, "Value")];
        cells.extend((1..6_000).flat_map(|row| [(row, 0, &*long), (row, 1, "7")]));
        let parts = texts(&cells, &[]);
        assert!(parts.len() >= 3, "{}", parts.len());
        let all = parts.join("\n");
        assert_eq!(all.matches("| 7 |").count(), 5_999);
        for part in &parts {
            assert!(part.len() < 1 << 20 && part.starts_with("S\n\n| Name | Value |\n"));
            let gap =
                part.split("| Name | Value |").map(|rows| rows.matches("| 7 |").count()).max();
            assert!(gap <= Some(REPEAT_HEADER), "{gap:?}");
        }
    }
}
