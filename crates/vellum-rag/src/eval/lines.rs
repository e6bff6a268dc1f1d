//! Reads the files of a dataset a line at a time, and hashes them on the way.

use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use vellum_core::{Error, ErrorKind, Result};

/// What every problem with a dataset ends with.
const HINT: &str = "the dataset must have BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv";

/// The lines of a file that are not blank.
pub(super) struct Lines {
    name: &'static str,
    reader: BufReader<File>,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    number: usize,
    at: u64,
}

/// A line without its end.
pub(super) struct Line<'a> {
    name: &'static str,
    /// From 1.
    pub(super) number: usize,
    /// Bytes before it.
    pub(super) at: u64,
    pub(super) text: &'a str,
}

impl Lines {
    /// Opens the file `name` in `dir`.
    pub(super) fn open(dir: &Path, name: &'static str) -> Result<Self> {
        let path = dir.join(name);
        let file = File::open(&path).map_err(|error| {
            Error::io(format!("read `{}`", path.display()), error).with_hint(HINT)
        })?;
        Ok(Self {
            name,
            reader: BufReader::with_capacity(1 << 16, file),
            hasher: blake3::Hasher::new(),
            buffer: Vec::new(),
            number: 0,
            at: 0,
        })
    }

    /// Returns the next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        loop {
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
            let read = self.reader.read_until(b'\n', &mut self.buffer);
            if read.map_err(|error| Error::io(format!("read {}", self.name), error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.hasher.update(&self.buffer);
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|_| wrong(self.name, self.number, "the line is not UTF-8"))?;
        let text = text.trim_end_matches(['\n', '\r']);
        Ok(Some(Line { name: self.name, number: self.number, at: self.at, text }))
    }

    /// Returns the hash of what was read, 32 hexadecimal digits, and the file.
    pub(super) fn finish(self) -> (String, File) {
        (self.hasher.finalize().to_hex()[..32].to_owned(), self.reader.into_inner())
    }
}

impl<'a> Line<'a> {
    /// Reads the line as JSON.
    pub(super) fn json<T: Deserialize<'a>>(&self) -> Result<T> {
        let parsed = serde_json::from_str(self.text);
        parsed.map_err(|error| wrong(self.name, self.number, &error.to_string()))
    }
}

/// Returns the error of a line.
pub(super) fn wrong(file: &str, line: usize, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{file} line {line}: {what}")).with_hint(HINT)
}
