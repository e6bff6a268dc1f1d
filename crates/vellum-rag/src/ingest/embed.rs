//! Texts to vectors: those that are known are not made again, and chunks that are longer than what the model reads are read in
//! windows.

use super::Run;
use super::document::blocking;
use crate::split::{Window, joined, windows};
use vellum_core::ids::TextHash;
use vellum_core::ports::TextKind;
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// Chunks that are embedded and written together.
pub(super) const BATCH: usize = 32;

/// As [`embed`], also for texts that are longer than what the model reads.
pub(super) async fn embed_whole(
    run: &Run<'_>,
    texts: Vec<String>,
) -> Result<(Vec<Embedding>, u64)> {
    let max = run.embedder.info().max_tokens;
    if run.collection.settings.splitter.max_tokens <= max {
        return embed(run, &texts).await;
    }
    let embedder = run.embedder.clone();
    let cut: Vec<Vec<Window>> = blocking(move || {
        let n_tokens = |text: &str| embedder.n_tokens(text);
        texts.iter().map(|text| windows(text, max, &n_tokens)).collect()
    })
    .await?;
    let parts: Vec<String> = cut.iter().flatten().map(|window| window.text.clone()).collect();
    let (mut vectors, mut embedded) = (Vec::with_capacity(parts.len()), 0);
    for batch in parts.chunks(BATCH) {
        let (made, n) = embed(run, batch).await?;
        vectors.extend(made);
        embedded += n;
    }
    let mut rest = vectors.as_slice();
    let whole = cut.iter().map(|windows| {
        let (own, others) = rest.split_at(windows.len());
        rest = others;
        joined(windows, own)
    });
    Ok((whole.collect::<Result<_>>()?, embedded))
}

/// Returns the vectors of `texts`, from the cache where it knows them, and how many were made.
pub(super) async fn embed(run: &Run<'_>, texts: &[String]) -> Result<(Vec<Embedding>, u64)> {
    if texts.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let Some(cache) = &run.app.embeddings else {
        let made = run.embedder.embed(texts, TextKind::Passage).await?;
        return Ok((made, texts.len() as u64));
    };
    let info = run.embedder.info();
    let keys: Vec<TextHash> = texts.iter().map(|text| TextHash::of(text)).collect();
    let mut vectors = cache.get(&info.digest, &keys).await.unwrap_or_else(|error| {
        // Without its cache the work goes on, only slower.
        tracing::warn!(error = error.full_message(), "embeddings are not reused");
        vec![None; texts.len()]
    });
    let unknown: Vec<usize> = (0..texts.len())
        .filter(|&n| vectors[n].as_ref().is_none_or(|vector| vector.dim() != info.dim))
        .collect();
    let new: Vec<String> = unknown.iter().map(|&n| texts[n].clone()).collect();
    if !new.is_empty() {
        let made = run.embedder.embed(&new, TextKind::Passage).await?;
        let keyed: Vec<(TextHash, Embedding)> =
            unknown.iter().map(|&n| keys[n]).zip(made.iter().cloned()).collect();
        if let Err(error) = cache.put(&info.digest, &keyed).await {
            tracing::warn!(error = error.full_message(), "embeddings are not kept for reuse");
        }
        for (n, vector) in unknown.into_iter().zip(made) {
            vectors[n] = Some(vector);
        }
    }
    run.app.jobs.totals.reused((texts.len() - new.len()) as u64);
    let vectors: Vec<Embedding> = vectors.into_iter().flatten().collect();
    if vectors.len() != texts.len() {
        let message = format!("{} vectors for {} texts", vectors.len(), texts.len());
        return Err(Error::new(ErrorKind::Unavailable, message));
    }
    Ok((vectors, new.len() as u64))
}
