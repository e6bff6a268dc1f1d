//! Conversion seen from outside: exact text per format, hostile files, and the pool.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say why"
)]

mod pages;
mod pictures;
mod pdf;
mod pdf_places;
mod pool;
mod properties;
mod text;
