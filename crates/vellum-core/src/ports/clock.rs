//! Time, so that nothing in the product reads it by itself.

use std::time::Duration;

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns monotonic time since an arbitrary start.
    fn elapsed(&self) -> Duration;

    /// Returns milliseconds since the Unix epoch; may jump.
    fn unix_ms(&self) -> i64;
}
