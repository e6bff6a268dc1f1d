//! Comma, semicolon, tab or bar separated values to rows that a reader can follow.
//!
//! The dialect is sniffed: the delimiter with which most records of the opening have the same number of
//! cells. Text without such a delimiter stays plain text, whatever its name says.
//!
//! Each record becomes one `| a | b |` row. Lines before the table stand above it. The header row comes
//! again about every 50 rows and at the start of each part, so a passage from the middle
//! of a long table still names its columns. Records are read one by one, so a file of any size is.

use crate::clean::{TextBuilder, characters, collapsed, table_row};
use crate::{Emit, large};
use encoding_rs::Encoding;
use std::collections::BTreeMap;
use vellum_core::Result;
use vellum_core::document::{Document, Format, Layout};
use vellum_core::ports::Content;

/// How much of the text is looked at to tell the dialect, in bytes.
const SNIFF_WINDOW: usize = 64 << 10;
/// Share of records that must have the usual number of cells.
const MIN_SHARE: f64 = 0.8;
/// Rows after which the header row is written again.
const ROWS_PER_HEADER: usize = 50;
/// Longest quoted cell, in bytes; a quote that is open for longer was no quote.
const MAX_QUOTED: usize = 64 << 10;
/// Longest record, in bytes; a longer one is cut into several.
const MAX_RECORD: usize = 1 << 20;
/// Widest header up to which short rows are filled with empty cells.
const MAX_FILLED: usize = 64;

/// Hands on the table in `content`, which is text in `encoding` after its first `skip` bytes.
///
/// # Errors
/// As [`large::windows`].
pub(crate) fn convert(
    content: &Content,
    encoding: &'static Encoding,
    skip: u64,
    emit: Emit<'_>,
) -> Result<()> {
    let mut table: Option<Table> = None;
    let mut is_text = false;
    large::windows(content, encoding, skip, &mut |window, last| {
        if table.is_none() && !is_text {
            match sniff(window) {
                Some(dialect) => table = Some(Table::new(dialect)),
                None => is_text = true,
            }
        }
        match &mut table {
            Some(table) => table.feed(window, last, emit),
            None => Ok(()),
        }
    })?;
    if is_text { large::convert(content, encoding, skip, emit) } else { Ok(()) }
}

/// How a table is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    delimiter: char,
    /// Cells of most records.
    pub(crate) n_columns: usize,
    /// Records that were seen.
    pub(crate) n_records: usize,
    /// Every record has as many cells.
    pub(crate) is_even: bool,
}

/// Returns the dialect of `text` by its opening; `None` when it is no table.
pub(crate) fn sniff(text: &str) -> Option<Dialect> {
    let window = &text[..text.floor_char_boundary(SNIFF_WINDOW)];
    // A record that was cut says nothing; the only one there is must do.
    let whole = match window.rfind('\n') {
        Some(end) if window.len() < text.len() => &window[..=end],
        _ => window,
    };
    if let Some(delimiter) = named_delimiter(whole) {
        let n_columns = whole.lines().nth(1)?.split(delimiter).count();
        return Some(Dialect { delimiter, n_columns, n_records: 1, is_even: false });
    }
    let found = [',', ';', '\t', '|'].into_iter().filter_map(|delimiter| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        let mut records = Records::new(delimiter);
        let mut count = |cells: &[String]| {
            if cells.iter().any(|cell| !cell.trim().is_empty()) {
                *counts.entry(cells.len()).or_default() += 1;
            }
            Ok(())
        };
        records.feed(whole, &mut count).and_then(|()| records.end(&mut count)).ok()?;
        let n_records: usize = counts.values().sum();
        let (&n_columns, &n_usual) = counts.iter().max_by_key(|&(_, n)| n)?;
        let share = n_usual as f64 / n_records as f64;
        let is_table = n_columns >= 2 && n_records >= 2 && share >= MIN_SHARE;
        let is_even = n_usual == n_records;
        is_table.then_some((share, Dialect { delimiter, n_columns, n_records, is_even }))
    });
    found
        .max_by(|(a, one), (b, other)| a.total_cmp(b).then(one.n_columns.cmp(&other.n_columns)))
        .map(|(_, dialect)| dialect)
}

/// Returns the delimiter that a first line `sep=;` names, as Excel writes it.
fn named_delimiter(text: &str) -> Option<char> {
    let first = text.lines().next()?.trim();
    let mut rest = first.strip_prefix("sep=")?.chars();
    rest.next().filter(|_| rest.next().is_none())
}

/// Takes the cells of a record.
type Take<'a> = &'a mut dyn FnMut(&[String]) -> Result<()>;

/// Splits text that comes in pieces into records.
struct Records {
    delimiter: char,
    cells: Vec<String>,
    cell: String,
    n_bytes: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a cell.
    Start,
    /// In a cell, or after its closing quote.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: the end, or a quote that stands for itself.
    Quote,
    /// After a carriage return that ended a record.
    Return,
}

