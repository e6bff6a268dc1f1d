//! Index versions: the rows of `version`, and which of them a `collection` names as live.
//!
//! A promotion is one transaction: what it depends on is read under the same lock under which the name is changed, so
//! nothing can be written to either version in between.

use super::{SqliteMetastore, lease, missing, rows};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::{Collection, IndexVersion, Lag};
use vellum_core::ids::CollectionName;
use vellum_core::ports::Missing;
use vellum_core::{Error, ErrorKind, Result};

/// Why a version becomes live.
#[derive(Clone, Copy)]
pub(super) enum Switch {
    Promote { now_ms: i64, missing: Missing },
    RollBack,
}

const INSERT: &str =
    "INSERT INTO version (space, settings, language, sparse, created_ms, collection, nth)
    SELECT ?, ?, ?, ?, ?, ?, COALESCE(MAX(nth), 0) + 1 FROM version";

const VERSIONS: &str = "SELECT version.*, live IS version.space AS is_live,
        COALESCE(version.own_tuning, seen.own_tuning) AS tuning
    FROM version LEFT JOIN collection ON name = version.collection LEFT JOIN version AS seen ON seen.space = live
    WHERE version.collection = ? ORDER BY version.nth, version.space";

/// Documents of a live version `?1` that another one `?2` lacks, has an older content of, or could not read.
const LAG: &str = "SELECT
        COALESCE(SUM(own.uri IS NULL OR own.state = 'queued'
            OR (own.content IS NOT live.content AND own.updated_ms < live.updated_ms)), 0) AS behind,
        COALESCE(SUM(own.state IN ('rejected', 'failed')
            AND NOT (own.content IS NOT live.content AND own.updated_ms < live.updated_ms)), 0) AS missing
    FROM document AS live LEFT JOIN document AS own ON own.space = ?2 AND own.uri = live.uri
    WHERE live.space = ?1 AND live.state = 'indexed'";

/// Documents that `?2` has indexed and the live version `?1` no longer knows.
const GONE: &str = "SELECT COUNT(*) AS gone FROM document AS own
    LEFT JOIN document AS live ON live.space = ?1 AND live.uri = own.uri
    WHERE own.space = ?2 AND own.state = 'indexed' AND live.uri IS NULL";

