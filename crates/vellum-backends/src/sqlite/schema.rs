//! The schema, as numbered migrations that are compiled in.
//!
//! `schema_version` holds one row per applied migration. Opening applies the missing ones in one
//! transaction, so a file has either its old schema or the newest. A file from a newer version is left
//! alone. A migration that was released is never edited; a change is a new one at the end.
//!
//! Text is compared by its bytes (SQLite's BINARY collation, its default), which is what makes a
//! listing and the ledger agree on order. `document` has no rowid: its primary key is the order in which
//! it is paged, so a page is one range of the table itself.

use super::error::failed;
use sqlx::sqlite::SqlitePool;
use std::path::Path;
use vellum_core::{Error, ErrorKind, Result};

/// Migration `n` stands at index `n - 1`.
const MIGRATIONS: &[&str] = &[
    r"
    CREATE TABLE collection (
        name        TEXT    NOT NULL PRIMARY KEY,
        settings    TEXT    NOT NULL,             -- JSON, IndexSettings
        language    TEXT,
        sparse      TEXT,                         -- JSON, SparseSettings
        created_ms  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE document (
        collection  TEXT    NOT NULL REFERENCES collection (name) ON DELETE CASCADE,
        uri         TEXT    NOT NULL,
        id          TEXT    NOT NULL,
        etag        TEXT    NOT NULL,
        content     TEXT,
        settings    TEXT    NOT NULL,
        state       TEXT    NOT NULL,             -- indexed, rejected, failed
        reason      TEXT,                         -- unless indexed
        format      TEXT,
        title       TEXT,
        chunks      INTEGER NOT NULL,
        pages       INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        updated_ms  INTEGER NOT NULL,
        PRIMARY KEY (collection, uri)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX document_by_id ON document (id);

    CREATE TABLE job (
        id          TEXT    NOT NULL PRIMARY KEY,
        collection  TEXT    NOT NULL,             -- may not exist yet: a job can create it
        spec        TEXT    NOT NULL,             -- JSON, JobSpec
        state       TEXT    NOT NULL,             -- queued, running, done, failed, cancelled
        report      TEXT    NOT NULL,             -- JSON, Report
        error       TEXT,
        created_ms  INTEGER NOT NULL,
        updated_ms  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX job_by_age ON job (created_ms, id);
",
    r"
    -- `state` of a document may also be queued; of a job also waiting, paused, interrupted.
    ALTER TABLE document ADD COLUMN source   TEXT    NOT NULL DEFAULT '';
    ALTER TABLE document ADD COLUMN job      TEXT;
    ALTER TABLE document ADD COLUMN version  INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE document ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE document ADD COLUMN is_copy  INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE document ADD COLUMN claim    INTEGER;      -- token of a lease, which may have ended

    CREATE INDEX document_by_content ON document (collection, content, state, uri, is_copy);

    CREATE INDEX job_by_source ON job (collection, json_extract(spec, '$.source'));

    CREATE TABLE lease (
        token       INTEGER PRIMARY KEY AUTOINCREMENT,     -- never given twice
        collection  TEXT    NOT NULL REFERENCES collection (name) ON DELETE CASCADE,
        owner       TEXT    NOT NULL,
        until_ms    INTEGER NOT NULL                       -- by the clock of the database
    ) STRICT;
",
    r"
    -- What was a collection becomes its only version, and is the live one. The ledger and the leases hang on versions:
    -- SQLite takes their references along. Spaces of versions that are there now are the names of their collections.
    ALTER TABLE collection RENAME TO version;
    ALTER TABLE version    RENAME COLUMN name       TO space;
    ALTER TABLE document   RENAME COLUMN collection TO space;
    ALTER TABLE lease      RENAME COLUMN collection TO space;
    ALTER TABLE version ADD COLUMN collection TEXT NOT NULL DEFAULT '';  -- may not exist yet: it comes with a promotion
    ALTER TABLE version ADD COLUMN built_ms   INTEGER;                   -- NULL: not complete
    ALTER TABLE version ADD COLUMN live_ms    INTEGER;                   -- of the last promotion; NULL: never live
    ALTER TABLE version ADD COLUMN nth        INTEGER NOT NULL DEFAULT 0;  -- order of creation
    UPDATE version SET collection = space, built_ms = created_ms, live_ms = created_ms;

    CREATE TABLE collection (
        name        TEXT    NOT NULL PRIMARY KEY,
        live        TEXT    NOT NULL REFERENCES version (space)
    ) STRICT, WITHOUT ROWID;

    INSERT INTO collection (name, live) SELECT collection, space FROM version;
",
    r"
    ALTER TABLE collection ADD COLUMN tuning TEXT;         -- JSON, Tuning
",
    r"
    CREATE TABLE feedback (
        collection  TEXT    NOT NULL REFERENCES collection (name) ON DELETE CASCADE,
        id          TEXT    NOT NULL,
        question    TEXT    NOT NULL,
        verdict     TEXT    NOT NULL,             -- up, down
        comment     TEXT,
        cited       TEXT    NOT NULL,             -- JSON, Vec<Cited>
        created_ms  INTEGER NOT NULL,
        PRIMARY KEY (collection, id)
    ) STRICT, WITHOUT ROWID;
",
    r"
    -- How a collection is searched belongs to a version, and is what was set for the collection in the one that is live.
    ALTER TABLE version ADD COLUMN own_tuning TEXT;        -- JSON, Tuning; NULL: as the live one, until it is promoted
    UPDATE version SET own_tuning = (SELECT tuning FROM collection WHERE live = space);
    ALTER TABLE collection DROP COLUMN tuning;
",
];

/// Brings the file to the newest schema.
///
/// # Errors
/// `TooNew` when a newer version wrote it, `Corrupt` when it is damaged.
pub(super) async fn migrate(writer: &SqlitePool, path: &Path) -> Result<()> {
    let failed = |source| failed(path, "prepare the schema", source);
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT")
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let stored: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    must_be_known(stored, path)?;
    for (version, sql) in (1_i64..).zip(MIGRATIONS) {
        if version <= stored {
            continue;
        }
        sqlx::raw_sql(*sql).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query("INSERT INTO schema_version (version) VALUES (?)")
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

fn must_be_known(stored: i64, path: &Path) -> Result<()> {
    let known = MIGRATIONS.len();
    match usize::try_from(stored) {
        Ok(version) if version <= known => Ok(()),
        Ok(version) => {
            let path = path.display();
            let message =
                format!("metadata file `{path}` has schema {version}, this vellum knows {known}");
            Err(Error::new(ErrorKind::TooNew, message).with_hint("upgrade vellum"))
        }
        Err(_) => {
            let message = format!("metadata file `{}` has schema {stored}", path.display());
            Err(Error::new(ErrorKind::Corrupt, message).with_hint(super::error::RESTORE))
        }
    }
}
