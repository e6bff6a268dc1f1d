//! Where experiments are kept: `evals/<id>.json` in the data directory, each written once.

use crate::print;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::experiment::Experiment;

/// Fewest digits of an id that name an experiment.
const MIN_PREFIX: usize = 3;

/// The experiments of a data directory.
pub(super) struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// Returns the experiments in the data directory at `data`, which need not exist.
    pub(super) fn new(data: &Path) -> Self {
        Self { dir: data.join("evals") }
    }

    /// Returns the folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps an experiment: on return it is on the disk, whole.
    pub(super) fn put(&self, experiment: &Experiment) -> Result<PathBuf> {
        let path = self.path(&experiment.id);
        let failed = |error| Error::io(format!("write `{}`", path.display()), error);
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let mut file =
            tempfile::Builder::new().prefix(".partial-").tempfile_in(&self.dir).map_err(failed)?;
        file.write_all(&experiment.to_json()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }

    /// Returns all experiments, newest first. One that cannot be read is named in a warning.
    pub(super) fn list(&self) -> Result<Vec<Experiment>> {
        let failed = |error| Error::io(format!("read `{}`", self.dir.display()), error);
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut experiments = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Ok(experiment) => experiments.push(experiment),
                Err(error) => print::warn(error.full_message()),
            }
        }
        experiments.sort_by(|a, b| (b.created_ms, &b.id).cmp(&(a.created_ms, &a.id)));
        Ok(experiments)
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
        let path = self.path(&self.find(reference)?.id);
        fs::remove_file(&path)
            .map_err(|error| Error::io(format!("remove `{}`", path.display()), error))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> Result<Experiment> {
    let bytes =
        fs::read(path).map_err(|error| Error::io(format!("read `{}`", path.display()), error))?;
    Experiment::from_json(&bytes)
        .map_err(|error| error.context(format_args!("read `{}`", path.display())))
}
