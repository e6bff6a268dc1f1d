//! The documents that a dataset judges, in a version of the collection.

use super::Absent;
use crate::app::App;
use crate::documents::{self, name_of};
use crate::eval::dataset::{Evidence, Query};
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use vellum_core::access::VersionPass;
use vellum_core::ids::CollectionName;
use vellum_core::ledger::{DocumentState, LedgerRow, Scope};
use vellum_core::{Error, ErrorKind, Result};

/// Ledger rows read at a time.
const PAGE: usize = 512;
/// Documents that are named in an error.
const NAMED: usize = 5;

/// Documents by the names that a dataset has for them.
pub(super) struct Found {
    /// By uri or file name; ascending by uri where a file name is that of several.
    by_name: BTreeMap<String, Vec<LedgerRow>>,
}

/// Looks for every document that the queries name.
pub(super) async fn documents(app: &App, at: &VersionPass, queries: &[Query]) -> Result<Found> {
    let mut by_name: BTreeMap<String, Vec<LedgerRow>> = queries
        .iter()
        .flat_map(|query| {
            let evidence = query.evidence.iter().map(|it| &it.document);
            query.judgements.keys().chain(evidence)
        })
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    let mut after: Option<String> = None;
    loop {
        let page = app.metastore.rows(at, Scope::Prefix(""), after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.uri.clone());
        for row in page.into_iter().filter(is_indexed) {
            if let Some(rows) = by_name.get_mut(&row.uri) {
                rows.push(row.clone());
            }
            let name = percent_decode_str(&name_of(&row.uri)).decode_utf8_lossy().into_owned();
            if let Some(rows) = by_name.get_mut(&name) {
                rows.push(row);
            }
        }
    }
    Ok(Found { by_name })
}

impl Found {
    /// Returns how many names are those of no document. One that several documents have is never accepted: nobody can tell
    /// which of them is meant.
    pub(super) fn must_be_known(
        &self,
        collection: &CollectionName,
        absent: Absent,
    ) -> Result<usize> {
        // Equal contents are one document, whichever of them is meant.
        let differ = |rows: &[LedgerRow]| rows.iter().any(|row| row.content != rows[0].content);
        let several = self.by_name.iter().find(|(_, rows)| differ(rows));
        if let Some((name, rows)) = several {
            let uris: Vec<&str> = rows.iter().take(NAMED).map(|row| row.uri.as_str()).collect();
            let message =
                format!("{} documents are called `{name}`: {}", rows.len(), uris.join(", "));
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("name documents by their uris in qrels/test.tsv and spans.jsonl"));
        }
        let unknown: Vec<&str> = self
            .by_name
            .iter()
            .filter(|(_, rows)| rows.is_empty())
            .map(|(name, _)| name.as_str())
            .collect();
        if unknown.is_empty() || absent == Absent::Accept {
            return Ok(unknown.len());
        }
        let message = format!(
            "collection `{collection}` does not have {} of the judged documents: {}",
            unknown.len(),
            some_of(&unknown)
        );
        Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "ingest them, or leave their judgements out with `--lenient`; documents are named by uri or by file name, as \
             `vellum search` shows them",
        ))
    }

    fn row(&self, name: &str) -> Option<&LedgerRow> {
        self.by_name.get(name)?.first()
    }
}

