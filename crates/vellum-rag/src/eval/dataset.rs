//! Reads a dataset in BEIR layout, optionally with character spans of the evidence.
//!
//! ```text
//! corpus.jsonl    {"_id", "title"?, "text", "sections"?}     one document a line
//! queries.jsonl   {"_id", "text"}
//! qrels/test.tsv  query-id <tab> corpus-id <tab> score       with a header line
//! spans.jsonl     {"query-id", "corpus-id", "start", "end"}  optional; characters of the text
//! ```
//!
//! Every problem names file and line. A query without a judgement is one that nothing answers.

use super::metrics::Judgements;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use vellum_core::document::{Document, Format, Layout, Section};
use vellum_core::{Error, ErrorKind, Result};

/// A dataset in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name, for reports.
    pub name: String,
    /// Documents by id, ascending.
    pub corpus: BTreeMap<String, Document>,
    /// Queries, in the order of the file.
    pub queries: Vec<Query>,
}

/// A query with what answers it.
#[derive(Debug, Clone)]
pub struct Query {
    /// Id.
    pub id: String,
    /// The words.
    pub text: String,
    /// Relevant documents; empty for a query that nothing answers.
    pub judgements: Judgements,
    /// Where the evidence stands.
    pub evidence: Vec<Evidence>,
}

/// A range of characters that answers a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The document.
    pub document: String,
    /// First character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// The contents of a dataset's files.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `corpus.jsonl`.
    pub corpus: String,
    /// `queries.jsonl`.
    pub queries: String,
    /// `qrels/test.tsv`.
    pub qrels: String,
    /// `spans.jsonl`; empty when there is none.
    pub spans: String,
}

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
    #[serde(default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct QueryLine {
    #[serde(rename = "_id")]
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct SpanLine {
    #[serde(rename = "query-id")]
    query: String,
    #[serde(rename = "corpus-id")]
    document: String,
    start: usize,
    end: usize,
}

/// Returns the dataset of these files.
///
/// # Errors
/// `Invalid` naming file and line: not JSON, a repeated id, a judgement or span of an unknown
/// query or document, a span outside its document, nothing to ask.
pub fn parse(name: &str, files: &Files) -> Result<Dataset> {
    let corpus = parse_corpus(&files.corpus)?;
    let mut queries: Vec<Query> = Vec::new();
    let mut seen = HashSet::new();
    for (line, query) in json_lines::<QueryLine>("queries.jsonl", &files.queries) {
        let QueryLine { id, text } = query?;
        if !seen.insert(id.clone()) {
            return Err(wrong("queries.jsonl", line, &format!("query `{id}` stands there twice")));
        }
        if text.trim().is_empty() {
            return Err(wrong("queries.jsonl", line, &format!("query `{id}` is empty")));
        }
        queries.push(Query { id, text, judgements: Judgements::new(), evidence: Vec::new() });
    }
    if queries.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "queries.jsonl has no query"));
    }
    let index: HashMap<String, usize> =
        queries.iter().enumerate().map(|(i, query)| (query.id.clone(), i)).collect();
    parse_qrels(&files.qrels, &corpus, &index, &mut queries)?;
    parse_spans(&files.spans, &corpus, &index, &mut queries)?;
    Ok(Dataset { name: name.to_owned(), corpus, queries })
}

fn parse_corpus(text: &str) -> Result<BTreeMap<String, Document>> {
    let mut corpus = BTreeMap::new();
    for (line, document) in json_lines::<CorpusLine>("corpus.jsonl", text) {
        let CorpusLine { id, title, text, sections } = document?;
        let whole = |s: &Section| text.get(s.span.start..s.span.end).is_some();
        if !sections.iter().all(whole) {
            return Err(wrong("corpus.jsonl", line, "a section lies outside the text"));
        }
        let document = Document {
            format: Format::Text,
            title: title.filter(|title| !title.is_empty()),
            text,
            sections,
            metadata: BTreeMap::new(),
            layout: Layout::default(),
        };
        if corpus.insert(id.clone(), document).is_some() {
            return Err(wrong(
                "corpus.jsonl",
                line,
                &format!("document `{id}` stands there twice"),
            ));
        }
    }
    if corpus.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "corpus.jsonl has no document"));
    }
    Ok(corpus)
}

