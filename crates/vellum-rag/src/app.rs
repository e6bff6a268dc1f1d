//! Everything the product needs from the world, gathered by the composition root.

use crate::fuse::Fusion;
use crate::jobs::Jobs;
use crate::pictures::Pictures;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use vellum_core::collection::{IndexSettings, SplitterSettings};
use vellum_core::ports::{
    Clock, Converter, Embedder, EmbeddingCache, Metastore, ObjectStore, VectorStore,
};

/// The ports and the settings. Cheap to share as `Arc<App>`; constructed only by `compose`.
pub struct App {
    /// Where documents come from.
    pub objects: Arc<dyn ObjectStore>,
    /// Bytes to documents.
    pub converter: Arc<dyn Converter>,
    /// Texts to vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Vectors of texts that were embedded before; `None` embeds everything anew.
    pub embeddings: Option<Arc<dyn EmbeddingCache>>,
    /// Chunks and vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// Collections, ledger, jobs.
    pub metastore: Arc<dyn Metastore>,
    /// Name of this worker, the same in each of its lives and no other's.
    pub worker: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the product.
    pub settings: Settings,
    /// Jobs of this process.
    pub jobs: Jobs,
    /// Pages that were drawn lately.
    pub pictures: Pictures,
}

/// Settings of the product, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How documents of new collections are cut.
    pub splitter: SplitterSettings,
    /// Analyser language of new collections; `None` means detect from the documents.
    pub language: Option<String>,
    /// Ingestion bounds.
    pub ingest: IngestSettings,
    /// Retrieval.
    pub retrieval: RetrievalSettings,
}

/// Bounds of ingestion.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Documents worked on at a time, >= 1.
    pub concurrency: usize,
    /// Largest source object in bytes; larger ones are rejected.
    pub max_document_bytes: u64,
    /// Bytes of source objects held in memory at a time; a larger object takes all of it.
    pub memory_budget: u64,
    /// Longest that one document may take.
    pub document_timeout: Duration,
    /// Longest that a job waits in one go for a cause to pass.
    pub patience: Duration,
}

/// How legs are searched and fused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievalSettings {
    /// Results asked of each leg, >= 1.
    pub leg_limit: usize,
    /// How the legs are fused.
    pub fusion: Fusion,
    /// Weight of the dense leg in fusion, >= 0.
    pub dense_weight: f32,
    /// Weight of the sparse leg in fusion, >= 0.
    pub sparse_weight: f32,
    /// Trade of relevance (1) against diversity (0) when choosing passages for an answer.
    pub mmr_lambda: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            splitter: SplitterSettings { max_tokens: 256, overlap_tokens: 0 },
            language: None,
            ingest: IngestSettings {
                concurrency: 4,
                max_document_bytes: 2 << 30,
                memory_budget: 512 << 20,
                document_timeout: Duration::from_secs(1_800),
                patience: Duration::from_secs(86_400),
            },
            retrieval: RetrievalSettings {
                leg_limit: 100,
                fusion: Fusion::Score,
                dense_weight: 0.7,
                sparse_weight: 0.3,
                mmr_lambda: 0.8,
            },
        }
    }
}

impl App {
    /// Returns the product over the same ports with other retrieval settings, and without the jobs of this one.
    pub fn with_retrieval(&self, retrieval: RetrievalSettings) -> Self {
        Self {
            objects: self.objects.clone(),
            converter: self.converter.clone(),
            embedder: self.embedder.clone(),
            embeddings: self.embeddings.clone(),
            vectors: self.vectors.clone(),
            metastore: self.metastore.clone(),
            worker: self.worker.clone(),
            clock: self.clock.clone(),
            settings: Settings { retrieval, ..self.settings.clone() },
            jobs: Jobs::default(),
            pictures: Pictures::default(),
        }
    }

    /// Returns the index settings that a collection created now would get.
    pub fn index_settings(&self) -> IndexSettings {
        let info = self.embedder.info();
        IndexSettings {
            converter: self.converter.version().to_owned(),
            splitter: SplitterSettings {
                max_tokens: self.settings.splitter.max_tokens.min(info.max_tokens),
                overlap_tokens: self.settings.splitter.overlap_tokens,
            },
            embedder: info.name.clone(),
            embedder_digest: info.digest.clone(),
            dim: info.dim,
        }
    }
}
