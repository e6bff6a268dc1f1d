//! Collections: made on first use, listed, shown, deleted.

use crate::app::App;
use crate::datasets;
use crate::ingest::blocking;
use crate::versions;
use std::fmt;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::chunk::Chunk;
use vellum_core::collection::{Collection, IndexSettings, Language, Tuning, version_id};
use vellum_core::ids::{ChunkId, Space};
use vellum_core::ports::StoreSpec;
use vellum_core::{Error, ErrorKind, Result};

/// Chunks read at a time when all of a collection is read.
const SCAN_PAGE: usize = 512;

/// What `collection show` tells.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The collection.
    pub collection: Collection,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
}

/// A change of how a collection is searched.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// New values.
    pub set: Tuning,
    /// Names of values that are again as the settings say.
    pub cleared: Vec<String>,
}

/// Returns the collection of the pass.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(app: &App, pass: &Pass) -> Result<Collection> {
    app.metastore.collection(pass.collection()).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("collection `{}` does not exist", pass.collection()),
        )
        .with_hint("`vellum ingest PATH` makes it, `vellum collection list` shows what there is")
    })
}

/// Returns the collection of the pass, and the right to its live version.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn live(app: &App, pass: &Pass) -> Result<(Collection, VersionPass)> {
    let collection = get(app, pass).await?;
    let live = pass.at(&collection)?;
    Ok((collection, live))
}

/// Returns the collection of the pass, made now with the present settings if there is none, and the right to its live
/// version. The caller is the only one that writes to it.
///
/// # Errors
/// `Conflict` when the embedder that made it is not configured.
pub async fn ensure(app: &App, pass: &Pass) -> Result<(Collection, VersionPass)> {
    pass.must_write()?;
    let collection = match app.metastore.collection(pass.collection()).await? {
        Some(found) => {
            app.embedder_of(&found)?;
            found
        }
        None => {
            versions::clear_unpublished(app, pass).await?;
            let made = seen_through(app, pass, app.index_settings(), app.settings.language.clone());
            // What an interrupted removal of a version with the same settings left.
            app.vectors.drop_collection(&pass.at(&made)?).await?;
            app.metastore.create_collection(&made).await?;
            made
        }
    };
    let live = pass.at(&collection)?;
    app.vectors.create(&live, StoreSpec { dim: collection.settings.dim }).await?;
    Ok((collection, live))
}

/// Makes an empty collection with the present settings.
///
/// # Errors
/// `Conflict` when the name is taken.
pub async fn create(app: &App, pass: &Pass) -> Result<Summary> {
    pass.must_write()?;
    let _writing = app.jobs.exclusive(pass.collection())?;
    if app.metastore.collection(pass.collection()).await?.is_some() {
        let message = format!("collection `{}` exists already", pass.collection());
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let (collection, live) = ensure(app, pass).await?;
    summary_in(app, &live, collection).await
}

/// Returns the pass's collection as a version with these settings would show it, made now.
pub(crate) fn seen_through(
    app: &App,
    pass: &Pass,
    settings: IndexSettings,
    language: Language,
) -> Collection {
    let name = pass.collection().clone();
    Collection {
        space: Space::of(&name, &version_id(&settings, &language)),
        name,
        settings,
        language,
        sparse: None,
        tuning: Tuning::default(),
        created_ms: app.clock.unix_ms(),
    }
}

/// Returns the summary of the pass's collection.
pub async fn summary(app: &App, pass: &Pass) -> Result<Summary> {
    let (collection, live) = live(app, pass).await?;
    summary_in(app, &live, collection).await
}

/// Returns the summary of the version of the pass, through which `collection` is seen.
pub(crate) async fn summary_in(
    app: &App,
    pass: &VersionPass,
    collection: Collection,
) -> Result<Summary> {
    let (documents, _) = app.metastore.totals(pass).await?;
    let chunks = match app.vectors.count(pass).await {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        counted => counted?,
    };
    Ok(Summary { collection, documents, chunks })
}

/// Changes how the pass's collection is searched through its live version: what `change` has is set, and the names in `cleared` are again as the
/// settings say. Returns the collection as it then is.
///
/// # Errors
/// `Invalid` naming a value outside its range; `NotFound` when there is no such collection.
pub async fn tune(app: &App, pass: &Pass, change: &Change) -> Result<Collection> {
    pass.must_write()?;
    let (mut collection, live) = live(app, pass).await?;
    change.set.check()?;
    let mut base = collection.tuning.clone();
    for name in &change.cleared {
        base.clear(name)?;
    }
    collection.tuning = change.set.over(&base);
    app.metastore.set_tuning(&live, &collection.tuning).await?;
    Ok(collection)
}

/// Returns a hash over all chunk ids and texts of the live version that does not depend on their order.
///
/// See [`ContentDigest`]. O(chunks).
///
/// # Errors
/// `NotFound` when there is no such collection.
pub async fn digest(app: &App, pass: &Pass) -> Result<String> {
    let (_, live) = live(app, pass).await?;
    let mut digest = ContentDigest::default();
    let mut after: Option<ChunkId> = None;
    loop {
        let page = match app.vectors.scan(&live, after, SCAN_PAGE, None).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        page.iter().for_each(|chunk| digest.add(chunk));
    }
    Ok(digest.to_string())
}

/// A hash over chunk ids and texts that does not depend on their order; equal contents have equal digests.
///
/// Written as 32 hexadecimal digits: the sum, modulo 2^128, of the truncated BLAKE3 hashes of each chunk's id and text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentDigest(u128);

impl ContentDigest {
    /// Takes another chunk.
    pub fn add(&mut self, chunk: &Chunk) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(chunk.id.as_uuid().as_bytes());
        hasher.update(chunk.text.as_bytes());
        let mut low = [0; 16];
        low.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        self.0 = self.0.wrapping_add(u128::from_le_bytes(low));
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Removes the collection with everything in it.
///
/// Vectors go first: an interrupted removal leaves a collection that can be removed again.
///
/// # Errors
/// `NotFound` when there is none; `Conflict` while a job writes to it.
pub async fn delete(app: &App, pass: &Pass) -> Result<()> {
    pass.must_write()?;
    get(app, pass).await?;
    let _writing = app.jobs.exclusive(pass.collection())?;
    for version in app.metastore.versions(pass).await? {
        app.vectors.drop_collection(&pass.at(&version.collection)?).await?;
    }
    let (kept, name) = (app.kept.clone(), pass.collection().clone());
    let converted = app.converted.clone();
    blocking(move || {
        kept.forget(&name)?;
        converted.map_or(Ok(()), |converted| converted.forget_all(&name))
    })
    .await??;
    datasets::forget(app, pass.collection()).await?;
    app.metastore.delete_collection(pass).await
}
