//! The in-memory peer: brute force over a map, the plainest reading of the port.
//!
//! It is the reference that other stores are compared with. Dense scores are cosine similarities;
//! sparse scores are dot products whose query weights are multiplied with Qdrant's inverse document
//! frequency. Both orders are descending by score, then ascending by chunk id. Nothing survives the
//! process, so `flush` and `optimize` have nothing to do.

use crate::access::VersionPass;
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Field, Filter, Measure, folders_of};
use crate::ids::{ChunkId, DocumentId, Space};
use crate::metadata;
use crate::ports::{
    Leg, LegVector, Point, ScoredId, StoreSpec, StoredChunk, VectorStore, WithVectors,
};
use crate::vector::SparseVector;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`VectorStore`] that compares with every chunk.
#[derive(Debug, Default)]
pub struct MemoryVectorStore {
    collections: Mutex<BTreeMap<Space, Stored>>,
}

#[derive(Debug)]
struct Stored {
    spec: StoreSpec,
    points: BTreeMap<ChunkId, Point>,
}

/// Returns whether `chunk` meets `filter`.
pub fn matches(filter: &Filter, chunk: &Chunk) -> bool {
    match filter {
        Filter::All(parts) => parts.iter().all(|part| matches(part, chunk)),
        Filter::Any(parts) => parts.iter().any(|part| matches(part, chunk)),
        Filter::Not(part) => !matches(part, chunk),
        Filter::In(field, values) => {
            text_of(field, chunk).is_some_and(|text| values.contains(&text))
        }
        Filter::Within(measure, interval) => {
            numbers_of(measure, chunk).into_iter().any(|number| interval.contains(number))
        }
        Filter::Exists(field) => text_of(field, chunk).is_some(),
        Filter::Under(folder) => folders_of(&chunk.uri).any(|found| found == folder.as_str()),
    }
}

fn text_of(field: &Field, chunk: &Chunk) -> Option<String> {
    match field {
        Field::Document => Some(chunk.document.to_string()),
        Field::Source => Some(chunk.source.clone()),
        Field::Format => Some(chunk.format.as_str().to_owned()),
        Field::Title => chunk.title.clone(),
        Field::Language => chunk.language.clone(),
        Field::Metadata(name) => chunk.metadata.get(name).map(str::to_owned),
    }
}

fn numbers_of(measure: &Measure, chunk: &Chunk) -> Vec<f64> {
    match measure {
        Measure::Page => chunk.pages.iter().map(|start| f64::from(start.page)).collect(),
        Measure::Bytes => vec![chunk.bytes as f64],
        Measure::Number(name) => {
            chunk.metadata.get(name).and_then(metadata::number).into_iter().collect()
        }
        Measure::Date(name) => {
            let instant = chunk.metadata.get(name).and_then(metadata::instant);
            instant.map(|ms| ms as f64).into_iter().collect()
        }
    }
}

/// Returns the inverse document frequency of a term that `with_term` of `n` vectors hold.
///
/// `ln((n - df + 0.5) / (df + 0.5) + 1)`, in f32; the formula of Qdrant's IDF modifier.
pub fn idf(n: usize, with_term: usize) -> f32 {
    let (n, df) = (n as f32, with_term as f32);
    ((n - df + 0.5) / (df + 0.5) + 1.0).ln()
}

impl MemoryVectorStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Space, Stored>> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, pass: &VersionPass, act: impl FnOnce(&mut Stored) -> Result<T>) -> Result<T> {
        let mut collections = self.lock();
        let stored = collections.get_mut(pass.space()).ok_or_else(|| {
            let name = pass.collection();
            Error::new(ErrorKind::NotFound, format!("nothing was indexed in `{name}` yet"))
        })?;
        act(stored)
    }
}

