//! What is tried: the formats, their names, and what holds for every document.

use crate::Failure;
use vellum_core::document::{Document, Format, Span};

/// Every format.
pub(crate) const FORMATS: [Format; 21] = [
    Format::Text,
    Format::Markdown,
    Format::Html,
    Format::Pdf,
    Format::Docx,
    Format::Doc,
    Format::Pptx,
    Format::Ppt,
    Format::Xlsx,
    Format::Xls,
    Format::Odt,
    Format::Odp,
    Format::Ods,
    Format::Epub,
    Format::Rtf,
    Format::Email,
    Format::Outlook,
    Format::Csv,
    Format::Json,
    Format::Code,
    Format::Zip,
];

/// Returns the format with this name or file ending.
pub(crate) fn named(name: &str) -> Result<Format, Failure> {
    let found = FORMATS.into_iter().find(|f| f.as_str() == name || extension(*f) == name);
    found.ok_or_else(|| format!("there is no format {name}").into())
}

/// Returns the ending of a file of `format`, without the dot.
pub(crate) fn extension(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Markdown => "md",
        Format::Email => "eml",
        Format::Outlook => "msg",
        Format::Code => "rs",
        other => other.as_str(),
    }
}

/// Returns an error when the spans of a document do not fit its text.
pub(crate) fn check(document: &Document) -> Result<(), Failure> {
    let fits =
        |span: Span| span.start <= span.end && document.text.get(span.start..span.end).is_some();
    let words = &document.layout.words;
    let word_fits = |n: usize| {
        let span = Span { start: words[n].start as usize, end: words[n].end as usize };
        fits(span) && (n == 0 || words[n - 1].end <= words[n].start)
    };
    if !document.sections.iter().all(|section| fits(section.span)) {
        return Err("a section does not fit the text".into());
    }
    if !document.layout.links.iter().all(|link| fits(link.span)) {
        return Err("a link does not fit the text".into());
    }
    if !(0..words.len()).all(word_fits) {
        return Err("the words do not ascend, or do not fit the text".into());
    }
    Ok(())
}
