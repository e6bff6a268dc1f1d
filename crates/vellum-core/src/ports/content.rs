//! The bytes of one object, in memory or in an unnamed file.

use crate::ids::ContentHash;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read from a spooled file at a time.
const WINDOW: usize = 256 << 10;

/// The bytes of an object, one consistent version of it. Cloning shares them.
///
/// Reading a spooled file blocks: call such methods off the async threads.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// Too large to hold: a private copy on disk without a name, gone with its last handle.
    Spooled {
        /// The copy. Its cursor is shared and means nothing: read by position.
        file: Arc<File>,
        /// Bytes in it.
        len: u64,
    },
}

impl Content {
    /// Returns the number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled { len, .. } => *len,
        }
    }

    /// Returns whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns up to `n` bytes from `at`; fewer at the end.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read_at(&self, at: u64, n: usize) -> io::Result<Bytes> {
        let n = n.min(usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX));
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(bytes.len().min(at as usize)..).slice(..n)),
            Self::Spooled { file, .. } => {
                let mut window = vec![0; n];
                file.read_exact_at(&mut window, at)?;
                Ok(window.into())
            }
        }
    }

    /// Returns everything; for content that is known to be small.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        self.read_at(0, usize::MAX)
    }

    /// Returns the hash of everything, in constant memory.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn hash(&self) -> io::Result<ContentHash> {
        if let Self::Memory(bytes) = self {
            return Ok(ContentHash::of(bytes));
        }
        let mut hasher = ContentHash::hasher();
        let mut at = 0;
        while at < self.len() {
            let window = self.read_at(at, WINDOW)?;
            hasher.update(&window);
            at += window.len() as u64;
        }
        Ok(hasher.finish())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Memory(text.into())
    }
}
