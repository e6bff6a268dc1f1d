//! Runs every test, after installing what the tests need.

use crate::run::{cargo, command, has, say, step};
use anyhow::Result;

/// Runs all tests; arguments go to the test runner.
pub(crate) fn test(args: &[String]) -> Result<()> {
    install_chromium()?;
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
    step("tests", &mut cargo(&[runner, &extra].concat()))
}

/// Installs the browser of the console tests, where apt-get may be used.
fn install_chromium() -> Result<()> {
    if ["chromium", "chromium-browser", "google-chrome"].iter().any(|program| has(program)) {
        return Ok(());
    }
    if !has("apt-get") {
        say(
            "== no browser and no apt-get: install chromium for the console tests, they are skipped without",
        );
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
    let installed = step("package lists", &mut install(&["update", "-qq"]))
        .and_then(|()| step("chromium", &mut install(&["install", "-y", "-qq", "chromium"])));
    if let Err(error) = installed {
        say(&format!(
            "== chromium could not be installed ({error:#}); the console tests are skipped"
        ));
    }
    Ok(())
}

fn is_root() -> bool {
    crate::run::output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}
