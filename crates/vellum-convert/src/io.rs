//! The content of a file as a reader that can seek.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use vellum_core::ports::Content;

/// Reads a [`Content`] from any place, without holding it in memory.
#[derive(Debug, Clone)]
pub(crate) struct ContentReader {
    content: Content,
    at: u64,
}

impl ContentReader {
    pub(crate) fn new(content: &Content) -> Self {
        Self { content: content.clone(), at: 0 }
    }
}

impl Read for ContentReader {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let bytes = self.content.read_at(self.at.min(self.content.len()), out.len())?;
        out[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.content.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
