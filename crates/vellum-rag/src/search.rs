//! Retrieval: embed the query, search one leg per index, fuse.
//!
//! Steps: dense vector and BM25 terms of the query -> both legs at once, the pass's filter inside each ->
//! fusion -> chunks of the best. Evaluation, answers and the API all call [`search`].

use crate::app::App;
use crate::bm25::{self, Analyser};
use crate::copies;
use crate::fuse::{self, List};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::Collection;
use vellum_core::filter::Filter;
use vellum_core::ids::ChunkId;
use vellum_core::ports::{Leg, LegVector, ScoredId, TextKind, WithVectors};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// Longest query in bytes; longer ones are documents, not questions.
pub const MAX_QUERY_BYTES: usize = 16 << 10;
/// Most results of one search.
pub const MAX_TOP_K: usize = 1_000;

/// Share of its weight that the dense leg keeps where the embedder was not trained on the collection's
/// language. On XQuAD in German, Spanish, Chinese and Arabic that is never below the sparse leg alone, while the
/// full weight costs up to half of nDCG@10.
const UNKNOWN_SHARE: f32 = 0.05;

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
}

/// The score of each stage; higher is better, scales differ. `None` where the stage did not see the chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageScores {
    /// Cosine similarity.
    pub dense: Option<f32>,
    /// BM25.
    pub sparse: Option<f32>,
    /// Both legs fused, see [`fuse::Fusion`].
    pub fused: Option<f32>,
}

/// A found chunk.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Position, from 1.
    pub rank: usize,
    /// Score of the last stage.
    pub score: f32,
    /// Scores by stage.
    pub scores: StageScores,
    /// The chunk.
    pub chunk: Chunk,
    /// Its dense vector; present when it was asked for.
    pub dense: Option<Embedding>,
    /// Uris of other documents with the same content, ascending, at most 20.
    pub also: Vec<String>,
}

/// Time spent by stage.
pub type Timings = Vec<(&'static str, Duration)>;

/// What a search found.
#[derive(Debug, Clone)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The query's dense vector; `None` in sparse mode.
    pub query_vector: Option<Embedding>,
    /// Time spent: `embed`, `search`, `fuse`, `fetch`.
    pub timings: Timings,
}

/// A ranked chunk, before its text is read.
#[derive(Debug, Clone, Copy)]
pub struct Ranked {
    /// The chunk.
    pub id: ChunkId,
    /// Score of the last stage.
    pub score: f32,
    /// Scores by stage.
    pub scores: StageScores,
}

/// Returns the chunks that match best, best first; empty when nothing matches.
///
/// # Errors
/// `Invalid` for an empty or oversized query or `top_k`; `NotFound` for an unknown collection.
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
    let mut watch = Stopwatch::start(app);
    let query = check_request(request)?;
    let vectors = query_vectors(app, collection, query, request.mode).await?;
    watch.lap("embed");
    let filter = match &request.filter {
        Some(filter) => Some(copies::through_copies(app, pass, filter.clone()).await?),
        None => None,
    };
    let request = &SearchRequest { filter, ..request.clone() };
    let legs = search_legs(app, pass, request, &vectors).await?;
    watch.lap("search");
    let mut ranked = fuse_legs(app, request.mode, &legs, collection)?;
    ranked.truncate(request.top_k);
    watch.lap("fuse");
    let hits = fetch(app, pass, &ranked, with_vectors).await?;
    watch.lap("fetch");
    Ok(SearchResponse { hits, query_vector: vectors.dense, timings: watch.laps })
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
    if !(1..=MAX_TOP_K).contains(&request.top_k) {
        let message = format!("top_k {} is not in 1 to {MAX_TOP_K}", request.top_k);
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(query)
}

/// The query's vectors: one per leg of the mode.
pub(crate) struct QueryVectors {
    pub(crate) dense: Option<Embedding>,
    pub(crate) sparse: Option<vellum_core::vector::SparseVector>,
}

pub(crate) async fn query_vectors(
    app: &App,
    collection: &Collection,
    query: &str,
    mode: Mode,
) -> Result<QueryVectors> {
    let dense = if mode == Mode::Sparse {
        None
    } else {
        app.embedder_of(collection)?.embed(&[query.to_owned()], TextKind::Query).await?.pop()
    };
    let sparse = (mode != Mode::Dense).then(|| {
        let analyser = Analyser::new(analyser_language(collection));
        bm25::query_vector(&analyser.terms(query))
    });
    Ok(QueryVectors { dense, sparse })
}

