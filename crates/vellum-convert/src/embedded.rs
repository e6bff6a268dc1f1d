//! Documents inside a document: members of an archive, attachments of a message.
//!
//! An embedded document becomes a section of the one that holds it: a first-rank heading with its name, then
//! its text. Its own pages become headings, because pages are counted in the outer document; its own
//! headings move one rank down. One that cannot be read is named with the reason and stops nobody.

use crate::{Emit, Settings, convert_parts};
use vellum_core::document::{Document, Format, Section, SectionKind, Span};
use vellum_core::ports::ConvertInput;
use vellum_core::{ErrorKind, Result};

/// How deep documents are followed into one another.
const MAX_DEPTH: usize = 4;

thread_local! {
    static DEPTH: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Hands on the parts of the embedded document `input`, of an outer document in `format`.
///
/// Returns the reason when it cannot be read; parts that were handed on before stay.
///
/// # Errors
/// Those of `emit`.
pub(crate) fn convert(
    input: &ConvertInput,
    format: Format,
    settings: &Settings,
    emit: Emit<'_>,
) -> Result<Option<String>> {
    let depth = DEPTH.get();
    if depth == MAX_DEPTH {
        return Ok(Some(format!("it is nested more than {MAX_DEPTH} deep")));
    }
    DEPTH.set(depth + 1);
    let mut first = true;
    let mut broken = None;
    let result = convert_parts(input, settings, &mut |part| {
        let name = std::mem::take(&mut first).then_some(input.name.as_str());
        emit(as_section(part, name, format)).inspect_err(|error| broken = Some(error.kind()))
    });
    DEPTH.set(depth);
    match result {
        Ok(()) => Ok(None),
        Err(error) if broken.is_none() && error.kind() == ErrorKind::Rejected => {
            Ok(Some(error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Returns `part` under a heading with `name`, as a part of an outer document.
fn as_section(part: Document, name: Option<&str>, format: Format) -> Document {
    let lead = name.map(|name| format!("{name}\n\n")).unwrap_or_default();
    let end = lead.len() + part.text.len();
    let noun = part.format.page_noun();
    let mut sections = Vec::with_capacity(part.sections.len() + 1);
    if let Some(name) = name {
        let kind = SectionKind::Heading { level: 1, title: name.to_owned() };
        sections.push(Section { kind, span: Span { start: 0, end } });
    }
    sections.extend(part.sections.into_iter().map(|section| {
        let kind = match section.kind {
            SectionKind::Page(number) => {
                SectionKind::Heading { level: 2, title: format!("{noun} {number}") }
            }
            SectionKind::Heading { level, title } => {
                SectionKind::Heading { level: (level + 1).min(6), title }
            }
        };
        let span =
            Span { start: section.span.start + lead.len(), end: section.span.end + lead.len() };
        Section { kind, span }
    }));
    // Pages, hence places on them, are those of the inner file.
    let (metadata, positions) = (part.metadata, Vec::new());
    Document { format, title: None, text: lead + &part.text, sections, metadata, positions }
}
