//! Runs every test, after installing what the tests need.

use crate::run::{cargo, command, has, say, step};
use anyhow::Result;

/// Runs all tests; arguments go to the test runner.
pub(crate) fn test(args: &[String]) -> Result<()> {
    install_programs()?;
    let extra: Vec<&str> = args.iter().map(String::as_str).collect();
    let runner: &[&str] = if has("cargo-nextest") {
        &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--locked", "--no-fail-fast"]
    };
    if has("cargo-nextest") {
        // nextest leaves documentation tests to cargo.
        step("documentation tests", &mut cargo(&["test", "--workspace", "--locked", "--doc"]))?;
    }
    let mut tests = cargo(&[runner, &extra].concat());
    if std::env::var_os(SEED).is_none() {
        tests.env(SEED, DEFAULT_SEED);
    }
    step("tests", &mut tests)
}

/// Seed of property tests: the same cases on every machine, unless it is set to look for others.
const SEED: &str = "PROPTEST_RNG_SEED";
const DEFAULT_SEED: &str = "1";

/// A program that some tests run, and the Debian package that has it.
struct Program {
    names: &'static [&'static str],
    package: &'static str,
    tests: &'static str,
}

/// Programs without which tests skip themselves.
const PROGRAMS: [Program; 2] = [
    Program {
        names: &["chromium", "chromium-browser", "google-chrome"],
        package: "chromium",
        tests: "console tests",
    },
    Program { names: &["tesseract"], package: "tesseract-ocr", tests: "tests of scanned pages" },
];

/// Installs what is missing, where apt-get may be used.
fn install_programs() -> Result<()> {
    let missing: Vec<&Program> =
        PROGRAMS.iter().filter(|p| !p.names.iter().any(|name| has(name))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let tests: Vec<&str> = missing.iter().map(|program| program.tests).collect();
    let (packages, tests) = (packages.join(" "), tests.join(" and "));
    if !has("apt-get") {
        say(&format!("== no apt-get: install {packages}; without, the {tests} are skipped"));
        return Ok(());
    }
    let as_root = std::env::var("USER").is_ok_and(|user| user == "root") || is_root();
    let (program, prefix): (&str, &[&str]) =
        if as_root { ("apt-get", &[]) } else { ("sudo", &["-n", "apt-get"]) };
    let install = |args: &[&str]| {
        let mut command = command(program, &[prefix, args].concat());
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let mut args = vec!["install", "-y", "-qq"];
    args.extend(missing.iter().map(|program| program.package));
    let installed = step("package lists", &mut install(&["update", "-qq"]))
        .and_then(|()| step(&packages, &mut install(&args)));
    if let Err(error) = installed {
        say(&format!("== {packages} could not be installed ({error:#}); the {tests} are skipped"));
    }
    Ok(())
}

fn is_root() -> bool {
    crate::run::output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}
