//! Indexes equal contents once: the document with the least uri holds the chunks, the others are its copies.
//!
//! While documents are worked on, one whose content is known under a lesser uri becomes a copy at once. That misses
//! documents that are worked on at the same time, and those whose original was changed or removed; the end of a job
//! puts both right. What is left at last depends on the documents alone, not on the order of events.

use super::claim::Work;
use super::commit::{Count, commit_group};
use super::converted;
use super::document::{self, Change, Outcome};
use super::{Run, claim};
use futures::{StreamExt, TryStreamExt, stream};
use vellum_core::Result;
use vellum_core::ids::{ContentHash, DocumentId};
use vellum_core::ledger::LedgerRow;
use vellum_core::ports::ObjectMeta;

/// Contents that are looked at together.
const PAGE: usize = 256;
/// Copies of one content that are written together.
const COPIES: usize = 256;

/// Returns the document that holds the chunks for this content, if it has a lesser uri than `uri`.
pub(super) async fn original_of(
    run: &Run<'_>,
    content: &ContentHash,
    uri: &str,
) -> Result<Option<LedgerRow>> {
    let least = run.app.metastore.same_content(run.pass, content, None, 1).await?.pop();
    // A claimed one may be about to change.
    Ok(least.filter(|row| row.uri.as_str() < uri && !row.is_copy && row.claim.is_none()))
}

/// Tells originals and copies apart where that was missed; returns whether chunks were written or deleted.
pub(super) async fn tell_apart(run: &Run<'_>) -> Result<bool> {
    let mut wrote = false;
    let mut after: Option<ContentHash> = None;
    loop {
        let page = run.app.metastore.untold_copies(run.pass, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(wrote) };
        after = Some(last.clone());
        wrote |= promote(run, page.clone()).await?;
        wrote |= demote(run, &page).await?;
    }
}

/// Returns the document of a content with the least uri.
async fn least(run: &Run<'_>, content: &ContentHash) -> Result<Option<LedgerRow>> {
    Ok(run.app.metastore.same_content(run.pass, content, None, 1).await?.pop())
}

/// Sees to it that the least document of each content holds its chunks.
async fn promote(run: &Run<'_>, mut contents: Vec<ContentHash>) -> Result<bool> {
    let mut wrote = false;
    // A copy that cannot be read any more leaves its content, and the next one is the least.
    while !contents.is_empty() {
        let mut copies = Vec::new();
        for content in &contents {
            copies.extend(least(run, content).await?.filter(|row| row.is_copy));
        }
        let ids: Vec<_> = copies.iter().map(|row| row.document).collect();
        let claimed = run.app.metastore.claim(run.pass, &run.lease, &[], &ids).await?.rows;
        contents = claimed.iter().filter_map(|row| row.content.clone()).collect();
        let works = claimed.into_iter().map(|row| {
            let object = ObjectMeta {
                name: row.uri.clone(),
                uri: row.uri.clone(),
                size: row.bytes,
                etag: row.etag.clone(),
            };
            document::promote(run, Work { object, source: row.source.as_str().into(), row })
        });
        let outcomes = stream::iter(works).buffer_unordered(run.concurrency());
        wrote |= commit_group(run, outcomes.try_collect().await?, Count::Chunks).await?;
    }
    Ok(wrote)
}

/// Takes the chunks of all documents of each content but the least.
async fn demote(run: &Run<'_>, contents: &[ContentHash]) -> Result<bool> {
    let mut wrote = false;
    let mut doubles = Vec::new();
    for content in contents {
        let Some(original) = least(run, content).await? else { continue };
        let mut after = original.uri;
        loop {
            let page =
                run.app.metastore.same_content(run.pass, content, Some(&after), COPIES).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.uri);
            doubles.extend(page.iter().filter(|row| !row.is_copy).map(|row| row.document));
            if doubles.len() >= COPIES {
                wrote |= empty(run, std::mem::take(&mut doubles)).await?;
            }
        }
    }
    wrote |= empty(run, doubles).await?;
    Ok(wrote)
}

/// Deletes the chunks of documents that are copies.
async fn empty(run: &Run<'_>, documents: Vec<DocumentId>) -> Result<bool> {
    if documents.is_empty() {
        return Ok(false);
    }
    let claimed = run.app.metastore.claim(run.pass, &run.lease, &[], &documents).await?;
    let mut outcomes = Vec::new();
    for row in claimed.rows {
        claim::must_hold(run)?;
        run.app.vectors.delete_document(run.pass, row.document, &[]).await?;
        converted::forget(run, vec![row.document]).await?;
        let row = LedgerRow { is_copy: true, chunks: 0, claim: None, ..row };
        outcomes.push(Outcome { wrote: true, ..Outcome::of(row, Change::Touched) });
    }
    commit_group(run, outcomes, Count::Chunks).await
}
