//! Retrieval: embed the query, search one leg per index, fuse, and refine what was found.
//!
//! ```text
//! embed -> dense | sparse (the pass's filter and the request's inside each) -> fuse -> fetch the pool
//!       -> [rerank] -> [group] -> [mmr] -> cut to top_k -> copies -> [neighbours]
//! ```
//!
//! Stages in brackets run where they are asked for. The pool is as large as the later stages need and no larger: `top_k`,
//! unless one of them can leave candidates out or bring them up. Evaluation, answers and the API all call [`search`].
//! A model that does not answer leaves its stage out, and the response says so.

mod legs;
mod stages;
mod trace;

pub(crate) use legs::{analyser, analyser_language, known_language};
pub use trace::{MAX_NAMED, Removed, Stage, Timings, Trace};

use crate::app::{App, RetrievalSettings};
use crate::copies;
use crate::filter;
use legs::Legs;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use trace::Recorder;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::{Collection, Fusion, Tuning};
use vellum_core::filter::Filter;
use vellum_core::ports::{Precision, ScoredId, WithVectors};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// Longest query in bytes; longer ones are documents, not questions.
pub const MAX_QUERY_BYTES: usize = 16 << 10;
/// Most results of one search.
pub const MAX_TOP_K: usize = 1_000;

/// Most chunks of text on each side of a hit.
pub const MAX_NEIGHBOURS: usize = 10;
/// Candidates that diversification chooses from, for each hit that is wanted.
const MMR_FACTOR: usize = 3;

/// Which legs are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Both legs, fused.
    #[default]
    Hybrid,
    /// Embeddings only.
    Dense,
    /// BM25 only.
    Sparse,
}

impl Mode {
    /// All modes, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Hybrid, Self::Dense, Self::Sparse];

    /// Returns the lowercase name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// A question to the index.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// The words.
    pub query: String,
    /// Number of hits wanted, 1 to [`MAX_TOP_K`].
    pub top_k: usize,
    /// Legs.
    pub mode: Mode,
    /// Condition on the chunks.
    pub filter: Option<Filter>,
    /// What the request sets of retrieval, before the collection and the settings.
    pub tuning: Tuning,
    /// Whether the legs must compare every chunk.
    pub precision: Precision,
    /// Most hits of one document; `None` sets no bound.
    pub group_by_document: Option<usize>,
    /// Chunks on each side whose text comes with a hit, up to [`MAX_NEIGHBOURS`].
    pub neighbours: usize,
    /// Whether the response tells what each stage did.
    pub explain: bool,
}

impl SearchRequest {
    /// Returns a search as the collection and the settings have it, without options.
    pub fn new(query: impl Into<String>, top_k: usize, mode: Mode) -> Self {
        Self {
            query: query.into(),
            top_k,
            mode,
            filter: None,
            tuning: Tuning::default(),
            precision: Precision::Usual,
            group_by_document: None,
            neighbours: 0,
            explain: false,
        }
    }
}

/// The score of each stage; higher is better, scales differ. `None` where the stage did not see the chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageScores {
    /// Cosine similarity.
    pub dense: Option<f32>,
    /// BM25.
    pub sparse: Option<f32>,
    /// Both legs fused, see [`Fusion`].
    pub fused: Option<f32>,
    /// Reranker.
    pub rerank: Option<f32>,
}

/// A found chunk.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Position, from 1.
    pub rank: usize,
    /// Score of the last stage that gave one.
    pub score: f32,
    /// Scores by stage.
    pub scores: StageScores,
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Its dense vector; present when it was asked for.
    pub dense: Option<Embedding>,
    /// Uris of other documents with the same content, ascending, at most 20.
    pub also: Vec<String>,
    /// Texts of the chunks before it in its document, in reading order; empty unless asked for.
    pub before: Vec<String>,
    /// Texts of the chunks after it.
    pub after: Vec<String>,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The query's dense vector; `None` in sparse mode.
    pub query_vector: Option<Embedding>,
    /// Time spent: `embed`, `search`, `fuse`, `fetch`, `copies`, and the stages that were asked for.
    pub timings: Timings,
    /// What did not work as it should, so that less was done; for people.
    pub notes: Vec<String>,
    /// What each stage did; present when it was asked for.
    pub trace: Option<Trace>,
}

