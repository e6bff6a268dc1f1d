//! The `ObjectStore` of local folders.
//!
//! 1. [`FolderStore::resolve`] makes a typed path absolute and follows links in it, once.
//! 2. [`FolderStore::list`] walks it ([`walk`]); below the root no link is followed.
//! 3. [`FolderStore::get`] reads one file as one version: into memory, or a large one into an unnamed copy.
//!
//! The etag is made of size, modification time, change time and inode, so it costs no read. File
//! systems stamp times with the tick of the kernel's clock, and two writes within one tick look alike;
//! a file that was stamped just now is therefore read only once its tick is over. Whatever is written
//! after that read has another stamp.
//!
//! Blocking calls run on tokio's blocking threads. Nothing here writes but those copies, into a folder of
//! their own. Only Unix names are known: any bytes but `/` and NUL.

mod path;
mod walk;

pub use path::local_path;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use path::{name_of, uri_of};
use rustix::fs::OFlags;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use vellum_core::ports::{Content, Listed, Listing, ObjectMeta, ObjectStore};
use vellum_core::{Error, ErrorKind, Result, Retry};
use walk::Walk;

/// Entries that a listing reads ahead: large enough to make the change of threads cheap.
const BATCH: usize = 256;

/// Longest tick of a kernel clock (10 ms at 100 Hz), doubled.
const TICK: Duration = Duration::from_millis(20);

/// Size from which a file is copied to the spool folder instead of held in memory.
const SPOOL_FROM: u64 = 8 << 20;

/// Lists and reads local folders and files.
#[derive(Debug, Clone)]
pub struct FolderStore {
    spool: PathBuf,
}

impl FolderStore {
    /// Returns a store that keeps copies of large files in the folder `spool` while they are used.
    ///
    /// A copy has no name, so nothing is left behind, whatever happens.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self { spool: spool.into() }
    }
}

impl Default for FolderStore {
    /// Returns a store that spools to the system's folder for temporary files.
    fn default() -> Self {
        Self::new(std::env::temp_dir())
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn resolve(&self, source: &str) -> Result<String> {
        let source = source.to_owned();
        blocking(move || resolve(&source)).await
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        let uri = source.to_owned();
        if !uri.ends_with('/') {
            let listed = blocking(move || look_at_file(&uri)).await?;
            return Ok(stream::iter([Ok(listed)]).boxed());
        }
        let walk = blocking(move || {
            must_be_canonical(&local_path(&uri)?)?;
            Walk::begin(&uri)
        })
        .await?;
        let batches = stream::unfold(Some(walk), |walk| async {
            let mut walk = walk?;
            let step = blocking(move || Ok((walk.batch(BATCH), walk))).await;
            match step {
                Ok((batch, walk)) => batch.map(|batch| (batch, Some(walk))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        Ok(batches.flat_map(stream::iter).boxed())
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        let (uri, spool) = (uri.to_owned(), self.spool.clone());
        blocking(move || read(&local_path(&uri)?, limit, &spool)).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|source| {
        Err(Error::new(ErrorKind::Internal, "a file operation ended early").with_source(source))
    })
}

fn resolve(source: &str) -> Result<String> {
    let typed = match source.split_once("://") {
        Some(("file", _)) => local_path(source)?,
        Some((scheme, _)) if is_scheme(scheme) => {
            let message = format!("`{source}`: sources of scheme `{scheme}` are not supported");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("use a folder, a file, s3://bucket/prefix, gs:// or az:// likewise, or https://host/path"));
        }
        _ => source.into(),
    };
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let message = format!("`{source}` does not exist");
            let error = Error::new(ErrorKind::NotFound, message);
            match std::env::current_dir() {
                Ok(here) if typed.is_relative() => error.with_hint(format!(
                    "check the spelling; the path is relative to `{}`",
                    here.display()
                )),
                _ => error.with_hint("check the spelling"),
            }
        }
        _ => failed(&typed, error),
    };
    let path = typed.canonicalize().map_err(missing)?;
    let metadata = fs::metadata(&path).map_err(missing)?;
    let uri = uri_of(&path);
    if metadata.is_dir() {
        fs::read_dir(&path).map_err(missing)?;
        return Ok(if uri.ends_with('/') { uri } else { uri + "/" });
    }
    if !metadata.is_file() {
        let message = format!("`{source}` is neither a folder nor a file");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("use a folder or a file on this machine"));
    }
    open(&path)?;
    Ok(uri)
}

/// RFC 3986, section 3.1; anything else before `://` is part of a path.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn look_at_file(uri: &str) -> Result<Listed> {
    let path = local_path(uri)?;
    must_be_canonical(&path)?;
    walk::look(&path, uri).ok_or_else(|| not_found(&path))
}

