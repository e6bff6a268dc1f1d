//! Buckets: the port's suite on a real server, and a server of our own that fails in every way.

use crate::faulty::{Fault, Faulty};
use futures::TryStreamExt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vellum_backends::{S3Environment, S3Settings, S3Store};
use vellum_core::ErrorKind;
use vellum_core::ports::{Listed, ObjectStore};
use vellum_core::testing::object_store::{SourceFixture, object_store_suite};

pub(crate) fn store(endpoint: &str, spool: &Path) -> S3Store {
    let settings = S3Settings { endpoint: endpoint.to_owned(), ..S3Settings::default() };
    let environment = S3Environment::read(|name| {
        matches!(name, "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY").then(|| "testing".to_owned())
    });
    S3Store::new(&settings, environment, spool.to_owned()).unwrap()
}

/// A real S3 server in a process of its own: moto, which `cargo xtask test` installs.
struct Moto {
    child: Child,
    address: String,
}

impl Moto {
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program: PathBuf = root.join("target/tests/venv/bin/moto_server");
        if !program.is_file() {
            // `cargo xtask test` installs it.
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { child, address: format!("127.0.0.1:{port}") };
        let start = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "moto starts");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request of a fixture; moto wants a signature and does not check it.
    fn send(&self, method: &str, path: &str, body: &[u8]) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let path: String = path
            .bytes()
            .map(|b| match b {
                b'/' | b'.' | b'-' | b'_' => char::from(b).to_string(),
                b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect();
        let signature = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder<'a>(&'a Moto);

impl SourceFixture for Folder<'_> {
    fn root(&self) -> String {
        "s3://suite/".into()
    }

    fn put(&self, path: &str, content: &[u8]) {
        self.0.send("PUT", &format!("/suite/{path}"), content);
    }

    fn remove(&self, path: &str) {
        self.0.send("DELETE", &format!("/suite/{path}"), b"");
    }
}

#[tokio::test]
async fn buckets_conform() {
    let Some(moto) = Moto::start() else { return };
    moto.send("PUT", "/suite", b"");
    let spool = tempfile::tempdir().unwrap();
    object_store_suite(&store(&moto.endpoint(), spool.path()), &Folder(&moto)).await;
}

#[tokio::test]
async fn keys_of_every_kind_are_listed_in_order_and_read() {
    let Some(moto) = Moto::start() else { return };
    moto.send("PUT", "/odd", b"");
    let keys =
        ["a//b.txt", "a b.txt", "a!b.txt", "a+b.txt", "é.txt", "中/文.md", "tab\there.txt", "~z"];
    for key in keys {
        moto.send("PUT", &format!("/odd/{key}"), key.as_bytes());
    }
    moto.send("PUT", "/odd/folder/", b"");
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    moto.send("PUT", "/odd/large.bin", &large);
    let spool = tempfile::tempdir().unwrap();
    let store = store(&moto.endpoint(), spool.path());
    let found: Vec<Listed> = store.list("s3://odd/").await.unwrap().try_collect().await.unwrap();
    let uris: Vec<&str> = found.iter().map(Listed::uri).collect();
    assert!(uris.is_sorted() && uris.len() == keys.len() + 1, "{uris:?}");
    for entry in &found {
        let Listed::Object(meta) = entry else { panic!("{entry:?}") };
        let (read, content) = store.get(&meta.uri, 1 << 30).await.unwrap();
        assert_eq!(read, *meta);
        let bytes = content.to_bytes().unwrap();
        assert!(bytes == large || keys.contains(&std::str::from_utf8(&bytes).unwrap()));
    }
    // What people type is the key as it is.
    assert_eq!(store.resolve("s3://odd/a b.txt").await.unwrap(), "s3://odd/a%20b.txt");
    assert_eq!(store.resolve("s3://odd/中").await.unwrap(), "s3://odd/中/");
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged_for_keys() {
    let Some(moto) = Moto::start() else { return };
    moto.send("PUT", "/mine", b"");
    moto.send("PUT", "/mine/a.txt", b"text");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let endpoint = moto.endpoint();
    let store = || {
        let settings = S3Settings { endpoint: endpoint.clone(), ..S3Settings::default() };
        let environment = S3Environment::read(|name| match name {
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some(token.to_string_lossy().into_owned()),
            "AWS_ROLE_ARN" => Some("arn:aws:iam::123456789012:role/vellum".to_owned()),
            "AWS_ENDPOINT_URL_STS" => Some(endpoint.clone()),
            _ => None,
        });
        S3Store::new(&settings, environment, folder.path().to_owned()).unwrap()
    };
    let missing = store().resolve("s3://mine/").await.unwrap_err();
    assert!(missing.message().contains("read the token in"), "{missing}");
    std::fs::write(&token, "a.b.c\n").unwrap();
    let (_, content) = store().get("s3://mine/a.txt", 100).await.unwrap();
    assert_eq!(&content.to_bytes().unwrap()[..], b"text");
}

#[tokio::test]
async fn mistakes_are_named_with_the_next_step() {
    let Some(moto) = Moto::start() else { return };
    moto.send("PUT", "/here", b"");
    moto.send("PUT", "/here/2026-01/a.txt", b"x");
    let spool = tempfile::tempdir().unwrap();
    let store = store(&moto.endpoint(), spool.path());
    for (source, kind, says) in [
        ("s3://hree/", ErrorKind::Invalid, "bucket `hree` does not exist"),
        ("s3://here/2025", ErrorKind::NotFound, "`s3://here/2025` does not exist"),
        ("s3://here/2026", ErrorKind::NotFound, "does not exist"),
        ("s3://no such/", ErrorKind::Invalid, "cannot name a bucket"),
        ("s3://", ErrorKind::Invalid, "cannot name a bucket"),
    ] {
        let error = store.resolve(source).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
    }
    let hint = store.resolve("s3://here/2026").await.unwrap_err();
    assert!(hint.hint().unwrap().contains("s3://here/2026-01/a.txt"), "{:?}", hint.hint());
}

/// R7: whatever the server does, an object arrives whole or not at all, and below half of faults it arrives.
#[tokio::test]
async fn r7_faults_delay_and_never_damage() {
    let server = Faulty::start(|n| match n % 7 {
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
    let store = store(&server.endpoint(), spool.path());
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
    let server = Faulty::start(|n| (n == 0).then_some(Fault::Cut(64 << 10)));
    server.put("a.txt", vec![b'a'; 200 << 10]);
    server.replace_after("a.txt", 1, vec![b'b'; 200 << 10]);
    let spool = tempfile::tempdir().unwrap();
    let store = store(&server.endpoint(), spool.path());
    let error = store.get("s3://b/a.txt", 1 << 30).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let (_, content) = store.get("s3://b/a.txt", 1 << 30).await.unwrap();
    assert!(content.to_bytes().unwrap().iter().all(|byte| *byte == b'b'));
}
