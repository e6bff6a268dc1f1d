//! Blocks of prose as word processors know them, and how they become text.
//!
//! A reader opens and closes tables, cells and asides while it goes through its file; [`Flow`] keeps what is
//! open on the heap and writes each finished block of the body at once. In a cell, blocks become one line. An aside (a
//! text box, a note) is handed back to the reader, which knows where it belongs.
//!
//! A table of one column is a frame: its cells are blocks of their own. Merged cells say their text in every place
//! they cover, so that each row can be read alone; text that is long, or that covers the whole row, stands once.

use crate::clean::{TextBuilder, characters, collapsed, table_row};
use vellum_core::document::Section;

/// Deepest list level that is still indented.
const MAX_INDENT_LEVEL: usize = 8;
/// Longest text that a merged cell repeats, in bytes.
const MAX_REPEATED: usize = 100;
/// Longest address of a link that is written out, in bytes.
const MAX_ADDRESS: usize = 300;
/// Most columns that one cell may cover; more is an attack.
const MAX_SPAN: usize = 64;

/// A finished piece of prose. Texts may hold line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Paragraph(String),
    Heading(u8, String),
    /// A list item: level from 0, what stands before the text, the text. Without a label it continues an item.
    Item(usize, String, String),
    Table(Vec<Vec<String>>),
}

/// One place of a table's grid.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Own(Vec<Block>),
    /// Lies before the first cell of its row.
    Before,
    /// Belongs to the cell above.
    Up,
    /// Belongs to the cell to the left.
    Left,
}

/// What is open around the next block.
enum Frame {
    Table { rows: Vec<Vec<Slot>> },
    Row { slots: Vec<Slot>, kept: bool },
    Cell { blocks: Vec<Block>, span: usize, covered: Option<Slot> },
    Aside { blocks: Vec<Block> },
}

/// Blocks on their way into a text.
#[derive(Default)]
pub(crate) struct Flow {
    out: TextBuilder,
    frames: Vec<Frame>,
    in_list: bool,
    /// Whether the last item of the highest level had a bullet; another list begins where that changes.
    has_bullet: bool,
    /// Notes of what is being read.
    notes: Vec<String>,
    /// Notes of what was written; they do not tear a list.
    due: Vec<String>,
}

impl Flow {
    /// Takes a finished block.
    pub(crate) fn block(&mut self, block: Block) {
        match self.frames.last_mut() {
            Some(Frame::Cell { blocks, .. } | Frame::Aside { blocks }) => blocks.push(block),
            // Text between cells belongs to no place; it must not be lost.
            Some(Frame::Table { rows }) => rows.push(vec![Slot::Own(vec![block])]),
            Some(Frame::Row { slots, .. }) => slots.push(Slot::Own(vec![block])),
            None => {
                let is_item = matches!(block, Block::Item(..));
                if !(is_item && self.in_list) {
                    self.write_notes();
                }
                self.write(&block);
                self.due.append(&mut self.notes);
                if !is_item {
                    self.write_notes();
                }
            }
        }
    }

