//! The one door before a push.

use crate::guided::CRATE as FUZZ;
use crate::run::{cargo, has, output, root, say, step};
use crate::{arrows, handbook};
use anyhow::{Result, bail};

/// Longest source file, in lines; tables are exempt by splitting them off.
const MAX_LINES: usize = 600;

pub(crate) fn tidy() -> Result<()> {
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    let fuzz = format!("{FUZZ}/Cargo.toml");
    step("format", &mut cargo(&["fmt", "--check", "--manifest-path", &fuzz]))?;
    say("== arrows between crates");
    arrows::check()?;
    say("== file sizes");
    file_sizes()?;
    step(
        "clippy",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    )?;
    fuzzing(&fuzz)?;
    step(
        "rustdoc",
        cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"])
            // Private items are documented here, so links to them lead somewhere.
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"),
    )?;
    say("== generated files");
    handbook::check()?;
    if has("cargo-deny") {
        step(
            "licences and advisories",
            &mut cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]),
        )?;
    } else {
        say("== licences and advisories: skipped, `cargo install cargo-deny` makes it run");
    }
    Ok(())
}

/// Checks the crate of the guided fuzzing, which is no member of the workspace.
fn fuzzing(manifest: &str) -> Result<()> {
    if !has("c++") {
        say("== clippy of the fuzzing: skipped, it takes a C++ compiler");
        return Ok(());
    }
    let clippy = ["clippy", "--locked", "--manifest-path", manifest, "--target-dir", "target"];
    step("clippy of the fuzzing", &mut cargo(&[&clippy[..], &["--", "-D", "warnings"]].concat()))
}

fn file_sizes() -> Result<()> {
    let listed = output(&mut crate::run::command("git", &["ls-files", "*.rs"]))?;
    let mut long = Vec::new();
    for file in listed.lines() {
        // A file that was deleted and not committed yet is listed still.
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        let lines = text.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{file}: {lines} lines"));
        }
    }
    if long.is_empty() {
        return Ok(());
    }
    bail!("files over {MAX_LINES} lines, split them:\n  {}", long.join("\n  "))
}
