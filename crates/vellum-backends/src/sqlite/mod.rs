//! The `Metastore` in one SQLite file.
//!
//! - One connection writes, a few read; with a write-ahead log they do not wait for each other.
//! - `synchronous = FULL`: what was committed survives a loss of power, not just of the process.
//! - Several processes may open the file; a writer waits [`BUSY_TIMEOUT`] for another.
//! - The schema and its migrations are in [`schema`], columns in [`rows`], result codes in [`error`].
//!
//! The SQL is written out rather than built. It is a dozen statements of standard SQL, of which three
//! (the upserts' `ON CONFLICT`, and the `?` placeholders for PostgreSQL) differ between databases; with
//! a query builder they would be longer, would hide the index that each one uses, and would still need a
//! schema per database.

mod cache;
mod error;
mod feedback;
mod jobs;
mod lease;
mod page;
mod rows;
mod schema;

pub use cache::SqliteEmbeddingCache;

use async_trait::async_trait;
use error::failed;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vellum_core::access::Pass;
use vellum_core::collection::{Collection, SparseSettings, Tuning};
use vellum_core::feedback::Feedback;
use vellum_core::ids::{CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use vellum_core::job::Job;
use vellum_core::ledger::{Claimed, Lease, LedgerRow, Scope};
use vellum_core::ports::Metastore;
use vellum_core::{Error, ErrorKind, Result};

/// How long a write waits for another process before it fails as `Locked`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a connection before it fails as `Overloaded`; above [`BUSY_TIMEOUT`], so
/// that a call behind one that waits for a lock still gets its turn.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads are short and mostly answered from the page cache; more connections would only hold memory.
const READERS: u32 = 4;

/// Page cache of each reader, in KiB (the minus says so): a page of the ledger and the path to it. The default of 2 MiB
/// times four is a tenth of the memory of an ingest of ten thousand documents, for pages that the system caches anyway.
const READER_CACHE: &str = "-512";

/// A [`Metastore`] in one file.
#[derive(Debug, Clone)]
pub struct SqliteMetastore {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteMetastore {
    /// Opens the file at `path`, creating it if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// `TooNew` when a newer version wrote it, `Corrupt` when it is damaged or no database, `Locked`
    /// when another process is writing, `Io` when the folder is missing or not writable.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let writer = pool(1, options.clone()).await.map_err(|source| unopened(&path, source))?;
        if let Err(error) = schema::migrate(&writer, &path).await {
            writer.close().await;
            return Err(error);
        }
        let options = options
            .create_if_missing(false)
            .pragma("query_only", "ON")
            .pragma("cache_size", READER_CACHE);
        let readers = pool(READERS, options).await.map_err(|source| unopened(&path, source))?;
        Ok(Self { path, writer, readers })
    }

    /// Waits for calls in progress, then closes the file; later calls fail as `Unavailable`.
    ///
    /// Not needed for durability, but without it the write-ahead log stays beside the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Returns what a failed write of the ledger means.
    fn unwritten(&self, pass: &Pass, source: sqlx::Error) -> Error {
        match is_orphan(&source) {
            true => missing(pass.collection()),
            false => failed(&self.path, "write the ledger", source),
        }
    }

    /// Changes one column of the pass's collection.
    async fn change(&self, pass: &Pass, sql: &'static str, value: Option<String>) -> Result<()> {
        let done = sqlx::query(sql)
            .bind(value)
            .bind(pass.collection().to_string())
            .execute(&self.writer)
            .await
            .map_err(self.failed("change a collection"))?;
        if done.rows_affected() == 0 { Err(missing(pass.collection())) } else { Ok(()) }
    }

    fn failed(&self, operation: &str) -> impl FnOnce(sqlx::Error) -> Error {
        move |source| failed(&self.path, operation, source)
    }
}

async fn pool(size: u32, options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(is_usable(connection)))
        .connect_with(options)
        .await
}

/// Returns whether a connection may serve another call; otherwise the pool replaces it.
///
/// SQLite ends a transaction by itself when the disk is full or fails
/// (<https://www.sqlite.org/lang_transaction.html>, section 3), but sqlx then still counts it as open and
/// would refuse every later one on this connection.
async fn is_usable(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // The rollback of a dropped transaction is in the connection's queue; a ping is answered after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

fn unopened(path: &Path, source: sqlx::Error) -> Error {
    failed(path, "open the metadata", source)
}

fn missing(name: &CollectionName) -> Error {
    Error::new(ErrorKind::NotFound, format!("collection `{name}` does not exist"))
}

/// Returns whether the database refused a row because its collection does not exist.
fn is_orphan(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.is_foreign_key_violation())
}

