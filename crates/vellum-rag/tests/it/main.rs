//! The product over in-memory ports: ingest, retrieval and answers as users meet them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answer;
mod archive;
mod copies;
mod datasets;
mod faults;
mod ingest;
mod jobs;
mod languages;
mod options;
mod split;
mod trec;
mod tune;
mod versions;
mod world;
