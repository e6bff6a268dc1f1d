//! Word files before 2007 (DOC, back to Word 6), read by `office_oxide`, and what other readers of that age share: Excel
//! (`crate::sheet`) and PowerPoint (`crate::ppt`).
//!
//! The library takes a file apart into headings, paragraphs, lists and tables, which go the way of other word
//! processors' files ([`Flow`]). What a damaged file lost is said at the end of its text.
//!
//! - Kept: notes and comments (at the end, as a file of that time tells not always where they belong), text boxes,
//!   addresses of links that their text does not show.
//! - Left out: the numbers of lists, deletions, hidden text, headers and footers, pictures, macros.

use crate::blocks::{Block, Flow, unseen_address};
use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::embedded::Unread;
use crate::io::ContentReader;
use crate::{Emit, Settings, sheet, too_much_text};
use office_oxide::cfb::SummaryProperties;
use office_oxide::doc::DocError;
use office_oxide::ir::{self, Element, InlineContent};
use office_oxide::options::ParseOptions;
use office_oxide::xls::XlsError;
use office_oxide::{DocumentFormat, OfficeError};
use std::collections::BTreeMap;
use std::io::BufReader;
use vellum_core::document::{Document, Format, Layout};
use vellum_core::ports::{Content, ConvertInput};
use vellum_core::{Error, Result};

/// Most that the library may hold of what a small file multiplies, in bytes.
const MAX_MEMORY: u64 = 256 << 20;

/// Returns the file in `content`, taken apart.
///
/// # Errors
/// `Rejected` when it is damaged or protected by a password.
pub(crate) fn open(
    content: &Content,
    format: DocumentFormat,
    settings: &Settings,
) -> Result<office_oxide::Document> {
    let mut options = ParseOptions::default();
    // One more than may be, so that too much is told from just enough.
    options.limits.text_chars = settings.max_text_bytes + 1;
    options.limits.memory_bytes = MAX_MEMORY;
    let source = BufReader::new(ContentReader::new(content));
    office_oxide::Document::from_reader_with(source, format, &options).map_err(unreadable)
}

/// Hands the Word document in `input` on, as one part.
///
/// # Errors
/// As [`open`]; `Rejected` when it holds too much text; those of `emit`.
pub(crate) fn word(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let file = open(&input.content, DocumentFormat::Doc, settings)?;
    let document = file.to_ir();
    let mut flow = Flow::default();
    for section in &document.sections {
        write(&mut flow, &section.elements);
    }
    let (text, sections) = flow.finish();
    if text.len() > settings.max_text_bytes {
        return Err(too_much_text(settings));
    }
    let own = &document.metadata;
    let mut metadata = properties_of(file.as_doc().and_then(|file| file.summary_properties()));
    // The library falls back to the first heading.
    let title = own.title.as_deref().map(|title| collapsed(&characters(title)));
    let title = metadata.remove("title").or(title).filter(|title| !title.is_empty());
    let layout = Layout::default();
    emit(Document { format: Format::Doc, title, text, sections, metadata, layout })?;
    let is_account = |warning: &&String| {
        ["truncat", "limit", "cut", "short"].iter().any(|word| warning.contains(word))
    };
    let account = own.warnings.iter().find(is_account).cloned();
    let account = account.unwrap_or_else(|| "its text is incomplete".to_owned());
    let accounts = if own.text_truncated { vec![account] } else { Vec::new() };
    lost(&accounts, Format::Doc).map_or(Ok(()), emit)
}

/// Returns a part that says what is missing from a file in `format`, in the words of the library; `None` when it has none.
pub(crate) fn lost(accounts: &[String], format: Format) -> Option<Document> {
    let mut unread = Unread::default();
    for account in accounts {
        let account = collapsed(&characters(account.trim_matches(['[', ']'])));
        unread.add("a part of the file", &account);
    }
    unread.note(format)
}

/// Returns what a file says of itself, its title among it.
pub(crate) fn properties_of(own: Option<&SummaryProperties>) -> BTreeMap<String, String> {
    let Some(own) = own else { return BTreeMap::new() };
    let day = |moment: &Option<String>| moment.as_deref().map(sheet::day);
    let known = [
        ("title", own.title.clone()),
        ("author", own.author.clone()),
        ("subject", own.subject.clone()),
        ("keywords", own.keywords.clone()),
        ("created", day(&own.created)),
        ("modified", day(&own.modified)),
    ];
    let said = known.into_iter().filter_map(|(key, value)| {
        let value = collapsed(&characters(&value?));
        (!value.is_empty()).then(|| (key.to_owned(), value))
    });
    said.collect()
}