    /// Takes a note to what is being read; it is written after the paragraph, the list or the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn write_notes(&mut self) {
        for note in std::mem::take(&mut self.due) {
            self.write(&Block::Paragraph(note));
        }
    }

    pub(crate) fn open_table(&mut self) {
        self.frames.push(Frame::Table { rows: Vec::new() });
    }

    pub(crate) fn open_row(&mut self) {
        self.frames.push(Frame::Row { slots: Vec::new(), kept: true });
    }

    /// Leaves the open row out.
    pub(crate) fn drop_row(&mut self) {
        if let Some(Frame::Row { kept, .. }) = self.frames.last_mut() {
            *kept = false;
        }
    }

    /// Leaves `n` places of the open row empty.
    pub(crate) fn skip_places(&mut self, n: usize) {
        if let Some(Frame::Row { slots, .. }) = self.frames.last_mut() {
            slots.extend((0..n.min(MAX_SPAN)).map(|_| Slot::Before));
        }
    }

    /// Lets the next place of the open row belong to the cell above or to the left.
    pub(crate) fn cover_place(&mut self, is_left: bool) {
        if let Some(Frame::Row { slots, .. }) = self.frames.last_mut() {
            slots.push(if is_left { Slot::Left } else { Slot::Up });
        }
    }

    pub(crate) fn open_cell(&mut self) {
        self.frames.push(Frame::Cell { blocks: Vec::new(), span: 1, covered: None });
    }

    /// Lets the open cell cover `n` columns.
    pub(crate) fn cell_span(&mut self, n: usize) {
        if let Some(Frame::Cell { span, .. }) = self.frames.last_mut() {
            *span = n.clamp(1, MAX_SPAN);
        }
    }

    /// Lets the open cell continue the one above.
    pub(crate) fn cell_continues(&mut self) {
        if let Some(Frame::Cell { covered, .. }) = self.frames.last_mut() {
            *covered = Some(Slot::Up);
        }
    }

    /// Lets the open cell continue the one to the left.
    pub(crate) fn cell_continues_left(&mut self) {
        if let Some(Frame::Cell { covered, .. }) = self.frames.last_mut() {
            *covered = Some(Slot::Left);
        }
    }

    pub(crate) fn close_cell(&mut self) {
        let Some(Frame::Cell { blocks, span, covered }) = self.frames.pop() else { return };
        let Some(Frame::Row { slots, .. }) = self.frames.last_mut() else { return };
        let rest = covered.clone().unwrap_or(Slot::Left);
        slots.push(covered.filter(|_| blocks.is_empty()).unwrap_or(Slot::Own(blocks)));
        slots.extend((1..span).map(|_| rest.clone()));
    }

    pub(crate) fn close_row(&mut self) {
        let Some(Frame::Row { slots, kept }) = self.frames.pop() else { return };
        let Some(Frame::Table { rows }) = self.frames.last_mut() else { return };
        if kept {
            rows.push(slots);
        }
    }

    pub(crate) fn close_table(&mut self) {
        let Some(Frame::Table { rows }) = self.frames.pop() else { return };
        for block in table(rows) {
            self.block(block);
        }
    }

    /// Starts to gather blocks that stand elsewhere than where they were met.
    pub(crate) fn open_aside(&mut self) {
        self.frames.push(Frame::Aside { blocks: Vec::new() });
    }

    /// Returns what was gathered since [`Self::open_aside`].
    pub(crate) fn close_aside(&mut self) -> Vec<Block> {
        match self.frames.pop() {
            Some(Frame::Aside { blocks }) => blocks,
            _ => Vec::new(),
        }
    }

    /// Returns whether a table, a cell or an aside is open.
    pub(crate) fn is_nested(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Returns the length of what was written.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Returns a flow that gathers its blocks and writes none, for [`Self::into_blocks`].
    pub(crate) fn gather() -> Self {
        Self { frames: vec![Frame::Aside { blocks: Vec::new() }], ..Self::default() }
    }

    /// Returns the blocks of a flow that gathers.
    pub(crate) fn into_blocks(mut self) -> Vec<Block> {
        self.close(1);
        self.close_aside()
    }

    /// Returns the text and its headings.
    pub(crate) fn finish(mut self) -> (String, Vec<Section>) {
        self.close(0);
        self.due.append(&mut self.notes);
        self.write_notes();
        self.out.finish()
    }

    /// Closes what a damaged file left open, down to `n` frames.
    fn close(&mut self, n: usize) {
        while self.frames.len() > n {
            match self.frames.last() {
                Some(Frame::Table { .. }) => self.close_table(),
                Some(Frame::Row { .. }) => self.close_row(),
                Some(Frame::Cell { .. }) => self.close_cell(),
                Some(Frame::Aside { .. }) | None => {
                    for block in self.close_aside() {
                        self.block(block);
                    }
                }
            }
        }
    }

    fn write(&mut self, block: &Block) {
        match block {
            Block::Heading(level, title) => {
                self.out.heading((*level).clamp(1, 6), &collapsed(&characters(title)));
            }
            Block::Paragraph(text) => self.paragraph(text),
            Block::Item(level, label, text) => self.item(*level, label, text),
            Block::Table(rows) => {
                self.out.block();
                for row in rows {
                    self.out.push(&table_row(row));
                    self.out.line();
                }
                self.out.block();
            }
        }
        self.in_list = matches!(block, Block::Item(..));
    }

    fn paragraph(&mut self, text: &str) {
        self.out.block();
        for line in lines(text) {
            self.out.push(&line);
            self.out.line();
        }
    }

    fn item(&mut self, level: usize, label: &str, text: &str) {
        let has_bullet = label == "-";
        let is_other = level == 0 && !label.is_empty() && has_bullet != self.has_bullet;
        if self.in_list && !is_other {
            self.out.line();
        } else {
            self.out.block();
        }
        if level == 0 && !label.is_empty() {
            self.has_bullet = has_bullet;
        }
        let level = level.min(MAX_INDENT_LEVEL);
        for (n, line) in lines(text).into_iter().enumerate() {
            let is_labelled = n == 0 && !label.is_empty();
            self.out.push(&"  ".repeat(if is_labelled { level } else { level + 1 }));
            if is_labelled {
                self.out.push(label);
                self.out.push(" ");
            }
            self.out.push(&line);
            self.out.line();
        }
    }
}

