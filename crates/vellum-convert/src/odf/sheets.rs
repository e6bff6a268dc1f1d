//! Sheets of an OpenDocument spreadsheet, cell by cell into the grid.
//!
//! Cells bring their text as it was shown, so numbers need no format here; dates are taken from their value. Repeated empty
//! cells and rows only move on; repeated filled ones are written a limited number of times.

use super::{content, properties};
use crate::clean::{characters, collapsed};
use crate::package::Package;
use crate::sheet::{day, grid::Grid};
use crate::xml::{Element, Token, Xml};
use crate::{Emit, Settings};
use vellum_core::Result;
use vellum_core::document::Format;

/// Most times that a filled cell or row is repeated.
const MAX_REPEATED: u32 = 1_000;
/// Rows and columns of a sheet at most.
const MAX_PLACE: u32 = 1 << 24;

/// A cell that is being read.
#[derive(Default)]
struct Cell {
    text: String,
    n_paragraphs: usize,
    value: Option<String>,
    repeated: u32,
    span: (u32, u32),
}

/// Hands the sheets of `package` on.
///
/// # Errors
/// `Rejected` when it is damaged, encrypted or holds too much text.
pub(crate) fn sheets(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let source = content(&mut package)?;
    let mut metadata = properties(&mut package)?;
    drop(package);
    let title = metadata.remove("title");
    let mut grid = Grid::new(Format::Ods, title, metadata, settings, emit);
    let mut xml = Xml::new(&source);
    let (mut number, mut depth) = (0, 0);
    let (mut row, mut column, mut n_rows) = (0u32, 0u32, 1u32);
    let mut cells: Vec<(u32, String)> = Vec::new();
    let mut cell: Option<Cell> = None;
    let mut in_paragraph = false;
    while let Some(token) = xml.next()? {
        match token {
            Token::Start(element) => match element.name() {
                "annotation" | "tracked-changes" | "shapes" | "automatic-styles" | "forms"
                | "frame" | "custom-shape" => xml.skip()?,
                "table" => {
                    depth += 1;
                    if depth == 1 {
                        number += 1;
                        row = 0;
                        grid.open(number, &element.attr("name").unwrap_or_default());
                    }
                }
                "table-row" => {
                    column = 0;
                    cells.clear();
                    n_rows = repeated(&element, "number-rows-repeated");
                }
                "table-cell" => cell = Some(open_cell(&element)),
                "covered-table-cell" => {
                    column = column.saturating_add(repeated(&element, "number-columns-repeated"));
                    xml.skip()?;
                }
                "p" => {
                    in_paragraph = true;
                    if let Some(cell) = &mut cell {
                        if cell.n_paragraphs > 0 {
                            cell.text.push(' ');
                        }
                        cell.n_paragraphs += 1;
                    }
                }
                "s" | "tab" | "line-break" => {
                    if let Some(cell) = &mut cell {
                        cell.text.push(' ');
                    }
                }
                _ => {}
            },
            Token::Text(text) => {
                if let (true, Some(cell)) = (in_paragraph, &mut cell) {
                    cell.text.push_str(&text);
                }
            }
            Token::End(end) => match end.name() {
                "p" => in_paragraph = false,
                "table-cell" => {
                    let Some(cell) = cell.take() else { continue };
                    let text = cell.value.unwrap_or_else(|| collapsed(&characters(&cell.text)));
                    if !text.is_empty() {
                        let end = (
                            row.saturating_add(cell.span.0 - 1),
                            column.saturating_add(cell.span.1 - 1),
                        );
                        if cell.span != (1, 1) {
                            grid.merge((row, column), end);
                        }
                        let n = cell.repeated.min(MAX_REPEATED);
                        cells.extend((0..n).map(|n| (column.saturating_add(n), text.clone())));
                    }
                    column = column.saturating_add(cell.repeated).min(MAX_PLACE);
                }
                "table-row" => {
                    let n = if cells.is_empty() { 0 } else { n_rows.min(MAX_REPEATED) };
                    for at in 0..n {
                        for (column, text) in &cells {
                            grid.cell(row.saturating_add(at), *column, text.clone())?;
                        }
                    }
                    row = row.saturating_add(n_rows).min(MAX_PLACE);
                    cells.clear();
                }
                "table" => {
                    if depth == 1 {
                        grid.close()?;
                    }
                    depth = usize::saturating_sub(depth, 1);
                }
                _ => {}
            },
        }
    }
    Ok(())
}

fn repeated(element: &Element<'_>, name: &str) -> u32 {
    element.number(name).unwrap_or(1).clamp(1, MAX_PLACE)
}

fn open_cell(element: &Element<'_>) -> Cell {
    let span = |name| element.number(name).unwrap_or(1).clamp(1, MAX_PLACE);
    let value = match element.attr("value-type").as_deref() {
        Some("date") => element.attr("date-value").as_deref().map(day),
        _ => None,
    };
    Cell {
        value,
        repeated: repeated(element, "number-columns-repeated"),
        span: (span("number-rows-spanned"), span("number-columns-spanned")),
        text: String::new(),
        n_paragraphs: 0,
    }
}
