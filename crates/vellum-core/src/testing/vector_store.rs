//! Conformance suite of the [`VectorStore`] port, and its in-memory peer.
//!
//! [`suite`] runs every clause on collections of its own (`suite-...`), which it drops first and
//! last, so it may run against a shared server. A clause panics with what is broken. Scores are
//! compared within [`TOLERANCE`], because stores add up in different orders.
//!
//! Not here: durability, concurrency and speed, which each store tests for itself.

mod memory;

pub use memory::{MemoryVectorStore, idf, matches};

use crate::access::{Pass, Principal, Verb, VersionPass};
use crate::chunk::{Chunk, PageStart, Parent};
use crate::collection::Collection;
use crate::document::{Document, Format, Layout, PageSize, Places, Position, Rect, Span};
use crate::error::{ErrorKind, Result};
use crate::filter::{Field, Filter, Finite, Folder, Interval, Measure};
use crate::ids::{ChunkId, CollectionName, ContentHash, DocumentId, Space};
use crate::metadata::{Metadata, instant};
use crate::ports::{
    Leg, LegVector, Point, Precision, ScoredId, StoreSpec, StoredChunk, VectorStore, WithVectors,
};
use crate::testing::metastore::sample_collection;
use crate::vector::{Embedding, SparseVector};
use std::ops::Bound;

/// Largest difference of two equal scores, relative to the larger of the score and 1.
pub const TOLERANCE: f32 = 1e-4;

/// Dimensions of the suite's vectors.
const DIM: usize = 4;

/// Runs every clause of the port against `store`.
///
/// # Panics
/// With the broken clause.
pub async fn suite(store: &dyn VectorStore) {
    unknown_collections_are_not_found(store).await;
    create_is_idempotent_and_refuses_another_spec(store).await;
    reading_passes_do_not_write(store).await;
    points_come_back_whole(store).await;
    upsert_replaces(store).await;
    scan_pages_ascending(store).await;
    filters_hold_inside_every_read(store).await;
    dense_search_is_cosine(store).await;
    sparse_search_weighs_rare_terms(store).await;
    delete_keeps_what_is_listed(store).await;
    update_sparse_changes_nothing_else(store).await;
    wrong_dimensions_are_invalid(store).await;
    nothing_in_nothing_out(store).await;
    upkeep_changes_no_answer(store).await;
    collections_are_apart_and_drop_for_good(store).await;
    versions_are_apart(store).await;
    store.check().await.expect("check passes on a healthy store");
}

/// Returns the owner's pass for the version of the collection `name` that is kept under its name alone.
pub fn pass(name: &str, verb: Verb) -> VersionPass {
    pass_at(name, name, verb)
}

/// Returns the owner's pass for the version of the collection `name` in `space`.
fn pass_at(name: &str, space: &str, verb: Verb) -> VersionPass {
    let seen = Collection { space: Space::from_stored(space), ..sample_collection(name) };
    let pass = Pass::grant(&Principal::Owner, &seen.name, verb).expect("the owner gets a pass");
    pass.at(&seen).expect("the pass is for this collection")
}

/// Returns the `ordinal`-th chunk of a test document; the uri decides name, format, language, size and metadata.
pub fn chunk(uri: &str, ordinal: u32, text: &str) -> Chunk {
    let collection: CollectionName = "suite".parse().expect("the name is valid");
    let start = ordinal as usize * 100;
    let extension = uri.rsplit('.').next().unwrap_or_default();
    Chunk {
        id: ChunkId::derive(&collection, uri, &ContentHash::of(b"content"), "settings", ordinal),
        document: DocumentId::derive(&collection, uri),
        uri: uri.to_owned(),
        source: uri.rsplit('/').next().unwrap_or_default().to_owned(),
        title: (ordinal == 0).then(|| "Tïtle \"quoted\"".to_owned()),
        format: match extension {
            "md" => Format::Markdown,
            "html" => Format::Html,
            "pdf" => Format::Pdf,
            _ => Format::Text,
        },
        language: (extension != "txt").then(|| "en".to_owned()),
        bytes: uri.len() as u64 * 100,
        metadata: metadata(uri),
        ordinal,
        text: text.to_owned(),
        span: Span { start, end: start + text.len() },
        char_start: start,
        pages: vec![PageStart { page: ordinal + 1, at: 0 }],
        headings: vec!["One".to_owned(), "Zwei – drei".to_owned()],
        context: if ordinal == 0 { String::new() } else { "Tïtle > One".to_owned() },
        parent: (ordinal > 0).then_some(Parent { first: 1, last: ordinal }),
        places: places(text),
    }
}

