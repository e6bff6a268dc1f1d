//! Chores of the repository: `cargo xtask tidy|test|bench|torture|handbook`.
//!
//! - `tidy`: what must hold before a push: format, clippy and rustdoc without warnings, the arrows between
//!   crates, file sizes, generated files, licences and advisories where `cargo deny` is installed.
//! - `test`: installs what the tests need and runs all of them.
//! - `bench`: measures against peers in the same run (see `bench/README.md`).
//! - `torture convert`: hostile files and bombs against the parsers, with how each ended and peak memory.
//! - `torture fuzz`: changed copies of real files against each parser.
//! - `torture guided`: the same guided by coverage, in one process for each format.
//! - `torture ingest`: kills amid an ingest, each compared with a clean run.
//! - `handbook`: makes the generated files of the handbook dataset.

mod arrows;
mod bench;
mod guided;
mod handbook;
mod run;
mod test;
mod tidy;
mod torture;

use anyhow::{Result, bail};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let (command, rest) = match args {
        [command, rest @ ..] => (command.as_str(), rest),
        [] => ("", args),
    };
    match command {
        "tidy" => tidy::tidy(),
        "test" => test::test(rest),
        "bench" => bench::bench(rest),
        "torture" => torture::torture(rest),
        "handbook" => handbook::handbook(rest),
        other => bail!("`{other}` is not a chore; use tidy, test, bench, torture or handbook"),
    }
}
