//! Spreadsheets: every sheet is a page with its name as heading, every filled region a table.
//!
//! Excel files (XLSX, XLSM, XLSB) are read by `calamine`, cell by cell, so that the size of a sheet costs time
//! and not memory; those before 2007 by `office_oxide` (`before_2007`); OpenDocument sheets by our own reader
//! (`crate::odf`), which has the text of each cell as it was shown. `grid` forms tables of the cells, `format` writes
//! numbers as their format shows them.
//!
//! - Kept: hidden sheets, the results of formulas as they were last saved, merged cells (in every row they cover).
//! - Dates are written as ISO dates, whatever their format.
//! - Left out: cell comments, charts, pictures, macros.

mod before_2007;
mod format;
pub(crate) mod grid;

pub(crate) use before_2007::convert_xls;

use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::io::ContentReader;
use crate::ooxml::properties;
use crate::package::Package;
use crate::xml::{Token, Xml};
use crate::{Emit, Settings, odf};
use calamine::{CellErrorType, DataRef, Dimensions, ExcelDateTime, Reader, SheetType, Xlsb, Xlsx};
use grid::Grid;
use std::collections::BTreeMap;
use std::io::BufReader;
use vellum_core::Result;
use vellum_core::document::Format;
use vellum_core::ports::ConvertInput;

/// Most merged areas of a sheet that are filled.
const MAX_MERGES: usize = 20_000;

type Source = BufReader<ContentReader>;

/// Hands the sheets of `input`, a ZIP file, on.
///
/// # Errors
/// `Rejected` when it is damaged, encrypted or holds too much text.
pub(crate) fn convert(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let mut package = Package::open(&input.content, settings)?;
    let is_binary = package.has("xl/workbook.bin");
    if !is_binary && !package.has("xl/workbook.xml") {
        return odf::sheets(package, settings, emit);
    }
    // Read whole by the library, and checked here against what the file may unfold to.
    for part in ["xl/sharedStrings.xml", "xl/sharedStrings.bin", "xl/styles.xml", "xl/styles.bin"] {
        let bytes = package.read(part)?.unwrap_or_default();
        if part.ends_with(".xml") && claims_too_many_strings(&bytes) {
            let reason = "it claims more shared strings than it can hold";
            return Err(rejected(format!("the workbook is damaged: {reason}")));
        }
    }
    let metadata = properties(&mut package)?;
    drop(package);
    let source = BufReader::new(ContentReader::new(&input.content));
    let mut grid = new_grid(Format::Xlsx, metadata, settings, emit);
    if is_binary {
        xlsb(Xlsb::new(source).map_err(damaged)?, &mut grid)
    } else {
        xlsx(Xlsx::new(source).map_err(damaged)?, &mut grid)
    }
}

/// Whether the shared strings in `part` claim a number for which the library would reserve memory that is not there.
fn claims_too_many_strings(part: &[u8]) -> bool {
    /// Numbers that are not looked at: some programs count wrong, and so many strings need little.
    const HARMLESS: u64 = 1 << 22;
    const SHORTEST: &str = "<si/>";
    let opening = String::from_utf8_lossy(&part[..part.len().min(4096)]);
    let mut xml = Xml::new(&opening);
    while let Ok(Some(token)) = xml.next() {
        let Token::Start(element) = token else { continue };
        let claimed = element.attr("uniqueCount").and_then(|count| count.trim().parse().ok());
        let claimed: u64 = claimed.unwrap_or_default();
        return claimed > HARMLESS && claimed > (part.len() / SHORTEST.len()) as u64;
    }
    false
}

fn new_grid<'e>(
    format: Format,
    mut metadata: BTreeMap<String, String>,
    settings: &Settings,
    emit: Emit<'e>,
) -> Grid<'e> {
    let title = metadata.remove("title");
    Grid::new(format, title, metadata, settings, emit)
}

fn xlsx(mut book: Xlsx<Source>, grid: &mut Grid<'_>) -> Result<()> {
    for (n, name, is_filled) in sheets(book.sheets_metadata()) {
        if !is_filled {
            continue;
        }
        grid.open(n, &name);
        // Merged areas stand behind the cells they cover, so they are read first.
        merge(grid, book.merge_cells_by_sheet_name(&name).unwrap_or_default());
        let mut cells = book.worksheet_cells_reader(&name).map_err(damaged)?;
        while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(damaged)? {
            let format = cells.styles().get(style).and_then(|style| style.number_format.as_ref());
            let code = format.map_or("General", |format| &format.format_code);
            let (row, column) = cell.get_position();
            if let Some(text) = text(cell.get_value(), code) {
                grid.cell(row, column, text)?;
            }
        }
        grid.close()?;
    }
    Ok(())
}

