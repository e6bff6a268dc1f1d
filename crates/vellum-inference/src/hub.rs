//! Model folders from a model hub, pinned by digest.
//!
//! ```text
//! in the cache with the right digest? -> done, no network
//! else: GET {endpoint}/{id}/resolve/{revision}/{file} per file -> partial folder -> digest -> rename
//! ```
//!
//! A folder appears in the cache whole and with the pinned digest, or not at all. Where no hub can be
//! reached the error says which files to put where. Access tokens are deliberately not supported:
//! fetch a gated model by hand.

use crate::folder::{Folder, GRAPHS, SETTINGS, TOKENIZER};
use futures::StreamExt;
use reqwest::{Client, Response, StatusCode};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use vellum_core::{Error, ErrorKind, Result};

/// The public hub.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// The largest file that is taken, in bytes; embedding models above 8 GiB do not fit this runtime.
const MAX_FILE_BYTES: u64 = 8 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence within a download.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Which model to download from where.
#[derive(Debug, Clone)]
pub struct HubModel {
    /// Base URL of the hub, such as [`DEFAULT_ENDPOINT`].
    pub endpoint: String,
    /// `organisation/name`.
    pub id: String,
    /// Branch, tag or commit; a commit is the only one that never moves.
    pub revision: String,
    /// Digest of the folder, as in [`vellum_core::ports::EmbedderInfo::digest`]: SHA-256 in hex.
    pub sha256: String,
}

/// How far the download of one file is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Path of the file within the model.
    pub file: &'a str,
    /// Bytes that have arrived.
    pub done: u64,
    /// Bytes of the file, when the hub says so.
    pub total: Option<u64>,
}

/// Returns the folder of `model` below `cache`, downloading it when it is not there.
///
/// The folder is fit for [`crate::LocalEmbedder::from_dir`]. Idempotent; an interrupted download starts
/// over. `progress` is called for every piece that arrives.
///
/// # Errors
/// `Invalid` for a malformed id, revision or digest; `Unavailable` when the hub cannot be reached;
/// `NotFound` when it has no such model in ONNX format; `Forbidden` when it wants a login; `Corrupt`
/// when the files do not have the pinned digest.
pub async fn download(
    model: &HubModel,
    cache: &Path,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<PathBuf> {
    check_names(model)?;
    let stem = format!("{}--{}", model.id.replace('/', "--"), &model.sha256[..16]);
    let dir = cache.join(&stem);
    if dir.is_dir() && digest(dir.clone()).await? == model.sha256 {
        return Ok(dir);
    }
    let partial = cache.join(format!(".{stem}.partial"));
    let result = fill(model, &partial, &dir, progress).await;
    if result.is_err() {
        // Best effort: the error that led here is the one to report.
        let _ = fs::remove_dir_all(&partial).await;
    }
    result.map(|()| dir)
}

async fn fill(
    model: &HubModel,
    partial: &Path,
    dir: &Path,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<()> {
    for old in [partial, dir] {
        if old.exists() {
            fs::remove_dir_all(old).await.map_err(|e| io("clear", old, e))?;
        }
    }
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("vellum/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "set up the HTTP client").with_source(e))?;
    let hub = Hub { client, model, partial, dir, progress };

    let mut graph = None;
    for name in GRAPHS {
        if hub.fetch(name).await? {
            graph = Some(name);
            break;
        }
    }
    let Some(graph) = graph else {
        return Err(hub.missing(&GRAPHS.join("` or `")));
    };
    // Weights beyond the 2 GiB of a graph lie beside it.
    hub.fetch(&format!("{graph}_data")).await?;
    if !hub.fetch(TOKENIZER).await? {
        return Err(hub.missing(TOKENIZER));
    }
    for name in SETTINGS {
        hub.fetch(name).await?;
    }

    let found = digest(partial.to_owned()).await?;
    if found != model.sha256 {
        let message =
            format!("the model `{}` has the digest `{found}`, not the pinned one", model.id);
        return Err(Error::new(ErrorKind::Corrupt, message).with_hint(format!(
            "do not use it if you expected the pinned digest; to accept it, set `embedder.sha256 = \"{found}\"`"
        )));
    }
    fs::rename(partial, dir).await.map_err(|e| io("move the model to", dir, e))
}

struct Hub<'a> {
    client: Client,
    model: &'a HubModel,
    partial: &'a Path,
    dir: &'a Path,
    progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
}

impl Hub<'_> {
    /// Downloads the file into the partial folder; `false` when the hub has no such file.
    async fn fetch(&self, name: &str) -> Result<bool> {
        let HubModel { endpoint, id, revision, .. } = self.model;
        let url = format!("{}/{id}/resolve/{revision}/{name}", endpoint.trim_end_matches('/'));
        let response = self.client.get(&url).send().await.map_err(|e| self.unreachable(e))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(false),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let message = format!("the hub refuses `{name}` of `{id}`");
                return Err(Error::new(ErrorKind::Forbidden, message).with_hint(format!(
                    "check the name of the model; if it needs a login, {}",
                    self.by_hand()
                )));
            }
            status => {
                let message = format!("the hub answers {status} for `{name}` of `{id}`");
                return Err(Error::new(ErrorKind::Unavailable, message).with_hint(self.by_hand()));
            }
        }
        self.save(name, response).await?;
        Ok(true)
    }

    async fn save(&self, name: &str, response: Response) -> Result<()> {
        let path = self.partial.join(name);
        let parent = path.parent().unwrap_or(self.partial);
        fs::create_dir_all(parent).await.map_err(|e| io("create", parent, e))?;
        let mut file = fs::File::create(&path).await.map_err(|e| io("create", &path, e))?;
        let total = response.content_length();
        let mut done = 0;
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| self.unreachable(e))?;
            done += piece.len() as u64;
            if done > MAX_FILE_BYTES {
                let message = format!("`{name}` of `{}` is larger than 8 GiB", self.model.id);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .with_hint("serve so large a model with an embedding server"));
            }
            file.write_all(&piece).await.map_err(|e| io("write", &path, e))?;
            (self.progress)(Progress { file: name, done, total });
        }
        file.sync_all().await.map_err(|e| io("write", &path, e))
    }

    fn unreachable(&self, cause: reqwest::Error) -> Error {
        let message = format!("download `{}` from `{}`", self.model.id, self.model.endpoint);
        Error::new(ErrorKind::Unavailable, message)
            .with_hint(self.by_hand())
            .with_source(cause.without_url())
    }

    fn missing(&self, name: &str) -> Error {
        let message = format!("the model `{}` has no `{name}` on the hub", self.model.id);
        Error::new(ErrorKind::NotFound, message)
            .with_hint("take a model that is published in ONNX format, or export it yourself")
    }

    /// Returns how to do without the hub.
    fn by_hand(&self) -> String {
        let HubModel { endpoint, id, revision, .. } = self.model;
        format!(
            "on a machine that reaches {endpoint}, download `model.onnx` (or `onnx/model.onnx`), `{TOKENIZER}` \
             and, where they exist, `{}` from {endpoint}/{id}/tree/{revision}, put them in `{}` \
             and set `embedder.model` to that folder",
            SETTINGS.join("`, `"),
            self.dir.display(),
        )
    }
}

