//! What happens to candidates between fusion and the answer. Each stage takes hits, best first, and gives hits, best first.

use super::Hit;
use super::trace::{Recorder, Stage};
use crate::app::App;
use crate::copies;
use crate::documents;
use crate::mmr;
use std::collections::HashMap;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::VersionPass;
use vellum_core::chunk::Chunk;
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ports::{ScoredId, WithVectors, must_be_scores};
use vellum_core::vector::Embedding;

/// Returns the candidates as stages trace them.
pub(super) fn ids(hits: &[Hit]) -> Vec<ScoredId> {
    hits.iter().map(|hit| ScoredId { id: hit.chunk.id, score: hit.score }).collect()
}

/// Orders the best `depth` hits by the reranker; the others follow in their order, with scores below the worst of those. A
/// reranker that fails, for whatever reason, leaves all as they are, and a note says so.
pub(super) async fn rerank(
    app: &App,
    query: &str,
    mut hits: Vec<Hit>,
    depth: usize,
    recorder: &mut Recorder<'_>,
) -> Vec<Hit> {
    let Some(reranker) = &app.reranker else { return hits };
    let before = ids(&hits);
    let depth = depth.min(hits.len());
    let texts: Vec<String> = hits[..depth].iter().map(|hit| hit.chunk.text.clone()).collect();
    let scored = reranker.rerank(query, &texts).await;
    let scored = scored.and_then(|scores| must_be_scores(reranker.name(), scores, texts.len()));
    let note = match scored {
        Ok(scores) => {
            let (read, others) = hits.split_at_mut(depth);
            for (hit, score) in read.iter_mut().zip(scores) {
                (hit.score, hit.scores.rerank) = (score, Some(score));
            }
            // A stable sort: ties keep the order of fusion.
            read.sort_by(|a, b| b.score.total_cmp(&a.score));
            put_below(read, others);
            reranker.name().to_owned()
        }
        Err(error) => {
            let note = format!(
                "the reranker did not answer, so results are in the order of fusion: {}",
                error.full_message()
            );
            recorder.degraded(note.clone());
            note
        }
    };
    let time = recorder.timed("rerank");
    recorder.stage(|| Stage {
        note,
        ..Stage::between("rerank", &before, &ids(&hits), |_| String::new(), time)
    });
    hits
}

/// Moves the scores of `others`, which descend, below those of `read`: their distances stay.
fn put_below(read: &[Hit], others: &mut [Hit]) {
    let (Some(worst), Some(best)) = (read.last(), others.first()) else { return };
    let (floor, best) = (worst.score.next_down(), best.score);
    others.iter_mut().for_each(|hit| hit.score = floor - (best - hit.score));
}

/// Keeps the best `n` hits of each document.
pub(super) fn group(hits: Vec<Hit>, n: usize, recorder: &mut Recorder<'_>) -> Vec<Hit> {
    let before = ids(&hits);
    let sources: HashMap<ChunkId, String> = match recorder.trace {
        Some(_) => hits.iter().map(|hit| (hit.chunk.id, hit.chunk.source.clone())).collect(),
        None => HashMap::new(),
    };
    let mut of_document: HashMap<DocumentId, usize> = HashMap::new();
    let mut kept = hits;
    kept.retain(|hit| {
        let count = of_document.entry(hit.chunk.document).or_default();
        *count += 1;
        *count <= n
    });
    let time = recorder.timed("group");
    recorder.stage(|| {
        let reason = |gone: &ScoredId| {
            let source = sources.get(&gone.id).map_or("its document", String::as_str);
            format!("{n} better of `{source}`")
        };
        Stage::between("group", &before, &ids(&kept), reason, time)
    });
    kept
}

/// Orders the hits by marginal relevance and keeps the best `top_k`; hits without a vector stay in their order.
///
/// Relevance is the score as a share of the best, or, where scores go below zero, of the distance between worst and best.
pub(super) fn diversify(
    hits: &[Hit],
    lambda: f32,
    top_k: usize,
    recorder: &mut Recorder<'_>,
) -> Vec<Hit> {
    let best = hits.iter().map(|hit| hit.score).fold(f32::NEG_INFINITY, f32::max);
    let worst = hits.iter().map(|hit| hit.score).fold(0.0, f32::min);
    let whole = (best - worst).max(f32::MIN_POSITIVE);
    let candidates: Option<Vec<(f32, &Embedding)>> =
        hits.iter().map(|hit| Some(((hit.score - worst) / whole, hit.dense.as_ref()?))).collect();
    let order = match candidates {
        Some(candidates) => mmr::select(&candidates, lambda, top_k),
        None => (0..hits.len().min(top_k)).collect(),
    };
    let kept: Vec<Hit> = order.into_iter().map(|at| hits[at].clone()).collect();
    let time = recorder.timed("mmr");
    recorder.stage(|| Stage {
        note: format!("lambda {lambda}"),
        ..Stage::between("mmr", &ids(hits), &ids(&kept), |gone| too_near(hits, &kept, gone), time)
    });
    kept
}