/// Returns the metadata of a test document, by the last byte of its name: none, or some with numbers and dates.
fn metadata(uri: &str) -> Metadata {
    let stem = uri.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
    let entries: &[(&str, &str)] = match stem.bytes().last().unwrap_or_default() % 4 {
        0 => &[],
        1 => &[("author", "Ä. \"B\""), ("date", "2024-02-29"), ("year", "2024")],
        2 => &[("author", "C"), ("date", "2024-03-01T00:00:00.001+01:00"), ("year", "-1.5")],
        _ => &[("author", "c"), ("date", "last week"), ("message-id", "x@y")],
    };
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Metadata::of(&entries.collect())
}

/// Returns places of a text whose first half stands on page 1 and the rest on page 2.
fn places(text: &str) -> Places {
    let (half, end) = (text.len() as u32 / 2, text.len() as u32);
    let rect = Rect { x0: 72.0, y0: 90.5, x1: 144.2, y1: 101.0 };
    let word = |start, end, page| Position { start, end, page, rect };
    let page = |page| PageSize { page, width: 595.3, height: 841.9 };
    let words = vec![word(0, half, 1), word(half, end, 2)];
    let layout = Layout { words, pages: vec![page(1), page(2)], ..Layout::default() };
    let document = Document { layout, ..Document::plain(text) };
    Places::cut(&document, Span { start: 0, end: text.len() })
}

/// Returns a point; `dense` is scaled to unit norm.
pub fn point(chunk: Chunk, dense: &[f32], sparse: &[(u32, f32)]) -> Point {
    Point { chunk, dense: embedding(dense), sparse: SparseVector::from_pairs(sparse.to_vec()) }
}

/// Panics unless both rankings hold equal scores in order, and equal ids wherever scores differ.
///
/// At the cut-off, ties may be decided either way.
pub fn assert_same_ranking(got: &[ScoredId], want: &[ScoredId], context: &str) {
    let close = |a: f32, b: f32| (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0);
    assert_eq!(got.len(), want.len(), "{context}: length of {got:?} and {want:?}");
    for (index, (a, b)) in got.iter().zip(want).enumerate() {
        assert!(close(a.score, b.score), "{context}: score at {index} of {got:?} and {want:?}");
    }
    let last = want.last().map_or(f32::NEG_INFINITY, |hit| hit.score);
    for hit in want.iter().filter(|hit| !close(hit.score, last)) {
        let same = got.iter().any(|other| other.id == hit.id && close(other.score, hit.score));
        assert!(same, "{context}: {hit:?} is missing from {got:?}");
    }
    let ordered = |pair: &[ScoredId]| {
        pair[0].score > pair[1].score || (pair[0].score == pair[1].score && pair[0].id < pair[1].id)
    };
    assert!(got.windows(2).all(ordered), "{context}: {got:?} is not by score, then id");
}

fn embedding(values: &[f32]) -> Embedding {
    Embedding::normalised(values.to_vec()).expect("test vectors are not zero")
}

fn dense(values: &[f32], limit: usize) -> Leg {
    let vector = LegVector::Dense(embedding(values));
    Leg { vector, filter: None, limit, precision: Precision::Usual }
}

fn sparse(pairs: &[(u32, f32)], limit: usize) -> Leg {
    let vector = LegVector::Sparse(SparseVector::from_pairs(pairs.to_vec()));
    Leg { vector, filter: None, limit, precision: Precision::Usual }
}

