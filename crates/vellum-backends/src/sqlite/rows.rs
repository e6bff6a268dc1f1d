//! Domain values to columns and back.
//!
//! Columns hold what a query selects or sorts by, and what people want to read in a shell; settings,
//! specs and reports are JSON in one column, so that a new field needs no migration. A value that
//! cannot be read back is a decode error of its column, which the caller reports as damage.

use serde_json::{from_str, to_string};
use sqlx::Row;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use std::error::Error as StdError;
use std::str::FromStr;
use vellum_core::collection::{Collection, IndexVersion, Tuning};
use vellum_core::document::Format;
use vellum_core::ids::{ContentHash, Space};
use vellum_core::job::{Job, JobState};
use vellum_core::ledger::{DocumentState, LedgerRow};

pub(super) type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

/// Proof for every `expect` below: these types are plain structs with string keys.
const PLAIN: &str = "plain structs always serialise";

/// Binds the columns of `version` that a [`Collection`] holds, in the order of the statement that writes them.
pub(super) fn bind_version(query: Query, seen: &Collection) -> Query {
    query
        .bind(seen.space.to_string())
        .bind(to_string(&seen.settings).expect(PLAIN))
        .bind(seen.language.clone())
        .bind(seen.sparse.as_ref().map(|sparse| to_string(sparse).expect(PLAIN)))
        .bind(seen.created_ms)
        .bind(seen.name.to_string())
}

/// Returns what the column `own_tuning` of `version` holds.
pub(super) fn tuning(tuning: &Tuning) -> String {
    to_string(tuning).expect(PLAIN)
}

/// Reads a row of `version`, with the column `tuning` that says how it is searched, as the collection seen through it.
pub(super) fn collection(row: &SqliteRow) -> sqlx::Result<Collection> {
    Ok(Collection {
        name: parsed(row, "collection")?,
        space: Space::from_stored(row.try_get::<String, _>("space")?),
        settings: decoded(row, "settings", |json| from_str(json))?,
        language: row.try_get("language")?,
        sparse: optional(row, "sparse", |json| from_str(json))?,
        tuning: optional(row, "tuning", |json| from_str(json))?.unwrap_or_default(),
        created_ms: row.try_get("created_ms")?,
    })
}

/// Reads a row of `version` with the column `is_live`.
pub(super) fn version(row: &SqliteRow) -> sqlx::Result<IndexVersion> {
    Ok(IndexVersion {
        collection: collection(row)?,
        is_live: row.try_get("is_live")?,
        built_ms: row.try_get("built_ms")?,
        live_ms: row.try_get("live_ms")?,
    })
}

/// Binds the columns of `document` in the order of the statements that write it.
pub(super) fn bind_document(query: Query, space: &Space, row: &LedgerRow) -> Query {
    let (state, reason) = match &row.state {
        DocumentState::Queued => ("queued", None),
        DocumentState::Indexed => ("indexed", None),
        DocumentState::Rejected(reason) => ("rejected", Some(reason.clone())),
        DocumentState::Failed(reason) => ("failed", Some(reason.clone())),
    };
    query
        .bind(space.to_string())
        .bind(row.uri.clone())
        .bind(row.document.to_string())
        .bind(row.etag.clone())
        .bind(row.content.as_ref().map(|content| content.as_str().to_owned()))
        .bind(row.settings.clone())
        .bind(state)
        .bind(reason)
        .bind(row.format.map(Format::as_str))
        .bind(row.title.clone())
        .bind(i64::from(row.chunks))
        .bind(i64::from(row.pages))
        // No object has 2^63 bytes.
        .bind(i64::try_from(row.bytes).unwrap_or(i64::MAX))
        .bind(row.updated_ms)
        .bind(row.source.clone())
        .bind(row.job.map(|job| job.to_string()))
        .bind(i64::from(row.version))
        .bind(i64::from(row.attempts))
        .bind(row.is_copy)
}

/// Reads a row of `document`.
pub(super) fn document(row: &SqliteRow) -> sqlx::Result<LedgerRow> {
    let reason = || row.try_get::<String, _>("reason");
    let state = match row.try_get("state")? {
        "queued" => DocumentState::Queued,
        "indexed" => DocumentState::Indexed,
        "rejected" => DocumentState::Rejected(reason()?),
        "failed" => DocumentState::Failed(reason()?),
        other => return Err(unknown("state", other)),
    };
    Ok(LedgerRow {
        document: parsed(row, "id")?,
        uri: row.try_get("uri")?,
        etag: row.try_get("etag")?,
        content: row.try_get::<Option<String>, _>("content")?.map(ContentHash::from_stored),
        settings: row.try_get("settings")?,
        state,
        format: optional(row, "format", |name| {
            Format::from_name(name).ok_or_else(|| format!("unknown format `{name}`"))
        })?,
        title: row.try_get("title")?,
        chunks: number(row, "chunks")?,
        pages: number(row, "pages")?,
        bytes: number(row, "bytes")?,
        updated_ms: row.try_get("updated_ms")?,
        source: row.try_get("source")?,
        job: optional(row, "job", str::parse)?,
        version: number(row, "version")?,
        attempts: number(row, "attempts")?,
        is_copy: row.try_get("is_copy")?,
        claim: match row.try_get::<Option<i64>, _>("claim")? {
            None => None,
            Some(_) => Some(number(row, "claim")?),
        },
    })
}

/// Binds the columns of `job` in the order of the schema.
pub(super) fn bind_job(query: Query, job: &Job) -> Query {
    query
        .bind(job.id.to_string())
        .bind(job.spec.collection.to_string())
        .bind(to_string(&job.spec).expect(PLAIN))
        .bind(job.state.as_str())
        .bind(to_string(&job.report).expect(PLAIN))
        .bind(job.error.clone())
        .bind(job.created_ms)
        .bind(job.updated_ms)
}

/// Reads a row of `job`.
pub(super) fn job(row: &SqliteRow) -> sqlx::Result<Job> {
    let state = row.try_get("state")?;
    let state = JobState::from_name(state).ok_or_else(|| unknown("state", state))?;
    Ok(Job {
        id: parsed(row, "id")?,
        spec: decoded(row, "spec", |json| from_str(json))?,
        state,
        report: decoded(row, "report", |json| from_str(json))?,
        error: row.try_get("error")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

pub(super) fn decoded<T, E>(
    row: &SqliteRow,
    column: &str,
    decode: impl FnOnce(&str) -> Result<T, E>,
) -> sqlx::Result<T>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    decode(row.try_get(column)?).map_err(|source| broken(column, source))
}

fn optional<T, E>(
    row: &SqliteRow,
    column: &str,
    decode: impl FnOnce(&str) -> Result<T, E>,
) -> sqlx::Result<Option<T>>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(decode).transpose().map_err(|source| broken(column, source))
}

pub(super) fn parsed<T: FromStr<Err = vellum_core::Error>>(
    row: &SqliteRow,
    column: &str,
) -> sqlx::Result<T> {
    decoded(row, column, str::parse)
}

pub(super) fn number<T: TryFrom<i64, Error = std::num::TryFromIntError>>(
    row: &SqliteRow,
    column: &str,
) -> sqlx::Result<T> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|source| broken(column, source))
}

pub(super) fn unknown(column: &str, value: &str) -> sqlx::Error {
    broken(column, format!("unknown value `{value}`"))
}

fn broken(column: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}
