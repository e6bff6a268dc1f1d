//! All places that documents come from, by the scheme of their uri.

use crate::bucket::BucketStore;
use crate::folder::FolderStore;
use crate::s3;
use crate::web::{WebStore, is_web};
use async_trait::async_trait;
use vellum_core::Result;
use vellum_core::ports::{Content, Listing, ObjectMeta, ObjectStore};

/// Returns whether a source is reached over a network, so that nothing tells of its changes.
pub fn is_remote(source: &str) -> bool {
    is_bucket(source) || is_web(source)
}

fn is_bucket(source: &str) -> bool {
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

/// Folders, buckets and web sites as one [`ObjectStore`].
#[derive(Debug, Clone)]
pub struct Sources {
    folders: FolderStore,
    buckets: BucketStore,
    sites: WebStore,
}

impl Sources {
    /// Returns the store over all of them.
    pub fn new(folders: FolderStore, buckets: BucketStore, sites: WebStore) -> Self {
        Self { folders, buckets, sites }
    }

    fn of(&self, uri: &str) -> &dyn ObjectStore {
        if is_bucket(uri) {
            &self.buckets
        } else if is_web(uri) {
            &self.sites
        } else {
            &self.folders
        }
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
