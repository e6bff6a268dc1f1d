//! What a converter makes of a source object: one text, its sections and its metadata.
//!
//! Every position is a byte offset into [`Document::text`]; citations and chunks point there.

mod layout;
mod places;

pub use layout::{Edge, Furniture, Layout, Link, PageBox, PageSize, Position, Rect};
pub use places::Places;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Half-open byte range in a document's text; `start <= end`, both on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Returns whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns whether `other` lies wholly inside.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns whether the two ranges share a byte.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Metadata of a PDF: pages that hold pictures but no text and were left out, such as `3, 5-7`.
pub const PAGES_WITHOUT_TEXT: &str = "pages_without_text";
/// What stands between the texts of two parts of a document.
pub const PART_SEPARATOR: &str = "\n\n";

/// The format that was recognised from a document's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Plain text.
    Text,
    /// Markdown (CommonMark with tables).
    Markdown,
    /// HTML.
    Html,
    /// PDF.
    Pdf,
    /// Word document.
    Docx,
    /// Word document before 2007.
    Doc,
    /// PowerPoint presentation; its pages are slides.
    Pptx,
    /// PowerPoint presentation before 2007; its pages are slides.
    Ppt,
    /// Excel workbook; its pages are sheets.
    Xlsx,
    /// Excel workbook before 2007; its pages are sheets.
    Xls,
    /// OpenDocument text.
    Odt,
    /// OpenDocument presentation; its pages are slides.
    Odp,
    /// OpenDocument spreadsheet; its pages are sheets.
    Ods,
    /// EPUB book.
    Epub,
    /// Rich text.
    Rtf,
    /// E-mail (RFC 5322) with its attachments.
    Email,
    /// Outlook message with its attachments.
    Outlook,
    /// Comma or tab separated values.
    Csv,
    /// JSON or JSON lines.
    Json,
    /// Source code.
    Code,
    /// ZIP archive of documents.
    Zip,
}

/// Every format with its name and the media type under which an original is served, in the order of [`Format`].
const FORMATS: [(Format, &str, &str); 21] = [
    (Format::Text, "text", "text/plain; charset=utf-8"),
    (Format::Markdown, "markdown", "text/markdown; charset=utf-8"),
    (Format::Html, "html", "text/html; charset=utf-8"),
    (Format::Pdf, "pdf", "application/pdf"),
    (
        Format::Docx,
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (Format::Doc, "doc", "application/msword"),
    (
        Format::Pptx,
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    (Format::Ppt, "ppt", "application/vnd.ms-powerpoint"),
    (Format::Xlsx, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (Format::Xls, "xls", "application/vnd.ms-excel"),
    (Format::Odt, "odt", "application/vnd.oasis.opendocument.text"),
    (Format::Odp, "odp", "application/vnd.oasis.opendocument.presentation"),
    (Format::Ods, "ods", "application/vnd.oasis.opendocument.spreadsheet"),
    (Format::Epub, "epub", "application/epub+zip"),
    (Format::Rtf, "rtf", "application/rtf"),
    (Format::Email, "email", "message/rfc822"),
    (Format::Outlook, "outlook", "application/vnd.ms-outlook"),
    (Format::Csv, "csv", "text/csv; charset=utf-8"),
    (Format::Json, "json", "application/json"),
    (Format::Code, "code", "text/plain; charset=utf-8"),
    (Format::Zip, "zip", "application/zip"),
];

impl Format {
    /// Returns the lowercase name, as in `convert --json`.
    pub const fn as_str(self) -> &'static str {
        FORMATS[self as usize].1
    }

    /// Returns the format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(_, known, _)| *known == name).map(|(format, ..)| *format)
    }

    /// Returns the media type under which an original of this format is served.
    pub const fn media_type(self) -> &'static str {
        FORMATS[self as usize].2
    }

    /// Returns what people call a page of this format.
    pub const fn page_noun(self) -> &'static str {
        match self {
            Self::Pptx | Self::Ppt | Self::Odp => "slide",
            Self::Xlsx | Self::Xls | Self::Ods => "sheet",
            _ => "page",
        }
    }
}

/// What a section is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SectionKind {
    /// A page, a slide or a sheet ([`Format::page_noun`]); 1-based.
    Page(u32),
    /// A heading and what follows it up to the next heading of the same or a higher rank.
    Heading {
        /// Rank, 1 (highest) to 6.
        level: u8,
        /// Text of the heading.
        title: String,
    },
}

/// A page or a heading with the text it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Page or heading.
    pub kind: SectionKind,
    /// The text it covers. Pages do not overlap each other; headings nest.
    pub span: Span,
}

