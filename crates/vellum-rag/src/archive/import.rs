//! Makes a collection of a file.
//!
//! ```text
//! (the file was checked as a whole) -> an unpublished version -> ledger rows -> chunks with vectors -> datasets
//!   -> flush, optimise -> counts and digest compared -> opinions laid aside -> promote: the collection appears
//!   -> opinions handed over
//! ```
//!
//! Until the last step nobody sees anything of it, and what an interrupted import left is removed by the next one of the
//! same name. Ids derive from the collection's name: under the name that it was exported from, ids and digest are the same;
//! under another one they are made anew.

use super::opinions::{self, Opinion};
use super::read::{Archive, Entry};
use super::{End, Progress, damaged};
use crate::app::App;
use crate::bm25::{self, Analyser};
use crate::collections::{self, ContentDigest};
use crate::documents;
use crate::ingest::{PROVISIONAL_AVG_LEN, blocking};
use crate::search::analyser;
use crate::versions;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::Collection;
use vellum_core::ids::{ChunkId, ContentHash, DatasetName, DocumentId, JobId};
use vellum_core::ledger::{Lease, LedgerRow};
use vellum_core::ports::{Missing, Place, Point, StoreSpec};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// Entries that wait to be stored.
const QUEUE: usize = 2;
/// How long an import that says nothing is taken to live; each batch moves its end on.
const LEASE: Duration = Duration::from_secs(600);

/// What was made.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The collection.
    pub summary: collections::Summary,
    /// The digest of its content.
    pub digest: String,
    /// Originals that came with it.
    pub originals: u64,
    /// Datasets that came with it.
    pub datasets: u64,
    /// Opinions on answers that came with it.
    pub opinions: u64,
}

/// Makes the pass's collection of a file.
///
/// Dropping the future, or the end of the process, leaves nothing that can be seen; the same call begins anew.
///
/// # Errors
/// `Conflict` when there is such a collection, or a job is about to make it; `Corrupt` when the file contradicts itself.
pub async fn import(
    app: &App,
    pass: &Pass,
    archive: Archive,
    show: &(dyn Fn(Progress) + Sync),
) -> Result<Imported> {
    pass.must_write()?;
    let name = pass.collection();
    let _writing = app.jobs.exclusive(name)?;
    if app.metastore.collection(name).await?.is_some() {
        return Err(Error::new(ErrorKind::Conflict, format!("collection `{name}` exists already"))
            .with_hint("import under another name with `--as NAME`, or delete it first"));
    }
    versions::clear_unpublished(app, pass).await?;
    let manifest = archive.manifest().clone();
    manifest.tuning.check()?;
    let seen =
        collections::seen_through(app, pass, manifest.settings.clone(), manifest.language.clone());
    let seen =
        Collection { sparse: manifest.sparse.clone(), created_ms: manifest.created_ms, ..seen };
    app.metastore.create_version(pass, &seen).await?;
    let at = pass.at(&seen)?;
    app.vectors.create(&at, StoreSpec { dim: seen.settings.dim }).await?;
    let job = JobId::from(Uuid::new_v4());
    let lease = app.metastore.open_lease(&at, &app.worker, job, LEASE).await?;

    let kept = app.kept.clone();
    let (entries, mut queue) = mpsc::channel(QUEUE);
    let of_name = name.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let gone = |_| Error::new(ErrorKind::Cancelled, "the import goes no further");
        archive.read(
            |entry| entries.blocking_send(entry).map_err(gone),
            |hash, bytes| kept.put(&of_name, hash, bytes),
        )
    });
    let mut import = Import {
        app,
        at: &at,
        seen: &seen,
        lease: &lease,
        renames: manifest.collection != *name,
        stored: End::default(),
        digest: ContentDigest::default(),
        opinions: Vec::new(),
    };
    let mut end = None;
    while let Some(entry) = queue.recv().await {
        app.metastore.renew_lease(&lease, LEASE).await?;
        match entry {
            Entry::Rows(rows) => import.rows(rows).await?,
            Entry::Chunks(chunks) => import.chunks(chunks).await?,
            Entry::Dataset(name, bytes) => import.dataset(name, bytes).await?,
            Entry::Opinions(opinions) => import.opinions(opinions),
            Entry::End(told) => end = Some(told),
        }
        show(Progress { done: import.stored.chunks, of: manifest.chunks });
    }
    reader.await.map_err(|error| {
        Error::new(ErrorKind::Internal, "the reader of the import panicked").with_source(error)
    })??;
    let end = end.ok_or_else(|| damaged("its last entry is missing"))?;
    import.compare(&end)?;
    app.vectors.flush(&at).await?;
    app.vectors.optimize(&at).await?;
    let chunks = app.vectors.count(&at).await?;
    if chunks != end.chunks {
        let message = format!("{chunks} of {} chunks were stored", end.chunks);
        return Err(Error::new(ErrorKind::Internal, message));
    }
    opinions::lay_aside(app, name, &import.opinions).await?;
    app.metastore.close_lease(&lease).await?;
    let now_ms = app.clock.unix_ms();
    app.metastore.set_built(&at, Some(now_ms)).await?;
    app.metastore.set_tuning(&at, &manifest.tuning).await?;
    app.metastore.promote(&at, now_ms, Missing::Refuse).await?;
    opinions::hand_over(app, pass).await.map_err(|error| {
        error.context("the collection was imported; opinions on answers follow at the next start")
    })?;
    let summary = collections::summary(app, pass).await?;
    let digest = collections::digest(app, pass).await?;
    let End { originals, datasets, opinions, .. } = end;
    Ok(Imported { summary, digest, originals, datasets, opinions })
}

