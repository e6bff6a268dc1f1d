//! Everything the product needs from the world, gathered by the composition root.

use crate::fuse::Fusion;
use crate::jobs::Jobs;
use crate::pictures::Pictures;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use vellum_core::collection::{Collection, IndexSettings, SplitterSettings, Tuning};
use vellum_core::ports::{
    Clock, Converter, Embedder, EmbedderInfo, EmbeddingCache, KeptOriginals, Metastore,
    ObjectStore, Reranker, VectorStore,
};
use vellum_core::{Error, ErrorKind, Result};

/// The ports and the settings. Cheap to share as `Arc<App>`; constructed only by `compose`.
pub struct App {
    /// Where documents come from.
    pub objects: Arc<dyn ObjectStore>,
    /// Originals that came with imported collections.
    pub kept: Arc<dyn KeptOriginals>,
    /// Bytes to documents.
    pub converter: Arc<dyn Converter>,
    /// Texts to vectors, for new collections and versions.
    pub embedder: Arc<dyn Embedder>,
    /// The embedders of versions that were made before `embedder` was configured.
    pub earlier_embedders: Vec<Arc<dyn Embedder>>,
    /// Vectors of texts that were embedded before; `None` embeds everything anew.
    pub embeddings: Option<Arc<dyn EmbeddingCache>>,
    /// Question and passages to scores; `None` leaves the order to fusion.
    pub reranker: Option<Arc<dyn Reranker>>,
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
    /// Percentile of the `semantic` splitter, where a version asks for that one by name.
    pub semantic_percentile: u8,
    /// Analyser language of new collections; `None` means detect from the documents.
    pub language: Option<String>,
    /// Retired index versions of a collection that are kept for a way back.
    pub keep_versions: usize,
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

/// How legs are searched and fused, where neither the collection nor the request says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetrievalSettings {
    /// Results asked of each leg, >= 1.
    pub leg_limit: usize,
    /// How the legs are fused.
    pub fusion: Fusion,
    /// Weight of the dense leg in fusion, >= 0.
    pub dense_weight: f32,
    /// Weight of the sparse leg in fusion, >= 0.
    pub sparse_weight: f32,
    /// Passages that an answer is made from, >= 1.
    #[serde(default = "answer_top_k", skip_serializing_if = "is_answer_top_k")]
    pub top_k: usize,
    /// Whether hits are chosen by marginal relevance; passages for an answer are in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mmr: bool,
    /// Trade of relevance (1) against diversity (0) where hits or passages are chosen so.
    pub mmr_lambda: f32,
    /// Candidates that the reranker reads; 0 leaves it out.
    pub rerank_depth: usize,
}

/// What experiments had that were kept before this was a setting; also its default.
const fn answer_top_k() -> usize {
    8
}

const fn is_answer_top_k(top_k: &usize) -> bool {
    *top_k == answer_top_k()
}

impl RetrievalSettings {
    /// Returns these settings with those of `tuning` that are there.
    #[must_use]
    pub fn with(self, tuning: &Tuning) -> Self {
        Self {
            leg_limit: tuning.leg_limit.unwrap_or(self.leg_limit),
            fusion: tuning.fusion.unwrap_or(self.fusion),
            dense_weight: tuning.dense_weight.unwrap_or(self.dense_weight),
            sparse_weight: tuning.sparse_weight.unwrap_or(self.sparse_weight),
            top_k: tuning.top_k.unwrap_or(self.top_k),
            mmr: tuning.mmr.unwrap_or(self.mmr),
            mmr_lambda: tuning.mmr_lambda.unwrap_or(self.mmr_lambda),
            rerank_depth: tuning.rerank_depth.unwrap_or(self.rerank_depth),
        }
    }
}

/// Returns how documents are cut by these settings where this embedder reads the chunks: the default size is lowered to what it
/// reads, another one holds.
pub fn cut_for(embedder: &EmbedderInfo, mut settings: SplitterSettings) -> SplitterSettings {
    if settings.max_tokens == Settings::default().splitter.max_tokens {
        settings.max_tokens = settings.max_tokens.min(embedder.max_tokens);
    }
    settings
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            splitter: SplitterSettings::new(256, 0),
            semantic_percentile: 75,
            language: None,
            keep_versions: 2,
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
                top_k: answer_top_k(),
                mmr: false,
                mmr_lambda: 0.8,
                rerank_depth: 50,
            },
        }
    }
}

impl App {
    /// Returns the product over the same ports with other retrieval settings, and without the jobs of this one.
    pub fn with_retrieval(&self, retrieval: RetrievalSettings) -> Self {
        Self {
            objects: self.objects.clone(),
            kept: self.kept.clone(),
            converter: self.converter.clone(),
            embedder: self.embedder.clone(),
            earlier_embedders: self.earlier_embedders.clone(),
            reranker: self.reranker.clone(),
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

    /// Returns the embedder that made the vectors of the version through which `collection` is seen.
    ///
    /// # Errors
    /// `Conflict` when it is not configured: vectors of two models cannot be compared.
    pub fn embedder_of(&self, collection: &Collection) -> Result<&Arc<dyn Embedder>> {
        let made_it =
            |it: &&Arc<dyn Embedder>| it.info().digest == collection.settings.embedder_digest;
        let mut all = std::iter::once(&self.embedder).chain(&self.earlier_embedders);
        all.find(made_it).ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                format!(
                    "collection `{}` was made with embedder `{}`, and `{}` is configured",
                    collection.name,
                    collection.settings.embedder,
                    self.embedder.info().name
                ),
            )
            .with_hint(
                "name the embedder it was made with in `embedder.earlier`, then `vellum collection build` makes a version \
                 with the new one",
            )
        })
    }

    /// Returns the index settings that a collection created now would get.
    pub fn index_settings(&self) -> IndexSettings {
        let info = self.embedder.info();
        IndexSettings {
            converter: self.converter.version().to_owned(),
            splitter: cut_for(info, self.settings.splitter.clone()),
            embedder: info.name.clone(),
            embedder_digest: info.digest.clone(),
            dim: info.dim,
        }
    }
}
