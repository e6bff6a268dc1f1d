//! What must at least be there: lengths of the files whose damage the engine would not notice.
//!
//! When a segment's id files are cut short or its version file is missing, the engine opens the
//! segment with fewer points or removes it, as it must after a crash in the middle of a write. So
//! each flush records how long those files are. They only grow until `optimize` replaces their segment;
//! while the marker of `optimize` exists, the inventory says nothing.

use crate::disk;
use crate::error::corrupt;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as Os;
use std::path::Path;
use vellum_core::{Error, Result};

const NAME: &str = "inventory.json";
/// The guarded files of a segment: the engine's two kinds of id trackers, and the mark of a segment
/// that was written to its end.
const GUARDED: [&str; 5] = [
    "version.info",
    "id_tracker.mappings",
    "id_tracker.versions",
    "mutable_id_tracker.mappings",
    "mutable_id_tracker.versions",
];

/// Lengths in bytes by path below the directory of segments.
type Lengths = BTreeMap<String, u64>;

/// Records the present lengths, durably. The caller has just flushed, and nothing is written.
pub(crate) fn record(dir: &Path, segments: &Path) -> Result<()> {
    let path = dir.join(NAME);
    let failed = |error| Error::io(format!("write `{}`", path.display()), error);
    let mut lengths = Lengths::new();
    for entry in fs::read_dir(segments).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        for file in GUARDED {
            if let Ok(metadata) = fs::metadata(entry.path().join(file)) {
                let segment = entry.file_name();
                lengths.insert(format!("{}/{file}", segment.to_string_lossy()), metadata.len());
            }
        }
    }
    let json = serde_json::to_vec(&lengths).map_err(|error| failed(error.into()))?;
    disk::write(dir, NAME, &json)
}

/// Fails with `Corrupt` when a recorded file is missing or shorter than it was.
pub(crate) fn check(dir: &Path, segments: &Path) -> Result<()> {
    let path = dir.join(NAME);
    let json = match fs::read(&path) {
        Ok(json) => json,
        // A collection that was created and never flushed.
        Err(error) if error.kind() == Os::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("read `{}`", path.display()), error)),
    };
    let lengths: Lengths = serde_json::from_slice(&json)
        .map_err(|e| corrupt(format!("`{}` is not readable", path.display())).with_source(e))?;
    for (file, recorded) in lengths {
        let path = segments.join(&file);
        let length = fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
        if length < recorded {
            let message = format!("`{}` has {length} bytes, of {recorded}", path.display());
            return Err(corrupt(message));
        }
    }
    Ok(())
}