/// Returns the lines of `text` that hold something, cleaned.
fn lines(text: &str) -> Vec<String> {
    let text = characters(text);
    text.split('\n').map(collapsed).filter(|line| !line.is_empty()).collect()
}

/// Returns `blocks` as one line, as a cell or a note needs it.
pub(crate) fn line(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        let text = match block {
            Block::Paragraph(text) | Block::Heading(_, text) => text.clone(),
            Block::Item(_, label, text) => format!("{label} {text}"),
            Block::Table(rows) => {
                let row = |row: &Vec<String>| {
                    let cells: Vec<&str> =
                        row.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
                    cells.join(", ")
                };
                rows.iter().map(row).collect::<Vec<_>>().join("; ")
            }
        };
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&text);
    }
    collapsed(&characters(&out))
}

/// Returns the address that `shown`, the text of a link, keeps from the reader.
pub(crate) fn unseen_address<'a>(shown: &str, address: &'a str) -> Option<&'a str> {
    let address = address.trim();
    let bare = ["https://", "http://", "mailto:"].iter().find_map(|s| address.strip_prefix(s))?;
    let bare = bare.split('?').next().filter(|_| address.starts_with("mailto:")).unwrap_or(bare);
    let is_shown = shown.contains(bare.trim_end_matches('/'));
    let plain = address.strip_prefix("mailto:").map_or(address, |_| bare);
    (!shown.is_empty() && !is_shown && !bare.is_empty() && plain.len() <= MAX_ADDRESS)
        .then_some(plain)
}