/// Returns why a hit gave way to more diverse ones: the kept one that it resembles most.
fn too_near(hits: &[Hit], kept: &[Hit], gone: &ScoredId) -> String {
    let vector = hits.iter().find(|hit| hit.chunk.id == gone.id).and_then(|hit| hit.dense.as_ref());
    let nearest = vector.and_then(|vector| {
        let cosine = |hit: &Hit| Some((hit.dense.as_ref()?.cosine(vector), hit.chunk.id));
        kept.iter().filter_map(cosine).max_by(|a, b| a.0.total_cmp(&b.0))
    });
    match nearest {
        Some((cosine, id)) => format!("cosine {cosine:.2} to `{id}`"),
        None => "beyond top_k".to_owned(),
    }
}

/// Keeps the best `top_k` hits.
pub(super) fn cut(mut hits: Vec<Hit>, top_k: usize, recorder: &mut Recorder<'_>) -> Vec<Hit> {
    if hits.len() > top_k {
        let before = ids(&hits);
        hits.truncate(top_k);
        let time = recorder.lap();
        recorder.stage(|| {
            Stage::between("cut", &before, &ids(&hits), |_| "beyond top_k".to_owned(), time)
        });
    }
    hits
}

/// Adds to each hit where else its content stands.
pub(super) async fn add_copies(
    app: &App,
    pass: &VersionPass,
    hits: &mut [Hit],
    recorder: &mut Recorder<'_>,
) -> Result<()> {
    let documents = hits.iter().map(|hit| hit.chunk.document).collect();
    let places = copies::other_places(app, pass, documents).await?;
    for hit in hits {
        hit.also = places.get(&hit.chunk.document).cloned().unwrap_or_default();
    }
    recorder.timed("copies");
    Ok(())
}

/// Adds to each hit the text of up to `n` chunks before and after it in its document.
pub(super) async fn add_neighbours(
    app: &App,
    pass: &VersionPass,
    hits: &mut [Hit],
    n: usize,
    recorder: &mut Recorder<'_>,
) -> Result<()> {
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let mut wanted: Vec<(usize, bool, ChunkId)> = Vec::new();
    for (index, hit) in hits.iter().enumerate() {
        let chunk = &hit.chunk;
        let Some(row) = documents::row(app, pass, &chunk.uri).await? else { continue };
        let Some(content) = row.content else { continue };
        let id = |ordinal| {
            ChunkId::derive(pass.collection(), &chunk.uri, &content, &row.settings, ordinal)
        };
        let before = chunk.ordinal.saturating_sub(n)..chunk.ordinal;
        let after = chunk.ordinal + 1..chunk.ordinal.saturating_add(n).saturating_add(1);
        wanted.extend(before.map(|ordinal| (index, true, id(ordinal))));
        wanted.extend(after.map(|ordinal| (index, false, id(ordinal))));
    }
    let mut unique: Vec<ChunkId> = wanted.iter().map(|(.., id)| *id).collect();
    unique.sort_unstable();
    unique.dedup();
    let stored = app.vectors.fetch(pass, &unique, WithVectors::No).await?;
    let chunks: HashMap<ChunkId, Arc<Chunk>> =
        stored.into_iter().map(|stored| (stored.chunk.id, stored.chunk)).collect();
    for (index, is_before, id) in wanted {
        let Some(chunk) = chunks.get(&id) else { continue };
        let side = if is_before { &mut hits[index].before } else { &mut hits[index].after };
        side.push(chunk.text.clone());
    }
    let time = recorder.timed("neighbours");
    recorder.stage(|| {
        let same = ids(hits);
        let note = format!("{} chunks of text around {} hits", chunks.len(), hits.len());
        Stage { note, ..Stage::between("neighbours", &same, &same, |_| String::new(), time) }
    });
    Ok(())
}

/// Reads the chunks of a ranking; chunks deleted meanwhile are left out.
pub(super) async fn fetch(
    app: &App,
    pass: &VersionPass,
    ranked: &[(ScoredId, super::StageScores)],
    with_vectors: WithVectors,
    recorder: &mut Recorder<'_>,
) -> Result<Vec<Hit>> {
    let wanted: Vec<ChunkId> = ranked.iter().map(|(ranked, _)| ranked.id).collect();
    let stored = app.vectors.fetch(pass, &wanted, with_vectors).await?;
    let mut by_id: HashMap<_, _> = stored.into_iter().map(|s| (s.chunk.id, s)).collect();
    let found = ranked.iter().filter_map(|(ranked, scores)| {
        by_id.remove(&ranked.id).map(|stored| (ranked, scores, stored))
    });
    let hits: Vec<Hit> = found
        .map(|(ranked, scores, stored)| Hit {
            rank: 0,
            score: ranked.score,
            scores: *scores,
            also: Vec::new(),
            chunk: stored.chunk,
            dense: stored.dense,
            before: Vec::new(),
            after: Vec::new(),
        })
        .collect();
    let time = recorder.timed("fetch");
    recorder.stage(|| {
        let before: Vec<ScoredId> = ranked.iter().map(|(ranked, _)| *ranked).collect();
        let reason = |_: &ScoredId| "deleted meanwhile".to_owned();
        Stage::between("fetch", &before, &ids(&hits), reason, time)
    });
    Ok(hits)
}
