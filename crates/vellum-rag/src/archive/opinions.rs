//! Opinions on answers, as they travel: with the uris of what was cited, because ids derive from the collection's name.
//!
//! The metadata store keeps opinions of collections that are there, and an import is seen only when it is whole. So they lie
//! on the shelf from before the collection appears until the store has them, and whoever opens the data directory after an
//! interruption finishes that.

use crate::app::App;
use crate::datasets;
use crate::ingest::blocking;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use vellum_core::access::Pass;
use vellum_core::feedback::{Cited, Feedback, Verdict};
use vellum_core::ids::{CollectionName, DocumentId, FeedbackId};
use vellum_core::ports::Place;
use vellum_core::{Error, ErrorKind, Result};

/// An opinion in a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opinion {
    question: String,
    verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    cited: Vec<Passage>,
    created_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Passage {
    document: DocumentId,
    /// Absent for a document that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    start: usize,
    end: usize,
}

impl Opinion {
    /// Returns it as one on the answer of a collection of this name.
    pub(super) fn named(mut self, collection: &CollectionName) -> Self {
        for passage in &mut self.cited {
            if let Some(uri) = &passage.uri {
                passage.document = DocumentId::derive(collection, uri);
            }
        }
        self
    }

    fn stored(self, collection: &CollectionName) -> Feedback {
        let Self { question, verdict, comment, cited, created_ms } = self;
        let cited: Vec<Cited> = cited
            .into_iter()
            .map(|Passage { document, start, end, .. }| Cited { document, start, end })
            .collect();
        let id = FeedbackId::derive(collection, &question, &cited);
        Feedback { id, question, verdict, comment, cited, created_ms }
    }
}

/// Returns all opinions on answers from the pass's collection, ascending by id.
pub(super) async fn of_collection(app: &App, pass: &Pass) -> Result<Vec<Opinion>> {
    let mut uris: HashMap<DocumentId, Option<String>> = HashMap::new();
    let mut opinions = Vec::new();
    for Feedback { question, verdict, comment, cited, created_ms, .. } in
        datasets::opinions(app, pass).await?
    {
        let mut passages = Vec::with_capacity(cited.len());
        for Cited { document, start, end } in cited {
            let uri = match uris.entry(document) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(unknown) => {
                    let found = app.metastore.find_document(document).await?;
                    let here = found.filter(|(seen, _)| seen.name == *pass.collection());
                    unknown.insert(here.map(|(_, row)| row.uri)).clone()
                }
            };
            passages.push(Passage { document, uri, start, end });
        }
        opinions.push(Opinion { question, verdict, comment, cited: passages, created_ms });
    }
    Ok(opinions)
}

/// Lays opinions aside until the collection is there.
pub(super) async fn lay_aside(
    app: &App,
    collection: &CollectionName,
    opinions: &[Opinion],
) -> Result<()> {
    if opinions.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(opinions).expect("plain structs always serialise");
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || shelf.put(Place::Opinions(&collection), &bytes)).await?
}

/// Hands the opinions that were laid aside to the metadata store. Harmless when that was done already.
pub(super) async fn hand_over(app: &App, pass: &Pass) -> Result<()> {
    let (shelf, collection) = (app.shelf.clone(), pass.collection().clone());
    let Some(bytes) = blocking(move || shelf.get(Place::Opinions(&collection))).await?? else {
        return Ok(());
    };
    let opinions: Vec<Opinion> = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "the opinions that an import left cannot be read")
            .with_source(error)
    })?;
    for opinion in opinions {
        app.metastore.put_feedback(pass, &opinion.stored(pass.collection())).await?;
    }
    let (shelf, collection) = (app.shelf.clone(), pass.collection().clone());
    blocking(move || shelf.remove(Place::Opinions(&collection))).await?
}
