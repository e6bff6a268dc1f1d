//! A walk through a folder in the bytewise order of uris.
//!
//! A folder's entries are sorted by their encoded names, folders with `/` appended, and each folder is
//! entered where it stands. Names hold no `/`, so everything below `a/` sorts before whatever sorts
//! after `a/`: sorting each folder alone sorts the whole. Held in memory are the entries still to come
//! of the folders on the way down to the current one.
//!
//! The walk is pulled in batches and holds no thread or handle between them. Symbolic links are shown
//! as skipped and never followed, so loops cannot occur. Trouble with one entry is an entry.
//!
//! A folder that vanishes while the walk goes on has been removed, unless the whole source has (a drive
//! was unplugged, a share unmounted). That must not look like removal of the rest, so a walk remembers
//! which folder its root was and ends with an error when another, or none, is there now.

use super::path::{encode, local_path};
use super::{denied, meta_of};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use vellum_core::ports::Listed;
use vellum_core::{Error, ErrorKind, Result};

/// A walk in progress.
#[derive(Debug)]
pub(super) struct Walk {
    root: PathBuf,
    /// Device and inode of the root.
    identity: (u64, u64),
    /// The folders from the root to the current one, each with its remaining entries, last first.
    levels: Vec<Vec<Entry>>,
    ended: bool,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    uri: String,
    kind: FileType,
}

impl Walk {
    /// Starts at the folder `uri`, which ends with `/`.
    pub(super) fn begin(uri: &str) -> Result<Self> {
        let root = local_path(uri)?;
        let failed = |source| super::failed(&root, source);
        let metadata = fs::symlink_metadata(&root).map_err(failed)?;
        let entries = entries(&root, uri).map_err(failed)?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { root, identity, levels: vec![entries], ended: false })
    }

    /// Returns the next entries, at most `limit` and never none; `None` at the end.
    pub(super) fn batch(&mut self, limit: usize) -> Option<Vec<Result<Listed>>> {
        if self.ended {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < limit {
            match self.next() {
                Ok(Some(listed)) => batch.push(Ok(listed)),
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => {
                    self.ended = true;
                    batch.push(Err(error));
                    break;
                }
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn next(&mut self) -> Result<Option<Listed>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(entry) = level.pop() else {
                self.levels.pop();
                continue;
            };
            if !entry.kind.is_dir() {
                match look(&entry.path, &entry.uri) {
                    Some(listed) => return Ok(Some(listed)),
                    None => continue,
                }
            }
            match entries(&entry.path, &entry.uri) {
                Ok(below) => self.levels.push(below),
                Err(error) if vanished(&error) => self.must_be_there()?,
                Err(error) => {
                    let reason = reason(&error);
                    return Ok(Some(Listed::Unreadable { uri: entry.uri, reason }));
                }
            }
        }
        self.must_be_there()?;
        Ok(None)
    }

    /// Fails unless the root is still the folder with which the walk began.
    fn must_be_there(&self) -> Result<()> {
        let identity = fs::symlink_metadata(&self.root).map(|now| (now.dev(), now.ino()));
        if identity.as_ref().ok() == Some(&self.identity) {
            return Ok(());
        }
        let message = format!("`{}` went away while it was listed", self.root.display());
        Err(Error::new(ErrorKind::Io, message)
            .with_hint("check that the drive or share is mounted, then try again"))
    }
}

/// Returns what a listing shows for the file at `path`; `None` when it has vanished.
pub(super) fn look(path: &Path, uri: &str) -> Option<Listed> {
    let uri = uri.to_owned();
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if vanished(&error) => return None,
        Err(error) => return Some(Listed::Unreadable { uri, reason: reason(&error) }),
    };
    if let Some(reason) = left_out(&metadata) {
        return Some(Listed::Skipped { uri, reason: reason.to_owned() });
    }
    match rustix::fs::access(path, rustix::fs::Access::READ_OK) {
        Ok(()) => Some(Listed::Object(meta_of(path, &metadata))),
        Err(errno) => Some(Listed::Unreadable { uri, reason: reason(&errno.into()) }),
    }
}