/// Returns the queries with their documents named by uri, without those that cannot be answered any more; evidence knows its
/// pages.
pub(super) async fn resolved(
    app: &App,
    at: &VersionPass,
    found: &Found,
    queries: Vec<Query>,
    absent: Absent,
) -> Result<Vec<Query>> {
    let mut readings: HashMap<String, Reading> = HashMap::new();
    let mut resolved = Vec::with_capacity(queries.len());
    for Query { id, text, judgements, evidence } in queries {
        let is_judged = !judgements.is_empty();
        let uri = |(name, grade): (&String, &u32)| Some((found.row(name)?.uri.clone(), *grade));
        let judgements: HashMap<String, u32> = judgements.iter().filter_map(uri).collect();
        if is_judged && judgements.is_empty() {
            continue;
        }
        let mut placed = Vec::with_capacity(evidence.len());
        for Evidence { document, start, end, .. } in evidence {
            let Some(row) = found.row(&document) else { continue };
            if !readings.contains_key(&row.uri) {
                readings.insert(row.uri.clone(), Reading::of(app, at, row).await?);
            }
            let reading = &readings[&row.uri];
            if end > reading.chars {
                if absent == Absent::Accept {
                    continue;
                }
                let message = format!(
                    "query `{id}`: the evidence at {start} to {end} lies outside `{document}`, which has {} characters",
                    reading.chars
                );
                return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                    "characters are those of `vellum convert`; `--lenient` leaves such evidence out",
                ));
            }
            let pages = reading.pages(start, end);
            placed.push(Evidence { document: row.uri.clone(), start, end, pages });
        }
        resolved.push(Query { id, text, judgements, evidence: placed });
    }
    Ok(resolved)
}

/// See [`super::within`].
pub(super) async fn within(
    app: &App,
    at: &VersionPass,
    queries: &[Query],
) -> Result<(Vec<Query>, Vec<String>)> {
    let judged = queries.iter().flat_map(|query| query.judgements.keys());
    let evident = queries.iter().flat_map(|query| query.evidence.iter().map(|it| &it.document));
    let uris: BTreeSet<&String> = judged.chain(evident).collect();
    let mut holders: HashMap<&str, String> = HashMap::new();
    for uri in uris {
        let Some(row) = documents::row(app, at, uri).await?.filter(is_indexed) else { continue };
        let holder = match &row.content {
            Some(content) if row.is_copy => {
                let least = app.metastore.same_content(at, content, None, 1).await?.pop();
                least.map_or(row.uri, |least| least.uri)
            }
            _ => row.uri,
        };
        holders.insert(uri, holder);
    }
    let mut missing = BTreeSet::new();
    let mut held = queries.to_vec();
    for query in &mut held {
        let judgements = std::mem::take(&mut query.judgements);
        for (uri, grade) in judgements {
            if grade > 0 && !holders.contains_key(uri.as_str()) {
                missing.insert(uri.clone());
            }
            // A copy and what it is a copy of are one document, as relevant as the more relevant of the two.
            let holder = holders.get(uri.as_str()).cloned().unwrap_or(uri);
            let known = query.judgements.entry(holder).or_default();
            *known = grade.max(*known);
        }
        for evidence in &mut query.evidence {
            if let Some(holder) = holders.get(evidence.document.as_str()) {
                evidence.document.clone_from(holder);
            }
        }
    }
    Ok((held, missing.into_iter().collect()))
}

/// Returns the first of the names, for people.
pub(crate) fn some_of(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(super) fn is_indexed(row: &LedgerRow) -> bool {
    row.state == DocumentState::Indexed
}

/// How long a document's text is, and where its pages begin and end.
pub(super) struct Reading {
    pub(super) chars: usize,
    pages: Vec<(u32, Range<usize>)>,
}

impl Reading {
    pub(super) async fn of(app: &App, at: &VersionPass, row: &LedgerRow) -> Result<Self> {
        let documents::Text { text, pages, .. } = documents::text(app, at, row).await?;
        let mut placed = Vec::with_capacity(pages.len());
        let (mut byte, mut chars) = (0, 0);
        for (number, span) in pages {
            // Pages ascend, so each character is counted once.
            let start = chars + text.get(byte..span.start).map_or(0, |gap| gap.chars().count());
            let end = start + text.get(span.start..span.end).map_or(0, |it| it.chars().count());
            placed.push((number, start..end));
            (byte, chars) = (span.end, end);
        }
        Ok(Self { chars: text.chars().count(), pages: placed })
    }

    /// Returns the pages that a range of characters stands on, ascending; none where the document has none.
    pub(super) fn pages(&self, start: usize, end: usize) -> Vec<u32> {
        let on = |page: &&(u32, Range<usize>)| page.1.start < end && start < page.1.end;
        self.pages.iter().filter(on).map(|(number, _)| *number).collect()
    }
}
