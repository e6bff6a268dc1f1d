//! The documents of a dataset, of which only ids and places are in memory.
//!
//! A corpus may be larger than memory: it is read once, a line at a time, to check it and to note where each document
//! stands; ingestion then reads documents at their places. Memory is about a hundred bytes and the id of each
//! document, and the longest line.

use super::lines::{Lines, wrong};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use vellum_core::document::{Document, Format, Layout, Section};
use vellum_core::{Error, ErrorKind, Result};

const FILE: &str = "corpus.jsonl";

/// The documents of a dataset.
#[derive(Debug)]
pub struct Corpus {
    file: File,
    places: BTreeMap<String, Place>,
    digest: String,
}

/// Where a document stands in the file, and how long it is.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    bytes: usize,
    chars: usize,
}

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
    #[serde(default)]
    sections: Vec<Section>,
}

impl Corpus {
    /// Reads `corpus.jsonl` in `dir`.
    ///
    /// # Errors
    /// `Invalid` naming the line: not JSON, a repeated id, a section outside its text, no document at all. `NotFound` or
    /// `Io` when it cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut lines = Lines::open(dir, FILE)?;
        let mut places = BTreeMap::new();
        while let Some(line) = lines.next()? {
            let document: CorpusLine = line.json()?;
            if !document
                .sections
                .iter()
                .all(|section| document.text.get(section.span.start..section.span.end).is_some())
            {
                return Err(wrong(FILE, line.number, "a section lies outside the text"));
            }
            let chars = document.text.chars().count();
            let place = Place { at: line.at, bytes: line.text.len(), chars };
            let problem = format!("document `{}` stands there twice", document.id);
            if places.insert(document.id, place).is_some() {
                return Err(wrong(FILE, line.number, &problem));
            }
        }
        if places.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "corpus.jsonl has no document"));
        }
        let (digest, file) = lines.finish();
        Ok(Self { file, places, digest })
    }

    /// Returns the number of documents, at least 1.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the hash of the file, 32 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the number of characters of a document; `None` when there is none of this id.
    pub fn chars(&self, id: &str) -> Option<usize> {
        self.places.get(id).map(|place| place.chars)
    }

    /// Returns the number of bytes of a document's line; `None` when there is none of this id.
    pub fn bytes(&self, id: &str) -> Option<u64> {
        self.places.get(id).map(|place| place.bytes as u64)
    }

    /// Returns the least id above `after`.
    pub fn id_after(&self, after: Option<&str>) -> Option<&str> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut above = self.places.range::<str, _>((from, Bound::Unbounded));
        above.next().map(|(id, _)| id.as_str())
    }

    /// Reads the line of a document; [`document`] makes it one.
    ///
    /// # Errors
    /// `NotFound` when there is none of this id; `Io` when the file cannot be read.
    pub fn line(&self, id: &str) -> Result<Vec<u8>> {
        let place = self.places.get(id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("document `{id}` is not in the dataset"))
        })?;
        let mut bytes = vec![0; place.bytes];
        self.file
            .read_exact_at(&mut bytes, place.at)
            .map_err(|error| Error::io(format!("read document `{id}` of {FILE}"), error))?;
        Ok(bytes)
    }
}

/// Returns the document of a line.
///
/// # Errors
/// `Rejected` when it is none: the file was changed meanwhile.
pub(super) fn document(line: &[u8]) -> Result<Document> {
    let CorpusLine { title, text, sections, .. } =
        serde_json::from_slice(line).map_err(|error| {
            Error::new(ErrorKind::Rejected, "not a document of a dataset").with_source(error)
        })?;
    Ok(Document {
        format: Format::Text,
        title: title.filter(|title| !title.is_empty()),
        text,
        sections,
        metadata: BTreeMap::new(),
        layout: Layout::default(),
    })
}
