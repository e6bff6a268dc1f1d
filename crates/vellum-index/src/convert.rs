//! Chunks, vectors and filters in the engine's words.
//!
//! A point's id is the chunk's id; its payload is the chunk's own JSON, so the payload keys are the
//! field names of [`Chunk`], beside three that only filters read. Chunks
//! without terms have no sparse vector, so that they do not count in document frequencies.

use crate::error::corrupt;
use crate::settings::Quantization;
use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::external::uuid::Uuid;
use qdrant_edge::{
    BinaryQuantizationConfig, Condition, FieldCondition, Filter as EdgeFilter, HasIdCondition,
    JsonPath, KeywordIndexParams, Match, MatchValue, Payload, PayloadFieldSchema,
    PayloadSchemaParams, PointId, PointStructPersisted, PointVectorsPersisted, QuantizationConfig,
    QuantizationSearchParams, Range, Record, ScalarQuantizationConfig, ScalarType,
    SparseVector as EdgeSparse, UuidIndexParams, ValueVariants, VectorInternal, VectorPersisted,
    VectorStructInternal, VectorStructPersisted,
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Bound;
use vellum_core::chunk::Chunk;
use vellum_core::filter::{Field, Filter, Finite, Interval, Measure, folders_of};
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::metadata;
use vellum_core::ports::{Point, StoredChunk};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_core::{Error, ErrorKind, Result};

/// Name of the dense vector.
pub(crate) const DENSE: &str = "dense";
/// Name of the sparse vector.
pub(crate) const SPARSE: &str = "sparse";

/// The payload keys that the engine indexes. Each index is kept in memory for what was written since the last
/// `optimize`, 50 to 100 bytes a chunk, so there are only those that select few chunks of many (`document`, for updates
/// and for the pages of a document, and `source`) or are in nearly every filter and have few values. Other conditions
/// are checked on the stored chunk, see `examples/bench_search.rs` for what that costs.
pub(crate) const INDEXED: [Field; 4] =
    [Field::Document, Field::Source, Field::Format, Field::Language];

/// Payload keys that are no fields of [`Chunk`]: readings of metadata, and the folders above a document.
const NUMBERS: &str = "numbers";
const DATES: &str = "dates";
const FOLDERS: &str = "folders";

/// Returns the payload key of a field.
pub(crate) fn key(field: &Field) -> JsonPath {
    match field {
        Field::Document => top("document"),
        Field::Source => top("source"),
        Field::Format => top("format"),
        Field::Title => top("title"),
        Field::Language => top("language"),
        Field::Metadata(name) => inside("metadata", name.as_str()),
    }
}

fn key_of_measure(measure: &Measure) -> JsonPath {
    match measure {
        Measure::Page => inside("pages[]", "page"),
        Measure::Bytes => top("bytes"),
        Measure::Number(name) => inside(NUMBERS, name.as_str()),
        Measure::Date(name) => inside(DATES, name.as_str()),
    }
}

fn top(name: &str) -> JsonPath {
    JsonPath { first_key: name.to_owned(), rest: Vec::new() }
}

/// Returns the path of `name`, which consists of characters of [`MetadataName`] only, in the object at `outer`.
///
/// [`MetadataName`]: vellum_core::metadata::MetadataName
fn inside(outer: &str, name: &str) -> JsonPath {
    format!("{outer}.{name}").parse().expect("names of metadata are plain path segments")
}

/// Returns the number that stands for a folder in payloads: a list of texts would repeat most of the uri.
fn folder_number(folder: &str) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&blake3::hash(folder.as_bytes()).as_bytes()[..8]);
    i64::from_le_bytes(bytes)
}

