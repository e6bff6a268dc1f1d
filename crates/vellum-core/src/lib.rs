//! The shared language of Vellum: vocabulary and ports, no I/O.
//!
//! Domain types are plain data. Each port is a trait in [`ports`]; adapters live in the leaf crates
//! and never know each other; the product (`vellum-rag`) knows only what is here.
//!
//! Architecture invariant: this crate does no I/O, reads no clock and depends on nothing in the
//! workspace. With the feature `testing` it also holds the conformance suite of every port.

#![warn(missing_docs)]

pub mod access;
pub mod chunk;
pub mod collection;
pub mod document;
pub mod error;
pub mod feedback;
pub mod filter;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod metadata;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;
pub mod vector;

pub use error::{Error, ErrorKind, Result, Retry};
