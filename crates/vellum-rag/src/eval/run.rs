//! Asks every query of a dataset, through the same search and answers that users get.
//!
//! A ranking of chunks becomes one of documents by keeping each document's best chunk. Rankings are made one after the
//! other, so that the time of each is that of a query alone; answers are made several at a time.

use super::dataset::{Dataset, Evidence, Query};
use super::metrics::{self, Values};
use super::source::SOURCE;
use super::spans::Passage;
use crate::answer::{self, Answer, AskRequest};
use crate::app::App;
use crate::collections;
use crate::jobs;
use crate::search::{self, Hit, Mode, SearchRequest};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::Collection;
use vellum_core::document::Span;
use vellum_core::job::JobState;
use vellum_core::{Error, ErrorKind, Result};

/// Documents of a ranking, and passages that are kept of it.
pub const DEPTH: usize = 100;
/// Chunks asked for to fill a ranking of documents.
const CHUNK_DEPTH: usize = 300;
/// Answers in the making.
const IN_FLIGHT: usize = 4;

/// What a query found.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// The query's id.
    pub query: String,
    /// `(document id, score)`, best first in the order of [`metrics::order`], at most [`DEPTH`].
    pub documents: Vec<(String, f32)>,
    /// Passages, best first, at most [`DEPTH`]; empty for a query without evidence.
    pub passages: Vec<Passage>,
    /// How long the search took.
    pub took: Duration,
}

/// Ingests the corpus of `app`'s dataset source into the collection of the pass.
///
/// # Errors
/// What the job failed with.
pub async fn ingest(app: &Arc<App>, pass: &Pass) -> Result<()> {
    let (_, mut watcher) = jobs::start(app, pass, &jobs::Request::of(SOURCE)).await?;
    let ended = watcher
        .wait_for(|progress| progress.job.state.is_final())
        .await
        .map_err(|_| Error::new(ErrorKind::Internal, "the job ended without a word"))?;
    let job = &ended.job;
    let refused = job.report.rejected.named.first().or(job.report.failed.named.first());
    match (job.state, refused) {
        (JobState::Done, None) => Ok(()),
        (_, Some(refusal)) => {
            let message = format!("a document of the dataset was not indexed: {}", refusal.reason);
            Err(Error::new(ErrorKind::Invalid, message))
        }
        (_, None) => Err(Error::new(ErrorKind::Unavailable, job.error.clone().unwrap_or_default())),
    }
}

/// Returns the ranking of every judged query, in the order of the dataset.
///
/// # Errors
/// What [`search::search`] fails with.
pub(super) async fn rank(
    app: &App,
    pass: &Pass,
    dataset: &Dataset,
    mode: Mode,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Ranking>> {
    let (collection, live) = &collections::live(app, pass).await?;
    let mut rankings = Vec::new();
    for query in dataset.judged() {
        if rankings.is_empty() {
            // What is read or made on first use is not the query's time.
            find(app, live, collection, query, mode).await?;
        }
        rankings.push(find(app, live, collection, query, mode).await?);
        done();
    }
    Ok(rankings)
}

/// Returns what one query finds.
///
/// # Errors
/// What [`search::search_in`] fails with.
pub(crate) async fn find(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    query: &Query,
    mode: Mode,
) -> Result<Ranking> {
    let request = SearchRequest::new(&query.text, CHUNK_DEPTH, mode);
    let started = app.clock.elapsed();
    let hits = search::rank_in(app, pass, collection, &request)
        .await
        .map_err(|error| error.context(format_args!("query `{}`", query.id)))?;
    let took = app.clock.elapsed().saturating_sub(started);
    let passages = match query.evidence[..] {
        [] => Vec::new(),
        _ => hits.iter().take(DEPTH).map(passage).collect(),
    };
    let mut documents: Vec<(String, f32)> = Vec::new();
    for hit in hits {
        if !documents.iter().any(|(id, _)| *id == hit.chunk.source) {
            documents.push((hit.chunk.source.clone(), hit.score));
        }
    }
    metrics::order(&mut documents);
    documents.truncate(DEPTH);
    Ok(Ranking { query: query.id.clone(), documents, passages, took })
}

/// Returns the passages that an answer to the query is made from.
///
/// # Errors
/// What [`answer::passages`] fails with.
pub(crate) async fn handed(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    query: &Query,
) -> Result<Vec<Passage>> {
    let request = AskRequest { question: query.text.clone(), top_k: None, filter: None };
    let found = answer::passages(app, pass, collection, &request)
        .await
        .map_err(|error| error.context(format_args!("query `{}`", query.id)))?;
    Ok(found.hits.iter().map(passage).collect())
}

fn passage(hit: &Hit) -> Passage {
    let chunk = &hit.chunk;
    let (start, end) = chunk.char_range(Span { start: 0, end: chunk.text.len() });
    let pages = chunk.pages.iter().map(|start| start.page).collect();
    Passage { document: chunk.source.clone(), start, end, pages }
}

/// Returns the answer to every query, in the order of the dataset, from `top_k` passages each.
///
/// # Errors
/// What [`answer::ask`] fails with.
pub(super) async fn ask_all(
    app: &App,
    pass: &Pass,
    dataset: &Dataset,
    top_k: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Answer>> {
    futures::stream::iter(&dataset.queries)
        .map(|query| async move {
            let question = query.text.clone();
            let request = AskRequest { question, top_k: Some(top_k), filter: None };
            let answer = answer::ask(app, pass, &request, None).await;
            done();
            answer.map_err(|error| error.context(format_args!("query `{}`", query.id)))
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await
}

/// Returns how an answer stands to what is known of its query; each value is 0 or 1.
///
/// With evidence: `answered` at all; whether the `first_citation_holds` a whole span of evidence, or
/// `first_citation_overlaps` one, or `any_citation_overlaps` one. Where nothing answers: `refused`.
pub(super) fn score_answer(query: &Query, answer: &Answer) -> Values {
    let mut values = Values::new();
    let mut put = |name: &str, yes: bool| {
        values.insert(name.to_owned(), f64::from(u8::from(yes)));
    };
    if query.evidence.is_empty() {
        if query.judgements.is_empty() {
            put("refused", answer.refused);
        }
        return values;
    }
    let same =
        |citation: &answer::Citation, evidence: &Evidence| citation.source == evidence.document;
    let overlaps = |citation: &answer::Citation| {
        query.evidence.iter().any(|evidence| {
            same(citation, evidence)
                && citation.start < evidence.end
                && evidence.start < citation.end
        })
    };
    let holds = |citation: &answer::Citation| {
        query.evidence.iter().any(|evidence| {
            same(citation, evidence)
                && citation.start <= evidence.start
                && evidence.end <= citation.end
        })
    };
    let first = answer.citations.first();
    put("answered", !answer.refused);
    put("first_citation_holds", first.is_some_and(holds));
    put("first_citation_overlaps", first.is_some_and(overlaps));
    put("any_citation_overlaps", answer.citations.iter().any(overlaps));
    values
}

/// Returns rankings in TREC run format: `query Q0 document rank score tag`, a line each.
///
/// Scores have all their digits: what is equal in the file is equal, and trec_eval orders it as [`metrics::order`] does.
pub fn trec_run(rankings: &[Ranking], tag: &str) -> String {
    let mut text = String::new();
    for ranking in rankings {
        for (index, (document, score)) in ranking.documents.iter().enumerate() {
            let (query, rank) = (&ranking.query, index + 1);
            text.push_str(&format!("{query} Q0 {document} {rank} {score} {tag}\n"));
        }
    }
    text
}
