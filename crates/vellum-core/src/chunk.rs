//! A chunk: the unit that is embedded, found and cited.

use crate::document::{Format, PageBox, Places, Span};
use crate::ids::{ChunkId, DocumentId};
use crate::metadata::Metadata;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Where a page begins inside a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageStart {
    /// 1-based page number.
    pub page: u32,
    /// Byte offset in the chunk's text; 0 for the page on which the chunk begins.
    pub at: usize,
}

/// The chunks whose joined text is handed to an answer in place of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Ordinal of the first.
    pub first: u32,
    /// Ordinal of the last.
    pub last: u32,
}

/// A piece of a document's text with everything a citation needs.
///
/// `text` is byte-exact `document.text[span.start..span.end]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Content-derived id.
    pub id: ChunkId,
    /// The document it was cut from.
    pub document: DocumentId,
    /// The document's uri.
    pub uri: String,
    /// The document's file name.
    pub source: String,
    /// The document's title.
    pub title: Option<String>,
    /// The document's format.
    pub format: Format,
    /// Language that the document was found to be in, ISO 639-1; `None` where that is not clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Size of the source object in bytes; 0 in chunks that were stored before it was known.
    #[serde(default)]
    pub bytes: u64,
    /// What the document says about itself.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Position among the document's chunks, from 0.
    pub ordinal: u32,
    /// The text.
    pub text: String,
    /// Byte range in the document's text.
    pub span: Span,
    /// Character (Unicode scalar value) offset of `span.start` in the document's text.
    pub char_start: usize,
    /// Pages that begin at or inside the chunk, ascending; empty where the format has none.
    pub pages: Vec<PageStart>,
    /// Headings above the chunk's start, outermost first.
    pub headings: Vec<String>,
    /// Title and headings that are embedded and indexed before the text, as `Title > Heading`; never cited. Empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// What is handed to an answer in place of this chunk; `None` for the chunk itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Where the words stand on their pages.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub places: Places,
}

impl Chunk {
    /// Returns the text that is embedded and indexed: the context on a line of its own, then the text.
    pub fn indexed_text(&self) -> Cow<'_, str> {
        if self.context.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        Cow::Owned(with_context(&self.context, &self.text))
    }

    /// Returns the 1-based page that holds byte `at` of the chunk's text.
    pub fn page_at(&self, at: usize) -> Option<u32> {
        self.pages.iter().take_while(|start| start.at <= at).last().map(|start| start.page)
    }

    /// Returns the rectangles on pages that cover a byte range of the chunk's text; empty where the format does
    /// not tell.
    pub fn boxes_of(&self, within: Span) -> Vec<PageBox> {
        self.places.boxes(within)
    }

    /// Returns the character range in the document's text of a byte range of the chunk's text.
    pub fn char_range(&self, within: Span) -> (usize, usize) {
        let before = self.text[..within.start].chars().count();
        let inside = self.text[within.start..within.end].chars().count();
        (self.char_start + before, self.char_start + before + inside)
    }
}

/// Returns `text` as it is embedded and indexed under a context that is not empty.
pub fn with_context(context: &str, text: &str) -> String {
    format!("{context}\n{text}")
}
