//! Errors of SQLite in the words of the product.
//!
//! Result codes: <https://www.sqlite.org/rescode.html>. The low byte of an extended code is its primary
//! code; a few extended codes say more and are looked at first.

use std::path::Path;
use vellum_core::{Error, ErrorKind};

const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const PROTOCOL: u32 = 15;
const NOTADB: u32 = 26;
/// The shared-memory file of the write-ahead log could not grow: in practice, the disk is full.
const IOERR_SHMSIZE: u32 = 10 | (19 << 8);

/// Returns the error of an `operation` (an imperative, such as `read the ledger`) on the file `path`.
pub(super) fn failed(path: &Path, operation: &str, source: sqlx::Error) -> Error {
    let path = path.display();
    let (kind, hint) = class(&source);
    let message = match kind {
        ErrorKind::Corrupt => format!("cannot {operation}: metadata file `{path}` is damaged"),
        ErrorKind::Locked => format!("cannot {operation}: another process holds `{path}`"),
        ErrorKind::NoSpace => format!("cannot {operation}: no space left for `{path}`"),
        _ => format!("cannot {operation} in `{path}`"),
    };
    let error = Error::new(kind, message).with_source(source);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn class(source: &sqlx::Error) -> (ErrorKind, Option<&'static str>) {
    match source {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            class_of_code(code)
        }
        sqlx::Error::PoolTimedOut => {
            (ErrorKind::Overloaded, Some("try again when fewer requests are running"))
        }
        // A value that the schema does not allow was written by something else.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, Some(RESTORE))
        }
        sqlx::Error::Io(_) => (ErrorKind::Io, None),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => (ErrorKind::Unavailable, None),
        _ => (ErrorKind::Internal, None),
    }
}

/// What helps against damage: everything in the file but the history of jobs can be made again.
pub(super) const RESTORE: &str =
    "restore the data directory from a backup, or move the file away and ingest the sources again";

fn class_of_code(code: u32) -> (ErrorKind, Option<&'static str>) {
    if code == IOERR_SHMSIZE {
        return (ErrorKind::NoSpace, Some("free some space, then try again"));
    }
    match code & 0xff {
        BUSY | LOCKED | PROTOCOL => {
            (ErrorKind::Locked, Some("stop the other process, or try again when it is done"))
        }
        FULL => (ErrorKind::NoSpace, Some("free some space, then try again")),
        CORRUPT | NOTADB => (ErrorKind::Corrupt, Some(RESTORE)),
        PERM | READONLY | CANTOPEN => {
            (ErrorKind::Io, Some("check that the folder exists and that vellum may write to it"))
        }
        IOERR => (ErrorKind::Io, None),
        _ => (ErrorKind::Internal, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_codes() {
        for (code, kind) in [
            (5, ErrorKind::Locked),
            (517, ErrorKind::Locked),
            (13, ErrorKind::NoSpace),
            (4874, ErrorKind::NoSpace),
            (778, ErrorKind::Io),
            (11, ErrorKind::Corrupt),
            (26, ErrorKind::Corrupt),
            (14, ErrorKind::Io),
            (1, ErrorKind::Internal),
        ] {
            assert_eq!(class_of_code(code).0, kind, "{code}");
        }
    }

    #[test]
    fn messages_name_operation_and_file() {
        let error = failed(Path::new("/d/m.db"), "read the ledger", sqlx::Error::PoolTimedOut);
        assert_eq!(error.message(), "cannot read the ledger in `/d/m.db`");
        assert_eq!(error.kind(), ErrorKind::Overloaded);
    }
}
