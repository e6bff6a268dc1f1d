//! Evaluation: how well retrieval and answers do on a dataset.
//!
//! ```text
//! dataset, corpus   a folder in BEIR layout, its documents read where they stand
//! source            lets the ingest pipeline read it
//! run               every query through the search and the answers that users get
//! metrics, spans    what a ranking of documents, and of passages, is worth for one query
//! stats             what a mean over queries is worth
//! experiment        all of it, with its settings: what is kept
//! compare           two of them
//! scores            what versions of a collection were worth last
//! ```
//!
//! Nothing here changes a user's collections. What is asked of them is in [`crate::datasets`] and [`crate::versions::compare()`].

pub mod compare;
mod corpus;
pub mod dataset;
pub mod experiment;
mod lines;
pub mod metrics;
pub mod run;
pub mod scores;
pub mod source;
pub mod spans;
pub mod stats;
