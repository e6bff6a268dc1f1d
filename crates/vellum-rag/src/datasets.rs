//! The datasets of a collection: questions with the documents of it that answer them.
//!
//! ```text
//! add     queries.jsonl, qrels, spans -> every judged document found in the collection -> kept, documents by their uris
//! open    what is kept, or, under the name `feedback`, what people thought of answers
//! within  the same questions as a version of the collection can answer them
//! ```
//!
//! There is no corpus: that is the collection. Documents are named by uri or by file name where they are judged, and by uri
//! where they are kept, so that the same dataset is asked of every version.

mod find;

pub(crate) use find::some_of;

use crate::app::App;
use crate::collections;
use crate::eval::dataset::{Evidence, Query, open_queries};
use crate::eval::scores;
use crate::feedback::{self, Judged};
use crate::ingest::blocking;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::feedback::Feedback;
use vellum_core::ids::{CollectionName, DatasetName, DocumentId, FeedbackId};
use vellum_core::ports::Place;
use vellum_core::{Error, ErrorKind, Result};

/// Name of the dataset that people's opinions on answers are.
pub const FEEDBACK: &str = "feedback";
/// Version of the layout that this build reads and writes.
const FORMAT: u32 = 1;
/// Most questions of a dataset. Each is asked of two versions when these are compared.
const MAX_QUERIES: usize = 20_000;
/// Opinions read at a time.
const PAGE: usize = 500;

/// What is done about documents that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// An error names some of them.
    Refuse,
    /// The work goes on without them.
    Accept,
}

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Name.
    pub name: DatasetName,
    /// Questions.
    pub queries: usize,
    /// Those of them to which documents are judged.
    pub judged: usize,
    /// Ranges of characters that are known to be evidence.
    pub evidence: usize,
    /// When it was added, milliseconds since the Unix epoch; `None` for what grows by itself.
    pub created_ms: Option<i64>,
}

/// What became of a dataset that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// What was kept.
    pub summary: Summary,
    /// Judged documents that the collection does not have.
    pub unknown: usize,
    /// Questions that were left out, because nothing that answers them is there.
    pub left_out: usize,
}

/// A dataset, its documents named by their uris.
#[derive(Debug, Clone)]
pub struct Questions {
    /// Name.
    pub name: DatasetName,
    /// Hash of the questions with all that is known of them, 32 hexadecimal digits.
    pub digest: String,
    /// When it was added; `None` for what grows by itself.
    pub created_ms: Option<i64>,
    /// The questions.
    pub queries: Vec<Query>,
}

/// A dataset as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    created_ms: i64,
    queries: Vec<KeptQuery>,
}

#[derive(Serialize, Deserialize)]
struct KeptQuery {
    id: String,
    text: String,
    judgements: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<KeptEvidence>,
}

#[derive(Serialize, Deserialize)]
struct KeptEvidence {
    document: String,
    start: usize,
    end: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pages: Vec<u32>,
}

/// Keeps the dataset in `dir` for the pass's collection, under `name` or that of the folder.
///
/// # Errors
/// `Invalid` naming file and line of what is wrong in it, or documents that the collection does not have or has several of,
/// or evidence outside its document; `Conflict` when the name is taken; `NotFound` when there is no such collection.
pub async fn add(
    app: &App,
    pass: &Pass,
    dir: &Path,
    name: Option<DatasetName>,
    absent: Absent,
) -> Result<Added> {
    pass.must_write()?;
    let (_, live) = collections::live(app, pass).await?;
    let name = name.map_or_else(|| name_of_folder(dir), Ok)?;
    must_be_free(app, pass.collection(), &name).await?;
    let folder = dir.to_owned();
    let read = move || open_queries(&folder).map_err(|error| error.context(folder.display()));
    let queries = blocking(read).await??;
    if queries.len() > MAX_QUERIES {
        let message = format!("{} queries are more than {MAX_QUERIES}", queries.len());
        return Err(Error::new(ErrorKind::Invalid, message).with_hint("take a sample of them"));
    }
    let found = find::documents(app, &live, &queries).await?;
    let unknown = found.must_be_known(pass.collection(), absent)?;
    let n_queries = queries.len();
    let queries = find::resolved(app, &live, &found, queries, absent).await?;
    if queries.is_empty() {
        let message = "nothing that answers a query of the dataset is in the collection";
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("ingest the documents that it judges first"));
    }
    let created_ms = app.clock.unix_ms();
    let kept =
        Kept { format: FORMAT, created_ms, queries: queries.iter().map(KeptQuery::from).collect() };
    let bytes = serde_json::to_vec(&kept).expect("plain structs always serialise");
    put(app, pass.collection(), &name, bytes).await?;
    let left_out = n_queries - queries.len();
    Ok(Added {
        summary: Questions::new(name, Some(created_ms), queries).summary(),
        unknown,
        left_out,
    })
}

