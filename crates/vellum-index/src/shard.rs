//! The engine's shard of one collection: created whole, opened, checked and repaired.
//!
//! The engine (`EdgeShard`, qdrant-edge 0.7.2) behaves as follows, and the code here answers it:
//!
//! - Its log is written and never read back: what was not flushed to the segments is lost in a
//!   crash. Its log also never shrinks. Only the numbering matters, because points older than an
//!   operation's number are skipped; so all closed log files but the last are removed before a load
//!   ([`cut_log`]).
//! - A load makes an empty shard out of missing directories, and passes over some damage in silence;
//!   `inventory.rs` is asked first.
//! - A crash inside `optimize` can leave the old and the new copy of points in two segments. A marker
//!   file tells of such a crash, and `repair.rs` then unites the copies.
//! - Segments under construction live in `temp_segments` and are worthless after a crash.

use crate::convert::{DENSE, SPARSE, indexes};
use crate::error::{corrupt, from_engine, guarded};
use crate::settings::EdgeSettings;
use crate::{convert, disk, inventory, repair};
use qdrant_edge::{
    CreateIndex, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeSparseVectorParams,
    EdgeVectorParams, FieldIndexOperations, HnswIndexConfig, Modifier, UpdateOperation, WalOptions,
};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use vellum_core::ports::StoreSpec;
use vellum_core::{Error, ErrorKind, Result};

/// Name of the file that exists while `optimize` runs.
const OPTIMIZING: &str = "optimizing";
/// Name of the engine's directory of segments.
const SEGMENTS: &str = "segments";

/// Creates an empty collection at `dir`, which appears only when it is complete.
pub(crate) fn create(dir: &Path, spec: StoreSpec, settings: &EdgeSettings) -> Result<()> {
    let operation = format!("create `{}`", dir.display());
    let engine = |error| from_engine(&operation, &error);
    let staged = disk::stage(dir)?;
    let shard = guarded(&operation, || {
        EdgeShard::new(&staged, config(spec.dim, settings)).map_err(engine)
    })?;
    let filled = guarded(&operation, || {
        for (field_name, schema) in indexes() {
            let index = CreateIndex { field_name, field_schema: Some(schema) };
            let create = FieldIndexOperations::CreateIndex(index);
            shard.update(UpdateOperation::FieldIndexOperation(create)).map_err(engine)?;
        }
        Ok(())
    });
    filled.and(close(shard, &operation))?;
    disk::publish(&staged, dir)
}

/// Opens the collection at `dir`.
///
/// # Errors
/// `Corrupt` when files are missing or damaged.
pub(crate) fn load(dir: &Path, settings: &EdgeSettings) -> Result<EdgeShard> {
    let operation = format!("open `{}`", dir.display());
    let engine = |error| from_engine(&operation, &error);
    let crashed = dir.join(OPTIMIZING).exists();
    must_be_complete(dir, crashed)?;
    disk::remove(&dir.join("temp_segments"))?;
    cut_log(dir)?;
    let open = || {
        guarded(&operation, || {
            let stored = EdgeConfig::load(dir)
                .ok_or_else(|| corrupt(format!("{operation}: edge_config.json is missing")))?
                .map_err(engine)?;
            let dim =
                dim_of(&stored).ok_or_else(|| corrupt(format!("{operation}: no dense vector")))?;
            EdgeShard::load(dir, Some(config(dim, settings))).map_err(engine)
        })
    };
    let shard = disk::patiently(open, |error| error.kind() == ErrorKind::Locked)?;
    if !crashed {
        return Ok(shard);
    }
    let flushed = || flush(&shard, dir, &operation);
    let repaired = guarded(&operation, || repair::unite_copies(&shard, dir, engine, flushed))
        .and_then(|()| flushed())
        .and_then(|()| end_optimizing(dir));
    match repaired {
        Ok(()) => Ok(shard),
        Err(error) => {
            // Its own failure would hide the first one.
            let _ = close(shard, &operation);
            Err(error)
        }
    }
}

