//! Makes the products of a study: each in a folder of its own, with the settings in force but for those of the trial.

use crate::local::local;
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vellum_core::ports::{Embedder, EmbeddingCache, Reranker};
use vellum_core::{Error, Result};
use vellum_rag::app::{App, Settings};
use vellum_rag::eval::dataset::Dataset;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::tune::parameters::Assignment;
use vellum_rag::tune::products;
use vellum_server::compose::{self, Parts, assemble};
use vellum_server::config::{self, Config, Resolved};

/// Stores of a study below `root`.
pub(super) struct Workshop {
    pub(super) settings: Resolved,
    pub(super) dataset: Arc<Dataset>,
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) embeddings: Option<Arc<dyn EmbeddingCache>>,
    pub(super) reranker: Option<Arc<dyn Reranker>>,
    pub(super) root: PathBuf,
}

/// Returns the settings in force with those of a trial.
///
/// # Errors
/// `Invalid` when they cannot be.
pub(super) fn config(settings: &Resolved, trial: &Assignment) -> Result<Config> {
    let values = trial.iter().map(|(path, value)| (path.as_str(), value.to_string()));
    config::replaced(settings, "trial-settings", values)
}

#[async_trait]
impl products::Workshop for Workshop {
    fn index_key(&self, settings: &Assignment) -> Result<String> {
        let config = config(&self.settings, settings)?;
        let text = format!("{:?} {:?}", config.collection, config.index);
        Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
    }

    async fn open(&self, settings: &Assignment, key: &str) -> Result<Arc<App>> {
        let dir = self.root.join(key);
        std::fs::create_dir_all(&dir)
            .map_err(|error| Error::io(format!("make `{}`", dir.display()), error))?;
        let parts = Parts {
            objects: Arc::new(DatasetObjects(self.dataset.corpus.clone())),
            embedder: Arc::clone(&self.embedder),
            earlier_embedders: Vec::new(),
            converter: Arc::new(DatasetConverter),
            converted: None,
            embeddings: self.embeddings.clone(),
            reranker: self.reranker.clone(),
        };
        assemble(&config(&self.settings, settings)?, &local(), &dir, parts).await
    }

    fn settings(&self, settings: &Assignment) -> Result<Settings> {
        config(&self.settings, settings).map(|config| compose::settings(&config))
    }

    fn index_bytes(&self, key: &str) -> Result<u64> {
        bytes_below(&self.root.join(key).join("index"))
    }
}

/// Returns the bytes of the files below `dir`, without the logs that the index writes ahead: their length is fixed.
fn bytes_below(dir: &Path) -> Result<u64> {
    const LOG: &str = "wal";
    let failed = |error| Error::io(format!("read `{}`", dir.display()), error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && entry.file_name() != LOG {
            bytes += bytes_below(&entry.path())?;
        } else if kind.is_file() {
            bytes += on_disk(&entry.metadata().map_err(failed)?);
        }
    }
    Ok(bytes)
}

/// Returns the bytes that a file takes: the index makes long files and fills them bit by bit.
fn on_disk(file: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(file) * 512;
    #[cfg(not(unix))]
    return file.len();
}

/// Returns the digest of what a study takes as given: the settings in force that can be tuned, the model, the program.
pub(super) fn base_digest(config: &Config, embedder: &dyn Embedder) -> String {
    let text = format!(
        "{:?} {:?} {:?} {:?} {} {}",
        config.collection,
        config.retrieval,
        config.index,
        config.reranker,
        embedder.info().digest,
        env!("CARGO_PKG_VERSION")
    );
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// Returns the values in force of the parameters that `paths` name.
pub(super) fn in_force<'a>(
    settings: &Resolved,
    paths: impl IntoIterator<Item = &'a str>,
) -> Vec<(String, String)> {
    let value = |path: &str| Some((path.to_owned(), settings.values.get(path)?.0.to_string()));
    paths.into_iter().filter_map(value).collect()
}