/// Returns what the datasets of the pass's collection hold, ascending by name; opinions among them where there are any.
///
/// What is told of opinions is as if every document that they are about was still there.
///
/// # Errors
/// `NotFound` when there is no such collection; `Corrupt` for a dataset that cannot be read.
pub async fn list(app: &App, pass: &Pass) -> Result<Vec<Summary>> {
    collections::get(app, pass).await?;
    let mut summaries = Vec::new();
    for name in names(app, pass.collection()).await? {
        summaries.push(read(app, pass.collection(), name).await?.summary());
    }
    let judged = feedback::judge(&opinions(app, pass).await?, &|_| Some(usize::MAX));
    if !judged.is_empty() {
        summaries.push(Summary {
            name: FEEDBACK.parse()?,
            queries: judged.len(),
            judged: judged.iter().filter(|one| !one.grades.is_empty()).count(),
            evidence: judged.iter().map(|one| one.spans.len()).sum(),
            created_ms: None,
        });
    }
    summaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(summaries)
}

/// Removes a dataset, and what versions were worth on it.
///
/// # Errors
/// `NotFound` when the collection has no such dataset; `Conflict` for that of opinions.
pub async fn remove(app: &App, pass: &Pass, name: &DatasetName) -> Result<()> {
    pass.must_write()?;
    collections::get(app, pass).await?;
    if name.as_str() == FEEDBACK {
        let message = "opinions are no dataset that can be removed";
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("give the other verdict on the same answer to take one back"));
    }
    let (shelf, collection, name) = (app.shelf.clone(), pass.collection().clone(), name.clone());
    blocking(move || {
        if shelf.get(Place::Dataset(&collection, &name))?.is_none() {
            return Err(unknown(&collection, &name));
        }
        scores::forget(shelf.as_ref(), &collection, |score| score.dataset == name)?;
        shelf.remove(Place::Dataset(&collection, &name))
    })
    .await?
}

/// Returns a dataset of the pass's collection.
///
/// # Errors
/// `NotFound` when there is none of that name; `Corrupt` when it cannot be read.
pub async fn open(app: &App, pass: &Pass, name: &DatasetName) -> Result<Questions> {
    if name.as_str() != FEEDBACK {
        return read(app, pass.collection(), name.clone()).await;
    }
    let opinions = opinions(app, pass).await?;
    let grown = of_opinions(app, pass, &opinions).await?;
    if grown.queries.is_empty() {
        let message =
            format!("nobody has judged an answer from collection `{}`", pass.collection());
        return Err(Error::new(ErrorKind::NotFound, message)
            .with_hint("the console has buttons for it below each answer"));
    }
    Ok(grown)
}

/// Returns every dataset of the pass's collection on which something can be measured, ascending by name.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn open_all(app: &App, pass: &Pass) -> Result<Vec<Questions>> {
    let mut all = Vec::new();
    for name in names(app, pass.collection()).await? {
        all.push(read(app, pass.collection(), name).await?);
    }
    let opinions = opinions(app, pass).await?;
    if !opinions.is_empty() {
        let grown = of_opinions(app, pass, &opinions).await?;
        // What was cited may be gone, and then nothing is left to be asked.
        all.extend(Some(grown).filter(|grown| grown.summary().judged > 0));
    }
    if all.is_empty() {
        let name = pass.collection();
        let message = format!("collection `{name}` has no dataset to measure on");
        return Err(Error::new(ErrorKind::NotFound, message).with_hint(format!(
            "`vellum collection dataset add {name} DIR` adds one; thumbs on answers in the console become one"
        )));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Returns the files of the datasets of a collection, for an export.
pub(crate) async fn files(
    app: &App,
    collection: &CollectionName,
) -> Result<Vec<(DatasetName, Vec<u8>)>> {
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || {
        let mut files = Vec::new();
        for name in shelf.datasets(&collection)? {
            if let Some(bytes) = shelf.get(Place::Dataset(&collection, &name))? {
                files.push((name, bytes));
            }
        }
        Ok(files)
    })
    .await?
}

