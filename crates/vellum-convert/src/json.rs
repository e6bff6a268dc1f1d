//! JSON and JSON lines to lines that carry the keys they stand under.
//!
//! - A value is a line `path.to[0].key: value`, so a passage from the middle of a file knows its keys. Short
//!   lists of values share one line.
//! - A list of objects with much the same keys and short values is a table below a header row.
//! - JSON lines are read record by record, in parts when there are many. A line that is not JSON is kept as it stands.
//! - What calls itself JSON and is not stays plain text.
//!
//! The parser ([`tree`]) and the writer keep their own stacks; values nested deeper than [`tree::MAX_DEPTH`] are rejected.

mod tree;

use crate::clean::{TextBuilder, characters, collapsed};
use crate::csv::Rows;
use crate::detect::rejected;
use crate::{Emit, Settings, large, text, too_much_text};
use encoding_rs::Encoding;
use std::collections::{BTreeMap, HashMap};
use tree::{Fault, Kind, Node};
use vellum_core::Result;
use vellum_core::document::{Document, Format, Layout};
use vellum_core::ports::Content;

/// Longest path that is shown, in bytes; of a longer one the end is.
const MAX_PATH: usize = 160;
/// Longest list that is written on one line, in bytes of its source.
const MAX_INLINE: usize = 2000;
/// Longest value of a table cell, in bytes of its source; longer ones read better as lines.
const MAX_CELL: usize = 400;
/// Most columns of a table.
const MAX_COLUMNS: usize = 40;
/// Source bytes of JSON lines that are written together.
const BATCH: usize = 256 << 10;

/// Returns the document that `source` holds.
///
/// # Errors
/// `Rejected` when it is nested too deeply, or is more text than `settings` allow.
pub(crate) fn convert(source: &str, settings: &Settings) -> Result<Document> {
    let mut out = TextBuilder::default();
    let mut title = None;
    match tree::parse(source) {
        Ok(nodes) => {
            title = title_of(source, &nodes);
            write(source, &nodes, settings, &mut out)?;
        }
        Err(Fault::TooDeep) => return Err(too_deep()),
        Err(Fault::Malformed | Fault::TooMany) if is_lines(source) => {
            let mut batch = Batch::default();
            for line in source.lines() {
                batch.line(line, settings, &mut out)?;
            }
            batch.flush(settings, &mut out)?;
        }
        Err(Fault::Malformed | Fault::TooMany) => {
            return Ok(Document { format: Format::Json, ..text::convert(source) });
        }
    }
    Ok(Document { title, ..document(out) })
}

/// Hands on the JSON lines in `content`, which is text in `encoding` after its first `skip` bytes.
///
/// # Errors
/// As [`convert`] and [`large::windows`].
pub(crate) fn convert_lines(
    content: &Content,
    encoding: &'static Encoding,
    skip: u64,
    settings: &Settings,
    emit: Emit<'_>,
) -> Result<()> {
    let mut batch = Batch::default();
    let mut out = TextBuilder::default();
    let mut pending = String::new();
    large::windows(content, encoding, skip, &mut |window, last| {
        pending.push_str(window);
        // A line without an end is no record; it is cut rather than held.
        let end = match pending.rfind('\n') {
            Some(at) if !last => at + 1,
            None if !last && pending.len() < settings.max_text_bytes => 0,
            _ => pending.len(),
        };
        for line in pending[..end].lines() {
            batch.line(line, settings, &mut out)?;
            if out.len() >= large::WINDOW {
                batch.flush(settings, &mut out)?;
                emit(document(std::mem::take(&mut out)))?;
            }
        }
        pending.drain(..end);
        if last {
            batch.flush(settings, &mut out)?;
            let part = document(std::mem::take(&mut out));
            if !part.text.is_empty() {
                emit(part)?;
            }
        }
        Ok(())
    })
}

