//! Tuning: which settings find best, on a dataset, within a space.
//!
//! ```text
//! space file -> sampler -> trial: index (shared by digest) -> queries in rungs -> median rule -> journal
//!                                                  winner -> held-out queries -> paired comparison
//! ```
//!
//! [`space`] reads what is searched, [`sample`] proposes, [`study`] runs and records ([`record`]), [`stop`] gives up what
//! falls behind, [`pareto`] keeps the trades between quality, latency and size. [`mod@bench`] is what is measured with, and
//! [`products`] measures the product itself: all else is free of ports, and is tested with formulas.

pub mod bench;
pub mod parameters;
pub mod pareto;
pub mod products;
pub mod queries;
pub mod record;
mod remember;
pub mod sample;
pub mod space;
pub mod stop;
pub mod study;
pub mod summary;