impl SqliteMetastore {
    /// Stores a collection with a version that is complete and live.
    pub(super) async fn create_live(&self, collection: &Collection) -> Result<()> {
        let taken = |source: sqlx::Error| {
            if is_taken(&source) {
                let message = format!("collection `{}` exists already", collection.name);
                return Error::new(ErrorKind::Conflict, message);
            }
            self.failed("create a collection")(source)
        };
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(taken)?;
        rows::bind_version(sqlx::query(INSERT), collection)
            .execute(&mut *transaction)
            .await
            .map_err(taken)?;
        sqlx::query(
            "UPDATE version SET built_ms = created_ms, live_ms = created_ms, own_tuning = ? WHERE space = ?",
        )
        .bind(rows::tuning(&collection.tuning))
        .bind(collection.space.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(taken)?;
        sqlx::query("INSERT INTO collection (name, live) VALUES (?, ?)")
            .bind(collection.name.to_string())
            .bind(collection.space.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(taken)?;
        transaction.commit().await.map_err(taken)
    }

    pub(super) async fn create_unpublished(&self, pass: &Pass, version: &Collection) -> Result<()> {
        pass.must_write()?;
        let made = rows::bind_version(sqlx::query(INSERT), version).execute(&self.writer).await;
        match made {
            Ok(_) => Ok(()),
            Err(source) if is_taken(&source) => {
                let message =
                    format!("version `{}` of `{}` exists", version.version(), version.name);
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Err(source) => Err(self.failed("create a version")(source)),
        }
    }

    pub(super) async fn versions_of(&self, pass: &Pass) -> Result<Vec<IndexVersion>> {
        sqlx::query(VERSIONS)
            .bind(pass.collection().to_string())
            .try_map(|row| rows::version(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed("read the versions"))
    }

    pub(super) async fn lag_of(&self, pass: &VersionPass) -> Result<Lag> {
        let failed = |source| self.failed("compare versions")(source);
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        match live_space(&mut connection, pass.collection()).await.map_err(failed)? {
            Some(live) => lag(&mut connection, &live, pass.space().as_str()).await.map_err(failed),
            None => Ok(Lag::default()),
        }
    }

    /// Makes a version the live one, if it may be.
    pub(super) async fn make_live(&self, pass: &VersionPass, how: Switch) -> Result<()> {
        pass.must_write()?;
        let failed = |source| self.failed("switch versions")(source);
        let name = pass.collection();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let version = sqlx::query(
            "SELECT version.*, own_tuning AS tuning, live IS space AS is_live FROM version
             LEFT JOIN collection ON name = version.collection WHERE space = ?",
        )
        .bind(pass.space().to_string())
        .try_map(|row| rows::version(&row))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?
        .ok_or_else(|| missing(name))?;
        let id = version.collection.version();
        must_be_complete(&version, how, &id)?;
        if version.is_live {
            return Ok(());
        }
        let live = live_space(&mut transaction, name).await.map_err(failed)?;
        let leases: i64 = sqlx::query(lease::LIVE_AT_EITHER)
            .bind(pass.space().to_string())
            .bind(live.clone())
            .try_map(|row: SqliteRow| row.try_get("leases"))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if leases > 0 {
            let message =
                format!("a job is writing to `{name}`, so version `{id}` cannot be made live");
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint("wait for it to end, or cancel it; `vellum job list` shows it"));
        }
        if let Switch::Promote { now_ms, missing: accepted } = how {
            if let Some(live) = &live {
                let lag =
                    lag(&mut transaction, live, pass.space().as_str()).await.map_err(failed)?;
                must_be_up_to_date(lag, accepted, name, &id)?;
            }
            const STAMP: &str = "UPDATE version SET live_ms = (
                    SELECT MAX(?, COALESCE(MAX(live_ms) + 1, 0)) FROM version WHERE collection = ?)
                WHERE space = ?";
            sqlx::query(STAMP)
                .bind(now_ms)
                .bind(name.to_string())
                .bind(pass.space().to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        // What it is searched by is its own from now on.
        const TAKE_OVER: &str = "UPDATE version SET own_tuning =
                (SELECT seen.own_tuning FROM version AS seen WHERE seen.space = ?)
            WHERE space = ? AND own_tuning IS NULL";
        sqlx::query(TAKE_OVER)
            .bind(live)
            .bind(pass.space().to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        const POINT: &str = "INSERT INTO collection (name, live) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET live = excluded.live";
        sqlx::query(POINT)
            .bind(name.to_string())
            .bind(pass.space().to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    pub(super) async fn forget_version(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        let deleted = sqlx::query("DELETE FROM version WHERE space = ?")
            .bind(pass.space().to_string())
            .execute(&self.writer)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            // Its collection refers to it.
            Err(source) if super::is_orphan(&source) => {
                let message = format!("this version of `{}` is live", pass.collection());
                Err(Error::new(ErrorKind::Conflict, message).with_hint("promote another one first"))
            }
            Err(source) => Err(self.failed("delete a version")(source)),
        }
    }
}

fn must_be_complete(version: &IndexVersion, how: Switch, id: &str) -> Result<()> {
    let name = &version.collection.name;
    if version.built_ms.is_none() {
        let message = format!("version `{id}` of `{name}` is not fully built");
        return Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
            "`vellum collection build {name} --version {id}` goes on with it"
        )));
    }
    if matches!(how, Switch::RollBack) && version.live_ms.is_none() {
        let message = format!("version `{id}` of `{name}` never was live");
        return Err(Error::new(ErrorKind::Conflict, message).with_hint("promote it"));
    }
    Ok(())
}

fn must_be_up_to_date(lag: Lag, accepted: Missing, name: &CollectionName, id: &str) -> Result<()> {
    if lag.behind > 0 {
        let message = format!("version `{id}` of `{name}` is {} documents behind", lag.behind);
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint(format!("`vellum collection build {name} --version {id}` catches up")));
    }
    if lag.missing > 0 && accepted == Missing::Refuse {
        let message =
            format!("version `{id}` of `{name}` could not read {} documents", lag.missing);
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("its job names them; `--accept-missing` promotes it without them"));
    }
    Ok(())
}

async fn live_space(
    connection: &mut SqliteConnection,
    name: &CollectionName,
) -> sqlx::Result<Option<String>> {
    sqlx::query("SELECT live FROM collection WHERE name = ?")
        .bind(name.to_string())
        .try_map(|row: SqliteRow| row.try_get("live"))
        .fetch_optional(connection)
        .await
}

async fn lag(connection: &mut SqliteConnection, live: &str, own: &str) -> sqlx::Result<Lag> {
    if live == own {
        return Ok(Lag::default());
    }
    let lag = sqlx::query(LAG)
        .bind(live.to_owned())
        .bind(own.to_owned())
        .try_map(|row: SqliteRow| {
            Ok(Lag {
                behind: rows::number(&row, "behind")?,
                missing: rows::number(&row, "missing")?,
            })
        })
        .fetch_one(&mut *connection)
        .await?;
    let gone: u64 = sqlx::query(GONE)
        .bind(live.to_owned())
        .bind(own.to_owned())
        .try_map(|row: SqliteRow| rows::number(&row, "gone"))
        .fetch_one(connection)
        .await?;
    Ok(Lag { behind: lag.behind + gone, ..lag })
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
