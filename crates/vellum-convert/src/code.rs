//! Source code: kept as it stands, with its language and its top-level definitions.
//!
//! The language is told by the file name or by the interpreter that the first line names. Definitions that
//! begin a line are headings, by a rule for each family of languages that looks at one line (and at
//! the next for C); where no such rule is reliable there are none. Text does not change, but for
//! the rules of every format: trailing blanks and all but one empty line in a row go.

use crate::clean::{TextBuilder, characters};
use std::collections::BTreeMap;
use vellum_core::document::{Document, Format, Layout, Section, SectionKind, Span};

/// Longest line that is kept in a script or style sheet, in bytes; beyond it is what a program packed.
const MAX_LINE: usize = 4 << 10;
/// Languages whose files programs pack into few lines.
const PACKED: &[&str] = &["JavaScript", "TypeScript", "CSS"];
/// Longest heading, in bytes.
const MAX_TITLE: usize = 120;

/// Extensions, the language they mean, and how its definitions are found.
const LANGUAGES: &[(&[&str], &str, Rule)] = &[
    (&["rs"], "Rust", Rule::Words(RUST)),
    (&["py", "pyi", "pyw"], "Python", Rule::Words(&["def", "class"])),
    (&["go"], "Go", Rule::Words(&["func", "type"])),
    (&["java"], "Java", Rule::Words(TYPES)),
    (&["kt", "kts"], "Kotlin", Rule::Words(&["fun", "class", "interface", "object"])),
    (&["cs"], "C#", Rule::Words(TYPES)),
    (&["ts", "tsx", "mts", "cts"], "TypeScript", Rule::Words(SCRIPT)),
    (&["js", "jsx", "mjs", "cjs"], "JavaScript", Rule::Words(SCRIPT)),
    (&["c", "h"], "C", Rule::Braces),
    (&["cc", "cpp", "cxx", "hh", "hpp", "hxx", "ino", "cu"], "C++", Rule::Braces),
    (&["rb"], "Ruby", Rule::Words(&["def", "class", "module"])),
    (&["php"], "PHP", Rule::Words(&["function", "class", "interface", "trait", "enum"])),
    (&["scala"], "Scala", Rule::Words(&["def", "class", "object", "trait"])),
    (
        &["swift"],
        "Swift",
        Rule::Words(&["func", "class", "struct", "enum", "protocol", "extension"]),
    ),
    (&["sh", "bash", "zsh", "ksh", "fish"], "Shell", Rule::None),
    (&["ps1", "psm1"], "PowerShell", Rule::None),
    (&["bat", "cmd"], "Batch", Rule::None),
    (&["sql"], "SQL", Rule::None),
    (&["pl", "pm"], "Perl", Rule::None),
    (&["lua"], "Lua", Rule::None),
    (&["r"], "R", Rule::None),
    (&["jl"], "Julia", Rule::None),
    (&["m", "mm"], "Objective-C", Rule::None),
    (&["hs"], "Haskell", Rule::None),
    (&["ex", "exs"], "Elixir", Rule::None),
    (&["erl"], "Erlang", Rule::None),
    (&["clj", "cljs"], "Clojure", Rule::None),
    (&["dart"], "Dart", Rule::None),
    (&["groovy", "gradle"], "Groovy", Rule::None),
    (&["vb", "vbs", "bas"], "Visual Basic", Rule::None),
    (&["pas"], "Pascal", Rule::None),
    (&["f90", "f95", "f", "for"], "Fortran", Rule::None),
    (&["proto"], "Protocol Buffers", Rule::None),
    (&["tf", "hcl"], "HCL", Rule::None),
    (&["css", "scss", "less"], "CSS", Rule::None),
    (&["yaml", "yml"], "YAML", Rule::None),
    (&["toml"], "TOML", Rule::None),
    (&["ini", "cfg", "properties"], "INI", Rule::None),
    (&["mk", "makefile"], "Make", Rule::None),
    (&["dockerfile"], "Dockerfile", Rule::None),
];

const RUST: &[&str] =
    &["fn", "struct", "enum", "trait", "impl", "mod", "macro_rules!", "type", "union"];
const TYPES: &[&str] =
    &["class", "interface", "enum", "record", "struct", "namespace", "@interface"];
const SCRIPT: &[&str] =
    &["function", "function*", "class", "interface", "enum", "namespace", "type"];