fn fixture() -> Vec<Point> {
    vec![
        point(chunk("file:///a.md", 0, "alpha"), &[1.0, 0.0, 0.0, 0.0], &[(1, 1.0), (2, 2.0)]),
        point(chunk("file:///a.md", 1, "beta"), &[0.9, 0.1, 0.0, 0.0], &[(2, 1.0)]),
        point(chunk("file:///b.pdf", 0, "gamma"), &[0.0, 1.0, 0.0, 0.0], &[(2, 0.5), (3, 1.5)]),
        point(chunk("file:///c.txt", 0, "delta"), &[0.0, 0.2, 1.0, 0.0], &[(4, 1.0)]),
        point(chunk("file:///sub/c.txt", 0, "ëpsilon"), &[0.0, 0.0, 0.5, 1.0], &[(2, 0.1)]),
    ]
}

/// Returns the writing pass of an empty or filled collection.
async fn fresh(store: &dyn VectorStore, name: &str, points: Vec<Point>) -> VersionPass {
    let owner = pass(name, Verb::Write);
    store.drop_collection(&owner).await.expect("drop of none or some");
    store.create(&owner, StoreSpec { dim: DIM }).await.expect("create");
    store.upsert(&owner, points).await.expect("upsert");
    owner
}

async fn done(store: &dyn VectorStore, owner: &VersionPass) {
    store.drop_collection(owner).await.expect("drop");
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn ids(chunks: &[Chunk]) -> Vec<ChunkId> {
    chunks.iter().map(|chunk| chunk.id).collect()
}

async fn everything(store: &dyn VectorStore, owner: &VersionPass) -> Vec<StoredChunk> {
    let chunks = store.scan(owner, None, 1000, None).await.expect("scan");
    store.fetch(owner, &ids(&chunks), WithVectors::Yes).await.expect("fetch")
}

async fn unknown_collections_are_not_found(store: &dyn VectorStore) {
    let owner = pass("suite-unknown", Verb::Write);
    store.drop_collection(&owner).await.expect("drop of none is fine");
    let first = fixture().remove(0);
    let missing = Some(ErrorKind::NotFound);
    let (id, document) = (first.chunk.id, first.chunk.document);
    assert_eq!(kind(store.upsert(&owner, vec![first]).await), missing, "upsert");
    assert_eq!(kind(store.update_sparse(&owner, vec![]).await), missing, "update_sparse");
    assert_eq!(kind(store.delete_document(&owner, document, &[]).await), missing, "delete");
    assert_eq!(kind(store.search(&owner, &dense(&[1.0; DIM], 1)).await), missing, "search");
    assert_eq!(kind(store.fetch(&owner, &[id], WithVectors::No).await), missing, "fetch");
    assert_eq!(kind(store.scan(&owner, None, 1, None).await), missing, "scan");
    assert_eq!(kind(store.count(&owner).await), missing, "count");
    assert_eq!(kind(store.flush(&owner).await), missing, "flush");
    assert_eq!(kind(store.optimize(&owner).await), missing, "optimize");
}

async fn create_is_idempotent_and_refuses_another_spec(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-create", fixture()).await;
    store.create(&owner, StoreSpec { dim: DIM }).await.expect("create again");
    assert_eq!(store.count(&owner).await.unwrap_or(0), 5, "create again keeps the points");
    let other = store.create(&owner, StoreSpec { dim: DIM + 1 }).await;
    assert_eq!(kind(other), Some(ErrorKind::Conflict), "create with another spec");
    done(store, &owner).await;
}

async fn reading_passes_do_not_write(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-read", fixture()).await;
    let reader = pass("suite-read", Verb::Read);
    let no = Some(ErrorKind::Forbidden);
    let first = fixture().remove(0);
    let document = first.chunk.document;
    assert_eq!(kind(store.create(&reader, StoreSpec { dim: DIM }).await), no, "create");
    assert_eq!(kind(store.drop_collection(&reader).await), no, "drop");
    assert_eq!(kind(store.upsert(&reader, vec![first]).await), no, "upsert");
    assert_eq!(kind(store.update_sparse(&reader, vec![]).await), no, "update_sparse");
    assert_eq!(kind(store.delete_document(&reader, document, &[]).await), no, "delete");
    assert_eq!(kind(store.optimize(&reader).await), no, "optimize");
    assert_eq!(store.count(&reader).await.expect("readers read"), 5);
    done(store, &owner).await;
}

async fn points_come_back_whole(store: &dyn VectorStore) {
    let points = fixture();
    let owner = fresh(store, "suite-fetch", points.clone()).await;
    let stranger = chunk("file:///none.txt", 9, "none").id;
    let wanted = [points[3].chunk.id, stranger, points[0].chunk.id, points[4].chunk.id];
    let got = store.fetch(&owner, &wanted, WithVectors::Yes).await.expect("fetch");
    let chunks: Vec<&Chunk> = got.iter().map(|stored| &*stored.chunk).collect();
    assert_eq!(
        chunks,
        [&points[3].chunk, &points[0].chunk, &points[4].chunk],
        "fetch keeps the order of the ids and leaves unknown ids out"
    );
    for (stored, original) in got.iter().zip([&points[3], &points[0], &points[4]]) {
        let vector = stored.dense.as_ref().expect("vectors were asked for");
        assert!((vector.cosine(&original.dense) - 1.0).abs() < TOLERANCE, "dense vector");
    }
    let bare = store.fetch(&owner, &wanted, WithVectors::No).await.expect("fetch");
    assert!(bare.iter().all(|stored| stored.dense.is_none()), "vectors only when asked for");
    done(store, &owner).await;
}

async fn upsert_replaces(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-upsert", fixture()).await;
    store.upsert(&owner, fixture()).await.expect("upsert again");
    assert_eq!(store.count(&owner).await.expect("count"), 5, "upsert is idempotent");
    let mut changed = fixture().remove(2);
    changed.chunk.text = "changed".to_owned();
    changed.dense = embedding(&[0.0, 0.0, 0.0, 1.0]);
    changed.sparse = SparseVector::from_pairs(vec![(9, 1.0)]);
    store.upsert(&owner, vec![changed.clone()]).await.expect("upsert of a change");
    assert_eq!(store.count(&owner).await.expect("count"), 5);
    let hits = store.search(&owner, &dense(&[0.0, 0.0, 0.0, 1.0], 1)).await.expect("search");
    assert_eq!(hits[0].id, changed.chunk.id, "the new dense vector is found");
    let hits = store.search(&owner, &sparse(&[(9, 1.0)], 5)).await.expect("search");
    assert_eq!(hits.len(), 1, "the new sparse vector is found");
    let hits = store.search(&owner, &sparse(&[(3, 1.0)], 5)).await.expect("search");
    assert!(hits.is_empty(), "the old sparse vector is gone");
    let got = store.fetch(&owner, &[changed.chunk.id], WithVectors::No).await.expect("fetch");
    assert_eq!(*got[0].chunk, changed.chunk, "the new chunk is stored");
    done(store, &owner).await;
}

async fn scan_pages_ascending(store: &dyn VectorStore) {
    let points: Vec<Point> = (0..23)
        .map(|n| {
            point(chunk("file:///long.md", n, "text"), &[1.0, n as f32, 0.0, 0.0], &[(n, 1.0)])
        })
        .collect();
    let owner = fresh(store, "suite-scan", points.clone()).await;
    let mut expected: Vec<ChunkId> = points.iter().map(|point| point.chunk.id).collect();
    expected.sort();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(&owner, after, 5, None).await.expect("scan");
        assert!(page.len() <= 5, "a page holds at most `limit`");
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(ids(&page));
    }
    assert_eq!(seen, expected, "pages join to all chunks, ascending by id, each once");
    done(store, &owner).await;
}

