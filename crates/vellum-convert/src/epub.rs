//! EPUB books: the chapters in reading order, each through the HTML converter.
//!
//! `META-INF/container.xml` names the package file, whose spine is the order of the chapters and whose metadata
//! give title, authors and language. A chapter is a part of the document, so a book is never held as a
//! whole. A chapter without headings of its own gets its entry of the table of contents as one; the
//! table of contents itself is left out.
//!
//! Books whose chapters are encrypted (`META-INF/encryption.xml`) are rejected; fonts may be.

mod package_file;

use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::embedded::{self, as_section};
use crate::package::Package;
use crate::{Emit, Settings, decode, html, too_much_text};
use package_file::{Book, Chapter};
use std::collections::BTreeMap;
use vellum_core::Result;
use vellum_core::document::{Document, Format, SectionKind};

/// Most chapters of a book.
const MAX_CHAPTERS: usize = 20_000;

/// Hands on the chapters of the book in `package`.
///
/// # Errors
/// `Rejected` when it is protected, damaged, or longer than `settings` allow; the errors of `emit`.
pub(crate) fn convert(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let book = open(&mut package)?;
    let (title, metadata) = (book.title(), book.metadata());
    let mut n_bytes = 0;
    let mut is_first = true;
    let mut n_missing = 0;
    for chapter in book.chapters.iter().take(MAX_CHAPTERS) {
        let read = package.read(&chapter.path);
        embedded::spend(0)?;
        let Some(source) = read.ok().flatten().and_then(|bytes| decode::decode(&bytes)) else {
            n_missing += 1;
            continue;
        };
        let part = titled(html::convert_whole(&source), chapter);
        if part.text.is_empty() {
            continue;
        }
        n_bytes += part.text.len();
        if n_bytes > settings.max_text_bytes {
            return Err(too_much_text(settings));
        }
        let first = std::mem::take(&mut is_first);
        emit(Document {
            format: Format::Epub,
            title: title.clone().filter(|_| first),
            metadata: if first { metadata.clone() } else { BTreeMap::new() },
            ..part
        })?;
    }
    if is_first && n_missing > 0 {
        return Err(rejected("the book is damaged: its chapters cannot be read"));
    }
    Ok(())
}

/// Returns what the package file says, with the titles of the table of contents.
fn open(package: &mut Package) -> Result<Book> {
    let container = text_of(package, "META-INF/container.xml")?
        .ok_or_else(|| rejected("the book is damaged: META-INF/container.xml is missing"))?;
    let path = package_file::root_of(&container)
        .ok_or_else(|| rejected("the book is damaged: it names no package file"))?;
    let source = text_of(package, &path)?
        .ok_or_else(|| rejected("the book is damaged: its package file is missing"))?;
    let mut book = package_file::parse(&source, &path);
    if let Some(encryption) = text_of(package, "META-INF/encryption.xml")? {
        let locked = package_file::encrypted(&encryption);
        if book.chapters.iter().any(|chapter| locked.contains(&chapter.path)) {
            return Err(rejected("the book is protected against copying (DRM)"));
        }
    }
    for contents in book.contents.clone() {
        if let Ok(Some(source)) = text_of(package, &contents) {
            book.name_chapters(&source, &contents);
        }
    }
    if book.chapters.is_empty() {
        return Err(rejected("the book is damaged: it has no chapters"));
    }
    Ok(book)
}

fn text_of(package: &mut Package, path: &str) -> Result<Option<String>> {
    Ok(package.read(path)?.and_then(|bytes| decode::decode(&bytes)))
}

/// Returns the chapter under its title, unless it has a heading.
fn titled(part: Document, chapter: &Chapter) -> Document {
    let has_heading =
        part.sections.iter().any(|section| matches!(section.kind, SectionKind::Heading { .. }));
    let title = collapsed(&characters(&chapter.title));
    if has_heading || title.is_empty() || part.text.is_empty() {
        return part;
    }
    let is_written = part.text.lines().next() == Some(title.as_str());
    as_section(part, &title, !is_written, Format::Epub)
}
