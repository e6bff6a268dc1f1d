//! Folders: conformance, links, pipes, names, permissions, changes during a read.

use futures::StreamExt;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use vellum_backends::{FolderStore, local_path};
use vellum_core::ids::ContentHash;
use vellum_core::ports::{Content, Listed, ObjectStore};
use vellum_core::testing::object_store::{SourceFixture, listed, object_store_suite, objects};
use vellum_core::{ErrorKind, Retry};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    async fn root_uri(&self) -> String {
        FolderStore::default().resolve(&self.root()).await.unwrap()
    }

    /// Lists the folder as `(path below the root, what it is)`.
    async fn list(&self) -> Vec<(String, String)> {
        let root = self.root_uri().await;
        let entries = listed(&FolderStore::default(), &root).await.unwrap().into_iter();
        let shown = |entry: Listed| {
            let path = entry.uri().strip_prefix(&root).unwrap().to_owned();
            match entry {
                Listed::Object(meta) => (path, format!("{} bytes", meta.size)),
                Listed::Skipped { reason, .. } => (path, format!("skipped: {reason}")),
                Listed::Unreadable { reason, .. } => (path, format!("unreadable: {reason}")),
            }
        };
        entries.map(shown).collect()
    }
}

impl SourceFixture for Folder {
    fn root(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    fn put(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[tokio::test]
async fn conforms() {
    let folder = Folder::new();
    object_store_suite(&FolderStore::default(), &folder).await;
}

#[tokio::test]
async fn links_and_special_files_are_skipped_and_hidden_ones_left_out() {
    let folder = Folder::new();
    folder.put("a/doc.txt", b"text");
    for hidden in [".git/config", ".hidden.txt", "~$doc.docx", "doc.txt~", "#doc.txt#", "doc.swp"] {
        folder.put(hidden, b"hidden");
    }
    symlink(folder.path("a"), folder.path("a/loop")).unwrap();
    symlink(folder.path("a/doc.txt"), folder.path("b.txt")).unwrap();
    symlink("nowhere", folder.path("dangling")).unwrap();
    make_fifo(&folder.path("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();

    let link = "skipped: symbolic links are not followed";
    let expected = pairs(&[
        ("a/doc.txt", "4 bytes"),
        ("a/loop", link),
        ("b.txt", link),
        ("dangling", link),
        ("pipe", "skipped: a named pipe is not a document"),
        ("socket", "skipped: a socket is not a document"),
    ]);
    assert_eq!(folder.list().await, expected);
}

#[tokio::test]
async fn nothing_but_a_regular_file_is_read() {
    let folder = Folder::new();
    let outside = Folder::new();
    outside.put("secret.txt", b"secret");
    symlink(outside.path("secret.txt"), folder.path("link.txt")).unwrap();
    symlink(outside.path(""), folder.path("linked")).unwrap();
    make_fifo(&folder.path("pipe"));
    fs::create_dir(folder.path("folder")).unwrap();
    let root = folder.root_uri().await;
    for name in ["link.txt", "linked/secret.txt", "pipe", "folder", "folder/"] {
        let uri = format!("{root}{name}");
        let store = FolderStore::default();
        let read = store.get(&uri, 100);
        let error = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .expect("a pipe without a writer does not stop the read")
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
    let through = listed(&FolderStore::default(), &format!("{root}linked/")).await.unwrap_err();
    assert_eq!(through.kind(), ErrorKind::NotFound, "{through}");
}

#[tokio::test]
async fn a_link_as_the_root_is_resolved() {
    let (folder, other) = (Folder::new(), Folder::new());
    folder.put("a.txt", b"a");
    symlink(folder.path(""), other.path("link")).unwrap();
    let resolved =
        FolderStore::default().resolve(other.path("link").to_str().unwrap()).await.unwrap();
    assert_eq!(resolved, folder.root_uri().await);
    assert_eq!(objects(&FolderStore::default(), &resolved).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sources_are_named_in_errors() {
    let folder = Folder::new();
    make_fifo(&folder.path("pipe"));
    folder.put("a.txt", b"a");
    let inside_file = folder.path("a.txt/b").display().to_string();
    let pipe = folder.path("pipe").display().to_string();
    for (source, kind, message) in [
        ("no/such/docs", ErrorKind::NotFound, "`no/such/docs` does not exist".to_owned()),
        (&inside_file, ErrorKind::NotFound, format!("`{inside_file}` does not exist")),
        (&pipe, ErrorKind::Unsupported, format!("`{pipe}` is neither a folder nor a file")),
        (
            "s3://bucket/docs",
            ErrorKind::Unsupported,
            "`s3://bucket/docs`: sources of scheme `s3` are not supported".to_owned(),
        ),
    ] {
        let error = FolderStore::default().resolve(source).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message.as_str()));
        assert!(error.hint().is_some(), "{source}");
    }
    let relative = FolderStore::default().resolve("src/lib.rs").await.unwrap();
    assert!(relative.ends_with("/vellum-backends/src/lib.rs"), "{relative}");
    assert!(local_path(&relative).unwrap().is_absolute());
}

#[tokio::test]
async fn names_that_are_not_utf8_survive() {
    let folder = Folder::new();
    let path = folder.0.path().join(OsStr::from_bytes(b"caf\xe9.txt"));
    // File systems of macOS refuse such names.
    if fs::write(&path, "latin").is_err() {
        return;
    }
    let found = objects(&FolderStore::default(), &folder.root_uri().await).await.unwrap();
    assert_eq!(found[0].name, "caf\u{fffd}.txt");
    assert!(found[0].uri.ends_with("/caf%E9.txt"), "{}", found[0].uri);
    let (_, bytes) = FolderStore::default().get(&found[0].uri, 100).await.unwrap();
    assert_eq!(&bytes.to_bytes().unwrap()[..], b"latin");
}

#[tokio::test]
async fn what_is_forbidden_is_unreadable_and_the_rest_is_listed() {
    if rustix::process::geteuid().is_root() {
        // Root may read everything; the test below covers the same branches.
        return;
    }
    let folder = Folder::new();
    for path in ["a.txt", "closed/x.txt", "file.txt", "z.txt"] {
        folder.put(path, b"text");
    }
    for path in ["closed", "file.txt"] {
        fs::set_permissions(folder.path(path), fs::Permissions::from_mode(0o0)).unwrap();
    }
    let list = folder.list().await;
    fs::set_permissions(folder.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let expected = pairs(&[
        ("a.txt", "4 bytes"),
        ("closed/", "unreadable: permission denied"),
        ("file.txt", "unreadable: permission denied"),
        ("z.txt", "4 bytes"),
    ]);
    assert_eq!(list, expected);
    let error = FolderStore::default()
        .resolve(folder.path("file.txt").to_str().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[tokio::test]
async fn what_cannot_be_reached_is_unreadable_and_the_rest_is_listed() {
    // A path longer than the system's limit (4096 bytes on Linux, 1024 on macOS) exists but cannot be
    // opened by name: the one kind of unreadable folder that not even root can read.
    let folder = Folder::new();
    folder.put("a.txt", b"text");
    folder.put("z.txt", b"text");
    let directory = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = rustix::fs::open(folder.0.path(), directory, Mode::empty()).unwrap();
    let name = "n".repeat(200);
    for _ in 0..21 {
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, directory, Mode::empty()).unwrap();
    }
    let list = folder.list().await;
    assert_eq!(list.len(), 3, "{list:#?}");
    assert_eq!((list[0].0.as_str(), list[2].0.as_str()), ("a.txt", "z.txt"));
    assert!(list[1].0.ends_with("n/"), "an unreadable folder's uri ends with `/`");
    assert!(list[1].1.starts_with("unreadable: "), "{}", list[1].1);
}

#[tokio::test]
async fn every_change_shows_in_the_etag() {
    let folder = Folder::new();
    let path = folder.path("a.txt");
    folder.put("a.txt", b"0000");
    let uri = FolderStore::default().resolve(path.to_str().unwrap()).await.unwrap();
    let mut before = FolderStore::default().get(&uri, 10).await.unwrap();
    // Same size, written in place right after the read: only the clock's tick tells them apart.
    for i in 1..20 {
        fs::write(&path, format!("{i:04}")).unwrap();
        let after = FolderStore::default().get(&uri, 10).await.unwrap();
        assert_ne!(before.0.etag, after.0.etag, "write {i}");
        assert_ne!(before.1.hash().unwrap(), after.1.hash().unwrap(), "write {i}");
        before = after;
    }
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"back").unwrap();
    file.set_modified(time).unwrap();
    let after = FolderStore::default().get(&uri, 10).await.unwrap();
    assert_ne!(before.0.etag, after.0.etag, "a restored modification time hides nothing");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_a_conflict() {
    let folder = Folder::new();
    let path = folder.path("log.txt");
    fs::write(&path, vec![b'x'; 8 << 20]).unwrap();
    let uri = FolderStore::default().resolve(path.to_str().unwrap()).await.unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        while stopped.try_recv().is_err() {
            file.write_all(b"y").unwrap();
        }
    });
    // A busy machine may hold the writer up for as long as one read lasts, but not for all of them.
    let mut reads = 0..1_000;
    let error = loop {
        let read = FolderStore::default().get(&uri, 1 << 30).await;
        match read {
            Err(error) => break error,
            Ok(_) => assert!(reads.next().is_some(), "no change was noticed"),
        }
    };
    stop.send(()).unwrap();
    writer.join().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Later));
    assert!(error.message().ends_with("log.txt` changed while it was read"), "{error}");
    FolderStore::default().get(&uri, 1 << 30).await.expect("it is quiet now");
}

#[tokio::test]
async fn a_large_file_is_copied_to_disk_and_leaves_no_trace() {
    let folder = Folder::new();
    let spool = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..9_u32 << 20).map(|i| (i % 251) as u8).collect();
    folder.put("large.bin", &bytes);
    let store = FolderStore::new(spool.path().join("new"));
    let uri = store.resolve(folder.path("large.bin").to_str().unwrap()).await.unwrap();
    let (meta, content) = store.get(&uri, 1 << 30).await.unwrap();
    assert!(matches!(content, Content::Spooled { .. }));
    folder.put("large.bin", b"changed meanwhile");
    assert_eq!((content.len(), meta.size), (9 << 20, 9 << 20));
    assert_eq!(content.hash().unwrap(), ContentHash::of(&bytes));
    assert_eq!(&content.read_at(5 << 20, 1000).unwrap()[..], &bytes[5 << 20..(5 << 20) + 1000]);
    assert_eq!(content.read_at(9 << 20, 10).unwrap().len(), 0);
    assert_eq!(fs::read_dir(spool.path().join("new")).unwrap().count(), 0, "it has no name");

    let blocked = folder.path("large.bin");
    folder.put("large.bin", &bytes);
    let error = FolderStore::new(&blocked).get(&uri, 1 << 30).await.unwrap_err();
    assert!(error.message().contains("cannot copy"), "{error}");
}

#[tokio::test]
async fn a_large_file_is_refused_before_it_is_read() {
    let folder = Folder::new();
    let path = folder.path("big.bin");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let uri = FolderStore::default().resolve(path.to_str().unwrap()).await.unwrap();
    let error = FolderStore::default().get(&uri, 256 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let message = "1 TiB is more than the limit of 256 MiB (ingest.max_document_bytes)";
    assert_eq!(error.message(), message);
}

#[tokio::test]
async fn a_listing_is_lazy_and_may_be_dropped() {
    let folder = Folder::new();
    for i in 0..1000 {
        folder.put(&format!("{:02}/{i:04}.txt", i / 100), b"x");
    }
    let root = folder.root_uri().await;
    let mut listing = FolderStore::default().list(&root).await.unwrap();
    let first = listing.next().await.unwrap().unwrap();
    assert!(first.uri().ends_with("/00/0000.txt"));
    drop(listing);
    assert_eq!(objects(&FolderStore::default(), &root).await.unwrap().len(), 1000);
}
