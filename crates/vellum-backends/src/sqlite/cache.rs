//! The `EmbeddingCache` in one SQLite file of bounded size; the oldest vectors make room for new ones.
//!
//! It is a cache: a file that is damaged or that another version wrote is made anew, and a loss of power may take
//! the last entries with it (`synchronous = NORMAL`).

use super::error::failed;
use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vellum_core::ids::TextHash;
use vellum_core::ports::EmbeddingCache;
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS embedding (
    id     INTEGER PRIMARY KEY,    -- ascends with age
    key    BLOB NOT NULL UNIQUE,   -- of model and text
    vector BLOB NOT NULL           -- little-endian f32
) STRICT";
/// Bytes of a row beside its vector: key, twice, and what the tree needs.
const ROW_OVERHEAD: u64 = 80;
/// The part of the rows that goes when room is needed.
const EVICTED: u64 = 16;
/// How long a call waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An [`EmbeddingCache`] in one file.
#[derive(Debug, Clone)]
pub struct SqliteEmbeddingCache {
    path: PathBuf,
    pool: SqlitePool,
    max_bytes: u64,
}

impl SqliteEmbeddingCache {
    /// Opens the file at `path`, which grows to about `max_bytes`; makes it, or makes it anew if it cannot be used.
    ///
    /// # Errors
    /// `Io` when the folder is missing or not writable, `Locked` when another process holds the file.
    pub async fn open(path: impl Into<PathBuf>, max_bytes: u64) -> Result<Self> {
        let path = path.into();
        let pool = match open(&path).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(path = %path.display(), "the cache of embeddings is damaged; starting over");
                remove(&path)?;
                open(&path).await?
            }
            opened => opened?,
        };
        Ok(Self { path, pool, max_bytes })
    }

    /// Closes the file; further calls fail. Dropping the cache closes it too, at some later time.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn failed(&self, operation: &str) -> impl FnOnce(sqlx::Error) -> Error {
        move |source| failed(&self.path, operation, source)
    }
}

async fn open(path: &Path) -> Result<SqlitePool> {
    let failed = |source| failed(path, "open the cache of embeddings", source);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        // Keys are hashes, so pages are hit at random and a large page cache would hold little of use.
        .pragma("cache_size", "-256")
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(failed)?;
    match sqlx::raw_sql(SCHEMA).execute(&pool).await {
        Ok(_) => Ok(pool),
        Err(error) => {
            pool.close().await;
            Err(failed(error))
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("remove the damaged cache `{}`", path.display());
                return Err(Error::io(what, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the key of a text under a model: a hash of both.
fn key(model: &str, text: &TextHash) -> Vec<u8> {
    let hex: String = text.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    TextHash::of(&format!("{model}\n{hex}")).as_bytes().to_vec()
}

#[async_trait]
impl EmbeddingCache for SqliteEmbeddingCache {
    async fn get(&self, model: &str, texts: &[TextHash]) -> Result<Vec<Option<Embedding>>> {
        let failed = || self.failed("read the cache of embeddings");
        let mut connection = self.pool.acquire().await.map_err(failed())?;
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let row = sqlx::query("SELECT vector FROM embedding WHERE key = ?")
                .bind(key(model, text))
                .try_map(|row| row.try_get::<Vec<u8>, _>("vector"))
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed())?;
            // A vector that cannot be one is as good as unknown.
            vectors.push(row.and_then(|bytes| decode(&bytes)));
        }
        Ok(vectors)
    }

    async fn put(&self, model: &str, vectors: &[(TextHash, Embedding)]) -> Result<()> {
        let failed = || self.failed("write the cache of embeddings");
        let Some((_, first)) = vectors.first() else { return Ok(()) };
        let row_bytes = first.as_slice().len() as u64 * 4 + ROW_OVERHEAD;
        let most = (self.max_bytes / row_bytes).max(1);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        for (text, vector) in vectors {
            let bytes: Vec<u8> =
                vector.as_slice().iter().flat_map(|value| value.to_le_bytes()).collect();
            sqlx::query("INSERT INTO embedding (key, vector) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(key(model, text))
                .bind(bytes)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        // Ids are without gaps but for what was evicted at their lower end.
        let (first, last): (i64, i64) = sqlx::query(
            "SELECT COALESCE(MIN(id), 1) AS first, COALESCE(MAX(id), 0) AS last FROM embedding",
        )
        .try_map(|row: sqlx::sqlite::SqliteRow| Ok((row.try_get("first")?, row.try_get("last")?)))
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed())?;
        let rows = (last - first + 1).max(0).unsigned_abs();
        if rows > most {
            let gone = rows - most + most / EVICTED;
            sqlx::query("DELETE FROM embedding WHERE id < ?")
                .bind(first.saturating_add_unsigned(gone))
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }
}

fn decode(bytes: &[u8]) -> Option<Embedding> {
    let (values, rest) = bytes.as_chunks::<4>();
    let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    if rest.is_empty() { Embedding::restored(values).ok() } else { None }
}
