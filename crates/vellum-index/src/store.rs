//! The async face: passes are checked, work moves to blocking threads, and both are bounded.
//!
//! Each call finds its collection (opened at first use), takes the locks that `collection.rs` lists,
//! and runs on a blocking thread that owns them, so a caller that goes away leaves the work whole.

use crate::collection::{Collection, not_found};
use crate::settings::EdgeSettings;
use crate::{disk, shard};
use async_trait::async_trait;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use vellum_core::access::VersionPass;
use vellum_core::chunk::Chunk;
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, DocumentId, Space};
use vellum_core::ports::{Leg, Point, ScoredId, StoreSpec, StoredChunk, VectorStore, WithVectors};
use vellum_core::vector::SparseVector;
use vellum_core::{Error, ErrorKind, Result};

/// Writes of different collections that run at a time; those of one collection take turns.
const N_WRITERS: usize = 2;

/// A [`VectorStore`] in a directory, for one process at a time.
///
/// Searches are exact below [`EdgeSettings::index_from_chunks`] and approximate above, once
/// `optimize` has run. A damaged collection answers `Corrupt`; others are not affected.
#[derive(Debug)]
pub struct EdgeStore {
    root: PathBuf,
    settings: EdgeSettings,
    collections: RwLock<HashMap<Space, Arc<Collection>>>,
    /// Held while a collection is opened, created or removed.
    doors: Arc<Mutex<()>>,
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    optimizers: Arc<Semaphore>,
    /// Dropped last; keeps other processes out.
    _lock: File,
}

impl EdgeStore {
    /// Opens the store at `root` with default settings, creating the directory when it is missing.
    ///
    /// Collections are opened at first use. Leftovers of a crash are removed.
    ///
    /// # Errors
    /// `Locked` when another process uses it, `TooNew` when a newer version wrote it.
    pub fn open(root: PathBuf) -> Result<Self> {
        Self::open_with(root, EdgeSettings::default())
    }