/// Returns whether `text` opens as JSON: values without a fault up to where the window was cut.
pub(crate) fn opens_as_json(text: &str) -> bool {
    if !text.trim_start().starts_with(['{', '[']) {
        return false;
    }
    match tree::parse(text) {
        Ok(nodes) => nodes.len() > 1,
        Err(Fault::TooDeep) => true,
        Err(Fault::TooMany | Fault::Malformed) => is_lines(text) || tree::is_cut_short(text),
    }
}

/// Returns whether the first line of `text` is a whole object or list, and not the only line.
pub(crate) fn is_lines(text: &str) -> bool {
    let Some((first, rest)) = text.trim_start().split_once('\n') else { return false };
    let opens = |text: &str| text.trim_start().starts_with(['{', '[']);
    opens(first) && opens(rest) && tree::parse(first).is_ok()
}

fn too_deep() -> vellum_core::Error {
    rejected(format!("the JSON is nested more than {} deep", tree::MAX_DEPTH))
}

fn document(out: TextBuilder) -> Document {
    let (text, sections) = out.finish();
    Document {
        format: Format::Json,
        title: None,
        text,
        sections,
        metadata: BTreeMap::new(),
        layout: Layout::default(),
    }
}

/// Returns the title or name that the outermost object gives itself.
fn title_of(source: &str, nodes: &[Node]) -> Option<String> {
    let root = nodes.first().filter(|root| root.kind == Kind::Object)?;
    let own = |key: &str| {
        tree::children(nodes, 0, root).map(|at| &nodes[at]).find(|node| {
            node.kind == Kind::String && node.value(source).len() < 200 && node.key(source) == key
        })
    };
    let title = collapsed(&scalar(source, own("title").or_else(|| own("name"))?));
    Some(title).filter(|title| !title.is_empty())
}

/// Records of JSON lines that wait to be written, as the members of one list.
#[derive(Default)]
struct Batch {
    list: String,
}

impl Batch {
    fn line(&mut self, line: &str, settings: &Settings, out: &mut TextBuilder) -> Result<()> {
        let line = line.trim();
        match tree::parse(line) {
            _ if line.is_empty() => {}
            Ok(_) => {
                self.list.push(if self.list.is_empty() { '[' } else { ',' });
                self.list.push_str(line);
            }
            Err(Fault::TooDeep) => return Err(too_deep()),
            Err(Fault::Malformed | Fault::TooMany) => {
                self.flush(settings, out)?;
                out.line();
                out.push_lines(&characters(line));
                out.line();
            }
        }
        if self.list.len() > BATCH { self.flush(settings, out) } else { Ok(()) }
    }

    fn flush(&mut self, settings: &Settings, out: &mut TextBuilder) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        let mut list = std::mem::take(&mut self.list);
        list.push(']');
        let nodes = tree::parse(&list).map_err(|_| rejected("the JSON holds too many values"))?;
        write(&list, &nodes, settings, out)
    }
}

/// An object or a list that is being written.
struct Open {
    /// One past its last node.
    end: usize,
    /// Length of the path above its members.
    path: usize,
    /// The next member of a list.
    index: Option<usize>,
}

/// Writes `nodes` of `source` to `out`.
fn write(source: &str, nodes: &[Node], settings: &Settings, out: &mut TextBuilder) -> Result<()> {
    let mut path = String::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        while open.last().is_some_and(|parent| parent.end <= at) {
            open.pop();
        }
        if out.len() > settings.max_text_bytes {
            return Err(too_much_text(settings));
        }
        if let Some(parent) = open.last_mut() {
            path.truncate(parent.path);
            push_step(&mut path, source, node, parent);
        }
        let is_member = open.last().is_some_and(|parent| parent.index.is_some());
        at = match node.kind {
            Kind::Object | Kind::List if node.next as usize == at + 1 => {
                line(&path, "", out);
                at + 1
            }
            Kind::List if write_list(source, nodes, at, &path, out) => node.next as usize,
            Kind::Object | Kind::List => {
                // Records stand apart.
                if is_member && node.kind == Kind::Object {
                    out.block();
                }
                let index = (node.kind == Kind::List).then_some(0);
                open.push(Open { end: node.next as usize, path: path.len(), index });
                at + 1
            }
            Kind::String | Kind::Literal => {
                line(&path, &scalar(source, node), out);
                at + 1
            }
        };
    }
    out.block();
    Ok(())
}