/// An import at work.
struct Import<'a> {
    app: &'a App,
    at: &'a VersionPass,
    seen: &'a Collection,
    lease: &'a Lease,
    /// Whether ids have to be made anew.
    renames: bool,
    stored: End,
    /// Of the chunks as they are in the file.
    digest: ContentDigest,
    opinions: Vec<Opinion>,
}

impl Import<'_> {
    async fn dataset(&mut self, name: DatasetName, bytes: Vec<u8>) -> Result<()> {
        let (shelf, collection) = (self.app.shelf.clone(), self.seen.name.clone());
        self.stored.datasets += 1;
        blocking(move || shelf.put(Place::Dataset(&collection, &name), &bytes)).await?
    }

    fn opinions(&mut self, opinions: Vec<Opinion>) {
        self.stored.opinions += opinions.len() as u64;
        self.opinions.extend(opinions.into_iter().map(|it| it.named(&self.seen.name)));
    }

    async fn rows(&mut self, mut rows: Vec<LedgerRow>) -> Result<()> {
        for row in &mut rows {
            // The file is somebody else's word: ids are what they must be, and nobody's claim comes along.
            row.document = DocumentId::derive(&self.seen.name, &row.uri);
            row.claim = None;
        }
        let ids: Vec<DocumentId> = rows.iter().map(|row| row.document).collect();
        let claimed = self.app.metastore.claim(self.at, self.lease, &rows, &ids).await?;
        if claimed.rows.len() != rows.len() {
            return Err(damaged("a document is in it twice"));
        }
        self.app.metastore.commit(self.at, self.lease, &rows).await?;
        self.stored.rows += rows.len() as u64;
        Ok(())
    }

    async fn chunks(&mut self, chunks: Vec<(Chunk, Embedding)>) -> Result<()> {
        let mut contents: HashMap<String, Option<ContentHash>> = HashMap::new();
        let (mut texts, mut named) = (Vec::new(), Vec::new());
        for (mut chunk, dense) in chunks {
            self.digest.add(&chunk);
            chunk.document = DocumentId::derive(&self.seen.name, &chunk.uri);
            if self.renames {
                if !contents.contains_key(&chunk.uri) {
                    let content = self.content_of(&chunk.uri).await?;
                    contents.insert(chunk.uri.clone(), content);
                }
                // Of a document that failed when it was read again, the chunks are of a content that no row tells.
                let content = contents.get(&chunk.uri).cloned().flatten();
                let content =
                    content.unwrap_or_else(|| ContentHash::of(chunk.id.as_uuid().as_bytes()));
                let settings = self.seen.settings.digest();
                let name = &self.seen.name;
                chunk.id = ChunkId::derive(name, &chunk.uri, &content, &settings, chunk.ordinal);
            }
            texts.push((chunk.language.clone(), chunk.indexed_text().into_owned()));
            named.push((chunk, dense));
        }
        let avg_len = self.seen.sparse.as_ref().map_or(PROVISIONAL_AVG_LEN, |it| it.avg_len);
        let seen = self.seen.clone();
        let sparse = blocking(move || {
            let mut analysers: HashMap<Option<String>, Analyser> = HashMap::new();
            let vector = |(language, text): (Option<String>, String)| {
                let analyser = analysers
                    .entry(language)
                    .or_insert_with_key(|language| analyser(&seen, language.as_deref()));
                bm25::document_vector(&analyser.terms(&text), avg_len)
            };
            texts.into_iter().map(vector).collect::<Vec<_>>()
        })
        .await?;
        self.stored.chunks += named.len() as u64;
        let points = named.into_iter().zip(sparse);
        let points =
            points.map(|((chunk, dense), sparse)| Point { chunk, dense, sparse }).collect();
        self.app.vectors.upsert(self.at, points).await
    }

    /// Returns the content of a document whose row was stored.
    async fn content_of(&self, uri: &str) -> Result<Option<ContentHash>> {
        let row = documents::row(self.app, self.at, uri).await?;
        Ok(row.and_then(|row| row.content))
    }

    /// Fails when the file holds something else than it says.
    fn compare(&self, end: &End) -> Result<()> {
        let counts = |it: &End| (it.rows, it.chunks, it.datasets, it.opinions);
        if counts(&self.stored) == counts(end) && self.digest.to_string() == end.digest {
            return Ok(());
        }
        Err(damaged("it holds other documents than it says"))
    }
}
