//! `GET /api/v1/collections` and `vellum collection list|show --json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::ids::CollectionName;
use vellum_rag::collections::Summary;

/// All collections that the caller may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionList {
    /// Ascending by name.
    pub collections: Vec<CollectionInfo>,
}

/// A collection in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionInfo {
    /// Name.
    #[schema(value_type = String)]
    pub name: CollectionName,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// Id of the live index version: a digest of its settings.
    pub index_version: String,
    /// Name of the embedder that made the vectors.
    pub embedder: String,
}

/// A collection with the digest of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionShow {
    /// Name.
    #[schema(value_type = String)]
    pub name: CollectionName,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// Order-independent hash over all chunk ids and texts; equal collections have equal digests.
    pub digest: String,
    /// Id of the live index version: a digest of its settings.
    pub index_version: String,
    /// Name of the embedder that made the vectors.
    pub embedder: String,
    /// Language of the lexical index; null until it is settled, or where it has no analyser.
    pub language: Option<String>,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl From<Summary> for CollectionInfo {
    fn from(summary: Summary) -> Self {
        Self {
            index_version: summary.collection.version(),
            name: summary.collection.name,
            documents: summary.documents,
            chunks: summary.chunks,
            embedder: summary.collection.settings.embedder,
        }
    }
}

impl CollectionShow {
    /// Returns what `collection show` tells; `digest` is that of [`vellum_rag::collections::digest`].
    pub fn new(summary: Summary, digest: String) -> Self {
        let collection = summary.collection;
        Self {
            index_version: collection.version(),
            name: collection.name,
            documents: summary.documents,
            chunks: summary.chunks,
            digest,
            embedder: collection.settings.embedder,
            language: collection.sparse.map_or(collection.language, |sparse| sparse.language),
            created_ms: collection.created_ms,
        }
    }
}
