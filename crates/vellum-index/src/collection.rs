//! One open version of a collection: what may run with what, and the engine's calls in order.
//!
//! Everything here blocks; `store.rs` calls it on blocking threads and holds the two async locks.
//!
//! | call | `maintenance` | `writer` | shard |
//! | --- | --- | --- | --- |
//! | search, fetch, scan, count | | | shared |
//! | upsert, update, delete | | held | shared |
//! | optimize | held | at its end | shared |
//! | flush | held | held | shared |
//! | cutting the log | held (or skipped) | held | exclusive |
//! | drop | held | held | exclusive |
//!
//! So reads run with everything but the cutting of the log and the drop; writes run while `optimize`
//! does, up to the size of one index ([`Collection::outruns_optimize`]); and `flush` waits for a
//! running `optimize`: until that has ended, the engine keeps deletions in memory only, and a flush
//! could not promise that they survive a crash. Locks are taken in the order of the columns.

use crate::convert::{
    self, DENSE, SPARSE, chunk_id, from_record, has_id, must, must_not, of_document, point_id,
    to_filter, to_point, to_sparse, to_sparse_update,
};
use crate::error::{from_engine, guarded};
use crate::settings::{EdgeSettings, Quantization};
use crate::{disk, shard};
use qdrant_edge::{
    Condition, CountRequest, EdgeShard, Filter as EdgeFilter, NamedQuery, OperationError,
    OperationResult, PointId, PointInsertOperations, PointOperations, QueryEnum, Record,
    ScrollRequest, SearchParams, SearchRequest, UpdateOperation, UpdateVectorsOp, VectorInternal,
    VectorOperations, WithPayloadInterface, WithVector,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use vellum_core::chunk::Chunk;
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, DocumentId, Space};
use vellum_core::ports::{
    Leg, LegVector, Point, Precision, ScoredId, StoreSpec, StoredChunk, WithVectors,
};
use vellum_core::vector::SparseVector;
use vellum_core::{Error, ErrorKind, Result};

/// Points in one operation of the engine: about 0.5 MB of log, held in memory once more meanwhile.
const BATCH: usize = 128;
/// Ids in one operation that carries ids only.
const ID_BATCH: usize = 1024;
/// Chunks that are compared at full precision whatever the settings: about a millisecond.
const FEW: usize = 10_000;
/// Bytes of log per stored chunk that are worth keeping before a cut. A cut reloads the collection,
/// which takes time linear in its size; a log that grows with it keeps ingestion linear as a whole.
const LOG_BYTES_PER_CHUNK: u64 = 1024;

/// An open version of a collection.
#[derive(Debug)]
pub(crate) struct Collection {
    name: Space,
    dir: PathBuf,
    dim: usize,
    settings: EdgeSettings,
    pub(crate) maintenance: Arc<tokio::sync::Mutex<()>>,
    pub(crate) writer: Arc<tokio::sync::Mutex<()>>,
    shard: RwLock<State>,
    /// Bytes written to the log since it was cut, as estimated.
    logged: AtomicU64,
    /// Points written since the last `optimize` began.
    meanwhile: AtomicUsize,
    /// Set when a write failed inside the engine, which then refuses further writes until a reload.
    suspect: AtomicBool,
}

#[derive(Debug)]
enum State {
    Open(Box<EdgeShard>),
    /// Dropped while callers still held the collection.
    Dropped,
    /// Could not be loaded again; holds the reason.
    Lost(String),
}

impl Collection {
    pub(crate) fn open(name: Space, dir: PathBuf, settings: EdgeSettings) -> Result<Self> {
        let shard = shard::load(&dir, &settings)?;
        let dim = shard::dim_of(&shard.config()).unwrap_or_default();
        Ok(Self {
            name,
            dir,
            dim,
            settings,
            maintenance: Arc::default(),
            writer: Arc::default(),
            shard: RwLock::new(State::Open(Box::new(shard))),
            logged: AtomicU64::new(0),
            meanwhile: AtomicUsize::new(0),
            suspect: AtomicBool::new(false),
        })
    }