/// Fails unless `bytes` are a dataset that this build can read, under a name that one can have.
pub(crate) fn check(name: &DatasetName, bytes: &[u8]) -> Result<()> {
    if name.as_str() == FEEDBACK {
        let message = format!("`{FEEDBACK}` is not the name of a dataset that is kept");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    parse(name, bytes).map(drop)
}

/// Removes all that is kept of a collection's datasets, and what was measured of its versions.
pub(crate) async fn forget(app: &App, collection: &CollectionName) -> Result<()> {
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || {
        scores::forget_experiments(shelf.as_ref(), &collection)?;
        shelf.forget(&collection)
    })
    .await?
}

/// Returns the questions as the version of the pass can answer them: a copy is the document that holds its chunks there. Also
/// returns the relevant documents that it does not have, ascending.
pub(crate) async fn within(
    app: &App,
    at: &VersionPass,
    queries: &[Query],
) -> Result<(Vec<Query>, Vec<String>)> {
    find::within(app, at, queries).await
}

/// Returns all opinions on answers from the collection.
pub(crate) async fn opinions(app: &App, pass: &Pass) -> Result<Vec<Feedback>> {
    let mut all: Vec<Feedback> = Vec::new();
    loop {
        let after: Option<FeedbackId> = all.last().map(|one| one.id);
        let page = app.metastore.feedback(pass, after, PAGE).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Returns the dataset that opinions are now.
async fn of_opinions(app: &App, pass: &Pass, opinions: &[Feedback]) -> Result<Questions> {
    let mut cited: HashMap<DocumentId, (String, find::Reading)> = HashMap::new();
    for passage in opinions.iter().flat_map(|one| &one.cited) {
        if cited.contains_key(&passage.document) {
            continue;
        }
        let found = app.metastore.find_document(passage.document).await?;
        let Some((seen, row)) = found.filter(|(seen, _)| seen.name == *pass.collection()) else {
            continue;
        };
        if find::is_indexed(&row) {
            let reading = find::Reading::of(app, &pass.at(&seen)?, &row).await?;
            cited.insert(passage.document, (row.uri, reading));
        }
    }
    let judged = feedback::judge(opinions, &|id| cited.get(&id).map(|(_, it)| it.chars));
    let query = |one: Judged| {
        let judgements =
            one.grades.iter().map(|(id, grade)| (cited[id].0.clone(), *grade)).collect();
        let placed = |(id, start, end): &(DocumentId, usize, usize)| {
            let (uri, reading) = &cited[id];
            let pages = reading.pages(*start, *end);
            Evidence { document: uri.clone(), start: *start, end: *end, pages }
        };
        let mut evidence: Vec<Evidence> = one.spans.iter().map(placed).collect();
        // Not by ids, which are others when the collection has another name.
        evidence.sort_by(|a, b| (&a.document, a.start, a.end).cmp(&(&b.document, b.start, b.end)));
        Query { id: one.id, text: one.question, judgements, evidence }
    };
    Ok(Questions::new(FEEDBACK.parse()?, None, judged.into_iter().map(query).collect()))
}

/// Returns the name of a folder, made fit for a dataset.
fn name_of_folder(dir: &Path) -> Result<DatasetName> {
    let canonical = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = canonical.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let fit = |c: char| if matches!(c, 'a'..='z' | '0'..='9' | '-' | '_') { c } else { '-' };
    let name: String = name.chars().map(fit).collect();
    name.parse().map_err(|error: Error| error.with_hint("choose another one with `--name`"))
}

async fn must_be_free(app: &App, collection: &CollectionName, name: &DatasetName) -> Result<()> {
    if name.as_str() == FEEDBACK {
        let message = format!("the name `{FEEDBACK}` is that of people's opinions");
        return Err(
            Error::new(ErrorKind::Conflict, message).with_hint("choose another one with `--name`")
        );
    }
    if names(app, collection).await?.contains(name) {
        let message = format!("collection `{collection}` has a dataset `{name}` already");
        return Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
            "choose another name with `--name`, or `vellum collection dataset remove {collection} {name}` first"
        )));
    }
    Ok(())
}

