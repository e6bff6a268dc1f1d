//! Plain text: cleaned, otherwise as it stands.
//!
//! Line breaks are kept, because nothing says whether they are meant (lists, addresses, tables).
//! There is no title: a first line may be anything.

use crate::clean::{TextBuilder, characters};
use std::collections::BTreeMap;
use vellum_core::document::{Document, Format, Layout};

/// Returns the cleaned text as a document.
pub(crate) fn convert(text: &str) -> Document {
    let mut builder = TextBuilder::default();
    builder.push_lines(&characters(text));
    let (text, sections) = builder.finish();
    let (metadata, layout) = (BTreeMap::new(), Layout::default());
    Document { format: Format::Text, title: None, text, sections, metadata, layout }
}
