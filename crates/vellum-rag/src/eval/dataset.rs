//! Reads a dataset in BEIR layout, optionally with character spans of the evidence.
//!
//! ```text
//! corpus.jsonl    {"_id", "title"?, "text", "sections"?}     one document a line
//! queries.jsonl   {"_id", "text"}
//! qrels/test.tsv  query-id <tab> corpus-id <tab> score       with or without a header line
//! spans.jsonl     {"query-id", "corpus-id", "start", "end"}  optional; characters of the text
//! ```
//!
//! Every problem names file and line. A query without a judgement is one that nothing answers. Queries, judgements and
//! spans are held in memory, documents are not: `corpus` reads them where they stand.

use super::corpus::{self, Corpus};
use super::lines::{Lines, wrong};
use super::metrics::Judgements;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use vellum_core::document::Span;
use vellum_core::{Error, ErrorKind, Result};

/// A dataset.
#[derive(Debug)]
pub struct Dataset {
    /// Name of its folder, for reports.
    pub name: String,
    /// Hash of all its files, 32 hexadecimal digits.
    pub digest: String,
    /// Documents.
    pub corpus: Arc<Corpus>,
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
    /// Judged documents; empty for a query that nothing answers.
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
    /// Pages that it stands on, ascending; empty where the document has none.
    pub pages: Vec<u32>,
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

impl Dataset {
    /// Returns the queries that are judged: those that rankings are scored on.
    pub fn judged(&self) -> impl Iterator<Item = &Query> {
        self.queries.iter().filter(|query| !query.judgements.is_empty())
    }

    /// Whether it says where evidence stands, so that answers can be scored.
    pub fn has_evidence(&self) -> bool {
        self.queries.iter().any(|query| !query.evidence.is_empty())
    }
}

/// What tells the characters of a document; `None` for one that is not known.
type Known<'a> = &'a dyn Fn(&str) -> Option<usize>;

/// Reads the queries in `dir` with their judgements and evidence, whatever documents they name; evidence has no pages.
///
/// # Errors
/// As [`open`], but for the corpus, which is not looked at.
pub(crate) fn open_queries(dir: &Path) -> Result<Vec<Query>> {
    let mut digest = blake3::Hasher::new();
    read(dir, &|_| Some(usize::MAX), &mut digest)
}

/// Reads the dataset in `dir`.
///
/// # Errors
/// `Invalid` naming file and line: not JSON, a repeated id, a judgement or span of an unknown
/// query or document, a span outside its document, nothing to ask. `NotFound` or `Io` for a file that cannot be read.
pub fn open(dir: &Path) -> Result<Dataset> {
    let corpus = Corpus::open(dir)?;
    let mut digest = blake3::Hasher::new();
    digest.update(corpus.digest().as_bytes());
    let mut queries = read(dir, &|id| corpus.chars(id), &mut digest)?;
    find_pages(&corpus, &mut queries)?;
    let canonical = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = canonical.file_name().unwrap_or(canonical.as_os_str()).to_string_lossy();
    Ok(Dataset {
        name: name.into_owned(),
        digest: digest.finalize().to_hex()[..32].to_owned(),
        corpus: Arc::new(corpus),
        queries,
    })
}

fn read(dir: &Path, known: Known<'_>, digest: &mut blake3::Hasher) -> Result<Vec<Query>> {
    let mut queries = read_queries(dir, digest)?;
    let index: HashMap<String, usize> =
        queries.iter().enumerate().map(|(i, query)| (query.id.clone(), i)).collect();
    read_qrels(dir, known, &index, &mut queries, digest)?;
    if dir.join(SPANS).exists() {
        read_spans(dir, known, &index, &mut queries, digest)?;
    }
    Ok(queries)
}

fn read_queries(dir: &Path, digest: &mut blake3::Hasher) -> Result<Vec<Query>> {
    const FILE: &str = "queries.jsonl";
    let mut lines = Lines::open(dir, FILE)?;
    let mut queries: Vec<Query> = Vec::new();
    let mut seen = HashSet::new();
    while let Some(line) = lines.next()? {
        let QueryLine { id, text } = line.json()?;
        if !seen.insert(id.clone()) {
            return Err(wrong(FILE, line.number, &format!("query `{id}` stands there twice")));
        }
        if text.trim().is_empty() {
            return Err(wrong(FILE, line.number, &format!("query `{id}` is empty")));
        }
        queries.push(Query { id, text, judgements: Judgements::new(), evidence: Vec::new() });
    }
    if queries.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "queries.jsonl has no query"));
    }
    digest.update(lines.finish().0.as_bytes());
    Ok(queries)
}

