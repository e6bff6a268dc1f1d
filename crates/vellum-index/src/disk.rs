//! What the engine leaves to its caller: free space, atomic removal, and the lock on the root.
//!
//! Names that begin with a dot belong to the store, because no collection's name does:
//! `.lock`, `.format`, `.new-*` (a collection being created) and `.trash-*` (one being removed).
//! The last two are leftovers of a crash when they exist at open, and are removed then.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as Os, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vellum_core::{Error, ErrorKind, Result};

/// Version of the layout under the root. Raise it when older binaries must not open the store.
const FORMAT: u32 = 1;

const NEW: &str = ".new-";
const TRASH: &str = ".trash-";

/// Makes `root` ready for this process and returns the lock that keeps others out while it lives.
///
/// # Errors
/// `Locked` when another process holds it, `TooNew` when a newer version wrote it.
pub(crate) fn claim_root(root: &Path) -> Result<File> {
    let failed = |what: &str, error| Error::io(format!("{what} `{}`", root.display()), error);
    fs::create_dir_all(root).map_err(|e| failed("create", e))?;
    let lock = File::create(root.join(".lock")).map_err(|e| failed("lock", e))?;
    if let Err(error) = patiently(|| lock.try_lock(), |e| matches!(e, TryLockError::WouldBlock)) {
        return Err(match error {
            TryLockError::WouldBlock => Error::new(
                ErrorKind::Locked,
                format!("another process uses the vector store `{}`", root.display()),
            )
            .with_hint("stop it, or let this command go through it"),
            TryLockError::Error(error) => failed("lock", error),
        });
    }
    check_format(root)?;
    for entry in fs::read_dir(root).map_err(|e| failed("list", e))? {
        let entry = entry.map_err(|e| failed("list", e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NEW) || name.starts_with(TRASH) {
            fs::remove_dir_all(entry.path()).map_err(|e| failed("remove leftovers in", e))?;
        }
    }
    Ok(lock)
}

fn check_format(root: &Path) -> Result<()> {
    let path = root.join(".format");
    let failed = |error| Error::io(format!("read `{}`", path.display()), error);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == Os::NotFound => {
            return write(root, ".format", FORMAT.to_string().as_bytes());
        }
        Err(error) => return Err(failed(error)),
    };
    let format: u32 = text
        .trim()
        .parse()
        .map_err(|_| crate::error::corrupt(format!("`{}` holds no number", path.display())))?;
    if format > FORMAT {
        let message = format!("the vector store `{}` has format {format}", root.display());
        return Err(Error::new(
            ErrorKind::TooNew,
            format!("{message}, this version reads {FORMAT}"),
        )
        .with_hint("update vellum, or restore a backup made by this version"));
    }
    Ok(())
}

/// Returns an empty directory beside `target`, to be filled and then passed to [`publish`].
pub(crate) fn stage(target: &Path) -> Result<PathBuf> {
    let staged = sibling(target, NEW);
    remove(&staged)?;
    let operation = || format!("create `{}`", staged.display());
    fs::create_dir_all(&staged).map_err(|e| Error::io(operation(), e))?;
    Ok(staged)
}

/// Makes a staged directory appear under its name, at once and durably.
pub(crate) fn publish(staged: &Path, target: &Path) -> Result<()> {
    fs::rename(staged, target)
        .map_err(|e| Error::io(format!("create `{}`", target.display()), e))?;
    sync_dir(parent(target))
}

/// Makes a directory disappear at once and durably, then removes it; nothing when there is none.
pub(crate) fn discard(target: &Path) -> Result<()> {
    let trash = sibling(target, TRASH);
    remove(&trash)?;
    match fs::rename(target, &trash) {
        Ok(()) => {}
        Err(error) if error.kind() == Os::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("remove `{}`", target.display()), error)),
    }
    sync_dir(parent(target))?;
    remove(&trash)
}

/// Tries again for half a second while `held` says that a lock is taken.
///
/// A process that starts another hands it copies of its locks, until the new program begins; so a
/// lock that this process has just released can be taken for a moment.
pub(crate) fn patiently<T, E>(
    mut call: impl FnMut() -> Result<T, E>,
    held: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 0..50 {
        match call() {
            Err(error) if held(&error) => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
    call()
}

/// Fails with `NoSpace` unless `bytes` are free on the disk of `path`.
pub(crate) fn must_have_free(path: &Path, bytes: u64) -> Result<()> {
    let stat = rustix::fs::statvfs(path).map_err(|error| {
        Error::io(format!("read the free space of `{}`", path.display()), error.into())
    })?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    let message = format!(
        "{} MiB are free on the disk of `{}`, and {} MiB are needed",
        free >> 20,
        path.display(),
        (bytes >> 20) + 1
    );
    Err(Error::new(ErrorKind::NoSpace, message).with_hint("free disk space, then run it again"))
}

/// Returns the bytes that files under `path` occupy; holes do not count.
pub(crate) fn occupied(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let mut total = 0;
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => total += occupied(&entry.path()),
            Ok(metadata) => total += metadata.blocks() * 512,
            // The engine replaces files while this runs.
            Err(_) => {}
        }
    }
    total
}

/// Removes a directory with everything in it; does nothing when there is none.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != Os::NotFound => {
            Err(Error::io(format!("remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Writes a file into `dir`, at once and durably.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.new")));
    let failed = |error| Error::io(format!("write `{}`", path.display()), error);
    let mut file = File::create(&temporary).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, &path).map_err(failed)?;
    sync_dir(dir)
}

/// Makes created, renamed and removed entries of a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::io(format!("sync `{}`", path.display()), e))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn sibling(target: &Path, prefix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!("{prefix}{name}"))
}
