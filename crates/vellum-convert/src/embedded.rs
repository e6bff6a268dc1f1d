//! Documents inside a document: members of an archive, attachments of a message.
//!
//! An embedded document becomes a section of the one that holds it: a first-rank heading with its name, then
//! its text. Its own pages become headings, because pages are counted in the outer document; its own
//! headings move one rank down. One that cannot be read is named with the reason and stops nobody.
//!
//! Depth and the bytes that are unpacked are counted for the outermost file and all it holds together. Both
//! counts are of the thread, because a file is converted on one thread and the converters between two levels
//! know nothing of each other.

use crate::detect::rejected;
use crate::{Emit, Settings, convert_parts};
use std::cell::Cell;
use std::collections::BTreeMap;
use vellum_core::document::{Document, Format, Layout, Section, SectionKind, Span};
use vellum_core::ports::ConvertInput;
use vellum_core::{ErrorKind, Result};

/// How deep documents are followed into one another.
const MAX_DEPTH: usize = 4;
/// How many times its own size a file may unfold to.
const MAX_RATIO: u64 = 200;
/// What a small file may always unfold to, in bytes.
const FREE_BYTES: u64 = 16 << 20;
/// How many times its own size a file of any size may unfold to: archives of what is packed already.
const LARGE_RATIO: u64 = 8;
/// Most embedded documents that are named as not read; of more there is only the number.
const MAX_NAMED: usize = 100;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// None when more was unpacked than may be.
    static LEFT: Cell<Option<u64>> = const { Cell::new(Some(FREE_BYTES)) };
}

/// Sets what the outermost file may unfold to; does nothing inside it.
pub(crate) fn begin(n_bytes: u64, settings: &Settings) {
    if DEPTH.get() == 0 {
        let most = n_bytes.saturating_mul(MAX_RATIO).max(FREE_BYTES);
        let held = (settings.max_text_bytes as u64 * 4).max(n_bytes.saturating_mul(LARGE_RATIO));
        LEFT.set(Some(most.min(held)));
    }
}

/// Returns how many more bytes may be unpacked.
pub(crate) fn left() -> u64 {
    LEFT.get().unwrap_or_default()
}

/// Counts bytes that were unpacked.
///
/// # Errors
/// `Rejected` when they, or those before, are more than the file may unfold to.
pub(crate) fn spend(n_bytes: u64) -> Result<()> {
    LEFT.set(LEFT.get().and_then(|left| left.checked_sub(n_bytes)));
    match LEFT.get() {
        Some(_) => Ok(()),
        None => Err(rejected("the file unfolds to far more than its size (archive bomb)")),
    }
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
    within(&input.name, format, emit, |emit| convert_parts(input, settings, emit))
}

/// Hands on what `read` hands on, as the embedded document `name`; else as [`convert`].
///
/// # Errors
/// As [`convert`].
pub(crate) fn within(
    name: &str,
    format: Format,
    emit: Emit<'_>,
    read: impl FnOnce(Emit<'_>) -> Result<()>,
) -> Result<Option<String>> {
    let depth = DEPTH.get();
    if depth == MAX_DEPTH {
        return Ok(Some(format!("it is nested more than {MAX_DEPTH} deep")));
    }
    DEPTH.set(depth + 1);
    let mut first = true;
    let mut is_broken = false;
    let result = read(&mut |part| {
        let is_first = std::mem::take(&mut first);
        emit(as_section(part, name, is_first, format)).inspect_err(|_| is_broken = true)
    });
    DEPTH.set(depth);
    match result {
        Ok(()) => Ok(None),
        Err(error) if !is_broken && error.kind() == ErrorKind::Rejected => {
            Ok(Some(error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Returns `part` under a heading with `name`, as a part of an outer document.
///
/// The name stands in the text once: in the first part, unless that opens with it as a heading.
pub(crate) fn as_section(part: Document, name: &str, is_first: bool, format: Format) -> Document {
    let opens_with_name = part.sections.first().is_some_and(|section| {
        section.span.start == 0
            && matches!(&section.kind, SectionKind::Heading { title, .. } if title == name)
    });
    let is_led = is_first && !opens_with_name && !name.is_empty();
    let lead = if is_led { format!("{name}\n\n") } else { String::new() };
    let text = (lead.clone() + &part.text).trim_end().to_owned();
    let noun = part.format.page_noun();
    let mut sections = Vec::with_capacity(part.sections.len() + 1);
    if !opens_with_name && !name.is_empty() {
        let kind = SectionKind::Heading { level: 1, title: name.to_owned() };
        sections.push(Section { kind, span: Span { start: 0, end: text.len() } });
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
    // What an embedded document says of itself does not hold for the outer one.
    Document {
        format,
        title: None,
        text,
        sections,
        metadata: BTreeMap::new(),
        layout: Layout::default(),
    }
}

/// Embedded documents that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    named: Vec<String>,
    n_more: usize,
    /// Why the first one could not be read.
    pub(crate) reason: Option<String>,
}

impl Unread {
    pub(crate) fn add(&mut self, name: &str, reason: &str) {
        let reason = reason.strip_prefix("not a text document: ").unwrap_or(reason);
        self.reason.get_or_insert_with(|| reason.to_owned());
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("Not read: {name} ({reason})"));
        } else {
            self.n_more += 1;
        }
    }

    /// Returns the lines that name them, as the last part of a document in `format`; `None` when there are none.
    pub(crate) fn note(mut self, format: Format) -> Option<Document> {
        if self.n_more > 0 {
            self.named.push(format!("Not read: {} more", self.n_more));
        }
        let note = Document { format, ..Document::plain(self.named.join("\n")) };
        (!self.named.is_empty()).then_some(note)
    }
}