/// Makes everything written durable: the engine syncs its log, then every segment.
///
/// No write and no end of `optimize` may run meanwhile: the engine panics when it finds a lock taken.
pub(crate) fn flush(shard: &EdgeShard, dir: &Path, operation: &str) -> Result<()> {
    guarded(operation, || {
        shard.flush();
        Ok(())
    })?;
    inventory::record(dir, &dir.join(SEGMENTS))
}

/// Closes the shard, which flushes it.
///
/// A shard must never be dropped while a panic unwinds: its `drop` may panic too, which aborts.
pub(crate) fn close(shard: EdgeShard, operation: &str) -> Result<()> {
    guarded(operation, || {
        drop(shard);
        Ok(())
    })
}

/// Returns the dimensions of the dense vector.
pub(crate) fn dim_of(config: &EdgeConfig) -> Option<usize> {
    config.vectors.get(DENSE).map(|params| params.size)
}

/// Notes that `optimize` is running, so that a crash is recognised.
pub(crate) fn begin_optimizing(dir: &Path) -> Result<()> {
    let path = dir.join(OPTIMIZING);
    fs::write(&path, []).map_err(|e| Error::io(format!("create `{}`", path.display()), e))?;
    disk::sync_dir(dir)
}

/// Notes that `optimize` has ended and that its result is durable.
pub(crate) fn end_optimizing(dir: &Path) -> Result<()> {
    let path = dir.join(OPTIMIZING);
    fs::remove_file(&path).map_err(|e| Error::io(format!("remove `{}`", path.display()), e))
}

fn config(dim: usize, settings: &EdgeSettings) -> EdgeConfig {
    // Thresholds of the engine are kilobytes of dense vectors.
    let threshold_kb = (settings.index_from_chunks * dim * size_of::<f32>()).div_ceil(1024).max(1);
    let dense = EdgeVectorParams {
        size: dim,
        distance: Distance::Cosine,
        on_disk: Some(true),
        multivector_config: None,
        datatype: None,
        quantization_config: convert::quantization(settings.quantization),
        hnsw_config: None,
    };
    let sparse = EdgeSparseVectorParams {
        on_disk: Some(true),
        modifier: Some(Modifier::Idf),
        ..EdgeSparseVectorParams::default()
    };
    EdgeConfig {
        on_disk_payload: true,
        vectors: [(DENSE.to_owned(), dense)].into(),
        sparse_vectors: [(SPARSE.to_owned(), sparse)].into(),
        hnsw_config: HnswIndexConfig {
            m: settings.graph_edges,
            ef_construct: settings.graph_build_beam,
            full_scan_threshold: threshold_kb,
            max_indexing_threads: settings.index_threads,
            on_disk: Some(true),
            payload_m: None,
            inline_storage: None,
        },
        quantization_config: None,
        optimizers: EdgeOptimizersConfig {
            // Deleted chunks count in document frequencies until a segment is rewritten.
            deleted_threshold: Some(0.1),
            vacuum_min_vector_number: Some(500),
            // Few segments: each costs memory and a part of every search.
            default_segment_number: Some(2),
            max_segment_size: None,
            indexing_threshold: Some(threshold_kb),
            prevent_unoptimized: None,
        },
        wal_options: Some(WalOptions {
            segment_capacity: settings.log_file_bytes,
            segment_queue_len: 0,
            retain_closed: NonZeroUsize::MIN,
        }),
    }
}

fn must_be_complete(dir: &Path, crashed: bool) -> Result<()> {
    let segments = dir.join(SEGMENTS);
    let some = fs::read_dir(&segments)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()));
    if !some {
        return Err(corrupt(format!("open `{}`: it holds no segment", dir.display())));
    }
    if crashed { Ok(()) } else { inventory::check(dir, &segments) }
}

/// Removes the closed log files except the last, which carries the numbering on.
fn cut_log(dir: &Path) -> Result<()> {
    let log = dir.join("wal");
    let failed = |error| Error::io(format!("cut the log in `{}`", log.display()), error);
    let mut closed: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&log).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let start =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("closed-")?.parse().ok());
        closed.extend(start.map(|start| (start, entry.path())));
    }
    closed.sort();
    closed.pop();
    // Ascending, so that a crash in between leaves no gap.
    for (_, path) in closed {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}
