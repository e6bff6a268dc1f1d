//! Bytes on their way in: in memory while there are few, in an unnamed file when there are many.
//!
//! The file has no name, so nothing is left behind, whatever happens. [`Spool::hold`] only takes bytes; what the disk
//! is needed for blocks, and async callers hand it to [`blocking`].

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vellum_core::ports::Content;
use vellum_core::{Error, ErrorKind, Result};

/// Size from which an object is kept on disk instead of in memory, and most that is held before it is written there.
pub(crate) const HELD: usize = 8 << 20;

/// An object that is being received.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    held: Vec<u8>,
    file: Option<File>,
    written: u64,
}

impl Spool {
    /// Returns an empty one, whose file would be in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), held: Vec::new(), file: None, written: 0 }
    }

    /// Returns where its file would be.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the bytes received.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    /// Returns the first bytes, as long as all are in memory.
    pub(crate) fn start(&self) -> &[u8] {
        if self.written == 0 { &self.held } else { &[] }
    }

    /// Takes bytes; call [`Self::flush`] when [`Self::is_full`].
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Returns whether what is held should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= HELD
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        (self.file, self.written) = (None, 0);
        self.held.clear();
    }

    /// Writes what is held to the file.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed(&self.folder)?),
        };
        file.write_all(&self.held)?;
        self.written += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }

    /// Returns everything.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn finish(mut self) -> io::Result<Content> {
        if self.file.is_some() {
            self.flush()?;
        }
        Ok(match self.file {
            Some(file) => Content::Spooled { file: Arc::new(file), len: self.written },
            None => Content::from(self.held),
        })
    }
}

/// Returns a file without a name in `folder`.
///
/// # Errors
/// When the disk fails.
pub(crate) fn unnamed(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder)
}

/// Does `work` of `uri` that needs the disk, off the async threads.
///
/// # Errors
/// As the work, with what was being done and what to do about it.
pub(crate) async fn blocking<T: Send + 'static>(
    uri: &str,
    folder: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(uri, folder, error)),
        Err(source) => Err(Error::new(ErrorKind::Internal, format!("copying `{uri}` ended early"))
            .with_source(source)),
    }
}

/// Tells a failure to copy; the object itself can usually be read.
pub(crate) fn failed(uri: &str, folder: &Path, source: io::Error) -> Error {
    Error::io(format!("cannot copy `{uri}` to `{}`", folder.display()), source)
        .with_hint("make room there: large objects are copied while they are read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_stay_in_memory_and_many_go_to_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&folder.path().join("new"));
        spool.hold(b"abc");
        assert_eq!((spool.start(), spool.len()), (&b"abc"[..], 3));
        let content = spool.finish().unwrap();
        assert!(matches!(&content, Content::Memory(bytes) if &bytes[..] == b"abc"));

        let mut spool = Spool::new(folder.path());
        spool.hold(&vec![1; HELD]);
        assert!(spool.is_full());
        spool.flush().unwrap();
        spool.hold(b"end");
        let content = spool.finish().unwrap();
        assert!(matches!(content, Content::Spooled { .. }));
        assert_eq!(&content.read_at(HELD as u64 - 1, 9).unwrap()[..], b"\x01end");
    }
}
