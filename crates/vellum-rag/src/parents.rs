//! From found chunks to their parents: search small, hand the section to the answer.
//!
//! A parent is stored nowhere as such. Its chunks follow from one of them: the ledger knows the document's content and settings,
//! and ids derive from those and the ordinal. So a parent is read as stored chunks, and what is cited of it is verbatim text
//! of one of them.

use crate::app::App;
use crate::documents;
use crate::search::Hit;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::VersionPass;
use vellum_core::chunk::Chunk;
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ledger::LedgerRow;
use vellum_core::ports::WithVectors;

/// Returns the hits with each in its parent: the parent's chunks in the order of the text, at the place of its best hit.
///
/// A chunk that was found brings its own scores and vector, its siblings those of the hit that led to them: they tell how far the
/// parent is about the question. No chunk comes twice, and ranks stay those of the search. A hit without parent, or of a document that changed since, stays alone.
///
/// # Errors
/// What the stores fail with.
pub(crate) async fn expand(app: &App, pass: &VersionPass, hits: Vec<Hit>) -> Result<Vec<Hit>> {
    if hits.iter().all(|hit| hit.chunk.parent.is_none()) {
        return Ok(hits);
    }
    let rows = rows(app, pass, &hits).await?;
    let families: Vec<Vec<ChunkId>> = hits.iter().map(|hit| family(pass, hit, &rows)).collect();
    let found: HashSet<ChunkId> = hits.iter().map(|hit| hit.chunk.id).collect();
    let mut wanted: Vec<ChunkId> =
        families.iter().flatten().copied().filter(|id| !found.contains(id)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let stored = app.vectors.fetch(pass, &wanted, WithVectors::No).await?;
    let mut siblings: HashMap<ChunkId, Arc<Chunk>> =
        stored.into_iter().map(|stored| (stored.chunk.id, stored.chunk)).collect();
    let mut own: HashMap<ChunkId, Hit> =
        hits.iter().map(|hit| (hit.chunk.id, hit.clone())).collect();
    let mut expanded = Vec::new();
    for (hit, family) in hits.into_iter().zip(families) {
        for id in family {
            if let Some(found) = own.remove(&id) {
                expanded.push(found);
            } else if let Some(chunk) = siblings.remove(&id) {
                expanded.push(Hit { chunk, ..hit.clone() });
            }
        }
    }
    Ok(expanded)
}

/// Returns the ledger's rows of the documents of hits that have a parent.
async fn rows(
    app: &App,
    pass: &VersionPass,
    hits: &[Hit],
) -> Result<HashMap<DocumentId, LedgerRow>> {
    let mut rows = HashMap::new();
    for hit in hits.iter().filter(|hit| hit.chunk.parent.is_some()) {
        let document = hit.chunk.document;
        if !rows.contains_key(&document)
            && let Some(row) = documents::row(app, pass, &hit.chunk.uri).await?
        {
            rows.insert(document, row);
        }
    }
    Ok(rows)
}

/// Returns the ids of the chunks of a hit's parent, ascending by ordinal; its own alone where they cannot be told.
fn family(pass: &VersionPass, hit: &Hit, rows: &HashMap<DocumentId, LedgerRow>) -> Vec<ChunkId> {
    let chunk = &hit.chunk;
    let told = chunk.parent.and_then(|parent| {
        let row = rows.get(&chunk.document)?;
        let content = row.content.as_ref()?;
        let id = |ordinal| {
            ChunkId::derive(pass.collection(), &chunk.uri, content, &row.settings, ordinal)
        };
        // The ledger may be of another version of the document than the chunk.
        (id(chunk.ordinal) == chunk.id).then(|| (parent.first..=parent.last).map(id).collect())
    });
    told.unwrap_or_else(|| vec![chunk.id])
}