    pub(crate) fn must_have(&self, spec: StoreSpec) -> Result<()> {
        if spec.dim == self.dim {
            return Ok(());
        }
        let message = format!(
            "the store of `{}` holds vectors of {} dimensions, not {}",
            self.name, self.dim, spec.dim
        );
        Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("create a new index version, or delete the collection"))
    }

    pub(crate) fn upsert(&self, points: Vec<Point>) -> Result<()> {
        points.iter().try_for_each(|point| self.must_fit(point.dense.dim()))?;
        self.prepare_write(points.iter().map(n_bytes).sum())?;
        let mut points = points.into_iter().peekable();
        while points.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
            for point in points.by_ref().take(BATCH) {
                bytes += n_bytes(&point);
                batch.push(to_point(point)?);
            }
            let upsert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(batch));
            self.write("upsert into", bytes, UpdateOperation::PointOperation(upsert))?;
        }
        Ok(())
    }

    pub(crate) fn update_sparse(&self, vectors: &[(ChunkId, SparseVector)]) -> Result<()> {
        self.prepare_write(vectors.iter().map(|(_, vector)| n_sparse_bytes(vector)).sum())?;
        for batch in vectors.chunks(ID_BATCH) {
            let ids = batch.iter().map(|(id, _)| point_id(*id)).collect();
            let known = self.known_ids(ids)?;
            let known = |id: &ChunkId| known.binary_search(&point_id(*id)).is_ok();
            let (mut points, mut bytes) = (Vec::with_capacity(batch.len()), 0);
            for (id, vector) in batch.iter().filter(|(id, _)| known(id)) {
                bytes += n_sparse_bytes(vector);
                points.push(to_sparse_update(point_id(*id), vector));
            }
            if !points.is_empty() {
                let update = UpdateVectorsOp { points, update_filter: None };
                let update = VectorOperations::UpdateVectors(update);
                self.write("update", bytes, UpdateOperation::VectorOperation(update))?;
            }
        }
        Ok(())
    }

    pub(crate) fn delete_document(&self, document: DocumentId, keep: &[ChunkId]) -> Result<()> {
        self.prepare_write(0)?;
        let filter = EdgeFilter {
            must: Some(vec![of_document(document)]),
            ..must_not(vec![has_id(keep.iter().map(|id| point_id(*id)))])
        };
        let mut from = None;
        loop {
            let page = self.scroll(from, ID_BATCH, Some(filter.clone()), Only::Ids)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            // Every page starts behind the last, so that the loop ends whatever the engine does.
            from = Some(last.id);
            let ids: Vec<PointId> = page.iter().map(|record| record.id).collect();
            // The engine leaves the terms of deleted points in its document frequencies.
            self.forget_terms(&ids)?;
            let delete = PointOperations::DeletePoints { ids };
            self.write("delete from", 0, UpdateOperation::PointOperation(delete))?;
        }
    }

    pub(crate) fn search(&self, pass: Option<&Filter>, leg: &Leg) -> Result<Vec<ScoredId>> {
        let (query, using) = match &leg.vector {
            LegVector::Dense(vector) => {
                self.must_fit(vector.dim())?;
                (VectorInternal::Dense(vector.as_slice().to_vec()), DENSE)
            }
            LegVector::Sparse(vector) if vector.is_empty() => {
                return self.call("search", |_| Ok(vec![]));
            }
            LegVector::Sparse(vector) => (VectorInternal::Sparse(to_sparse(vector)), SPARSE),
        };
        let beam = self.settings.graph_search_beam.max(leg.limit.saturating_mul(2));
        let filter = to_filter([pass, leg.filter.as_ref()]);
        let found = self.call("search", |shard| {
            let request = |exact| SearchRequest {
                query: QueryEnum::Nearest(NamedQuery::new(query.clone(), using)),
                filter: filter.clone(),
                params: Some(SearchParams {
                    hnsw_ef: Some(beam),
                    exact,
                    quantization: convert::through(self.settings.quantization, leg.limit),
                    ..SearchParams::default()
                }),
                limit: leg.limit,
                offset: 0,
                with_payload: None,
                with_vector: None,
                score_threshold: None,
            };
            if leg.precision == Precision::Exact
                || shard.info().points_count < self.settings.index_from_chunks
            {
                return shard.search(request(true));
            }
            // Where a filter leaves few, the engine compares smaller copies of all of them, which loses more than a graph does.
            let matching = CountRequest { filter: filter.clone(), exact: false };
            if self.settings.quantization != Quantization::None
                && filter.is_some()
                && shard.count(matching)? <= FEW
            {
                return shard.search(request(true));
            }
            // A walk through a graph ends where deletions or the filter cut it: what is beyond would
            // be missing although there was room for it.
            let found = shard.search(request(false))?;
            if using == DENSE && found.len() < leg.limit {
                return shard.search(request(true));
            }
            Ok(found)
        })?;
        let mut hits = found
            .into_iter()
            .map(|hit| Ok(ScoredId { id: chunk_id(hit.id)?, score: hit.score }))
            .collect::<Result<Vec<_>>>()?;
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        Ok(hits)
    }

    pub(crate) fn fetch(
        &self,
        pass: Option<&Filter>,
        ids: &[ChunkId],
        with_vectors: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        let mut points: Vec<PointId> = ids.iter().map(|id| point_id(*id)).collect();
        if let Some(pass) = to_filter([pass, None]) {
            let filter = must(vec![has_id(points.iter().copied()), Condition::Filter(pass)]);
            let page = self.scroll(None, points.len(), Some(filter), Only::Ids)?;
            points.retain(|id| page.binary_search_by(|record| record.id.cmp(id)).is_ok());
        }
        let vector = match with_vectors {
            WithVectors::Yes => WithVector::Selector(vec![DENSE.to_owned()]),
            WithVectors::No => WithVector::Bool(false),
        };
        let payload = Some(WithPayloadInterface::Bool(true));
        let records =
            self.call("fetch from", |shard| shard.retrieve(&points, payload, Some(vector)))?;
        records.into_iter().map(from_record).collect()
    }

    pub(crate) fn scan(
        &self,
        pass: Option<&Filter>,
        after: Option<ChunkId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Chunk>> {
        let from = match after.map(convert::next_id) {
            Some(None) => return Ok(Vec::new()),
            Some(from) => from,
            None => None,
        };
        let page = self.scroll(from, limit, to_filter([pass, filter]), Only::Chunks)?;
        page.into_iter()
            .map(|record| Ok(Arc::unwrap_or_clone(from_record(record)?.chunk)))
            .collect()
    }

    pub(crate) fn count(&self, pass: Option<&Filter>) -> Result<u64> {
        let request = CountRequest { filter: to_filter([pass, None]), exact: true };
        Ok(self.call("count", |shard| shard.count(request))? as u64)
    }

    /// Makes everything written durable. The caller holds both locks.
    pub(crate) fn flush(&self) -> Result<()> {
        self.sync()?;
        self.cut_log_if_long()
    }

    /// Builds indexes. The caller holds `maintenance`; writes may go on.
    pub(crate) fn optimize(&self) -> Result<()> {
        // Segments are rewritten beside the old ones.
        let bytes = disk::occupied(&self.dir).saturating_add(self.settings.reserve_bytes);
        disk::must_have_free(&self.dir, bytes)?;
        shard::begin_optimizing(&self.dir)?;
        self.meanwhile.store(0, Ordering::Relaxed);
        self.call("optimize", |shard| shard.optimize().map(drop))
    }

    /// Makes the result of `optimize` durable. The caller holds both locks.
    pub(crate) fn finish_optimize(&self) -> Result<()> {
        self.sync()?;
        shard::end_optimizing(&self.dir)?;
        self.cut_log_if_long()
    }

    /// Returns whether writes must wait for the running `optimize`.
    ///
    /// The engine goes on until no segment is large enough for an index, so writes that outrun it
    /// would keep it, and every flush behind it, busy for ever.
    pub(crate) fn outruns_optimize(&self) -> bool {
        self.meanwhile.load(Ordering::Relaxed) >= self.settings.index_from_chunks
            && self.maintenance.try_lock().is_err()
    }

    /// Cuts the log when it is long. The caller holds both locks.
    pub(crate) fn cut_log_if_long(&self) -> Result<()> {
        if self.log_is_long()? { self.reload() } else { Ok(()) }
    }

    pub(crate) fn log_is_long(&self) -> Result<bool> {
        let logged = self.logged.load(Ordering::Relaxed);
        if logged < self.settings.log_bytes {
            return Ok(false);
        }
        let n_chunks = self.with("inspect", |shard| Ok(shard.info().points_count as u64))?;
        Ok(logged >= n_chunks.saturating_mul(LOG_BYTES_PER_CHUNK))
    }

    /// Closes the engine for good and removes the directory. The caller holds both locks.
    pub(crate) fn discard(&self) -> Result<()> {
        let mut state = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(shard) = std::mem::replace(&mut *state, State::Dropped)
            && let Err(error) = shard::close(*shard, "close")
        {
            // What could not be written is about to be removed anyway.
            tracing::debug!(collection = %self.name, %error, "closed a dropped collection");
        }
        disk::discard(&self.dir)
    }

    fn sync(&self) -> Result<()> {
        let operation = format!("flush `{}`", self.name);
        self.with("flush", |shard| shard::flush(shard, &self.dir, &operation))
    }

    /// Closes and opens the engine, which cuts its log and clears a failed write.
    fn reload(&self) -> Result<()> {
        let mut state = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Dropped) {
            return Err(self.not_found());
        }
        if let State::Open(shard) = std::mem::replace(&mut *state, State::Lost(String::new())) {
            let operation = format!("close `{}`", self.name);
            // Flushed apart, so that a failure leaves the engine as it is.
            if let Err(error) = shard::flush(&shard, &self.dir, &operation) {
                *state = State::Open(shard);
                return Err(error);
            }
            shard::close(*shard, &operation)?;
        }
        match shard::load(&self.dir, &self.settings) {
            Ok(shard) => {
                *state = State::Open(Box::new(shard));
                self.logged.store(0, Ordering::Relaxed);
                self.suspect.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                *state = State::Lost(error.full_message());
                Err(error)
            }
        }
    }

    fn prepare_write(&self, bytes: u64) -> Result<()> {
        // Vectors, payload, indexes and log hold most bytes twice or more.
        let needed = bytes.saturating_mul(4).saturating_add(self.settings.reserve_bytes);
        disk::must_have_free(&self.dir, needed)?;
        if self.suspect.load(Ordering::Relaxed)
            && let Ok(_maintenance) = self.maintenance.try_lock()
        {
            self.reload()?;
        }
        Ok(())
    }

    fn write(&self, verb: &str, bytes: u64, operation: UpdateOperation) -> Result<()> {
        let n_points = operation.point_ids().map_or(0, |ids| ids.len());
        self.meanwhile.fetch_add(n_points, Ordering::Relaxed);
        let written = self.call(verb, |shard| shard.update(operation));
        self.logged.fetch_add(bytes, Ordering::Relaxed);
        if let Err(error) = &written
            && error.kind() != ErrorKind::NotFound
        {
            self.suspect.store(true, Ordering::Relaxed);
        }
        written
    }

    /// Empties the sparse vectors of stored points, which takes them out of document frequencies.
    ///
    /// A vector that the engine deletes stays in its count of vectors; an empty one does not.
    fn forget_terms(&self, ids: &[PointId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let none = SparseVector::default();
        let points = ids.iter().map(|id| to_sparse_update(*id, &none)).collect();
        let update = UpdateVectorsOp { points, update_filter: None };
        let update = VectorOperations::UpdateVectors(update);
        self.write("update", ids.len() as u64 * 100, UpdateOperation::VectorOperation(update))
    }

    /// Returns those of `ids` that are stored, ascending.
    fn known_ids(&self, ids: Vec<PointId>) -> Result<Vec<PointId>> {
        let (limit, filter) = (ids.len(), must(vec![has_id(ids)]));
        let page = self.scroll(None, limit, Some(filter), Only::Ids)?;
        Ok(page.iter().map(|record| record.id).collect())
    }

    /// Returns up to `limit` points from `from` on, ascending by id.
    fn scroll(
        &self,
        from: Option<PointId>,
        limit: usize,
        filter: Option<EdgeFilter>,
        only: Only,
    ) -> Result<Vec<Record>> {
        let request = ScrollRequest {
            offset: from,
            limit: Some(limit),
            filter,
            with_payload: Some(WithPayloadInterface::Bool(only == Only::Chunks)),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        Ok(self.call("scan", |shard| shard.scroll(request))?.0)
    }

    fn must_fit(&self, dim: usize) -> Result<()> {
        if dim == self.dim {
            return Ok(());
        }
        let message = format!("a vector has {dim} dimensions; `{}` holds {}", self.name, self.dim);
        Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("use the embedder that the index version names"))
    }

    /// Runs a call that can fail in the engine's way.
    fn call<T>(
        &self,
        verb: &str,
        call: impl FnOnce(&EdgeShard) -> OperationResult<T>,
    ) -> Result<T> {
        let operation = format!("{verb} `{}`", self.name);
        let engine = |error: OperationError| from_engine(&operation, &error);
        self.with(verb, |shard| call(shard).map_err(engine))
    }

    fn with<T>(&self, verb: &str, call: impl FnOnce(&EdgeShard) -> Result<T>) -> Result<T> {
        let state = self.shard.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(shard) => guarded(&format!("{verb} `{}`", self.name), || call(shard)),
            State::Dropped => Err(self.not_found()),
            State::Lost(reason) => Err(crate::error::corrupt(reason.clone())),
        }
    }

    fn not_found(&self) -> Error {
        not_found(&self.name)
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        let state = self.shard.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(shard) = std::mem::replace(state, State::Dropped)
            && let Err(error) = shard::close(*shard, "close")
        {
            let message = error.full_message();
            tracing::warn!(collection = %self.name, message, "closed without saving all writes");
        }
    }
}

/// What a scroll returns besides ids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Ids,
    Chunks,
}

pub(crate) fn not_found(name: &Space) -> Error {
    Error::new(ErrorKind::NotFound, format!("nothing was indexed in `{name}` yet"))
        .with_hint("ingest documents into it, and look at the last job if that failed")
}

/// Estimates the bytes that a point takes in the log.
fn n_bytes(point: &Point) -> u64 {
    let chunk = &point.chunk;
    let text = chunk.text.len() + chunk.uri.len() + chunk.source.len();
    (point.dense.dim() * 5 + text + 500) as u64 + n_sparse_bytes(&point.sparse)
}

fn n_sparse_bytes(vector: &SparseVector) -> u64 {
    (vector.indices().len() * 10 + 50) as u64
}
