//! What the jobs of this process did, as counters for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vellum_core::ledger::DocumentState;

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct Totals {
    indexed: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    chunks: AtomicU64,
    reused: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Documents indexed, copies included.
    pub indexed: u64,
    /// Documents rejected.
    pub rejected: u64,
    /// Documents failed.
    pub failed: u64,
    /// Bytes of the documents that came to an end.
    pub bytes: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Vectors taken from the cache in place of being made.
    pub reused: u64,
}

impl Totals {
    /// Counts a document that came to an end.
    pub(crate) fn count(&self, state: &DocumentState, bytes: u64, chunks: u64) {
        let documents = match state {
            DocumentState::Queued | DocumentState::Indexed => &self.indexed,
            DocumentState::Rejected(_) => &self.rejected,
            DocumentState::Failed(_) => &self.failed,
        };
        documents.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.chunks.fetch_add(chunks, Relaxed);
    }

    /// Counts vectors that were known.
    pub(crate) fn reused(&self, vectors: u64) {
        self.reused.fetch_add(vectors, Relaxed);
    }

    /// Returns the counters.
    pub fn read(&self) -> Counts {
        Counts {
            indexed: self.indexed.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            failed: self.failed.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            reused: self.reused.load(Relaxed),
        }
    }
}
