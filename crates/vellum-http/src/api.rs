//! Handlers of `/api/v1`: extract, get a pass, call `vellum-rag`, convert.

pub(crate) mod archive;
pub(crate) mod ask;
pub(crate) mod collections;
pub(crate) mod compare;
pub(crate) mod content;
pub(crate) mod datasets;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod feedback;
pub(crate) mod jobs;
pub(crate) mod pages;
pub(crate) mod search;
pub(crate) mod versions;
