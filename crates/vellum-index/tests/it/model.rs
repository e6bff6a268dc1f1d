//! Random traces of operations give what the in-memory peer gives.
//!
//! Without graphs every result is equal, scores included. With indexes built in between, deleted
//! chunks of an indexed segment still count in document frequencies (as in Qdrant), so sparse
//! results are compared as sets there; and a graph over a handful of vectors can miss some, so dense
//! results must have the right scores and most of the right chunks.
//!
//! Every chunk has a term here: the engine miscounts vectors that are empty first and then are not.

use crate::support::{DIM, dense_leg, open, scratch, small, sparse_leg};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Bound;
use vellum_core::access::Verb;
use vellum_core::filter::{Field, Filter, Finite, Folder, Interval, Measure};
use vellum_core::ports::{Leg, LegVector, Point, ScoredId, StoreSpec, VectorStore, WithVectors};
use vellum_core::testing::MemoryVectorStore;
use vellum_core::testing::vector_store::{TOLERANCE, assert_same_ranking, chunk, pass, point};
use vellum_core::vector::SparseVector;
use vellum_index::{EdgeSettings, EdgeStore};

const N_DOCUMENTS: u64 = 6;
const N_CHUNKS: u32 = 12;

type Terms = Vec<(u32, f32)>;

#[derive(Debug, Clone)]
enum Operation {
    Upsert(Vec<(u64, u32, Vec<f32>, Terms)>),
    Delete(u64, Vec<u32>),
    UpdateSparse(Vec<(u64, u32, Terms)>),
    Dense(Vec<f32>, Option<Filter>, usize),
    Sparse(Terms, Option<Filter>, usize),
    Scan(Option<(u64, u32)>, usize, Option<Filter>),
    Fetch(Vec<(u64, u32)>, Option<Filter>),
    Flush,
    Optimize,
    Reopen,
}

