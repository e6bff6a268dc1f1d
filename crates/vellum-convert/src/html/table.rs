//! The table that is being read: cells to rows, merged cells to every place that they cover.

use crate::clean::collapsed;

/// Longest text that a merged cell repeats, in bytes.
const MAX_REPEATED: usize = 100;
/// Most columns that one cell may cover, and most columns in which cells reach down; more is an attack.
const MAX_SPAN: usize = 64;

/// A table whose rows are handed out one by one.
pub(super) struct Table {
    /// Cells are blocks, not columns.
    pub(super) is_layout: bool,
    /// The text of the cell that is being read.
    pub(super) cell: Option<String>,
    /// Columns and rows that this cell covers.
    spans: (usize, usize),
    cells: Vec<Cell>,
    /// By column, what cells above reach down: the text and the rows that are left.
    hanging: Vec<(String, usize)>,
}

struct Cell {
    text: String,
    n_columns: usize,
    n_rows: usize,
}

impl Table {
    pub(super) fn new(is_layout: bool) -> Self {
        Self { is_layout, cell: None, spans: (1, 1), cells: Vec::new(), hanging: Vec::new() }
    }

    /// Opens a cell; the spans are those of its attributes.
    pub(super) fn open_cell(&mut self, n_columns: Option<usize>, n_rows: Option<usize>) {
        self.cell = Some(String::new());
        // Zero rows are all that follow (HTML 4.9.11).
        let n_rows = n_rows.map_or(1, |n| if n == 0 { usize::MAX } else { n });
        self.spans = (n_columns.unwrap_or(1).clamp(1, MAX_SPAN), n_rows);
    }

    pub(super) fn close_cell(&mut self) {
        let Some(text) = self.cell.take() else { return };
        let (n_columns, n_rows) = std::mem::replace(&mut self.spans, (1, 1));
        self.cells.push(Cell { text: collapsed(&text), n_columns, n_rows });
    }

    /// Returns what the open row holds so far; from now on cells are blocks.
    pub(super) fn become_layout(&mut self) -> Vec<String> {
        self.is_layout = true;
        let cells = std::mem::take(&mut self.cells).into_iter().map(|cell| cell.text);
        cells.chain(self.cell.take()).collect()
    }

    /// Ends the row and returns its cells with those that reach into it; repeated texts count against `repeats_left`.
    pub(super) fn take_row(&mut self, repeats_left: &mut usize) -> Vec<String> {
        let own = std::mem::take(&mut self.cells);
        if own.is_empty() {
            return Vec::new();
        }
        let is_alone = own.len() == 1 && self.hanging.iter().all(|(_, left)| *left == 0);
        let mut repeated = |text: &str| {
            let fits = text.len() <= MAX_REPEATED && text.len() <= *repeats_left && !is_alone;
            if !fits {
                return String::new();
            }
            *repeats_left -= text.len();
            text.to_owned()
        };
        let mut row: Vec<String> = Vec::with_capacity(own.len());
        for Cell { text, n_columns, n_rows } in own {
            while let Some(text) = self.take_above(row.len()) {
                row.push(repeated(&text));
            }
            // A row of one cell is a line of text, however wide.
            let n_columns = if is_alone { 1 } else { n_columns };
            for n in 0..n_columns {
                if n_rows > 1 && row.len() < MAX_SPAN {
                    self.hang(row.len(), &text, n_rows - 1);
                }
                row.push(if n == 0 { text.clone() } else { repeated(&text) });
            }
        }
        while let Some(text) = self.take_above(row.len()) {
            row.push(repeated(&text));
        }
        row
    }

    /// Takes one row from the cell that reaches down into `column`.
    fn take_above(&mut self, column: usize) -> Option<String> {
        let (text, left) = self.hanging.get_mut(column).filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(text.clone())
    }

    fn hang(&mut self, column: usize, text: &str, n_rows: usize) {
        if self.hanging.len() <= column {
            self.hanging.resize(column + 1, (String::new(), 0));
        }
        self.hanging[column] = (text.to_owned(), n_rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[(&str, usize, usize)]], mut repeats: usize) -> Vec<String> {
        let mut table = Table::new(false);
        let mut row = |cells: &&[(&str, usize, usize)]| {
            for (text, columns, rows) in *cells {
                table.open_cell(Some(*columns), Some(*rows));
                table.cell = Some((*text).to_owned());
                table.close_cell();
            }
            table.take_row(&mut repeats).join("|")
        };
        rows.iter().map(&mut row).collect()
    }

    #[test]
    fn merged_cells_stand_wherever_they_cover() {
        let table: &[&[(&str, usize, usize)]] = &[
            &[("Region", 1, 2), ("Sales", 2, 1)],
            &[("2024", 1, 1), ("2025", 1, 1)],
            &[("North", 1, 0), ("1", 1, 1), ("2", 1, 1)],
            &[("3", 1, 1), ("4", 1, 1)],
        ];
        let whole = ["Region|Sales|Sales", "Region|2024|2025", "North|1|2", "North|3|4"];
        assert_eq!(rows(table, 1000), whole);
        assert_eq!(rows(table, 5)[..2], ["Region|Sales|Sales", "|2024|2025"]);
    }

    #[test]
    fn a_row_of_one_cell_is_a_line() {
        assert_eq!(rows(&[&[("Total of all regions", 5, 1)]], 1000), ["Total of all regions"]);
    }
}