fn read_qrels(
    dir: &Path,
    known: Known<'_>,
    index: &HashMap<String, usize>,
    queries: &mut [Query],
    digest: &mut blake3::Hasher,
) -> Result<()> {
    const FILE: &str = "qrels/test.tsv";
    let mut lines = Lines::open(dir, FILE)?;
    let mut is_first = true;
    while let Some(line) = lines.next()? {
        let fields: Vec<&str> = line.text.split('\t').collect();
        let [query, document, grade] = fields[..] else {
            let what = "expected query-id, corpus-id and score, separated by tabs";
            return Err(wrong(FILE, line.number, what));
        };
        let grade: i64 = match grade.trim().parse() {
            Ok(grade) => grade,
            Err(_) if std::mem::take(&mut is_first) => continue,
            Err(_) => {
                let what = format!("score `{grade}` is not a whole number");
                return Err(wrong(FILE, line.number, &what));
            }
        };
        is_first = false;
        let Some(at) = index.get(query) else {
            return Err(wrong(FILE, line.number, &format!("unknown query `{query}`")));
        };
        if known(document).is_none() {
            return Err(wrong(FILE, line.number, &format!("unknown document `{document}`")));
        }
        let grade = u32::try_from(grade.max(0)).unwrap_or(u32::MAX);
        queries[*at].judgements.insert(document.to_owned(), grade);
    }
    digest.update(lines.finish().0.as_bytes());
    Ok(())
}

const SPANS: &str = "spans.jsonl";

fn read_spans(
    dir: &Path,
    known: Known<'_>,
    index: &HashMap<String, usize>,
    queries: &mut [Query],
    digest: &mut blake3::Hasher,
) -> Result<()> {
    let mut lines = Lines::open(dir, SPANS)?;
    while let Some(line) = lines.next()? {
        let SpanLine { query, document, start, end } = line.json()?;
        let Some(at) = index.get(&query) else {
            return Err(wrong(SPANS, line.number, &format!("unknown query `{query}`")));
        };
        let Some(chars) = known(&document) else {
            return Err(wrong(SPANS, line.number, &format!("unknown document `{document}`")));
        };
        if start >= end || end > chars {
            return Err(wrong(SPANS, line.number, "the span lies outside the document"));
        }
        queries[*at].evidence.push(Evidence { document, start, end, pages: Vec::new() });
    }
    digest.update(lines.finish().0.as_bytes());
    Ok(())
}

