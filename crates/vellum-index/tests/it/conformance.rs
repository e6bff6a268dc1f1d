//! The port's suite, and what the embedded store promises beyond it.

use crate::support::{DIM, created, dense_leg, document, numbered, open, scratch, small};
use std::fs;
use vellum_core::ErrorKind;
use vellum_core::access::Verb;
use vellum_core::filter::{Field, Filter};
use vellum_core::ports::{Leg, Precision, StoreSpec, VectorStore};
use vellum_core::testing::vector_store::{chunk, pass, point, suite};
use vellum_index::{EdgeSettings, EdgeStore, Quantization};

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes() {
    let root = scratch();
    suite(&EdgeStore::open(root.path().join("new/store")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_when_every_write_cuts_the_log() {
    let root = scratch();
    let settings = EdgeSettings { log_bytes: 1, log_file_bytes: 4096, ..small() };
    suite(&EdgeStore::open_with(root.path().to_owned(), settings).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_survive_a_reopen() {
    let root = scratch();
    for round in 0..4 {
        let store = open(root.path());
        let owner = created(&store, "kept").await;
        assert_eq!(store.count(&owner).await.unwrap(), round * 50);
        let points = (0..50).map(|n| numbered(round * 50 + n, 0)).collect();
        store.upsert(&owner, points).await.unwrap();
        store.flush(&owner).await.unwrap();
        if round == 2 {
            store.optimize(&owner).await.unwrap();
        }
        let wanted = numbered(round * 50 + 7, 0);
        let hits = store.search(&owner, &dense_leg(wanted.dense.as_slice(), 1)).await.unwrap();
        assert_eq!(hits[0].id, wanted.chunk.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_cut_a_graph_hide_nothing() {
    let root = scratch();
    let settings = EdgeSettings { index_from_chunks: 10, graph_edges: 4, ..small() };
    let store = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
    let owner = created(&store, "cut").await;
    for n in 0..400 {
        store.upsert(&owner, document(n, 1)).await.unwrap();
    }
    store.flush(&owner).await.unwrap();
    store.optimize(&owner).await.unwrap();
    for n in (0..400).filter(|n| n % 10 != 0) {
        let document = numbered(n, 0).chunk.document;
        store.delete_document(&owner, document, &[]).await.unwrap();
    }
    for n in 0..20 {
        let wanted = numbered(n, 7);
        let hits = store.search(&owner, &dense_leg(wanted.dense.as_slice(), 40)).await.unwrap();
        assert_eq!(hits.len(), 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_leaves_few_loses_none_to_quantisation() {
    let root = scratch();
    let quantization = Quantization::Binary;
    let settings = EdgeSettings { index_from_chunks: 10, quantization, ..small() };
    let store = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
    let owner = created(&store, "few").await;
    for n in 0..400 {
        store.upsert(&owner, document(n, 1)).await.unwrap();
    }
    store.flush(&owner).await.unwrap();
    store.optimize(&owner).await.unwrap();
    let some = (0..40).map(|n| numbered(n, 0).chunk.document.to_string()).collect();
    for n in 100..120 {
        let leg = dense_leg(numbered(n, 7).dense.as_slice(), 10);
        let leg = Leg { filter: Some(Filter::In(Field::Document, Vec::clone(&some))), ..leg };
        let exact = Leg { precision: Precision::Exact, ..leg.clone() };
        let want = store.search(&owner, &exact).await.unwrap();
        assert_eq!(store.search(&owner, &leg).await.unwrap(), want);
    }
}

/// Returns a vector of 64 dimensions near one of four topics; a bit of each dimension tells little more than the topic.
fn near_a_topic(n: u64) -> Vec<f32> {
    let normal = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        std::iter::repeat_with(move || (0..6).map(|_| uniform()).sum::<f32>() - 3.0)
    };
    normal(n % 4).zip(normal(100 + n)).map(|(topic, own)| topic + 0.5 * own).take(64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bits_lose_little_of_a_crowd() {
    let root = scratch();
    let quantization = Quantization::Binary;
    let settings = EdgeSettings { index_from_chunks: 10, quantization, ..small() };
    let store = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
    let owner = pass("crowd", Verb::Write);
    store.create(&owner, StoreSpec { dim: 64 }).await.unwrap();
    let crowd = (0..2_000).map(|n| {
        let chunk = chunk(&format!("mem:///{n}"), 0, "one of many");
        point(chunk, &near_a_topic(n), &[(1, 1.0)])
    });
    store.upsert(&owner, crowd.collect()).await.unwrap();
    store.flush(&owner).await.unwrap();
    store.optimize(&owner).await.unwrap();
    let (mut found, n_queries) = (0, 50);
    for n in 0..n_queries {
        let leg = dense_leg(&near_a_topic(10_000 + n), 10);
        let exact = Leg { precision: Precision::Exact, ..leg.clone() };
        let wanted = store.search(&owner, &exact).await.unwrap();
        let got = store.search(&owner, &leg).await.unwrap();
        found += got.iter().filter(|hit| wanted.iter().any(|it| it.id == hit.id)).count() as u64;
    }
    assert!(found >= n_queries * 19 / 2, "{found} of {}", n_queries * 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_does_not_grow_without_bound() {
    let root = scratch();
    let store = open(root.path());
    let owner = created(&store, "log").await;
    for round in 0..60 {
        store.upsert(&owner, document(round % 3, 40)).await.unwrap();
    }
    let log = root.path().join("log/wal");
    let n_files = fs::read_dir(log).unwrap().count();
    assert!(n_files <= 8, "{n_files} log files of 64 KiB");
    assert_eq!(store.count(&owner).await.unwrap(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_at_a_time_and_no_newer_format() {
    let root = scratch();
    let store = open(root.path());
    let second = EdgeStore::open(root.path().to_owned()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);
    assert!(second.hint().is_some());
    drop(store);
    fs::write(root.path().join(".format"), "2").unwrap();
    let newer = EdgeStore::open(root.path().to_owned()).unwrap_err();
    assert_eq!(newer.kind(), ErrorKind::TooNew);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_crash_are_removed_at_open() {
    let root = scratch();
    for leftover in [".trash-a", ".new-b"] {
        fs::create_dir_all(root.path().join(leftover).join("segments")).unwrap();
    }
    let store = open(root.path());
    let owner = pass("a", Verb::Write);
    assert_eq!(store.count(&owner).await.unwrap_err().kind(), ErrorKind::NotFound);
    created(&store, "a").await;
    store.drop_collection(&owner).await.unwrap();
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only .lock and .format: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_before_it_does_harm() {
    let root = scratch();
    let store = open(root.path());
    let owner = created(&store, "full").await;
    drop(store);
    let settings = EdgeSettings { reserve_bytes: u64::MAX / 2, ..small() };
    let store = EdgeStore::open_with(root.path().to_owned(), settings).unwrap();
    let full = Some(ErrorKind::NoSpace);
    let kind = |result: vellum_core::Result<()>| result.err().map(|error| error.kind());
    assert_eq!(kind(store.upsert(&owner, document(1, 1)).await), full);
    assert_eq!(kind(store.optimize(&owner).await), full);
    assert_eq!(kind(store.check().await), full);
    let other = pass("other", Verb::Write);
    assert_eq!(kind(store.create(&other, StoreSpec { dim: DIM }).await), full);
    assert_eq!(store.count(&owner).await.unwrap(), 0, "reads go on");
}
