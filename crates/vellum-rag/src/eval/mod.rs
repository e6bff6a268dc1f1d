//! Evaluation: how well retrieval and answers do on a dataset.
//!
//! [`dataset`] reads BEIR folders, [`source`] lets the ingest pipeline read one as its source, [`metrics`]
//! scores rankings, [`run`] asks every query through the same [`crate::search::search`] and
//! [`crate::answer::ask`] that users call. Nothing here touches a user's collections.

pub mod dataset;
pub mod metrics;
pub mod run;
pub mod source;
pub mod stats;
