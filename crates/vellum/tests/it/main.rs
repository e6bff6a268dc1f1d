//! The binary as its users meet it: what it prints where, and what it exits with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod console;
mod eval;
mod flow;
mod full_disk;
mod kill;
mod pages;
mod retrieval;
mod server;
mod tool;
mod tune;
mod versions;
