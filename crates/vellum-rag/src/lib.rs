//! The product: what happens, in which order. It knows the ports of `vellum-core` and no adapter.
//!
//! - [`ingest`](jobs::start): source -> plan -> convert -> split -> embed -> upsert -> commit.
//! - [`search`](search::search) and [`ask`](answer::ask): question -> legs -> fuse -> diversify -> cite.
//! - [`collections`]: made on first use, shown, deleted; [`versions`]: built beside the live one, compared on [`datasets`], promoted; [`archive`]: a collection in one file. [`documents`] and [`pictures`]: read back.
//! - Pure parts: [`units`], [`split`], [`bm25`], [`fuse`], [`mmr`], [`plan`], [`extract`], [`filter`].
//!
//! Invariants: no adapter and no clock here; every read and write takes a `Pass`; every queue is
//! bounded; evaluation calls the same [`search`](search::search) that users do.

pub mod answer;
pub mod app;
pub mod archive;
pub mod bm25;
pub mod collections;
mod copies;
pub mod datasets;
pub mod documents;
pub mod eval;
pub mod events;
pub mod extract;
pub mod feedback;
pub mod filter;
pub mod fuse;
mod ingest;
pub mod jobs;
pub mod language;
pub mod mmr;
mod parents;
pub mod pictures;
pub mod plan;
pub mod search;
pub mod split;
pub mod tune;
pub mod units;
pub mod versions;