async fn filters_hold_inside_every_read(store: &dyn VectorStore) {
    let points = fixture();
    let owner = fresh(store, "suite-filter", points.clone()).await;
    let is = |field, value: &str| Filter::In(field, vec![value.to_owned()]);
    let not = |filter| Filter::Not(Box::new(filter));
    let document = points[0].chunk.document.to_string();
    let other = points[3].chunk.document.to_string();
    let cases = [
        is(Field::Document, &document),
        is(Field::Document, &other),
        Filter::In(Field::Document, vec![document.clone(), other.clone()]),
        is(Field::Document, "not-an-id"),
        is(Field::Source, "c.txt"),
        is(Field::Format, "pdf"),
        is(Field::Format, "absent"),
        Filter::In(Field::Format, vec!["pdf".to_owned(), "markdown".to_owned()]),
        Filter::In(Field::Format, vec![]),
        Filter::All(vec![]),
        Filter::Any(vec![]),
        not(Filter::All(vec![])),
        not(Filter::Any(vec![])),
        not(Filter::In(Field::Document, vec![])),
        not(is(Field::Format, "text")),
        Filter::Any(vec![is(Field::Format, "pdf"), is(Field::Document, &other)]),
        Filter::All(vec![is(Field::Format, "text"), not(is(Field::Document, &other))]),
        not(Filter::Any(vec![is(Field::Format, "text"), Filter::All(vec![])])),
    ];
    for filter in cases.into_iter().chain(filters_on_what_documents_say()) {
        check_filter(store, &owner, &points, &filter).await;
    }
    // Both conditions must hold, and neither may be applied after the limit.
    let narrowed = owner.narrowed(&is(Field::Format, "text"));
    let mut leg = dense(&[1.0, 0.0, 0.0, 0.0], 1);
    leg.filter = Some(is(Field::Source, "c.txt"));
    let hits = store.search(&narrowed, &leg).await.expect("search");
    assert_eq!(hits.len(), 1, "the limit counts chunks that pass the filters");
    leg.filter = Some(is(Field::Format, "pdf"));
    let hits = store.search(&narrowed, &leg).await.expect("search");
    assert!(hits.is_empty(), "a leg's filter cannot widen the pass");
    done(store, &owner).await;
}