/// Appends the key of `node`, or its place in the list `parent`.
fn push_step(path: &mut String, source: &str, node: &Node, parent: &mut Open) {
    match &mut parent.index {
        // The members of the outermost list are records, told apart by an empty line.
        Some(_) if parent.path == 0 => {}
        Some(index) => {
            path.push_str(&format!("[{index}]"));
            *index += 1;
        }
        None => {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&collapsed(&characters(&node.key(source))));
        }
    }
}

/// Writes `path: value`; a value of several lines below its path.
fn line(path: &str, value: &str, out: &mut TextBuilder) {
    let value = characters(value);
    let value = value.trim();
    out.line();
    if !path.is_empty() {
        if path.len() > MAX_PATH {
            out.push("…");
        }
        out.push(&path[path.ceil_char_boundary(path.len().saturating_sub(MAX_PATH))..]);
        out.push(":");
        if value.contains('\n') {
            out.newline();
        } else if !value.is_empty() {
            out.push(" ");
        }
    }
    out.push_lines(value);
    out.line();
}

/// Writes the list at `at` if it is a list of values or a table; returns whether it was.
fn write_list(source: &str, nodes: &[Node], at: usize, path: &str, out: &mut TextBuilder) -> bool {
    let list = &nodes[at];
    if tree::children(nodes, at, list).all(|child| nodes[child].is_scalar()) {
        if list.value(source).len() > MAX_INLINE {
            return false;
        }
        line(path, &joined(source, nodes, at), out);
        return true;
    }
    let Some(columns) = columns(source, nodes, at) else { return false };
    if !path.is_empty() {
        out.block();
        line(path, "", out);
    }
    let header: Vec<String> = {
        let mut names: Vec<_> = columns.iter().collect();
        names.sort_unstable_by_key(|&(_, place)| place);
        names.into_iter().map(|(name, _)| collapsed(&characters(name))).collect()
    };
    let mut rows = Rows::new(&header);
    for record in tree::children(nodes, at, list) {
        let mut cells = vec![String::new(); header.len()];
        for child in tree::children(nodes, record, &nodes[record]) {
            let value = match nodes[child].kind {
                Kind::List => joined(source, nodes, child),
                Kind::Object => String::new(),
                Kind::Literal if nodes[child].value(source) == "null" => String::new(),
                Kind::String | Kind::Literal => scalar(source, &nodes[child]),
            };
            if let Some(&place) = columns.get(&nodes[child].key(source)) {
                cells[place] = collapsed(&characters(&value));
            }
        }
        rows.row(out, cells);
    }
    rows.finish(out);
    true
}

/// Returns the columns of the list at `at` with their places; `None` when it is not a table.
fn columns(source: &str, nodes: &[Node], at: usize) -> Option<HashMap<String, usize>> {
    let mut columns = HashMap::new();
    let (mut n_records, mut n_cells) = (0, 0);
    for record in tree::children(nodes, at, &nodes[at]) {
        if nodes[record].kind != Kind::Object {
            return None;
        }
        n_records += 1;
        for child in tree::children(nodes, record, &nodes[record]) {
            let node = &nodes[child];
            let is_short = node.value(source).len() <= MAX_CELL;
            let is_value = node.is_scalar()
                || node.next as usize == child + 1
                || (node.kind == Kind::List
                    && tree::children(nodes, child, node).all(|item| nodes[item].is_scalar()));
            if !is_short || !is_value {
                return None;
            }
            n_cells += 1;
            let place = columns.len();
            columns.entry(node.key(source)).or_insert(place);
            if columns.len() > MAX_COLUMNS {
                return None;
            }
        }
    }
    // Records that share few keys would be a table of holes.
    let is_full = n_cells * 3 >= n_records * columns.len() * 2;
    (n_records >= 2 && columns.len() >= 2 && is_full).then_some(columns)
}

