//! All places that documents come from, by the scheme of their uri.

use crate::folder::FolderStore;
use crate::s3::{self, S3Store};
use async_trait::async_trait;
use vellum_core::Result;
use vellum_core::ports::{Content, Listing, ObjectMeta, ObjectStore};

/// Returns whether a source is reached over a network, so that nothing tells of its changes.
pub fn is_remote(source: &str) -> bool {
    source.starts_with(s3::SCHEME)
}

/// Returns a source as a process with another working folder can resolve it: paths in full, addresses as they are.
///
/// # Errors
/// As [`FolderStore`]'s `resolve`.
pub async fn absolute(source: &str) -> Result<String> {
    if is_remote(source) {
        return Ok(source.to_owned());
    }
    FolderStore::default().resolve(source).await
}

/// Folders and buckets as one [`ObjectStore`].
#[derive(Debug, Clone)]
pub struct Sources {
    folders: FolderStore,
    buckets: S3Store,
}

impl Sources {
    /// Returns the store over both.
    pub fn new(folders: FolderStore, buckets: S3Store) -> Self {
        Self { folders, buckets }
    }

    fn of(&self, uri: &str) -> &dyn ObjectStore {
        if is_remote(uri) { &self.buckets } else { &self.folders }
    }
}

#[async_trait]
impl ObjectStore for Sources {
    async fn resolve(&self, source: &str) -> Result<String> {
        self.of(source).resolve(source).await
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        self.of(source).list(source).await
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        self.of(uri).get(uri, limit).await
    }

    fn uri_of(&self, bucket: &str, key: &str) -> Result<String> {
        self.buckets.uri_of(bucket, key)
    }

    async fn check(&self) -> Result<()> {
        // Buckets are a matter of each job: keys for other programs in the environment, or none, stop nobody here.
        self.folders.check().await
    }
}
