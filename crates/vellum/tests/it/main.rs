//! The binary as its users meet it: what it prints where, and what it exits with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod console;
mod flow;
mod kill;
mod pages;
mod server;
mod tool;
mod versions;
