//! Asks every query of a dataset, through the same search and answers that users get.
//!
//! A ranking of chunks becomes one of documents by keeping each document's best chunk. Rankings are made one after the
//! other, so that the time of each is that of a query alone; answers are made several at a time.

use super::dataset::{Evidence, Query};
use super::metrics::{self, Values};
use super::source::SOURCE;
use super::spans::Passage;
use crate::answer::{self, Answer, AskRequest};
use crate::app::App;
use crate::jobs;
use crate::search::{self, Hit, Mode, SearchRequest};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::Collection;
use vellum_core::document::Span;
use vellum_core::job::JobState;
use vellum_core::ports::WithVectors;
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
    /// How long the search took; zero where that was not measured.
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

/// By what the queries of a dataset call documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// By their file names, which are the ids of a corpus.
    File,
    /// By their uris.
    Uri,
}

/// What is asked: a version of a collection, with the names of its documents.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) app: &'a App,
    pub(crate) at: &'a VersionPass,
    /// The collection, seen through the version.
    pub(crate) seen: &'a Collection,
    pub(crate) names: Names,
}

/// Returns the ranking of each of the queries, in their order.
///
/// # Errors
/// What [`search::search_in`] fails with.
pub(super) async fn rank(
    target: Target<'_>,
    queries: &[&Query],
    mode: Mode,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Ranking>> {
    let mut rankings = Vec::new();
    for query in queries {
        if rankings.is_empty() {
            // What is read or made on first use is not the query's time.
            measure(target, query, mode).await?;
        }
        rankings.push(measure(target, query, mode).await?);
        done();
    }
    Ok(rankings)
}

/// Returns what one query finds; the time is that of the whole search, as users wait for it.
async fn measure(target: Target<'_>, query: &Query, mode: Mode) -> Result<Ranking> {
    let Target { app, at, seen, .. } = target;
    let request = SearchRequest::new(&query.text, CHUNK_DEPTH, mode);
    let started = app.clock.elapsed();
    let found = search::search_in(app, at, seen, &request, WithVectors::No)
        .await
        .map_err(|error| error.context(format_args!("query `{}`", query.id)))?;
    let took = app.clock.elapsed().saturating_sub(started);
    ranking(target, query, &found.hits, &found.notes, took)
}

/// Returns the order that one query finds; no time is told, as less is done than in a search that users make.
///
/// # Errors
/// What [`search::search_in`] fails with; `Unavailable` where a model did not answer.
pub(crate) async fn find(target: Target<'_>, query: &Query, mode: Mode) -> Result<Ranking> {
    let Target { app, at, seen, .. } = target;
    let request = SearchRequest::new(&query.text, CHUNK_DEPTH, mode);
    let (hits, notes) = search::rank_in(app, at, seen, &request)
        .await
        .map_err(|error| error.context(format_args!("query `{}`", query.id)))?;
    ranking(target, query, &hits, &notes, Duration::ZERO)
}

fn ranking(
    target: Target<'_>,
    query: &Query,
    hits: &[Hit],
    notes: &[String],
    took: Duration,
) -> Result<Ranking> {
    if let Some(note) = notes.first() {
        // What was measured of half a search would be taken for the worth of a whole one.
        let message = format!("query `{}` was searched with less: {note}", query.id);
        return Err(Error::new(ErrorKind::Unavailable, message)
            .with_hint("measure again when `vellum check` finds every model at work"));
    }
    let names = target.names;
    let passages = match query.evidence[..] {
        [] => Vec::new(),
        _ => hits.iter().take(DEPTH).map(|hit| passage(hit, names)).collect(),
    };
    let mut documents: Vec<(String, f32)> = Vec::new();
    for hit in hits {
        let name = names.of(hit);
        if !documents.iter().any(|(id, _)| id == name) {
            documents.push((name.to_owned(), hit.score));
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
pub(crate) async fn handed(target: Target<'_>, query: &Query) -> Result<Vec<Passage>> {
    let Target { app, at, seen, names } = target;
    let request = AskRequest { question: query.text.clone(), top_k: None, filter: None };
    let found = answer::passages(app, at, seen, &request)
        .await
        .map_err(|error| error.context(format_args!("query `{}`", query.id)))?;
    Ok(found.hits.iter().map(|hit| passage(hit, names)).collect())
}

impl Names {
    fn of(self, hit: &Hit) -> &str {
        match self {
            Self::File => &hit.chunk.source,
            Self::Uri => &hit.chunk.uri,
        }
    }
}

fn passage(hit: &Hit, names: Names) -> Passage {
    let chunk = &hit.chunk;
    let (start, end) = chunk.char_range(Span { start: 0, end: chunk.text.len() });
    let pages = chunk.pages.iter().map(|start| start.page).collect();
    Passage { document: names.of(hit).to_owned(), start, end, pages }
}

/// Returns the answer to every query, in their order, from `top_k` passages each.
///
/// # Errors
/// What [`answer::ask`] fails with.
pub(super) async fn ask_all<'a>(
    app: &App,
    pass: &Pass,
    queries: &'a [Query],
    top_k: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Answer>> {
    let ask = |query: &'a Query| async move {
        let question = query.text.clone();
        let request = AskRequest { question, top_k: Some(top_k), filter: None };
        let answer = answer::ask(app, pass, &request, None).await;
        done();
        answer.map_err(|error| error.context(format_args!("query `{}`", query.id)))
    };
    // Made before they are streamed, so that the whole can move between threads.
    let asked: Vec<_> = queries.iter().map(ask).collect();
    futures::stream::iter(asked).buffered(IN_FLIGHT).try_collect().await
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
