//! One file per command.

pub(crate) mod archive;
pub(crate) mod ask;
pub(crate) mod check;
pub(crate) mod collection;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod dataset;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod ingest;
pub(crate) mod job;
pub(crate) mod search;
pub(crate) mod tune;
pub(crate) mod up;
pub(crate) mod version;