fn parse_qrels(
    text: &str,
    corpus: &BTreeMap<String, Document>,
    index: &HashMap<String, usize>,
    queries: &mut [Query],
) -> Result<()> {
    const FILE: &str = "qrels/test.tsv";
    for (line, content) in numbered(text).skip(1) {
        let fields: Vec<&str> = content.split('\t').collect();
        let [query, document, grade] = fields[..] else {
            return Err(wrong(
                FILE,
                line,
                "expected query-id, corpus-id and score, separated by tabs",
            ));
        };
        let Some(at) = index.get(query) else {
            return Err(wrong(FILE, line, &format!("unknown query `{query}`")));
        };
        if !corpus.contains_key(document) {
            return Err(wrong(FILE, line, &format!("unknown document `{document}`")));
        }
        let grade: i64 = grade
            .trim()
            .parse()
            .map_err(|_| wrong(FILE, line, &format!("score `{grade}` is not a whole number")))?;
        queries[*at].judgements.insert(document.to_owned(), grade.max(0) as u32);
    }
    Ok(())
}

fn parse_spans(
    text: &str,
    corpus: &BTreeMap<String, Document>,
    index: &HashMap<String, usize>,
    queries: &mut [Query],
) -> Result<()> {
    const FILE: &str = "spans.jsonl";
    for (line, span) in json_lines::<SpanLine>(FILE, text) {
        let SpanLine { query, document, start, end } = span?;
        let Some(at) = index.get(&query) else {
            return Err(wrong(FILE, line, &format!("unknown query `{query}`")));
        };
        let Some(target) = corpus.get(&document) else {
            return Err(wrong(FILE, line, &format!("unknown document `{document}`")));
        };
        if start >= end || end > target.text.chars().count() {
            return Err(wrong(FILE, line, "the span lies outside the document"));
        }
        queries[*at].evidence.push(Evidence { document, start, end });
    }
    Ok(())
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, l)| !l.trim().is_empty())
}

fn json_lines<'a, T: Deserialize<'a>>(
    file: &'static str,
    text: &'a str,
) -> impl Iterator<Item = (usize, Result<T>)> {
    numbered(text).map(move |(line, content)| {
        let parsed = serde_json::from_str(content);
        (line, parsed.map_err(|error| wrong(file, line, &error.to_string())))
    })
}

fn wrong(file: &str, line: usize, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{file} line {line}: {what}"))
        .with_hint("the dataset must have BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files {
            corpus: r#"{"_id":"d1","title":"T","text":"héllo world"}"#.to_owned(),
            queries: "{\"_id\":\"q1\",\"text\":\"hello?\"}\n\n{\"_id\":\"q2\",\"text\":\"no\"}"
                .to_owned(),
            qrels: "query-id\tcorpus-id\tscore\nq1\td1\t1\n".to_owned(),
            spans: r#"{"query-id":"q1","corpus-id":"d1","start":0,"end":5}"#.to_owned(),
        }
    }

    #[test]
    fn reads_a_dataset() {
        let dataset = parse("x", &files()).unwrap();
        assert_eq!(dataset.queries[0].judgements["d1"], 1);
        assert_eq!(dataset.queries[0].evidence[0].end, 5);
        assert!(dataset.queries[1].judgements.is_empty());
    }

    #[test]
    fn problems_name_file_and_line() {
        let check = |change: &dyn Fn(&mut Files), expect: &str| {
            let mut files = files();
            change(&mut files);
            let error = parse("x", &files).unwrap_err();
            assert!(error.message().contains(expect), "{}", error.message());
        };
        check(
            &|f| f.qrels.push_str("q1\tnope\t1\n"),
            "qrels/test.tsv line 3: unknown document `nope`",
        );
        check(&|f| f.qrels.push_str("q9\td1\t1\n"), "unknown query `q9`");
        check(&|f| f.qrels.push_str("q1 d1 1\n"), "separated by tabs");
        check(&|f| f.corpus.push_str("\n{"), "corpus.jsonl line 2");
        check(&|f| f.queries = r#"{"_id":"q","text":" "}"#.into(), "query `q` is empty");
        check(&|f| f.spans = f.spans.replace("5", "50"), "outside the document");
        check(&|f| f.queries.clear(), "has no query");
    }
}
