//! Asks every query of a dataset and scores what comes back.
//!
//! A ranking of chunks becomes one of documents by keeping each document's best chunk. Queries that nothing
//! answers count only for answers: there a refusal is right.

use super::dataset::{Dataset, Evidence, Query};
use super::metrics;
use super::source::SOURCE;
use crate::answer::{self, Answer, AskRequest};
use crate::app::App;
use crate::jobs;
use crate::search::{self, Mode, SearchRequest};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use vellum_core::access::Pass;
use vellum_core::job::JobState;
use vellum_core::ports::WithVectors;
use vellum_core::{Error, ErrorKind, Result};

/// Documents of a ranking.
const DEPTH: usize = 100;
/// Chunks asked for to fill a ranking of documents.
const CHUNK_DEPTH: usize = 300;
/// Queries in flight.
const IN_FLIGHT: usize = 4;

/// Mean scores of one mode.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scores {
    /// nDCG@10.
    pub ndcg_at_10: f64,
    /// Recall@5.
    pub recall_at_5: f64,
    /// Recall@10.
    pub recall_at_10: f64,
    /// Recall@100.
    pub recall_at_100: f64,
    /// Mean reciprocal rank at 10.
    pub mrr_at_10: f64,
}

/// The ranking of one query: `(document id, score)`, best first.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// The query's id.
    pub query: String,
    /// Documents.
    pub documents: Vec<(String, f32)>,
}

/// How well answers do; needs spans.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerScores {
    /// Queries that something answers.
    pub answerable: usize,
    /// Of these, the share that was answered at all.
    pub answered: f64,
    /// Of these, the share whose first citation holds a whole span of evidence.
    pub first_citation_holds: f64,
    /// Of these, the share whose first citation shares text with a span of evidence.
    pub first_citation_overlaps: f64,
    /// Of these, the share where any citation shares text with a span of evidence.
    pub any_citation_overlaps: f64,
    /// Queries that nothing answers.
    pub unanswerable: usize,
    /// Of these, the share that was refused.
    pub refused: f64,
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

/// Returns the ranking of every query that something answers, in the order of the dataset.
///
/// # Errors
/// What [`search::search`] fails with.
pub async fn rank(
    app: &App,
    pass: &Pass,
    dataset: &Dataset,
    mode: Mode,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Ranking>> {
    let answerable = dataset.queries.iter().filter(|query| !query.judgements.is_empty());
    futures::stream::iter(answerable)
        .map(|query| async move {
            let request = SearchRequest::new(&query.text, CHUNK_DEPTH, mode);
            let found = search::search(app, pass, &request, WithVectors::No).await?;
            let mut documents: Vec<(String, f32)> = Vec::new();
            for hit in found.hits {
                if documents.len() < DEPTH
                    && !documents.iter().any(|(id, _)| *id == hit.chunk.source)
                {
                    documents.push((hit.chunk.source, hit.score));
                }
            }
            done();
            Ok(Ranking { query: query.id.clone(), documents })
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await
}

/// Returns the mean scores of rankings made by [`rank`] on the same dataset.
pub fn score(dataset: &Dataset, rankings: &[Ranking]) -> Scores {
    let mut sum = Scores::default();
    let answerable = dataset.queries.iter().filter(|query| !query.judgements.is_empty());
    for (query, ranking) in answerable.zip(rankings) {
        let ids: Vec<String> = ranking.documents.iter().map(|(id, _)| id.clone()).collect();
        sum.ndcg_at_10 += metrics::ndcg(&ids, &query.judgements, 10);
        sum.recall_at_5 += metrics::recall(&ids, &query.judgements, 5);
        sum.recall_at_10 += metrics::recall(&ids, &query.judgements, 10);
        sum.recall_at_100 += metrics::recall(&ids, &query.judgements, 100);
        sum.mrr_at_10 += metrics::reciprocal_rank(&ids, &query.judgements, 10);
    }
    let n = rankings.len().max(1) as f64;
    Scores {
        ndcg_at_10: sum.ndcg_at_10 / n,
        recall_at_5: sum.recall_at_5 / n,
        recall_at_10: sum.recall_at_10 / n,
        recall_at_100: sum.recall_at_100 / n,
        mrr_at_10: sum.mrr_at_10 / n,
    }
}

/// Asks every query and compares the citations with the spans of evidence.
///
/// # Errors
/// What [`answer::ask`] fails with.
pub async fn ask_all(
    app: &App,
    pass: &Pass,
    dataset: &Dataset,
    top_k: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Answer>> {
    futures::stream::iter(&dataset.queries)
        .map(|query| async move {
            let request = AskRequest { question: query.text.clone(), top_k, filter: None };
            let answer = answer::ask(app, pass, &request, None).await;
            done();
            answer
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await
}

/// Returns how well `answers`, in the order of the dataset's queries, match the evidence.
pub fn score_answers(dataset: &Dataset, answers: &[Answer]) -> AnswerScores {
    let mut scores = AnswerScores::default();
    for (query, answer) in dataset.queries.iter().zip(answers) {
        if query.evidence.is_empty() {
            if query.judgements.is_empty() {
                scores.unanswerable += 1;
                scores.refused += f64::from(u8::from(answer.refused));
            }
            continue;
        }
        let outcome = compare(query, answer);
        scores.answerable += 1;
        scores.answered += f64::from(u8::from(!answer.refused));
        scores.first_citation_holds += f64::from(u8::from(outcome.holds));
        scores.first_citation_overlaps += f64::from(u8::from(outcome.first));
        scores.any_citation_overlaps += f64::from(u8::from(outcome.any));
    }
    let answerable = scores.answerable.max(1) as f64;
    AnswerScores {
        answered: scores.answered / answerable,
        first_citation_holds: scores.first_citation_holds / answerable,
        first_citation_overlaps: scores.first_citation_overlaps / answerable,
        any_citation_overlaps: scores.any_citation_overlaps / answerable,
        refused: scores.refused / scores.unanswerable.max(1) as f64,
        ..scores
    }
}

/// How an answer's citations stand to the evidence.
struct Match {
    holds: bool,
    first: bool,
    any: bool,
}

fn compare(query: &Query, answer: &Answer) -> Match {
    let overlaps = |citation: &answer::Citation, evidence: &Evidence| {
        citation.source == evidence.document
            && citation.start < evidence.end
            && evidence.start < citation.end
    };
    let holds = |citation: &answer::Citation, evidence: &Evidence| {
        citation.source == evidence.document
            && citation.start <= evidence.start
            && evidence.end <= citation.end
    };
    let first = answer.citations.first();
    let any_evidence = |test: &dyn Fn(&Evidence) -> bool| query.evidence.iter().any(test);
    Match {
        holds: first.is_some_and(|c| any_evidence(&|e| holds(c, e))),
        first: first.is_some_and(|c| any_evidence(&|e| overlaps(c, e))),
        any: answer.citations.iter().any(|c| any_evidence(&|e| overlaps(c, e))),
    }
}

/// Returns rankings in TREC run format: `query Q0 document rank score tag`, a line each.
pub fn trec_run(rankings: &[Ranking], tag: &str) -> String {
    let mut text = String::new();
    for ranking in rankings {
        for (index, (document, score)) in ranking.documents.iter().enumerate() {
            let (query, rank) = (&ranking.query, index + 1);
            text.push_str(&format!("{query} Q0 {document} {rank} {score:.6} {tag}\n"));
        }
    }
    text
}
