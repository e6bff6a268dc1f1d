//! Buckets: the port's suite on four servers by other people, and one of our own that fails in every way.

use crate::dialect::Dialect;
use crate::faulty::{Fault, Faulty};
use crate::servers::Server;
use crate::site::{Reply, Request, Site};
use futures::TryStreamExt;
use vellum_backends::{BucketStore, Environment, S3Settings};
use vellum_core::ErrorKind;
use vellum_core::ports::{Listed, ObjectStore};
use vellum_core::testing::object_store::{SourceFixture, object_store_suite};

struct Folder<'a>(&'a Server);

impl SourceFixture for Folder<'_> {
    fn root(&self) -> String {
        format!("{}suite/", self.0.dialect.scheme())
    }

    fn put(&self, path: &str, content: &[u8]) {
        self.0.put("suite", path, content);
    }

    fn remove(&self, path: &str) {
        self.0.remove("suite", path);
    }
}

#[tokio::test]
async fn buckets_of_moto_conform() {
    let Some(moto) = Server::moto() else { return };
    conforms(&moto).await;
}

#[tokio::test]
async fn buckets_of_s3s_conform() {
    conforms(&Server::s3s()).await;
}

#[tokio::test]
async fn buckets_of_fake_gcs_conform() {
    let Some(fake) = Server::fake_gcs() else { return };
    conforms(&fake).await;
}

#[tokio::test]
async fn containers_of_azurite_conform() {
    let Some(azurite) = Server::azurite() else { return };
    conforms(&azurite).await;
}

async fn conforms(server: &Server) {
    server.create("suite");
    let spool = tempfile::tempdir().unwrap();
    object_store_suite(&server.store(spool.path()), &Folder(server)).await;
}

#[tokio::test]
async fn keys_of_every_kind_are_listed_in_order_and_read() {
    let Some(moto) = Server::moto() else { return };
    let taken = odd_keys(&moto).await;
    assert_eq!(taken, ODD_KEYS.len(), "moto takes every key");
}

#[tokio::test]
async fn keys_that_a_file_system_can_hold_are_listed_in_order_and_read() {
    let taken = odd_keys(&Server::s3s()).await;
    // It stores `a//b.txt` as `a/b.txt`, and that is what it lists.
    assert_eq!(taken, ODD_KEYS.len(), "s3s takes every key");
}

#[tokio::test]
async fn keys_of_every_kind_are_read_from_google() {
    let Some(fake) = Server::fake_gcs() else { return };
    let taken = odd_keys(&fake).await;
    assert_eq!(taken, ODD_KEYS.len(), "fake-gcs-server takes every key");
}

#[tokio::test]
async fn keys_of_every_kind_are_read_from_azure() {
    let Some(azurite) = Server::azurite() else { return };
    let taken = odd_keys(&azurite).await;
    assert_eq!(taken, ODD_KEYS.len(), "Azurite takes every key");
}

const ODD_KEYS: [&str; 16] = [
    "a//b.txt",
    "a b.txt",
    "a!b.txt",
    "a+b.txt",
    "é.txt",
    "e\u{301}.txt",
    "中/文.md",
    "tab\there.txt",
    "~z",
    "100%.txt",
    "%41.txt",
    "q?x=1&y=2.txt",
    "#1.txt",
    "it's \"so\" <b>&amp;.txt",
    "\u{1f600}.txt",
    "a=b,c;d:e@f$g.txt",
];

