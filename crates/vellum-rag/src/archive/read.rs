//! Reads the file: checked as a whole first, then entry by entry. Everything here blocks.

use super::opinions::Opinion;
use super::{END, End, FORMAT, MANIFEST, Manifest, damaged, seal};
use crate::datasets;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufReader, Read};
use vellum_core::chunk::Chunk;
use vellum_core::ids::{ContentHash, DatasetName};
use vellum_core::ledger::LedgerRow;
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// Most bytes of an entry that is held in memory: a batch has a few hundred chunks of a few kilobytes.
const MAX_ENTRY: u64 = 256 << 20;

/// A file that was found to be whole.
#[derive(Debug)]
pub struct Archive {
    file: File,
    /// Bytes before the seal.
    sealed: u64,
    manifest: Manifest,
}

/// Something that was read.
pub(super) enum Entry {
    Rows(Vec<LedgerRow>),
    Chunks(Vec<(Chunk, Embedding)>),
    Dataset(DatasetName, Vec<u8>),
    Opinions(Vec<Opinion>),
    End(End),
}

impl Archive {
    /// Reads the whole file once, and checks that no byte of it is missing or changed. Blocks.
    ///
    /// # Errors
    /// `Corrupt` when it is no whole export; `TooNew` when a newer version wrote it; `Io`.
    pub fn open(mut file: File) -> Result<Self> {
        let sealed = seal::check(&mut file)?;
        let bytes = first_entry(&file, sealed)?;
        let format = json::<Format>(&bytes)?.format;
        if format > FORMAT {
            let message =
                format!("the file has format {format}, and this vellum reads up to {FORMAT}");
            return Err(Error::new(ErrorKind::TooNew, message).with_hint("upgrade vellum"));
        }
        let manifest = json(&bytes)?;
        Ok(Self { file, sealed, manifest })
    }

    /// Returns what the file says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Hands on the entries, in their order; originals to `original`.
    ///
    /// # Errors
    /// `Corrupt` when an entry is not what it should be, or the last one is missing; what `entry` and `original` fail with.
    pub(super) fn read(
        &self,
        mut entry: impl FnMut(Entry) -> Result<()>,
        mut original: impl FnMut(&ContentHash, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut tar = tar(&self.file, self.sealed)?;
        let mut chunks: Option<Vec<Chunk>> = None;
        let mut ended = false;
        for found in tar.entries().map_err(unreadable)? {
            let mut found = found.map_err(unreadable)?;
            let name = String::from_utf8_lossy(&found.path_bytes()).into_owned();
            match name.split_once('/') {
                None if name == END => {
                    entry(Entry::End(json(&whole(found)?)?))?;
                    ended = true;
                }
                Some(("documents", _)) => entry(Entry::Rows(lines(&whole(found)?)?))?,
                Some(("chunks", file)) if file.ends_with(".jsonl") => {
                    chunks = Some(lines(&whole(found)?)?);
                }
                Some(("chunks", file)) if file.ends_with(".f32") => {
                    let chunks = chunks.take().ok_or_else(|| damaged("vectors without chunks"))?;
                    let vectors = self.vectors(&whole(found)?, chunks.len())?;
                    entry(Entry::Chunks(chunks.into_iter().zip(vectors).collect()))?;
                }
                Some(("datasets", file)) => {
                    let (name, bytes) = dataset(file, whole(found)?)?;
                    entry(Entry::Dataset(name, bytes))?;
                }
                Some(("opinions", _)) => entry(Entry::Opinions(lines(&whole(found)?)?))?,
                Some(("originals", hash)) if is_hash(hash) => {
                    original(&ContentHash::from_stored(hash), &mut found)?;
                }
                _ => tracing::debug!(name, "an entry that is not known was passed over"),
            }
        }
        if ended { Ok(()) } else { Err(damaged("its last entry is missing")) }
    }

    /// Reads everything; returns the last entry.
    ///
    /// # Errors
    /// `Corrupt` when an entry is not what it should be, or the last one is missing.
    pub(super) fn end(&self) -> Result<End> {
        let mut end = None;
        let nothing = |error| Error::io("unpack an original", error);
        self.read(
            |entry| {
                if let Entry::End(last) = entry {
                    end = Some(last);
                }
                Ok(())
            },
            |_, bytes| io::copy(bytes, &mut io::sink()).map(drop).map_err(nothing),
        )?;
        end.ok_or_else(|| damaged("its last entry is missing"))
    }

    fn vectors(&self, bytes: &[u8], n: usize) -> Result<Vec<Embedding>> {
        let dim = self.manifest.settings.dim;
        let (values, rest) = bytes.as_chunks::<4>();
        if dim == 0 || values.len() != n * dim || !rest.is_empty() {
            return Err(damaged(format!("{} bytes are no {n} vectors", bytes.len())));
        }
        values
            .chunks(dim)
            .map(|vector| {
                Embedding::restored(vector.iter().map(|value| f32::from_le_bytes(*value)).collect())
            })
            .collect()
    }
}

fn first_entry(file: &File, sealed: u64) -> Result<Vec<u8>> {
    let mut tar = tar(file, sealed)?;
    let mut entries = tar.entries().map_err(unreadable)?;
    let entry = entries.next().ok_or_else(|| damaged("it is empty"))?.map_err(unreadable)?;
    if entry.path_bytes().as_ref() != MANIFEST.as_bytes() {
        return Err(damaged("it does not begin with a manifest"));
    }
    whole(entry)
}

/// The one field of a manifest that every version has.
#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

fn tar(file: &File, sealed: u64) -> Result<tar::Archive<impl Read + use<>>> {
    let reader = At { file: file.try_clone().map_err(unreadable)?, at: 0, end: sealed };
    let frame = zstd::Decoder::with_buffer(BufReader::new(reader)).map_err(unreadable)?;
    Ok(tar::Archive::new(frame.single_frame()))
}

/// Reads a part of a file by position, so that readers do not move each other.
struct At {
    file: File,
    at: u64,
    end: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let n = buffer.len().min(left);
        let n = self.file.read_at(&mut buffer[..n], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn whole(mut entry: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.by_ref().take(MAX_ENTRY + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_ENTRY {
        return Err(damaged("an entry is too large"));
    }
    Ok(bytes)
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged("an entry").with_source(error))
}

fn lines<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(json).collect()
}

/// Returns the dataset in a file of this name.
fn dataset(file: &str, bytes: Vec<u8>) -> Result<(DatasetName, Vec<u8>)> {
    let name = file.strip_suffix(".json").unwrap_or(file);
    let name = name.parse().map_err(|error| damaged("the name of a dataset").with_source(error))?;
    datasets::check(&name, &bytes)?;
    Ok((name, bytes))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn unreadable(error: io::Error) -> Error {
    damaged("it cannot be unpacked").with_source(error)
}
