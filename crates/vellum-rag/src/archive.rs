//! A collection in one file: written by [`export()`], read by [`import()`].
//!
//! ```text
//! zstd frame of a tar             any tool reads it: `zstd -dc FILE | tar t`
//!   manifest.json                 format, name, settings, counts                              [`Manifest`]
//!   documents/000001.jsonl ...    ledger rows, ascending by uri
//!   chunks/000001.jsonl ...       chunks, ascending by id
//!   chunks/000001.f32 ...         their vectors: little-endian f32, [n, dim]
//!   datasets/NAME.json ...        datasets that versions are measured on                          (since format 2)
//!   opinions/000001.jsonl ...     what people thought of answers                                   (since format 2)
//!   originals/HASH ...            the documents as they were ingested, by the BLAKE3 of their bytes
//!   end.json                      what was written, with the digest of the content            [`End`]
//! skippable frame                 the BLAKE3 of every byte before it                          `seal.rs`
//! ```
//!
//! Entries are batches, so that both sides need memory for one of them. Hashes of the parts would have to be known before
//! the manifest is written; one hash over the file, at its end, can be made while it is streamed, and finds any changed
//! byte before the first is believed. Sparse vectors are not in the file: they are made of the texts by the settings in
//! the manifest, which is what a store does with them too.
//!
//! A reader passes over entries that it does not know. What it must not pass over raises [`FORMAT`]; earlier formats are read.
//! What was measured does not travel: experiments are of this data directory, and measuring again makes them.

mod export;
mod import;
mod opinions;
mod read;
mod seal;
mod write;

pub use export::{Originals, export};
pub use import::{Imported, import};
pub use read::Archive;

use crate::app::App;
use crate::ingest::blocking;
use std::fs::File;
use std::path::PathBuf;
use vellum_core::Result;
use vellum_core::access::Pass;
use vellum_core::job::Refusal;

use serde::{Deserialize, Serialize};
use vellum_core::collection::{IndexSettings, Language, SparseSettings, Tuning};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind};

/// Version of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 2;

/// Name of the first entry.
const MANIFEST: &str = "manifest.json";
/// Name of the last entry.
const END: &str = "end.json";

/// What the file holds, told before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the collection.
    pub collection: CollectionName,
    /// Id of the index version.
    pub version: String,
    /// Its settings.
    pub settings: IndexSettings,
    /// Language that was asked for.
    pub language: Language,
    /// Settings of the sparse vectors.
    pub sparse: Option<SparseSettings>,
    /// How it is searched, where that differs from the settings.
    #[serde(default)]
    pub tuning: Tuning,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Indexed documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
}

/// What was written, told after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Ledger rows.
    pub rows: u64,
    /// Chunks.
    pub chunks: u64,
    /// Originals.
    pub originals: u64,
    /// Datasets.
    #[serde(default)]
    pub datasets: u64,
    /// Opinions on answers.
    #[serde(default)]
    pub opinions: u64,
    /// As [`crate::collections::digest`].
    pub digest: String,
    /// Originals that could not be read any more as they were ingested, the first 100.
    pub left_out: Vec<Refusal>,
}

/// How far an export or an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Chunks and originals that are through.
    pub done: u64,
    /// All of them, as far as that is known.
    pub of: u64,
}

/// Opens a file and checks that no byte of it is missing or changed.
///
/// # Errors
/// As [`Archive::open`].
pub async fn open(path: PathBuf) -> Result<Archive> {
    blocking(move || {
        let failed = |error| Error::io(format!("open `{}`", path.display()), error);
        let file = File::open(&path).map_err(failed)?;
        Archive::open(file).map_err(|error| error.context(path.display()))
    })
    .await?
}

/// Reads a file from end to end; returns what it says of itself.
///
/// # Errors
/// `Corrupt` when it is no whole export.
pub async fn verify(path: PathBuf) -> Result<(Manifest, End)> {
    let archive = open(path).await?;
    blocking(move || Ok((archive.manifest().clone(), archive.end()?))).await?
}

/// Finishes what imports left that were interrupted after their collection appeared. What cannot be finished now is told in the
/// log and tried again at the next start: nothing else depends on it.
///
/// # Errors
/// What listing the collections fails with.
pub async fn recover(app: &App, pass: &dyn Fn(&CollectionName) -> Result<Pass>) -> Result<()> {
    for collection in app.metastore.collections().await? {
        let pass = pass(&collection.name)?;
        if let Err(error) = opinions::hand_over(app, &pass).await {
            let (error, collection) = (error.full_message(), &collection.name);
            tracing::warn!(error, %collection, "opinions that an import left were not stored");
        }
    }
    Ok(())
}

fn damaged(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the file is no whole export: {}", what.into()))
        .with_hint("export the collection again, or copy the file again")
}