fn uri(document: u64) -> String {
    let extension = ["md", "txt", "pdf"][(document % 3) as usize];
    format!("file:///{document}.{extension}")
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    let values = prop::collection::vec((-4i8..5).prop_map(f32::from), DIM);
    values.prop_map(|mut values| {
        if values.iter().all(|value| *value == 0.0) {
            values[0] = 1.0;
        }
        values
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    prop::collection::btree_map(0u32..12, (1u8..30).prop_map(|w| f32::from(w) / 8.0), 1..5)
        .prop_map(|terms| terms.into_iter().collect())
}

fn filter() -> impl Strategy<Value = Filter> {
    let document = 0..N_DOCUMENTS + 1;
    let leaf = prop_oneof![
        prop::collection::vec(document, 0..3).prop_map(|all| {
            let id = |n| chunk(&uri(n), 0, "").document.to_string();
            Filter::In(Field::Document, all.into_iter().map(id).collect())
        }),
        prop::sample::subsequence(vec!["text", "markdown", "pdf", "html"], 0..3).prop_map(
            |names| { Filter::In(Field::Format, names.into_iter().map(str::to_owned).collect(),) }
        ),
        Just(Filter::In(Field::Source, vec!["0.md".to_owned(), "1.txt".to_owned()])),
        (0u8..3, -2i32..2030, any::<bool>())
            .prop_map(|(kind, end, above)| within(kind, end, above)),
        prop::sample::select(vec!["author", "date", "none"]).prop_flat_map(|key| {
            let field = Field::Metadata(key.parse().unwrap());
            prop_oneof![
                Just(Filter::Exists(field.clone())),
                Just(Filter::In(field, vec!["C".to_owned(), "2024-02-29".to_owned()])),
            ]
        }),
        Just(Filter::Exists(Field::Title)),
        prop::sample::select(vec!["file:///", "file:///0"])
            .prop_map(|uri| Filter::Under(Folder::new(uri).unwrap())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

fn within(kind: u8, end: i32, above: bool) -> Filter {
    let measure = match kind {
        0 => Measure::Page,
        1 => Measure::Bytes,
        _ => Measure::Number("year".parse().unwrap()),
    };
    let end = Bound::Included(Finite::new(f64::from(end)).unwrap());
    let (from, to) = if above { (end, Bound::Unbounded) } else { (Bound::Unbounded, end) };
    Filter::Within(measure, Interval::new(from, to).unwrap())
}

fn operation() -> impl Strategy<Value = Operation> {
    let at = || (0..N_DOCUMENTS, 0..N_CHUNKS);
    let maybe = || prop::option::of(filter());
    let points =
        (at(), vector(), terms()).prop_map(|((n, o), dense, sparse)| (n, o, dense, sparse));
    let updates = (at(), terms()).prop_map(|((n, o), sparse)| (n, o, sparse));
    prop_oneof![
        6 => prop::collection::vec(points, 1..20).prop_map(Operation::Upsert),
        2 => (0..N_DOCUMENTS, prop::collection::vec(0..N_CHUNKS, 0..6))
            .prop_map(|(n, keep)| Operation::Delete(n, keep)),
        2 => prop::collection::vec(updates, 0..10).prop_map(Operation::UpdateSparse),
        4 => (vector(), maybe(), 1..30usize).prop_map(|(v, f, n)| Operation::Dense(v, f, n)),
        4 => (terms(), maybe(), 1..90usize).prop_map(|(t, f, n)| Operation::Sparse(t, f, n)),
        2 => (prop::option::of(at()), 0..40usize, maybe())
            .prop_map(|(after, n, f)| Operation::Scan(after, n, f)),
        2 => (prop::collection::btree_set(at(), 0..20), maybe())
            .prop_map(|(ids, f)| Operation::Fetch(ids.into_iter().collect(), f)),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Optimize),
        1 => Just(Operation::Reopen),
    ]
}

fn stored((n, ordinal, dense, sparse): &(u64, u32, Vec<f32>, Terms)) -> Point {
    point(chunk(&uri(*n), *ordinal, &format!("{n} {ordinal} {dense:?}")), dense, sparse)
}

fn id(n: u64, ordinal: u32) -> vellum_core::ids::ChunkId {
    chunk(&uri(n), ordinal, "").id
}

async fn same_search(edge: &EdgeStore, memory: &MemoryVectorStore, leg: &Leg, graphs: bool) {
    let owner = pass("model", Verb::Read);
    let got = edge.search(&owner, leg).await.unwrap();
    let want = memory.search(&owner, leg).await.unwrap();
    let ids = |hits: &[ScoredId]| hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>();
    match &leg.vector {
        _ if !graphs => assert_same_ranking(&got, &want, &format!("{leg:?}")),
        LegVector::Sparse(_) => {
            let all = Leg { limit: (N_DOCUMENTS as usize) * N_CHUNKS as usize, ..leg.clone() };
            let got = edge.search(&owner, &all).await.unwrap();
            let want = memory.search(&owner, &all).await.unwrap();
            assert_eq!(ids(&got), ids(&want), "{leg:?}");
        }
        LegVector::Dense(_) => {
            let all = memory.search(&owner, &Leg { limit: 1000, ..leg.clone() }).await.unwrap();
            for hit in &got {
                let exact = all.iter().find(|other| other.id == hit.id).expect("passes the filter");
                assert!((hit.score - exact.score).abs() < TOLERANCE, "{hit:?} and {exact:?}");
            }
            let cut = want.last().map_or(0.0, |hit| hit.score - TOLERANCE);
            let n_right = got.iter().filter(|hit| hit.score >= cut).count();
            assert!(
                n_right * 10 >= want.len() * 8,
                "{n_right} of {} ({} got) for {leg:?}",
                want.len(),
                got.len()
            );
        }
    }
}

async fn replay(trace: &[Operation], settings: EdgeSettings, graphs: bool) {
    let root = scratch();
    let mut edge = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
    let memory = MemoryVectorStore::default();
    let owner = pass("model", Verb::Write);
    let spec = StoreSpec { dim: DIM };
    edge.create(&owner, spec).await.unwrap();
    memory.create(&owner, spec).await.unwrap();
    for operation in trace {
        match operation {
            Operation::Upsert(points) => {
                // Within one batch the last of equal ids counts, but the engine promises no order.
                let mut seen = BTreeSet::new();
                let points: Vec<Point> =
                    points.iter().filter(|p| seen.insert((p.0, p.1))).map(stored).collect();
                edge.upsert(&owner, points.clone()).await.unwrap();
                memory.upsert(&owner, points).await.unwrap();
            }
            Operation::Delete(n, keep) => {
                let document = chunk(&uri(*n), 0, "").document;
                let keep: Vec<_> = keep.iter().map(|ordinal| id(*n, *ordinal)).collect();
                edge.delete_document(&owner, document, &keep).await.unwrap();
                memory.delete_document(&owner, document, &keep).await.unwrap();
            }
            Operation::UpdateSparse(updates) => {
                let mut seen = BTreeSet::new();
                let updates: Vec<_> = updates
                    .iter()
                    .filter(|update| seen.insert((update.0, update.1)))
                    .map(|(n, o, terms)| (id(*n, *o), SparseVector::from_pairs(terms.clone())))
                    .collect();
                edge.update_sparse(&owner, updates.clone()).await.unwrap();
                memory.update_sparse(&owner, updates).await.unwrap();
            }
            Operation::Dense(values, filter, limit) => {
                let leg = Leg { filter: filter.clone(), ..dense_leg(values, *limit) };
                same_search(&edge, &memory, &leg, graphs).await;
            }
            Operation::Sparse(terms, filter, limit) => {
                let leg = Leg { filter: filter.clone(), ..sparse_leg(terms, *limit) };
                same_search(&edge, &memory, &leg, graphs).await;
            }
            Operation::Scan(after, limit, filter) => {
                let after = after.map(|(n, ordinal)| id(n, ordinal));
                let got = edge.scan(&owner, after, *limit, filter.as_ref()).await.unwrap();
                let want = memory.scan(&owner, after, *limit, filter.as_ref()).await.unwrap();
                assert_eq!(got, want, "{operation:?}");
            }
            Operation::Fetch(ids, filter) => {
                let ids: Vec<_> = ids.iter().map(|(n, ordinal)| id(*n, *ordinal)).collect();
                let reader = filter.as_ref().map_or(owner.clone(), |f| owner.narrowed(f));
                let got = edge.fetch(&reader, &ids, WithVectors::Yes).await.unwrap();
                let want = memory.fetch(&reader, &ids, WithVectors::Yes).await.unwrap();
                assert_eq!(got.len(), want.len(), "{operation:?}");
                for (a, b) in got.iter().zip(&want) {
                    assert_eq!(a.chunk, b.chunk);
                    let (a, b) = (a.dense.as_ref().unwrap(), b.dense.as_ref().unwrap());
                    assert!(a.cosine(b) > 0.9999, "dense vector");
                }
                let n_got = edge.count(&reader).await.unwrap();
                assert_eq!(n_got, memory.count(&reader).await.unwrap(), "{operation:?}");
            }
            Operation::Flush => edge.flush(&owner).await.unwrap(),
            Operation::Optimize => edge.optimize(&owner).await.unwrap(),
            Operation::Reopen => {
                edge.flush(&owner).await.unwrap();
                drop(edge);
                edge = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
            }
        }
        assert_eq!(
            edge.count(&owner).await.unwrap(),
            memory.count(&owner).await.unwrap(),
            "count after {operation:?}"
        );
    }
    drop(edge);
    // What was dropped without a flush was closed in order.
    let edge = open(root.path());
    let got = edge.scan(&owner, None, 1000, None).await.unwrap();
    assert_eq!(got, memory.scan(&owner, None, 1000, None).await.unwrap());
}

fn run(trace: &[Operation], settings: EdgeSettings, graphs: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(replay(trace, settings, graphs));
}

/// Fewer traces than is usual, since each opens several stores.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 24 };
    ProptestConfig { cases, max_shrink_iters: 40, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn traces_agree_exactly(trace in prop::collection::vec(operation(), 1..40)) {
        run(&trace, EdgeSettings { index_from_chunks: 100_000, ..small() }, false);
    }

    #[test]
    fn traces_agree_while_the_log_is_cut(trace in prop::collection::vec(operation(), 1..30)) {
        let settings =
            EdgeSettings { index_from_chunks: 100_000, log_bytes: 1, log_file_bytes: 4096, ..small() };
        run(&trace, settings, false);
    }

    #[test]
    fn traces_agree_with_graphs(trace in prop::collection::vec(operation(), 1..40)) {
        run(&trace, EdgeSettings { index_from_chunks: 10, ..small() }, true);
    }
}
