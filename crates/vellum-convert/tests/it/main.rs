//! Conversion seen from outside: exact text per format, hostile files, and the pool.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say why"
)]

mod before_2007;
mod mail;
mod office;
mod pages;
mod pdf;
mod pdf_places;
mod pdf_spans;
mod pictures;
mod pool;
mod properties;
mod text;