/// Words that may stand before the word that defines.
const MODIFIERS: &[&str] = &[
    "pub",
    "async",
    "unsafe",
    "const",
    "extern",
    "export",
    "default",
    "abstract",
    "static",
    "final",
    "sealed",
    "partial",
    "public",
    "private",
    "protected",
    "internal",
    "declare",
    "readonly",
    "data",
    "open",
    "inline",
    "suspend",
    "case",
    "override",
    "fileprivate",
    "non-sealed",
];

/// How the definitions of a language are told from one line.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// One of these words begins the line, after modifiers.
    Words(&'static [&'static str]),
    /// A function or a type whose body opens on this line or the next.
    Braces,
    /// Not at all.
    None,
}

/// Returns whether a file of this name, or with this opening, is source code.
pub(crate) fn is_code(name: &str, text: &str) -> bool {
    language(name, text).is_some()
}

/// Returns whether lines of this file may be what a program packed; then it is read as a whole.
pub(crate) fn may_be_packed(name: &str) -> bool {
    language(name, "").is_some_and(|(language, _)| PACKED.contains(&language))
}

/// Returns the document of `source`, which is called `name`.
pub(crate) fn convert(name: &str, source: &str) -> Document {
    let found = language(name, source);
    let language = found.map_or("", |(language, _)| language);
    let source = characters(source);
    let is_packed = PACKED.contains(&language);
    let mut builder = TextBuilder::default();
    for line in source.split('\n') {
        if is_packed && line.len() > MAX_LINE {
            let end = line.floor_char_boundary(MAX_LINE);
            builder.push(&line[..end]);
            builder.push(&format!(" … ({} more bytes on this line)", line.len() - end));
        } else {
            builder.push(line);
        }
        builder.newline();
    }
    let (text, _) = builder.finish();
    let sections = found.map(|(_, rule)| sections(&text, rule)).unwrap_or_default();
    let mut metadata = BTreeMap::new();
    if !language.is_empty() {
        metadata.insert("language".to_owned(), language.to_owned());
    }
    Document {
        format: Format::Code,
        title: None,
        text,
        sections,
        metadata,
        layout: Layout::default(),
    }
}

fn language(name: &str, text: &str) -> Option<(&'static str, Rule)> {
    let by_extension = |extension: &str| {
        let known = LANGUAGES.iter().find(|(extensions, ..)| extensions.contains(&extension));
        known.map(|&(_, language, rule)| (language, rule))
    };
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let extension = file.rsplit_once('.').map_or(file.as_str(), |(_, extension)| extension);
    by_extension(extension).or_else(|| by_extension(interpreter(text)?))
}

/// Returns the extension of the language whose interpreter the first line names.
fn interpreter(text: &str) -> Option<&'static str> {
    if text.starts_with("<?php") {
        return Some("php");
    }
    let first = text.strip_prefix("#!")?.lines().next()?;
    let mut words = first.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let program =
        words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match program {
        "python" | "pypy" => Some("py"),
        "node" | "deno" | "bun" => Some("js"),
        "ruby" => Some("rb"),
        "perl" => Some("pl"),
        "php" => Some("php"),
        "lua" => Some("lua"),
        "Rscript" => Some("r"),
        "make" => Some("mk"),
        _ if program.ends_with("sh") => Some("sh"),
        _ => None,
    }
}

/// Returns the definitions in `text`, each up to the next one.
fn sections(text: &str, rule: Rule) -> Vec<Section> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let title = match rule {
            Rule::Words(words) => defined(line, words),
            Rule::Braces => defined_in_c(line, lines.peek().copied().unwrap_or_default()),
            Rule::None => return Vec::new(),
        };
        found.extend(title.filter(|title| title.len() <= MAX_TITLE).map(|title| (at, title)));
        at += line.len() + 1;
    }
    let ends: Vec<usize> =
        found.iter().skip(1).map(|&(start, _)| start).chain([text.len()]).collect();
    let section = |((start, title), end): ((usize, String), usize)| {
        let end = start + text[start..end].trim_end().len();
        Section { kind: SectionKind::Heading { level: 1, title }, span: Span { start, end } }
    };
    found.into_iter().zip(ends).map(section).collect()
}

