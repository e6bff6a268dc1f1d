//! Measures what approximation and filters cost: `cargo run --release -p vellum-index --example bench_search -- 100000 [binary]`.
//!
//! Writes N chunks of 384 dimensions (clustered, as embeddings are), then for each kind of quantisation builds the graph and
//! prints one line of JSON: recall@10 against the exact search, median and 99th percentile of 200 dense searches in ms,
//! resident memory. Then the same for searches in which one chunk of a hundred passes a filter. A second argument leaves all
//! kinds out whose name does not end so.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, not a product")]

use serde_json::json;
use std::ops::Bound;
use std::path::Path;
use std::time::Instant;
use vellum_core::access::{Verb, VersionPass};
use vellum_core::filter::{Field, Filter, Finite, Interval, Measure};
use vellum_core::metadata::{Metadata, instant};
use vellum_core::ports::{Leg, LegVector, Point, Precision, ScoredId, StoreSpec, VectorStore};
use vellum_core::testing::vector_store::{chunk, pass, point};
use vellum_core::vector::Embedding;
use vellum_index::{EdgeSettings, EdgeStore, Quantization};

/// What the measuring process is told first.
const MEASURE: &str = "--measure";
/// Ways to search; without a graph every chunk is compared.
const KINDS: [(&str, Quantization); 4] = [
    ("no graph", Quantization::None),
    ("graph", Quantization::None),
    ("graph, scalar", Quantization::Scalar),
    ("graph, binary", Quantization::Binary),
];
const DIM: usize = 384;
const BATCH: u64 = 256;
/// Of filters without an index fewer: they are slow, and their times vary little.
const N_QUERIES: u64 = 200;
const N_SLOW: u64 = 10;

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number that is roughly normal.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 3.0
    }
}

fn dense(seed: u64) -> Vec<f32> {
    let mut own = Random::new(seed + 1_000_000);
    let mut topic = Random::new(own.next() % 500 + 1);
    (0..DIM).map(|_| topic.normal() + 0.7 * own.normal()).collect()
}

fn numbered(n: u64) -> Point {
    let text = format!("chunk {n}: {}", "some words of a text that is not long ".repeat(18));
    let mut chunk = chunk(&format!("file:///docs/{}.md", n / 5), (n % 5) as u32, &text);
    let part = n % 100;
    let date = format!("2024-{:02}-{:02}", part / 28 + 1, part % 28 + 1);
    let entries = [("part", part.to_string()), ("subject", part.to_string()), ("date", date)];
    chunk.metadata = Metadata::of(&entries.map(|(key, value)| (key.to_owned(), value)).into());
    point(chunk, &dense(n), &[(n as u32 % 1000, 1.0)])
}

fn rss_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kb =
        line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok());
    (kb.unwrap_or(0.0) / 102.4f64).round() / 10.0
}

fn leg(seed: u64, filter: Option<Filter>, precision: Precision) -> Leg {
    let vector = LegVector::Dense(Embedding::normalised(dense(seed)).unwrap());
    Leg { vector, filter, limit: 10, precision }
}

/// Prints recall and times of searches with `filter`.
async fn measure(store: &EdgeStore, owner: &VersionPass, name: &str, filter: Option<&Filter>) {
    let mut times = Vec::new();
    let (mut exact_times, mut hits, mut wanted) = (Vec::new(), 0, 0);
    let n_queries = if name.ends_with("not indexed") { N_SLOW } else { N_QUERIES };
    for n in 0..n_queries {
        let seed = 900_000_000 + n * 7919;
        let began = Instant::now();
        let got = store.search(owner, &leg(seed, filter.cloned(), Precision::Usual)).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let exact =
            store.search(owner, &leg(seed, filter.cloned(), Precision::Exact)).await.unwrap();
        exact_times.push(began.elapsed().as_secs_f64() * 1e3);
        let is_right = |hit: &&ScoredId| exact.iter().any(|other| other.id == hit.id);
        hits += got.iter().filter(is_right).count();
        wanted += exact.len();
    }
    let quantile = |times: &mut Vec<f64>, q: f64| {
        times.sort_by(f64::total_cmp);
        (times[((times.len() - 1) as f64 * q) as usize] * 100.0).round() / 100.0
    };
    let line = json!({
        "search": name,
        "recall_at_10": (hits as f64 / wanted.max(1) as f64 * 1e4).round() / 1e4,
        "found_exactly": wanted,
        "p50_ms": quantile(&mut times, 0.5),
        "p99_ms": quantile(&mut times, 0.99),
        "exact_p50_ms": quantile(&mut exact_times, 0.5),
        "rss_mb": rss_mb("VmRSS"),
        "anonymous_mb": rss_mb("RssAnon"),
    });
    println!("{line}");
}

