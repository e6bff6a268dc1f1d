//! The only place that constructs adapters.
//!
//! What the slim server lacks (models, parsers, the embedded index) arrives as constructors in [`Local`].

use crate::config::{self, Config};
use crate::data_dir::DataDir;
use futures::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use vellum_backends::{
    AzureSettings, BucketStore, ConvertedFolder, Environment, FolderStore, GcsSettings, KeptFolder,
    S3Settings, ShelfFolder, Sources, SqliteEmbeddingCache, SqliteMetastore, TeiReranker, WebStore,
};
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::collection::{SplitMethod, SplitterSettings};
use vellum_core::ports::{
    Clock, ConvertedCache, Converter, Embedder, EmbeddingCache, ObjectStore, Reranker, VectorStore,
};
use vellum_core::{ErrorKind, Result};
use vellum_rag::app::{App, IngestSettings, RetrievalSettings, Settings};
use vellum_rag::archive;
use vellum_rag::jobs::{self, Jobs};
use vellum_rag::pictures::Pictures;

/// Makes the embedder of a configuration; waits where a model has to be fetched first.
pub type MakeEmbedder = fn(&Config) -> BoxFuture<'_, Result<Arc<dyn Embedder>>>;

/// Constructors of what only the all-in-one binary has.
pub struct Local {
    /// Makes the embedder of the configuration.
    pub embedder: MakeEmbedder,
    /// Makes the converter of the configuration.
    pub converter: fn(&Config) -> Result<Arc<dyn Converter>>,
    /// Reads the cross-encoder in a folder.
    pub reranker: fn(&Path) -> Result<Arc<dyn Reranker>>,
    /// Opens the embedded vector store in a directory.
    pub vectors: fn(&Config, &Path) -> Result<Arc<dyn VectorStore>>,
}

/// Returns the product over the data directory, ready to serve.
///
/// # Errors
/// What opening the stores or loading the model fails with.
pub async fn compose(config: &Config, local: &Local, dir: &DataDir) -> Result<Arc<App>> {
    let parts = Parts {
        objects: Arc::new(sources(config, dir.path().join("spool"))?),
        embedder: (local.embedder)(config).await?,
        earlier_embedders: earlier_embedders(config, local).await?,
        converter: (local.converter)(config)?,
        converted: converted(config, dir.path()),
        embeddings: embeddings(config, dir.path()).await?,
        reranker: reranker(config, local)?,
    };
    let app = assemble(config, local, dir.path(), parts).await?;
    jobs::recover(&app).await?;
    archive::recover(&app, &|name| Pass::grant(&local_user(), name, Verb::Write)).await?;
    Ok(app)
}

/// Returns the places that documents come from; large ones are copied to `spool` while they are read.
fn sources(config: &Config, spool: PathBuf) -> Result<Sources> {
    let settings = S3Settings {
        endpoint: config.s3.endpoint.clone(),
        region: config.s3.region.clone(),
        path_style: match config.s3.addressing_style.as_str() {
            "path" => Some(true),
            "virtual" => Some(false),
            _ => None,
        },
    };
    let environment = Environment::read(|name| std::env::var(name).ok());
    let gcs = GcsSettings { endpoint: config.gcs.endpoint.clone() };
    let azure = AzureSettings {
        account: config.azure.account.clone(),
        endpoint: config.azure.endpoint.clone(),
    };
    Ok(Sources {
        s3: BucketStore::s3(&settings, environment.clone(), spool.clone())?,
        gcs: BucketStore::gcs(&gcs, environment.clone(), spool.clone())?,
        azure: BucketStore::azure(&azure, environment, spool.clone())?,
        sites: WebStore::new(&config.web.allowed_hosts, spool.clone())?,
        folders: FolderStore::new(spool),
    })
}

/// Returns the reranker of a configuration: none, a server, or a model in a folder.
///
/// # Errors
/// What opening the model fails with.
pub fn reranker(config: &Config, local: &Local) -> Result<Option<Arc<dyn Reranker>>> {
    let model = config.reranker.model.as_str();
    if model.is_empty() {
        return Ok(None);
    }
    if model.starts_with("http://") || model.starts_with("https://") {
        let key = std::env::var("TEI_API_KEY").ok();
        return Ok(Some(Arc::new(TeiReranker::new(model, key)?)));
    }
    (local.reranker)(Path::new(model)).map(Some)
}

/// Returns the embedders of versions that were made before the present one was configured.
async fn earlier_embedders(config: &Config, local: &Local) -> Result<Vec<Arc<dyn Embedder>>> {
    let mut embedders = Vec::new();
    for model in &config.embedder.earlier {
        let mut config = config.clone();
        config.embedder.model.clone_from(model);
        embedders.push((local.embedder)(&config).await?);
    }
    Ok(embedders)
}

