//! Logs on stderr, by level and format of the configuration.

use crate::config::Log;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use vellum_core::{Error, ErrorKind, Result};

/// Warnings of the embedded engine at every start say nothing to its users; its errors do. A directive
/// of the user for the same target overrides this one.
const QUIET: &str = "qdrant_edge=error";

/// Starts logging; call once.
///
/// # Errors
/// `Invalid` when the level is not a level or a list of directives.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level)).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("log.level `{}` is not valid", log.level))
            .with_source(error)
            .with_hint("use error, warn, info, debug or trace")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    let started = match log.format.as_str() {
        "json" => builder.json().try_init(),
        _ => builder.with_target(false).try_init(),
    };
    started.map_err(|error| {
        Error::new(ErrorKind::Internal, "logging was started twice").with_source(error)
    })
}
