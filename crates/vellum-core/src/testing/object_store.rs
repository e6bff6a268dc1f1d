//! Conformance suite of the `ObjectStore` port, and [`MemoryObjectStore`], its peer without a disk.
//!
//! The suite changes a source through a [`SourceFixture`] and looks at it through the port: resolving,
//! order and completeness of listings, change markers, limits. What only one kind of source has
//! (links, permissions, changes during a read) belongs to the implementation's own tests.

use crate::error::{Error, ErrorKind, Result};
use crate::ids::ContentHash;
use crate::ports::{Content, Listed, Listing, ObjectMeta, ObjectStore};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SCHEME: &str = "mem:///";

/// An [`ObjectStore`] in memory. Uris look like `mem:///docs/a.txt`; folders are prefixes.
#[derive(Debug, Default)]
pub struct MemoryObjectStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    writes: u64,
}

#[derive(Debug)]
enum Entry {
    Object { bytes: Bytes, etag: String },
    Unreadable(String),
    Skipped(String),
}

impl MemoryObjectStore {
    /// Stores an object, replacing what is at `uri`; each call gives it a new etag.
    pub fn put(&self, uri: &str, bytes: impl Into<Bytes>) {
        let mut state = self.insert(uri);
        state.writes += 1;
        let etag = format!("w{}", state.writes);
        state.entries.insert(uri.to_owned(), Entry::Object { bytes: bytes.into(), etag });
    }

    /// Puts an object with a change marker of the caller's choice, as a restored backup has its old one.
    pub fn put_as(&self, uri: &str, bytes: impl Into<Bytes>, etag: &str) {
        let entry = Entry::Object { bytes: bytes.into(), etag: etag.to_owned() };
        self.insert(uri).entries.insert(uri.to_owned(), entry);
    }

    /// Puts an entry at `uri` that is listed but cannot be read; a uri that ends with `/` is a folder.
    pub fn put_unreadable(&self, uri: &str, reason: &str) {
        self.insert(uri).entries.insert(uri.to_owned(), Entry::Unreadable(reason.to_owned()));
    }

    /// Puts an entry at `uri` that is left out by rule, as a symbolic link is.
    pub fn put_skipped(&self, uri: &str, reason: &str) {
        self.insert(uri).entries.insert(uri.to_owned(), Entry::Skipped(reason.to_owned()));
    }

    /// Removes what is at `uri`, if anything.
    pub fn remove(&self, uri: &str) {
        self.state().entries.remove(uri);
    }

