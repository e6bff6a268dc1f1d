//! Collections: made on first use, listed, shown, deleted.

use crate::app::App;
use vellum_core::access::Pass;
use vellum_core::collection::{Collection, Tuning};
use vellum_core::ids::ChunkId;
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

/// Returns the collection of the pass, made now with the present settings if there is none.
///
/// # Errors
/// `Conflict` when it was made by another embedder than the present one: vectors of two models
/// cannot be compared.
pub async fn ensure(app: &App, pass: &Pass) -> Result<Collection> {
    pass.must_write()?;
    let settings = app.index_settings();
    let collection = match app.metastore.collection(pass.collection()).await? {
        Some(found) => {
            check_embedder(app, &found)?;
            found
        }
        None => {
            let made = Collection {
                name: pass.collection().clone(),
                settings,
                language: app.settings.language.clone(),
                sparse: None,
                tuning: Tuning::default(),
                created_ms: app.clock.unix_ms(),
            };
            app.metastore.create_collection(&made).await?;
            made
        }
    };
    app.vectors.create(pass, StoreSpec { dim: collection.settings.dim }).await?;
    Ok(collection)
}

/// Fails when the present embedder did not make the collection's vectors.
pub fn check_embedder(app: &App, collection: &Collection) -> Result<()> {
    let info = app.embedder.info();
    if info.digest == collection.settings.embedder_digest {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "collection `{}` was made with embedder `{}`, and `{}` is configured",
            collection.name, collection.settings.embedder, info.name
        ),
    )
    .with_hint("configure the embedder it was made with, or ingest into a new collection"))
}

/// Returns the summary of the pass's collection.
pub async fn summary(app: &App, pass: &Pass) -> Result<Summary> {
    let collection = get(app, pass).await?;
    let (documents, _) = app.metastore.totals(pass).await?;
    let chunks = match app.vectors.count(pass).await {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        counted => counted?,
    };
    Ok(Summary { collection, documents, chunks })
}

/// Changes how the pass's collection is searched: what `change` has is set, and the names in `cleared` are again as the
/// settings say. Returns the collection as it then is.
///
/// # Errors
/// `Invalid` naming a value outside its range; `NotFound` when there is no such collection.
pub async fn tune(app: &App, pass: &Pass, change: &Change) -> Result<Collection> {
    pass.must_write()?;
    let mut collection = get(app, pass).await?;
    change.set.check()?;
    let mut base = collection.tuning.clone();
    for name in &change.cleared {
        base.clear(name)?;
    }
    collection.tuning = change.set.over(&base);
    app.metastore.set_tuning(pass, &collection.tuning).await?;
    Ok(collection)
}

/// Returns a hash over all chunk ids and texts that does not depend on their order.
///
/// 32 hexadecimal digits: the sum, modulo 2^128, of the truncated BLAKE3 hashes of each chunk's id
/// and text. Equal collections have equal digests. O(chunks).
pub async fn digest(app: &App, pass: &Pass) -> Result<String> {
    let mut sum: u128 = 0;
    let mut after: Option<ChunkId> = None;
    loop {
        let page = match app.vectors.scan(pass, after, SCAN_PAGE, None).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for chunk in &page {
            let mut hasher = blake3::Hasher::new();
            hasher.update(chunk.id.as_uuid().as_bytes());
            hasher.update(chunk.text.as_bytes());
            let mut low = [0; 16];
            low.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            sum = sum.wrapping_add(u128::from_le_bytes(low));
        }
    }
    Ok(format!("{sum:032x}"))
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
    app.vectors.drop_collection(pass).await?;
    app.metastore.delete_collection(pass).await
}
