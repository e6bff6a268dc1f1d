//! The journal of a study: one JSON document a line, on disk before the study goes on.
//!
//! ```text
//! DATA_DIR/tune/STUDY/journal.jsonl    what was recorded
//! DATA_DIR/tune/STUDY/lock             held while the study runs; the system releases it, however that ends
//! ```
//!
//! Means of trials that have not ended are made durable by the record after them; such a trial is run again in any case.
//! A line that a kill cut off was never acted on, and is taken away. Any other line that cannot be read is damage, and
//! nothing is written over it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::tune::record::Record;
use vellum_rag::tune::study;

/// An open journal that no other process writes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, made now if there is none, and returns it with what it holds.
    ///
    /// # Errors
    /// `Locked` while another process runs the study, `Corrupt` naming the line that cannot be read.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Record>)> {
        let failed = |what: &str, error| Error::io(format!("{what} `{}`", dir.display()), error);
        fs::create_dir_all(dir).map_err(|error| failed("make", error))?;
        let lock = lock(dir)?;
        let path = dir.join("journal.jsonl");
        let failed = |what: &str, error| Error::io(format!("{what} `{}`", path.display()), error);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed("open", error))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| failed("read", error))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let records = parse(&path, &text[..whole])?;
        file.set_len(whole as u64).map_err(|error| failed("shorten", error))?;
        file.seek(SeekFrom::End(0)).map_err(|error| failed("read", error))?;
        // The entry of a new file is part of its directory.
        sync_dir(dir)?;
        Ok((Self { path, file, _lock: lock }, records))
    }
}

impl study::Journal for Journal {
    fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).expect("records always serialise");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| match record {
            // Nothing but the trial's own end follows from a rung, and that record makes it durable too: a disk that is
            // waited for after each of them takes longer than the queries.
            Record::Rung { .. } => Ok(()),
            _ => self.file.sync_data(),
        });
        written.map_err(|error| Error::io(format!("write `{}`", self.path.display()), error))
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Record>> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|error| {
                let message = format!("`{}` line {} cannot be read", path.display(), index + 1);
                Error::new(ErrorKind::Corrupt, message)
                    .with_source(error)
                    .with_hint("move the folder of the study away to begin it anew")
            })
        })
        .collect()
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let failed = |error| Error::io(format!("lock `{}`", path.display()), error);
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    let mut lock = options.open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0).map_err(failed)?;
            write!(lock, "{}", std::process::id()).map_err(failed)?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            let message = format!("this study is being run by another vellum (pid {pid})");
            Err(Error::new(ErrorKind::Locked, message)
                .with_hint("wait for it to end; another `--seed` or space is another study"))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| Error::io(format!("write `{}`", dir.display()), error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_rag::tune::study::Journal as _;

    fn rung(trial: usize) -> Record {
        Record::Rung { trial, queries: 16, value: 0.5 }
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("tune/s");
        let (mut journal, records) = Journal::open(&dir).unwrap();
        assert!(records.is_empty());
        journal.append(&rung(0)).unwrap();
        journal.append(&rung(1)).unwrap();
        assert_eq!(Journal::open(&dir).unwrap_err().kind(), ErrorKind::Locked);
        drop(journal);
        let (_, records) = Journal::open(&dir).unwrap();
        assert_eq!(records, [rung(0), rung(1)]);
    }

    #[test]
    fn a_line_cut_off_anywhere_was_never_written() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("journal.jsonl");
        let (mut journal, _) = Journal::open(root.path()).unwrap();
        journal.append(&rung(0)).unwrap();
        let first = fs::read(&file).unwrap();
        journal.append(&rung(1)).unwrap();
        let both = fs::read(&file).unwrap();
        drop(journal);
        for end in first.len()..both.len() {
            fs::write(&file, &both[..end]).unwrap();
            let (mut journal, records) = Journal::open(root.path()).unwrap();
            assert_eq!(records, [rung(0)], "{end}");
            journal.append(&rung(2)).unwrap();
            drop(journal);
            assert_eq!(Journal::open(root.path()).unwrap().1, [rung(0), rung(2)], "{end}");
        }
    }

    #[test]
    fn damage_is_named_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("journal.jsonl");
        let (mut journal, _) = Journal::open(root.path()).unwrap();
        journal.append(&rung(0)).unwrap();
        drop(journal);
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str("not json\n");
        fs::write(&file, &text).unwrap();
        let error = Journal::open(root.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("line 2 cannot be read"), "{}", error.message());
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}