/// Returns what a table is written as: rows, or the blocks of a frame.
fn table(rows: Vec<Vec<Slot>>) -> Vec<Block> {
    let is_frame = rows.iter().all(|row| row.iter().skip(1).all(|slot| matches!(slot, Slot::Left)));
    if is_frame {
        return rows
            .into_iter()
            .flat_map(|row| row.into_iter().next())
            .flat_map(|slot| match slot {
                Slot::Own(blocks) => blocks,
                Slot::Before | Slot::Up | Slot::Left => Vec::new(),
            })
            .collect();
    }
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    // Lines that only divide other rows' cells make columns in which nothing begins.
    let begins = |column: usize| {
        rows.iter()
            .any(|row| matches!(row.get(column), Some(Slot::Own(blocks)) if !blocks.is_empty()))
    };
    let kept: Vec<bool> = (0..width).map(begins).collect();
    let mut written: Vec<Vec<String>> = Vec::with_capacity(rows.len());
    let mut above: Vec<String> = vec![String::new(); width];
    for row in rows {
        // One cell over the whole row is a caption of its columns.
        let mut cells = row.iter().skip_while(|slot| **slot == Slot::Before);
        let is_band = matches!(cells.next(), Some(Slot::Own(_))) && cells.all(|s| *s == Slot::Left);
        let mut texts: Vec<String> = Vec::with_capacity(width);
        for (column, slot) in row.iter().enumerate() {
            let repeated = |text: Option<&String>| {
                text.filter(|text| !is_band && text.len() <= MAX_REPEATED).cloned()
            };
            texts.push(match slot {
                Slot::Own(blocks) => line(blocks),
                Slot::Before => String::new(),
                Slot::Left => repeated(texts.last()).unwrap_or_default(),
                Slot::Up => repeated(above.get(column)).unwrap_or_default(),
            });
        }
        texts.resize(width, String::new());
        above.clone_from(&texts);
        let cells: Vec<String> =
            texts.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(text, _)| text).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            written.push(cells);
        }
    }
    if written.is_empty() { Vec::new() } else { vec![Block::Table(written)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_where_the_text_hides_them() {
        let cases = [
            ("our policy", "https://a.org/p", Some("https://a.org/p")),
            ("https://a.org/p", "https://a.org/p/", None),
            ("a.org/p", "http://a.org/p", None),
            ("Bob", "mailto:bob@a.org?subject=x", Some("bob@a.org")),
            ("bob@a.org", "mailto:bob@a.org", None),
            ("chapter", "#ref", None),
            ("", "https://a.org", None),
        ];
        for (shown, address, expect) in cases {
            assert_eq!(unseen_address(shown, address), expect, "{shown}");
        }
    }

    fn cell(flow: &mut Flow, text: &str, set: impl Fn(&mut Flow)) {
        flow.open_cell();
        set(flow);
        if !text.is_empty() {
            flow.block(Block::Paragraph(text.into()));
        }
        flow.close_cell();
    }

    #[test]
    fn merged_cells_are_repeated_and_nested_tables_flattened() {
        let mut flow = Flow::default();
        flow.open_table();
        flow.open_row();
        cell(&mut flow, "Year", |flow| flow.cell_span(2));
        cell(&mut flow, "Note", |_| {});
        flow.close_row();
        flow.open_row();
        cell(&mut flow, "North", |_| {});
        cell(&mut flow, "1", |_| {});
        flow.open_cell();
        flow.open_table();
        for _ in 0..2 {
            flow.open_row();
            cell(&mut flow, "x", |_| {});
            cell(&mut flow, "y", |_| {});
            flow.close_row();
        }
        flow.close_table();
        flow.close_cell();
        flow.close_row();
        flow.open_row();
        cell(&mut flow, "", Flow::cell_continues);
        cell(&mut flow, "2", |_| {});
        flow.close_row();
        flow.close_table();
        let expect = "| Year | Year | Note |\n| North | 1 | x, y; x, y |\n| North | 2 |  |";
        assert_eq!(flow.finish().0, expect);
    }

    #[test]
    fn a_cell_over_some_columns_is_no_caption() {
        let mut flow = Flow::default();
        flow.open_table();
        flow.open_row();
        cell(&mut flow, "", |_| {});
        cell(&mut flow, "2024", |flow| flow.cell_span(2));
        flow.close_row();
        flow.open_row();
        for text in ["Region", "net", "gross"] {
            cell(&mut flow, text, |_| {});
        }
        flow.close_row();
        flow.open_row();
        flow.skip_places(1);
        cell(&mut flow, "Total", |flow| flow.cell_span(2));
        flow.close_row();
        flow.close_table();
        let expect = "|  | 2024 | 2024 |\n| Region | net | gross |\n|  | Total |  |";
        assert_eq!(flow.finish().0, expect);
    }

    #[test]
    fn a_table_of_one_column_is_a_frame() {
        let mut flow = Flow::default();
        flow.open_table();
        for (n, text) in ["Title", "text"].into_iter().enumerate() {
            flow.open_row();
            flow.open_cell();
            flow.block(match n {
                0 => Block::Heading(1, text.into()),
                _ => Block::Paragraph(text.into()),
            });
            flow.close_cell();
            flow.close_row();
        }
        flow.close_table();
        let (text, sections) = flow.finish();
        assert_eq!((&*text, sections.len()), ("Title\n\ntext", 1));
    }
}