    /// Opens the store at `root` like [`EdgeStore::open`].
    ///
    /// # Errors
    /// As [`EdgeStore::open`].
    pub fn open_with(root: PathBuf, settings: EdgeSettings) -> Result<Self> {
        let lock = disk::claim_root(&root)?;
        let n_cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            root,
            settings,
            collections: RwLock::default(),
            doors: Arc::default(),
            readers: Arc::new(Semaphore::new((2 * n_cores).clamp(4, 32))),
            writers: Arc::new(Semaphore::new(N_WRITERS)),
            optimizers: Arc::new(Semaphore::new(1)),
            _lock: lock,
        })
    }

    fn dir(&self, name: &Space) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn opened(&self, name: &Space) -> Option<Arc<Collection>> {
        self.collections.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    async fn collection(&self, name: &Space) -> Result<Arc<Collection>> {
        if let Some(collection) = self.opened(name) {
            return Ok(collection);
        }
        let doors = Arc::clone(&self.doors).lock_owned().await;
        self.open_behind(doors, name).await
    }

    /// Opens the collection while the doors are held.
    async fn open_behind(
        &self,
        doors: OwnedMutexGuard<()>,
        name: &Space,
    ) -> Result<Arc<Collection>> {
        if let Some(collection) = self.opened(name) {
            return Ok(collection);
        }
        let (name, dir, settings) = (name.clone(), self.dir(name), self.settings);
        let (collection, doors) = blocking(move || {
            if !dir.exists() {
                return Err(not_found(&name));
            }
            Ok((Arc::new(Collection::open(name.clone(), dir, settings)?), (doors, name)))
        })
        .await?;
        let (_doors, name) = doors;
        let mut collections = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        collections.insert(name, Arc::clone(&collection));
        Ok(collection)
    }

    async fn read<T: Send + 'static>(
        &self,
        pass: &VersionPass,
        act: impl FnOnce(&Collection, Option<&Filter>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let collection = self.collection(pass.space()).await?;
        let filter = pass.filter().cloned();
        let permit = permit(&self.readers).await?;
        blocking(move || {
            let _permit = permit;
            act(&collection, filter.as_ref())
        })
        .await
    }

    async fn write(
        &self,
        pass: &VersionPass,
        act: impl FnOnce(&Collection) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        pass.must_write()?;
        let collection = self.collection(pass.space()).await?;
        if collection.outruns_optimize() {
            drop(collection.maintenance.lock().await);
        }
        let writer = Arc::clone(&collection.writer).lock_owned().await;
        let permit = permit(&self.writers).await?;
        blocking(move || {
            let _held = (writer, permit);
            act(&collection)?;
            // A running `optimize` ends with a flush, which looks at the log again.
            if let Ok(_maintenance) = collection.maintenance.try_lock() {
                collection.cut_log_if_long()?;
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl VectorStore for EdgeStore {
    async fn create(&self, pass: &VersionPass, spec: StoreSpec) -> Result<()> {
        pass.must_write()?;
        let name = pass.space();
        if let Some(collection) = self.opened(name) {
            return collection.must_have(spec);
        }
        let doors = Arc::clone(&self.doors).lock_owned().await;
        let (dir, settings) = (self.dir(name), self.settings);
        let doors = blocking(move || {
            if !dir.exists() {
                disk::must_have_free(dir.parent().unwrap_or(&dir), settings.reserve_bytes)?;
                shard::create(&dir, spec, &settings)?;
            }
            Ok(doors)
        })
        .await?;
        self.open_behind(doors, name).await?.must_have(spec)
    }

    /// Waits for a running `optimize` of the collection. Works on a damaged collection.
    async fn drop_collection(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        let name = pass.space();
        let mut held = Vec::new();
        let opened = self.opened(name);
        if let Some(collection) = &opened {
            held.push(Arc::clone(&collection.maintenance).lock_owned().await);
            held.push(Arc::clone(&collection.writer).lock_owned().await);
        }
        held.push(Arc::clone(&self.doors).lock_owned().await);
        let current = self.collections.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let dir = self.dir(name);
        blocking(move || {
            let _held = held;
            match current.or(opened) {
                Some(collection) => collection.discard(),
                None => disk::discard(&dir),
            }
        })
        .await
    }

    async fn upsert(&self, pass: &VersionPass, points: Vec<Point>) -> Result<()> {
        self.write(pass, move |collection| collection.upsert(points)).await
    }

    async fn update_sparse(
        &self,
        pass: &VersionPass,
        vectors: Vec<(ChunkId, SparseVector)>,
    ) -> Result<()> {
        self.write(pass, move |collection| collection.update_sparse(&vectors)).await
    }

    async fn delete_document(
        &self,
        pass: &VersionPass,
        document: DocumentId,
        keep: &[ChunkId],
    ) -> Result<()> {
        let keep = keep.to_vec();
        self.write(pass, move |collection| collection.delete_document(document, &keep)).await
    }

    async fn search(&self, pass: &VersionPass, leg: &Leg) -> Result<Vec<ScoredId>> {
        let leg = leg.clone();
        self.read(pass, move |collection, filter| collection.search(filter, &leg)).await
    }

    async fn fetch(
        &self,
        pass: &VersionPass,
        ids: &[ChunkId],
        with_vectors: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        let ids = ids.to_vec();
        self.read(pass, move |collection, filter| collection.fetch(filter, &ids, with_vectors))
            .await
    }

    async fn scan(
        &self,
        pass: &VersionPass,
        after: Option<ChunkId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Chunk>> {
        let filter = filter.cloned();
        self.read(pass, move |collection, pass| {
            collection.scan(pass, after, limit, filter.as_ref())
        })
        .await
    }

    async fn count(&self, pass: &VersionPass) -> Result<u64> {
        self.read(pass, |collection, filter| collection.count(filter)).await
    }

    /// Waits for a running `optimize` of the collection.
    async fn flush(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        let collection = self.collection(pass.space()).await?;
        let maintenance = Arc::clone(&collection.maintenance).lock_owned().await;
        let writer = Arc::clone(&collection.writer).lock_owned().await;
        let permit = permit(&self.writers).await?;
        blocking(move || {
            let _held = (maintenance, writer, permit);
            collection.flush()
        })
        .await
    }

    /// Searches and writes go on meanwhile; `flush` and `drop_collection` wait. One collection at a
    /// time is optimised. Durable on return.
    async fn optimize(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        let collection = self.collection(pass.space()).await?;
        let permit = permit(&self.optimizers).await?;
        let maintenance = Arc::clone(&collection.maintenance).lock_owned().await;
        blocking(move || {
            let _held = (permit, maintenance);
            let optimized = collection.optimize();
            let _writer = collection.writer.blocking_lock();
            optimized?;
            collection.finish_optimize()
        })
        .await
    }

    async fn check(&self) -> Result<()> {
        let (root, reserve) = (self.root.clone(), self.settings.reserve_bytes);
        blocking(move || disk::must_have_free(&root, reserve)).await
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<tokio::sync::OwnedSemaphorePermit> {
    Arc::clone(semaphore).acquire_owned().await.map_err(|error| {
        Error::new(ErrorKind::Internal, "the vector store is closed").with_source(error)
    })
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "the vector store's thread ended").with_source(error))
    })
}
