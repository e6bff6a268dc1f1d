//! OpenDocument: texts (ODT), presentations (ODP) and spreadsheets (ODS).
//!
//! All three keep their content in one part, `content.xml`, with the same paragraphs, lists and tables in it (`text`).
//! Styles say how lists are numbered and which paragraph is the title (`styles`). Slides take their reading order from
//! the presentations' module; sheets go to the same grid as Excel's.
//!
//! Left out: headers and footers, which stand apart from the content; deleted text; sources of indexes.
//! Reference: OASIS OpenDocument 1.3, part 3.

mod sheets;
mod slides;
mod styles;
mod text;

use crate::detect::rejected;
use crate::ooxml::{named_texts, read};
use crate::{Emit, Settings, package::Package};
pub(crate) use sheets::sheets;
use std::collections::BTreeMap;
use styles::Styles;
use vellum_core::Result;
use vellum_core::document::{Document, Format, Layout, SectionKind};

/// Hands the text or the presentation in `package` on, as one part.
///
/// # Errors
/// `Rejected` when it is damaged, encrypted or holds too much text.
pub(crate) fn convert(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let is_slides = crate::package::identify(&mut package)? == Format::Odp;
    let content = content(&mut package)?;
    let mut metadata = properties(&mut package)?;
    let mut styles = Styles::default();
    if let Some(source) = read(&mut package, "styles.xml")? {
        styles.add(&source)?;
    }
    styles.add(&content)?;
    drop(package);
    let title = metadata.remove("title");
    if is_slides {
        let Some(document) = slides::read(&content, &styles, settings)? else { return Ok(()) };
        let title = title.or(document.title);
        return emit(Document { format: Format::Odp, title, metadata, ..document });
    }
    let (text, sections, named) = text::Text::new(&styles, settings).read(&content)?;
    let first_heading = sections.iter().find_map(|section| match &section.kind {
        SectionKind::Heading { level: 1, title } => Some(title.clone()),
        SectionKind::Heading { .. } | SectionKind::Page(_) => None,
    });
    let title = named.or(title).or(first_heading);
    emit(Document {
        format: Format::Odt,
        title,
        text,
        sections,
        metadata,
        layout: Layout::default(),
    })
}

/// Returns the content of `package`.
fn content(package: &mut Package) -> Result<String> {
    let manifest = read(package, "META-INF/manifest.xml")?.unwrap_or_default();
    if manifest.contains("encryption-data") {
        return Err(rejected("the file is password-protected"));
    }
    read(package, "content.xml")?
        .ok_or_else(|| rejected("the document is damaged: it has no content.xml"))
}

/// Returns what the file says of itself.
fn properties(package: &mut Package) -> Result<BTreeMap<String, String>> {
    let source = read(package, "meta.xml")?.unwrap_or_default();
    let mut found = named_texts(&source, |name| match name {
        "creator" => Some("author"),
        "initial-creator" => Some("initial author"),
        "creation-date" => Some("created"),
        "date" => Some("modified"),
        "keyword" => Some("keywords"),
        "title" | "subject" | "language" => Some(""),
        _ => None,
    });
    // Who made it before who saved it last.
    if let Some(author) = found.remove("initial author") {
        found.insert("author".into(), author);
    }
    Ok(found)
}
