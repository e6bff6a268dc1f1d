//! Word documents: paragraphs, headings, lists, tables and notes in the order of the document.
//!
//! The markup is read once, from front to back (`body`); styles tell which paragraphs are headings (`styles`), and
//! lists are counted as Word counts them (`numbering`), because the numbers stand nowhere in the file.
//!
//! - Kept: insertions, results of fields, footnotes, endnotes and comments (after the paragraph that refers to them), text
//!   boxes (after theirs), charts and diagrams, addresses of links that their text does not show.
//! - Left out: deletions, hidden text, codes of fields, headers and footers.
//! - Pages: none. A Word file does not know its pages; they arise when it is laid out.

mod body;
mod numbering;
mod styles;

use crate::blocks::line;
use crate::detect::rejected;
use crate::ooxml::{graphics, main_part, properties, read, relations};
use crate::{Emit, Settings, package::Package};
use body::{Body, Notes};
use numbering::Numbering;
use styles::Styles;
use vellum_core::Result;
use vellum_core::document::{Document, Format, Layout, SectionKind};

/// Hands the document in `package` on, as one part.
///
/// # Errors
/// `Rejected` when it is damaged or holds too much text.
pub(crate) fn convert(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let main = main_part(&mut package, "word/document.xml")?;
    let relations = relations(&mut package, &main)?;
    let related = |kind: &str| {
        relations.values().find(|relation| relation.kind == kind).map(|r| r.target.clone())
    };
    let part = |package: &mut Package, kind: &str, usual: &str| {
        read(package, &related(kind).unwrap_or_else(|| usual.to_owned()))
    };
    let styles = match part(&mut package, "styles", "word/styles.xml")? {
        Some(source) => Styles::read(&source)?,
        None => Styles::default(),
    };
    let mut numbering = match part(&mut package, "numbering", "word/numbering.xml")? {
        Some(source) => Numbering::read(&source)?,
        None => Numbering::default(),
    };
    let mut notes = Notes::default();
    for (kind, usual) in [
        ("footnotes", "word/footnotes.xml"),
        ("endnotes", "word/endnotes.xml"),
        ("comments", "word/comments.xml"),
    ] {
        let Some(source) = part(&mut package, kind, usual)? else { continue };
        let name = related(kind).unwrap_or_else(|| usual.to_owned());
        let relations = crate::ooxml::relations(&mut package, &name)?;
        let found = Body::new(&styles, &mut numbering, &relations, settings).notes(&source)?;
        let found = found.into_iter().map(|(id, by, blocks)| (id, (by, line(&blocks)))).collect();
        match kind {
            "footnotes" => notes.footnotes = found,
            "endnotes" => notes.endnotes = found,
            _ => notes.comments = found,
        }
    }
    let graphics = graphics(&mut package, &relations)?;
    let mut metadata = properties(&mut package)?;
    let source = read(&mut package, &main)?
        .ok_or_else(|| rejected("the document is damaged: no text part"))?;
    drop(package);

    let mut body = Body::new(&styles, &mut numbering, &relations, settings);
    body.graphics = graphics;
    body.notes = notes;
    let (text, sections, named) = body.read(&source)?;
    if let Some(language) = styles.language.clone() {
        metadata.entry("language".into()).or_insert(language);
    }
    let first_heading = sections.iter().find_map(|section| match &section.kind {
        SectionKind::Heading { level: 1, title } => Some(title.clone()),
        SectionKind::Heading { .. } | SectionKind::Page(_) => None,
    });
    // What stands on the page is kept with more care than the properties, which templates fill.
    let title = named.or_else(|| metadata.remove("title")).or(first_heading);
    metadata.remove("title");
    emit(Document {
        format: Format::Docx,
        title,
        text,
        sections,
        metadata,
        layout: Layout::default(),
    })
}