/// Notes on which pages the evidence stands, reading each of its documents once.
fn find_pages(corpus: &Corpus, queries: &mut [Query]) -> Result<()> {
    let mut by_document: HashMap<String, Vec<&mut Evidence>> = HashMap::new();
    for evidence in queries.iter_mut().flat_map(|query| &mut query.evidence) {
        by_document.entry(evidence.document.clone()).or_default().push(evidence);
    }
    for (id, spans) in by_document {
        let document = corpus::document(&corpus.line(&id)?)?;
        if document.pages().next().is_none() {
            continue;
        }
        let mut bytes: Vec<usize> = document.text.char_indices().map(|(at, _)| at).collect();
        bytes.push(document.text.len());
        for evidence in spans {
            let span = Span { start: bytes[evidence.start], end: bytes[evidence.end] };
            let on = document.pages().filter(|(_, page)| page.overlaps(span));
            evidence.pages = on.map(|(number, _)| number).collect();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const CORPUS: &str = r#"{"_id":"d1","title":"T","text":"héllo world","sections":[{"kind":{"page":1},"span":{"start":0,"end":7}},{"kind":{"page":2},"span":{"start":7,"end":12}}]}"#;
    const QUERIES: &str =
        "{\"_id\":\"q1\",\"text\":\"hello?\"}\n\n{\"_id\":\"q2\",\"text\":\"no\"}\r\n";
    const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\n";
    const SPAN: &str = r#"{"query-id":"q1","corpus-id":"d1","start":0,"end":7}"#;

    /// A dataset of which one file is another text.
    fn folder(file: &str, text: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("qrels")).unwrap();
        for (name, content) in [
            ("corpus.jsonl", CORPUS),
            ("queries.jsonl", QUERIES),
            ("qrels/test.tsv", QRELS),
            ("spans.jsonl", SPAN),
        ] {
            let content = if name == file { text } else { content };
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    #[test]
    fn reads_a_dataset() {
        let dir = folder("", "");
        let dataset = open(dir.path()).unwrap();
        assert_eq!(dataset.queries[0].judgements["d1"], 1);
        let evidence = &dataset.queries[0].evidence[0];
        assert_eq!((evidence.end, &evidence.pages), (7, &vec![1, 2]));
        assert!(dataset.queries[1].judgements.is_empty());
        assert_eq!(dataset.judged().count(), 1);
        let read = corpus::document(&dataset.corpus.line("d1").unwrap()).unwrap();
        assert_eq!((read.text.as_str(), read.title.as_deref()), ("héllo world", Some("T")));
        assert_eq!(dataset.corpus.line("d2").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_digest_is_that_of_all_files() {
        let digest = |file, text: &str| open(folder(file, text).path()).unwrap().digest;
        let whole = digest("", "");
        assert_eq!(digest("qrels/test.tsv", QRELS), whole);
        assert_ne!(digest("qrels/test.tsv", "q1\td1\t2\n"), whole);
        assert_ne!(digest("queries.jsonl", &QUERIES.replace("hello", "hi")), whole);
        assert_ne!(digest("spans.jsonl", ""), whole);
        assert_ne!(digest("corpus.jsonl", &CORPUS.replace("world", "World")), whole);
    }

    #[test]
    fn problems_name_file_and_line() {
        let check = |file: &str, text: &str, expect: &str| {
            let error = open(folder(file, text).path()).unwrap_err();
            assert!(error.message().contains(expect), "{}", error.message());
        };
        let qrels = |line: &str| format!("{QRELS}{line}\n");
        check(
            "qrels/test.tsv",
            &qrels("q1\tnope\t1"),
            "qrels/test.tsv line 3: unknown document `nope`",
        );
        check("qrels/test.tsv", &qrels("q9\td1\t1"), "unknown query `q9`");
        check("qrels/test.tsv", &qrels("q1 d1 1"), "separated by tabs");
        check("qrels/test.tsv", &qrels("q1\td1\tx"), "line 3: score `x`");
        check("corpus.jsonl", &format!("{CORPUS}\n{{"), "corpus.jsonl line 2");
        check("corpus.jsonl", &format!("{CORPUS}\n{CORPUS}"), "line 2: document `d1` stands");
        check("corpus.jsonl", &CORPUS.replace("12", "13"), "line 1: a section lies outside");
        check("corpus.jsonl", "\n", "has no document");
        check("queries.jsonl", r#"{"_id":"q1","text":" "}"#, "query `q1` is empty");
        check("queries.jsonl", "", "has no query");
        check("spans.jsonl", &SPAN.replace('7', "70"), "line 1: the span lies outside");
        check("spans.jsonl", &SPAN.replace("d1", "d7"), "unknown document `d7`");
    }

    #[test]
    fn the_header_of_judgements_may_be_left_out() {
        let dir = folder("qrels/test.tsv", "q1\td1\t1\n");
        assert_eq!(open(dir.path()).unwrap().queries[0].judgements["d1"], 1);
    }
}
