//! Conformance suite of the `Metastore` port, and [`MemoryMetastore`], its peer without a disk.
//!
//! The suite needs an empty store and leaves collections and jobs behind. It covers what every
//! implementation must show on one connection; durability and concurrency between processes belong to
//! the implementation's own tests.

use crate::access::{Pass, Principal, Verb};
use crate::collection::{Collection, IndexSettings, SparseSettings, SplitterSettings};
use crate::document::Format;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionName, ContentHash, DocumentId, JobId};
use crate::job::{Job, JobSpec, JobState, Refusal, Report};
use crate::ledger::{DocumentState, LedgerRow};
use crate::ports::Metastore;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A [`Metastore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryMetastore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    collections: BTreeMap<CollectionName, Collection>,
    rows: BTreeMap<(CollectionName, String), LedgerRow>,
    jobs: BTreeMap<JobId, Job>,
}

impl MemoryMetastore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Every change below is a single insert or retain, so a panicking test leaves whole tables.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn must_exist(&self, name: &CollectionName) -> Result<()> {
        if self.collections.contains_key(name) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("collection `{name}` does not exist")))
    }
}

#[async_trait]
impl Metastore for MemoryMetastore {
    async fn create_collection(&self, collection: &Collection) -> Result<()> {
        let mut tables = self.tables();
        let name = &collection.name;
        if tables.collections.contains_key(name) {
            let taken = format!("collection `{name}` exists already");
            return Err(Error::new(ErrorKind::Conflict, taken));
        }
        tables.collections.insert(name.clone(), collection.clone());
        Ok(())
    }

    async fn collection(&self, name: &CollectionName) -> Result<Option<Collection>> {
        Ok(self.tables().collections.get(name).cloned())
    }

    async fn collections(&self) -> Result<Vec<Collection>> {
        Ok(self.tables().collections.values().cloned().collect())
    }

    async fn settle_sparse(&self, pass: &Pass, sparse: Option<&SparseSettings>) -> Result<()> {
        pass.must_write()?;
        let mut tables = self.tables();
        tables.must_exist(pass.collection())?;
        if let Some(collection) = tables.collections.get_mut(pass.collection()) {
            collection.sparse = sparse.cloned();
        }
        Ok(())
    }

    async fn delete_collection(&self, pass: &Pass) -> Result<()> {
        pass.must_write()?;
        let name = pass.collection();
        let mut tables = self.tables();
        tables.collections.remove(name);
        tables.rows.retain(|(collection, _), _| collection != name);
        tables.jobs.retain(|_, job| job.spec.collection != *name);
        Ok(())
    }

    async fn put_rows(&self, pass: &Pass, rows: &[LedgerRow]) -> Result<()> {
        pass.must_write()?;
        let mut tables = self.tables();
        if !rows.is_empty() {
            tables.must_exist(pass.collection())?;
        }
        for row in rows {
            tables.rows.insert((pass.collection().clone(), row.uri.clone()), row.clone());
        }
        Ok(())
    }

    async fn delete_rows(&self, pass: &Pass, documents: &[DocumentId]) -> Result<()> {
        pass.must_write()?;
        self.tables().rows.retain(|(collection, _), row| {
            collection != pass.collection() || !documents.contains(&row.document)
        });
        Ok(())
    }

    async fn rows(
        &self,
        pass: &Pass,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerRow>> {
        let tables = self.tables();
        let rows = tables.rows.iter().filter(|((collection, uri), _)| {
            collection == pass.collection()
                && uri.starts_with(prefix)
                && after.is_none_or(|after| uri.as_str() > after)
        });
        Ok(rows.take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn totals(&self, pass: &Pass) -> Result<(u64, u64)> {
        let tables = self.tables();
        let indexed = tables.rows.iter().filter(|((collection, _), row)| {
            collection == pass.collection() && row.state == DocumentState::Indexed
        });
        Ok(indexed.fold((0, 0), |(n, sum), (_, row)| (n + 1, sum + u64::from(row.chunks))))
    }

    async fn find_document(
        &self,
        document: DocumentId,
    ) -> Result<Option<(CollectionName, LedgerRow)>> {
        let tables = self.tables();
        let found = tables.rows.iter().find(|(_, row)| row.document == document);
        Ok(found.map(|((collection, _), row)| (collection.clone(), row.clone())))
    }

    async fn put_job(&self, job: &Job) -> Result<()> {
        self.tables().jobs.insert(job.id, job.clone());
        Ok(())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.tables().jobs.get(&id).cloned())
    }

    async fn jobs(&self, limit: usize) -> Result<Vec<Job>> {
        let mut jobs: Vec<Job> = self.tables().jobs.values().cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created_ms, job.id)));
        jobs.truncate(limit);
        Ok(jobs)
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Returns a collection as the tests of stores need it.
pub fn sample_collection(name: &str) -> Collection {
    Collection {
        name: name.parse().expect("tests use valid names"),
        settings: IndexSettings {
            converter: "plain-1".into(),
            splitter: SplitterSettings { max_tokens: 256, overlap_tokens: 32 },
            embedder: "hash".into(),
            embedder_digest: "hash-64-256".into(),
            dim: 64,
        },
        language: None,
        sparse: None,
        created_ms: 1_767_225_600_000,
    }
}

/// Returns the ledger row of an indexed document with one chunk.
pub fn sample_row(collection: &CollectionName, uri: &str) -> LedgerRow {
    LedgerRow {
        document: DocumentId::derive(collection, uri),
        uri: uri.to_owned(),
        etag: "etag".into(),
        content: Some(ContentHash::of(uri.as_bytes())),
        settings: "0123456789abcdef".into(),
        state: DocumentState::Indexed,
        format: Some(Format::Text),
        title: Some("Title".into()),
        chunks: 1,
        pages: 2,
        bytes: 3,
        updated_ms: 4,
    }
}

/// Asserts every clause of the [`Metastore`] port on an empty store.
///
/// # Panics
/// When a clause is broken.
pub async fn metastore_suite(store: &dyn Metastore) {
    store.check().await.expect("a fresh store is ready");
    assert_eq!(store.collections().await.expect("listed"), [], "the suite needs an empty store");
    collections(store).await;
    ledger(store).await;
    order_of_rows(store).await;
    rights(store).await;
    jobs(store).await;
    deletion(store).await;
}

fn pass(collection: &str, verb: Verb) -> Pass {
    let name = collection.parse().expect("tests use valid names");
    Pass::grant(&Principal::Owner, &name, verb).expect("the owner may do everything")
}

async fn uris(store: &dyn Metastore, prefix: &str, after: Option<&str>, n: usize) -> Vec<String> {
    let rows = store.rows(&pass("a", Verb::Read), prefix, after, n).await.expect("rows are read");
    rows.into_iter().map(|row| row.uri).collect()
}

async fn collections(store: &dyn Metastore) {
    let mut first = sample_collection("a");
    first.language = Some("de".into());
    let second = sample_collection("b-2");
    for collection in [&second, &first] {
        store.create_collection(collection).await.expect("the name is free");
    }
    let taken = store.create_collection(&sample_collection("a")).await.expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::Conflict, "a taken name is a conflict");
    assert!(taken.message().contains("`a`"), "the message names the collection: {taken}");
    assert_eq!(store.collection(&first.name).await.expect("read"), Some(first.clone()));
    assert_eq!(store.collections().await.expect("read"), [first.clone(), second], "by name");
    let none = "none".parse().expect("valid");
    assert_eq!(store.collection(&none).await.expect("read"), None);

    // Values without a short decimal form show that the mean is stored exactly.
    for (language, avg_len) in [(None, 0.1_f32 + 0.2), (Some("en".to_owned()), 1.0 / 3.0 * 1e7)] {
        let sparse = SparseSettings { language, avg_len, chunks: 9 };
        store.settle_sparse(&pass("a", Verb::Write), Some(&sparse)).await.expect("settled");
        let read = store.collection(&first.name).await.expect("read").expect("still there");
        assert_eq!(read, Collection { sparse: Some(sparse), ..first.clone() });
    }
    let (write, name) = (pass("a", Verb::Write), &first.name);
    store.settle_sparse(&write, None).await.expect("unsettled");
    assert_eq!(store.collection(name).await.expect("read"), Some(first.clone()), "not settled");
    let missing = store.settle_sparse(&pass("none", Verb::Write), None).await;
    assert_eq!(missing.expect_err("missing").kind(), ErrorKind::NotFound);
}

async fn ledger(store: &dyn Metastore) {
    let (read, write) = (pass("a", Verb::Read), pass("a", Verb::Write));
    assert_eq!(store.totals(&read).await.expect("read"), (0, 0));
    let indexed = sample_row(read.collection(), "file:///d/indexed.txt");
    let bare = LedgerRow {
        state: DocumentState::Rejected("it is `encrypted`; naïve ☃".into()),
        content: None,
        format: None,
        title: None,
        chunks: 7,
        pages: 0,
        bytes: (1 << 53) + 1,
        updated_ms: -1,
        ..sample_row(read.collection(), "file:///d/rejected.pdf")
    };
    let failed = LedgerRow {
        state: DocumentState::Failed(String::new()),
        format: Some(Format::Pdf),
        chunks: u32::MAX,
        ..sample_row(read.collection(), "file:///d/failed.pdf")
    };
    store.put_rows(&write, &[]).await.expect("nothing to do");
    let rows = [indexed.clone(), bare.clone(), failed.clone()];
    store.put_rows(&write, &rows).await.expect("rows are stored");
    let stored = store.rows(&read, "", None, 10).await.expect("read");
    assert_eq!(stored, [failed, indexed.clone(), bare], "rows come back whole, by uri");
    assert_eq!(store.totals(&read).await.expect("read"), (1, 1), "only indexed documents count");

    let changed = LedgerRow { chunks: 5, etag: "etag 2".into(), ..indexed.clone() };
    store.put_rows(&write, std::slice::from_ref(&changed)).await.expect("replaced");
    assert_eq!(store.totals(&read).await.expect("read"), (1, 5), "a row is replaced by uri");
    let found = store.find_document(indexed.document).await.expect("read");
    assert_eq!(found, Some((read.collection().clone(), changed)));

    let other = sample_row(&"b-2".parse().expect("valid"), &indexed.uri);
    let other_pass = pass("b-2", Verb::Write);
    store.put_rows(&other_pass, std::slice::from_ref(&other)).await.expect("stored");
    let unknown = DocumentId::derive(read.collection(), "unknown");
    let ids = [unknown, other.document, indexed.document];
    store.delete_rows(&write, &ids).await.expect("removed");
    store.delete_rows(&write, &ids).await.expect("removal is idempotent");
    store.delete_rows(&write, &[]).await.expect("nothing to do");
    assert_eq!(store.find_document(indexed.document).await.expect("read"), None);
    let kept = store.rows(&other_pass, "", None, 10).await.expect("read");
    assert_eq!(kept, [other], "a pass reaches its own collection only");

    let missing = store.put_rows(&pass("none", Verb::Write), &[indexed]).await;
    assert_eq!(missing.expect_err("missing").kind(), ErrorKind::NotFound);
    let none = pass("none", Verb::Read);
    assert_eq!(store.rows(&none, "", None, 10).await.expect("read"), []);
    assert_eq!(store.totals(&none).await.expect("read"), (0, 0));
}

async fn order_of_rows(store: &dyn Metastore) {
    let (read, write) = (pass("a", Verb::Read), pass("a", Verb::Write));
    // Ascending by bytes; differs from every order that folds case or knows a language, and holds the
    // wildcards of SQL's LIKE.
    let sorted = [
        "m:///%25",
        "m:///A",
        "m:///Z",
        "m:///_",
        "m:///a",
        "m:///a%",
        "m:///a-b",
        "m:///a/1",
        "m:///a/2",
        "m:///ab",
        "m:///z",
        "m:///~",
        "m:///ä",
        "m:///\u{10ffff}",
    ];
    assert!(sorted.is_sorted());
    let mut rows: Vec<_> = sorted.iter().map(|uri| sample_row(read.collection(), uri)).collect();
    rows.reverse();
    rows.rotate_left(5);
    store.put_rows(&write, &rows).await.expect("stored");

    assert_eq!(uris(store, "m:///", None, usize::MAX).await, sorted, "bytewise order");
    assert_eq!(uris(store, "m:///a/", None, 9).await, ["m:///a/1", "m:///a/2"], "prefix");
    assert_eq!(uris(store, "m:///a/1", None, 9).await, ["m:///a/1"], "a prefix may be a whole uri");
    assert_eq!(uris(store, "m:///%", None, 9).await, ["m:///%25"], "no wildcards");
    assert_eq!(uris(store, "m:///_", None, 9).await, ["m:///_"], "no wildcards");
    assert_eq!(uris(store, "m:///\u{10ffff}", None, 9).await.len(), 1, "the greatest prefix");
    assert_eq!(uris(store, "x", None, 9).await, [""; 0]);
    assert_eq!(uris(store, "m:///", None, 0).await, [""; 0], "a limit of nothing");
    assert_eq!(
        uris(store, "m:///", Some("m:///a0"), 1).await,
        ["m:///ab"],
        "`after` may be absent"
    );
    assert_eq!(
        uris(store, "m:///z", Some("m:///A"), 9).await,
        ["m:///z"],
        "`after` below the prefix"
    );
    assert_eq!(uris(store, "m:///A", Some("m:///Z"), 9).await, [""; 0], "`after` above the prefix");

    let mut paged = Vec::new();
    loop {
        let page = uris(store, "m:///", paged.last().map(String::as_str), 3).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, sorted, "pages join without gap or overlap");
}

async fn rights(store: &dyn Metastore) {
    let read = pass("a", Verb::Read);
    let row = sample_row(read.collection(), "m:///a");
    for refused in [
        store.settle_sparse(&read, None).await,
        store.delete_collection(&read).await,
        store.put_rows(&read, std::slice::from_ref(&row)).await,
        store.delete_rows(&read, &[row.document]).await,
    ] {
        assert_eq!(refused.expect_err("a read pass").kind(), ErrorKind::Forbidden);
    }
    assert!(store.find_document(row.document).await.expect("read").is_some(), "nothing changed");
}

fn sample_job(id: u8, collection: &str, created_ms: i64) -> Job {
    Job {
        id: JobId::from_bytes([id; 16]),
        spec: JobSpec {
            version: 1,
            collection: collection.parse().expect("valid"),
            source: "file:///d/".into(),
            prune: false,
        },
        state: JobState::Queued,
        report: Report::default(),
        error: None,
        created_ms,
        updated_ms: created_ms,
    }
}

async fn jobs(store: &dyn Metastore) {
    assert_eq!(store.jobs(10).await.expect("read"), []);
    // A job is accepted before its collection exists, because its first step creates it.
    let (old, new) = (sample_job(9, "a", 100), sample_job(1, "later", 200));
    for job in [&new, &old] {
        store.put_job(job).await.expect("stored");
    }
    assert_eq!(store.jobs(10).await.expect("read"), [new.clone(), old.clone()], "newest first");
    assert_eq!(store.jobs(1).await.expect("read"), [new], "the newest");
    assert_eq!(store.jobs(0).await.expect("read"), []);

    let done = Job {
        state: JobState::Failed,
        report: Report {
            listed: 3,
            added: 1,
            rejected: vec![Refusal { uri: "file:///d/x".into(), reason: "no text".into() }],
            warnings: vec!["a link".into()],
            ..Report::default()
        },
        error: Some("disk full; free some space".into()),
        updated_ms: 150,
        ..old
    };
    store.put_job(&done).await.expect("replaced");
    assert_eq!(store.job(done.id).await.expect("read"), Some(done));
    let unknown = JobId::from_bytes([7; 16]);
    assert_eq!(store.job(unknown).await.expect("read"), None);
}

async fn deletion(store: &dyn Metastore) {
    let write = pass("a", Verb::Write);
    store.delete_collection(&write).await.expect("removed");
    store.delete_collection(&write).await.expect("removal is idempotent");
    assert_eq!(store.collection(write.collection()).await.expect("read"), None);
    assert_eq!(store.rows(&write, "", None, 10).await.expect("read"), [], "with its ledger");
    let left: Vec<String> = store
        .jobs(10)
        .await
        .expect("read")
        .iter()
        .map(|job| job.spec.collection.to_string())
        .collect();
    assert_eq!(left, ["later"], "with its jobs, and no others");
    let others = store.rows(&pass("b-2", Verb::Read), "", None, 10).await.expect("read");
    assert_eq!(others.len(), 1, "other collections stay");

    store.create_collection(&sample_collection("a")).await.expect("the name is free again");
    assert_eq!(store.totals(&write).await.expect("read"), (0, 0), "and starts empty");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_metastore_conforms() {
        metastore_suite(&MemoryMetastore::default()).await;
    }
}
