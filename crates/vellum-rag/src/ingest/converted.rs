//! What the converter made of documents before, so that a build neither fetches nor reads originals again.
//!
//! A build follows the live version, so what that version was made of is what the new one is made of, whatever the source has
//! by now: both can be compared, and the next job of the source brings what is newer.

use super::Run;
use super::document::blocking;
use crate::copies;
use crate::documents::{self, name_of};
use vellum_core::Result;
use vellum_core::access::VersionPass;
use vellum_core::ids::{ChunkId, ContentHash, DocumentId};
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{Conversion, ObjectMeta, Parts, WithVectors};

/// A conversion that was kept.
pub(super) struct Converted {
    pub(super) object: ObjectMeta,
    pub(super) parts: Parts,
    /// Hash of the bytes that were converted.
    pub(super) content: ContentHash,
}

/// Returns what is kept of a document that a build comes to; `None` when it has to be read.
pub(super) async fn find(run: &Run<'_>, object: &ObjectMeta) -> Result<Option<Converted>> {
    let (Some(cache), Some(live)) = (&run.app.converted, &run.follows) else { return Ok(None) };
    let row = documents::row(run.app, live, &object.uri).await?;
    let Some(row) = row.filter(|row| row.state == DocumentState::Indexed) else { return Ok(None) };
    let Some(content) = row.content.clone() else { return Ok(None) };
    let of = conversion(run, copies::holder(run.app, live, &row).await?, content.clone());
    let cache = cache.clone();
    let Some(parts) = blocking(move || cache.get(&of)).await? else { return Ok(None) };
    let name = name(run, live, &row, &content).await?;
    let object = ObjectMeta { name, uri: row.uri, size: row.bytes, etag: row.etag };
    Ok(Some(Converted { object, parts, content }))
}

/// Returns the file name as the source told it, which the chunks of the live version bear.
async fn name(
    run: &Run<'_>,
    live: &VersionPass,
    row: &LedgerRow,
    content: &ContentHash,
) -> Result<String> {
    let first = ChunkId::derive(&run.collection.name, &row.uri, content, &row.settings, 0);
    let stored = run.app.vectors.fetch(live, &[first], WithVectors::No).await?;
    Ok(stored
        .into_iter()
        .next()
        .map_or_else(|| name_of(&row.uri), |stored| stored.chunk.source.clone()))
}

/// Returns the parts of a document that is converted now, kept as they pass.
pub(super) fn keep(run: &Run<'_>, row: &LedgerRow, parts: Parts) -> Parts {
    match (&run.app.converted, &row.content) {
        (Some(cache), Some(content)) => {
            cache.keep(conversion(run, row.document, content.clone()), parts)
        }
        _ => parts,
    }
}

/// Forgets documents that are gone or whose content is.
pub(super) async fn forget(run: &Run<'_>, documents: Vec<DocumentId>) -> Result<()> {
    let Some(cache) = run.app.converted.clone() else { return Ok(()) };
    let collection = run.collection.name.clone();
    blocking(move || cache.forget(&collection, &documents)).await?
}

fn conversion(run: &Run<'_>, document: DocumentId, content: ContentHash) -> Conversion {
    Conversion {
        collection: run.collection.name.clone(),
        document,
        content,
        converter: run.collection.settings.converter.clone(),
    }
}