/// Returns the cache of embeddings in a data directory, unless it is switched off.
async fn embeddings(config: &Config, dir: &Path) -> Result<Option<Arc<dyn EmbeddingCache>>> {
    let max_bytes = config.ingest.embedding_cache;
    if max_bytes == 0 {
        return Ok(None);
    }
    match SqliteEmbeddingCache::open(dir.join("embeddings.db"), max_bytes).await {
        // It only saves work.
        Err(error) if error.kind() == ErrorKind::NoSpace => {
            tracing::warn!(error = error.full_message(), "no embeddings are kept");
            Ok(None)
        }
        opened => Ok(Some(Arc::new(opened?))),
    }
}

/// Returns the cache of converted documents in a data directory, unless it is switched off.
fn converted(config: &Config, dir: &Path) -> Option<Arc<dyn ConvertedCache>> {
    let (max_bytes, ocr) = (config.ingest.converted_cache, config.ingest.ocr.as_str());
    (max_bytes > 0).then(|| {
        let folder = ConvertedFolder::new(dir.join("converted"), max_bytes, ocr);
        Arc::new(folder) as Arc<dyn ConvertedCache>
    })
}

/// Ports that a caller may choose.
pub struct Parts {
    /// Source objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Model.
    pub embedder: Arc<dyn Embedder>,
    /// Models of versions that were made before.
    pub earlier_embedders: Vec<Arc<dyn Embedder>>,
    /// Parsers.
    pub converter: Arc<dyn Converter>,
    /// Conversions made before.
    pub converted: Option<Arc<dyn ConvertedCache>>,
    /// Embeddings made before.
    pub embeddings: Option<Arc<dyn EmbeddingCache>>,
    /// Model that orders what was found.
    pub reranker: Option<Arc<dyn Reranker>>,
}

/// Returns the product with chosen parts over stores in `path`; evaluation uses a directory of its own.
///
/// # Errors
/// What opening the stores fails with.
pub async fn assemble(
    config: &Config,
    local: &Local,
    path: &Path,
    parts: Parts,
) -> Result<Arc<App>> {
    let metastore = SqliteMetastore::open(&path.join("vellum.db")).await?;
    Ok(Arc::new(App {
        objects: parts.objects,
        kept: Arc::new(KeptFolder::new(path.join("originals"))),
        shelf: Arc::new(ShelfFolder::new(path)),
        converter: parts.converter,
        converted: parts.converted,
        embeddings: parts.embeddings,
        reranker: parts.reranker,
        // One process at a time owns a data directory, so all that use it are lives of one worker.
        worker: "local".to_owned(),
        embedder: parts.embedder,
        earlier_embedders: parts.earlier_embedders,
        vectors: (local.vectors)(config, &path.join("index"))?,
        metastore: Arc::new(metastore),
        clock: Arc::new(SystemClock(Instant::now())),
        settings: settings(config),
        jobs: Jobs::default(),
        pictures: Pictures::default(),
    }))
}

/// Returns the product's settings of a configuration.
pub fn settings(config: &Config) -> Settings {
    let language = config.collection.language.as_str();
    let concurrency = match config.ingest.concurrency {
        0 => cores() + 2,
        chosen => chosen,
    };
    Settings {
        splitter: splitter(&config.collection),
        semantic_percentile: percentile(&config.collection),
        keep_versions: config.collection.keep_versions,
        language: (language != "auto").then(|| language.to_owned()),
        ingest: IngestSettings {
            concurrency,
            max_document_bytes: config.ingest.max_document_bytes,
            memory_budget: crate::memory::shares(&config.ingest).source_bytes,
            document_timeout: Duration::from_secs(config.ingest.document_timeout_s.max(1)),
            patience: Duration::from_secs(config.ingest.patience_s),
        },
        retrieval: RetrievalSettings {
            leg_limit: config.retrieval.leg_limit,
            fusion: config.retrieval.fusion,
            dense_weight: config.retrieval.dense_weight,
            sparse_weight: config.retrieval.sparse_weight,
            top_k: config.retrieval.top_k,
            mmr: config.retrieval.mmr,
            mmr_lambda: config.retrieval.mmr_lambda,
            rerank_depth: config.reranker.depth,
        },
    }
}

/// Its range was checked when the settings were read.
fn percentile(collection: &config::Collection) -> u8 {
    u8::try_from(collection.semantic_percentile).unwrap_or(u8::MAX)
}

fn splitter(collection: &config::Collection) -> SplitterSettings {
    let method = SplitMethod::from_name(&collection.splitter, percentile(collection));
    SplitterSettings {
        method: method.expect("the name was checked when the settings were read"),
        max_tokens: collection.max_tokens,
        overlap_tokens: collection.overlap_tokens,
        parent_tokens: collection.parent_tokens,
        context: collection.context,
    }
}

/// Returns the processors that this process may use, at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns who the user of this process is to the product: the owner of the data directory.
pub const fn local_user() -> Principal {
    Principal::Owner
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