/// Returns the language whose analyser made the collection's sparse vectors.
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

/// Analyser of a collection whose language is not settled yet.
pub(crate) const PROVISIONAL_LANGUAGE: &str = "en";

/// Results of the legs, best first; empty for a leg that the mode leaves out.
#[derive(Default)]
struct Legs {
    dense: Vec<ScoredId>,
    sparse: Vec<ScoredId>,
}

async fn search_legs(
    app: &App,
    pass: &VersionPass,
    request: &SearchRequest,
    vectors: &QueryVectors,
) -> Result<Legs> {
    let limit = match request.mode {
        Mode::Hybrid => app.settings.retrieval.leg_limit.max(request.top_k),
        Mode::Dense | Mode::Sparse => request.top_k,
    };
    let leg = |vector| Leg { vector, filter: request.filter.clone(), limit };
    let dense = async {
        match &vectors.dense {
            Some(vector) => app.vectors.search(pass, &leg(LegVector::Dense(vector.clone()))).await,
            None => Ok(Vec::new()),
        }
    };
    let sparse = async {
        match &vectors.sparse {
            Some(vector) if !vector.is_empty() => {
                app.vectors.search(pass, &leg(LegVector::Sparse(vector.clone()))).await
            }
            _ => Ok(Vec::new()),
        }
    };
    let (dense, sparse) = futures::try_join!(dense, sparse)?;
    Ok(Legs { dense, sparse })
}

/// Fuses the legs of a search in a collection.
fn fuse_legs(app: &App, mode: Mode, legs: &Legs, collection: &Collection) -> Result<Vec<Ranked>> {
    let by_id = |leg: &[ScoredId]| leg.iter().map(|s| (s.id, s.score)).collect::<HashMap<_, _>>();
    let (dense, sparse) = (by_id(&legs.dense), by_id(&legs.sparse));
    let scores = |id: &ChunkId, fused| StageScores {
        dense: dense.get(id).copied(),
        sparse: sparse.get(id).copied(),
        fused,
    };
    let single = |leg: &[ScoredId]| {
        leg.iter()
            .map(|s| Ranked { id: s.id, score: s.score, scores: scores(&s.id, None) })
            .collect()
    };
    Ok(match mode {
        Mode::Dense => single(&legs.dense),
        Mode::Sparse => single(&legs.sparse),
        Mode::Hybrid => {
            let weights = &app.settings.retrieval;
            let knows = app.embedder_of(collection)?.info().knows(known_language(collection));
            let dense_share = if knows { 1.0 } else { UNKNOWN_SHARE };
            let lists = [
                List {
                    weight: weights.dense_weight * dense_share,
                    ceiling: Some(1.0),
                    results: &legs.dense,
                },
                List { weight: weights.sparse_weight, ceiling: None, results: &legs.sparse },
            ];
            fuse::fuse(weights.fusion, &lists)
                .into_iter()
                .map(|(id, score)| Ranked { id, score, scores: scores(&id, Some(score)) })
                .collect()
        }
    })
}

/// Reads the chunks of a ranking; chunks deleted meanwhile are left out.
async fn fetch(
    app: &App,
    pass: &VersionPass,
    ranked: &[Ranked],
    with_vectors: WithVectors,
) -> Result<Vec<Hit>> {
    let ids: Vec<ChunkId> = ranked.iter().map(|ranked| ranked.id).collect();
    let stored = app.vectors.fetch(pass, &ids, with_vectors).await?;
    let mut by_id: HashMap<_, _> = stored.into_iter().map(|s| (s.chunk.id, s)).collect();
    let documents = by_id.values().map(|stored| stored.chunk.document).collect();
    let places = copies::other_places(app, pass, documents).await?;
    let found = ranked.iter().filter_map(|ranked| by_id.remove(&ranked.id).map(|s| (ranked, s)));
    Ok(found
        .enumerate()
        .map(|(index, (ranked, stored))| Hit {
            rank: index + 1,
            score: ranked.score,
            scores: ranked.scores,
            also: places.get(&stored.chunk.document).cloned().unwrap_or_default(),
            chunk: stored.chunk,
            dense: stored.dense,
        })
        .collect())
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
