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
    IntegerIndexParams, JsonPath, KeywordIndexParams, Match, Payload, PayloadFieldSchema,
    PayloadSchemaParams, PointId, PointStructPersisted, PointVectorsPersisted, QuantizationConfig,
    QuantizationSearchParams, Range, Record, ScalarQuantizationConfig, ScalarType,
    SparseVector as EdgeSparse, UuidIndexParams, VectorInternal, VectorPersisted,
    VectorStructInternal, VectorStructPersisted,
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
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

/// Payload keys that are no fields of [`Chunk`]: readings of metadata, and numbers that stand for what is true of a chunk.
const NUMBERS: &str = "numbers";
const DATES: &str = "dates";
const FACTS: &str = "facts";

/// Metadata that mostly differs from document to document. Each value of its own costs an index more than it saves.
const SINGULAR: [&str; 5] = ["description", "keywords", "message-id", "subject", "title"];
/// Longest value of metadata that is a fact, in bytes; longer ones are prose.
const MAX_FACT_BYTES: usize = 64;
/// Metadata whose dates are indexed.
const DATED: [&str; 3] = ["created", "date", "modified"];

/// Candidates that a search through bits scores again, at least.
const LEAST_RESCORED: f64 = 512.0;

/// Returns the payload keys that the engine indexes, each with how.
///
/// An index is kept in memory for what was written since the last `optimize`, some 50 bytes a chunk, and a field with a value for each
/// document costs most: ids less as numbers than as words. A condition without an index is checked on the stored chunk, which
/// takes 20 microseconds or more a chunk: bearable for the few that other conditions leave, not for a whole collection.
/// So one index of numbers holds all facts about a chunk ([`fact`]), whatever names documents use; pages and the usual dates
/// have an index of ranges; and what is left without one is text that is singular or long, and other numbers.
pub(crate) fn indexes() -> Vec<(JsonPath, PayloadFieldSchema)> {
    let on_disk = Some(true);
    let uuid = UuidIndexParams { on_disk, ..UuidIndexParams::default() };
    let word = || KeywordIndexParams { on_disk, ..KeywordIndexParams::default() };
    let integer = |lookup, range| IntegerIndexParams {
        lookup: Some(lookup),
        range: Some(range),
        on_disk,
        ..IntegerIndexParams::default()
    };
    let mut indexes = vec![
        (key(&Field::Document), PayloadSchemaParams::Uuid(uuid)),
        (key(&Field::Source), PayloadSchemaParams::Keyword(word())),
        (key(&Field::Format), PayloadSchemaParams::Keyword(word())),
        (key(&Field::Language), PayloadSchemaParams::Keyword(word())),
        (top(FACTS), PayloadSchemaParams::Integer(integer(true, false))),
        (key_of_measure(&Measure::Page), PayloadSchemaParams::Integer(integer(false, true))),
    ];
    let dates = DATED.map(|name| inside(DATES, name));
    indexes.extend(dates.map(|key| (key, PayloadSchemaParams::Integer(integer(false, true)))));
    indexes.into_iter().map(|(key, how)| (key, PayloadFieldSchema::FieldParams(how))).collect()
}

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

/// Something that is true of a chunk.
enum Fact<'a> {
    /// Its document lies in the folder.
    Under(&'a str),
    /// Its document has metadata of this name.
    Has(&'a str),
    /// Its document has this metadata.
    Is(&'a str, &'a str),
}

/// Returns the number that stands for a fact: 64 bits of a hash.
fn fact(fact: &Fact<'_>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    match fact {
        Fact::Under(folder) => hasher.update(b"under\0").update(folder.as_bytes()),
        Fact::Has(name) => hasher.update(b"has\0").update(name.as_bytes()),
        // Names hold no NUL.
        Fact::Is(name, value) => {
            hasher.update(b"is\0").update(name.as_bytes()).update(b"\0").update(value.as_bytes())
        }
    };
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(bytes)
}