/// Returns the definition that begins `line`, such as `struct Page` or `func (p *Page) Text`.
fn defined(line: &str, words: &[&str]) -> Option<String> {
    if !line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@') {
        return None;
    }
    let mut rest = line;
    let word = loop {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '('))?;
        let word = &rest[..end];
        if words.contains(&word) {
            break word;
        }
        if !MODIFIERS.contains(&word) && !word.starts_with('"') {
            return None;
        }
        // `pub(crate)` and `extern "C"`.
        rest = &rest[end..];
        if rest.starts_with('(') {
            rest = rest.split_once(')')?.1;
        }
        rest = rest.trim_start();
    };
    let name = rest[word.len()..].trim_start();
    let receiver = match name.strip_prefix('(') {
        Some(inside) if word == "func" => inside.find(')')? + 2,
        _ => 0,
    };
    let stop = |c: char| match c {
        '{' | '=' | ';' => true,
        // Bounds and parents of an `impl` or a class are part of what it is.
        '(' | ':' => word != "impl",
        _ => false,
    };
    let end = name[receiver..].find(stop).map_or(name.len(), |end| receiver + end);
    let name = name[..end].trim();
    let is_elsewhere = word == "mod" && line.trim_end().ends_with(';');
    let gap = if name.starts_with('<') { "" } else { " " };
    (!name.is_empty() && !is_elsewhere).then(|| format!("{word}{gap}{name}"))
}

/// Returns the function or type that `line` opens in C or C++.
fn defined_in_c(line: &str, next: &str) -> Option<String> {
    let line = line.trim_end();
    if !line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || line.ends_with([';', ','])
    {
        return None;
    }
    let opens = line.contains('{') || next.starts_with('{');
    let first = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    if !opens
        || matches!(first, "if" | "for" | "while" | "switch" | "return" | "else" | "do" | "case")
    {
        return None;
    }
    if matches!(first, "struct" | "class" | "union" | "enum" | "namespace") && !line.contains('(') {
        let name = line.split(['{', ':']).next().unwrap_or_default().trim();
        return (name.len() > first.len()).then(|| name.to_owned());
    }
    let (head, _) = line.split_once('(')?;
    if head.contains('=') {
        return None;
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '~');
    let name = head.trim_end().rsplit(|c| !is_name(c)).next().unwrap_or_default();
    // A macro at the start of a line has no type before it.
    (!name.is_empty() && head.trim_end().len() > name.len()).then(|| format!("{name}()"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, source: &str, language: &str, expect: &[&str]) {
        let document = convert(name, source);
        assert_eq!(
            document.metadata.get("language").map_or("", String::as_str),
            language,
            "{name}"
        );
        let titles: Vec<&str> = document
            .sections
            .iter()
            .map(|section| match &section.kind {
                SectionKind::Heading { title, .. } => title.as_str(),
                SectionKind::Page(_) => "",
            })
            .collect();
        assert_eq!(titles, expect, "{name}: {source}");
    }

    #[test]
    fn definitions_are_headings() {
        check(
            "a.rs",
            "mod x;\npub(crate) fn one(a: u8) {\n    fn inner() {}\n}\nimpl<T: A> B for C {\n}\npub struct D;\n",
            "Rust",
            &["fn one", "impl<T: A> B for C", "struct D"],
        );
        check(
            "a.py",
            "import x\nclass A(B):\n    def f(self):\n        pass\nasync def g():\n",
            "Python",
            &["class A", "def g"],
        );
        check(
            "a.go",
            "func (p *Page) Text() string {\n}\ntype Page struct {\n}\n",
            "Go",
            &["func (p *Page) Text", "type Page struct"],
        );
        check(
            "A.java",
            "public final class A extends B {\n  void f() {}\n}\n",
            "Java",
            &["class A extends B"],
        );
        check(
            "a.ts",
            "export default async function f(a) {}\nexport interface I {}\nconst x = 1;\n",
            "TypeScript",
            &["function f", "interface I"],
        );
        check(
            "a.c",
            "#include <a.h>\nstatic int twice(int x)\n{\n\tif (x) {\n\t}\n}\nint proto(void);\nstruct point {\n};\nLIST(x) {\n",
            "C",
            &["twice()", "struct point"],
        );
        check("run", "#!/usr/bin/env -S python3 -u\ndef f():\n  pass\n", "Python", &["def f"]);
        check("run", "#!/bin/sh\nfunction f {\n}\n", "Shell", &[]);
        check("Makefile", "all:\n\techo\n", "Make", &[]);
    }

    #[test]
    fn a_packed_line_is_bounded() {
        let document = convert("a.min.js", &"f(x);".repeat(10_000));
        assert!(document.text.len() < 5000 && document.text.ends_with("more bytes on this line)"));
        assert_eq!(convert("dump.sql", &"(1),".repeat(10_000)).text.len(), 40_000);
    }
}
