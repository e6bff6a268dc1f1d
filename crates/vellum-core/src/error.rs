//! The one error type that crosses crate boundaries, with its code table.
//!
//! An error has a kind (what went wrong, in the caller's terms), a message (the operation and the
//! object), an optional hint (the reader's next step), a retry class and an optional source.
//! [`ErrorKind`] is mapped once to a stable code, a title, an HTTP status and a CLI exit code.
//!
//! Messages are lowercase, without a full stop, with values in backticks, and never hold secrets.

use std::fmt;
use std::time::Duration;

/// Result of every fallible call across crate boundaries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the caller's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request or a setting is wrong; sending it again cannot help.
    Invalid,
    /// The caller has not proven who it is.
    Unauthenticated,
    /// The caller may not do this. Objects that it may not see are [`ErrorKind::NotFound`].
    Forbidden,
    /// The named object does not exist, or the caller may not know that it does.
    NotFound,
    /// The object exists already or changed meanwhile.
    Conflict,
    /// This document cannot be read, now or later, unless the document changes.
    Rejected,
    /// This build or this object does not support the operation.
    Unsupported,
    /// A bounded queue is full; the work was not accepted.
    Overloaded,
    /// Another process holds the resource.
    Locked,
    /// A dependency does not answer or answers wrongly.
    Unavailable,
    /// The work did not finish before its deadline.
    Timeout,
    /// The disk or a quota is full.
    NoSpace,
    /// The operating system refused: permission, or another I/O failure.
    Io,
    /// Stored data is damaged.
    Corrupt,
    /// Stored data was written by a newer version.
    TooNew,
    /// The caller gave up.
    Cancelled,
    /// A broken invariant; always a bug.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the code table.
    pub const ALL: [Self; 17] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Rejected,
        Self::Unsupported,
        Self::Overloaded,
        Self::Locked,
        Self::Unavailable,
        Self::Timeout,
        Self::NoSpace,
        Self::Io,
        Self::Corrupt,
        Self::TooNew,
        Self::Cancelled,
        Self::Internal,
    ];

    /// Returns the stable code, the title of problem+json and the HTTP status.
    const fn row(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::Invalid => ("invalid", "The request is not valid", 400),
            Self::Unauthenticated => ("unauthenticated", "Authentication is required", 401),
            Self::Forbidden => ("forbidden", "Not allowed", 403),
            Self::NotFound => ("not_found", "Not found", 404),
            Self::Conflict => ("conflict", "Conflict with the present state", 409),
            Self::Rejected => ("rejected", "The document cannot be read", 422),
            Self::Unsupported => ("unsupported", "Not supported", 501),
            Self::Overloaded => ("overloaded", "Too many requests", 429),
            Self::Locked => ("locked", "In use by another process", 423),
            Self::Unavailable => ("unavailable", "A dependency is unavailable", 503),
            Self::Timeout => ("timeout", "The deadline passed", 504),
            Self::NoSpace => ("no_space", "No space left", 507),
            Self::Io => ("io", "Input or output failed", 500),
            Self::Corrupt => ("corrupt", "Stored data is damaged", 500),
            Self::TooNew => ("too_new", "Stored data is from a newer version", 500),
            Self::Cancelled => ("cancelled", "Cancelled", 499),
            Self::Internal => ("internal", "Internal error", 500),
        }
    }

    /// Returns the stable machine-readable code, as in `problem+json` and `--json` output.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// Returns the human title of the kind.
    pub const fn title(self) -> &'static str {
        self.row().1
    }

    /// Returns the HTTP status of the kind.
    pub const fn http_status(self) -> u16 {
        self.row().2
    }

    /// Returns the kind with this code; `None` for an unknown code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails the same way.
    Never,
    /// The cause may pass by itself.
    Later,
    /// The dependency named the time to wait.
    After(Duration),
}

/// An error with kind, message, hint, retry class and source.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    retry: Retry,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error of `kind`; `message` names the operation and the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Overloaded
            | ErrorKind::Locked
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::NoSpace => Retry::Later,
            ErrorKind::Invalid
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Rejected
            | ErrorKind::Unsupported
            | ErrorKind::Io
            | ErrorKind::Corrupt
            | ErrorKind::TooNew
            | ErrorKind::Cancelled
            | ErrorKind::Internal => Retry::Never,
        };
        Self { kind, message: message.into(), hint: None, retry, source: None }
    }

    /// Returns the error of an I/O failure: `NoSpace`, `NotFound` or `Io` by the system's own kind.
    pub fn io(operation: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Os;
        let kind = match source.kind() {
            Os::StorageFull | Os::QuotaExceeded => ErrorKind::NoSpace,
            Os::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, operation).with_source(source)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the reader's next step, an imperative sentence without full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Overrides the retry class that the kind implies.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Puts the enclosing operation before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the message without its causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the reader's next step, if there is one.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Returns the message followed by every cause, joined by `: `, on one line.
    pub fn full_message(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text.replace('\n', " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
            assert!((400..600).contains(&kind.http_status()));
        }
    }

    #[test]
    fn full_message_is_one_line_with_causes() {
        let error = Error::io("read `a.txt`", std::io::Error::other("bad\nsector"));
        assert_eq!(error.full_message(), "read `a.txt`: bad sector");
        assert_eq!(error.context("ingest").message(), "ingest: read `a.txt`");
    }
}
