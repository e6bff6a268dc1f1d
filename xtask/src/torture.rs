//! Feeds the parsers hostile files and bombs, and prints how each ended and what it cost.

use crate::guided::guided;
use crate::run::{cargo, command, root, step};
use anyhow::{Result, bail};
use std::path::Path;

/// Where `fuzz` keeps inputs that ended a child.
const KEPT: &str = "target/fuzz";
/// What `fuzz` changes when no folder is named.
const SEEDS: [&str; 2] = ["crates/vellum-convert/tests/data", "examples/handbook"];

/// `torture convert FOLDER...`: every file of the folders, besides the bombs that are always made.
/// `torture fuzz MINUTES [OPTIONS] [FOLDER...]`: grown files and changed copies of the files of the folders. Options, each with a
/// value: `--only pdf,xls`, `--workers 2`, `--from 0`.
/// `torture guided MINUTES [--only pdf,xls] [FOLDER...]`: the same guided by coverage, without children.
/// `torture ingest [KILLS]`: as many SIGKILLs, 1,000 unless told otherwise, amid runs of `vellum ingest`.
pub(crate) fn torture(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.split_first() {
        Some((&"convert", folders)) => convert(folders),
        Some((&"fuzz", [minutes, rest @ ..])) => {
            let (options, folders) = apart(rest);
            run("fuzz", &[&[*minutes, KEPT], options].concat(), or_own(folders))
        }
        Some((&"guided", [minutes, rest @ ..])) => {
            let only: Vec<&str> = match apart(rest) {
                ([], _) => Vec::new(),
                (["--only", names], _) => names.split(',').collect(),
                (other, _) => bail!("the option is `--only FORMAT,...`, not {other:?}"),
            };
            guided(minutes.parse()?, &only, apart(rest).1)
        }
        Some((&"ingest", [])) => kills("1000"),
        Some((&"ingest", [n])) => kills(n),
        _ => bail!(
            "say what is tortured: `cargo xtask torture convert [FOLDER...]`, `torture fuzz MINUTES [--only FORMAT,...] [FOLDER...]`, `torture guided MINUTES [--only FORMAT,...] [FOLDER...]` or `torture ingest [KILLS]`"
        ),
    }
}

/// Splits options, each with a value, from what follows.
fn apart<'a>(rest: &'a [&'a str]) -> (&'a [&'a str], &'a [&'a str]) {
    let n_pairs = rest.chunks(2).take_while(|pair| pair[0].starts_with("--")).count();
    rest.split_at((2 * n_pairs).min(rest.len()))
}

fn or_own<'a>(folders: &'a [&'a str]) -> &'a [&'a str] {
    if folders.is_empty() { &SEEDS } else { folders }
}

/// Every file of the folders and every bomb, as the product reads them.
pub(crate) fn convert(folders: &[&str]) -> Result<()> {
    run("torture", &[], folders)
}

/// Sorts the files of the folders by format into folders below `seeds`, those of `only` if it names some.
pub(crate) fn sort_seeds(seeds: &Path, only: &[&str], folders: &[&str]) -> Result<()> {
    let (seeds, only_named) = (seeds.to_string_lossy(), only.join(","));
    let mut options = vec!["0", KEPT, "--sort", &*seeds];
    if !only.is_empty() {
        options.extend(["--only", &only_named]);
    }
    run("fuzz", &options, or_own(folders))
}

/// Kills the release binary again and again amid its work, and compares what it then makes of it with a clean run.
fn kills(n: &str) -> Result<()> {
    step("release build", &mut cargo(&["build", "--release", "--locked", "-p", "vellum"]))?;
    let test =
        ["test", "--workspace", "--locked", "--test", "it", "kill::r1_", "--", "--nocapture"];
    let mut test = cargo(&test);
    test.env("VELLUM_KILLS", n).env("VELLUM_BIN", root().join("target/release/vellum"));
    if std::env::var_os("VELLUM_SEED").is_none() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        test.env("VELLUM_SEED", now.as_secs().to_string());
    }
    step("kills", &mut test)
}

fn run(example: &str, options: &[&str], folders: &[&str]) -> Result<()> {
    let package = ["build", "--release", "--locked", "-p", "vellum-convert"];
    let programs = ["--example", example, "--bin", "vellum-convert-worker"];
    step("release build", &mut cargo(&[package.as_slice(), &programs].concat()))?;
    let path = |file: &str| root().join("target/release").join(file).to_string_lossy().into_owned();
    let (program, worker) = (path(&format!("examples/{example}")), path("vellum-convert-worker"));
    step(example, &mut command(&program, &[&[worker.as_str()], options, folders].concat()))
}
