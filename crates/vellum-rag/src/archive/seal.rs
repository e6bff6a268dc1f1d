//! The end of the file: a hash of every byte before it, in a frame that readers of zstd skip.
//!
//! Layout of a skippable frame: RFC 8878, section 3.1.2.

use super::damaged;
use std::io::{self, Read, Seek, SeekFrom, Write};
use vellum_core::{Error, Result};

/// Magic number and length of a skippable frame, then our own mark.
const HEAD: [u8; 16] = *b"\x50\x2a\x4d\x18\x28\x00\x00\x00vellum-1";
/// Bytes of the seal: its head and the hash.
const LEN: u64 = HEAD.len() as u64 + blake3::OUT_LEN as u64;
/// Bytes hashed at a time.
const WINDOW: usize = 256 << 10;

/// Hashes what it writes.
pub(super) struct Sealing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// Writes the seal; returns what was written to.
    pub(super) fn seal(mut self) -> io::Result<W> {
        self.inner.write_all(&HEAD)?;
        self.inner.write_all(self.hasher.finalize().as_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Fails unless the file ends with a seal that fits it; returns the bytes before the seal, and leaves the file at its start.
///
/// # Errors
/// `Corrupt` when a byte is missing or changed.
pub(super) fn check(file: &mut (impl Read + Seek)) -> Result<u64> {
    let failed = |error| Error::io("read the export", error);
    let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let Some(sealed) = len.checked_sub(LEN) else {
        return Err(damaged("it is too short"));
    };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut window = vec![0; WINDOW];
    let mut left = sealed;
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
        file.read_exact(&mut window[..n]).map_err(failed)?;
        hasher.update(&window[..n]);
        left -= n as u64;
    }
    let mut seal = [0; LEN as usize];
    file.read_exact(&mut seal).map_err(failed)?;
    let (head, hash) = seal.split_at(HEAD.len());
    if head != HEAD || hash != hasher.finalize().as_bytes() {
        return Err(damaged("its seal does not fit, so bytes are missing or changed"));
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(sealed)
}
