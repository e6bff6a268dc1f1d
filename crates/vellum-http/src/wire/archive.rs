//! Export and import: `/api/v1/import` and `vellum collection export|import --json`.

use super::Refusal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::ids::CollectionName;
use vellum_rag::archive::{End, Imported, Manifest};

/// An order to make a collection of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Path of the file, which the server can read.
    pub file: String,
    /// Name of the collection; that of the export when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub collection: Option<CollectionName>,
}

/// What an import made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// Name of the collection.
    #[schema(value_type = String)]
    pub collection: CollectionName,
    /// Id of its index version.
    pub index_version: String,
    /// Indexed documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// As that of `collection show`; equal to the exported one under the same name.
    pub digest: String,
    /// Originals that came along.
    pub originals: u64,
    /// Datasets that came along.
    #[serde(default)]
    pub datasets: u64,
    /// Opinions on answers that came along.
    #[serde(default)]
    pub opinions: u64,
}

/// What `vellum collection export --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportReport {
    /// The file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Name of the collection.
    #[schema(value_type = String)]
    pub collection: CollectionName,
    /// Id of its index version.
    pub index_version: String,
    /// Indexed documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// As that of `collection show`.
    pub digest: String,
    /// Originals in the file.
    pub originals: u64,
    /// Datasets in the file.
    #[serde(default)]
    pub datasets: u64,
    /// Opinions on answers in the file.
    #[serde(default)]
    pub opinions: u64,
    /// Originals that could not be read any more as they were ingested, the first 100.
    pub left_out: Vec<Refusal>,
}

impl ExportReport {
    /// Returns the report of a file of `bytes` bytes.
    pub fn new(file: String, bytes: u64, manifest: Manifest, end: End) -> Self {
        let refusal = |it: vellum_core::job::Refusal| Refusal { uri: it.uri, reason: it.reason };
        Self {
            file,
            bytes,
            collection: manifest.collection,
            index_version: manifest.version,
            documents: manifest.documents,
            chunks: end.chunks,
            digest: end.digest,
            originals: end.originals,
            datasets: end.datasets,
            opinions: end.opinions,
            left_out: end.left_out.into_iter().map(refusal).collect(),
        }
    }
}

impl From<Imported> for ImportReport {
    fn from(imported: Imported) -> Self {
        let collection = imported.summary.collection;
        Self {
            index_version: collection.version(),
            collection: collection.name,
            documents: imported.summary.documents,
            chunks: imported.summary.chunks,
            digest: imported.digest,
            originals: imported.originals,
            datasets: imported.datasets,
            opinions: imported.opinions,
        }
    }
}
