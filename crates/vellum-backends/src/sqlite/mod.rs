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
mod versions;

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
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::{Collection, IndexVersion, Lag, SparseSettings, Tuning};
use vellum_core::feedback::Feedback;
use vellum_core::ids::{CollectionName, ContentHash, DocumentId, FeedbackId, JobId};
use vellum_core::job::Job;
use vellum_core::ledger::{Claimed, Lease, LedgerRow, Scope};
use vellum_core::ports::{Metastore, Missing};
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
    fn unwritten(&self, pass: &VersionPass, source: sqlx::Error) -> Error {
        match is_orphan(&source) {
            true => missing(pass.collection()),
            false => failed(&self.path, "write the ledger", source),
        }
    }

    /// Writes `value` to what `sql` names by `key`: a column of a collection or of a version.
    async fn change(
        &self,
        name: &CollectionName,
        sql: &'static str,
        value: Option<String>,
        key: String,
    ) -> Result<()> {
        let done = sqlx::query(sql)
            .bind(value)
            .bind(key)
            .execute(&self.writer)
            .await
            .map_err(self.failed("change a collection"))?;
        if done.rows_affected() == 0 { Err(missing(name)) } else { Ok(()) }
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

const INSERT_NEW: &str = "INSERT INTO document (space, uri, id, etag, content, settings, state,
        reason, format, title, chunks, pages, bytes, updated_ms, source, job, version, attempts, is_copy)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (space, uri) DO NOTHING";

const REPLACE_CLAIMED: &str = "UPDATE document SET (space, uri, id, etag, content, settings, state,
        reason, format, title, chunks, pages, bytes, updated_ms, source, job, version, attempts, is_copy, claim)
    = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
    WHERE space = ? AND uri = ? AND claim = ?";