fn joined(source: &str, nodes: &[Node], at: usize) -> String {
    let values = tree::children(nodes, at, &nodes[at]).map(|child| scalar(source, &nodes[child]));
    values.collect::<Vec<_>>().join(", ")
}

/// Returns the text of a string, a number or a word.
fn scalar(source: &str, node: &Node) -> String {
    match node.kind {
        Kind::String => tree::unescaped(node.value(source)),
        Kind::Literal => node.value(source).to_owned(),
        Kind::Object | Kind::List => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(source: &str) -> String {
        convert(source, &Settings::default()).unwrap().text
    }

    #[test]
    fn values_carry_their_keys() {
        let source = r#"{"title": "Leave", "office": {"city": "K\u00f6ln \ud83d\ude00", "rooms": [3, 4]},
            "days": [{"country": "UK", "n": 27}, {"country": "NL", "n": 29, "note": null}],
            "text": "one\ntwo", "mixed": [1, {"a": {"b": true}}], "none": {}}"#;
        let expect = "title: Leave\noffice.city: Köln 😀\noffice.rooms: 3, 4\n\ndays:\n\n\
            | country | n | note |\n| UK | 27 |  |\n| NL | 29 |  |\n\ntext:\none\ntwo\n\
            mixed[0]: 1\n\nmixed[1].a.b: true\nnone:";
        assert_eq!(text_of(source), expect);
        let document = convert(source, &Settings::default()).unwrap();
        assert_eq!(document.title.as_deref(), Some("Leave"));
    }

    #[test]
    fn lines_are_records_and_broken_ones_stay() {
        let source = "{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n{\"a\": \n{\"c\": {\"d\": 5}}\n";
        assert_eq!(text_of(source), "| a | b |\n| 1 | 2 |\n| 3 | 4 |\n\n{\"a\":\n\nc.d: 5");
    }

    #[test]
    fn what_is_not_json_stays_text() {
        assert_eq!(text_of("{\"a\": [1, 2}"), "{\"a\": [1, 2}");
        for (source, expect) in [
            ("{\"a\": [1, 2", true),
            ("[[1, 2], [3]]", true),
            ("{\"a\": 1}\n{\"a\":", true),
            ("[1] Smith, 1999", false),
            ("[x](y)", false),
            ("{ not json }", false),
            ("[", false),
        ] {
            assert_eq!(opens_as_json(source), expect, "{source}");
        }
    }

    #[test]
    fn depth_is_limited() {
        for source in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            let error = convert(&source, &Settings::default()).unwrap_err();
            assert_eq!(error.message(), "the JSON is nested more than 256 deep");
        }
    }

    #[test]
    fn a_long_path_does_not_multiply() {
        let source =
            format!("{{\"{}\": {{{}\"z\": 1}}}}", "k".repeat(10_000), "\"a\": 1,".repeat(1000));
        assert!(text_of(&source).len() < 200_000);
    }

    #[test]
    fn many_lines_come_in_parts() {
        let source = "{\"name\": \"Ann\", \"days\": 27}\n".repeat(200_000);
        let mut parts = Vec::new();
        let mut emit = |part: Document| {
            parts.push(part.text);
            Ok(())
        };
        let settings = Settings::default();
        convert_lines(&source.into_bytes().into(), encoding_rs::UTF_8, 0, &settings, &mut emit)
            .unwrap();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.starts_with("| name | days |\n")));
        assert_eq!(parts.iter().map(|part| part.matches("Ann").count()).sum::<usize>(), 200_000);
    }
}