/// Stores what the server takes, lists it in order and reads it; returns how many keys it took.
async fn odd_keys(server: &Server) -> usize {
    server.create("odd");
    let taken: Vec<&str> =
        ODD_KEYS.into_iter().filter(|key| server.try_put("odd", key, key.as_bytes())).collect();
    server.put("odd", "folder/", b"");
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    server.put("odd", "large.bin", &large);
    let spool = tempfile::tempdir().unwrap();
    let store = server.store(spool.path());
    let root = format!("{}odd/", server.dialect.scheme());
    let found: Vec<Listed> = store.list(&root).await.unwrap().try_collect().await.unwrap();
    let uris: Vec<&str> = found.iter().map(Listed::uri).collect();
    assert!(uris.is_sorted() && uris.len() == taken.len() + 1, "{uris:?} of {taken:?}");
    for entry in &found {
        let Listed::Object(meta) = entry else { panic!("{entry:?}") };
        let (read, content) = store.get(&meta.uri, 1 << 30).await.unwrap();
        assert_eq!(read, *meta);
        let bytes = content.to_bytes().unwrap();
        assert!(bytes == large || taken.contains(&std::str::from_utf8(&bytes).unwrap()));
    }
    // What people type is the key as it is.
    for (typed, uri) in [("a b.txt", "a%20b.txt"), ("中", "中/")] {
        let resolved = store.resolve(&format!("{root}{typed}")).await.unwrap();
        assert_eq!(resolved, format!("{root}{uri}"));
    }
    taken.len()
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged_for_keys() {
    let Some(moto) = Server::moto() else { return };
    moto.create("mine");
    moto.put("mine", "a.txt", b"text");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let endpoint = moto.endpoint();
    let store = || {
        let settings = S3Settings { endpoint: endpoint.clone(), ..S3Settings::default() };
        let environment = Environment::read(|name| match name {
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some(token.to_string_lossy().into_owned()),
            "AWS_ROLE_ARN" => Some("arn:aws:iam::123456789012:role/vellum".to_owned()),
            "AWS_ENDPOINT_URL_STS" => Some(endpoint.clone()),
            _ => None,
        });
        BucketStore::s3(&settings, environment, folder.path().to_owned()).unwrap()
    };
    let missing = store().resolve("s3://mine/").await.unwrap_err();
    assert!(missing.message().contains("read the token in"), "{missing}");
    std::fs::write(&token, "a.b.c\n").unwrap();
    let (_, content) = store().get("s3://mine/a.txt", 100).await.unwrap();
    assert_eq!(&content.to_bytes().unwrap()[..], b"text");
}

#[tokio::test]
async fn mistakes_are_named_with_the_next_step() {
    for server in [Server::moto(), Server::fake_gcs(), Server::azurite()].into_iter().flatten() {
        server.create("here");
        server.put("here", "2026-01/a.txt", b"x");
        let spool = tempfile::tempdir().unwrap();
        let store = server.store(spool.path());
        let scheme = server.dialect.scheme();
        for (source, kind, says) in [
            ("hree/", ErrorKind::Invalid, "`hree` does not exist"),
            ("here/2025", ErrorKind::NotFound, "here/2025` does not exist"),
            ("here/2026", ErrorKind::NotFound, "does not exist"),
            ("no such/", ErrorKind::Invalid, "cannot name a bucket"),
            ("", ErrorKind::Invalid, "cannot name a bucket"),
        ] {
            let error = store.resolve(&format!("{scheme}{source}")).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
        }
        let hint = store.resolve(&format!("{scheme}here/2026")).await.unwrap_err();
        let there = format!("{scheme}here/2026-01/a.txt");
        assert!(hint.hint().unwrap().contains(&there), "{:?}", hint.hint());
    }
}

/// A container with folders, as an account with a hierarchical namespace lists it: `/` before all other characters, each
/// blob with its kind, an empty page first, then two entries on a page.
fn tree(request: &Request, keys: &[&str]) -> Reply {
    let value = |name: &str| {
        let query = request.path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let prefix = value("prefix").unwrap_or_default();
    let mut shown = std::collections::BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(&prefix)) {
        let folders = key.match_indices('/').map(|(at, _)| &key[..at]);
        let mut folders: Vec<&str> = folders.filter(|it| it.len() > prefix.len()).collect();
        if value("delimiter").is_some() {
            folders.truncate(1);
        }
        let is_below = value("delimiter").is_some() && !folders.is_empty();
        shown.extend(folders.into_iter().map(|it| (it.replace('/', "\0"), true)));
        shown.extend((!is_below).then(|| (key.replace('/', "\0"), false)));
    }
    let is_flat = value("delimiter").is_none();
    let entry = |(key, is_folder): &(String, bool)| {
        let key = key.replace('\0', "/");
        match (is_folder, is_flat) {
            (true, false) => format!("<BlobPrefix><Name>{key}/</Name></BlobPrefix>"),
            (is_folder, _) => {
                let kind = if *is_folder { "directory" } else { "file" };
                format!(
                    "<Blob><Name>{key}</Name><Properties><Etag>0x1</Etag><Content-Length>1</Content-Length><ResourceType>{kind}</ResourceType></Properties></Blob>"
                )
            }
        }
    };
    let entries: Vec<String> = shown.iter().map(entry).collect();
    let (now, next) = match value("marker") {
        None => (&entries[..0], Some(0)),
        Some(at) => {
            let at: usize = at.parse().unwrap();
            let end = (at + 2).min(entries.len());
            (&entries[at..end], Some(end).filter(|end| *end < entries.len()))
        }
    };
    let next = next.map(|next| next.to_string()).unwrap_or_default();
    Reply::ok(format!(
        "<EnumerationResults><Blobs>{}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>",
        now.concat()
    ))
}

#[tokio::test]
async fn a_tree_of_azure_is_listed_in_the_order_of_bytes() {
    let keys =
        ["a/b/c/d.txt", "a/b-c.txt", "a/x.txt", "a-b/y.txt", "a.txt", "b/ü.txt", "c/d/e.txt"];
    let site = Site::start(move |request, _| tree(request, &keys));
    let spool = tempfile::tempdir().unwrap();
    let store = Dialect::Azure.store(&site.address, spool.path());
    for (source, below) in [("az://b/", ""), ("az://b/a/", "a/"), ("az://b/c/d/", "c/d/")] {
        let resolved = store.resolve(source).await.unwrap();
        assert_eq!(resolved, source);
        let found: Vec<Listed> = store.list(source).await.unwrap().try_collect().await.unwrap();
        let uris: Vec<&str> = found.iter().map(Listed::uri).collect();
        let keys = keys.iter().filter(|key| key.starts_with(below));
        let mut expect: Vec<String> = keys.map(|key| format!("az://b/{key}")).collect();
        expect.sort();
        assert_eq!(uris, expect, "{source}");
    }
    let gone = store.list("az://b/none/").await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    let alone: Vec<Listed> = store.list("az://b/a.txt").await.unwrap().try_collect().await.unwrap();
    assert_eq!(alone.len(), 1);
}

/// R7: whatever the server does, an object arrives whole or not at all, and below half of faults it arrives.
#[tokio::test]
async fn r7_faults_delay_and_never_damage() {
    let server = Faulty::start(Dialect::S3, |n| match n % 7 {
        0 => Some(Fault::SlowDown),
        // The cut walks over the edges of 64 KiB.
        3 => Some(Fault::Cut((n as usize / 7 + 1) * (64 << 10))),
        5 => Some(Fault::Drop),
        _ => None,
    });
    let objects: Vec<(String, Vec<u8>)> = (0..40_u32)
        .map(|n| {
            let len = if n == 7 { 10 << 20 } else { (n as usize * 7919) % (300 << 10) };
            let bytes = (0..len as u32).map(|at| (at.wrapping_mul(31).wrapping_add(n) >> 3) as u8);
            (format!("docs/{n:03}.txt"), bytes.collect())
        })
        .collect();
    for (key, bytes) in &objects {
        server.put(key, bytes.clone());
    }
    let spool = tempfile::tempdir().unwrap();
    let store = Dialect::S3.store(server.address(), spool.path());
    let found: Vec<Listed> = store.list("s3://b/docs/").await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), objects.len(), "no page is lost");
    for (entry, (key, bytes)) in found.iter().zip(&objects) {
        assert_eq!(entry.uri(), format!("s3://b/{key}"));
        let (meta, content) = store.get(entry.uri(), 1 << 30).await.unwrap();
        assert_eq!(meta.size, bytes.len() as u64);
        assert!(content.to_bytes().unwrap() == bytes, "{key} is whole");
    }
    assert!(server.faults() > 20, "{} faults", server.faults());
}

#[tokio::test]
async fn r7_an_object_that_changes_while_it_is_read_is_a_conflict() {
    // The first body breaks off, and then the object is another one.
    for dialect in Dialect::ALL {
        let server = Faulty::start(dialect, |n| (n == 0).then_some(Fault::Cut(64 << 10)));
        server.put("a.txt", vec![b'a'; 200 << 10]);
        server.replace_after("a.txt", 1, vec![b'b'; 200 << 10]);
        let spool = tempfile::tempdir().unwrap();
        let store = dialect.store(server.address(), spool.path());
        let uri = format!("{}b/a.txt", dialect.scheme());
        let error = store.get(&uri, 1 << 30).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let (_, content) = store.get(&uri, 1 << 30).await.unwrap();
        assert!(content.to_bytes().unwrap().iter().all(|byte| *byte == b'b'));
    }
}