/// Returns conditions on metadata and measures, each alone, negated, and beside another.
fn filters_on_what_documents_say() -> Vec<Filter> {
    let name = |name: &str| name.parse().expect("the name is valid");
    let is = |field, value: &str| Filter::In(field, vec![value.to_owned()]);
    let under = |uri| Filter::Under(Folder::new(uri).expect("the folder is valid"));
    let end = |number| Finite::new(number).expect("the number is finite");
    let within = |measure, from, to| {
        Filter::Within(measure, Interval::new(from, to).expect("there is an end"))
    };
    let at = |text| end(instant(text).expect("the date is valid") as f64);
    let (february, march) = (at("2024-02-29"), at("2024-03-01"));
    let year = || Measure::Number(name("year"));
    let date = || Measure::Date(name("date"));
    let leaves = vec![
        is(Field::Metadata(name("author")), "C"),
        is(Field::Metadata(name("author")), "Ä. \"B\""),
        Filter::In(Field::Metadata(name("author")), vec!["c".to_owned(), "C".to_owned()]),
        is(Field::Metadata(name("message-id")), "x@y"),
        is(Field::Metadata(name("unknown")), "x"),
        is(Field::Metadata(name("year")), "2024"),
        is(Field::Title, "Tïtle \"quoted\""),
        is(Field::Language, "en"),
        Filter::Exists(Field::Metadata(name("author"))),
        Filter::Exists(Field::Metadata(name("unknown"))),
        Filter::Exists(Field::Title),
        Filter::Exists(Field::Language),
        Filter::Exists(Field::Format),
        within(date(), Bound::Included(february), Bound::Unbounded),
        within(date(), Bound::Excluded(february), Bound::Unbounded),
        within(date(), Bound::Included(february), Bound::Excluded(march)),
        within(date(), Bound::Unbounded, Bound::Included(february)),
        within(year(), Bound::Unbounded, Bound::Excluded(end(0.0))),
        within(year(), Bound::Included(end(2024.0)), Bound::Included(end(2024.0))),
        within(year(), Bound::Included(end(3.0)), Bound::Included(end(1.0))),
        within(Measure::Date(name("year")), Bound::Unbounded, Bound::Included(march)),
        within(Measure::Number(name("author")), Bound::Unbounded, Bound::Included(march)),
        within(Measure::Page, Bound::Included(end(2.0)), Bound::Unbounded),
        within(Measure::Page, Bound::Unbounded, Bound::Excluded(end(1.0))),
        within(Measure::Bytes, Bound::Excluded(end(1200.0)), Bound::Unbounded),
        under("file:///"),
        under("file:///sub"),
        under("file:///su"),
        under("s3://bucket/"),
    ];
    let text = is(Field::Format, "text");
    let negated = leaves.iter().map(|leaf| Filter::Not(Box::new(leaf.clone())));
    let beside = leaves.iter().map(|leaf| Filter::Any(vec![leaf.clone(), text.clone()]));
    negated.chain(beside).chain(leaves.iter().cloned()).collect()
}

