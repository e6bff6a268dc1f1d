//! What a study measures with: a product for each settings, made ready once for each index.

use super::parameters::Assignment;
use async_trait::async_trait;
use vellum_core::Result;
use vellum_core::ports::Clock;

/// Measures settings.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Fails when the product would refuse these settings.
    ///
    /// # Errors
    /// `Invalid` with the reason.
    fn accepts(&self, settings: &Assignment) -> Result<()>;

    /// Makes ready to ask queries under `settings`; waits while another trial makes the same index.
    ///
    /// # Errors
    /// What ingesting fails with. Safe to repeat.
    async fn open(&self, settings: &Assignment) -> Result<Box<dyn Stand>>;

    /// Returns the time of this bench.
    fn clock(&self) -> &dyn Clock;
}

/// A product that is ready to be asked.
#[async_trait]
pub trait Stand: Send + Sync {
    /// Returns what was made ready.
    fn index(&self) -> Index;

    /// Returns the metric of each of these queries, indices into those that have an answer, in their order.
    ///
    /// # Errors
    /// What searching fails with.
    async fn values(&self, queries: &[usize]) -> Result<Vec<f64>>;

    /// Returns the 95th percentile of the time of a search in milliseconds, nothing of it cached.
    ///
    /// # Errors
    /// What searching fails with.
    async fn latency_p95_ms(&self) -> Result<f64>;
}

/// The index of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Index {
    /// Size on disk.
    pub bytes: u64,
    /// Chunks.
    pub chunks: u64,
    /// Seconds that making it took; `None` where another trial had made it.
    pub made_s: Option<f64>,
    /// Chunks that were embedded to make it.
    pub embedded: u64,
}