impl Stored {
    fn visible<'a>(&'a self, filters: [Option<&'a Filter>; 2]) -> impl Iterator<Item = &'a Point> {
        self.points.values().filter(move |point| {
            filters.iter().flatten().all(|filter| matches(filter, &point.chunk))
        })
    }

    fn must_fit(&self, dim: usize) -> Result<()> {
        if dim == self.spec.dim {
            return Ok(());
        }
        let message = format!("a vector has {dim} dimensions, not {}", self.spec.dim);
        Err(Error::new(ErrorKind::Invalid, message))
    }

    /// Returns the query's terms with weights multiplied by their inverse document frequencies.
    fn weighted(&self, query: &SparseVector) -> Vec<(u32, f32)> {
        let holders = |term: &u32| {
            self.points.values().filter(|p| p.sparse.indices().binary_search(term).is_ok()).count()
        };
        let n = self.points.values().filter(|point| !point.sparse.is_empty()).count();
        let terms = query.indices().iter().zip(query.values());
        terms.map(|(term, weight)| (*term, weight * idf(n, holders(term)))).collect()
    }
}

/// Returns the dot product, `None` when the vectors share no term.
fn sparse_score(query: &[(u32, f32)], vector: &SparseVector) -> Option<f32> {
    let mut score = None;
    for (term, weight) in query {
        if let Ok(at) = vector.indices().binary_search(term) {
            *score.get_or_insert(0.0) += weight * vector.values()[at];
        }
    }
    score
}

#[async_trait]
impl VectorStore for MemoryVectorStore {
    async fn create(&self, pass: &VersionPass, spec: StoreSpec) -> Result<()> {
        pass.must_write()?;
        let mut collections = self.lock();
        let fresh = Stored { spec, points: BTreeMap::new() };
        let stored = collections.entry(pass.space().clone()).or_insert(fresh);
        if stored.spec == spec {
            return Ok(());
        }
        let message = format!(
            "the store of `{}` holds vectors of {} dimensions, not {}",
            pass.collection(),
            stored.spec.dim,
            spec.dim
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }

    async fn drop_collection(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        self.lock().remove(pass.space());
        Ok(())
    }

    async fn upsert(&self, pass: &VersionPass, points: Vec<Point>) -> Result<()> {
        pass.must_write()?;
        self.with(pass, |stored| {
            points.iter().try_for_each(|point| stored.must_fit(point.dense.dim()))?;
            stored.points.extend(points.into_iter().map(|point| (point.chunk.id, point)));
            Ok(())
        })
    }

    async fn update_sparse(
        &self,
        pass: &VersionPass,
        vectors: Vec<(ChunkId, SparseVector)>,
    ) -> Result<()> {
        pass.must_write()?;
        self.with(pass, |stored| {
            for (id, sparse) in vectors {
                if let Some(point) = stored.points.get_mut(&id) {
                    point.sparse = sparse;
                }
            }
            Ok(())
        })
    }

    async fn delete_document(
        &self,
        pass: &VersionPass,
        document: DocumentId,
        keep: &[ChunkId],
    ) -> Result<()> {
        pass.must_write()?;
        self.with(pass, |stored| {
            stored.points.retain(|id, p| p.chunk.document != document || keep.contains(id));
            Ok(())
        })
    }

    async fn search(&self, pass: &VersionPass, leg: &Leg) -> Result<Vec<ScoredId>> {
        self.with(pass, |stored| {
            let points = stored.visible([pass.filter(), leg.filter.as_ref()]);
            let mut hits: Vec<ScoredId> = match &leg.vector {
                LegVector::Dense(query) => {
                    stored.must_fit(query.dim())?;
                    points
                        .map(|p| ScoredId { id: p.chunk.id, score: query.cosine(&p.dense) })
                        .collect()
                }
                LegVector::Sparse(query) => {
                    let query = stored.weighted(query);
                    points
                        .filter_map(|p| {
                            let score = sparse_score(&query, &p.sparse)?;
                            Some(ScoredId { id: p.chunk.id, score })
                        })
                        .collect()
                }
            };
            hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
            hits.truncate(leg.limit);
            Ok(hits)
        })
    }

    async fn fetch(
        &self,
        pass: &VersionPass,
        ids: &[ChunkId],
        with_vectors: WithVectors,
    ) -> Result<Vec<StoredChunk>> {
        self.with(pass, |stored| {
            let found = ids.iter().filter_map(|id| stored.points.get(id));
            let visible = found.filter(|p| pass.filter().is_none_or(|f| matches(f, &p.chunk)));
            Ok(visible
                .map(|point| StoredChunk {
                    chunk: Arc::new(point.chunk.clone()),
                    dense: (with_vectors == WithVectors::Yes).then(|| point.dense.clone()),
                })
                .collect())
        })
    }

    async fn scan(
        &self,
        pass: &VersionPass,
        after: Option<ChunkId>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Chunk>> {
        self.with(pass, |stored| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let chunks = stored.points.range((start, Bound::Unbounded)).map(|(_, p)| &p.chunk);
            let visible = chunks.filter(|chunk| {
                [pass.filter(), filter].iter().flatten().all(|filter| matches(filter, chunk))
            });
            Ok(visible.take(limit).cloned().collect())
        })
    }

    async fn count(&self, pass: &VersionPass) -> Result<u64> {
        self.with(pass, |stored| Ok(stored.visible([pass.filter(), None]).count() as u64))
    }

    async fn flush(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        self.with(pass, |_| Ok(()))
    }

    async fn optimize(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        self.with(pass, |_| Ok(()))
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
