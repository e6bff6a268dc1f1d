//! Collections and points for tests.

use std::path::Path;
use vellum_core::access::{Verb, VersionPass};
use vellum_core::ports::{Leg, LegVector, Point, Precision, StoreSpec, VectorStore};
use vellum_core::testing::vector_store::{chunk, pass, point};
use vellum_core::vector::{Embedding, SparseVector};
use vellum_index::{EdgeSettings, EdgeStore};

/// Dimensions of test vectors.
pub(crate) const DIM: usize = 8;

/// Returns a directory in memory where there is one: the tests sync often and survive no power loss.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Small files and early indexes, so that little data exercises everything.
pub(crate) fn small() -> EdgeSettings {
    EdgeSettings {
        index_from_chunks: 40,
        index_threads: 1,
        log_file_bytes: 64 << 10,
        log_bytes: 128 << 10,
        reserve_bytes: 0,
        ..EdgeSettings::default()
    }
}

pub(crate) fn open(root: &Path) -> EdgeStore {
    EdgeStore::open_with(root.to_owned(), small()).unwrap()
}

pub(crate) async fn created(store: &EdgeStore, name: &str) -> VersionPass {
    let owner = pass(name, Verb::Write);
    store.create(&owner, StoreSpec { dim: DIM }).await.unwrap();
    owner
}

/// Returns a number in `0..n` that depends on `seed` alone.
pub(crate) fn pick(seed: u64, n: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % n
}

/// Returns the `ordinal`-th point of document `n`: always the same.
pub(crate) fn numbered(n: u64, ordinal: u32) -> Point {
    let seed = n * 1000 + u64::from(ordinal);
    let dense: Vec<f32> =
        (0..DIM as u64).map(|i| pick(seed * 31 + i, 2001) as f32 / 1000.0 - 0.9999).collect();
    let sparse: Vec<(u32, f32)> = (0..6)
        .map(|i| (pick(seed * 37 + i, 60) as u32, 0.5 + pick(seed * 41 + i, 100) as f32 / 50.0))
        .collect();
    let text =
        format!("document {n}, chunk {ordinal}: {}", "words ".repeat(pick(seed, 40) as usize));
    point(chunk(&format!("file:///{n}.md"), ordinal, &text), &dense, &sparse)
}

pub(crate) fn document(n: u64, n_chunks: u32) -> Vec<Point> {
    (0..n_chunks).map(|ordinal| numbered(n, ordinal)).collect()
}

pub(crate) fn dense_leg(values: &[f32], limit: usize) -> Leg {
    let vector = LegVector::Dense(Embedding::normalised(values.to_vec()).unwrap());
    Leg { vector, filter: None, limit, precision: Precision::Usual }
}

pub(crate) fn sparse_leg(pairs: &[(u32, f32)], limit: usize) -> Leg {
    let vector = LegVector::Sparse(SparseVector::from_pairs(pairs.to_vec()));
    Leg { vector, filter: None, limit, precision: Precision::Usual }
}
