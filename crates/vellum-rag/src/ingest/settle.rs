//! Settles a collection's BM25 settings: its language and its mean chunk length.
//!
//! Both can only be known from the documents, so a first job writes provisional sparse vectors, and its
//! end makes them anew: no embedding, only counting words. Later jobs keep the settled values until
//! the collection has grown or shrunk fourfold. While vectors are being rewritten the metastore holds
//! no settled values, so an interruption is seen and the next job finishes the work.

use super::Run;
use super::document::blocking;
use crate::bm25::{self, Analyser};
use crate::language;
use std::collections::BTreeMap;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::chunk::Chunk;
use vellum_core::collection::{Language, SparseSettings};
use vellum_core::ids::ChunkId;
use vellum_core::vector::SparseVector;

/// Chunks read and rewritten at a time.
const PAGE: usize = 512;
/// Chunks whose language is looked at. Ids are hashes, so the first ones are a fair sample.
const LANGUAGE_SAMPLE: usize = 512;
/// Growth or shrinkage that makes settled values out of date.
const DRIFT: u64 = 4;
/// Below this many chunks means are cheap to take anew and change fast.
const SMALL: u64 = 64;

pub(super) async fn settle(run: &Run<'_>) -> Result<()> {
    let chunks = run.app.vectors.count(run.pass).await?;
    if chunks == 0 || !is_due(run.collection.sparse.as_ref(), chunks) {
        return Ok(());
    }
    let language = match &run.collection.language {
        Some(language) => Some(language.clone()),
        None => majority_language(run).await?,
    };
    let analyser = Arc::new(Analyser::new(language.as_deref()));
    let avg_len = mean_terms(run, &analyser).await?;
    let settled = SparseSettings { language, avg_len, chunks };
    if run.collection.sparse.as_ref().is_some_and(|old| {
        old.language == settled.language && old.avg_len.to_bits() == settled.avg_len.to_bits()
    }) {
        return run.app.metastore.settle_sparse(run.pass, Some(&settled)).await;
    }
    run.app.metastore.settle_sparse(run.pass, None).await?;
    rewrite(run, &analyser, avg_len).await?;
    run.app.vectors.flush(run.pass).await?;
    run.app.metastore.settle_sparse(run.pass, Some(&settled)).await
}

fn is_due(settled: Option<&SparseSettings>, chunks: u64) -> bool {
    settled.is_none_or(|old| {
        let base = old.chunks.max(SMALL);
        chunks > base * DRIFT || chunks * DRIFT < old.chunks
    })
}

async fn majority_language(run: &Run<'_>) -> Result<Language> {
    let sample = run.app.vectors.scan(run.pass, None, LANGUAGE_SAMPLE, None).await?;
    blocking(move || {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for code in sample.iter().filter_map(|chunk| language::detect(&chunk.text)) {
            *votes.entry(code).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(code, _)| code.to_owned())
    })
    .await
}

async fn mean_terms(run: &Run<'_>, analyser: &Arc<Analyser>) -> Result<f32> {
    let (mut chunks, mut terms) = (0_u64, 0_u64);
    let mut pages = Pages { run, after: None };
    while let Some(page) = pages.next().await? {
        let analyser = analyser.clone();
        chunks += page.len() as u64;
        terms += blocking(move || {
            page.iter().map(|chunk| analyser.terms(&chunk.indexed_text()).len() as u64).sum::<u64>()
        })
        .await?;
    }
    Ok((terms as f64 / chunks.max(1) as f64).max(1.0) as f32)
}

async fn rewrite(run: &Run<'_>, analyser: &Arc<Analyser>, avg_len: f32) -> Result<()> {
    let mut pages = Pages { run, after: None };
    while let Some(page) = pages.next().await? {
        let analyser = analyser.clone();
        let vectors: Vec<(ChunkId, SparseVector)> = blocking(move || {
            let encode = |chunk: &Chunk| {
                bm25::document_vector(&analyser.terms(&chunk.indexed_text()), avg_len)
            };
            page.iter().map(|chunk| (chunk.id, encode(chunk))).collect()
        })
        .await?;
        run.app.vectors.update_sparse(run.pass, vectors).await?;
    }
    Ok(())
}

/// All chunks of the collection, page by page.
struct Pages<'a> {
    run: &'a Run<'a>,
    after: Option<ChunkId>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Chunk>>> {
        let page = self.run.app.vectors.scan(self.run.pass, self.after, PAGE, None).await?;
        self.after = page.last().map(|chunk| chunk.id).or(self.after);
        Ok((!page.is_empty()).then_some(page))
    }
}
