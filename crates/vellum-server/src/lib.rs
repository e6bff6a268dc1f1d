//! The composition root, free of ML and parsers: configuration, data directory, adapters, telemetry.
//!
//! [`config`] resolves the settings, [`data_dir`] makes this process the owner of its directory,
//! [`compose`] constructs every adapter, [`telemetry`] starts the logs. The all-in-one binary hands in
//! constructors for models, parsers and the embedded index ([`compose::Local`]).

pub mod compose;
pub mod config;
pub mod data_dir;
pub mod memory;
pub mod telemetry;