/// Returns the chunks that match best, best first; empty when nothing matches.
///
/// # Errors
/// `Invalid` for an empty or oversized query, `top_k`, filter or option; `NotFound` for an unknown collection.
pub async fn search(
    app: &App,
    pass: &Pass,
    request: &SearchRequest,
    with_vectors: WithVectors,
) -> Result<SearchResponse> {
    check_request(request)?;
    let (collection, live) = crate::collections::live(app, pass).await?;
    search_in(app, &live, &collection, request, with_vectors).await
}

/// As [`search`], in the version of the pass, through which `collection` is seen.
///
/// # Errors
/// As [`search`]; `Conflict` when the embedder that made the version's vectors is not configured.
pub async fn search_in(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    request: &SearchRequest,
    with_vectors: WithVectors,
) -> Result<SearchResponse> {
    let mut recorder = Recorder::start(app, request.explain);
    let (mut hits, query_vector) =
        ranked(app, pass, collection, request, with_vectors, &mut recorder).await?;
    stages::add_copies(app, pass, &mut hits, &mut recorder).await?;
    if request.neighbours > 0 {
        stages::add_neighbours(app, pass, &mut hits, request.neighbours, &mut recorder).await?;
    }
    let Recorder { timings, notes, trace, .. } = recorder;
    Ok(SearchResponse { hits, query_vector, timings, notes, trace })
}

/// Returns the hits of [`search_in`] without what is told beside each of them, and what did not work as it should: who only
/// judges an order needs no more.
///
/// # Errors
/// As [`search_in`].
pub(crate) async fn rank_in(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    request: &SearchRequest,
) -> Result<(Vec<Hit>, Vec<String>)> {
    let mut recorder = Recorder::start(app, false);
    let ranked = ranked(app, pass, collection, request, WithVectors::No, &mut recorder);
    let (hits, _) = ranked.await?;
    Ok((hits, recorder.notes))
}

/// Returns the hits in their order, with the query's dense vector.
async fn ranked(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    request: &SearchRequest,
    with_vectors: WithVectors,
    recorder: &mut Recorder<'_>,
) -> Result<(Vec<Hit>, Option<Embedding>)> {
    let query = check_request(request)?;
    let settings = app.settings.retrieval.with(&request.tuning.over(&collection.tuning));
    let vectors = legs::query_vectors(app, collection, query, request.mode, recorder).await?;
    recorder.timed("embed");
    let filter = match &request.filter {
        Some(filter) => Some(copies::through_copies(app, pass, filter.clone()).await?),
        None => None,
    };
    if let (Some(trace), Some(filter)) = (&mut recorder.trace, &filter) {
        trace.filter = Some(filter::print(filter));
    }
    let request = &SearchRequest { filter, ..request.clone() };
    let pool = pool(app, request, &settings);
    let with_vectors = if settings.mmr { WithVectors::Yes } else { with_vectors };
    let limit = match request.mode {
        Mode::Hybrid => settings.leg_limit.max(pool.unwrap_or(0)),
        Mode::Dense | Mode::Sparse => pool.unwrap_or(settings.leg_limit.max(request.top_k)),
    };
    let found = legs::search_legs(app, pass, request, limit, &vectors, recorder).await?;
    let ranked = fuse(app, request, collection, &settings, &found, pool, recorder);
    let mut hits = stages::fetch(app, pass, &ranked, with_vectors, recorder).await?;
    if settings.rerank_depth > 0 {
        hits = stages::rerank(app, query, hits, settings.rerank_depth, recorder).await;
    }
    if let Some(n) = request.group_by_document {
        hits = stages::group(hits, n, recorder);
    }
    if settings.mmr {
        hits = stages::diversify(&hits, settings.mmr_lambda, request.top_k, recorder);
    }
    let mut hits = stages::cut(hits, request.top_k, recorder);
    (1..).zip(&mut hits).for_each(|(rank, hit)| hit.rank = rank);
    Ok((hits, vectors.dense))
}

