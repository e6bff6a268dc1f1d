//! Chunks, vectors and filters in the engine's words.
//!
//! A point's id is the chunk's id; its payload is the chunk's own JSON, so the payload keys are the
//! field names of [`Chunk`], and the filterable ones are indexed. Chunks
//! without terms have no sparse vector, so that they do not count in document frequencies.

use crate::error::corrupt;
use qdrant_edge::external::uuid::Uuid;
use qdrant_edge::{
    Condition, FieldCondition, Filter as EdgeFilter, HasIdCondition, JsonPath, KeywordIndexParams,
    Match, Payload, PayloadFieldSchema, PayloadSchemaParams, PointId, PointStructPersisted,
    PointVectorsPersisted, Record, SparseVector as EdgeSparse, UuidIndexParams, VectorInternal,
    VectorPersisted, VectorStructInternal, VectorStructPersisted,
};
use serde_json::Value;
use std::collections::HashMap;
use vellum_core::chunk::Chunk;
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ports::{Point, StoredChunk};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_core::{Error, ErrorKind, Result};

/// Name of the dense vector.
pub(crate) const DENSE: &str = "dense";
/// Name of the sparse vector.
pub(crate) const SPARSE: &str = "sparse";

/// The filterable payload keys.
pub(crate) const INDEXED: [Field; 3] = [Field::Document, Field::Source, Field::Format];

/// Returns the payload key of a field.
pub(crate) fn key(field: Field) -> JsonPath {
    let name = match field {
        Field::Document => "document",
        Field::Source => "source",
        Field::Format => "format",
    };
    JsonPath { first_key: name.to_owned(), rest: Vec::new() }
}

/// Returns how the engine indexes a field. An index of a field with a value per document is a large part
/// of what a growing collection keeps in memory; ids cost less as numbers than as words.
pub(crate) fn schema(field: Field) -> PayloadFieldSchema {
    let on_disk = Some(true);
    PayloadFieldSchema::FieldParams(match field {
        Field::Document => {
            PayloadSchemaParams::Uuid(UuidIndexParams { on_disk, ..UuidIndexParams::default() })
        }
        Field::Source | Field::Format => PayloadSchemaParams::Keyword(KeywordIndexParams {
            on_disk,
            ..KeywordIndexParams::default()
        }),
    })
}

pub(crate) fn point_id(id: ChunkId) -> PointId {
    PointId::Uuid(id.as_uuid())
}

pub(crate) fn chunk_id(id: PointId) -> Result<ChunkId> {
    match id {
        PointId::Uuid(uuid) => Ok(ChunkId::from(uuid)),
        PointId::NumId(number) => Err(corrupt(format!("the store holds a point `{number}`"))),
    }
}

/// Returns the smallest id above `id`; `None` above the largest.
pub(crate) fn next_id(id: ChunkId) -> Option<PointId> {
    id.as_uuid().as_u128().checked_add(1).map(|next| PointId::Uuid(Uuid::from_u128(next)))
}

pub(crate) fn to_point(point: Point) -> Result<PointStructPersisted> {
    let Value::Object(payload) = serde_json::to_value(&point.chunk).map_err(|error| {
        Error::new(ErrorKind::Internal, "write a chunk as JSON").with_source(error)
    })?
    else {
        return Err(Error::new(ErrorKind::Internal, "a chunk is not a JSON object"));
    };
    let mut vectors =
        HashMap::from([(DENSE.to_owned(), VectorPersisted::Dense(point.dense.into_vec()))]);
    if !point.sparse.is_empty() {
        vectors.insert(SPARSE.to_owned(), VectorPersisted::Sparse(to_sparse(&point.sparse)));
    }
    Ok(PointStructPersisted {
        id: point_id(point.chunk.id),
        vector: VectorStructPersisted::Named(vectors),
        payload: Some(Payload(payload)),
    })
}

/// Returns the change of a stored point's sparse vector.
pub(crate) fn to_sparse_update(id: PointId, vector: &SparseVector) -> PointVectorsPersisted {
    let sparse = VectorPersisted::Sparse(to_sparse(vector));
    PointVectorsPersisted {
        id,
        vector: VectorStructPersisted::Named(HashMap::from([(SPARSE.to_owned(), sparse)])),
    }
}

pub(crate) fn to_sparse(vector: &SparseVector) -> EdgeSparse {
    EdgeSparse { indices: vector.indices().to_vec(), values: vector.values().to_vec() }
}

pub(crate) fn from_record(record: Record) -> Result<StoredChunk> {
    let id = record.id;
    let payload = record.payload.ok_or_else(|| corrupt(format!("chunk `{id}` has no payload")))?;
    let chunk: Chunk = serde_json::from_value(Value::Object(payload.0))
        .map_err(|error| corrupt(format!("chunk `{id}` is not readable")).with_source(error))?;
    let dense = match record.vector {
        Some(VectorStructInternal::Named(mut vectors)) => match vectors.remove(DENSE) {
            Some(VectorInternal::Dense(values)) => Some(values),
            _ => return Err(corrupt(format!("chunk `{id}` has no dense vector"))),
        },
        _ => None,
    };
    let dense = dense
        .map(Embedding::normalised)
        .transpose()
        .map_err(|error| corrupt(format!("chunk `{id}`")).with_source(error))?;
    Ok(StoredChunk { chunk, dense })
}

/// Returns the conjunction of the given conditions; `None` when there is none.
pub(crate) fn to_filter(filters: [Option<&Filter>; 2]) -> Option<EdgeFilter> {
    let conditions: Vec<Condition> = filters.into_iter().flatten().map(condition).collect();
    (!conditions.is_empty()).then(|| must(conditions))
}

pub(crate) fn of_document(document: DocumentId) -> Condition {
    condition(&Filter::In(Field::Document, vec![document.to_string()]))
}

pub(crate) fn has_id(ids: impl IntoIterator<Item = PointId>) -> Condition {
    Condition::HasId(ids.into_iter().collect::<HasIdCondition>())
}

pub(crate) fn must(conditions: Vec<Condition>) -> EdgeFilter {
    EdgeFilter { must: Some(conditions), ..EdgeFilter::default() }
}

pub(crate) fn must_not(conditions: Vec<Condition>) -> EdgeFilter {
    EdgeFilter { must_not: Some(conditions), ..EdgeFilter::default() }
}

fn condition(filter: &Filter) -> Condition {
    // The engine treats empty lists as absent ones, so both constants are spelled out.
    let never = || has_id([]);
    match filter {
        Filter::All(parts) if parts.is_empty() => Condition::Filter(must_not(vec![never()])),
        Filter::All(parts) => Condition::Filter(must(parts.iter().map(condition).collect())),
        Filter::Any(parts) if parts.is_empty() => never(),
        Filter::Any(parts) => {
            let should = Some(parts.iter().map(condition).collect());
            Condition::Filter(EdgeFilter { should, ..EdgeFilter::default() })
        }
        Filter::Not(part) => Condition::Filter(must_not(vec![condition(part)])),
        Filter::In(_, values) if values.is_empty() => never(),
        Filter::In(field, values) => {
            Condition::Field(FieldCondition::new_match(key(*field), Match::from(values.clone())))
        }
    }
}
