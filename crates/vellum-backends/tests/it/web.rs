//! Web sites as sources, on a server of our own that does what sites do and what they should not.

use crate::site::{Reply, Request, Site};
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vellum_backends::WebStore;
use vellum_core::ErrorKind;
use vellum_core::ports::{Listed, ObjectMeta, ObjectStore};
use vellum_core::testing::object_store::{listed, objects};

/// A store that may read from `site`.
fn store(site: &Site) -> WebStore {
    WebStore::new(std::slice::from_ref(&site.address), std::env::temp_dir()).unwrap()
}

fn urlset(pages: &[String]) -> String {
    let pages: String = pages.iter().map(|page| format!("<url>{page}</url>")).collect();
    format!(
        "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{pages}</urlset>"
    )
}

fn loc(url: impl std::fmt::Display) -> String {
    format!("<loc>{url}</loc>")
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn host(request: &Request) -> String {
    format!("http://{}", request.header("host").unwrap())
}

/// The paths of a listing, with why an entry is left out.
async fn paths(store: &WebStore, source: &str) -> Vec<String> {
    let found = listed(store, source).await.unwrap();
    let uris: Vec<&str> = found.iter().map(Listed::uri).collect();
    assert!(uris.is_sorted_by(|a, b| a < b), "strictly ascending: {uris:#?}");
    let path = |uri: &str| uri.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    found
        .iter()
        .map(|entry| match entry {
            Listed::Object(meta) => path(&meta.uri),
            Listed::Unreadable { uri, reason } => format!("{}: {reason}", path(uri)),
            Listed::Skipped { uri, reason } => format!("({}: {reason})", path(uri)),
        })
        .collect()
}

async fn text(store: &WebStore, uri: &str) -> (ObjectMeta, String) {
    let (meta, content) = store.get(uri, 1 << 20).await.unwrap();
    (meta, String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_page_is_a_source_of_one_document() {
    let site = Site::start(|request, _| match request.path.as_str() {
        "/a%20page.html?x=1" => Reply::ok("<html>text</html>").with("ETag", "\"v1\""),
        _ => Reply::status("404 Not Found"),
    });
    let store = store(&site);
    let uri = store.resolve(&format!(" {}#part", site.url("/./a page.html?x=1"))).await.unwrap();
    assert_eq!(uri, site.url("/a%20page.html?x=1"));
    assert_eq!(store.resolve(&uri).await.unwrap(), uri);
    let found = objects(&store, &uri).await.unwrap();
    assert_eq!(
        (found.len(), found[0].name.as_str(), found[0].etag.as_str()),
        (1, "a page.html", "v1")
    );
    let (meta, text) = text(&store, &uri).await;
    assert_eq!((&meta, text.as_str()), (&found[0], "<html>text</html>"));
    let agent = site.requests().pop().unwrap();
    assert!(agent.header("user-agent").unwrap().starts_with("vellum/"), "{agent:?}");

    let over = store.get(&uri, 5).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Rejected, "{over}");
    let missing = store.resolve(&site.url("/none")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.message().contains("/none` does not exist") && missing.hint().is_some());
    for (wrong, kind) in [
        ("gopher://host/a", ErrorKind::Unsupported),
        ("https://", ErrorKind::Invalid),
        ("https://user:secret@host.example/", ErrorKind::Invalid),
    ] {
        let error = store.resolve(wrong).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.full_message().contains("secret") && error.hint().is_some());
    }
}

#[tokio::test]
async fn a_sitemap_lists_its_pages_in_order_with_their_dates() {
    let site = Site::start(|request, _| {
        let host = host(request);
        match request.path.as_str() {
            "/sitemap.php" => Reply::ok(urlset(&[
                loc(format!("{host}/b")) + "<lastmod>2026-01-02</lastmod>",
                loc(format!("{host}/a/")) + "<lastmod>2026-01-03T04:05:06Z</lastmod>",
                loc(format!("{host}/a?x=1&amp;y=2#top")) + "<lastmod>2026-01-02</lastmod>",
                loc(format!("{host}/b")) + "<lastmod>2026-01-01</lastmod>",
                loc("https://elsewhere.example/c"),
                loc("mailto:somebody"),
                loc("http://["),
            ])),
            path if request.method == "GET" => Reply::ok(format!("text of {path}")),
            _ => Reply::status("405 Method Not Allowed"),
        }
    });
    let store = store(&site);
    let source = store.resolve(&site.url("/sitemap.php")).await.unwrap();
    site.requests();
    let found = paths(&store, &source).await;
    let skipped = "2 entries are no web addresses, the first is `mailto:somebody`";
    let foreign = "(c: it is on another host than its sitemap)";
    assert_eq!(
        found,
        ["a/", "a?x=1&y=2", "b", &format!("(sitemap.php#entries: {skipped})"), foreign]
    );
    assert_eq!(site.asked(), ["GET /sitemap.php"], "dates cost no request");
    let before = objects(&store, &source).await.unwrap();
    for meta in &before {
        let (read, text) = text(&store, &meta.uri).await;
        assert_eq!(read.etag, meta.etag, "a page has the marker of its listing");
        assert!(text.starts_with("text of /"));
    }
    assert_eq!(
        objects(&store, &source).await.unwrap(),
        before,
        "an unchanged site looks unchanged"
    );
    assert_ne!(before[0].etag, before[1].etag);
}

#[tokio::test]
async fn pages_without_a_date_are_asked_for_their_headers() {
    let version = Arc::new(AtomicUsize::new(1));
    let served = Arc::clone(&version);
    let site = Site::start(move |request, _| {
        let version = served.load(Ordering::Relaxed);
        match request.path.as_str() {
            "/list.txt" => {
                let pages = ["tagged", "modified", "bare", "gone", "login", "no-head"];
                let pages: Vec<String> =
                    pages.iter().map(|page| format!("{}/{page}\r\n", host(request))).collect();
                Reply::ok(format!("# pages of mine\n\n{}", pages.concat()))
            }
            "/tagged" => Reply::ok("t").with("ETag", format!("W/\"{version}\"")),
            "/modified" => Reply::ok("m").with("Last-Modified", "Mon, 23 Nov 2026 04:17:15 GMT"),
            "/bare" => Reply::ok("b"),
            "/login" => Reply::status("401 Unauthorized"),
            "/no-head" if request.method == "HEAD" => Reply::status("405 Method Not Allowed"),
            "/no-head" => Reply::ok("n").with("ETag", "\"n\""),
            _ => Reply::status("410 Gone"),
        }
    });
    let store = store(&site);
    let source = site.url("/list.txt");
    let found = paths(&store, &source).await;
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(
        found[1].starts_with("gone: ") && found[1].contains("/gone` does not exist (410 Gone)")
    );
    let before = objects(&store, &source).await.unwrap();
    let after = objects(&store, &source).await.unwrap();
    let same: Vec<&str> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before == after)
        .map(|(before, _)| before.name.as_str())
        .collect();
    assert_eq!(same, ["modified", "tagged"], "others are read again and compared");
    let gets = site.asked().into_iter().filter(|asked| asked.starts_with("GET")).count();
    assert_eq!(gets, 3, "only the list itself is read");
    for meta in &before {
        match store.get(&meta.uri, 10).await {
            Ok((read, _)) => assert_eq!(read.etag == meta.etag, same.contains(&meta.name.as_str())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
                assert!(error.message().contains("/login` wants a login"), "{error}");
            }
        }
    }
    version.store(2, Ordering::Relaxed);
    let changed = objects(&store, &source).await.unwrap();
    assert_ne!(changed.last().unwrap().etag, after.last().unwrap().etag);
}

