//! Compares the dependencies between crates with the table in ARCHITECTURE.md, and proves what the
//! slim server leaves out.

use crate::run::{cargo, output, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Nothing reachable from this crate may link one of [`HEAVY`].
const SLIM: &str = "vellum-server";
/// An ML runtime, a tokenizer, parsers, the embedded store.
const HEAVY: [&str; 8] = [
    "rten",
    "tokenizers",
    "qdrant-edge",
    "lopdf",
    "pdf-extract",
    "hayro-syntax",
    "html5ever",
    "pulldown-cmark",
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Fails when manifests and table differ, or when the slim server links something heavy.
pub(crate) fn check() -> Result<()> {
    let metadata: Value =
        serde_json::from_str(&output(&mut cargo(&["metadata", "--format-version", "1"]))?)?;
    let found = manifests(&metadata)?;
    let stated = table(&std::fs::read_to_string(root().join("ARCHITECTURE.md"))?)?;
    let mut problems = Vec::new();
    for name in found.keys().chain(stated.keys()).collect::<BTreeSet<_>>() {
        let (is, should) = (found.get(name), stated.get(name));
        if is != should {
            problems.push(format!("{name}: manifests say {is:?}, ARCHITECTURE.md says {should:?}"));
        }
    }
    for heavy in HEAVY {
        if reachable(&metadata, SLIM)?.contains(heavy) {
            problems.push(format!("{SLIM} links {heavy}"));
        }
    }
    // README's first command names no package.
    let plain = metadata["workspace_default_members"].as_array().context("no default members")?;
    if !matches!(plain.as_slice(), [one] if text(one).contains("/crates/vellum#")) {
        problems.push(format!("`cargo run` alone does not mean crates/vellum, but {plain:?}"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("arrows between crates:\n  {}", problems.join("\n  "))
}

/// Returns the normal dependencies among the crates of the workspace.
fn manifests(metadata: &Value) -> Result<Arrows> {
    let packages = metadata["packages"].as_array().context("metadata has no packages")?;
    let mut arrows = Arrows::new();
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let name = text(&package["name"]);
        if name == "xtask" {
            continue;
        }
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let own = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .filter(|dependency| dependency.starts_with("vellum"));
        arrows.insert(name, own.collect());
    }
    Ok(arrows)
}

/// Returns the arrows of the table in ARCHITECTURE.md: rows of `| crate | -> crates |`.
fn table(text: &str) -> Result<Arrows> {
    let begin = text.find("<!-- arrows -->").context("ARCHITECTURE.md has no <!-- arrows -->")?;
    let end = text.find("<!-- /arrows -->").context("ARCHITECTURE.md has no <!-- /arrows -->")?;
    let names = |cell: &str| {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let mut arrows = Arrows::new();
    for row in text[begin..end].lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let (name, to) = (names(cells[1]), names(cells[2]));
        let name = name.into_iter().next().context("a row without a crate")?;
        arrows.insert(name, to);
    }
    Ok(arrows)
}

/// Returns the names of all packages that `name` links, by normal dependencies.
fn reachable(metadata: &Value, name: &str) -> Result<BTreeSet<String>> {
    let packages = metadata["packages"].as_array().context("metadata has no packages")?;
    let nodes = metadata["resolve"]["nodes"].as_array().context("metadata has no nodes")?;
    let names: BTreeMap<String, String> =
        packages.iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let by_id: BTreeMap<String, &Value> =
        nodes.iter().map(|node| (text(&node["id"]), node)).collect();
    let mut queue: Vec<String> =
        names.iter().filter(|(_, known)| *known == name).map(|(id, _)| id.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = queue.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let deps = by_id.get(&id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
        for dep in deps {
            let kinds = dep["dep_kinds"].as_array().into_iter().flatten();
            if kinds.into_iter().any(|kind| kind["kind"].is_null()) {
                queue.push(text(&dep["pkg"]));
            }
        }
    }
    Ok(seen.into_iter().filter_map(|id| names.get(&id).cloned()).collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table() {
        let text = "<!-- arrows -->\n| crate | uses |\n| --- | --- |\n| `a` | `b`, `c` |\n| `b` | nothing |\n<!-- /arrows -->";
        let arrows = table(text).unwrap();
        assert_eq!(arrows["a"].len(), 2);
        assert!(arrows["b"].is_empty());
    }
}
