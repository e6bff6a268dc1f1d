//! From a part of a document to its chunks, off the async threads.

use super::Run;
use super::document::blocking;
use super::embed::{BATCH, embed};
use crate::language;
use crate::split::{self, Origin, Place};
use std::sync::Arc;
use vellum_core::chunk::Chunk;
use vellum_core::collection::SplitterSettings;
use vellum_core::document::{Document, Format};
use vellum_core::ids::{CollectionName, ContentHash};
use vellum_core::ledger::LedgerRow;
use vellum_core::metadata::Metadata;
use vellum_core::ports::{Embedder, ObjectMeta};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// What is known of a whole document from its first part.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    pub(super) language: Option<String>,
    pub(super) metadata: Metadata,
}

impl About {
    pub(super) fn of(part: &Document) -> Self {
        let is_prose = !matches!(part.format, Format::Code | Format::Csv | Format::Json);
        let language = if is_prose { language::detect(&part.text) } else { None };
        Self { language: language.map(str::to_owned), metadata: Metadata::of(&part.metadata) }
    }
}

/// The chunks of a part of a document.
pub(super) struct Cut {
    pub(super) chunks: Vec<Chunk>,
    /// One for each chunk; `None` where it has to be embedded.
    pub(super) vectors: Vec<Option<Embedding>>,
    /// Where the next part begins.
    pub(super) end: Place,
    /// Texts embedded.
    pub(super) embedded: u64,
}

/// Cuts a part of a document; embeds its sentences first where the splitter looks at their meaning.
pub(super) async fn split_part(
    run: &Run<'_>,
    part: Document,
    place: Place,
    object: &ObjectMeta,
    row: &LedgerRow,
    about: &About,
) -> Result<Cut> {
    let unread = || Error::new(ErrorKind::Internal, "a document is split before it is read");
    let content = row.content.clone().ok_or_else(unread)?;
    let cutter = Arc::new(Cutter {
        embedder: run.embedder.clone(),
        settings: run.collection.settings.splitter.clone(),
        collection: run.collection.name.clone(),
        name: object.name.clone(),
        row: row.clone(),
        content,
        part,
        about: about.clone(),
    });
    let sentences = {
        let cutter = cutter.clone();
        blocking(move || {
            let n_tokens = |text: &str| cutter.embedder.n_tokens(text);
            let (origin, window) = (cutter.origin(), cutter.embedder.info().max_tokens);
            split::sentences(&cutter.part, &origin, &cutter.settings, window, &n_tokens)
        })
        .await?
    };
    let mut with_vectors = Vec::with_capacity(sentences.len());
    let mut embedded = 0;
    for batch in sentences.chunks(BATCH) {
        let texts: Vec<String> = batch.iter().map(|sentence| sentence.text.clone()).collect();
        let (vectors, made) = embed(run, &texts).await?;
        embedded += made;
        with_vectors.extend(batch.iter().cloned().zip(vectors));
    }
    blocking(move || {
        let mut end = place;
        let (origin, settings) = (cutter.origin(), &cutter.settings);
        let n_tokens = |text: &str| cutter.embedder.n_tokens(text);
        let chunks =
            split::split(&cutter.part, &mut end, &origin, settings, &n_tokens, &with_vectors);
        let vectors = split::vectors(&chunks, place, &with_vectors);
        Cut { chunks, vectors, end, embedded }
    })
    .await
}

/// A part of a document with all that cutting it needs, to be taken to other threads.
struct Cutter {
    embedder: Arc<dyn Embedder>,
    settings: SplitterSettings,
    collection: CollectionName,
    name: String,
    row: LedgerRow,
    content: ContentHash,
    part: Document,
    about: About,
}

impl Cutter {
    fn origin(&self) -> Origin<'_> {
        Origin {
            collection: &self.collection,
            uri: &self.row.uri,
            name: &self.name,
            content: &self.content,
            settings: &self.row.settings,
            title: self.row.title.as_deref(),
            language: self.about.language.as_deref(),
            bytes: self.row.bytes,
            metadata: &self.about.metadata,
        }
    }
}
