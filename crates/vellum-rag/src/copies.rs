//! Where else a content stands: documents with equal content are indexed once, under the least of their uris.

use crate::app::App;
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::access::VersionPass;
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::DocumentId;
use vellum_core::ledger::LedgerRow;

/// Other places of a content that are named; more of them tell nothing new.
const MAX_NAMED: usize = 20;

/// Returns the uris under which the contents of `documents` stand too, ascending, at most 20 for each.
pub(crate) async fn other_places(
    app: &App,
    pass: &VersionPass,
    mut documents: Vec<DocumentId>,
) -> Result<HashMap<DocumentId, Vec<String>>> {
    documents.sort_unstable();
    documents.dedup();
    let mut places: HashMap<DocumentId, Vec<String>> = HashMap::new();
    if documents.is_empty() {
        return Ok(places);
    }
    for (document, uri) in app.metastore.copies(pass, &documents).await? {
        let named = places.entry(document).or_default();
        if named.len() < MAX_NAMED {
            named.push(uri);
        }
    }
    Ok(places)
}

/// Returns the document that holds the chunks of `row`: itself, or the one that it is a copy of.
pub(crate) async fn holder(app: &App, pass: &VersionPass, row: &LedgerRow) -> Result<DocumentId> {
    match &row.content {
        Some(content) if row.is_copy => {
            let least = app.metastore.same_content(pass, content, None, 1).await?.pop();
            Ok(least.map_or(row.document, |least| least.document))
        }
        _ => Ok(row.document),
    }
}

/// Returns the filter with every copy that it names replaced by the document that holds its chunks.
pub(crate) async fn through_copies(
    app: &App,
    pass: &VersionPass,
    filter: Filter,
) -> Result<Filter> {
    Ok(match filter {
        Filter::All(parts) => Filter::All(each(app, pass, parts).await?),
        Filter::Any(parts) => Filter::Any(each(app, pass, parts).await?),
        Filter::Not(part) => {
            Filter::Not(Box::new(Box::pin(through_copies(app, pass, *part)).await?))
        }
        Filter::In(Field::Document, ids) => {
            let mut holders = Vec::with_capacity(ids.len());
            for id in ids {
                let row = match id.parse() {
                    Ok(id) => app.metastore.find_document(id).await?,
                    Err(_) => None,
                };
                holders.push(match row {
                    Some((_, row)) if row.is_copy => holder(app, pass, &row).await?.to_string(),
                    _ => id,
                });
            }
            Filter::In(Field::Document, holders)
        }
        Filter::In(..) | Filter::Within(..) | Filter::Exists(_) | Filter::Under(_) => filter,
    })
}

async fn each(app: &App, pass: &VersionPass, parts: Vec<Filter>) -> Result<Vec<Filter>> {
    let mut resolved = Vec::with_capacity(parts.len());
    for part in parts {
        resolved.push(Box::pin(through_copies(app, pass, part)).await?);
    }
    Ok(resolved)
}
