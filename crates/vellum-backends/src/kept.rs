//! Originals that are kept in the data directory: `ROOT/COLLECTION/HASH`.
//!
//! A file appears under its name when it is whole and its hash was found right, by one rename.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vellum_core::ids::{CollectionName, ContentHash};
use vellum_core::ports::{Content, KeptOriginals};
use vellum_core::{Error, ErrorKind, Result};

/// Bytes copied at a time.
const WINDOW: usize = 256 << 10;
/// What an unfinished file is called; no hash is.
const PARTIAL: &str = "partial";

/// A [`KeptOriginals`] below a folder, which is made when something is kept.
#[derive(Debug, Clone)]
pub struct KeptFolder {
    root: PathBuf,
}

impl KeptFolder {
    /// Returns the store below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn folder(&self, collection: &CollectionName) -> PathBuf {
        self.root.join(collection.as_str())
    }
}

impl KeptOriginals for KeptFolder {
    fn put(
        &self,
        collection: &CollectionName,
        hash: &ContentHash,
        bytes: &mut dyn Read,
    ) -> Result<()> {
        let folder = self.folder(collection);
        let failed =
            |error| Error::io(format!("keep an original in `{}`", folder.display()), error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let partial = folder.join(PARTIAL);
        let found = copy(bytes, &partial).map_err(failed)?;
        if found != *hash {
            fs::remove_file(&partial).map_err(failed)?;
            let message =
                format!("an original has the hash `{}`, not `{}`", found.as_str(), hash.as_str());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        fs::rename(&partial, folder.join(hash.as_str())).map_err(failed)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn get(&self, collection: &CollectionName, hash: &ContentHash) -> Result<Option<Content>> {
        let path = self.folder(collection).join(hash.as_str());
        let failed =
            |error| Error::io(format!("read the kept original `{}`", path.display()), error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let len = file.metadata().map_err(failed)?.len();
        Ok(Some(Content::Spooled { file: Arc::new(file), len }))
    }

    fn forget(&self, collection: &CollectionName) -> Result<()> {
        let folder = self.folder(collection);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove `{}`", folder.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes what is read to a new file, durably; returns its hash.
fn copy(bytes: &mut dyn Read, path: &Path) -> io::Result<ContentHash> {
    let mut file = File::create(path)?;
    let mut hasher = ContentHash::hasher();
    let mut window = vec![0; WINDOW];
    loop {
        let n = bytes.read(&mut window)?;
        if n == 0 {
            break;
        }
        hasher.update(&window[..n]);
        file.write_all(&window[..n])?;
    }
    file.sync_all()?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::KeptFolder;
    use vellum_core::testing::kept_originals::kept_originals_suite;

    #[test]
    fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        kept_originals_suite(&KeptFolder::new(dir.path().join("originals")));
    }
}