fn xlsb(mut book: Xlsb<Source>, grid: &mut Grid<'_>) -> Result<()> {
    for (n, name, is_filled) in sheets(book.sheets_metadata()) {
        if !is_filled {
            continue;
        }
        grid.open(n, &name);
        let mut cells = book.worksheet_cells_reader(&name).map_err(damaged)?;
        while let Some(cell) = cells.next_cell().map_err(damaged)? {
            let (row, column) = cell.get_position();
            if let Some(text) = text(cell.get_value(), "General") {
                grid.cell(row, column, text)?;
            }
        }
        grid.close()?;
    }
    Ok(())
}

/// Returns the number and the name of each sheet, and whether it has cells.
fn sheets(sheets: &[calamine::Sheet]) -> Vec<(u32, String, bool)> {
    let has_cells =
        |sheet: &calamine::Sheet| matches!(sheet.typ, SheetType::WorkSheet | SheetType::MacroSheet);
    (1..).zip(sheets).map(|(n, sheet)| (n, sheet.name.clone(), has_cells(sheet))).collect()
}

fn merge(grid: &mut Grid<'_>, merges: Vec<Dimensions>) {
    for area in merges.into_iter().take(MAX_MERGES) {
        grid.merge(area.start, area.end);
    }
}

/// Returns what a cell shows; `None` when it is empty.
fn text(value: &DataRef<'_>, code: &str) -> Option<String> {
    Some(match value {
        DataRef::Int(value) => format::formatted(*value as f64, code),
        DataRef::Float(value) => format::formatted(*value, code),
        DataRef::String(value) | DataRef::DurationIso(value) => collapsed(&characters(value)),
        DataRef::DateTimeIso(value) => day(value),
        DataRef::SharedString(value) => collapsed(&characters(value)),
        DataRef::Bool(value) => boolean(*value),
        DataRef::DateTime(value) => date(value),
        DataRef::Error(value) => error_text(value),
        DataRef::Empty => return None,
    })
}

fn boolean(value: bool) -> String {
    if value { "TRUE".into() } else { "FALSE".into() }
}

fn error_text(error: &CellErrorType) -> String {
    error.to_string()
}

/// Returns a date, a time of day or both, as ISO 8601 writes them; a duration as hours, minutes and seconds.
fn date(value: &ExcelDateTime) -> String {
    let days = value.as_f64();
    if value.is_duration() {
        let seconds = (days.abs() * 86_400.0).round() as u64;
        let sign = if days < 0.0 { "-" } else { "" };
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, on, hour, minute, second, milli) = value.to_ymd_hms_milli();
    let second = if milli >= 500 && second < 59 { second + 1 } else { second };
    let time = match second {
        0 => format!("{hour:02}:{minute:02}"),
        second => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    if (0.0..1.0).contains(&days) {
        return time;
    }
    let day = format!("{year:04}-{month:02}-{on:02}");
    if time == "00:00" { day } else { format!("{day} {time}") }
}

/// Returns the day of a point in time, and the time of day unless it is midnight.
pub(crate) fn day(moment: &str) -> String {
    let moment = moment.trim_end_matches('Z');
    match moment.split_once('T') {
        Some((day, time)) if time.trim_matches(['0', ':', '.']).is_empty() => day.to_owned(),
        Some((day, time)) => {
            let is_whole = time.len() == 8 && time.ends_with(":00");
            format!("{day} {}", if is_whole { &time[..5] } else { time })
        }
        None => moment.to_owned(),
    }
}

fn damaged(error: impl std::fmt::Display) -> vellum_core::Error {
    let cause = collapsed(&error.to_string());
    if cause.to_ascii_lowercase().contains("password") {
        return rejected("the file is password-protected");
    }
    rejected(format!("the workbook is damaged: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_iso() {
        let cases = [
            (45_352.0, false, "2024-03-01"),
            (45_352.5, false, "2024-03-01 12:00"),
            (0.25, false, "06:00"),
            (1.5, true, "36:00:00"),
        ];
        for (days, is_duration, expect) in cases {
            let kind = match is_duration {
                true => calamine::ExcelDateTimeType::TimeDelta,
                false => calamine::ExcelDateTimeType::DateTime,
            };
            assert_eq!(date(&ExcelDateTime::new(days, kind, false)), expect);
        }
        assert_eq!(day("2024-03-01T00:00:00"), "2024-03-01");
        assert_eq!(day("2024-03-01T14:30:00Z"), "2024-03-01 14:30");
    }
}
