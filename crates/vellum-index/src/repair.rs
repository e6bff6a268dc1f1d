//! After a crash inside `optimize`: points that are in two segments become one again.
//!
//! The engine puts the new segment in place before it removes the old ones. A crash in between leaves
//! both; reads of single points take the newer copy, but counts and document frequencies add up, and
//! the older copy would return when the newer one is deleted.
//!
//! A doubled point is read (the newer copy), deleted everywhere and written again. In between it is in
//! no segment, so each page of them is first saved in a file of its own, from which a repair that was
//! itself interrupted goes on.

use crate::convert::{has_id, must};
use crate::disk;
use crate::error::corrupt;
use qdrant_edge::{
    CountRequest, EdgeShard, OperationResult, PointId, PointInsertOperations, PointOperations,
    PointStructPersisted, Record, ScrollRequest, UpdateOperation, VectorInternal, VectorPersisted,
    VectorStructInternal, VectorStructPersisted, WithPayloadInterface, WithVector,
};
use std::collections::HashMap;
use std::io::ErrorKind as Os;
use std::path::Path;
use vellum_core::{Error, Result};

/// Points looked at, and held in memory, in one step.
const PAGE: usize = 500;
const SAVED: &str = "doubled.json";

/// Removes second copies of points. Calls `flush` whenever what it did must be durable.
pub(crate) fn unite_copies(
    shard: &EdgeShard,
    dir: &Path,
    engine: impl Fn(qdrant_edge::OperationError) -> Error,
    flush: impl Fn() -> Result<()>,
) -> Result<()> {
    if let Some(points) = saved(dir)? {
        rewrite(shard, points).map_err(&engine)?;
        flush()?;
        forget(dir)?;
    }
    let (mut from, mut n_doubled) = (None, 0);
    loop {
        let (ids, next) = page(shard, from).map_err(&engine)?;
        let points = doubled(shard, &ids).map_err(&engine)?;
        if !points.is_empty() {
            n_doubled += points.len();
            save(dir, &points)?;
            rewrite(shard, points).map_err(&engine)?;
            flush()?;
            forget(dir)?;
        }
        match next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    tracing::info!(dir = %dir.display(), n_doubled, "checked a collection after a crash");
    Ok(())
}

fn page(
    shard: &EdgeShard,
    from: Option<PointId>,
) -> OperationResult<(Vec<PointId>, Option<PointId>)> {
    let (records, next) = shard.scroll(ScrollRequest {
        offset: from,
        limit: Some(PAGE),
        filter: None,
        with_payload: Some(WithPayloadInterface::Bool(false)),
        with_vector: WithVector::Bool(false),
        order_by: None,
    })?;
    Ok((records.iter().map(|record| record.id).collect(), next))
}

/// Returns those of the points `ids` that are in more than one segment.
fn doubled(shard: &EdgeShard, ids: &[PointId]) -> OperationResult<Vec<PointStructPersisted>> {
    let n_copies = |ids: &[PointId]| {
        let filter = Some(must(vec![has_id(ids.iter().copied())]));
        shard.count(CountRequest { filter, exact: true })
    };
    if n_copies(ids)? == ids.len() {
        return Ok(Vec::new());
    }
    let mut doubled = Vec::new();
    for id in ids {
        if n_copies(&[*id])? > 1 {
            doubled.push(*id);
        }
    }
    let (payload, vectors) = (WithPayloadInterface::Bool(true), WithVector::Bool(true));
    let records = shard.retrieve(&doubled, Some(payload), Some(vectors))?;
    Ok(records.into_iter().map(to_point).collect())
}

fn to_point(record: Record) -> PointStructPersisted {
    let vectors: HashMap<_, _> = match record.vector {
        Some(VectorStructInternal::Named(vectors)) => vectors
            .into_iter()
            .filter_map(|(name, vector)| match vector {
                VectorInternal::Dense(values) => Some((name, VectorPersisted::Dense(values))),
                VectorInternal::Sparse(vector) => Some((name, VectorPersisted::Sparse(vector))),
                // Collections are created without any.
                VectorInternal::MultiDense(_) => None,
            })
            .collect(),
        _ => HashMap::new(),
    };
    PointStructPersisted {
        id: record.id,
        vector: VectorStructPersisted::Named(vectors),
        payload: record.payload,
    }
}

fn rewrite(shard: &EdgeShard, points: Vec<PointStructPersisted>) -> OperationResult<()> {
    let ids = points.iter().map(|point| point.id).collect();
    let upsert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
    for operation in [PointOperations::DeletePoints { ids }, upsert] {
        shard.update(UpdateOperation::PointOperation(operation))?;
    }
    Ok(())
}

fn save(dir: &Path, points: &[PointStructPersisted]) -> Result<()> {
    let json = serde_json::to_vec(points)
        .map_err(|e| Error::io(format!("save points of `{}`", dir.display()), e.into()))?;
    disk::write(dir, SAVED, &json)
}

fn saved(dir: &Path) -> Result<Option<Vec<PointStructPersisted>>> {
    let path = dir.join(SAVED);
    match std::fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|e| corrupt(format!("`{}` is not readable", path.display())).with_source(e)),
        Err(error) if error.kind() == Os::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read `{}`", path.display()), error)),
    }
}

fn forget(dir: &Path) -> Result<()> {
    let path = dir.join(SAVED);
    std::fs::remove_file(&path)
        .map_err(|e| Error::io(format!("remove `{}`", path.display()), e))?;
    disk::sync_dir(dir)
}
