//! Excel files before 2007 (XLS), back to Excel 2, read by `office_oxide`.
//!
//! The library keeps the codes of number formats to itself and tells what they make of a number. So a format is
//! known by what it makes of [`PROBE`]: a day, or else a number, which is written as the format shows it.

use super::{boolean, date, new_grid};
use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::legacy::{lost, open, properties_of};
use crate::{Emit, Settings, number};
use calamine::{ExcelDateTime, ExcelDateTimeType};
use office_oxide::DocumentFormat;
use office_oxide::ir::SheetKind;
use office_oxide::xls::{CellValue, Sheet};
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::document::Format;
use vellum_core::ports::ConvertInput;

/// A day, and what a format for dates makes of it in the two calendars of Excel.
const PROBE: CellValue = CellValue::Number(45_352.0);
const PROBE_SINCE_1900: &str = "2024-03-01";
const PROBE_SINCE_1904: &str = "2028-03-02";
/// Days below which a date with a time of day is taken for a duration: people clock more than 24 hours, and say next to
/// nothing of the hours of the calendar's first year.
const MAX_DURATION: f64 = 366.0;

/// Hands the sheets of `input` on.
///
/// # Errors
/// `Rejected` when it is damaged, encrypted or holds too much text.
pub(crate) fn convert_xls(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let file = open(&input.content, DocumentFormat::Xls, settings)?;
    let Some(book) = file.as_xls().filter(|book| !book.sheets.is_empty()) else {
        return Err(rejected("the workbook is damaged: it has no sheets"));
    };
    let metadata = properties_of(book.summary_properties());
    let mut grid = new_grid(Format::Xls, metadata, settings, emit);
    for (n, sheet) in (1..).zip(&book.sheets) {
        if matches!(sheet.kind, SheetKind::Chart | SheetKind::Dialog) {
            continue;
        }
        grid.open(n, &sheet.name);
        for &(top, bottom, left, right) in sheet.merged_cells.iter().take(super::MAX_MERGES) {
            grid.merge((top.into(), left.into()), (bottom.into(), right.into()));
        }
        let mut shown = Shown { sheet, calendars: HashMap::new() };
        for (row, cells) in (0..).zip(&sheet.rows) {
            for (column, value) in (0..).zip(cells) {
                if *value != CellValue::Empty {
                    grid.cell(row, column, shown.text(row as usize, column as usize, value))?;
                }
            }
        }
        grid.close()?;
    }
    lost(book.notices(), Format::Xls).map_or(Ok(()), emit)
}

/// How the numbers of a sheet are shown.
struct Shown<'a> {
    sheet: &'a Sheet,
    /// For each cell style whether it shows dates, and whether the years count from 1904.
    calendars: HashMap<u16, Option<bool>>,
}

impl Shown<'_> {
    /// Returns what the cell shows that holds `value`.
    fn text(&mut self, row: usize, column: usize, value: &CellValue) -> String {
        let value = match value {
            CellValue::Bool(value) => return boolean(*value),
            CellValue::Number(value) => *value,
            other => return collapsed(&characters(&other.as_text_cow())),
        };
        let styles = self.sheet.xf.get(row).and_then(|styles| styles.get(column));
        let style = styles.copied().unwrap_or_default();
        if let Some(since_1904) = self.calendar(style) {
            let is_short = (1.0..MAX_DURATION).contains(&value);
            let is_duration = value < 0.0 || is_short && value.fract() != 0.0;
            let kind = if is_duration {
                ExcelDateTimeType::TimeDelta
            } else {
                ExcelDateTimeType::DateTime
            };
            return date(&ExcelDateTime::new(value, kind, since_1904));
        }
        let plain = CellValue::Number(value);
        let shown = self.sheet.formats.display(&plain, style);
        // Fractions are beyond the library, and a format that shows nothing hides the number from view, not from search.
        let is_lost = shown.contains('/') || shown.trim().is_empty();
        let is_plain = is_lost || shown == plain.as_text_cow();
        if is_plain { number::general(value) } else { collapsed(&characters(&shown)) }
    }

    fn calendar(&mut self, style: u16) -> Option<bool> {
        let sheet = self.sheet;
        *self.calendars.entry(style).or_insert_with(|| {
            match &*sheet.formats.display(&PROBE, style) {
                PROBE_SINCE_1900 => Some(false),
                PROBE_SINCE_1904 => Some(true),
                _ => None,
            }
        })
    }
}