impl Records {
    fn new(delimiter: char) -> Self {
        let (cells, cell) = (Vec::new(), String::new());
        Self { delimiter, cells, cell, n_bytes: 0, state: State::Start }
    }

    fn feed(&mut self, text: &str, take: Take<'_>) -> Result<()> {
        for c in text.chars() {
            self.character(c, true, take)?;
            if self.state == State::Quoted && self.cell.len() > MAX_QUOTED {
                self.unquote(take)?;
            }
        }
        Ok(())
    }

    /// Reads an overlong quoted cell again, its opening quote and all others taken as they stand.
    fn unquote(&mut self, take: Take<'_>) -> Result<()> {
        let text = std::mem::take(&mut self.cell);
        self.state = State::Plain;
        self.cell.push('"');
        text.chars().try_for_each(|c| self.character(c, false, take))
    }

    fn character(&mut self, c: char, quotes: bool, take: Take<'_>) -> Result<()> {
        self.n_bytes += c.len_utf8();
        if self.n_bytes > MAX_RECORD {
            self.record(take)?;
        }
        match (self.state, c) {
            (State::Return, '\n') => self.state = State::Start,
            (State::Quoted, '"') if quotes => self.state = State::Quote,
            (State::Quoted, c) => self.cell.push(c),
            (State::Quote, '"') => {
                self.cell.push('"');
                self.state = State::Quoted;
            }
            (State::Start | State::Return, '"') if quotes => self.state = State::Quoted,
            (_, '\n') => self.record(take)?,
            (_, '\r') => {
                self.record(take)?;
                self.state = State::Return;
            }
            (_, c) if c == self.delimiter => {
                self.cells.push(std::mem::take(&mut self.cell));
                self.state = State::Start;
            }
            // Blanks before an opening quote are common after a comma.
            (State::Start, ' ') => {}
            (_, c) => {
                self.cell.push(c);
                self.state = State::Plain;
            }
        }
        Ok(())
    }

    fn record(&mut self, take: Take<'_>) -> Result<()> {
        self.cells.push(std::mem::take(&mut self.cell));
        self.state = State::Start;
        self.n_bytes = 0;
        take(&self.cells)?;
        self.cells.clear();
        Ok(())
    }

    fn end(&mut self, take: Take<'_>) -> Result<()> {
        if self.state == State::Quoted {
            self.unquote(take)?;
        }
        let is_open = !self.cells.is_empty() || !self.cell.is_empty();
        if is_open { self.record(take) } else { Ok(()) }
    }
}

/// A table while it is written.
struct Table {
    records: Records,
    page: Page,
}

/// What was written of a table and not handed on.
struct Page {
    n_columns: usize,
    rows: Option<Rows>,
    out: TextBuilder,
}

impl Table {
    fn new(dialect: Dialect) -> Self {
        let page = Page { n_columns: dialect.n_columns, rows: None, out: TextBuilder::default() };
        Self { records: Records::new(dialect.delimiter), page }
    }

    fn feed(&mut self, text: &str, last: bool, emit: Emit<'_>) -> Result<()> {
        let page = &mut self.page;
        let mut take = |cells: &[String]| page.take(cells, emit);
        self.records.feed(text, &mut take)?;
        if last {
            self.records.end(&mut take)?;
            self.page.flush(emit)?;
        }
        Ok(())
    }
}

impl Page {
    fn take(&mut self, cells: &[String], emit: Emit<'_>) -> Result<()> {
        let cells: Vec<String> = cells.iter().map(|cell| collapsed(&characters(cell))).collect();
        let n_filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        match &mut self.rows {
            _ if n_filled == 0 => {}
            Some(rows) => rows.row(&mut self.out, cells),
            None if n_filled == 1 && cells[0].starts_with("sep=") => {}
            // A title or a note above the table.
            None if n_filled == 1 && cells.len() < self.n_columns => {
                self.out.line();
                self.out.push(&cells.concat());
            }
            None => self.rows = Some(Rows::new(&cells)),
        }
        if self.out.len() >= large::WINDOW { self.flush(emit) } else { Ok(()) }
    }

    fn flush(&mut self, emit: Emit<'_>) -> Result<()> {
        if let Some(rows) = &mut self.rows {
            rows.finish(&mut self.out);
        }
        let (text, sections) = std::mem::take(&mut self.out).finish();
        if text.is_empty() {
            return Ok(());
        }
        let metadata = BTreeMap::new();
        emit(Document {
            format: Format::Csv,
            title: None,
            text,
            sections,
            metadata,
            layout: Layout::default(),
        })
    }
}

/// Rows of a table below a header row that is repeated.
pub(crate) struct Rows {
    header: String,
    width: usize,
    /// Rows and bytes since the header was written; none when it has yet to be.
    since: Option<(usize, usize)>,
    /// A header that was never followed by a row is still content.
    is_used: bool,
}

impl Rows {
    pub(crate) fn new(header: &[String]) -> Self {
        Self { header: table_row(header), width: header.len(), since: None, is_used: false }
    }

