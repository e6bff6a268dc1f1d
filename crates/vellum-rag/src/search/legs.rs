//! The legs of a search: the query's vectors, one search for each, and their fusion.

use super::trace::{Recorder, Stage};
use super::{Mode, SearchRequest, StageScores};
use crate::app::{App, RetrievalSettings};
use crate::bm25::{self, Analyser};
use crate::fuse::{self, List};
use crate::language;
use std::collections::HashMap;
use std::time::Duration;
use vellum_core::access::VersionPass;
use vellum_core::collection::Collection;
use vellum_core::ids::ChunkId;
use vellum_core::ports::{Leg, LegVector, ScoredId, TextKind};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_core::{ErrorKind, Result};

/// Share of its weight that the dense leg keeps where the embedder was not trained on the collection's
/// language. On XQuAD in German, Spanish, Chinese and Arabic that is never below the sparse leg alone, while the
/// full weight costs up to half of nDCG@10.
const UNKNOWN_SHARE: f32 = 0.05;

/// Weight of a query's words in documents of another language than the query's: names and numbers find those too, but not
/// before what is in its own.
const FOREIGN_SHARE: f32 = 0.2;

/// Analyser of a collection whose language is not settled yet.
const PROVISIONAL_LANGUAGE: &str = "en";

/// The query's vectors: one for each leg of the mode.
pub(super) struct QueryVectors {
    pub(super) dense: Option<Embedding>,
    pub(super) sparse: Option<SparseVector>,
}

/// Returns the vectors of a query. In hybrid mode an embedder that does not answer leaves the words, and a note says so.
pub(super) async fn query_vectors(
    app: &App,
    collection: &Collection,
    query: &str,
    mode: Mode,
    recorder: &mut Recorder<'_>,
) -> Result<QueryVectors> {
    let dense = if mode == Mode::Sparse {
        None
    } else {
        match app.embedder_of(collection)?.embed(&[query.to_owned()], TextKind::Query).await {
            Ok(mut vectors) => vectors.pop(),
            Err(error) if mode == Mode::Hybrid && is_outage(error.kind()) => {
                recorder.degraded(format!(
                    "the embedder did not answer, so only words were compared: {}",
                    error.full_message()
                ));
                None
            }
            Err(error) => return Err(error),
        }
    };
    let sparse = (mode != Mode::Dense).then(|| query_terms(collection, query));
    Ok(QueryVectors { dense, sparse })
}

/// Whether an error says that a service could not be used now, rather than that it was used wrongly.
fn is_outage(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::Timeout)
}

/// Returns the query's terms: by the analyser of its own language, and, so that names and numbers are found in documents of
/// the collection's other languages too, at a small weight by theirs. Where its language is not clear, by all of them.
fn query_terms(collection: &Collection, query: &str) -> SparseVector {
    let main = analyser_language(collection);
    let others = collection.sparse.as_ref().map_or(&[][..], |sparse| &sparse.others);
    if others.is_empty() {
        return bm25::query_vector(&Analyser::new(main).terms(query));
    }
    let languages: Vec<&str> = main.into_iter().chain(others.iter().map(String::as_str)).collect();
    let own = language_of(query, &languages);
    let rest = own.map(|own| Analyser::new(Some(own)).without_stop_words(query));
    let mut pairs: Vec<(u32, f32)> = Vec::new();
    for code in languages {
        let (text, share) = match &rest {
            Some(rest) if own != Some(code) => (rest.as_str(), FOREIGN_SHARE),
            _ => (query, 1.0),
        };
        let vector = bm25::query_vector(&analyser(collection, Some(code)).terms(text));
        let weighed = vector.values().iter().map(|count| count * share);
        pairs.extend(vector.indices().iter().copied().zip(weighed));
    }
    SparseVector::from_pairs(pairs)
}

/// Returns which of `languages` a query is in: the one with the most stop words, else what its letters say. Questions are
/// short, and their names belong to no language: of 298 English ones of XQuAD letters alone tell 212.
fn language_of<'a>(query: &str, languages: &[&'a str]) -> Option<&'a str> {
    let count = |code: &&'a str| (Analyser::new(Some(code)).n_stop_words(query), *code);
    let mut counts: Vec<(usize, &str)> = languages.iter().map(count).collect();
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match counts[..] {
        [(most, code), (next, _), ..] if most > next => Some(code),
        _ => language::among(query, languages),
    }
}

