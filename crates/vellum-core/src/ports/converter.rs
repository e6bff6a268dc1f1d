//! Untrusted bytes to a [`Document`].

use crate::document::Document;
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;

/// What a converter is given.
#[derive(Debug, Clone)]
pub struct ConvertInput {
    /// File name; a hint for formats that content alone cannot tell apart, never trusted beyond that.
    pub name: String,
    /// The whole content.
    pub bytes: Bytes,
}

/// Turns bytes into text with structure.
///
/// Pure: the same input gives the same document. Safe to retry.
#[async_trait]
pub trait Converter: Send + Sync {
    /// Returns the version of the extraction; part of the index settings, so raising it re-ingests.
    fn version(&self) -> &str;

    /// Returns the document.
    ///
    /// # Errors
    /// `Rejected` when the content cannot be read as it is (damaged, encrypted, unknown format, no
    /// text, over a limit); the message is one line that names the cause and is shown to users.
    /// `Unavailable` when the converter itself is broken. Dropping the future ends the work.
    async fn convert(&self, input: ConvertInput) -> Result<Document>;

    /// Fails when no document could be converted now.
    async fn check(&self) -> Result<()>;
}
