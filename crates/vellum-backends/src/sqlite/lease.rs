//! Leases and claims: the SQL, by the clock of the database.
//!
//! A lease is one row that its worker keeps moving on, however many documents it has claimed; a claim is live while
//! the lease of its token is.

use std::time::Duration;
use vellum_core::ledger::Lease;

/// Now, in milliseconds since the Unix epoch.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

pub(super) const OPEN: &str =
    concat!("INSERT INTO lease (space, owner, until_ms) VALUES (?, ?, ", now!(), " + ?)");

pub(super) const RENEW: &str =
    concat!("UPDATE lease SET until_ms = ", now!(), " + ? WHERE token = ?");

pub(super) const LIVE: &str =
    concat!("SELECT COUNT(*) AS leases FROM lease WHERE space = ? AND until_ms > ", now!());

/// How many workers are at one of two spaces.
pub(super) const LIVE_AT_EITHER: &str =
    concat!("SELECT COUNT(*) AS leases FROM lease WHERE space IN (?, ?) AND until_ms > ", now!());

pub(super) const IS_LIVE: &str =
    concat!("SELECT 1 FROM lease WHERE token = ? AND until_ms > ", now!());

pub(super) const CLAIM: &str = concat!(
    "UPDATE document SET claim = ? WHERE id = ? AND space = ? AND (claim IS NULL OR claim = ?
        OR claim NOT IN (SELECT token FROM lease WHERE until_ms > ",
    now!(),
    "))"
);

/// The uri of a document that is not claimed under a token.
pub(super) const FOREIGN: &str =
    "SELECT uri FROM document WHERE id = ? AND space = ? AND claim IS NOT ?";

pub(super) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2)
}

/// SQLite gives tokens from 1 up to the greatest i64.
pub(super) fn token(lease: &Lease) -> i64 {
    lease.token.cast_signed()
}
