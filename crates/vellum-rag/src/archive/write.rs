//! Writes the entries of the file. Everything here blocks.

use super::opinions::Opinion;
use super::seal::Sealing;
use super::{End, MANIFEST, Manifest};
use serde::Serialize;
use std::io::{self, Read, Write};
use vellum_core::ids::{ContentHash, DatasetName};
use vellum_core::ledger::LedgerRow;
use vellum_core::ports::{Content, StoredChunk};

/// Level of compression: about 100 MB/s a core; higher ones gain little on vectors.
const LEVEL: i32 = 3;
/// Bytes of an original that are read at a time.
const WINDOW: usize = 256 << 10;

/// Something to be written.
pub(super) enum Entry {
    Rows(Vec<LedgerRow>),
    /// With their vectors.
    Chunks(Vec<StoredChunk>),
    Dataset(DatasetName, Vec<u8>),
    Opinions(Vec<Opinion>),
    Original(ContentHash, Content),
    End(End),
}

/// An unfinished file.
pub(super) struct Writer<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, Sealing<W>>>,
    n_rows: u32,
    n_chunks: u32,
    n_opinions: u32,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, manifest: &Manifest) -> io::Result<Self> {
        let mut frame = zstd::Encoder::new(Sealing::new(out), LEVEL)?;
        frame.include_checksum(true)?;
        let mut writer =
            Self { tar: tar::Builder::new(frame), n_rows: 0, n_chunks: 0, n_opinions: 0 };
        writer.append(MANIFEST, &serde_json::to_vec(manifest)?)?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, entry: Entry) -> io::Result<()> {
        match entry {
            Entry::Rows(rows) => {
                self.n_rows += 1;
                let lines = lines(&rows)?;
                self.append(&format!("documents/{:06}.jsonl", self.n_rows), &lines)
            }
            Entry::Chunks(stored) => {
                self.n_chunks += 1;
                let name = format!("chunks/{:06}", self.n_chunks);
                let chunks: Vec<_> = stored.iter().map(|stored| &*stored.chunk).collect();
                let lines = lines(&chunks)?;
                self.append(&format!("{name}.jsonl"), &lines)?;
                let values = stored.iter().filter_map(|stored| stored.dense.as_ref());
                let bytes: Vec<u8> = values
                    .flat_map(|dense| dense.as_slice())
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                self.append(&format!("{name}.f32"), &bytes)
            }
            Entry::Dataset(name, bytes) => self.append(&format!("datasets/{name}.json"), &bytes),
            Entry::Opinions(opinions) => {
                self.n_opinions += 1;
                let lines = lines(&opinions)?;
                self.append(&format!("opinions/{:06}.jsonl", self.n_opinions), &lines)
            }
            Entry::Original(hash, content) => {
                let name = format!("originals/{}", hash.as_str());
                let mut header = header(content.len());
                self.tar.append_data(&mut header, name, Reader { content, at: 0 })
            }
            Entry::End(end) => {
                let end = serde_json::to_vec(&end)?;
                self.append(super::END, &end)
            }
        }
    }

    /// Closes and seals the file; returns what it was written to.
    pub(super) fn finish(self) -> io::Result<W> {
        self.tar.into_inner()?.finish()?.seal()
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.tar.append_data(&mut header(bytes.len() as u64), name, bytes)
    }
}

/// Returns a header that says nothing of when and by whom, so that equal collections make equal files.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

fn lines<T: Serialize>(values: &[T]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, value)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Reads content from its start.
struct Reader {
    content: Content,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.content.read_at(self.at, buffer.len().min(WINDOW))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
