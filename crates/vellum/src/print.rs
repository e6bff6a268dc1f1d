//! Where output goes: data to stdout, everything else to stderr; nothing depends on colour.

use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use vellum_core::{Error, ErrorKind, Result};

/// What a command ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Yes: done, found, fine.
    Yes,
    /// The answer is no: nothing found, refused, documents failed.
    No,
}

impl Outcome {
    /// Returns `Yes` when the condition holds.
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Exit status of an error: could not tell.
pub(crate) const EXIT_ERROR: u8 = 2;

/// Writes a line of data to stdout.
///
/// # Errors
/// `Cancelled` when the reader is gone, as in `vellum search x | head -1`.
pub(crate) fn line(text: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(closed)
}

/// Writes one JSON document to stdout: indented for a person, on one line for a pipe.
///
/// # Errors
/// `Cancelled` when the reader is gone.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        serde_json::to_writer_pretty(&mut out, value)
    } else {
        serde_json::to_writer(&mut out, value)
    };
    written.map_err(|error| closed(error.into()))?;
    writeln!(out).map_err(closed)
}

fn closed(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Error::new(ErrorKind::Cancelled, "the reader of the output is gone");
    }
    Error::io("write to stdout", error)
}

/// Writes a line for the person at the terminal to stderr. A closed stderr has nobody to tell.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a warning to stderr.
pub(crate) fn warn(text: impl Display) {
    note(format_args!("warning: {text}"));
}

/// Writes an error with its hint to stderr.
pub(crate) fn error(error: &Error) {
    note(format_args!("error: {}", error.full_message()));
    if let Some(hint) = error.hint() {
        note(format_args!("hint: {hint}"));
    }
}
