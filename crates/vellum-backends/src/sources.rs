//! All places that documents come from, by the scheme of their uri.

use crate::bucket::BucketStore;
use crate::folder::FolderStore;
use crate::web::{WebStore, is_web};
use crate::{azure, gcs, s3};
use async_trait::async_trait;
use vellum_core::Result;
use vellum_core::ports::{Content, Listing, ObjectMeta, ObjectStore};

/// Returns whether a source is reached over a network, so that nothing tells of its changes.
pub fn is_remote(source: &str) -> bool {
    is_bucket(source) || is_web(source)
}

fn is_bucket(source: &str) -> bool {
    let begins = |scheme: &&str| source.starts_with(*scheme);
    [s3::SCHEME, gcs::SCHEME].iter().any(begins) || is_azure(source)
}

fn is_azure(source: &str) -> bool {
    source.starts_with(azure::SCHEME) || azure::ABFS.iter().any(|it| source.starts_with(it))
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
    /// Paths and `file:` uris.
    pub folders: FolderStore,
    /// `s3://`, and the buckets that events tell of.
    pub s3: BucketStore,
    /// `gs://`.
    pub gcs: BucketStore,
    /// `az://`, and `abfss://` as others write it.
    pub azure: BucketStore,
    /// `https://` and `http://`.
    pub sites: WebStore,
}

impl Sources {
    fn of(&self, uri: &str) -> &dyn ObjectStore {
        if uri.starts_with(s3::SCHEME) {
            &self.s3
        } else if uri.starts_with(gcs::SCHEME) {
            &self.gcs
        } else if is_azure(uri) {
            &self.azure
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
        self.s3.uri_of(bucket, key)
    }

    async fn check(&self) -> Result<()> {
        // Buckets are a matter of each job: keys for other programs in the environment, or none, stop nobody here.
        self.folders.check().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_over_a_network() {
        for source in
            ["s3://b/x", "gs://b", "az://c/x", "abfss://c@a.dfs.core.windows.net/x", "https://h/"]
        {
            assert!(is_remote(source), "{source}");
        }
        for source in ["docs", "/docs", "file:///docs", "gopher://h/", "azure"] {
            assert!(!is_remote(source), "{source}");
        }
    }
}
