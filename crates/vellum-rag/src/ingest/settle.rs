//! Settles a collection's BM25 settings: its languages and its mean chunk length.
//!
//! A document is analysed by its own language where that is a fair part of the collection, else by the main one; a query by
//! all of them (`search::legs`). All of it can only be known from the documents, so a first job writes provisional sparse vectors, and its
//! end makes them anew: no embedding, only counting words. Later jobs keep the settled values until
//! the collection has grown or shrunk fourfold, or another language has become a fair part of it. While vectors are being rewritten the metastore holds
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

/// Share of the chunks from which on a language beside the main one gets its own analyser. Below it, a document is more
/// likely taken for another language than in one.
const MIN_SHARE: f64 = 0.05;

pub(super) async fn settle(run: &Run<'_>) -> Result<()> {
    let chunks = run.app.vectors.count(run.pass).await?;
    if chunks == 0 {
        return Ok(());
    }
    let languages = languages(run).await?;
    let before = run.collection.sparse.as_ref();
    if !is_due(before, chunks) && before.is_some_and(|old| languages.others_are_known_to(old)) {
        return Ok(());
    }
    let Languages { main: language, others } = languages;
    let settled = SparseSettings { language, others, avg_len: 1.0, chunks };
    let analysers = Arc::new(Analysers::new(&settled));
    let avg_len = mean_terms(run, &analysers).await?;
    let settled = SparseSettings { avg_len, ..settled };
    if before.is_some_and(|old| {
        old.language == settled.language
            && old.others == settled.others
            && old.avg_len.to_bits() == settled.avg_len.to_bits()
    }) {
        return run.app.metastore.settle_sparse(run.pass, Some(&settled)).await;
    }
    run.app.metastore.settle_sparse(run.pass, None).await?;
    rewrite(run, &analysers, avg_len).await?;
    run.app.vectors.flush(run.pass).await?;
    run.app.metastore.settle_sparse(run.pass, Some(&settled)).await
}

fn is_due(settled: Option<&SparseSettings>, chunks: u64) -> bool {
    settled.is_none_or(|old| {
        let base = old.chunks.max(SMALL);
        chunks > base * DRIFT || chunks * DRIFT < old.chunks
    })
}

/// What a collection is written in.
#[derive(Debug, PartialEq)]
struct Languages {
    main: Language,
    /// Others with an analyser of their own, ascending.
    others: Vec<String>,
}

impl Languages {
    fn others_are_known_to(&self, settled: &SparseSettings) -> bool {
        let main = settled.language.as_ref();
        self.others.iter().all(|other| main == Some(other) || settled.others.contains(other))
    }
}

/// Returns the languages of the collection: the one that the user set, or what a sample of the chunks is in.
async fn languages(run: &Run<'_>) -> Result<Languages> {
    if let Some(language) = &run.collection.language {
        return Ok(Languages { main: Some(language.clone()), others: Vec::new() });
    }
    let sample = run.app.vectors.scan(run.pass, None, LANGUAGE_SAMPLE, None).await?;
    blocking(move || languages_of(&sample)).await
}

/// The main language is what most chunks are in; the others are told by documents, which say more.
fn languages_of(sample: &[Chunk]) -> Languages {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for code in sample.iter().filter_map(|chunk| language::detect(&chunk.text)) {
        *votes.entry(code).or_default() += 1;
    }
    let main = votes.into_iter().max_by_key(|(_, count)| *count).map(|(code, _)| code.to_owned());
    let mut documents: BTreeMap<&str, usize> = BTreeMap::new();
    for code in sample.iter().filter_map(|chunk| chunk.language.as_deref()) {
        *documents.entry(code).or_default() += 1;
    }
    let least = sample.len() as f64 * MIN_SHARE;
    let others = documents.into_iter().filter(|(code, count)| {
        *count as f64 >= least && Some(*code) != main.as_deref() && bm25::has_analyser(code)
    });
    let others = others.map(|(code, _)| code.to_owned()).collect();
    Languages { main, others }
}

/// An analyser for each language of a collection.
struct Analysers {
    main: Analyser,
    others: Vec<(String, Analyser)>,
}

impl Analysers {
    fn new(settled: &SparseSettings) -> Self {
        let own = |code: &String| (code.clone(), Analyser::scoped(code));
        Self {
            main: Analyser::new(settled.language.as_deref()),
            others: settled.others.iter().map(own).collect(),
        }
    }

    /// Returns the terms of a chunk by the analyser of its document's language.
    fn terms(&self, chunk: &Chunk) -> Vec<String> {
        let own = self.others.iter().find(|(code, _)| Some(code) == chunk.language.as_ref());
        own.map_or(&self.main, |(_, analyser)| analyser).terms(&chunk.indexed_text())
    }
}

async fn mean_terms(run: &Run<'_>, analysers: &Arc<Analysers>) -> Result<f32> {
    let (mut chunks, mut terms) = (0_u64, 0_u64);
    let mut pages = Pages { run, after: None };
    while let Some(page) = pages.next().await? {
        let analysers = analysers.clone();
        chunks += page.len() as u64;
        terms += blocking(move || {
            page.iter().map(|chunk| analysers.terms(chunk).len() as u64).sum::<u64>()
        })
        .await?;
    }
    Ok((terms as f64 / chunks.max(1) as f64).max(1.0) as f32)
}

async fn rewrite(run: &Run<'_>, analysers: &Arc<Analysers>, avg_len: f32) -> Result<()> {
    let mut pages = Pages { run, after: None };
    while let Some(page) = pages.next().await? {
        let analysers = analysers.clone();
        let vectors: Vec<(ChunkId, SparseVector)> = blocking(move || {
            let encode = |chunk: &Chunk| bm25::document_vector(&analysers.terms(chunk), avg_len);
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
