//! Datasets and experiments as files of a data directory.
//!
//! ```text
//! evals/ID.json                             an experiment; written once, by whichever process made it
//! datasets/COLLECTION/NAME.json             a dataset
//! datasets/COLLECTION/scores/VERSION.NAME   what a version was worth on a dataset, measured last
//! datasets/COLLECTION/opinions              opinions of an import that is under way
//! ```
//!
//! A file is written beside its place and renamed, so it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use vellum_core::ids::{CollectionName, DatasetName};
use vellum_core::ports::{Place, Shelf};
use vellum_core::{Error, Result};

/// What a dataset's and an experiment's file name ends with.
const JSON: &str = ".json";
/// What an unfinished file is called.
const PARTIAL: &str = ".partial-";

/// A [`Shelf`] in a data directory; its folders are made when something is put there.
#[derive(Debug, Clone)]
pub struct ShelfFolder {
    evals: PathBuf,
    datasets: PathBuf,
}

impl ShelfFolder {
    /// Returns the shelf of the data directory at `data`, which need not exist.
    pub fn new(data: &Path) -> Self {
        Self { evals: data.join("evals"), datasets: data.join("datasets") }
    }

    /// Returns the folder of experiments.
    pub fn evals(&self) -> &Path {
        &self.evals
    }

    /// Returns the file of a place.
    pub fn path(&self, at: Place<'_>) -> PathBuf {
        match at {
            Place::Experiment(id) => self.evals.join(format!("{id}{JSON}")),
            Place::Dataset(collection, name) => self.of(collection).join(format!("{name}{JSON}")),
            Place::Score { collection, version, dataset } => {
                self.scores_of(collection).join(format!("{version}.{dataset}"))
            }
            Place::Opinions(collection) => self.of(collection).join("opinions"),
        }
    }

    fn of(&self, collection: &CollectionName) -> PathBuf {
        self.datasets.join(collection.as_str())
    }

    fn scores_of(&self, collection: &CollectionName) -> PathBuf {
        self.of(collection).join("scores")
    }
}

impl Shelf for ShelfFolder {
    fn put(&self, at: Place<'_>, bytes: &[u8]) -> Result<()> {
        let path = self.path(at);
        let failed = |error| Error::io(format!("write `{}`", path.display()), error);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(failed)?;
        let mut file =
            tempfile::Builder::new().prefix(PARTIAL).tempfile_in(folder).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn get(&self, at: Place<'_>) -> Result<Option<Vec<u8>>> {
        let path = self.path(at);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read
                .map(Some)
                .map_err(|error| Error::io(format!("read `{}`", path.display()), error)),
        }
    }

    fn remove(&self, at: Place<'_>) -> Result<()> {
        let path = self.path(at);
        gone(fs::remove_file(&path), &path)
    }

    fn experiments(&self) -> Result<Vec<String>> {
        let mut ids: Vec<String> = files(&self.evals)?
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(JSON)?.to_owned()))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn datasets(&self, collection: &CollectionName) -> Result<Vec<DatasetName>> {
        let mut names: Vec<DatasetName> = files(&self.of(collection))?
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.strip_suffix(JSON)?.parse().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn scores(&self, collection: &CollectionName) -> Result<Vec<Vec<u8>>> {
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|error| Error::io(format!("read `{}`", path.display()), error))
        };
        files(&self.scores_of(collection))?.into_iter().map(read).collect()
    }

    fn forget(&self, collection: &CollectionName) -> Result<()> {
        let folder = self.of(collection);
        gone(fs::remove_dir_all(&folder), &folder)
    }
}

/// Returns the files in a folder, but for unfinished ones; none when there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(format!("read `{}`", folder.display()), error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
        if !is_partial && entry.file_type().map_err(failed)?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// What is gone already was removed.
fn gone(removed: io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::testing::shelf::shelf_suite;

    #[test]
    fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = ShelfFolder::new(dir.path());
        shelf_suite(&shelf);
        // What an interruption left is no dataset.
        let name: CollectionName = "a".parse().unwrap();
        let folder = dir.path().join("datasets/a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(".partial-x.json"), "{").unwrap();
        assert_eq!(shelf.datasets(&name).unwrap(), Vec::new());
    }
}
