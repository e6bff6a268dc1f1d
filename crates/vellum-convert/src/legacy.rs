//! Office files before 2007: Word (DOC, back to Word 6) and PowerPoint (PPT) here, Excel in `crate::sheet`; all are
//! read by `office_oxide`.
//!
//! The library takes a file apart into headings, paragraphs, lists and tables, which go the way of other word
//! processors' files ([`Flow`]). What a damaged file lost is said at the end of its text.
//!
//! Titles and texts of slides that it loses are added from their outline (`outline`).
//!
//! - Kept: notes and comments (at the end, as a file of that time tells not always where they belong), text boxes,
//!   addresses of links that their text does not show, the speaker's notes.
//! - Left out: the numbers of lists, deletions, hidden text, headers and footers, pictures, macros. The cells of a
//!   table on a slide are paragraphs, unless it has one cell in each place of a grid.

mod outline;

use crate::blocks::{Block, Flow, unseen_address};
use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::embedded::Unread;
use crate::io::ContentReader;
use crate::pptx::slide::FURNITURE;
use crate::{Emit, Settings, pptx, sheet, too_much_text};
use office_oxide::cfb::CfbReader;
use office_oxide::doc::DocError;
use office_oxide::ir::{self, Element, InlineContent, Section};
use office_oxide::options::ParseOptions;
use office_oxide::ppt::PptError;
use office_oxide::xls::XlsError;
use office_oxide::{DocumentFormat, OfficeError};
use outline::OutlineText;
use std::collections::BTreeMap;
use std::io::BufReader;
use vellum_core::document::{Document, Format, Layout};
use vellum_core::ports::{Content, ConvertInput};
use vellum_core::{Error, Result};

/// Most that the library may hold of what a small file multiplies, in bytes.
const MAX_MEMORY: u64 = 256 << 20;

/// The stream that makes a compound file a presentation.
pub(crate) const PRESENTATION: &str = "PowerPoint Document";

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
    let (title, metadata) = metadata(&document.metadata);
    let layout = Layout::default();
    emit(Document { format: Format::Doc, title, text, sections, metadata, layout })?;
    lost(&file, Format::Doc).map_or(Ok(()), emit)
}

/// Hands the slides of the presentation in `input` on, as one part.
///
/// # Errors
/// As [`word`]; `Rejected` when it has too many slides.
pub(crate) fn slides(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let file = open(&input.content, DocumentFormat::Ppt, settings)?;
    let presentation = file.to_ir();
    let n_slides = presentation.sections.len();
    if n_slides > settings.max_pages {
        return Err(pptx::too_many_slides(n_slides, settings));
    }
    let (mut title, metadata) = metadata(&presentation.metadata);
    title = title.filter(|title| title != pptx::NO_TITLE);
    let mut outline = outline(&input.content)?;
    // A list of other slides would put texts where they do not belong.
    outline.resize(if outline.len() == n_slides { n_slides } else { 0 }, Vec::new());
    let mut document: Option<Document> = None;
    for (at, slide) in presentation.sections.iter().enumerate() {
        let texts = outline.get(at).map(Vec::as_slice).unwrap_or_default();
        let blocks = slide_blocks(slide, texts);
        if let Some(Block::Heading(1, first)) = blocks.first() {
            title.get_or_insert_with(|| collapsed(first));
        }
        pptx::add(&mut document, pptx::page(blocks, at as u32 + 1), settings)?;
    }
    let Some(document) = document else { return Ok(()) };
    emit(Document { format: Format::Ppt, title, metadata, ..document })?;
    lost(&file, Format::Ppt).map_or(Ok(()), emit)
}

/// Returns the texts of each slide in the outline of a presentation.
fn outline(content: &Content) -> Result<Vec<Vec<OutlineText>>> {
    let source = BufReader::new(ContentReader::new(content));
    let stream = CfbReader::new(source).and_then(|mut file| file.open_stream(PRESENTATION));
    stream.map(|stream| outline::texts(&stream)).map_err(|error| unreadable(PptError::from(error)))
}

/// Returns the blocks of a slide with those `texts` that it lacks, then the speaker's notes.
fn slide_blocks(slide: &Section, texts: &[OutlineText]) -> Vec<Block> {
    let gathered = |elements: &[Element]| {
        let mut flow = Flow::gather();
        write(&mut flow, elements);
        flow.into_blocks()
    };
    let mut blocks = gathered(&slide.elements);
    let known = collapsed(&crate::blocks::line(&blocks));
    let lacks = |text: &&OutlineText| {
        !text.paragraphs.iter().all(|line| known.contains(&*collapsed(&characters(line))))
    };
    let mut missing = Vec::new();
    for text in texts.iter().filter(lacks) {
        let mut paragraphs = text.paragraphs.iter().cloned();
        missing.extend(
            paragraphs.by_ref().take(text.is_title.into()).map(|line| Block::Heading(1, line)),
        );
        missing.extend(paragraphs.map(Block::Paragraph));
    }
    let opens_with_title = matches!(blocks.first(), Some(Block::Heading(..)));
    blocks.splice(usize::from(opens_with_title)..usize::from(opens_with_title), missing);
    let notes = gathered(slide.speaker_notes.as_deref().unwrap_or_default());
    if !notes.is_empty() {
        blocks.push(Block::Paragraph("Notes:".into()));
        blocks.extend(notes);
    }
    blocks
}

/// Returns a part that says what a file in `format` lost; `None` when nothing is known to be missing.
pub(crate) fn lost(file: &office_oxide::Document, format: Format) -> Option<Document> {
    let mut unread = Unread::default();
    for damage in file.damage().iter().filter(|damage| damage.is_loss()) {
        let part = damage.part.as_deref().unwrap_or("a part of the file");
        unread.add(part, &collapsed(&characters(damage.detail.trim_matches(['[', ']']))));
    }
    unread.note(format)
}

/// Returns the title, and what else a file says of itself.
fn metadata(own: &ir::Metadata) -> (Option<String>, BTreeMap<String, String>) {
    let keywords = own.keywords.join(", ");
    let mut metadata = properties([
        ("title", own.title.as_deref()),
        ("author", own.author.as_deref()),
        ("subject", own.subject.as_deref()),
        ("keywords", Some(&keywords)),
        ("created", own.created.as_deref()),
        ("modified", own.modified.as_deref()),
    ]);
    (metadata.remove("title"), metadata)
}

/// Returns those properties that say something.
pub(crate) fn properties(known: [(&str, Option<&str>); 6]) -> BTreeMap<String, String> {
    let said = known.into_iter().filter_map(|(key, value)| {
        let value = collapsed(&characters(value?));
        let is_day = matches!(key, "created" | "modified");
        let value = if is_day { sheet::day(&value) } else { value };
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
                let role = paragraph.placeholder_role.as_deref().unwrap_or_default();
                if !FURNITURE.contains(&role) {
                    flow.block(Block::Paragraph(inline(&paragraph.content)));
                }
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

fn unreadable(error: impl Into<OfficeError>) -> Error {
    match error.into() {
        OfficeError::Doc(DocError::Encrypted)
        | OfficeError::Ppt(PptError::Encrypted)
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
