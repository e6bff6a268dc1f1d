//! Originals that are kept, because their sources stayed where they were exported from.

use super::Content;
use crate::error::Result;
use crate::ids::{CollectionName, ContentHash};
use std::io::Read;

/// Keeps originals by collection and by the hash of their bytes.
///
/// Calls block: make them off the async threads. All are idempotent and durable on return.
pub trait KeptOriginals: Send + Sync {
    /// Keeps what `bytes` give up to their end, without holding it in memory.
    ///
    /// # Errors
    /// `Corrupt` when their hash is another one, and then nothing is kept; `NoSpace`, `Io`.
    fn put(
        &self,
        collection: &CollectionName,
        hash: &ContentHash,
        bytes: &mut dyn Read,
    ) -> Result<()>;

    /// Returns the bytes with this hash; `None` when they are not kept.
    fn get(&self, collection: &CollectionName, hash: &ContentHash) -> Result<Option<Content>>;

    /// Removes all of the collection's.
    fn forget(&self, collection: &CollectionName) -> Result<()>;
}
