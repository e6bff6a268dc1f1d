//! Where experiments are kept: `evals/<id>.json` in the data directory, each written once.

use crate::print;
use std::fs;
use std::path::{Path, PathBuf};
use vellum_backends::ShelfFolder;
use vellum_core::ports::{Place, Shelf as _};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::experiment::Experiment;

/// Fewest digits of an id that name an experiment.
const MIN_PREFIX: usize = 3;

/// The experiments of a data directory.
pub(crate) struct Shelf {
    folder: ShelfFolder,
}

impl Shelf {
    /// Returns the experiments in the data directory at `data`, which need not exist.
    pub(crate) fn new(data: &Path) -> Self {
        Self { folder: ShelfFolder::new(data) }
    }

    /// Returns the folder.
    pub(super) fn dir(&self) -> &Path {
        self.folder.evals()
    }

    /// Keeps an experiment: on return it is on the disk, whole.
    pub(super) fn put(&self, experiment: &Experiment) -> Result<()> {
        self.folder.put(Place::Experiment(&experiment.id), &experiment.to_json())
    }

    /// Returns all experiments, newest first. One that cannot be read is named in a warning.
    pub(super) fn list(&self) -> Result<Vec<Experiment>> {
        let mut experiments = Vec::new();
        for id in self.folder.experiments()? {
            match read(&self.path(&id)) {
                Ok(experiment) => experiments.push(experiment),
                Err(error) => print::warn(error.full_message()),
            }
        }
        experiments.sort_by(|a, b| (b.created_ms, &b.id).cmp(&(a.created_ms, &a.id)));
        Ok(experiments)
    }

    /// Returns the experiment of a whole id.
    pub(crate) fn get(&self, id: &str) -> Result<Experiment> {
        read(&self.path(id))
    }

    /// Returns the experiment of an id, the beginning of one, a name (the newest that bears it), or the path of a file.
    pub(super) fn find(&self, reference: &str) -> Result<Experiment> {
        if reference.ends_with(".json") {
            return read(Path::new(reference));
        }
        let mut experiments = self.list()?;
        let exact = |it: &Experiment| it.id == reference || it.name.as_deref() == Some(reference);
        if let Some(at) = experiments.iter().position(exact) {
            return Ok(experiments.swap_remove(at));
        }
        experiments.retain(|it| reference.len() >= MIN_PREFIX && it.id.starts_with(reference));
        match experiments.len() {
            1 => Ok(experiments.remove(0)),
            0 => Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no experiment `{reference}`"),
            )
            .with_hint("`vellum eval list` shows what there is; a file must end with `.json`")),
            _ => {
                let ids: Vec<&str> = experiments.iter().map(|it| it.id.as_str()).collect();
                let message = format!("`{reference}` is the beginning of {}", ids.join(", "));
                Err(Error::new(ErrorKind::Conflict, message).with_hint("give more digits"))
            }
        }
    }

    /// Removes the experiment of an id, the beginning of one, or a name.
    pub(super) fn delete(&self, reference: &str) -> Result<()> {
        self.folder.remove(Place::Experiment(&self.find(reference)?.id))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.path(Place::Experiment(id))
    }
}

fn read(path: &Path) -> Result<Experiment> {
    let bytes =
        fs::read(path).map_err(|error| Error::io(format!("read `{}`", path.display()), error))?;
    Experiment::from_json(&bytes)
        .map_err(|error| error.context(format_args!("read `{}`", path.display())))
}