    fn insert(&self, uri: &str) -> MutexGuard<'_, State> {
        assert!(uri.starts_with(SCHEME), "`{uri}` does not start with {SCHEME}");
        self.state()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single insert or remove, so a panicking test leaves a whole map.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(uri: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{uri}` does not exist"))
        .with_hint("check the spelling of the source")
}

fn meta(uri: &str, bytes: &Bytes, etag: &str) -> ObjectMeta {
    ObjectMeta {
        uri: uri.to_owned(),
        name: uri.rsplit('/').next().map(decoded).unwrap_or_default(),
        size: bytes.len() as u64,
        etag: etag.to_owned(),
    }
}

/// Returns `text` with percent escapes replaced; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[async_trait]
impl ObjectStore for MemoryObjectStore {
    fn uri_of(&self, bucket: &str, key: &str) -> Result<String> {
        Ok(format!("{SCHEME}{bucket}/{key}"))
    }

    async fn resolve(&self, source: &str) -> Result<String> {
        if source.contains("://") && !source.starts_with(SCHEME) {
            return Err(Error::new(ErrorKind::Unsupported, format!("cannot read `{source}`"))
                .with_hint("use a mem:/// uri"));
        }
        let path = source.strip_prefix(SCHEME).unwrap_or(source).trim_matches('/');
        let (file, folder) = (format!("{SCHEME}{path}"), format!("{SCHEME}{path}/"));
        let state = self.state();
        if path.is_empty() {
            return Ok(SCHEME.to_owned());
        }
        if state.entries.contains_key(&file) {
            return Ok(file);
        }
        let below = state.entries.range(folder.clone()..).next();
        if below.is_some_and(|(uri, _)| uri.starts_with(&folder)) {
            return Ok(folder);
        }
        Err(not_found(source))
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        let state = self.state();
        let listed: Vec<Result<Listed>> = state
            .entries
            .range(source.to_owned()..)
            .take_while(|(uri, _)| uri.starts_with(source))
            .filter(|(uri, _)| source.ends_with('/') || uri.as_str() == source)
            .map(|(uri, entry)| {
                let (uri_owned, reason_of) = (uri.clone(), String::clone);
                Ok(match entry {
                    Entry::Object { bytes, etag } => Listed::Object(meta(uri, bytes, etag)),
                    Entry::Unreadable(why) => {
                        Listed::Unreadable { uri: uri_owned, reason: reason_of(why) }
                    }
                    Entry::Skipped(why) => {
                        Listed::Skipped { uri: uri_owned, reason: reason_of(why) }
                    }
                })
            })
            .collect();
        if listed.is_empty() && source != SCHEME {
            return Err(not_found(source));
        }
        Ok(stream::iter(listed).boxed())
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        let state = self.state();
        match state.entries.get(uri) {
            Some(Entry::Object { bytes, .. }) if bytes.len() as u64 > limit => Err(Error::new(
                ErrorKind::Rejected,
                format!("{} bytes is more than the limit of {limit} bytes", bytes.len()),
            )),
            Some(Entry::Object { bytes, etag }) => {
                Ok((meta(uri, bytes, etag), bytes.clone().into()))
            }
            Some(Entry::Unreadable(why) | Entry::Skipped(why)) => {
                Err(Error::new(ErrorKind::Io, format!("read `{uri}`: {why}")))
            }
            None => Err(not_found(uri)),
        }
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// How the suite changes a source. Paths are relative to the root, decoded, with `/` between names.
pub trait SourceFixture: Send + Sync {
    /// Returns what a user would type for the root folder.
    fn root(&self) -> String;

    /// Writes an object, with the folders above it.
    fn put(&self, path: &str, content: &[u8]);

    /// Removes an object.
    fn remove(&self, path: &str);
}

/// Lists `source` to its end.
///
/// # Errors
/// As the listing.
pub async fn listed(store: &dyn ObjectStore, source: &str) -> Result<Vec<Listed>> {
    store.list(source).await?.try_collect().await
}

/// Returns the objects below `source`, leaving out unreadable and skipped entries.
///
/// # Errors
/// As the listing.
pub async fn objects(store: &dyn ObjectStore, source: &str) -> Result<Vec<ObjectMeta>> {
    let entries = listed(store, source).await?.into_iter();
    let object = |entry| match entry {
        Listed::Object(meta) => Some(meta),
        Listed::Unreadable { .. } | Listed::Skipped { .. } => None,
    };
    Ok(entries.filter_map(object).collect())
}

/// Asserts every clause of the [`ObjectStore`] port on an empty, existing root.
///
/// # Panics
/// When a clause is broken.
pub async fn object_store_suite(store: &dyn ObjectStore, fixture: &dyn SourceFixture) {
    store.check().await.expect("a fresh store is ready");
    let root = store.resolve(&fixture.root()).await.expect("the root exists");
    assert!(root.ends_with('/'), "a folder ends with `/`: {root}");
    assert_eq!(listed(store, &root).await.expect("listed"), [], "the suite needs an empty root");
    for path in ["a.txt", "a/z.txt", "a-b.txt", "a b/ü.txt", "#1%20.txt", "deep/er/x.txt", "Z.txt"]
    {
        fixture.put(path, path.as_bytes());
    }
    resolving(store, fixture, &root).await;
    listing(store, &root).await;
    reading(store, &root).await;
    changes(store, fixture, &root).await;
}

async fn resolving(store: &dyn ObjectStore, fixture: &dyn SourceFixture, root: &str) {
    assert_eq!(store.resolve(root).await.expect("resolved"), root, "resolving is idempotent");
    let folder = fixture.root();
    let typed = |path: &str| format!("{}/{path}", folder.strip_suffix('/').unwrap_or(&folder));
    for (path, uri) in [("a.txt", "a.txt"), ("a", "a/"), ("a/", "a/"), ("deep/er", "deep/er/")] {
        let resolved = store.resolve(&typed(path)).await.expect(path);
        assert_eq!(resolved, format!("{root}{uri}"), "{path}");
    }
    let missing = store.resolve(&typed("none")).await.expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.message().contains("none` does not exist"), "it is named: {missing}");
    assert!(missing.hint().is_some(), "there is a next step");
    let foreign = store.resolve("gopher://host/a").await.expect_err("unknown scheme");
    assert_eq!(foreign.kind(), ErrorKind::Unsupported);
    assert!(foreign.hint().is_some(), "there is a next step");
}

async fn listing(store: &dyn ObjectStore, root: &str) {
    let found = objects(store, root).await.expect("listed");
    let uris: Vec<&str> = found.iter().map(|meta| meta.uri.as_str()).collect();
    assert!(uris.is_sorted_by(|a, b| a < b), "strictly ascending by bytes: {uris:#?}");
    let mut names: Vec<&str> = found.iter().map(|meta| meta.name.as_str()).collect();
    names.sort_unstable();
    let expected = ["#1%20.txt", "Z.txt", "a-b.txt", "a.txt", "x.txt", "z.txt", "ü.txt"];
    assert_eq!(names, expected, "everything is listed, with decoded names");
    for meta in &found {
        assert!(meta.uri.starts_with(root), "{} lies below the root", meta.uri);
        assert!(meta.uri.bytes().all(|b| b > b' ' && b != 0x7f), "{} is encoded", meta.uri);
        let alone = objects(store, &meta.uri).await.expect("an object lists itself");
        assert_eq!(&alone, std::slice::from_ref(meta));
        assert_eq!(store.resolve(&meta.uri).await.expect("resolved"), meta.uri);
    }
    let below = objects(store, &format!("{root}a/")).await.expect("listed");
    let below: Vec<&str> = below.iter().map(|meta| meta.name.as_str()).collect();
    assert_eq!(below, ["z.txt"], "a folder lists what is below it only");
    let gone = listed(store, &format!("{root}none/")).await.expect_err("a missing source");
    assert_eq!(gone.kind(), ErrorKind::NotFound, "a missing source is not an empty one");
}

async fn reading(store: &dyn ObjectStore, root: &str) {
    for meta in objects(store, root).await.expect("listed") {
        let (read, bytes) = store.get(&meta.uri, meta.size).await.expect("at the limit");
        assert_eq!(read, meta, "an unchanged object has the metadata of its listing");
        assert_eq!(bytes.len(), meta.size);
        let over = store.get(&meta.uri, meta.size - 1).await.expect_err("over the limit");
        assert_eq!(over.kind(), ErrorKind::Rejected, "{over}");
    }
    for uri in ["none.txt", "none/x.txt"] {
        let missing = store.get(&format!("{root}{uri}"), 1).await.expect_err("missing");
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    }
}

async fn changes(store: &dyn ObjectStore, fixture: &dyn SourceFixture, root: &str) {
    let uri = format!("{root}a.txt");
    let (before, _) = store.get(&uri, 100).await.expect("read");
    fixture.put("a.txt", b"A.TXT");
    let (after, bytes) = store.get(&uri, 100).await.expect("read");
    assert_eq!(&bytes.to_bytes().expect("read")[..], b"A.TXT");
    assert_eq!(bytes.hash().expect("read"), ContentHash::of(b"A.TXT"));
    assert_eq!(before.size, after.size);
    assert_ne!(before.etag, after.etag, "other content, other etag, though the size is the same");

    fixture.put("empty.txt", b"");
    let (empty, bytes) = store.get(&format!("{root}empty.txt"), 0).await.expect("read");
    assert_eq!((empty.size, bytes.len()), (0, 0), "an empty object is an object");

    fixture.remove("a.txt");
    let gone = store.get(&uri, 100).await.expect_err("removed");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let left = objects(store, root).await.expect("listed");
    assert!(left.iter().all(|meta| meta.uri != uri), "a removed object is not listed");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Below<'a>(&'a MemoryObjectStore);

