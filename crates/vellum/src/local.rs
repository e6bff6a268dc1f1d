//! Constructors of what only this binary has: models, parsers, the embedded index.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vellum_convert::{Ocr, PoolSettings, WorkerPool};
use vellum_core::ports::{Converter, Embedder, Reranker, VectorStore};
use vellum_core::{Error, ErrorKind, Result};
use vellum_index::{EdgeSettings, EdgeStore, Quantization};
use vellum_inference::{LocalEmbedder, LocalReranker, Options, hub};
use vellum_server::compose::Local;
use vellum_server::config::Config;
use vellum_server::{data_dir, memory};

/// Name of the hidden subcommand that converts documents in a child process.
pub(crate) const CONVERT_WORKER: &str = "convert-worker";

/// Returns the constructors.
pub(crate) const fn local() -> Local {
    Local { embedder, converter, reranker, vectors }
}

fn embedder(config: &Config) -> BoxFuture<'_, Result<Arc<dyn Embedder>>> {
    async {
        let mut options = Options::for_this_machine();
        if config.embedder.threads > 0 {
            options.workers = config.embedder.threads;
        }
        let model = config.embedder.model.as_str();
        let embedder = match model {
            "bundled" => LocalEmbedder::bundled(options)?,
            folder if Path::new(folder).is_dir() => {
                LocalEmbedder::from_dir(Path::new(folder), options)?
            }
            id if is_hub_id(id) => LocalEmbedder::from_dir(&download(config).await?, options)?,
            other => {
                let message = format!("embedder.model `{other}` is neither a folder nor a hub id");
                return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                    "use `bundled`, the path of a model folder, or `organisation/name`",
                ));
            }
        };
        Ok(Arc::new(embedder) as Arc<dyn Embedder>)
    }
    .boxed()
}

/// Whether a text has the form `organisation/name`, which no existing folder had.
fn is_hub_id(text: &str) -> bool {
    let valid = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    text.split_once('/').is_some_and(|(organisation, name)| valid(organisation) && valid(name))
}

/// Downloads the configured model into the cache beside the platform's data directory.
async fn download(config: &Config) -> Result<std::path::PathBuf> {
    let id = config.embedder.model.clone();
    if config.embedder.sha256.is_empty() {
        let message = format!("embedder.sha256 is not set for `{id}`");
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("a model from a hub must be pinned: set embedder.sha256 to its digest"));
    }
    let model = hub::HubModel {
        endpoint: config.embedder.hub.clone(),
        id,
        revision: "main".to_owned(),
        sha256: config.embedder.sha256.clone(),
    };
    let bar = crate::progress::bytes_bar();
    let show = |progress: hub::Progress<'_>| {
        bar.set_message(progress.file.to_owned());
        bar.set_length(progress.total.unwrap_or(progress.done));
        bar.set_position(progress.done);
    };
    let folder = hub::download(&model, &data_dir::platform_dir()?.join("models"), &show).await;
    bar.finish_and_clear();
    folder
}

fn converter(config: &Config) -> Result<Arc<dyn Converter>> {
    let program = std::env::current_exe()
        .map_err(|error| Error::io("find the running program for its parser processes", error))?;
    let mut settings = PoolSettings::new(program, vec![CONVERT_WORKER.to_owned()]);
    let shares = memory::shares(&config.ingest);
    settings.workers = shares.parsers;
    settings.timeout = Duration::from_secs(config.ingest.convert_timeout_s.max(1));
    settings.memory_bytes = shares.parser_bytes;
    settings.limits.max_bytes = config.ingest.max_document_bytes;
    settings.limits.password = password(&config.ingest.password_file)?;
    settings.ocr = (!config.ingest.ocr.is_empty()).then(|| Ocr::find(&config.ingest.ocr)).flatten();
    Ok(Arc::new(WorkerPool::new(settings)))
}

/// Returns the first line of the file; `None` without a file.
fn password(file: &str) -> Result<Option<String>> {
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::io(format!("read the password file `{file}`"), error))?;
    Ok(text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned))
}

fn reranker(folder: &Path) -> Result<Arc<dyn Reranker>> {
    Ok(Arc::new(LocalReranker::from_dir(folder, Options::for_this_machine())?))
}

fn vectors(config: &Config, path: &Path) -> Result<Arc<dyn VectorStore>> {
    let settings = EdgeSettings {
        index_from_chunks: config.index.graph_from,
        graph_search_beam: config.index.graph_search_beam,
        quantization: match config.index.quantization.as_str() {
            "scalar" => Quantization::Scalar,
            "binary" => Quantization::Binary,
            _ => Quantization::None,
        },
        ..EdgeSettings::default()
    };
    Ok(Arc::new(EdgeStore::open_with(path.to_owned(), settings)?))
}

#[cfg(test)]
mod tests {
    use super::is_hub_id;

    #[test]
    fn hub_ids() {
        assert!(is_hub_id("sentence-transformers/all-MiniLM-L6-v2"));
        for not in ["bundled", "/abs/path", "./a/b", "a/b/c", "../x"] {
            assert!(!is_hub_id(not), "{not}");
        }
    }
}
