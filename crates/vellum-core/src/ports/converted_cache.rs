//! Documents that were converted before.

use super::Parts;
use crate::error::Result;
use crate::ids::{CollectionName, ContentHash, DocumentId};

/// What a conversion was of; all of it must be the same for its result to be taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// Collection of the document.
    pub collection: CollectionName,
    /// The document. At most one conversion of each is kept.
    pub document: DocumentId,
    /// Hash of the bytes that were converted.
    pub content: ContentHash,
    /// Version of the converter.
    pub converter: String,
}

/// Keeps what the converter made of documents, so that an index version is built without fetching and reading the originals
/// again.
///
/// It may forget anything at any time, and never gives what was not kept whole under an equal [`Conversion`]. Failures cost
/// work, not results, so they are logged and not returned where that is enough. Calls that are not async may block on a disk.
pub trait ConvertedCache: Send + Sync {
    /// Returns the parts that are kept, `None` when there are none. Blocks: make the call off the async threads.
    fn get(&self, of: &Conversion) -> Option<Parts>;

    /// Returns the same parts, and keeps them if they end well. What is kept of the document
    /// from before goes when the first part comes.
    fn keep(&self, of: Conversion, parts: Parts) -> Parts;

    /// Removes what is kept of these documents, so that nothing of what was deleted stays. Blocks.
    ///
    /// # Errors
    /// `Io` when it cannot be removed.
    fn forget(&self, collection: &CollectionName, documents: &[DocumentId]) -> Result<()>;

    /// Removes all of the collection's. Blocks.
    ///
    /// # Errors
    /// `Io` when it cannot be removed.
    fn forget_all(&self, collection: &CollectionName) -> Result<()>;
}
