//! The versions of [`super::MemoryMetastore`]: the plainest reading of the port.

use super::Tables;
use crate::access::VersionPass;
use crate::collection::{Collection, IndexVersion, Lag, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionName, Space};
use crate::ledger::{DocumentState, LedgerRow};
use crate::ports::Missing;

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) collection: Collection,
    /// How it is searched, where somebody said so.
    pub(super) tuning: Option<Tuning>,
    pub(super) built_ms: Option<i64>,
    live_ms: Option<i64>,
    /// Order of creation.
    nth: usize,
}

impl Tables {
    pub(super) fn create_version(&mut self, collection: &Collection) -> Result<()> {
        if self.versions.contains_key(&collection.space) {
            return Err(Error::new(ErrorKind::Conflict, "there is such a version"));
        }
        let nth = self.versions.values().map(|stored| stored.nth + 1).max().unwrap_or(0);
        let collection = Collection { tuning: Tuning::default(), ..collection.clone() };
        let stored = Stored { collection, tuning: None, built_ms: None, live_ms: None, nth };
        self.versions.insert(stored.collection.space.clone(), stored);
        Ok(())
    }

    pub(super) fn first_promotion(&mut self, collection: &Collection) {
        if let Some(stored) = self.versions.get_mut(&collection.space) {
            stored.tuning = Some(collection.tuning.clone());
            stored.built_ms = Some(collection.created_ms);
            stored.live_ms = Some(collection.created_ms);
        }
    }

    pub(super) fn version(&mut self, pass: &VersionPass) -> Result<&mut Stored> {
        self.must_exist(pass)?;
        self.versions
            .get_mut(pass.space())
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a version that exists"))
    }

    /// The collection as the version shows it: with what is set for it, else for the live one.
    pub(super) fn tuned(&self, version: &Stored) -> Collection {
        let live = || self.versions.get(self.live.get(&version.collection.name)?)?.tuning.clone();
        let tuning = version.tuning.clone().or_else(live).unwrap_or_default();
        Collection { tuning, ..version.collection.clone() }
    }

    /// Points the collection at the version of the pass, with how it is searched.
    fn switch(&mut self, pass: &VersionPass) -> Result<()> {
        let tuning = self.versions.get(pass.space()).map(|version| self.tuned(version).tuning);
        self.version(pass)?.tuning = tuning;
        self.live.insert(pass.collection().clone(), pass.space().clone());
        Ok(())
    }

    pub(super) fn versions_of(&self, name: &CollectionName) -> Vec<IndexVersion> {
        let mut stored: Vec<&Stored> =
            self.versions.values().filter(|stored| stored.collection.name == *name).collect();
        stored.sort_by_key(|stored| stored.nth);
        let version = |stored: &Stored| IndexVersion {
            collection: self.tuned(stored),
            is_live: self.live.get(name) == Some(&stored.collection.space),
            built_ms: stored.built_ms,
            live_ms: stored.live_ms,
        };
        stored.into_iter().map(version).collect()
    }

    fn ledger<'a>(&'a self, space: &'a Space) -> impl Iterator<Item = &'a LedgerRow> {
        self.rows.iter().filter(move |((of, _), _)| of == space).map(|(_, row)| row)
    }

    pub(super) fn lag(&self, pass: &VersionPass) -> Lag {
        let mut lag = Lag::default();
        let Some(live) = self.live.get(pass.collection()).filter(|live| *live != pass.space())
        else {
            return lag;
        };
        let is_indexed = |row: &&LedgerRow| row.state == DocumentState::Indexed;
        for row in self.ledger(live).filter(is_indexed) {
            match self.rows.get(&(pass.space().clone(), row.uri.clone())) {
                None => lag.behind += 1,
                Some(own) if own.content != row.content && own.updated_ms < row.updated_ms => {
                    lag.behind += 1;
                }
                Some(own) => match own.state {
                    DocumentState::Indexed => {}
                    DocumentState::Queued => lag.behind += 1,
                    DocumentState::Rejected(_) | DocumentState::Failed(_) => lag.missing += 1,
                },
            }
        }
        let is_gone = |row: &&LedgerRow| !self.rows.contains_key(&(live.clone(), row.uri.clone()));
        lag.behind += self.ledger(pass.space()).filter(is_indexed).filter(is_gone).count() as u64;
        lag
    }

    pub(super) fn promote(
        &mut self,
        pass: &VersionPass,
        now_ms: i64,
        missing: Missing,
    ) -> Result<()> {
        let built = self.version(pass)?.built_ms;
        if self.live.get(pass.collection()) == Some(pass.space()) {
            return Ok(());
        }
        let refuse = |why: String| Err(Error::new(ErrorKind::Conflict, why));
        if built.is_none() {
            return refuse("the version is not complete".to_owned());
        }
        self.must_be_at_rest(pass)?;
        let lag = self.lag(pass);
        if lag.behind > 0 || (lag.missing > 0 && missing == Missing::Refuse) {
            return refuse(format!("{lag:?}"));
        }
        let times = self.versions_of(pass.collection()).into_iter().filter_map(|it| it.live_ms);
        let now_ms = times.max().map_or(now_ms, |last| now_ms.max(last + 1));
        self.version(pass)?.live_ms = Some(now_ms);
        self.switch(pass)
    }

    pub(super) fn roll_back(&mut self, pass: &VersionPass) -> Result<()> {
        let stored = self.version(pass)?;
        if stored.built_ms.is_none() || stored.live_ms.is_none() {
            return Err(Error::new(ErrorKind::Conflict, "not complete, or never live"));
        }
        if self.live.get(pass.collection()) == Some(pass.space()) {
            return Ok(());
        }
        self.must_be_at_rest(pass)?;
        self.switch(pass)
    }

    /// Fails while a worker is at the version or at the live one.
    fn must_be_at_rest(&self, pass: &VersionPass) -> Result<()> {
        let spaces = self.live.get(pass.collection()).into_iter().chain([pass.space()]);
        match spaces.map(|space| self.live_leases(space)).sum::<usize>() {
            0 => Ok(()),
            n => Err(Error::new(ErrorKind::Conflict, format!("{n} jobs are at it"))),
        }
    }

    pub(super) fn forget(&mut self, space: &Space) {
        self.versions.remove(space);
        self.rows.retain(|(of, _), _| of != space);
        self.leases.retain(|_, lease| lease.space != *space);
    }
}