/// Returns how the engine indexes one of [`INDEXED`]. An index of a field with a value per document is a large part
/// of what a growing collection keeps in memory; ids cost less as numbers than as words.
pub(crate) fn schema(field: &Field) -> PayloadFieldSchema {
    let on_disk = Some(true);
    PayloadFieldSchema::FieldParams(match field {
        Field::Document => {
            PayloadSchemaParams::Uuid(UuidIndexParams { on_disk, ..UuidIndexParams::default() })
        }
        Field::Source | Field::Format | Field::Title | Field::Language | Field::Metadata(_) => {
            PayloadSchemaParams::Keyword(KeywordIndexParams {
                on_disk,
                ..KeywordIndexParams::default()
            })
        }
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
    let Value::Object(mut payload) = serde_json::to_value(&point.chunk).map_err(|error| {
        Error::new(ErrorKind::Internal, "write a chunk as JSON").with_source(error)
    })?
    else {
        return Err(Error::new(ErrorKind::Internal, "a chunk is not a JSON object"));
    };
    add_readings(&point.chunk, &mut payload);
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

/// Adds what filters compare and a chunk does not spell out.
fn add_readings(chunk: &Chunk, payload: &mut Map<String, Value>) {
    let folders: Vec<i64> = folders_of(&chunk.uri).map(folder_number).collect();
    payload.insert(FOLDERS.to_owned(), folders.into());
    let (mut numbers, mut dates) = (Map::new(), Map::new());
    for (name, value) in chunk.metadata.iter() {
        if let Some(number) = metadata::number(value) {
            numbers.insert(name.to_string(), number.into());
        }
        if let Some(ms) = metadata::instant(value) {
            dates.insert(name.to_string(), ms.into());
        }
    }
    for (key, readings) in [(NUMBERS, numbers), (DATES, dates)] {
        if !readings.is_empty() {
            payload.insert(key.to_owned(), readings.into());
        }
    }
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

/// Returns how the engine makes smaller copies of vectors, held in memory: that is what they are small for.
pub(crate) fn quantization(kind: Quantization) -> Option<QuantizationConfig> {
    let always_ram = Some(true);
    match kind {
        Quantization::None => None,
        Quantization::Scalar => {
            let config = ScalarQuantizationConfig {
                r#type: ScalarType::Int8,
                quantile: Some(0.99),
                always_ram,
            };
            Some(config.into())
        }
        Quantization::Binary => {
            let config =
                BinaryQuantizationConfig { always_ram, encoding: None, query_encoding: None };
            Some(config.into())
        }
    }
}

/// Returns how a search uses them.
pub(crate) fn through(kind: Quantization) -> Option<QuantizationSearchParams> {
    let oversampling = match kind {
        Quantization::None => return None,
        Quantization::Scalar => 2.0,
        Quantization::Binary => 4.0,
    };
    Some(QuantizationSearchParams {
        ignore: false,
        rescore: Some(true),
        oversampling: Some(oversampling),
    })
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
            Condition::Field(FieldCondition::new_match(key(field), Match::from(values.clone())))
        }
        Filter::Within(measure, interval) => {
            let range = range(interval);
            Condition::Field(FieldCondition::new_range(key_of_measure(measure), range))
        }
        Filter::Exists(field) => {
            let missing = FieldCondition::new_is_empty(key(field), true);
            Condition::Filter(must_not(vec![Condition::Field(missing)]))
        }
        Filter::Under(folder) => {
            let number = ValueVariants::Integer(folder_number(folder.as_str()));
            let is = Match::Value(MatchValue { value: number });
            Condition::Field(FieldCondition::new_match(top(FOLDERS), is))
        }
    }
}

fn range(interval: &Interval) -> Range<OrderedFloat<f64>> {
    let mut range = Range { lt: None, gt: None, gte: None, lte: None };
    let value = |end: Finite| Some(OrderedFloat(end.get()));
    match interval.from() {
        Bound::Included(end) => range.gte = value(end),
        Bound::Excluded(end) => range.gt = value(end),
        Bound::Unbounded => {}
    }
    match interval.to() {
        Bound::Included(end) => range.lte = value(end),
        Bound::Excluded(end) => range.lt = value(end),
        Bound::Unbounded => {}
    }
    range
}