    impl Below<'_> {
        fn uri(path: &str) -> String {
            let mut uri = SCHEME.to_owned();
            for byte in path.bytes() {
                match byte {
                    b'%' | b'#' | b' ' | 0x80.. => uri.push_str(&format!("%{byte:02X}")),
                    _ => uri.push(char::from(byte)),
                }
            }
            uri
        }
    }

    impl SourceFixture for Below<'_> {
        fn root(&self) -> String {
            SCHEME.into()
        }

        fn put(&self, path: &str, content: &[u8]) {
            self.0.put(&Self::uri(path), content.to_vec());
        }

        fn remove(&self, path: &str) {
            self.0.remove(&Self::uri(path));
        }
    }

    #[tokio::test]
    async fn memory_object_store_conforms() {
        let store = MemoryObjectStore::default();
        object_store_suite(&store, &Below(&store)).await;
    }

    #[tokio::test]
    async fn unreadable_and_skipped_entries_are_listed() {
        let store = MemoryObjectStore::default();
        store.put("mem:///docs/a.txt", "a");
        store.put_unreadable("mem:///docs/b/", "permission denied");
        store.put_skipped("mem:///docs/c", "symbolic link");
        let uris: Vec<String> =
            listed(&store, "mem:///docs/").await.unwrap().iter().map(|e| e.uri().into()).collect();
        assert_eq!(uris, ["mem:///docs/a.txt", "mem:///docs/b/", "mem:///docs/c"]);
        assert_eq!(store.get("mem:///docs/c", 9).await.unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(store.resolve("docs").await.unwrap(), "mem:///docs/");
    }
}