/// Measures in a process of its own, whose memory is not that of building.
fn measure_apart(dir: &Path, n: u64, name: &str) {
    let (program, n) = (std::env::current_exe().unwrap(), n.to_string());
    let mut child = std::process::Command::new(program);
    let status =
        child.args([MEASURE.as_ref(), dir.as_os_str(), n.as_ref(), name.as_ref()]).status();
    assert!(status.unwrap().success());
}

fn open(dir: &Path, n: u64, name: &str) -> EdgeStore {
    let (_, quantization) = KINDS.into_iter().find(|(kind, _)| *kind == name).unwrap();
    let has_graph = name != KINDS[0].0;
    let index_from_chunks = if has_graph { (n / 4).max(1_000) as usize } else { usize::MAX >> 16 };
    let settings = EdgeSettings { quantization, index_from_chunks, ..EdgeSettings::default() };
    EdgeStore::open_with(dir.to_owned(), settings).unwrap()
}

async fn measure_all(dir: &Path, n: u64, kind: &str) {
    let (store, owner) = (open(dir, n, kind), pass("bench", Verb::Write));
    let name = |name: &str| name.parse().unwrap();
    let day = instant("2024-01-08").unwrap() as f64;
    let end = Finite::new(day).unwrap();
    let that_day = Interval::new(Bound::Included(end), Bound::Included(end)).unwrap();
    let seven = vec!["7".to_owned()];
    let filters = [
        ("1% by metadata", Filter::In(Field::Metadata(name("part")), seven.clone())),
        ("1% by date", Filter::Within(Measure::Date(name("date")), that_day)),
        ("1% by subject, not indexed", Filter::In(Field::Metadata(name("subject")), seven)),
    ];
    let n_filters = if kind == KINDS[0].0 { 3 } else { 2 };
    measure(&store, &owner, kind, None).await;
    for (by, filter) in &filters[..n_filters] {
        measure(&store, &owner, &format!("{kind}, {by}"), Some(filter)).await;
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir, n, kind] = args.as_slice()
        && mode == MEASURE
    {
        return measure_all(Path::new(dir), n.parse().unwrap(), kind).await;
    }
    let n: u64 = args.first().map_or(20_000, |n| n.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let (dir, owner) = (scratch.path().join("store"), pass("bench", Verb::Write));
    let store = open(&dir, n, KINDS[0].0);
    store.create(&owner, StoreSpec { dim: DIM }).await.unwrap();
    let began = Instant::now();
    for from in (0..n).step_by(BATCH as usize) {
        let points = (from..n.min(from + BATCH)).map(numbered).collect();
        store.upsert(&owner, points).await.unwrap();
    }
    store.flush(&owner).await.unwrap();
    println!("{}", json!({ "chunks": n, "write_s": began.elapsed().as_secs_f64() }));
    drop(store);
    for (kind, _) in KINDS {
        if args.get(1).is_some_and(|only| !kind.ends_with(only)) {
            continue;
        }
        let store = open(&dir, n, kind);
        let began = Instant::now();
        store.optimize(&owner).await.unwrap();
        println!("{}", json!({ "optimize": kind, "s": began.elapsed().as_secs_f64() }));
        drop(store);
        measure_apart(&dir, n, kind);
    }
}