/// Writes `elements` in order.
fn write(flow: &mut Flow, elements: &[Element]) {
    for element in elements {
        match element {
            Element::Heading(heading) => {
                flow.block(Block::Heading(heading.clamped_level(), inline(&heading.content)));
            }
            Element::Paragraph(paragraph) => {
                flow.block(Block::Paragraph(inline(&paragraph.content)));
            }
            Element::CodeBlock(code) => flow.block(Block::Paragraph(code.content.clone())),
            Element::List(list) => write_list(flow, list, 0),
            Element::Table(table) => write_table(flow, table),
            Element::TextBox(text_box) => write(flow, &text_box.content),
            Element::Footnote(note) => write_note(flow, "Footnote", note),
            Element::Endnote(note) => write_note(flow, "Endnote", note),
            // Pictures, lines and breaks.
            _ => {}
        }
    }
}

/// Writes a note as a paragraph that says what it is: `Comment by Ann: ...`.
fn write_note(flow: &mut Flow, kind: &str, note: &ir::Note) {
    let mut inner = Flow::gather();
    write(&mut inner, &note.content);
    let text = crate::blocks::line(&inner.into_blocks());
    // The library calls them by its own small words.
    let kind = note
        .marker
        .as_deref()
        .filter(|marker| marker.contains("omment"))
        .map_or(kind, |_| "Comment");
    let by = note.author.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    if !text.is_empty() {
        flow.block(Block::Paragraph(format!("{kind}{by}: {text}")));
    }
}

/// Writes a list. Its numbers are not known: the library takes the code of a bullet for one of a number, and a wrong
/// number is worse than none.
fn write_list(flow: &mut Flow, list: &ir::List, level: usize) {
    for item in &list.items {
        let mut label = "-".to_owned();
        for element in &item.content {
            match element {
                Element::Paragraph(paragraph) => {
                    let label = std::mem::take(&mut label);
                    flow.block(Block::Item(level, label, inline(&paragraph.content)));
                }
                other => write(flow, std::slice::from_ref(other)),
            }
        }
        if let Some(nested) = &item.nested {
            write_list(flow, nested, level + 1);
        }
    }
}

fn write_table(flow: &mut Flow, table: &ir::Table) {
    // Rows into which the cell above still reaches, for each column.
    let mut covered: Vec<u32> = Vec::new();
    flow.open_table();
    for row in &table.rows {
        flow.open_row();
        let mut column = 0;
        for cell in &row.cells {
            column = cover(flow, &mut covered, column);
            let n_columns = cell.col_span.max(1) as usize;
            let place = column..column + n_columns;
            column = place.end;
            covered.resize(covered.len().max(column), 0);
            covered[place].fill(cell.row_span.max(1) - 1);
            flow.open_cell();
            flow.cell_span(n_columns);
            write(flow, &cell.content);
            flow.close_cell();
        }
        cover(flow, &mut covered, column);
        flow.close_row();
    }
    flow.close_table();
}

/// Gives the places from `column` on to the cells above that cover them, and returns the first that is free.
fn cover(flow: &mut Flow, covered: &mut [u32], mut column: usize) -> usize {
    while let Some(n_rows) = covered.get_mut(column).filter(|n_rows| **n_rows > 0) {
        *n_rows -= 1;
        flow.cover_place(false);
        column += 1;
    }
    column
}

/// Returns text with the addresses of links behind theirs, unless the text shows them.
fn inline(content: &[InlineContent]) -> String {
    let mut out = String::new();
    let mut link: Option<(&str, usize)> = None;
    for piece in content {
        let address = match piece {
            InlineContent::Text(span) => span.hyperlink.as_deref(),
            _ => None,
        };
        if link.is_some_and(|(open, _)| address != Some(open)) {
            close_link(&mut out, link.take());
        }
        if let Some(address) = address.filter(|_| link.is_none()) {
            link = Some((address, out.len()));
        }
        match piece {
            InlineContent::Text(span) => out.push_str(&span.text),
            InlineContent::LineBreak => out.push('\n'),
            _ => {}
        }
    }
    close_link(&mut out, link);
    out
}

fn close_link(out: &mut String, link: Option<(&str, usize)>) {
    let Some((address, start)) = link else { return };
    if let Some(address) = unseen_address(out[start..].trim(), address) {
        out.truncate(out.trim_end().len());
        out.push_str(&format!(" ({address})"));
    }
}

fn unreadable(error: OfficeError) -> Error {
    match error {
        OfficeError::Doc(DocError::Encrypted)
        | OfficeError::Xls(XlsError::Encrypted | XlsError::EncryptionNotSupported(_)) => {
            rejected("the file is password-protected")
        }
        OfficeError::Panic(_) => rejected("the parser crashed on this file (panic)"),
        OfficeError::Doc(DocError::UnsupportedVersion(which)) => {
            rejected(format!("a Word document of this age is not read: {}", collapsed(&which)))
        }
        OfficeError::Xls(XlsError::UnsupportedVersion(which)) => {
            rejected(format!("a workbook of this age is not read: {}", collapsed(&which)))
        }
        other => rejected(format!("the file is damaged: {}", collapsed(&other.to_string()))),
    }
}
