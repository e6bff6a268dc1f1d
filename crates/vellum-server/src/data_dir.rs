//! The data directory: one process owns it, and tells the others where it listens.
//!
//! ```text
//! VERSION        version of the layout; a newer one is refused, never touched
//! lock           held by the owner; the system releases it when the owner ends, however it ends
//! server.json    address and token of the owner while it serves, readable by its user only
//! vellum.db      collections, ledger, jobs
//! index/         vectors, a folder for each index version
//! originals/     documents that came with imported collections
//! datasets/      datasets of collections, and what their versions were worth on them
//! tune/          studies, each with a lock of its own
//! evals/         experiments, and indexes of datasets; not the owner's alone, each has a rule of its own
//! ```

use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use vellum_core::{Error, ErrorKind, Result};

/// Version of the layout that this build reads and writes.
const LAYOUT: u32 = 1;

/// A data directory that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

/// Where the owner of a data directory listens.
#[derive(Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address.
    pub address: SocketAddr,
    /// Path below which everything is served.
    pub base_path: String,
    /// Token of the local user.
    pub token: String,
    /// Process id.
    pub pid: u32,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({}, pid {})", self.address, self.pid)
    }
}

/// What opening a data directory finds.
#[derive(Debug)]
pub enum Opened {
    /// This process owns it now.
    Owned(DataDir),
    /// Another process owns it and serves.
    Served(Endpoint),
}

/// Returns the platform's data directory for Vellum.
///
/// # Errors
/// `Invalid` when the home directory is unknown.
pub fn platform_dir() -> Result<PathBuf> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        Error::new(ErrorKind::Invalid, "the home directory is unknown")
            .with_source(error)
            .with_hint("set VELLUM_DATA_DIR")
    })?;
    Ok(strategy.data_dir().join("vellum"))
}

/// Opens the data directory at `path`, made now if there is none, or finds who serves it.
///
/// # Errors
/// `Locked` when another process owns it without serving, `TooNew` when a newer version wrote it,
/// `NoSpace` or `Io` when it cannot be written.
pub fn open(path: &Path) -> Result<Opened> {
    let failed = |what: &str, error| {
        Error::io(format!("{what} data directory `{}`", path.display()), error)
            .with_hint("set VELLUM_DATA_DIR to a directory that can be written")
    };
    fs::create_dir_all(path).map_err(|error| failed("make", error))?;
    let path = path.canonicalize().map_err(|error| failed("find", error))?;
    check_version(&path)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(|error| failed("lock", error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return other_owner(&path),
        Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
    }
    // What a crashed owner left says where nobody listens any more.
    remove_if_there(&path.join("server.json"))?;
    write_version(&path)?;
    Ok(Opened::Owned(DataDir { path, _lock: lock }))
}

fn other_owner(path: &Path) -> Result<Opened> {
    if let Ok(text) = fs::read_to_string(path.join("server.json"))
        && let Ok(endpoint) = serde_json::from_str(&text)
    {
        return Ok(Opened::Served(endpoint));
    }
    let message =
        format!("data directory `{}` is in use by another vellum process", path.display());
    Err(Error::new(ErrorKind::Locked, message)
        .with_hint("wait for it to end, or set VELLUM_DATA_DIR to another directory"))
}

fn check_version(path: &Path) -> Result<()> {
    let file = path.join("VERSION");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("read `{}`", file.display()), error)),
    };
    let found: u32 = text.trim().parse().map_err(|_| {
        Error::new(
            ErrorKind::Corrupt,
            format!("`{}` does not hold a version number", file.display()),
        )
        .with_hint("this may not be a data directory of vellum; set VELLUM_DATA_DIR to another")
    })?;
    if found > LAYOUT {
        let message = format!(
            "data directory `{}` has layout {found}; this vellum reads up to {LAYOUT}",
            path.display()
        );
        return Err(Error::new(ErrorKind::TooNew, message).with_hint(
            "use the newer vellum that wrote it, or set VELLUM_DATA_DIR to another directory",
        ));
    }
    Ok(())
}

fn write_version(path: &Path) -> Result<()> {
    let file = path.join("VERSION");
    if file.exists() {
        return Ok(());
    }
    fs::write(&file, format!("{LAYOUT}\n"))
        .map_err(|error| Error::io(format!("write `{}`", file.display()), error))
}

fn remove_if_there(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove `{}`", file.display()), error))
        }
        _ => Ok(()),
    }
}

impl DataDir {
    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells other processes where this one listens; readable by its user only.
    ///
    /// # Errors
    /// `NoSpace` or `Io` when it cannot be written.
    pub fn announce(&self, endpoint: &Endpoint) -> Result<()> {
        let file = self.path.join("server.json");
        let partial = self.path.join("server.json.partial");
        let failed = |error| Error::io(format!("write `{}`", file.display()), error);
        remove_if_there(&partial)?;
        let mut options = File::options();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = serde_json::to_vec(endpoint).expect("plain structs always serialise");
        let mut writer = options.open(&partial).map_err(failed)?;
        writer.write_all(&text).map_err(failed)?;
        fs::rename(&partial, &file).map_err(failed)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Another process that reads a leftover finds the lock free and ignores it.
        let _ = fs::remove_file(self.path.join("server.json"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(path: &Path) -> DataDir {
        match open(path).unwrap() {
            Opened::Owned(dir) => dir,
            Opened::Served(endpoint) => panic!("served by {endpoint:?}"),
        }
    }

    #[test]
    fn one_owner_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let dir = owned(root.path());
        assert_eq!(open(root.path()).unwrap_err().kind(), ErrorKind::Locked);
        let address = "127.0.0.1:7117".parse().unwrap();
        let token = "secret".to_owned();
        dir.announce(&Endpoint { address, base_path: String::new(), token, pid: 1 }).unwrap();
        let Opened::Served(endpoint) = open(root.path()).unwrap() else { panic!("owned twice") };
        assert_eq!(endpoint.token, "secret");
        assert!(!format!("{endpoint:?}").contains("secret"));
        drop(dir);
        owned(root.path());
    }

    #[test]
    fn a_newer_layout_is_refused_untouched() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("VERSION"), "99\n").unwrap();
        assert_eq!(open(root.path()).unwrap_err().kind(), ErrorKind::TooNew);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
