//! Measures the embedded store: `cargo run --release -p vellum-index --example bench_index -- 50000`.
//!
//! Writes N chunks of 384 dimensions (clustered, as embeddings are) and about 60 terms (Zipf), and
//! prints one JSON document: rates, latencies before and after `optimize`, recall@10 against brute
//! force, reload time, bytes on disk and resident memory (its peak while writing, too).

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, not a product")]

use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use vellum_core::access::{Verb, VersionPass};
use vellum_core::ids::ChunkId;
use vellum_core::ports::{Leg, LegVector, Point, Precision, StoreSpec, VectorStore};
use vellum_core::testing::vector_store::{chunk, pass, point};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_index::EdgeStore;

const DIM: usize = 384;
const BATCH: usize = 256;
const FLUSH_EVERY: usize = 8;
const N_QUERIES: u64 = 300;
const N_RECALL: u64 = 60;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Returns a number that is roughly normal.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.unit()).sum::<f32>() - 3.0
    }
}

fn random(seed: u64) -> Random {
    Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

fn dense(seed: u64) -> Vec<f32> {
    let mut own = random(seed + 1_000_000);
    let mut topic = random(own.next() % 500 + 1);
    (0..DIM).map(|_| topic.normal() + 0.7 * own.normal()).collect()
}

fn sparse(seed: u64, n: usize) -> Vec<(u32, f32)> {
    let mut random = random(seed + 2_000_000);
    (0..n).map(|_| (30_000f32.powf(random.unit()) as u32, 0.5 + 2.0 * random.unit())).collect()
}

fn numbered(n: u64) -> Point {
    let text = format!("chunk {n}: {}", "some words of a text that is not long ".repeat(18));
    let chunk = chunk(&format!("file:///docs/{}.md", n / 5), (n % 5) as u32, &text);
    point(chunk, &dense(n), &sparse(n, 60))
}

fn status_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kb =
        line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok());
    kb.unwrap_or(0.0) / 1024.0
}

fn memory() -> Value {
    json!({
        "rss_mb": status_mb("VmRSS"),
        "anonymous_mb": status_mb("RssAnon"),
        "file_mb": status_mb("RssFile"),
        "peak_mb": status_mb("VmHWM"),
    })
}

async fn latencies(
    store: &EdgeStore,
    reader: &VersionPass,
    vector: impl Fn(u64) -> LegVector,
) -> Value {
    let mut all = Vec::new();
    for query in 0..N_QUERIES {
        let leg =
            Leg { vector: vector(query), filter: None, limit: 100, precision: Precision::Usual };
        let start = Instant::now();
        store.search(reader, &leg).await.unwrap();
        all.push(start.elapsed().as_secs_f64() * 1e3);
    }
    all.sort_by(f64::total_cmp);
    json!({"p50_ms": all[all.len() / 2], "p99_ms": all[all.len() * 99 / 100]})
}

async fn searches(store: &EdgeStore, reader: &VersionPass, n: u64) -> Value {
    let embed = |query| Embedding::normalised(dense(query + 7 * n)).unwrap();
    let dense = latencies(store, reader, |query| LegVector::Dense(embed(query))).await;
    let terms = |query| SparseVector::from_pairs(sparse(query + 9 * n, 6));
    let sparse = latencies(store, reader, |query| LegVector::Sparse(terms(query))).await;
    json!({"dense": dense, "sparse": sparse})
}

async fn recall(store: &EdgeStore, reader: &VersionPass, n: u64) -> f64 {
    let all: Vec<(ChunkId, Embedding)> = (0..n)
        .map(|at| (numbered(at).chunk.id, Embedding::normalised(dense(at)).unwrap()))
        .collect();
    let mut found = 0;
    for query in 0..N_RECALL {
        let query = Embedding::normalised(dense(query + 7 * n)).unwrap();
        let mut exact: Vec<(f32, ChunkId)> =
            all.iter().map(|(id, vector)| (query.cosine(vector), *id)).collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let leg = Leg {
            vector: LegVector::Dense(query),
            filter: None,
            limit: 10,
            precision: Precision::Usual,
        };
        let hits = store.search(reader, &leg).await.unwrap();
        found += exact[..10].iter().filter(|(_, id)| hits.iter().any(|hit| hit.id == *id)).count();
    }
    found as f64 / (N_RECALL * 10) as f64
}

fn occupied(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(path).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => occupied(&entry.path()),
            metadata => metadata.blocks() * 512,
        })
        .sum()
}

#[tokio::main]
async fn main() {
    let n: u64 = std::env::args().nth(1).map_or(10_000, |n| n.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let open = || EdgeStore::open(root.path().to_owned()).unwrap();
    let owner = pass("bench", Verb::Write);
    let mut store = open();
    store.create(&owner, StoreSpec { dim: DIM }).await.unwrap();
    let empty = memory();

    let (mut writing, mut slowest_flush, mut first) = (0.0, 0.0f64, Value::Null);
    let numbers: Vec<u64> = (0..n).collect();
    for (index, batch) in numbers.chunks(BATCH).enumerate() {
        let points: Vec<Point> = batch.iter().map(|at| numbered(*at)).collect();
        let start = Instant::now();
        store.upsert(&owner, points).await.unwrap();
        if index % FLUSH_EVERY == 0 {
            let flush = Instant::now();
            store.flush(&owner).await.unwrap();
            slowest_flush = slowest_flush.max(flush.elapsed().as_secs_f64());
        }
        writing += start.elapsed().as_secs_f64();
        if index == 0 {
            first = memory();
        }
    }
    store.flush(&owner).await.unwrap();
    let written = memory();
    let plain = searches(&store, &owner, n).await;

    let start = Instant::now();
    store.optimize(&owner).await.unwrap();
    let optimize_s = start.elapsed().as_secs_f64();
    let optimized_memory = memory();
    let optimized = searches(&store, &owner, n).await;
    let recall_at_10 = recall(&store, &owner, n).await;
    drop(store);

    let start = Instant::now();
    store = open();
    let count = store.count(&owner).await.unwrap();
    let reload_s = start.elapsed().as_secs_f64();
    let report = json!({
        "chunks": count,
        "upserts_per_s": n as f64 / writing,
        "slowest_flush_s": slowest_flush,
        "optimize_s": optimize_s,
        "reload_s": reload_s,
        "search_before_optimize": plain,
        "search_after_optimize": optimized,
        "recall_at_10": recall_at_10,
        "disk_mb": occupied(root.path()) as f64 / 1e6,
        "memory": {
            "empty": empty,
            "first_batch": first,
            "written": written,
            "optimized": optimized_memory,
            "reloaded": memory(),
        },
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}