    /// Writes a row to `out`, below the header where that is due.
    pub(crate) fn row(&mut self, out: &mut TextBuilder, mut cells: Vec<String>) {
        // A header that is repeated must stay small beside what stands below it.
        let is_due = self.since.is_none_or(|(n_rows, n_bytes)| {
            n_rows >= ROWS_PER_HEADER && n_bytes >= 4 * self.header.len()
        });
        if is_due {
            out.block();
            out.push(&self.header);
            self.since = Some((0, 0));
            self.is_used = true;
        }
        if self.width <= MAX_FILLED && cells.len() < self.width {
            cells.resize(self.width, String::new());
        }
        let row = table_row(&cells);
        out.line();
        out.push(&row);
        if let Some((n_rows, n_bytes)) = &mut self.since {
            *n_rows += 1;
            *n_bytes += row.len();
        }
    }

    /// Ends a part or the table; the next row stands below the header again.
    pub(crate) fn finish(&mut self, out: &mut TextBuilder) {
        if !std::mem::replace(&mut self.is_used, true) {
            out.block();
            out.push(&self.header);
        }
        self.since = None;
        out.block();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(source: &str) -> (Format, String) {
        let mut parts = Vec::new();
        let mut emit = |part: Document| {
            parts.push(part);
            Ok(())
        };
        let content = Content::from(source.as_bytes().to_vec());
        convert(&content, encoding_rs::UTF_8, 0, &mut emit).unwrap();
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        (parts[0].format, texts.join("\n\n"))
    }

    #[test]
    fn dialects() {
        let cases = [
            ("a,b\n1,2\n", "| a | b |\n| 1 | 2 |"),
            ("a;b\r\n1,5;2,5\r\n\"x;y\"; \"z\"\r\n", "| a | b |\n| 1,5 | 2,5 |\n| x;y | z |"),
            ("a\tb\n1\t2 3\n", "| a | b |\n| 1 | 2 3 |"),
            ("a|b\n1|2\n", "| a | b |\n| 1 | 2 |"),
            ("sep=;\na;b\n1;2", "| a | b |\n| 1 | 2 |"),
            ("a,b\n\"two\nlines \"\"q\"\"\",2\n", "| a | b |\n| two lines \"q\" | 2 |"),
            ("a,b,c\n1\n1,2,3\n4,5,6\n7,8,9\n1,2,3,4\n", "a,b,c\n1\n1,2,3\n4,5,6\n7,8,9\n1,2,3,4"),
        ];
        for (source, expect) in cases {
            assert_eq!(text_of(source).1, expect, "{source}");
        }
    }

    #[test]
    fn ragged_rows_and_lines_above_the_table() {
        let rows = "1,2,3\n".repeat(12);
        let (_, text) = text_of(&format!("Leave in 2024\n\na,b,c\n{rows}4\n5,6,7,8\n"));
        assert!(text.starts_with("Leave in 2024\n\n| a | b | c |\n| 1 | 2 | 3 |\n"), "{text}");
        assert!(text.ends_with("| 4 |  |  |\n| 5 | 6 | 7 | 8 |"), "{text}");
    }

    #[test]
    fn text_with_commas_stays_text() {
        let source = "Dear all,\n\nwe met, talked, and left.\nNothing else, really\nbut this.\n";
        assert_eq!(text_of(source), (Format::Text, source.trim_end().to_owned()));
    }

    #[test]
    fn a_header_is_repeated() {
        let (format, text) = text_of(&format!("name,days\n{}", "Ann,27\n".repeat(120)));
        assert_eq!(format, Format::Csv);
        assert_eq!(text.matches("| name | days |").count(), 3);
        assert_eq!(text.matches("| Ann | 27 |").count(), 120);
        // A header as large as the table is not.
        let wide: Vec<String> = (0..5000).map(|n| format!("column {n}")).collect();
        let (_, text) = text_of(&format!("{}\n{}", wide.join(","), "1,2\n".repeat(400)));
        assert!(text.matches("column 17,").count() < 2);
    }

    #[test]
    fn a_quote_that_never_closes_costs_no_records() {
        let (_, text) = text_of(&format!("name,days\n\"Ann,27\n{}", "Bob,28\n".repeat(20_000)));
        assert_eq!(text.matches("Bob").count(), 20_000);
        assert!(text.matches("| Bob | 28 |").count() > 9_000);
    }

    #[test]
    fn large_tables_come_in_parts_with_a_header_each() {
        let source = format!("name,days\n{}", "Ann from Utrecht,27\n".repeat(150_000));
        let mut parts = Vec::new();
        let mut emit = |part: Document| {
            parts.push(part.text);
            Ok(())
        };
        convert(&source.into_bytes().into(), encoding_rs::UTF_8, 0, &mut emit).unwrap();
        assert!(parts.len() > 2);
        assert!(parts.iter().all(|part| part.starts_with("| name | days |\n")));
        let n_rows: usize = parts.iter().map(|part| part.matches("Ann").count()).sum();
        assert_eq!(n_rows, 150_000);
    }
}