const INSERT_NEW: &str = "INSERT INTO document (collection, uri, id, etag, content, settings, state,
        reason, format, title, chunks, pages, bytes, updated_ms, source, job, version, attempts, is_copy)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (collection, uri) DO NOTHING";

const REPLACE_CLAIMED: &str = "UPDATE document SET (collection, uri, id, etag, content, settings, state,
        reason, format, title, chunks, pages, bytes, updated_ms, source, job, version, attempts, is_copy, claim)
    = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
    WHERE collection = ? AND uri = ? AND claim = ?";

/// SQLite counts in i64; no table has more rows.
fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Metastore for SqliteMetastore {
    async fn create_collection(&self, collection: &Collection) -> Result<()> {
        const SQL: &str =
            "INSERT INTO collection (name, settings, language, sparse, created_ms, tuning)
            VALUES (?, ?, ?, ?, ?, ?)";
        let created =
            rows::bind_collection(sqlx::query(SQL), collection).execute(&self.writer).await;
        match created {
            Ok(_) => Ok(()),
            Err(e) if e.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
                let message = format!("collection `{}` exists already", collection.name);
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Err(source) => Err(self.failed("create a collection")(source)),
        }
    }

    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>> {
        sqlx::query("SELECT * FROM collection WHERE name = ?")
            .bind(name.to_string())
            .try_map(|row| rows::collection(&row))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed("read a collection"))
    }

    async fn collections(&self) -> Result<Vec<Collection>> {
        sqlx::query("SELECT * FROM collection ORDER BY name")
            .try_map(|row| rows::collection(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the collections"))
    }

    async fn settle_sparse(&self, pass: &Pass, sparse: Option<&SparseSettings>) -> Result<()> {
        pass.must_write()?;
        let sparse = sparse
            .map(|sparse| serde_json::to_string(sparse).expect("plain structs always serialise"));
        self.change(pass, "UPDATE collection SET sparse = ? WHERE name = ?", sparse).await
    }

    async fn set_tuning(&self, pass: &Pass, tuning: &Tuning) -> Result<()> {
        pass.must_write()?;
        let tuning = serde_json::to_string(tuning).expect("plain structs always serialise");
        self.change(pass, "UPDATE collection SET tuning = ? WHERE name = ?", Some(tuning)).await
    }

    async fn delete_collection(&self, pass: &Pass) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.failed("delete a collection")(source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Its documents go with it, by the foreign key.
        for sql in ["DELETE FROM job WHERE collection = ?", "DELETE FROM collection WHERE name = ?"]
        {
            let name = pass.collection().to_string();
            sqlx::query(sql).bind(name).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn open_lease(
        &self,
        pass: &Pass,
        owner: &str,
        job: JobId,
        ttl: Duration,
    ) -> Result<Lease> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query("DELETE FROM lease WHERE collection = ? AND owner = ?")
            .bind(pass.collection().to_string())
            .bind(owner.to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let done = sqlx::query(lease::OPEN)
            .bind(pass.collection().to_string())
            .bind(owner.to_owned())
            .bind(lease::millis(ttl))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Lease { token: done.last_insert_rowid().unsigned_abs(), job })
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        let done = sqlx::query(lease::RENEW)
            .bind(lease::millis(ttl))
            .bind(lease::token(lease))
            .execute(&self.writer)
            .await
            .map_err(self.failed("renew a lease"))?;
        if done.rows_affected() == 0 { Err(Lease::ended()) } else { Ok(()) }
    }

    async fn close_lease(&self, lease: &Lease) -> Result<()> {
        let done = sqlx::query("DELETE FROM lease WHERE token = ?").bind(lease::token(lease));
        done.execute(&self.writer).await.map(drop).map_err(self.failed("close a lease"))
    }

    async fn live_leases(&self, pass: &Pass) -> Result<u64> {
        sqlx::query(lease::LIVE)
            .bind(pass.collection().to_string())
            .try_map(|row| rows::number(&row, "leases"))
            .fetch_one(&self.readers)
            .await
            .map_err(self.failed("read the leases"))
    }

    async fn claim(
        &self,
        pass: &Pass,
        lease: &Lease,
        new: &[LedgerRow],
        documents: &[DocumentId],
    ) -> Result<Claimed> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let token = lease::token(lease);
        let alive = sqlx::query(lease::IS_LIVE).bind(token).fetch_optional(&mut *transaction);
        if alive.await.map_err(failed)?.is_none() {
            return Err(Lease::ended());
        }
        for row in new {
            rows::bind_document(sqlx::query(INSERT_NEW), pass.collection(), row)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        let mut claimed = Claimed::default();
        for document in documents {
            let id = || (document.to_string(), pass.collection().to_string());
            let row = sqlx::query("SELECT * FROM document WHERE id = ? AND collection = ?")
                .bind(id().0)
                .bind(id().1)
                .try_map(|row| rows::document(&row))
                .fetch_optional(&mut *transaction);
            let Some(row) = row.await.map_err(failed)? else { continue };
            let changed = sqlx::query(lease::CLAIM)
                .bind(token)
                .bind(id().0)
                .bind(id().1)
                .bind(token)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            match changed.rows_affected() {
                0 => claimed.refused.push(*document),
                _ => claimed.rows.push(row),
            }
        }
        transaction.commit().await.map_err(failed)?;
        Ok(claimed)
    }

    async fn commit(&self, pass: &Pass, lease: &Lease, rows: &[LedgerRow]) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for row in rows {
            let written = rows::bind_document(sqlx::query(REPLACE_CLAIMED), pass.collection(), row)
                .bind(pass.collection().to_string())
                .bind(row.uri.clone())
                .bind(lease::token(lease))
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            if written.rows_affected() == 0 {
                return Err(Lease::taken_over(&row.uri));
            }
        }
        transaction.commit().await.map_err(failed)
    }

    async fn delete_rows(
        &self,
        pass: &Pass,
        lease: &Lease,
        documents: &[DocumentId],
    ) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for document in documents {
            let foreign = sqlx::query(lease::FOREIGN)
                .bind(document.to_string())
                .bind(pass.collection().to_string())
                .bind(lease::token(lease))
                .try_map(|row| row.try_get::<String, _>("uri"))
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
            if let Some(uri) = foreign {
                return Err(Lease::taken_over(&uri));
            }
            sqlx::query("DELETE FROM document WHERE id = ? AND collection = ?")
                .bind(document.to_string())
                .bind(pass.collection().to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn rows(
        &self,
        pass: &Pass,
        scope: Scope<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        page::query(pass, scope, after)
            .bind(sql_limit(limit))
            .try_map(|row| rows::document(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn same_content(
        &self,
        pass: &Pass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        const SQL: &str = "SELECT * FROM document
            WHERE collection = ? AND content = ? AND state = 'indexed' AND uri > ?
            ORDER BY uri LIMIT ?";
        sqlx::query(SQL)
            .bind(pass.collection().to_string())
            .bind(content.as_str().to_owned())
            .bind(after.unwrap_or_default().to_owned())
            .bind(sql_limit(limit))
            .try_map(|row| rows::document(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn untold_copies(
        &self,
        pass: &Pass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        // Answered from `document_by_content` alone.
        const SQL: &str = "SELECT content FROM document
            WHERE collection = ? AND content > ? AND state = 'indexed'
            GROUP BY content
            HAVING SUM(is_copy = 0) <> 1 OR MIN(uri) <> MIN(CASE WHEN is_copy = 0 THEN uri END)
            ORDER BY content LIMIT ?";
        sqlx::query(SQL)
            .bind(pass.collection().to_string())
            .bind(after.map_or("", ContentHash::as_str).to_owned())
            .bind(sql_limit(limit))
            .try_map(|row| Ok(ContentHash::from_stored(row.try_get::<String, _>("content")?)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn copies(
        &self,
        pass: &Pass,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>> {
        // The ids come as one JSON text, so that the statement is the same for any number of them.
        const SQL: &str = "SELECT original.id, copy.uri FROM document AS original
            JOIN document AS copy ON copy.collection = original.collection
                AND copy.content = original.content AND copy.state = 'indexed' AND copy.is_copy = 1
            WHERE original.id IN (SELECT value FROM json_each(?)) AND original.collection = ?
            ORDER BY original.id, copy.uri";
        let ids: Vec<String> = documents.iter().map(DocumentId::to_string).collect();
        sqlx::query(SQL)
            .bind(serde_json::to_string(&ids).expect("texts always serialise"))
            .bind(pass.collection().to_string())
            .try_map(|row| Ok((rows::parsed(&row, "id")?, row.try_get("uri")?)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn totals(&self, pass: &Pass) -> Result<(u64, u64)> {
        const SQL: &str = "SELECT COUNT(*) AS documents, COALESCE(SUM(chunks), 0) AS chunks
            FROM document WHERE collection = ? AND state = 'indexed'";
        sqlx::query(SQL)
            .bind(pass.collection().to_string())
            .try_map(|row| Ok((rows::number(&row, "documents")?, rows::number(&row, "chunks")?)))
            .fetch_one(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn find_document(
        &self,
        document: DocumentId,
    ) -> Result<Option<(CollectionName, LedgerRow)>> {
        sqlx::query("SELECT * FROM document WHERE id = ?")
            .bind(document.to_string())
            .try_map(|row| Ok((rows::parsed(&row, "collection")?, rows::document(&row)?)))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn put_job(&self, job: &Job) -> Result<()> {
        self.write_job(job).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.read_job(id).await
    }

    async fn known_sources(&self, pass: &Pass, candidates: &[String]) -> Result<Vec<String>> {
        self.read_known_sources(pass, candidates).await
    }

    async fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        self.read_unfinished_jobs().await
    }

    async fn forget_jobs(&self, keep: usize) -> Result<u64> {
        self.delete_old_jobs(keep).await
    }

    async fn jobs(&self, limit: usize) -> Result<Vec<Job>> {
        self.read_jobs(limit).await
    }

    async fn put_feedback(&self, pass: &Pass, feedback: &Feedback) -> Result<()> {
        self.write_feedback(pass, feedback).await
    }

    async fn feedback(
        &self,
        pass: &Pass,
        after: Option<FeedbackId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        self.read_feedback(pass, after, limit).await
    }

    async fn check(&self) -> Result<()> {
        sqlx::query("SELECT version FROM schema_version LIMIT 1")
            .fetch_one(&self.readers)
            .await
            .and_then(|row| row.try_get::<i64, _>("version"))
            .map(drop)
            .map_err(self.failed("read the schema"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::Retry;
    use vellum_core::access::{Principal, Verb};
    use vellum_core::testing::metastore::{sample_collection, sample_row, store_rows};

    #[tokio::test]
    async fn a_full_disk_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteMetastore::open(dir.path().join("meta.db")).await.unwrap();
        let collection = sample_collection("a");
        store.create_collection(&collection).await.unwrap();
        // A page limit stands in for the end of the disk; both end as SQLITE_FULL.
        sqlx::raw_sql("PRAGMA max_page_count = 20").execute(&store.writer).await.unwrap();
        let pass = Pass::grant(&Principal::Owner, &collection.name, Verb::Write).unwrap();
        let row = |i| sample_row(&collection.name, &format!("file:///{i}.txt"));
        let rows: Vec<LedgerRow> = (0..2000).map(row).collect();
        let error = store_rows(&store, &pass, &rows).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::NoSpace, Retry::Later), "{error}");
        assert_eq!(store.totals(&pass).await.unwrap(), (0, 0), "all or none");
        store_rows(&store, &pass, &rows[..3]).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_call_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteMetastore::open(dir.path().join("meta.db")).await.unwrap();
        let collection = sample_collection("a");
        store.create_collection(&collection).await.unwrap();
        let pass = Pass::grant(&Principal::Owner, &collection.name, Verb::Write).unwrap();
        let row = |i| sample_row(&collection.name, &format!("file:///{i}.txt"));
        let rows: Vec<LedgerRow> = (0..5000).map(row).collect();
        for ms in [1, 3, 10] {
            let call = store_rows(&store, &pass, &rows);
            tokio::time::timeout(Duration::from_millis(ms), call).await.unwrap_err();
            assert_eq!(store.totals(&pass).await.unwrap(), (0, 0));
        }
        store_rows(&store, &pass, &rows).await.unwrap();
        assert_eq!(store.totals(&pass).await.unwrap(), (5000, 5000));
    }
}
