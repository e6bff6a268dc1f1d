//! The index of a dataset: made once for a corpus and the settings that decide how it is cut and embedded.
//!
//! ```text
//! evals/stores/lock          held by the evaluation that uses the folder; another one meanwhile uses a temporary one
//! evals/stores/<key>/        a store as in a data directory
//! evals/stores/<key>/whole   there once all of the corpus is in it; its time is that of the last use
//! ```
//!
//! The key holds the build of this program as well: other code may cut or embed otherwise. `eval.cache` bounds the folder; the
//! stores that were not used for longest go first.

use crate::local::local;
use crate::print;
use crate::progress;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::CollectionName;
use vellum_core::ports::{Converter, Embedder};
use vellum_core::{Error, Result};
use vellum_rag::app::App;
use vellum_rag::eval::dataset::Dataset;
use vellum_rag::eval::run;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_server::compose::{Parts, assemble, reranker};
use vellum_server::config::Config;

/// Mark of a store that holds all of its corpus.
const WHOLE: &str = "whole";

/// A dataset, ready to be searched.
pub(crate) struct Index {
    pub(crate) app: Arc<App>,
    pub(crate) pass: Pass,
    /// Whether an earlier evaluation made it.
    pub(crate) is_reused: bool,
    place: Place,
}

/// Where the store of an index is.
enum Place {
    /// Removed with this value.
    Temporary(TempDir),
    /// Kept for later, while the lock is held.
    Kept { root: PathBuf, key: String, _lock: File },
}

impl Place {
    fn dir(&self) -> PathBuf {
        match self {
            Self::Temporary(dir) => dir.path().to_owned(),
            Self::Kept { root, key, .. } => root.join(key),
        }
    }
}

/// How an index is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// As it was made before, if it was.
    Allowed,
    /// Made anew.
    Never,
}

/// Returns the index of `dataset` under the settings of `config`, ingesting it if need be. `evals` is the folder of
/// experiments.
pub(crate) async fn open(
    config: &Config,
    evals: &Path,
    dataset: &Dataset,
    reuse: Reuse,
) -> Result<Index> {
    let embedder = (local().embedder)(config).await?;
    let place = place(config, evals, dataset, embedder.as_ref())?;
    let dir = place.dir();
    let mark = dir.join(WHOLE);
    let is_reused = reuse == Reuse::Allowed && mark.is_file();
    let failed = |error| Error::io(format!("prepare `{}`", dir.display()), error);
    if !is_reused && matches!(place, Place::Kept { .. }) {
        remove(&dir)?;
        fs::create_dir_all(&dir).map_err(failed)?;
    }
    let parts = Parts {
        objects: Arc::new(DatasetObjects(dataset.corpus.clone())),
        embedder,
        earlier_embedders: Vec::new(),
        converter: Arc::new(DatasetConverter),
        converted: None,
        embeddings: None,
        reranker: reranker(config, &local())?,
    };
    let app = assemble(config, &local(), &dir, parts).await?;
    let name: CollectionName = "eval".parse()?;
    let pass = crate::session::pass(&name, Verb::Write)?;
    if !is_reused {
        let bar = progress::steps_bar(dataset.corpus.len() as u64, "ingesting documents");
        bar.enable_steady_tick(Duration::from_millis(120));
        run::ingest(&app, &pass).await?;
        bar.finish_and_clear();
        File::create(&mark).map_err(failed)?;
    }
    let used = File::options().write(true).open(&mark).map_err(failed)?;
    used.set_modified(SystemTime::now()).map_err(failed)?;
    Ok(Index { app, pass, is_reused, place })
}

impl Index {
    /// Gives the index up: it is removed, or kept within `eval.cache`.
    pub(crate) fn close(self, config: &Config) -> Result<()> {
        let Self { app, place, .. } = self;
        drop(app);
        match place {
            Place::Temporary(_) => Ok(()),
            Place::Kept { root, .. } => trim(&root, config.eval.cache),
        }
    }
}

fn place(
    config: &Config,
    evals: &Path,
    dataset: &Dataset,
    embedder: &dyn Embedder,
) -> Result<Place> {
    let temporary = || {
        let dir = tempfile::Builder::new().prefix("vellum-eval-").tempdir();
        dir.map(Place::Temporary).map_err(|error| Error::io("make a temporary directory", error))
    };
    if config.eval.cache == 0 {
        return temporary();
    }
    let root = evals.join("stores");
    let failed = |error| Error::io(format!("prepare `{}`", root.display()), error);
    fs::create_dir_all(&root).map_err(failed)?;
    let lock = File::create(root.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {
            let key = key(config, dataset, embedder)?;
            Ok(Place::Kept { root, key, _lock: lock })
        }
        Err(fs::TryLockError::WouldBlock) => {
            print::note("another evaluation is at work; this one ingests for itself");
            temporary()
        }
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Returns what decides the content of the store, hashed.
fn key(config: &Config, dataset: &Dataset, embedder: &dyn Embedder) -> Result<String> {
    let program = std::env::current_exe()
        .and_then(fs::metadata)
        .map_err(|error| Error::io("look at this program", error))?;
    let built =
        program.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    // The whole section, so that a setting which it gets later is not forgotten here.
    let text = format!(
        "{} {} {} {:?} {} {built:?}",
        dataset.corpus.digest(),
        embedder.info().digest,
        DatasetConverter.version(),
        config.collection,
        program.len(),
    );
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
}

/// Removes the stores that were not used for longest until all take at most `budget` bytes.
fn trim(root: &Path, budget: u64) -> Result<()> {
    let failed = |error| Error::io(format!("look through `{}`", root.display()), error);
    let mut stores = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        let used = fs::metadata(entry.path().join(WHOLE)).and_then(|mark| mark.modified());
        let size = bytes(&entry.path()).map_err(failed)?;
        // One that is not whole was given up amid its ingest.
        stores.push((used.unwrap_or(SystemTime::UNIX_EPOCH), size, entry.path()));
    }
    stores.sort();
    let mut left = budget;
    for (used, size, path) in stores.into_iter().rev() {
        match left.checked_sub(size) {
            Some(rest) if used > SystemTime::UNIX_EPOCH => left = rest,
            _ => remove(&path)?,
        }
    }
    Ok(())
}

fn bytes(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove `{}`", dir.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_that_were_not_used_for_longest_go_first() {
        let root = tempfile::tempdir().unwrap();
        let store = |name: &str, age_s: u64, size: usize, mark: Option<&str>| {
            let dir = root.path().join(name);
            fs::create_dir_all(dir.join("index")).unwrap();
            fs::write(dir.join("index/data"), vec![0; size]).unwrap();
            if let Some(mark) = mark {
                let file = File::create(dir.join(mark)).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
            }
        };
        store("old", 300, 100, Some(WHOLE));
        store("older", 400, 100, Some(WHOLE));
        store("new", 1, 100, Some(WHOLE));
        store("broken", 0, 1, None);
        fs::write(root.path().join("lock"), "").unwrap();
        let names = || {
            let entries = fs::read_dir(root.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        trim(root.path(), 250).unwrap();
        assert_eq!(names(), ["lock", "new", "old"]);
        trim(root.path(), 100).unwrap();
        assert_eq!(names(), ["lock", "new"]);
        trim(root.path(), 99).unwrap();
        assert_eq!(names(), ["lock"]);
    }
}
