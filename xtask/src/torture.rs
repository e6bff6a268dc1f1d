//! Feeds the parsers hostile files and bombs, and prints how each ended and what it cost.

use crate::run::{cargo, command, root, step};
use anyhow::{Result, bail};

/// `torture convert FOLDER...`: every file of the folders, besides the bombs that are always made.
pub(crate) fn torture(args: &[String]) -> Result<()> {
    let Some(("convert", folders)) = args.split_first().map(|(what, rest)| (what.as_str(), rest))
    else {
        bail!("say what is tortured: `cargo xtask torture convert [FOLDER...]`");
    };
    let package = ["build", "--release", "--locked", "-p", "vellum-convert"];
    let programs = ["--example", "torture", "--bin", "vellum-convert-worker"];
    step("release build", &mut cargo(&[package.as_slice(), &programs].concat()))?;
    let path = |file: &str| root().join("target/release").join(file).to_string_lossy().into_owned();
    let (program, worker) = (path("examples/torture"), path("vellum-convert-worker"));
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    step("torture", &mut command(&program, &[&[worker.as_str()], folders.as_slice()].concat()))
}
