//! Conformance suite of the `Metastore` port, and [`MemoryMetastore`], its peer without a disk.
//!
//! The suite needs an empty store and leaves collections and jobs behind. It covers what every
//! implementation must show on one connection; durability and concurrency between processes belong to
//! the implementation's own tests.

mod suite;
mod versions;

pub use suite::{metastore_suite, sample_collection, sample_row, store_rows};

use crate::access::{Pass, VersionPass};
use crate::collection::{Collection, IndexVersion, Lag, SparseSettings, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::feedback::Feedback;
use crate::ids::{CollectionName, ContentHash, DocumentId, FeedbackId, JobId, Space};
use crate::job::Job;
use crate::ledger::{Claimed, DocumentState, Lease, LedgerRow, Scope};
use crate::ports::{Metastore, Missing};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A [`Metastore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryMetastore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    /// The space of each collection's live version.
    live: BTreeMap<CollectionName, Space>,
    versions: BTreeMap<Space, versions::Stored>,
    rows: BTreeMap<(Space, String), LedgerRow>,
    jobs: BTreeMap<JobId, Job>,
    feedback: BTreeMap<(CollectionName, FeedbackId), Feedback>,
    leases: BTreeMap<u64, OpenLease>,
    last_token: u64,
}

#[derive(Debug)]
struct OpenLease {
    space: Space,
    owner: String,
    until: Instant,
}

impl MemoryMetastore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Every change below is a single insert or retain, so a panicking test leaves whole tables.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(name: &CollectionName) -> Error {
    Error::new(ErrorKind::NotFound, format!("collection `{name}` does not exist"))
}

impl Tables {
    fn must_exist(&self, pass: &VersionPass) -> Result<()> {
        if self.versions.contains_key(pass.space()) {
            return Ok(());
        }
        Err(missing(pass.collection()))
    }

    /// Fails unless the collection has a live version.
    fn must_be_live(&self, name: &CollectionName) -> Result<()> {
        if self.live.contains_key(name) { Ok(()) } else { Err(missing(name)) }
    }

    /// The collection as its live version shows it.
    fn seen(&self, name: &CollectionName) -> Option<Collection> {
        let stored = self.versions.get(self.live.get(name)?)?;
        Some(self.tuned(stored))
    }

    /// The indexed rows of the pass's collection, ascending by uri.
    fn indexed<'a>(&'a self, pass: &'a VersionPass) -> impl Iterator<Item = &'a LedgerRow> {
        let of = |(space, _): &(Space, String)| space == pass.space();
        let rows = self.rows.iter().filter(move |(key, _)| of(key)).map(|(_, row)| row);
        rows.filter(|row| row.state == DocumentState::Indexed)
    }

    fn live_leases(&self, space: &Space) -> usize {
        let now = Instant::now();
        self.leases.values().filter(|lease| lease.space == *space && lease.until > now).count()
    }

    fn is_live(&self, token: u64) -> bool {
        self.leases.get(&token).is_some_and(|lease| lease.until > Instant::now())
    }

    /// Fails unless every row of `documents` is claimed under `lease`.
    fn must_hold(&self, pass: &VersionPass, lease: &Lease, documents: &[DocumentId]) -> Result<()> {
        let foreign = self.rows.iter().find(|((space, _), row)| {
            space == pass.space()
                && documents.contains(&row.document)
                && row.claim != Some(lease.token)
        });
        match foreign {
            Some(((_, uri), _)) => Err(Lease::taken_over(uri)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Metastore for MemoryMetastore {
    async fn create_collection(&self, collection: &Collection) -> Result<()> {
        let mut tables = self.tables();
        let name = &collection.name;
        if tables.live.contains_key(name) {
            let taken = format!("collection `{name}` exists already");
            return Err(Error::new(ErrorKind::Conflict, taken));
        }
        tables.create_version(collection)?;
        tables.live.insert(name.clone(), collection.space.clone());
        tables.first_promotion(collection);
        Ok(())
    }

    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>> {
        Ok(self.tables().seen(name))
    }

    async fn collections(&self) -> Result<Vec<Collection>> {
        let tables = self.tables();
        Ok(tables.live.keys().filter_map(|name| tables.seen(name)).collect())
    }

    async fn create_version(&self, pass: &Pass, version: &Collection) -> Result<()> {
        pass.must_write()?;
        self.tables().create_version(version)
    }

    async fn versions(&self, pass: &Pass) -> Result<Vec<IndexVersion>> {
        Ok(self.tables().versions_of(pass.collection()))
    }

    async fn set_built(&self, pass: &VersionPass, built_ms: Option<i64>) -> Result<()> {
        pass.must_write()?;
        self.tables().version(pass)?.built_ms = built_ms;
        Ok(())
    }

    async fn lag(&self, pass: &VersionPass) -> Result<Lag> {
        Ok(self.tables().lag(pass))
    }

    async fn promote(&self, pass: &VersionPass, now_ms: i64, missing: Missing) -> Result<()> {
        pass.must_write()?;
        self.tables().promote(pass, now_ms, missing)
    }

    async fn roll_back(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        self.tables().roll_back(pass)
    }

    async fn delete_version(&self, pass: &VersionPass) -> Result<()> {
        pass.must_write()?;
        let mut tables = self.tables();
        if tables.live.get(pass.collection()) == Some(pass.space()) {
            return Err(Error::new(ErrorKind::Conflict, "the version is live"));
        }
        tables.forget(pass.space());
        Ok(())
    }

    async fn settle_sparse(
        &self,
        pass: &VersionPass,
        sparse: Option<&SparseSettings>,
    ) -> Result<()> {
        pass.must_write()?;
        self.tables().version(pass)?.collection.sparse = sparse.cloned();
        Ok(())
    }

    async fn set_tuning(&self, pass: &VersionPass, tuning: &Tuning) -> Result<()> {
        pass.must_write()?;
        self.tables().version(pass)?.tuning = Some(tuning.clone());
        Ok(())
    }

    async fn delete_collection(&self, pass: &Pass) -> Result<()> {
        pass.must_write()?;
        let name = pass.collection();
        let mut tables = self.tables();
        tables.live.remove(name);
        tables.jobs.retain(|_, job| job.spec.collection != *name);
        tables.feedback.retain(|(collection, _), _| collection != name);
        for version in tables.versions_of(name) {
            tables.forget(&version.collection.space);
        }
        Ok(())
    }

    async fn open_lease(
        &self,
        pass: &VersionPass,
        owner: &str,
        job: JobId,
        ttl: Duration,
    ) -> Result<Lease> {
        pass.must_write()?;
        let mut tables = self.tables();
        tables.must_exist(pass)?;
        tables.last_token += 1;
        let token = tables.last_token;
        let (space, owner) = (pass.space().clone(), owner.to_owned());
        let is_earlier = |lease: &OpenLease| lease.owner == owner && lease.space == space;
        tables.leases.retain(|_, lease| !is_earlier(lease));
        let lease = OpenLease { space, owner, until: Instant::now() + ttl };
        tables.leases.insert(token, lease);
        Ok(Lease { token, job })
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        match self.tables().leases.get_mut(&lease.token) {
            Some(open) => {
                open.until = Instant::now() + ttl;
                Ok(())
            }
            None => Err(Lease::ended()),
        }
    }

    async fn close_lease(&self, lease: &Lease) -> Result<()> {
        self.tables().leases.remove(&lease.token);
        Ok(())
    }

    async fn live_leases(&self, pass: &VersionPass) -> Result<u64> {
        Ok(self.tables().live_leases(pass.space()) as u64)
    }

    async fn claim(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        new: &[LedgerRow],
        documents: &[DocumentId],
    ) -> Result<Claimed> {
        pass.must_write()?;
        let mut tables = self.tables();
        tables.must_exist(pass)?;
        if !tables.is_live(lease.token) {
            return Err(Lease::ended());
        }
        for row in new {
            let key = (pass.space().clone(), row.uri.clone());
            tables.rows.entry(key).or_insert_with(|| row.clone());
        }
        let mut claimed = Claimed::default();
        let keys: Vec<_> = tables
            .rows
            .iter()
            .filter(|((space, _), row)| space == pass.space() && documents.contains(&row.document))
            .map(|(key, row)| (key.clone(), row.document, row.claim))
            .collect();
        for (key, document, claim) in keys {
            if claim.is_some_and(|token| token != lease.token && tables.is_live(token)) {
                claimed.refused.push(document);
            } else if let Some(row) = tables.rows.get_mut(&key) {
                claimed.rows.push(row.clone());
                row.claim = Some(lease.token);
            }
        }
        Ok(claimed)
    }

    async fn commit(&self, pass: &VersionPass, lease: &Lease, rows: &[LedgerRow]) -> Result<()> {
        pass.must_write()?;
        let mut tables = self.tables();
        for row in rows {
            let stored = tables.rows.get(&(pass.space().clone(), row.uri.clone()));
            if stored.is_none_or(|stored| stored.claim != Some(lease.token)) {
                return Err(Lease::taken_over(&row.uri));
            }
        }
        for row in rows {
            let row = LedgerRow { claim: None, ..row.clone() };
            tables.rows.insert((pass.space().clone(), row.uri.clone()), row);
        }
        Ok(())
    }

    async fn delete_rows(
        &self,
        pass: &VersionPass,
        lease: &Lease,
        documents: &[DocumentId],
    ) -> Result<()> {
        pass.must_write()?;
        let mut tables = self.tables();
        tables.must_hold(pass, lease, documents)?;
        tables
            .rows
            .retain(|(space, _), row| space != pass.space() || !documents.contains(&row.document));
        Ok(())
    }

    async fn rows(
        &self,
        pass: &VersionPass,
        scope: Scope<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        let tables = self.tables();
        let rows = tables.rows.iter().filter(|((space, uri), row)| {
            space == pass.space()
                && match scope {
                    Scope::Prefix(prefix) => uri.starts_with(prefix),
                    Scope::Source(source) => row.source == source,
                }
                && after.is_none_or(|after| uri.as_str() > after)
        });
        Ok(rows.take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn same_content(
        &self,
        pass: &VersionPass,
        content: &ContentHash,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        let tables = self.tables();
        let rows = tables.indexed(pass).filter(|row| {
            row.content.as_ref() == Some(content)
                && after.is_none_or(|after| row.uri.as_str() > after)
        });
        Ok(rows.take(limit).cloned().collect())
    }

    async fn untold_copies(
        &self,
        pass: &VersionPass,
        after: Option<&ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        let tables = self.tables();
        let mut groups: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for row in tables.indexed(pass) {
            if let Some(content) = &row.content {
                groups.entry(content.as_str()).or_default().push(row.is_copy);
            }
        }
        let untold = groups.into_iter().filter(|(content, copies)| {
            after.is_none_or(|after| *content > after.as_str())
                && (copies[0] || copies[1..].contains(&false))
        });
        Ok(untold.take(limit).map(|(content, _)| ContentHash::from_stored(content)).collect())
    }

    async fn copies(
        &self,
        pass: &VersionPass,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, String)>> {
        let tables = self.tables();
        let mut copies = Vec::new();
        for original in tables.indexed(pass).filter(|row| documents.contains(&row.document)) {
            let same = |row: &&LedgerRow| row.is_copy && row.content == original.content;
            let uris = tables.indexed(pass).filter(same).map(|row| row.uri.clone());
            copies.extend(uris.map(|uri| (original.document, uri)));
        }
        copies.sort();
        Ok(copies)
    }

    async fn totals(&self, pass: &VersionPass) -> Result<(u64, u64)> {
        let tables = self.tables();
        Ok(tables.indexed(pass).fold((0, 0), |(n, sum), row| (n + 1, sum + u64::from(row.chunks))))
    }

    async fn find_document(&self, document: DocumentId) -> Result<Option<(Collection, LedgerRow)>> {
        let tables = self.tables();
        for (name, space) in &tables.live {
            let mut rows = tables.rows.iter().filter(|((of, _), _)| of == space);
            let found = rows.find(|(_, row)| row.document == document);
            if let (Some((_, row)), Some(seen)) = (found, tables.seen(name)) {
                return Ok(Some((seen, row.clone())));
            }
        }
        Ok(None)
    }

    async fn put_job(&self, job: &Job) -> Result<()> {
        self.tables().jobs.insert(job.id, job.clone());
        Ok(())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.tables().jobs.get(&id).cloned())
    }

    async fn known_sources(&self, pass: &Pass, candidates: &[String]) -> Result<Vec<String>> {
        let tables = self.tables();
        let own = tables.jobs.values().filter(|job| job.spec.collection == *pass.collection());
        let known = own.map(|job| job.spec.source.clone()).filter(|it| candidates.contains(it));
        Ok(known.collect::<std::collections::BTreeSet<_>>().into_iter().collect())
    }

    async fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        let mut jobs: Vec<Job> = self.tables().jobs.values().cloned().collect();
        jobs.retain(|job| !job.state.is_final());
        jobs.sort_by_key(|job| (job.created_ms, job.id));
        Ok(jobs)
    }

    async fn forget_jobs(&self, keep: usize) -> Result<u64> {
        let newest = self.jobs(usize::MAX).await?;
        let stands_for = |newer: bool, other: &Job, job: &Job| {
            let (source, own) = (&other.spec.source, &job.spec.source);
            let is_above = source != own && source.ends_with('/') && own.starts_with(source);
            other.spec.collection == job.spec.collection && (is_above || newer && source == own)
        };
        let mut forgotten = newest.clone();
        let mut index = 0;
        forgotten.retain(|job| {
            let at = index;
            index += 1;
            let others = newest.iter().enumerate();
            let mut others = others.map(|(other, it)| stands_for(other < at, it, job));
            at >= keep && job.state.is_final() && others.any(|stands| stands)
        });
        let mut tables = self.tables();
        forgotten.iter().for_each(|job| drop(tables.jobs.remove(&job.id)));
        Ok(forgotten.len() as u64)
    }

    async fn jobs(&self, limit: usize) -> Result<Vec<Job>> {
        let mut jobs: Vec<Job> = self.tables().jobs.values().cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created_ms, job.id)));
        jobs.truncate(limit);
        Ok(jobs)
    }

    async fn put_feedback(&self, pass: &Pass, feedback: &Feedback) -> Result<()> {
        let mut tables = self.tables();
        tables.must_be_live(pass.collection())?;
        let key = (pass.collection().clone(), feedback.id);
        tables.feedback.insert(key, feedback.clone());
        Ok(())
    }

    async fn feedback(
        &self,
        pass: &Pass,
        after: Option<FeedbackId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        let tables = self.tables();
        let of = tables.feedback.iter().filter(|((collection, id), _)| {
            collection == pass.collection() && after.is_none_or(|after| *id > after)
        });
        Ok(of.map(|(_, feedback)| feedback.clone()).take(limit).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_metastore_conforms() {
        metastore_suite(&MemoryMetastore::default()).await;
    }
}