fn check_names(model: &HubModel) -> Result<()> {
    let plain = |part: &str| {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(ok)
    };
    let is_id = model.id.split('/').count() == 2 && model.id.split('/').all(plain);
    let is_digest = model.sha256.len() == 64
        && model.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (what, value, hint) = if !is_id {
        ("model name", &model.id, "write `organisation/name`")
    } else if !plain(&model.revision) {
        ("revision", &model.revision, "write a commit, or `main`")
    } else if !is_digest {
        let hint = "pin the model with the 64 lower-case hex digits of its SHA-256; with 64 zeros, the \
                    error after the download names the digest that was found";
        ("sha256", &model.sha256, hint)
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, format!("`{value}` is no {what}")).with_hint(hint))
}

async fn digest(dir: PathBuf) -> Result<String> {
    spawn_blocking(move || Folder::open(&dir)?.digest())
        .await
        .map_err(|e| Error::new(ErrorKind::Internal, "hash the model").with_source(e))?
}

fn io(verb: &str, path: &Path, cause: std::io::Error) -> Error {
    Error::io(format!("{verb} `{}`", path.display()), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_cache() {
        let check = |id: &str, revision: &str, sha256: &str| {
            let model = HubModel {
                endpoint: DEFAULT_ENDPOINT.into(),
                id: id.into(),
                revision: revision.into(),
                sha256: sha256.into(),
            };
            check_names(&model).is_ok()
        };
        let pin = "0123456789abcdef".repeat(4);
        assert!(check("BAAI/bge-small-en-v1.5", "main", &pin));
        for id in ["", "bge", "a/b/c", "../b", "a/..", "a/b c", "/b", "a/"] {
            assert!(!check(id, "main", &pin), "{id}");
        }
        assert!(!check("a/b", "../main", &pin));
        assert!(!check("a/b", "main", "abc"));
        assert!(!check("a/b", "main", &pin.to_uppercase()));
    }
}