#[tokio::test]
async fn an_index_of_packed_sitemaps_is_followed() {
    let site = Site::start(|request, _| {
        let host = host(request);
        let index = |names: &[&str]| {
            let of = |name: &&str| format!("<sitemap>{}</sitemap>", loc(format!("{host}{name}")));
            Reply::ok(format!(
                "<sitemapindex>{}</sitemapindex>",
                names.iter().map(of).collect::<String>()
            ))
        };
        let dated = |path: &str| loc(format!("{host}{path}")) + "<lastmod>2026</lastmod>";
        match request.path.as_str() {
            // It names itself, as some do.
            "/index" => index(&["/one.xml.gz", "/inner", "/index", "/plain.txt"]),
            "/inner" => index(&["/two.xml", "/one.xml.gz"]),
            "/one.xml.gz" => Reply::ok(packed(urlset(&[dated("/1"), dated("/2")]).as_bytes())),
            "/two.xml" => {
                let text = packed(urlset(&[dated("/3"), dated("/1")]).as_bytes());
                Reply::ok(text).with("Content-Encoding", "gzip")
            }
            "/plain.txt" => Reply::ok(format!("{host}/4\nhttps://elsewhere.example/5\n")),
            "/deep0" => index(&["/deep1"]),
            "/deep1" => index(&["/deep2"]),
            "/deep2" => index(&["/deep3"]),
            "/deep3" => index(&["/one.xml.gz"]),
            "/dead" => index(&["/one.xml.gz", "/none"]),
            "/page" => index(&["/4"]),
            "/foreign" => Reply::ok(
                "<sitemapindex><sitemap><loc>https://elsewhere.example/x</loc></sitemap></sitemapindex>",
            ),
            "/4" => Reply::ok("four"),
            _ => Reply::status("404 Not Found"),
        }
    });
    let store = store(&site);
    let found = paths(&store, &site.url("/index")).await;
    assert_eq!(found, ["1", "2", "3", "4", "(5: it is on another host than its sitemap)"]);
    assert_eq!(paths(&store, &site.url("/foreign")).await.len(), 1);
    for (path, says) in [
        ("/deep0", "/deep3`, which is an index below an index below an index"),
        ("/dead", "/none` does not exist"),
        ("/page", "/4`, which is none"),
    ] {
        let error = listed(&store, &site.url(path)).await.unwrap_err();
        assert!(error.message().contains(says) && error.message().contains(path), "{error}");
        assert_ne!(error.kind(), ErrorKind::NotFound, "the source is not gone: {error}");
    }
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let whole = urlset(&[loc("/a"), loc("/b"), loc("/c")]);
    let site = Site::start(move |request, _| match request.path.as_str() {
        "/half.xml" => Reply::ok(&whole.as_bytes()[..whole.len() - 20]),
        "/cut.xml" => Reply::ok("<urlset><url><loc>/a</loc></url>"),
        "/half.gz" => {
            let pages: Vec<String> = (0..10_000).map(|n| loc(format!("/{n}"))).collect();
            let packed = packed(urlset(&pages).as_bytes());
            Reply::ok(&packed[..packed.len() / 2])
        }
        "/bomb.gz" => {
            let mut text = b"<urlset>".to_vec();
            text.resize(300 << 20, b' ');
            Reply::ok(packed(&text))
        }
        "/slip.txt" => Reply::ok("https://a.example/\nhttps://b.example/\nhtps://c.example/\n"),
        "/entities.xml" => Reply::ok(format!(
            "<!DOCTYPE u [<!ENTITY a \"x\">{}]><urlset><url><loc>/&a9;</loc></url></urlset>",
            (1..10)
                .map(|n| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10)))
                .collect::<String>()
        )),
        "/deep.xml" => Reply::ok(format!("<urlset>{}", "<url>".repeat(100_000))),
        _ => Reply::ok("page").with("ETag", "\"1\""),
    });
    let store = store(&site);
    for (path, says) in [
        ("/half.xml", "cannot be read"),
        ("/cut.xml", "ends in the middle"),
        ("/half.gz", "cannot be read"),
        ("/bomb.gz", "too long"),
        ("/slip.txt", "line 3 is no address"),
        ("/deep.xml", "nested too deep"),
    ] {
        let error = listed(&store, &site.url(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{path}: {error}");
        assert!(error.message().contains(says) && error.message().contains(path), "{error}");
    }
    assert_eq!(paths(&store, &site.url("/entities.xml")).await, [""], "no entity is expanded");
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let site = Site::start(|request, _| match request.path.as_str() {
        "/old" => Reply::to("/new?x"),
        "/new?x" => Reply::ok("new").with("ETag", "\"1\""),
        "/circle" => Reply::to("/circle"),
        "/lost" => Reply::status("302 Found"),
        "/map" => Reply::to("/maps/map.xml"),
        "/maps/map.xml" => Reply::ok(urlset(&[loc("page")])),
        path => match path.strip_prefix("/hop").and_then(|n| n.parse::<u32>().ok()) {
            Some(0) => Reply::ok("there"),
            Some(n) => Reply::to(format!("hop{}", n - 1)),
            None => Reply::ok(path.to_owned()),
        },
    });
    let store = store(&site);
    let old = store.resolve(&site.url("/old")).await.unwrap();
    assert_eq!(old, site.url("/old"), "a document keeps the address that it was found by");
    let (meta, text_of) = text(&store, &old).await;
    assert_eq!(
        (meta.uri.as_str(), meta.name.as_str(), text_of.as_str()),
        (old.as_str(), "old", "new")
    );
    assert_eq!(text(&store, &site.url("/hop5")).await.1, "there");
    for (path, says) in [("/hop6", "more than 5 times"), ("/circle", "more than 5 times")] {
        let error = store.get(&site.url(path), 10).await.unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }
    assert!(store.get(&site.url("/lost"), 10).await.is_err());
    assert_eq!(
        paths(&store, &site.url("/map")).await,
        ["maps/page"],
        "relative to where it was found"
    );
}

/// S9: a site that we may read cannot send us to where we may not go.
#[tokio::test]
async fn s9_redirects_and_lists_lead_nowhere_inside() {
    // Another service on the same machine, which nobody allowed.
    let inner = Site::start(|_, _| Reply::ok("secret"));
    let port = inner.address.rsplit(':').next().unwrap().to_owned();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "user@127.0.0.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
    ];
    let inside: Vec<String> = hosts
        .iter()
        .flat_map(|host| [format!("http://{host}:{port}/"), format!("https://{host}:{port}/")])
        .collect();
    let served = inside.clone();
    let site = Site::start(move |request, _| match request.path.as_str() {
        "/list" => Reply::ok(served.join("\n")),
        "/map" => Reply::ok(urlset(&served.iter().map(loc).collect::<Vec<_>>())),
        path => Reply::to(served[path[1..].parse::<usize>().unwrap()].clone()),
    });
    let store = store(&site);
    for (n, address) in inside.iter().enumerate() {
        for uri in [address.clone(), site.url(&format!("/{n}"))] {
            let error = store.get(&uri, 100).await.unwrap_err();
            let expect =
                if address.contains('@') { ErrorKind::Invalid } else { ErrorKind::Forbidden };
            assert_eq!(error.kind(), expect, "{uri} to {address}: {error}");
            if expect == ErrorKind::Forbidden {
                assert!(error.hint().unwrap().contains("web.allowed_hosts"), "{error}");
            }
            assert!(store.resolve(&uri).await.is_err() && store.list(&uri).await.is_err());
        }
    }
    for source in ["/list", "/map"] {
        for entry in listed(&store, &site.url(source)).await.unwrap() {
            assert!(!matches!(entry, Listed::Object(_)), "{entry:?}");
        }
    }
    assert_eq!(inner.asked(), Vec::<String>::new(), "nothing was called");
    let named = WebStore::new(&["localhost".to_owned()], std::env::temp_dir()).unwrap();
    assert_eq!(
        text(&named, &format!("http://localhost:{port}/x")).await.1,
        "secret",
        "named is allowed"
    );
}