/// SQLite counts in i64; no table has more rows.
fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Metastore for SqliteMetastore {
    async fn create_collection(&self, collection: &Collection) -> Result<()> {
        self.create_live(collection).await
    }

    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>> {
        sqlx::query(
            "SELECT version.*, own_tuning AS tuning FROM version JOIN collection ON live = space WHERE name = ?",
        )
        .bind(name.to_string())
        .try_map(|row| rows::collection(&row))
        .fetch_optional(&self.readers)
        .await
        .map_err(self.failed("read a collection"))
    }

    async fn collections(&self) -> Result<Vec<Collection>> {
        sqlx::query(
            "SELECT version.*, own_tuning AS tuning FROM version JOIN collection ON live = space ORDER BY name",
        )
        .try_map(|row| rows::collection(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(self.failed("read the collections"))
    }

    async fn create_version(&self, pass: &Pass, version: &Collection) -> Result<()> {
        self.create_unpublished(pass, version).await
    }

    async fn versions(&self, pass: &Pass) -> Result<Vec<IndexVersion>> {
        self.versions_of(pass).await
    }

    async fn set_built(&self, pass: &VersionPass, built_ms: Option<i64>) -> Result<()> {
        pass.must_write()?;
        let done = sqlx::query("UPDATE version SET built_ms = ? WHERE space = ?")
            .bind(built_ms)
            .bind(pass.space().to_string())
            .execute(&self.writer)
            .await
            .map_err(self.failed("change a version"))?;
        if done.rows_affected() == 0 { Err(missing(pass.collection())) } else { Ok(()) }
    }

    async fn lag(&self, pass: &VersionPass) -> Result<Lag> {
        self.lag_of(pass).await
    }

    async fn promote(&self, pass: &VersionPass, now_ms: i64, missing: Missing) -> Result<()> {
        self.make_live(pass, versions::Switch::Promote { now_ms, missing }).await
    }

    async fn roll_back(&self, pass: &VersionPass) -> Result<()> {
        self.make_live(pass, versions::Switch::RollBack).await
    }

    async fn delete_version(&self, pass: &VersionPass) -> Result<()> {
        self.forget_version(pass).await
    }

    async fn settle_sparse(
        &self,
        pass: &VersionPass,
        sparse: Option<&SparseSettings>,
    ) -> Result<()> {
        pass.must_write()?;
        let sparse = sparse
            .map(|sparse| serde_json::to_string(sparse).expect("plain structs always serialise"));
        const SQL: &str = "UPDATE version SET sparse = ? WHERE space = ?";
        self.change(pass.collection(), SQL, sparse, pass.space().to_string()).await
    }

    async fn set_tuning(&self, pass: &VersionPass, tuning: &Tuning) -> Result<()> {
        pass.must_write()?;
        const SQL: &str = "UPDATE version SET own_tuning = ? WHERE space = ?";
        let tuning = Some(rows::tuning(tuning));
        self.change(pass.collection(), SQL, tuning, pass.space().to_string()).await
    }

    async fn delete_collection(&self, pass: &Pass) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.failed("delete a collection")(source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Documents and leases go with their versions, by the foreign key.
        for sql in [
            "DELETE FROM job WHERE collection = ?",
            "DELETE FROM collection WHERE name = ?",
            "DELETE FROM version WHERE collection = ?",
        ] {
            let name = pass.collection().to_string();
            sqlx::query(sql).bind(name).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn open_lease(
        &self,
        pass: &VersionPass,
        owner: &str,
        job: JobId,
        ttl: Duration,
    ) -> Result<Lease> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query("DELETE FROM lease WHERE space = ? AND owner = ?")
            .bind(pass.space().to_string())
            .bind(owner.to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let done = sqlx::query(lease::OPEN)
            .bind(pass.space().to_string())
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

    async fn live_leases(&self, pass: &VersionPass) -> Result<u64> {
        sqlx::query(lease::LIVE)
            .bind(pass.space().to_string())
            .try_map(|row| rows::number(&row, "leases"))
            .fetch_one(&self.readers)
            .await
            .map_err(self.failed("read the leases"))
    }

    async fn claim(
        &self,
        pass: &VersionPass,
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
            rows::bind_document(sqlx::query(INSERT_NEW), pass.space(), row)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        let mut claimed = Claimed::default();
        for document in documents {
            let id = || (document.to_string(), pass.space().to_string());
            let row = sqlx::query("SELECT * FROM document WHERE id = ? AND space = ?")
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

    async fn commit(&self, pass: &VersionPass, lease: &Lease, rows: &[LedgerRow]) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for row in rows {
            let written = rows::bind_document(sqlx::query(REPLACE_CLAIMED), pass.space(), row)
                .bind(pass.space().to_string())
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
        pass: &VersionPass,
        lease: &Lease,
        documents: &[DocumentId],
    ) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.unwritten(pass, source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for document in documents {
            let foreign = sqlx::query(lease::FOREIGN)
                .bind(document.to_string())
                .bind(pass.space().to_string())
                .bind(lease::token(lease))
                .try_map(|row| row.try_get::<String, _>("uri"))
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
            if let Some(uri) = foreign {
                return Err(Lease::taken_over(&uri));
            }
            sqlx::query("DELETE FROM document WHERE id = ? AND space = ?")
                .bind(document.to_string())
                .bind(pass.space().to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn rows(
        &self,
        pass: &VersionPass,
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
        pass: &VersionPass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        const SQL: &str = "SELECT * FROM document
            WHERE space = ? AND content = ? AND state = 'indexed' AND uri > ?
            ORDER BY uri LIMIT ?";
        sqlx::query(SQL)
            .bind(pass.space().to_string())
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
        pass: &VersionPass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        // Answered from `document_by_content` alone.
        const SQL: &str = "SELECT content FROM document
            WHERE space = ? AND content > ? AND state = 'indexed'
            GROUP BY content
            HAVING SUM(is_copy = 0) <> 1 OR MIN(uri) <> MIN(CASE WHEN is_copy = 0 THEN uri END)
            ORDER BY content LIMIT ?";
        sqlx::query(SQL)
            .bind(pass.space().to_string())
            .bind(after.map_or("", ContentHash::as_str).to_owned())
            .bind(sql_limit(limit))
            .try_map(|row| Ok(ContentHash::from_stored(row.try_get::<String, _>("content")?)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn copies(
        &self,
        pass: &VersionPass,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>> {
        // The ids come as one JSON text, so that the statement is the same for any number of them.
        const SQL: &str = "SELECT original.id, copy.uri FROM document AS original
            JOIN document AS copy ON copy.space = original.space
                AND copy.content = original.content AND copy.state = 'indexed' AND copy.is_copy = 1
            WHERE original.id IN (SELECT value FROM json_each(?)) AND original.space = ?
            ORDER BY original.id, copy.uri";
        let ids: Vec<String> = documents.iter().map(DocumentId::to_string).collect();
        sqlx::query(SQL)
            .bind(serde_json::to_string(&ids).expect("texts always serialise"))
            .bind(pass.space().to_string())
            .try_map(|row| Ok((rows::parsed(&row, "id")?, row.try_get("uri")?)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn totals(&self, pass: &VersionPass) -> Result<(u64, u64)> {
        const SQL: &str = "SELECT COUNT(*) AS documents, COALESCE(SUM(chunks), 0) AS chunks
            FROM document WHERE space = ? AND state = 'indexed'";
        sqlx::query(SQL)
            .bind(pass.space().to_string())
            .try_map(|row| Ok((rows::number(&row, "documents")?, rows::number(&row, "chunks")?)))
            .fetch_one(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))
    }

    async fn find_document(&self, document: DocumentId) -> Result<Option<(Collection, LedgerRow)>> {
        // Rows and versions have columns of the same names, so they are read one after the other.
        const ROW: &str =
            "SELECT document.* FROM document JOIN collection ON collection.live = document.space
            WHERE document.id = ?";
        let found = sqlx::query(ROW)
            .bind(document.to_string())
            .try_map(|row| Ok((row.try_get::<String, _>("space")?, rows::document(&row)?)))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed("read the ledger"))?;
        let Some((space, row)) = found else { return Ok(None) };
        const SEEN: &str = "SELECT version.*, own_tuning AS tuning FROM version
            JOIN collection ON live = space WHERE space = ?";
        let seen = sqlx::query(SEEN)
            .bind(space)
            .try_map(|row| rows::collection(&row))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed("read a collection"))?;
        Ok(seen.map(|seen| (seen, row)))
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
mod tests;
