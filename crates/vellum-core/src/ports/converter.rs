//! Untrusted bytes to a [`Document`].

use super::Content;
use crate::document::Document;
use crate::error::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

/// What a converter is given.
#[derive(Debug, Clone)]
pub struct ConvertInput {
    /// File name; a hint for formats that content alone cannot tell apart, never trusted beyond that.
    pub name: String,
    /// The whole content.
    pub content: Content,
}

/// A document in parts, in reading order, at least one.
///
/// Each part is a [`Document`] of its own with positions in its own text; [`Document::append`] puts them
/// together. Only large documents have more than one, so a reader needs memory for one part. Title and
/// metadata are those of the first part.
pub type Parts = BoxStream<'static, Result<Document>>;

/// Turns bytes into text with structure.
///
/// Pure: the same input gives the same parts. Safe to retry.
#[async_trait]
pub trait Converter: Send + Sync {
    /// Returns the version of the extraction; part of the index settings, so raising it re-ingests.
    fn version(&self) -> &str;

    /// Returns the document's parts as they are read. Dropping the stream ends the work.
    ///
    /// # Errors
    /// The stream ends with its first error. `Rejected` when the content cannot be read as it is
    /// (damaged, encrypted, unknown format, no text, over a limit), even after parts of it were; the
    /// message is one line that names the cause and is shown to users. `Unavailable` when the
    /// converter itself is broken.
    fn parts(&self, input: ConvertInput) -> Parts;

    /// Returns the whole document; for those that are known to fit in memory.
    ///
    /// # Errors
    /// As the stream of [`Self::parts`].
    async fn convert(&self, input: ConvertInput) -> Result<Document> {
        let mut parts = self.parts(input);
        let nothing = || Error::new(ErrorKind::Internal, "the converter returned no part");
        let mut document = parts.next().await.ok_or_else(nothing)??;
        while let Some(part) = parts.next().await {
            document.append(&part?);
        }
        Ok(document)
    }

    /// Returns page `page`, from 1, of an original as a PNG that is `width` pixels wide; narrower where it is
    /// far longer than wide. Its pixels fit the [`crate::document::Layout`] that were read from the same bytes.
    ///
    /// # Errors
    /// `NotFound` where this converter draws no pages; `Rejected` when the content has no such page or it cannot
    /// be drawn; `Unavailable` when the converter itself is broken.
    async fn page_image(&self, content: Content, page: u32, width: u32) -> Result<Vec<u8>> {
        let _ = (content, page, width);
        Err(Error::new(ErrorKind::NotFound, "this converter draws no pages"))
    }

    /// Frees what is kept for the next conversion. Harmless at any time; work in progress goes on.
    fn release(&self) {}

    /// Fails when no document could be converted now.
    async fn check(&self) -> Result<()>;
}