#[tokio::test]
async fn r7_a_page_that_breaks_off_is_read_whole() {
    let body: Vec<u8> =
        (0..10_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (served, seen) = (body.clone(), Arc::clone(&ranges));
    let site = Site::start(move |request, n| {
        let start = request.header("range").map(|range| {
            seen.lock().unwrap().push(format!("{range} {:?}", request.header("if-range")));
            range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
        });
        let cut = (n < 4).then_some(3_000_000 + n);
        match (request.path.as_str(), start) {
            ("/tagged", Some(start)) => Reply {
                status: "206 Partial Content",
                cut,
                body: served[start..].to_vec(),
                headers: vec![
                    ("ETag", "\"1\"".to_owned()),
                    (
                        "Content-Range",
                        format!("bytes {start}-{}/{}", served.len() - 1, served.len()),
                    ),
                ],
            },
            ("/tagged", None) => Reply { cut, ..Reply::ok(served.clone()).with("ETag", "\"1\"") },
            // It breaks off once, and then is another page.
            ("/replaced", None) => Reply {
                cut: (n == 0).then_some(100_000),
                ..Reply::ok(served.clone()).with("ETag", "\"1\"")
            },
            ("/replaced", Some(_)) => Reply::ok("replaced").with("ETag", "\"2\""),
            ("/liar", Some(_)) => Reply {
                status: "206 Partial Content",
                headers: vec![
                    ("ETag", "\"1\"".to_owned()),
                    ("Content-Range", "bytes 0-9/10".to_owned()),
                ],
                ..Reply::ok("0123456789")
            },
            ("/liar", None) => Reply {
                cut: (n == 0).then_some(5),
                ..Reply::ok("0123456789").with("ETag", "\"1\"")
            },
            // Parts come plain though the whole comes packed, under one tag.
            ("/mixed", Some(start)) => Reply {
                status: "206 Partial Content",
                headers: vec![
                    ("ETag", "\"1\"".to_owned()),
                    ("Content-Range", format!("bytes {start}-99999/100000")),
                ],
                ..Reply::ok(served[start..100_000].to_vec())
            },
            ("/mixed", None) => Reply {
                cut: (n == 0).then_some(50_000),
                ..Reply::ok(packed(&served[..100_000]))
                    .with("ETag", "\"1\"")
                    .with("Content-Encoding", "gzip")
            },
            ("/unmarked", _) => {
                Reply { cut: (n < 2).then_some(9_000_000), ..Reply::ok(served.clone()) }
            }
            _ => Reply::status("404 Not Found"),
        }
    });
    let store = store(&site);
    let read = async |path: &str| {
        let (meta, content) = store.get(&site.url(path), 1 << 30).await.unwrap();
        assert_eq!(meta.size, content.len());
        content.to_bytes().unwrap()
    };
    assert!(read("/tagged").await == body);
    let asked = std::mem::take(&mut *ranges.lock().unwrap());
    assert_eq!(asked[0], "bytes=3000000- Some(\"\\\"1\\\"\")");
    assert_eq!(asked.len(), 3, "it goes on where it ended: {asked:?}");
    site.requests();
    assert_eq!(&read("/replaced").await[..], b"replaced", "one version, never a mixture");
    site.requests();
    assert_eq!(&read("/liar").await[..], b"0123456789");
    site.requests();
    assert!(read("/mixed").await == body[..100_000]);
    site.requests();
    ranges.lock().unwrap().clear();
    assert!(read("/unmarked").await == body);
    assert!(ranges.lock().unwrap().is_empty(), "without a version it begins anew");
}

#[tokio::test]
async fn packed_pages_are_unpacked_within_the_limit() {
    let text = "words and words ".repeat(1_000_000);
    let body = packed(text.as_bytes());
    let site = Site::start(move |request, _| match request.path.as_str() {
        "/packed" => Reply::ok(body.clone()).with("Content-Encoding", "gzip"),
        "/file.gz" => Reply::ok(body.clone()).with("Content-Type", "application/gzip"),
        "/lie" => Reply::ok("plain").with("Content-Encoding", "gzip"),
        "/half" => Reply::ok(&body[..body.len() / 2]).with("Content-Encoding", "gzip"),
        "/brotli" => Reply::ok("?").with("Content-Encoding", "br"),
        _ => Reply::status("404 Not Found"),
    });
    let store = store(&site);
    let (meta, content) = store.get(&site.url("/packed"), text.len() as u64).await.unwrap();
    assert!(meta.size == text.len() as u64 && content.to_bytes().unwrap() == text.as_bytes());
    let over = store.get(&site.url("/packed"), text.len() as u64 - 1).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Rejected, "{over}");
    let (_, file) = store.get(&site.url("/file.gz"), 1 << 20).await.unwrap();
    assert!(file.to_bytes().unwrap().starts_with(&[0x1f, 0x8b]), "a file stays what it is");
    assert_eq!(text_of(&store, &site.url("/lie")).await, "plain");
    for (path, kind) in [("/half", ErrorKind::Unavailable), ("/brotli", ErrorKind::Unsupported)] {
        assert_eq!(store.get(&site.url(path), 1 << 30).await.unwrap_err().kind(), kind, "{path}");
    }
}

