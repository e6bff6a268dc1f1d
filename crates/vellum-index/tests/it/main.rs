//! The embedded store against the port's suite, a model, crashes, damage and concurrent callers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod concurrency;
mod conformance;
mod crash;
mod damage;
mod model;
mod support;
