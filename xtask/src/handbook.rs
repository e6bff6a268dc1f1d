//! Makes the generated files of `eval/handbook` from its questions and the example corpus.
//!
//! The corpus is the documents of `examples/handbook` as our own converter reads them. Each quote of a
//! question's evidence is found in its document with white space ignored, and becomes a span of characters.

use crate::run::{cargo, output, root, say};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Writes the generated files.
pub(crate) fn handbook(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`handbook` takes no arguments");
    for (path, text) in generate()? {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Fails when a generated file is not what it would be made to be now.
pub(crate) fn check() -> Result<()> {
    for (path, text) in generate()? {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        if found != text {
            bail!("{} is out of date: run `cargo xtask handbook`", path.display());
        }
    }
    Ok(())
}

fn generate() -> Result<Vec<(PathBuf, String)>> {
    let folder = root().join("eval/handbook");
    let corpus = output(&mut cargo(&[
        "run",
        "-q",
        "--locked",
        "-p",
        "vellum-convert",
        "--example",
        "corpus",
        "--",
        "examples/handbook",
    ]))?;
    let mut texts = BTreeMap::new();
    for line in corpus.lines() {
        let document: Value = serde_json::from_str(line)?;
        texts.insert(string(&document, "_id")?, string(&document, "text")?);
    }
    let questions = std::fs::read_to_string(folder.join("questions.jsonl"))?;
    let (mut queries, mut spans) = (String::new(), String::new());
    let mut qrels = String::from("query-id\tcorpus-id\tscore\n");
    for line in questions.lines().filter(|line| !line.trim().is_empty()) {
        let question: Value = serde_json::from_str(line)?;
        let id = string(&question, "_id")?;
        writeln!(queries, "{}", json!({ "_id": id, "text": string(&question, "text")? }))?;
        let mut judged = Vec::new();
        for evidence in question["evidence"].as_array().context("evidence is not a list")? {
            let source = string(evidence, "source")?;
            let quote = string(evidence, "quote")?;
            let text =
                texts.get(&source).with_context(|| format!("{id}: no document `{source}`"))?;
            let (start, end) = find(text, &quote)
                .with_context(|| format!("{id}: quote `{quote}` is not once in `{source}`"))?;
            writeln!(
                spans,
                "{}",
                json!({ "query-id": id, "corpus-id": source, "start": start, "end": end })
            )?;
            if !judged.contains(&source) {
                writeln!(qrels, "{id}\t{source}\t1")?;
                judged.push(source);
            }
        }
    }
    let file = |name: &str| -> PathBuf { Path::join(&folder, name) };
    Ok(vec![
        (file("corpus.jsonl"), corpus),
        (file("queries.jsonl"), queries),
        (file("qrels/test.tsv"), qrels),
        (file("spans.jsonl"), spans),
    ])
}

fn string(value: &Value, key: &str) -> Result<String> {
    let text = value[key].as_str().with_context(|| format!("no `{key}` in {value}"))?;
    Ok(text.to_owned())
}

/// Returns the characters of `text` that hold `quote`, white space and table bars ignored; `None`
/// unless it is there exactly once.
fn find(text: &str, quote: &str) -> Option<(usize, usize)> {
    let visible = |text: &str| -> Vec<(usize, char)> {
        text.chars().enumerate().filter(|(_, c)| !c.is_whitespace() && *c != '|').collect()
    };
    let (haystack, needle) = (visible(text), visible(quote));
    let matches_at = |at: &usize| {
        haystack[*at..].iter().zip(&needle).filter(|(a, b)| a.1 == b.1).count() == needle.len()
    };
    let mut places = (0..haystack.len().saturating_sub(needle.len().max(1) - 1)).filter(matches_at);
    let first = places.next()?;
    if needle.is_empty() || places.next().is_some() {
        return None;
    }
    Some((haystack[first].0, haystack[first + needle.len() - 1].0 + 1))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn quotes_are_found_across_white_space() {
        assert_eq!(find("a é\nb c d", "é b"), Some((2, 5)));
        assert_eq!(find("| x | 3 days |", "x 3 days"), Some((2, 12)));
        assert_eq!(find("a b a b", "a b"), None);
        assert_eq!(find("abc", "zz"), None);
    }
}
