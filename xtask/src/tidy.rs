//! The one door before a push.

use crate::run::{cargo, has, output, root, say, step};
use crate::{arrows, handbook};
use anyhow::{Result, bail};

/// Longest source file, in lines; tables are exempt by splitting them off.
const MAX_LINES: usize = 600;

pub(crate) fn tidy() -> Result<()> {
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    say("== arrows between crates");
    arrows::check()?;
    say("== file sizes");
    file_sizes()?;
    step(
        "clippy",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    )?;
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
