//! A clock that moves only when it is told to.

use crate::ports::Clock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A [`Clock`] under the control of a test. Shared by reference or `Arc`.
#[derive(Debug)]
pub struct ManualClock {
    start_ms: i64,
    now_us: AtomicI64,
}

impl ManualClock {
    /// Returns a clock that stands at `unix_ms`, with no time elapsed.
    pub fn new(unix_ms: i64) -> Self {
        Self { start_ms: unix_ms, now_us: AtomicI64::new(0) }
    }

    /// Moves both the monotonic and the Unix time forward; resolution is one microsecond.
    pub fn advance(&self, by: Duration) {
        let us = i64::try_from(by.as_micros()).expect("tests do not span 292,000 years");
        self.now_us.fetch_add(us, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Returns a clock that stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(1_767_225_600_000)
    }
}

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.now_us.load(Ordering::SeqCst).unsigned_abs())
    }

    fn unix_ms(&self) -> i64 {
        self.start_ms + self.now_us.load(Ordering::SeqCst) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = ManualClock::new(5);
        assert_eq!((clock.elapsed(), clock.unix_ms()), (Duration::ZERO, 5));
        clock.advance(Duration::from_millis(1500));
        assert_eq!((clock.elapsed(), clock.unix_ms()), (Duration::from_millis(1500), 1505));
    }
}
