//! Where documents come from: folders, buckets and web sites.

use super::Content;
use crate::error::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;

/// A source object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Absolute uri: blanks and controls are percent-encoded, other characters where the scheme wants it.
    pub uri: String,
    /// File name, decoded, for people.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Change marker: differs whenever the content may differ.
    pub etag: String,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object.
    Object(ObjectMeta),
    /// Something that is there but cannot be read: counted as listed and failed.
    ///
    /// A uri that ends with `/` is a folder whose content is unknown: documents below it must not be
    /// taken for removed.
    Unreadable {
        /// Its uri.
        uri: String,
        /// One line.
        reason: String,
    },
    /// Something that is left out by rule (symbolic link, device): not counted as listed.
    Skipped {
        /// Its uri.
        uri: String,
        /// One line.
        reason: String,
    },
}

impl Listed {
    /// Returns the entry's uri.
    pub fn uri(&self) -> &str {
        match self {
            Self::Object(meta) => &meta.uri,
            Self::Unreadable { uri, .. } | Self::Skipped { uri, .. } => uri,
        }
    }
}

/// A listing in progress.
pub type Listing = BoxStream<'static, Result<Listed>>;

/// Lists and reads source objects. Reads only: nothing here changes a source.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Returns the absolute source uri of what a user typed (a path or a uri); folders end with `/`.
    ///
    /// # Errors
    /// `NotFound` when it does not exist, `Io` when it cannot be read, `Unsupported` for a scheme
    /// that this store does not speak.
    async fn resolve(&self, source: &str) -> Result<String>;

    /// Returns everything below `source` (a resolved uri), strictly ascending by the bytes of the uri.
    ///
    /// Memory is O(entries of the folders on one path, or of a page). An entry that cannot be read is
    /// [`Listed::Unreadable`] and the listing goes on. Any other failure ends it with an error, because
    /// a partial listing must never look like a removal of the rest.
    ///
    /// # Errors
    /// `NotFound` when the source is gone: it is not an empty one. `Io` when it cannot be listed.
    async fn list(&self, source: &str) -> Result<Listing>;

    /// Returns the object's metadata and whole content, read as one consistent version.
    ///
    /// # Errors
    /// `NotFound`, `Io`; `Rejected` when it holds more than `limit` bytes; `Conflict` when it changed
    /// while it was read.
    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)>;

    /// Returns the uri of the object with this key, decoded, in a bucket; nothing is asked of the bucket.
    ///
    /// # Errors
    /// `Unsupported` where there are no buckets, `Invalid` for a key that no uri can name.
    fn uri_of(&self, _bucket: &str, _key: &str) -> Result<String> {
        Err(Error::new(ErrorKind::Unsupported, "this store has no buckets"))
    }

    /// Fails when nothing could be read now.
    async fn check(&self) -> Result<()>;
}
