//! The engine's failures and panics as [`Error`]s with a kind and a hint.
//!
//! The engine reports disk failures as text and panics on data that it did not expect, so kinds are
//! read from the operating system's words, and every call into it runs inside [`guarded`]. What the
//! operating system did not cause is damage. The engine's locks do not poison; a caught panic
//! leaves them free.

use qdrant_edge::OperationError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vellum_core::{Error, ErrorKind, Result};

const DAMAGED_HINT: &str = "delete the collection and ingest its sources again, \
    or restore the data directory from a backup";

/// Runs a call into the engine; a panic becomes `NoSpace` or `Corrupt`.
pub(crate) fn guarded<T>(operation: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown panic");
        Err(from_text(operation, text))
    })
}

/// Returns the error of a failed engine call.
pub(crate) fn from_engine(operation: &str, error: &OperationError) -> Error {
    match error {
        OperationError::WrongVectorDimension { expected_dim, received_dim } => {
            let message =
                format!("{operation}: a vector has {received_dim} dimensions, not {expected_dim}");
            Error::new(ErrorKind::Invalid, message)
        }
        OperationError::OutOfMemory { description, .. } => {
            Error::new(ErrorKind::Overloaded, format!("{operation}: {description}"))
        }
        OperationError::Timeout { description } => {
            Error::new(ErrorKind::Timeout, format!("{operation}: {description}"))
        }
        // Descriptions only: the rendered form may carry a backtrace.
        OperationError::ServiceError { description, .. } => from_text(operation, description),
        other => from_text(operation, &other.to_string()),
    }
}

/// Returns the error of a stored value that cannot be what was written.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_hint(DAMAGED_HINT)
}

fn from_text(operation: &str, text: &str) -> Error {
    let kind = kind_of(text);
    let text: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
    let error = Error::new(kind, format!("{operation}: {text}"));
    match kind {
        ErrorKind::NoSpace => error.with_hint("free disk space, then run it again"),
        ErrorKind::Corrupt => error.with_hint(DAMAGED_HINT),
        ErrorKind::Locked => error.with_hint("stop the other process that uses the data directory"),
        ErrorKind::Io => error.with_hint("check the disk and the rights on the data directory"),
        _ => error,
    }
}

/// Reads the operating system's reason from an error text; damage when there is none.
fn kind_of(text: &str) -> ErrorKind {
    const SIGNS: [(&str, ErrorKind); 10] = [
        ("No space left", ErrorKind::NoSpace),
        ("StorageFull", ErrorKind::NoSpace),
        ("QuotaExceeded", ErrorKind::NoSpace),
        ("uota exceeded", ErrorKind::NoSpace),
        ("WouldBlock", ErrorKind::Locked),
        ("Permission denied", ErrorKind::Io),
        ("Read-only file system", ErrorKind::Io),
        ("Too many open files", ErrorKind::Io),
        ("Cannot allocate memory", ErrorKind::Overloaded),
        ("Input/output error", ErrorKind::Io),
    ];
    let sign = SIGNS.into_iter().find(|(sign, _)| text.contains(sign));
    sign.map_or(ErrorKind::Corrupt, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_system_decide_the_kind() {
        let full =
            OperationError::service_error_light("write x: No space left on device (os error 28)");
        assert_eq!(from_engine("upsert", &full).kind(), ErrorKind::NoSpace);
        let odd = OperationError::service_error_light("unexpected end of file");
        let error = from_engine("open `a`", &odd);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.hint().is_some());
        let error = guarded::<()>("flush", || panic!("segments flushed: StorageFull")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
}