/// Returns the analyser that makes the sparse vectors of documents in `language`.
pub(crate) fn analyser(collection: &Collection, language: Option<&str>) -> Analyser {
    let others = collection.sparse.as_ref().map_or(&[][..], |sparse| &sparse.others);
    match language {
        Some(own) if others.iter().any(|other| other == own) => Analyser::scoped(own),
        _ => Analyser::new(analyser_language(collection)),
    }
}

/// Returns the language whose analyser made most of the collection's sparse vectors.
pub(crate) fn analyser_language(collection: &Collection) -> Option<&str> {
    match &collection.sparse {
        Some(sparse) => sparse.language.as_deref(),
        None => Some(collection.language.as_deref().unwrap_or(PROVISIONAL_LANGUAGE)),
    }
}

/// Returns the language that most of the collection is in; `None` while that is not known.
pub(crate) fn known_language(collection: &Collection) -> Option<&str> {
    let settled = collection.sparse.as_ref().and_then(|sparse| sparse.language.as_deref());
    settled.or(collection.language.as_deref())
}

/// Results of the legs, best first; empty for a leg that the mode leaves out.
#[derive(Default)]
pub(super) struct Legs {
    pub(super) dense: Vec<ScoredId>,
    pub(super) sparse: Vec<ScoredId>,
}

/// Searches both legs at once, the filters inside each, for `limit` results.
pub(super) async fn search_legs(
    app: &App,
    pass: &VersionPass,
    request: &SearchRequest,
    limit: usize,
    vectors: &QueryVectors,
    recorder: &mut Recorder<'_>,
) -> Result<Legs> {
    let began = app.clock.elapsed();
    let leg = |vector: Option<LegVector>| async {
        let Some(vector) = vector else { return Ok((Vec::new(), Duration::ZERO)) };
        let (filter, precision) = (request.filter.clone(), request.precision);
        let found = app.vectors.search(pass, &Leg { vector, filter, limit, precision }).await?;
        Ok::<_, vellum_core::Error>((found, app.clock.elapsed().saturating_sub(began)))
    };
    let dense = vectors.dense.clone().map(LegVector::Dense);
    let sparse = vectors.sparse.clone().filter(|vector| !vector.is_empty()).map(LegVector::Sparse);
    let searched = [("dense", dense.is_some()), ("sparse", sparse.is_some())];
    let ((dense, dense_time), (sparse, sparse_time)) = futures::try_join!(leg(dense), leg(sparse))?;
    recorder.timed("search");
    for ((name, was_searched), (found, time)) in
        searched.into_iter().zip([(&dense, dense_time), (&sparse, sparse_time)])
    {
        if was_searched {
            recorder.stage(|| Stage {
                seen: limit,
                note: format!("{} of at most {limit}", found.len()),
                ..Stage::between(name, found, found, |_| String::new(), time)
            });
        }
    }
    Ok(Legs { dense, sparse })
}

/// Fuses the legs of a collection; of a single leg the order stays.
pub(super) fn fuse_legs(
    app: &App,
    mode: Mode,
    legs: &Legs,
    collection: &Collection,
    settings: &RetrievalSettings,
) -> Vec<(ScoredId, StageScores)> {
    let by_id = |leg: &[ScoredId]| leg.iter().map(|s| (s.id, s.score)).collect::<HashMap<_, _>>();
    let (dense, sparse) = (by_id(&legs.dense), by_id(&legs.sparse));
    let scores = |id: &ChunkId, fused| StageScores {
        dense: dense.get(id).copied(),
        sparse: sparse.get(id).copied(),
        fused,
        rerank: None,
    };
    let single = |leg: &[ScoredId]| leg.iter().map(|s| (*s, scores(&s.id, None))).collect();
    match mode {
        Mode::Dense => single(&legs.dense),
        Mode::Sparse => single(&legs.sparse),
        Mode::Hybrid => {
            let dense_weight = dense_weight(app, collection, settings);
            let lists = [
                List { weight: dense_weight, ceiling: Some(1.0), results: &legs.dense },
                List { weight: settings.sparse_weight, ceiling: None, results: &legs.sparse },
            ];
            fuse::fuse(settings.fusion, &lists)
                .into_iter()
                .map(|(id, score)| (ScoredId { id, score }, scores(&id, Some(score))))
                .collect()
        }
    }
}

/// Returns the weight of the dense leg, which is small where the embedder does not know the language.
pub(super) fn dense_weight(
    app: &App,
    collection: &Collection,
    settings: &RetrievalSettings,
) -> f32 {
    let embedder = app.embedder_of(collection).unwrap_or(&app.embedder);
    let knows = embedder.info().knows(known_language(collection));
    settings.dense_weight * if knows { 1.0 } else { UNKNOWN_SHARE }
}