/// Whether metadata with this value is stored as a fact.
fn is_fact(name: &str, value: &str) -> bool {
    !SINGULAR.contains(&name) && value.len() <= MAX_FACT_BYTES
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
    let mut facts: Vec<i64> = folders_of(&chunk.uri).map(|it| fact(&Fact::Under(it))).collect();
    let (mut numbers, mut dates) = (Map::new(), Map::new());
    for (name, value) in chunk.metadata.iter() {
        facts.push(fact(&Fact::Has(name.as_str())));
        if is_fact(name.as_str(), value) {
            facts.push(fact(&Fact::Is(name.as_str(), value)));
        }
        if let Some(number) = metadata::number(value) {
            numbers.insert(name.to_string(), number.into());
        }
        if let Some(ms) = metadata::instant(value) {
            dates.insert(name.to_string(), ms.into());
        }
    }
    payload.insert(FACTS.to_owned(), facts.into());
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
    Ok(StoredChunk { chunk: Arc::new(chunk), dense })
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

/// Returns how a search for the best `limit` uses them.
///
/// A bit a dimension orders chunks about one thing hardly at all, so the whole neighbourhood is scored again: on 100,000
/// vectors recall@10 was 0.55 with 40 candidates, 0.85 with 100 and 1.00 with 512, for 0.8 ms more.
pub(crate) fn through(kind: Quantization, limit: usize) -> Option<QuantizationSearchParams> {
    let oversampling = match kind {
        Quantization::None => return None,
        Quantization::Scalar => 2.0,
        Quantization::Binary => (LEAST_RESCORED / limit.max(1) as f64).max(4.0),
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
        Filter::In(Field::Metadata(name), values) => said(name.as_str(), values),
        Filter::In(field, values) => is_one_of(key(field), values.clone()),
        Filter::Within(measure, interval) => {
            let range = match measure {
                Measure::Page | Measure::Date(_) => whole_range(interval),
                Measure::Bytes | Measure::Number(_) => range(interval),
            };
            Condition::Field(FieldCondition::new_range(key_of_measure(measure), range))
        }
        Filter::Exists(Field::Metadata(name)) => holds(vec![fact(&Fact::Has(name.as_str()))]),
        Filter::Exists(field) => {
            let missing = FieldCondition::new_is_empty(key(field), true);
            Condition::Filter(must_not(vec![Condition::Field(missing)]))
        }
        Filter::Under(folder) => holds(vec![fact(&Fact::Under(folder.as_str()))]),
    }
}

/// Returns the condition that metadata has one of the values: facts by their index, others on the stored chunk.
fn said(name: &str, values: &[String]) -> Condition {
    let (facts, others): (Vec<&String>, Vec<&String>) =
        values.iter().partition(|value| is_fact(name, value));
    let facts: Vec<i64> = facts.into_iter().map(|value| fact(&Fact::Is(name, value))).collect();
    if others.is_empty() {
        return holds(facts);
    }
    let others = is_one_of(inside("metadata", name), others.into_iter().cloned().collect());
    if facts.is_empty() {
        return others;
    }
    let should = Some(vec![holds(facts), others]);
    Condition::Filter(EdgeFilter { should, ..EdgeFilter::default() })
}

fn is_one_of(key: JsonPath, values: Vec<String>) -> Condition {
    Condition::Field(FieldCondition::new_match(key, Match::from(values)))
}

/// Returns the condition that one of the facts is true.
fn holds(facts: Vec<i64>) -> Condition {
    Condition::Field(FieldCondition::new_match(top(FACTS), Match::from(facts)))
}

/// Returns the same range of whole numbers by ends that are whole: an index of integers cuts fractions off.
fn whole_range(interval: &Interval) -> Range<OrderedFloat<f64>> {
    let from = match interval.from() {
        Bound::Included(end) => Some(end.get().ceil()),
        Bound::Excluded(end) => Some(end.get().floor() + 1.0),
        Bound::Unbounded => None,
    };
    let to = match interval.to() {
        Bound::Included(end) => Some(end.get().floor()),
        Bound::Excluded(end) => Some(end.get().ceil() - 1.0),
        Bound::Unbounded => None,
    };
    Range { lt: None, gt: None, gte: from.map(OrderedFloat), lte: to.map(OrderedFloat) }
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