async fn check_filter(
    store: &dyn VectorStore,
    owner: &VersionPass,
    points: &[Point],
    filter: &Filter,
) {
    let mut expected: Vec<ChunkId> =
        points.iter().map(|p| &p.chunk).filter(|c| matches(filter, c)).map(|c| c.id).collect();
    expected.sort();
    let all: Vec<ChunkId> = points.iter().map(|point| point.chunk.id).collect();
    let sorted = |mut found: Vec<ChunkId>| {
        found.sort();
        found
    };
    let hit_ids = |hits: Vec<ScoredId>| sorted(hits.iter().map(|hit| hit.id).collect());
    let narrowed = owner.narrowed(filter);

    let mut leg = dense(&[1.0, 1.0, 1.0, 1.0], 10);
    let hits = store.search(&narrowed, &leg).await.expect("search");
    assert_eq!(hit_ids(hits), expected, "dense search under a pass with {filter:?}");
    leg.filter = Some(filter.clone());
    let hits = store.search(owner, &leg).await.expect("search");
    assert_eq!(hit_ids(hits), expected, "dense search with {filter:?}");
    leg.vector = sparse(&[(1, 1.0), (2, 1.0), (4, 1.0)], 1).vector;
    let hits = store.search(owner, &leg).await.expect("search");
    assert_eq!(hit_ids(hits), expected, "sparse search with {filter:?}");

    let got = store.fetch(&narrowed, &all, WithVectors::No).await.expect("fetch");
    let got = sorted(got.iter().map(|stored| stored.chunk.id).collect());
    assert_eq!(got, expected, "fetch under a pass with {filter:?}");
    let got = store.scan(&narrowed, None, 10, None).await.expect("scan");
    assert_eq!(ids(&got), expected, "scan under a pass with {filter:?}");
    let got = store.scan(owner, None, 10, Some(filter)).await.expect("scan");
    assert_eq!(ids(&got), expected, "scan with {filter:?}");
    let count = store.count(&narrowed).await.expect("count");
    assert_eq!(count, expected.len() as u64, "count under a pass with {filter:?}");
}

async fn dense_search_is_cosine(store: &dyn VectorStore) {
    let mut points = fixture();
    // Equal vectors: ties are ordered by id.
    points.push(point(chunk("file:///tie.md", 0, "tie"), &[1.0, 0.0, 0.0, 0.0], &[(7, 1.0)]));
    let owner = fresh(store, "suite-dense", points.clone()).await;
    let query = [0.7, 0.3, 0.1, 0.0];
    let mut want: Vec<ScoredId> = points
        .iter()
        .map(|p| ScoredId { id: p.chunk.id, score: embedding(&query).cosine(&p.dense) })
        .collect();
    want.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    for limit in [1, 4, 6, 50] {
        let got = store.search(&owner, &dense(&query, limit)).await.expect("search");
        assert_same_ranking(&got, &want[..limit.min(want.len())], "dense search");
        let again = store.search(&owner, &dense(&query, limit)).await.expect("search");
        assert_eq!(got, again, "equal searches have equal results");
    }
    done(store, &owner).await;
}

