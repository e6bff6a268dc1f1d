//! The text of a rich text document while it is written: paragraphs, list items, rows, footnotes.
//!
//! Rich text marks the ends of things, so what a stretch of text was is known when it ends: the reader fills
//! [`Page::open`] and then calls what it turned out to be.

use crate::clean::{TextBuilder, characters, collapsed, table_row};

/// The text of the document while it is written.
#[derive(Default)]
pub(super) struct Page {
    pub(super) out: TextBuilder,
    /// The open paragraph.
    pub(super) open: String,
    /// The open cell, and those before it in the row.
    cell: String,
    cells: Vec<String>,
    in_rows: bool,
    /// The open paragraph has a list marker.
    pub(super) is_item: bool,
    was_item: bool,
    was_spaced: bool,
    /// The paragraph around the open footnote.
    around: Vec<String>,
    notes: Vec<String>,
}

impl Page {
    /// Ends the open paragraph, which may be a heading of this rank and have space above and below.
    pub(super) fn paragraph(&mut self, heading: Option<u8>, in_table: bool, space: (bool, bool)) {
        let text = characters(&std::mem::take(&mut self.open));
        if in_table {
            self.cell.push_str(&text);
            self.cell.push(' ');
            return;
        }
        // A row that was never ended.
        if !self.cell.trim().is_empty() || !self.cells.is_empty() {
            self.cells.push(std::mem::take(&mut self.cell));
            self.row();
        }
        if std::mem::take(&mut self.in_rows) {
            self.out.block();
        }
        let is_item = std::mem::take(&mut self.is_item);
        if let Some(level) = heading.filter(|_| !text.trim().is_empty()) {
            self.out.heading(level.clamp(1, 6), &collapsed(&text));
        } else {
            let stands_apart = if is_item { !self.was_item } else { space.0 || self.was_spaced };
            if stands_apart || (self.was_item && !is_item) {
                self.out.block();
            }
            for line in text.split('\n') {
                let line = collapsed(line);
                let bare = ['•', '·', '▪', '◦', '‣'].iter().find_map(|&dot| line.strip_prefix(dot));
                match bare.filter(|_| is_item || bare.is_some_and(|bare| bare.starts_with(' '))) {
                    Some(bare) => self.out.push(&format!("- {}", bare.trim_start())),
                    None => self.out.push(&line),
                }
                self.out.newline();
            }
        }
        (self.was_item, self.was_spaced) = (is_item, space.1);
        self.write_notes();
    }

    /// Ends the open cell.
    pub(super) fn cell(&mut self) {
        let rest = characters(&std::mem::take(&mut self.open));
        self.cell.push_str(&rest);
        self.cells.push(collapsed(&std::mem::take(&mut self.cell)));
        self.is_item = false;
    }

    /// Ends the open row.
    pub(super) fn row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return;
        }
        if !std::mem::replace(&mut self.in_rows, true) {
            self.out.block();
        }
        match cells.as_slice() {
            [only] => self.out.push(&collapsed(only)),
            _ => self.out.push(&table_row(&cells)),
        }
        self.out.line();
        self.write_notes();
    }

    /// Puts the open paragraph aside for a footnote.
    pub(super) fn begin_footnote(&mut self) {
        self.around.push(std::mem::take(&mut self.open));
    }

    /// Goes on with the paragraph around the footnote.
    pub(super) fn end_footnote(&mut self) {
        if let Some(around) = self.around.pop() {
            let note = std::mem::replace(&mut self.open, around);
            self.notes.push(collapsed(&characters(&note)));
        }
    }

    fn write_notes(&mut self) {
        for note in std::mem::take(&mut self.notes) {
            self.out.block();
            self.out.push(&note);
            self.out.block();
        }
    }
}