async fn names(app: &App, collection: &CollectionName) -> Result<Vec<DatasetName>> {
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || shelf.datasets(&collection)).await?
}

async fn put(
    app: &App,
    collection: &CollectionName,
    name: &DatasetName,
    bytes: Vec<u8>,
) -> Result<()> {
    let (shelf, collection, name) = (app.shelf.clone(), collection.clone(), name.clone());
    blocking(move || shelf.put(Place::Dataset(&collection, &name), &bytes)).await?
}

async fn read(app: &App, collection: &CollectionName, name: DatasetName) -> Result<Questions> {
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || {
        let bytes = shelf.get(Place::Dataset(&collection, &name))?;
        let kept = parse(&name, &bytes.ok_or_else(|| unknown(&collection, &name))?)?;
        let queries = kept.queries.into_iter().map(Query::from).collect();
        Ok(Questions::new(name, Some(kept.created_ms), queries))
    })
    .await?
}

fn parse(name: &DatasetName, bytes: &[u8]) -> Result<Kept> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let corrupt = |error| {
        Error::new(ErrorKind::Corrupt, format!("the file of dataset `{name}` is damaged"))
            .with_source(error)
            .with_hint("remove the dataset and add it again")
    };
    let Format { format } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if format > FORMAT {
        let message = format!("dataset `{name}` has format {format}; up to {FORMAT} is read");
        return Err(Error::new(ErrorKind::TooNew, message).with_hint("upgrade vellum"));
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

fn unknown(collection: &CollectionName, name: &DatasetName) -> Error {
    let message = format!("collection `{collection}` has no dataset `{name}`");
    Error::new(ErrorKind::NotFound, message)
        .with_hint(format!("`vellum collection dataset list {collection}` shows what there is"))
}

impl Questions {
    fn new(name: DatasetName, created_ms: Option<i64>, queries: Vec<Query>) -> Self {
        let kept: Vec<KeptQuery> = queries.iter().map(KeptQuery::from).collect();
        let canonical = serde_json::to_vec(&kept).expect("plain structs always serialise");
        let digest = blake3::hash(&canonical).to_hex()[..32].to_owned();
        Self { name, digest, created_ms, queries }
    }

    /// Returns what it holds.
    pub fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            queries: self.queries.len(),
            judged: self.queries.iter().filter(|query| !query.judgements.is_empty()).count(),
            evidence: self.queries.iter().map(|query| query.evidence.len()).sum(),
            created_ms: self.created_ms,
        }
    }
}

impl From<&Query> for KeptQuery {
    fn from(query: &Query) -> Self {
        let kept = |it: &Evidence| KeptEvidence {
            document: it.document.clone(),
            start: it.start,
            end: it.end,
            pages: it.pages.clone(),
        };
        Self {
            id: query.id.clone(),
            text: query.text.clone(),
            judgements: query.judgements.iter().map(|(uri, n)| (uri.clone(), *n)).collect(),
            evidence: query.evidence.iter().map(kept).collect(),
        }
    }
}

impl From<KeptQuery> for Query {
    fn from(kept: KeptQuery) -> Self {
        let evidence = |it: KeptEvidence| {
            let KeptEvidence { document, start, end, pages } = it;
            Evidence { document, start, end, pages }
        };
        Self {
            id: kept.id,
            text: kept.text,
            judgements: kept.judgements.into_iter().collect(),
            evidence: kept.evidence.into_iter().map(evidence).collect(),
        }
    }
}
