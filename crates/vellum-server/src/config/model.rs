//! The settings as they are read: a structure for each table of the reference file, which explains them.

use serde::Deserialize;
use vellum_rag::fuse::Fusion;

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Data directory; empty means the platform's.
    pub data_dir: String,
    /// Serving.
    pub server: Server,
    /// Embedding model.
    pub embedder: Embedder,
    /// Defaults of new collections.
    pub collection: Collection,
    /// Ingestion.
    pub ingest: Ingest,
    /// Buckets of S3.
    pub s3: S3,
    /// Buckets of Google Cloud Storage.
    pub gcs: Gcs,
    /// Containers of Azure.
    pub azure: Azure,
    /// Web sites.
    pub web: Web,
    /// Retrieval.
    pub retrieval: Retrieval,
    /// Evaluation.
    pub eval: Eval,
    /// Vector index.
    pub index: Index,
    /// Reranking model.
    pub reranker: Reranker,
    /// Tracking of studies.
    pub mlflow: Mlflow,
    /// Logging.
    pub log: Log,
}

/// `[server]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Server {
    pub bind: String,
    pub base_path: String,
    pub token_file: String,
}

/// `[embedder]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Embedder {
    pub model: String,
    pub earlier: Vec<String>,
    pub sha256: String,
    pub hub: String,
    pub threads: usize,
}

/// `[collection]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Collection {
    pub language: String,
    pub splitter: String,
    pub max_tokens: usize,
    pub overlap_tokens: usize,
    pub semantic_percentile: usize,
    pub context: bool,
    pub parent_tokens: usize,
    pub keep_versions: usize,
}

/// `[ingest]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Ingest {
    pub concurrency: usize,
    pub max_document_bytes: u64,
    pub memory_budget: u64,
    pub document_timeout_s: u64,
    pub patience_s: u64,
    pub embedding_cache: u64,
    pub converted_cache: u64,
    pub convert_workers: usize,
    pub convert_timeout_s: u64,
    pub convert_memory: u64,
    pub ocr: String,
    pub password_file: String,
    pub rescan_s: u64,
}

/// `[s3]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct S3 {
    pub endpoint: String,
    pub region: String,
    pub addressing_style: String,
}

/// `[gcs]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Gcs {
    pub endpoint: String,
}

/// `[azure]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Azure {
    pub account: String,
    pub endpoint: String,
}

/// `[web]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Web {
    pub allowed_hosts: Vec<String>,
}

/// `[retrieval]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Retrieval {
    pub leg_limit: usize,
    pub fusion: Fusion,
    pub dense_weight: f32,
    pub sparse_weight: f32,
    pub top_k: usize,
    pub mmr: bool,
    pub mmr_lambda: f32,
}

/// `[eval]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Eval {
    pub cache: u64,
}

/// `[index]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Index {
    pub graph_from: usize,
    pub graph_search_beam: usize,
    pub quantization: String,
}

/// `[reranker]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Reranker {
    pub model: String,
    pub depth: usize,
}

/// `[mlflow]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Mlflow {
    pub tracking_uri: String,
    pub experiment: String,
}

/// `[log]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file documents every setting")]
pub struct Log {
    pub level: String,
    pub format: String,
}