async fn sparse_search_weighs_rare_terms(store: &dyn VectorStore) {
    let points = fixture();
    let owner = fresh(store, "suite-sparse", points.clone()).await;
    // Term 2 is in four of five vectors, term 3 in one, term 8 in none.
    let got = store.search(&owner, &sparse(&[(2, 1.5), (3, 2.0), (8, 1.0)], 10)).await;
    let (common, rare) = (1.5 * idf(5, 4), 2.0 * idf(5, 1));
    let want =
        [(2, common * 0.5 + rare * 1.5), (0, common * 2.0), (1, common * 1.0), (4, common * 0.1)];
    let want: Vec<ScoredId> =
        want.map(|(index, score)| ScoredId { id: points[index].chunk.id, score }).to_vec();
    assert_same_ranking(&got.expect("search"), &want, "sparse search");
    done(store, &owner).await;
}

async fn delete_keeps_what_is_listed(store: &dyn VectorStore) {
    let points = fixture();
    let owner = fresh(store, "suite-delete", points.clone()).await;
    let document = points[0].chunk.document;
    let keep = [points[1].chunk.id, points[2].chunk.id];
    for _ in 0..2 {
        store.delete_document(&owner, document, &keep).await.expect("delete");
        assert_eq!(store.count(&owner).await.expect("count"), 4, "only the unlisted chunk goes");
    }
    let hits = store.search(&owner, &dense(&[1.0, 0.0, 0.0, 0.0], 5)).await.expect("search");
    assert!(hits.iter().all(|hit| hit.id != points[0].chunk.id), "deleted chunks are not found");
    store.delete_document(&owner, document, &[]).await.expect("delete");
    assert_eq!(store.count(&owner).await.expect("count"), 3, "an empty list keeps none");
    store.upsert(&owner, points[..1].to_vec()).await.expect("upsert after delete");
    let hits = store.search(&owner, &sparse(&[(1, 1.0)], 5)).await.expect("search");
    assert_eq!(hits.len(), 1, "a chunk can return");
    done(store, &owner).await;
}

async fn update_sparse_changes_nothing_else(store: &dyn VectorStore) {
    let points = fixture();
    let owner = fresh(store, "suite-update", points.clone()).await;
    let before = everything(store, &owner).await;
    let stranger = chunk("file:///none.txt", 9, "none").id;
    let vector = |term| SparseVector::from_pairs(vec![(term, 1.0)]);
    let changes = vec![(points[0].chunk.id, vector(50)), (stranger, vector(50))];
    store.update_sparse(&owner, changes).await.expect("update_sparse");
    let hits = store.search(&owner, &sparse(&[(50, 1.0)], 5)).await.expect("search");
    assert_eq!(hits.len(), 1, "the stored chunk has the new vector; the unknown id made none");
    assert_eq!(hits[0].id, points[0].chunk.id);
    let hits = store.search(&owner, &sparse(&[(1, 1.0)], 5)).await.expect("search");
    assert!(hits.is_empty(), "the old vector is gone");
    let after = everything(store, &owner).await;
    assert_eq!(before.len(), after.len());
    for (a, b) in before.iter().zip(&after) {
        assert_eq!((&a.chunk, &a.dense), (&b.chunk, &b.dense), "chunk and dense vector stay");
    }
    done(store, &owner).await;
}

async fn wrong_dimensions_are_invalid(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-dim", fixture()).await;
    let wrong = point(chunk("file:///w.md", 0, "wrong"), &[1.0; DIM + 1], &[(1, 1.0)]);
    let fine = point(chunk("file:///w.md", 1, "fine"), &[1.0; DIM], &[(1, 1.0)]);
    let invalid = Some(ErrorKind::Invalid);
    assert_eq!(kind(store.upsert(&owner, vec![fine, wrong]).await), invalid, "upsert");
    assert_eq!(store.count(&owner).await.expect("count"), 5, "a refused batch stores nothing");
    assert_eq!(kind(store.search(&owner, &dense(&[1.0; DIM + 1], 1)).await), invalid, "search");
    done(store, &owner).await;
}