/// The text of one source object with its structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Recognised format.
    pub format: Format,
    /// Title from the metadata or the first heading.
    pub title: Option<String>,
    /// The whole extracted text, UTF-8, `\n` line ends.
    pub text: String,
    /// Pages and headings, ascending by start; a page before the headings that start with it.
    pub sections: Vec<Section>,
    /// Author, dates, language and the like, as the source names them.
    pub metadata: BTreeMap<String, String>,
    /// How the text stands on its pages.
    #[serde(default, skip_serializing_if = "Layout::is_empty")]
    pub layout: Layout,
}

impl Document {
    /// Returns a document without structure, as datasets and tests need it.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            format: Format::Text,
            title: None,
            text: text.into(),
            sections: Vec::new(),
            metadata: BTreeMap::new(),
            layout: Layout::default(),
        }
    }

    /// Puts the next part of the same document after this one, as a paragraph of its own.
    ///
    /// Metadata that differs is joined by commas. A heading stays open across parts only in its own: nothing tells whether the next one continues it.
    pub fn append(&mut self, part: &Self) {
        if !part.text.is_empty() {
            self.text.push_str(PART_SEPARATOR);
        }
        let start = self.text.len();
        self.text.push_str(&part.text);
        self.sections.extend(part.sections.iter().map(|section| Section {
            kind: section.kind.clone(),
            span: Span { start: section.span.start + start, end: section.span.end + start },
        }));
        self.layout.append(&part.layout, start);
        for (key, value) in &part.metadata {
            match self.metadata.get_mut(key) {
                // What is told of each part, such as lists of pages, goes on; the rest is told alike.
                Some(known) if known != value => *known = format!("{known}, {value}"),
                Some(_) => {}
                None => drop(self.metadata.insert(key.clone(), value.clone())),
            }
        }
    }

    /// Returns where `span` stands: rectangles with their pages, one for each run of words on a line.
    ///
    /// A word that `span` only touches counts whole; empty where the format has no positions.
    pub fn boxes_of(&self, span: Span) -> Vec<(u32, Rect)> {
        layout::boxes(&self.layout.words, span)
    }

    /// Returns the pages as `(number, span)`, in order; empty where the format has none.
    pub fn pages(&self) -> impl Iterator<Item = (u32, Span)> + '_ {
        self.sections.iter().filter_map(|section| match section.kind {
            SectionKind::Page(number) => Some((number, section.span)),
            SectionKind::Heading { .. } => None,
        })
    }

    /// Returns the 1-based page that holds byte `at`; `None` where the format has no pages.
    pub fn page_at(&self, at: usize) -> Option<u32> {
        self.pages().take_while(|(_, span)| span.start <= at).last().map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_formats_is_in_order() {
        for (index, (format, name, _)) in FORMATS.into_iter().enumerate() {
            assert_eq!(format as usize, index, "{name}");
            assert_eq!(Format::from_name(name), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), name);
        }
    }

    #[test]
    fn parts_make_a_document() {
        let part = |number, text: &str| {
            let kind = SectionKind::Page(number);
            let sections = vec![Section { kind, span: Span { start: 0, end: text.len() } }];
            let rect = Rect { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 };
            let words = vec![Position { start: 0, end: 3, page: number, rect }];
            let layout = Layout { words, ..Layout::default() };
            let metadata = [("author", "A".to_owned()), ("pages", number.to_string())];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
            Document { sections, layout, metadata, ..Document::plain(text) }
        };
        let mut document = part(1, "one");
        document.append(&part(2, "two"));
        assert_eq!(document.text, "one\n\ntwo");
        let pages: Vec<_> = document.pages().map(|(n, span)| (n, span.start, span.end)).collect();
        assert_eq!(pages, [(1, 0, 3), (2, 5, 8)]);
        assert_eq!(document.metadata["author"], "A");
        assert_eq!(document.metadata["pages"], "1, 2");
        let boxes = document.boxes_of(Span { start: 6, end: 7 });
        assert_eq!(boxes.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn page_of_an_offset() {
        let mut document = Document::plain("one two");
        assert_eq!(document.page_at(0), None);
        for (number, start, end) in [(1, 0, 4), (2, 4, 7)] {
            let kind = SectionKind::Page(number);
            document.sections.push(Section { kind, span: Span { start, end } });
        }
        assert_eq!(
            [0, 3, 4, 6].map(|at| document.page_at(at)),
            [Some(1), Some(1), Some(2), Some(2)]
        );
    }
}