async fn text_of(store: &WebStore, uri: &str) -> String {
    text(store, uri).await.1
}

#[tokio::test]
async fn a_site_that_asks_for_time_gets_it() {
    let site = Site::start(|request, n| match (request.path.as_str(), n) {
        ("/busy", 0) => Reply::status("429 Too Many Requests").with("Retry-After", "1"),
        ("/busy", 1) => Reply::status("503 Service Unavailable"),
        _ => Reply::ok("at last"),
    });
    let store = store(&site);
    let began = std::time::Instant::now();
    assert_eq!(text_of(&store, &site.url("/busy")).await, "at last");
    assert!(began.elapsed().as_secs() >= 1 && site.asked().len() == 3);
}

#[tokio::test]
async fn a_large_page_is_copied_to_disk_and_a_large_source_not_read_twice() {
    let site = Site::start(|_, _| Reply::ok(vec![b'x'; 9 << 20]).with("ETag", "\"1\""));
    let store = store(&site);
    let found = objects(&store, &site.url("/large")).await.unwrap();
    assert_eq!(found[0].size, 9 << 20, "its headers tell");
    let (meta, content) = store.get(&site.url("/large"), 1 << 30).await.unwrap();
    assert!(meta == found[0] && matches!(content, vellum_core::ports::Content::Spooled { .. }));
}