fn left_out(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    Some(match kind {
        _ if kind.is_symlink() => "symbolic links are not followed",
        _ if kind.is_fifo() => "a named pipe is not a document",
        _ if kind.is_socket() => "a socket is not a document",
        _ if kind.is_dir() => "it became a folder while it was listed",
        _ => "a device is not a document",
    })
}

/// Returns the entries of a folder without the hidden ones, descending by uri.
fn entries(folder: &Path, folder_uri: &str) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_hidden(name.as_encoded_bytes()) {
            continue;
        }
        let kind = match entry.file_type() {
            Err(error) if vanished(&error) => continue,
            kind => kind?,
        };
        let slash = if kind.is_dir() { "/" } else { "" };
        let uri = format!("{folder_uri}{}{slash}", encode(&name));
        entries.push(Entry { path: entry.path(), uri, kind });
    }
    entries.sort_unstable_by(|a, b| b.uri.cmp(&a.uri));
    Ok(entries)
}

/// Returns whether a name is hidden by convention, or a temporary file or backup of an editor.
fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".")
        || name.starts_with(b"~$")
        || name.ends_with(b"~")
        || name.ends_with(b".swp")
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
}

fn vanished(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn reason(error: &io::Error) -> String {
    if denied(error) { "permission denied".into() } else { error.to_string().replace('\n', " ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hidden_names() {
        for hidden in [".a", ".git", "~$report.docx", "#x#", "##", "x~", "~", "a.swp"] {
            assert!(is_hidden(hidden.as_bytes()), "{hidden}");
        }
        for shown in ["a", "~a", "#", "#1.txt", "a#", "$a", "swp", "a.swp.txt", "a.b"] {
            assert!(!is_hidden(shown.as_bytes()), "{shown}");
        }
    }

    #[test]
    fn a_source_that_goes_away_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("drive");
        for name in ["a", "b", "c"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("x.txt"), name).unwrap();
        }
        let mut walk = Walk::begin(&format!("file://{}/", root.display())).unwrap();
        assert!(walk.batch(1).unwrap()[0].is_ok());
        // As an unmounted drive: another, empty folder is in its place.
        fs::rename(&root, dir.path().join("elsewhere")).unwrap();
        fs::create_dir(&root).unwrap();
        let rest = walk.batch(10).unwrap();
        assert_eq!(rest.len(), 1);
        assert!(rest[0].as_ref().unwrap_err().message().contains("went away"));
        assert!(walk.batch(10).is_none());
    }

    #[test]
    fn a_folder_that_goes_away_is_a_removal() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("x.txt"), name).unwrap();
        }
        let mut walk = Walk::begin(&format!("file://{}/", dir.path().display())).unwrap();
        walk.batch(1).unwrap();
        fs::remove_dir_all(dir.path().join("b")).unwrap();
        let rest = walk.batch(10).unwrap();
        assert_eq!(rest.len(), 1, "only `c/x.txt` is left");
        assert!(rest[0].as_ref().unwrap().uri().ends_with("/c/x.txt"));
    }

    /// Names that stress the order: characters around `/` (0x2F), escapes, other scripts, case.
    fn name() -> impl Strategy<Value = String> {
        "[ab]{0,2}[ \\-!#%&'+,.0:;A@_~éß日\u{1F600}]{0,3}[abz]{1,2}"
            .prop_filter("visible", |name| !is_hidden(name.as_bytes()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn order_is_bytewise(
            paths in proptest::collection::btree_set(proptest::collection::vec(name(), 1..4), 1..40),
            batch in 1_usize..5,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut written = 0;
            for names in &paths {
                let path: PathBuf = std::iter::once(dir.path().into()).chain(names.iter().map(PathBuf::from)).collect();
                // A name may be taken by a folder or a file already.
                let folder = fs::create_dir_all(path.parent().unwrap());
                written += usize::from(folder.and_then(|()| fs::write(&path, "x")).is_ok());
            }
            let mut walk = Walk::begin(&format!("file://{}/", dir.path().display())).unwrap();
            let mut uris = Vec::new();
            while let Some(entries) = walk.batch(batch) {
                prop_assert!(entries.len() <= batch);
                uris.extend(entries.into_iter().map(|entry| entry.unwrap().uri().to_owned()));
            }
            prop_assert_eq!(uris.len(), written);
            prop_assert!(uris.is_sorted_by(|a, b| a < b), "{:#?}", uris);
        }
    }
}