fn check_request(request: &SearchRequest) -> Result<&str> {
    let query = request.query.trim();
    if query.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the query is empty").with_hint("ask something"));
    }
    if query.len() > MAX_QUERY_BYTES {
        let message =
            format!("the query has {} bytes; at most {MAX_QUERY_BYTES} are read", query.len());
        return Err(Error::new(ErrorKind::Invalid, message).with_hint("ask a shorter question"));
    }
    let group = request.group_by_document.unwrap_or(1);
    for (name, value, least, most) in [
        ("top_k", request.top_k, 1, MAX_TOP_K),
        ("group_by_document", group, 1, MAX_TOP_K),
        ("neighbours", request.neighbours, 0, MAX_NEIGHBOURS),
    ] {
        if !(least..=most).contains(&value) {
            let message = format!("{name} {value} is not in {least} to {most}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    }
    request.tuning.check()?;
    if let Some(filter) = &request.filter {
        filter.check_size()?;
    }
    Ok(query)
}

/// Returns how many candidates are fetched after fusion; `None` means all, up to [`MAX_TOP_K`].
fn pool(app: &App, request: &SearchRequest, settings: &RetrievalSettings) -> Option<usize> {
    let mut pool = request.top_k;
    if settings.mmr {
        pool = (request.top_k * MMR_FACTOR).min(MAX_TOP_K);
    }
    if app.reranker.is_some() && settings.rerank_depth > 0 {
        return Some(pool.max(settings.rerank_depth));
    }
    // Any of them may be one too many of its document.
    request.group_by_document.is_none().then_some(pool)
}

/// Fuses the legs and keeps the pool.
fn fuse(
    app: &App,
    request: &SearchRequest,
    collection: &Collection,
    settings: &RetrievalSettings,
    found: &Legs,
    pool: Option<usize>,
    recorder: &mut Recorder<'_>,
) -> Vec<(ScoredId, StageScores)> {
    let mut ranked = legs::fuse_legs(app, request.mode, found, collection, settings);
    let ids = |ranked: &[(ScoredId, StageScores)]| ranked.iter().map(|(id, _)| *id).collect();
    let before: Vec<ScoredId> = if recorder.trace.is_some() { ids(&ranked) } else { Vec::new() };
    ranked.truncate(pool.unwrap_or(MAX_TOP_K));
    let time = recorder.timed("fuse");
    recorder.stage(|| {
        let after: Vec<ScoredId> = ids(&ranked);
        let note = match (request.mode, settings.fusion) {
            (Mode::Dense | Mode::Sparse, _) => "one leg only".to_owned(),
            (Mode::Hybrid, fusion) => format!(
                "{}, dense {:.3}, sparse {:.3}",
                if fusion == Fusion::Score { "by score" } else { "by rank" },
                legs::dense_weight(app, collection, settings),
                settings.sparse_weight
            ),
        };
        let reason = |_: &ScoredId| format!("below the best {}", after.len());
        Stage { note, ..Stage::between("fuse", &before, &after, reason, time) }
    });
    ranked
}

/// Collects the time between laps.
pub(crate) struct Stopwatch<'a> {
    app: &'a App,
    last: Duration,
    pub(crate) laps: Timings,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn start(app: &'a App) -> Self {
        Self { app, last: app.clock.elapsed(), laps: Vec::new() }
    }

    pub(crate) fn lap(&mut self, stage: &'static str) {
        let now = self.app.clock.elapsed();
        self.laps.push((stage, now.saturating_sub(self.last)));
        self.last = now;
    }
}