async fn nothing_in_nothing_out(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-empty", vec![]).await;
    assert_eq!(store.count(&owner).await.expect("count"), 0);
    assert!(store.search(&owner, &dense(&[1.0; DIM], 5)).await.expect("dense").is_empty());
    assert!(store.search(&owner, &sparse(&[(1, 1.0)], 5)).await.expect("sparse").is_empty());
    store.upsert(&owner, fixture()).await.expect("upsert");
    assert!(store.search(&owner, &sparse(&[], 5)).await.expect("no term").is_empty());
    assert!(store.fetch(&owner, &[], WithVectors::Yes).await.expect("fetch").is_empty());
    store.update_sparse(&owner, vec![]).await.expect("update_sparse");
    let empty = point(chunk("file:///stop.md", 0, "the"), &[1.0; DIM], &[]);
    store.upsert(&owner, vec![empty.clone()]).await.expect("a chunk without terms");
    let got = store.fetch(&owner, &[empty.chunk.id], WithVectors::No).await.expect("fetch");
    assert_eq!(got.len(), 1, "a chunk without terms is stored");
    done(store, &owner).await;
}

async fn upkeep_changes_no_answer(store: &dyn VectorStore) {
    let owner = fresh(store, "suite-upkeep", fixture()).await;
    let legs = [dense(&[0.5, 0.5, 0.2, 0.1], 5), sparse(&[(2, 1.0), (3, 1.0)], 5)];
    let mut before = Vec::new();
    for leg in &legs {
        before.push(store.search(&owner, leg).await.expect("search"));
    }
    store.flush(&owner).await.expect("flush");
    store.optimize(&owner).await.expect("optimize");
    store.optimize(&owner).await.expect("optimize again");
    for (leg, want) in legs.iter().zip(&before) {
        let got = store.search(&owner, leg).await.expect("search");
        assert_same_ranking(&got, want, "search after flush and optimize");
    }
    assert_eq!(store.count(&owner).await.expect("count"), 5);
    done(store, &owner).await;
}

async fn collections_are_apart_and_drop_for_good(store: &dyn VectorStore) {
    let one = fresh(store, "suite-one", fixture()).await;
    let two = fresh(store, "suite-two", fixture()[..2].to_vec()).await;
    let document = fixture()[0].chunk.document;
    store.delete_document(&two, document, &[]).await.expect("delete");
    assert_eq!(store.count(&one).await.expect("count"), 5, "a delete stays in its collection");
    store.drop_collection(&one).await.expect("drop");
    store.drop_collection(&one).await.expect("drop again");
    assert_eq!(kind(store.count(&one).await), Some(ErrorKind::NotFound), "dropped is gone");
    store.create(&one, StoreSpec { dim: DIM + 3 }).await.expect("create with another spec");
    assert_eq!(store.count(&one).await.expect("count"), 0, "a new collection is empty");
    assert_eq!(store.count(&two).await.expect("count"), 0);
    done(store, &one).await;
    done(store, &two).await;
}

async fn versions_are_apart(store: &dyn VectorStore) {
    let one = fresh(store, "suite-versions", fixture()).await;
    let two = pass_at("suite-versions", "suite-versions@0123456789abcdef", Verb::Write);
    store.drop_collection(&two).await.expect("drop what an earlier run left");
    assert_eq!(kind(store.count(&two).await), Some(ErrorKind::NotFound), "none of another version");
    store.create(&two, StoreSpec { dim: DIM + 1 }).await.expect("a version has its own spec");
    assert_eq!(store.count(&two).await.expect("count"), 0);
    store.drop_collection(&one).await.expect("drop");
    assert_eq!(store.count(&two).await.expect("count"), 0, "a version outlives another");
    done(store, &two).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_store_conforms() {
        suite(&MemoryVectorStore::default()).await;
    }

    #[test]
    fn inverse_document_frequency_is_qdrants() {
        assert!((idf(5, 1) - 4f32.ln()).abs() < 1e-6);
        assert!(idf(5, 5) > 0.0 && idf(0, 0) > 0.0);
    }
}
