//! Fuzzes the parsers guided by coverage: a libFuzzer process for each format, side by side.

use crate::run::{cargo, command, has, root, say, step};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// The fuzzing crate.
pub(crate) const CRATE: &str = "crates/vellum-convert/fuzz";
/// What builds it; from crates.io.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";
/// Where that is installed when it is missing.
const TOOLS: &str = "target/tools";
/// Where the program is built, apart from uninstrumented crates.
const BUILT: &str = "target/guided";
/// Seeds, sorted by format.
const SEEDS: &str = "target/fuzz/seeds";
/// For each format what was tried with success (`corpus`), what broke (`found`), and `log`.
const RUNS: &str = "target/fuzz/guided";
/// Time for one input on a core of its own, in seconds.
const TIMEOUT_SECONDS: usize = 10;
/// Largest input, in bytes.
const MAX_INPUT: usize = 64 << 10;
/// Memory of one process, twice the limit of a child of the product, as libFuzzer and its corpus are in it.
const MEMORY_MIB: usize = 1024;
/// How often the table is printed.
const REPORT: Duration = Duration::from_secs(300);

/// Tries the formats, all unless `only` names some, for `minutes` side by side.
///
/// Goes on with the corpus of an earlier run.
///
/// # Errors
/// When a program fails, or a process met a panic of ours or a document that contradicts itself.
pub(crate) fn guided(minutes: f64, only: &[&str], folders: &[&str]) -> Result<()> {
    let program = built()?;
    let formats = sorted_seeds(only, folders)?;
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let timeout = TIMEOUT_SECONDS * formats.len().div_ceil(n_cores);
    let start = Instant::now();
    let mut running = Vec::new();
    for format in &formats {
        running.push(started(&program, format, minutes, timeout)?);
    }
    let mut reported = Instant::now();
    while running.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
        std::thread::sleep(Duration::from_secs(1));
        if reported.elapsed() >= REPORT {
            say(&format!("== {:.0} of {minutes} min", start.elapsed().as_secs_f64() / 60.0));
            formats.iter().try_for_each(|format| report(format))?;
            reported = Instant::now();
        }
    }
    say("== the end");
    formats.iter().try_for_each(|format| report(format))?;
    contained(&program, &formats)
}

/// Sorts the seeds anew and returns the names of the formats.
fn sorted_seeds(only: &[&str], folders: &[&str]) -> Result<Vec<String>> {
    let seeds = root().join(SEEDS);
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    crate::torture::sort_seeds(&seeds, only, folders)?;
    let entries = fs::read_dir(&seeds)?.collect::<Result<Vec<_>, _>>()?;
    let mut formats: Vec<String> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    formats.sort();
    Ok(formats)
}

/// Builds the fuzzing crate, and what builds it where that is missing.
fn built() -> Result<PathBuf> {
    let tools = root().join(TOOLS);
    if !has("cargo-fuzz") && !tools.join("bin/cargo-fuzz").exists() {
        let install = ["install", "--locked", CARGO_FUZZ, "--root", TOOLS];
        step("cargo-fuzz", &mut cargo(&install))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&path).chain([tools.join("bin")]))?;
    let build = ["fuzz", "build", "--fuzz-dir", CRATE, "--target-dir", BUILT];
    // Without a sanitizer it builds with a stable compiler, and the parsers have next to no unsafe code. Comparisons cost four
    // fifths of the speed; the files are changed with knowledge of their format instead.
    let how = ["--sanitizer", "none", "--no-trace-compares", "convert"];
    step("instrumented build", cargo(&[build.as_slice(), &how].concat()).env("PATH", path))?;
    let host = crate::run::output(&mut command("rustc", &["--print", "host-tuple"]))?;
    Ok(root().join(BUILT).join(host.trim()).join("release/convert"))
}

/// Starts the process for one format, which goes on after a finding.
fn started(program: &Path, format: &str, minutes: f64, timeout: usize) -> Result<Child> {
    let folder = root().join(RUNS).join(format);
    for name in ["corpus", "found"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let log = File::create(folder.join("log"))?;
    let seeds = root().join(SEEDS).join(format);
    let options = [
        "-fork=1".to_owned(),
        "-ignore_crashes=1".to_owned(),
        "-ignore_ooms=1".to_owned(),
        "-ignore_timeouts=1".to_owned(),
        format!("-timeout={timeout}"),
        format!("-rss_limit_mb={MEMORY_MIB}"),
        format!("-max_len={MAX_INPUT}"),
        format!("-max_total_time={:.0}", minutes * 60.0),
        "-artifact_prefix=found/".to_owned(),
    ];
    command(&program.to_string_lossy(), &[])
        .args(options)
        .args([Path::new("corpus"), &seeds])
        .current_dir(folder)
        .env("VELLUM_FUZZ_FORMAT", format)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", program.display()))
}

/// Prints how far a format is: inputs, edges that were covered, files of the corpus, ends of the process.
fn report(format: &str) -> Result<()> {
    let log = fs::read(root().join(RUNS).join(format).join("log"))?;
    let log = String::from_utf8_lossy(&log);
    let last = log.lines().rev().find(|line| line.starts_with('#')).unwrap_or("not begun");
    say(&format!("{format:9} {last}"));
    Ok(())
}

/// Reads what ended a process once more, each for itself, and tells what the product does with it.
fn contained(program: &Path, formats: &[String]) -> Result<()> {
    let mut ours = Vec::new();
    let mut folders = Vec::new();
    for format in formats {
        let folder = root().join(RUNS).join(format).join("found");
        let files = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        for file in &files {
            let mut again = command(&program.to_string_lossy(), &[]);
            again.arg(file.path()).env("VELLUM_FUZZ_FORMAT", format);
            let again = again.output().context("read a finding again")?;
            if String::from_utf8_lossy(&again.stderr).contains("a finding: ") {
                ours.push(file.path().display().to_string());
            }
        }
        if !files.is_empty() {
            folders.push(folder.to_string_lossy().into_owned());
        }
    }
    if !ours.is_empty() {
        bail!("{} inputs break code of ours:\n{}", ours.len(), ours.join("\n"));
    }
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    if folders.is_empty() { Ok(()) } else { crate::torture::convert(&folders) }
}