fn read(path: &Path, limit: u64, spool: &Path) -> Result<(ObjectMeta, Content)> {
    must_be_canonical(path)?;
    let mut file = open(path)?;
    let stat = |file: &File| file.metadata().map_err(|source| failed(path, source));
    let mut before = stat(&file)?;
    if !before.is_file() {
        let message = format!("`{}` is not a file", path.display());
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    if before.len() > limit {
        return Err(crate::too_large(before.len(), limit));
    }
    if let Some(rest) = rest_of_tick(&before, SystemTime::now()) {
        std::thread::sleep(rest);
        before = stat(&file)?;
    }
    // One byte more than expected tells growth from the end.
    let mut source = (&mut file).take(before.len() + 1);
    let content = if before.len() < SPOOL_FROM {
        let mut content = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0) + 1);
        source.read_to_end(&mut content).map_err(|source| failed(path, source))?;
        Content::from(content)
    } else {
        copy_to(spool, &mut source).map_err(|error| spool_failed(path, spool, error))?
    };
    let meta = meta_of(path, &before);
    let after = meta_of(path, &stat(&file)?);
    if meta != after || content.len() != meta.size {
        let message = format!("`{}` changed while it was read", path.display());
        return Err(Error::new(ErrorKind::Conflict, message).with_retry(Retry::Later));
    }
    Ok((meta, content))
}

/// Copies what `source` gives into a file without a name in the folder `spool`.
fn copy_to(spool: &Path, source: &mut impl Read) -> io::Result<Content> {
    fs::create_dir_all(spool)?;
    let mut file = tempfile::tempfile_in(spool)?;
    let len = io::copy(source, &mut file)?;
    Ok(Content::Spooled { file: Arc::new(file), len })
}

/// Tells a failure to copy; the file itself can usually be read.
fn spool_failed(path: &Path, spool: &Path, source: io::Error) -> Error {
    let message = format!("cannot copy `{}` to `{}`", path.display(), spool.display());
    Error::io(message, source)
        .with_hint("make room there: large files are copied while they are read")
}

/// Opens a file for reading, without waiting for the other end of a pipe and without following a link.
fn open(path: &Path) -> Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|source| failed(path, source))
}

/// Fails when `path` leads through a symbolic link: a listing shows none, so it was put there later.
fn must_be_canonical(path: &Path) -> Result<()> {
    let canonical = path.canonicalize().map_err(|source| failed(path, source))?;
    if canonical == path {
        return Ok(());
    }
    let message = format!("`{}` leads through a symbolic link", path.display());
    Err(Error::new(ErrorKind::NotFound, message).with_hint("name the folder that it points to"))
}

/// Returns how long to wait until a further change would get another time stamp.
fn rest_of_tick(metadata: &Metadata, now: SystemTime) -> Option<Duration> {
    let nanos = u32::try_from(metadata.ctime_nsec()).ok()?;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    match now.duration_since(changed) {
        Ok(age) => TICK.checked_sub(age).filter(|rest| !rest.is_zero()),
        // A file server's clock may be ahead of ours; then no wait would be long enough.
        Err(ahead) => (ahead.duration() < TICK).then_some(TICK),
    }
}

fn meta_of(path: &Path, metadata: &Metadata) -> ObjectMeta {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let etag = format!(
        "{:x}-{:x}-{:x}-{:x}",
        metadata.len(),
        nanos(metadata.mtime(), metadata.mtime_nsec()),
        nanos(metadata.ctime(), metadata.ctime_nsec()),
        metadata.ino(),
    );
    ObjectMeta { uri: uri_of(path), name: name_of(path), size: metadata.len(), etag }
}

fn not_found(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{}` does not exist", path.display()))
        .with_hint("check the spelling, and that the drive or share is mounted")
}

fn denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn failed(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => not_found(path),
        _ => {
            let hint =
                denied(&source).then_some("give the user that runs vellum the right to read it");
            let error = Error::io(format!("cannot read `{}`", path.display()), source);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        assert!(["s3", "https", "git+ssh"].into_iter().all(is_scheme));
        assert!(!["", "3s", "a/b", "ü"].into_iter().any(is_scheme));
    }
}
