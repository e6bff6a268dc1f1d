//! R7 and R8 in figures: what becomes of a bucket when its server fails in one way or another, whatever its language.
//!
//! Each case lists a bucket and reads all of it, eight objects at a time, and prints a line: objects read whole, objects
//! with other bytes (must be none), faults, requests sent, and how many may be sent (1.2 for each that is needed, ten a
//! second, and the ten that are saved up at the start). Run with `--no-capture` to see them.

use crate::dialect::Dialect;
use crate::faulty::{Fault, Faulty};
use futures::{StreamExt, TryStreamExt};
use std::time::Instant;
use vellum_backends::BucketStore;
use vellum_core::ErrorKind;
use vellum_core::ports::{Listed, ObjectStore};

/// Bytes that one request asks for, and keys that the server puts on a page.
const RANGE: usize = 8 << 20;
const PAGE: usize = 10;

/// Returns a number in 0 to 99 for the n-th request: the same in each run.
fn chance(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x.wrapping_mul(0x94d0_49bb_1331_11eb) % 100
}

fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(31).wrapping_add(n as u32) >> 3) as u8).collect()
}

/// Reads a bucket of objects of these sizes from each service and prints what it took.
async fn run(
    name: &str,
    sizes: &[usize],
    fault: impl Fn(u64) -> Option<Fault> + Copy + Send + Sync + 'static,
) {
    let of = |dialect| run_on(dialect, name, sizes, fault);
    futures::future::join_all(Dialect::ALL.map(of)).await;
}

#[expect(clippy::print_stdout, reason = "the figures are what the promise asks for")]
async fn run_on(
    dialect: Dialect,
    name: &str,
    sizes: &[usize],
    fault: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
) {
    let server = Faulty::start(dialect, fault);
    let key = |n: usize| format!("docs/{n:04}.txt");
    for (n, size) in sizes.iter().enumerate() {
        server.put(&key(n), content(n, *size));
    }
    let spool = tempfile::tempdir().unwrap();
    let store = dialect.store(server.address(), spool.path());
    let root = format!("{}b/", dialect.scheme());
    let began = Instant::now();
    let found: Vec<Listed> =
        store.list(&format!("{root}docs/")).await.unwrap().try_collect().await.unwrap();
    let uris: Vec<&str> = found.iter().map(Listed::uri).collect();
    let expect: Vec<String> = (0..sizes.len()).map(|n| format!("{root}{}", key(n))).collect();
    assert_eq!(uris, expect, "{name}: every object is listed once");
    let read: Vec<bool> = futures::stream::iter(sizes.iter().enumerate())
        .map(|(n, size)| is_whole(&store, &expect[n], n, *size))
        .buffer_unordered(8)
        .collect()
        .await;
    let seconds = began.elapsed().as_secs_f64();
    let n_whole = read.iter().filter(|is_whole| **is_whole).count();
    let n_other = read.len() - n_whole;
    let n_pages = sizes.len().div_ceil(PAGE);
    // An empty object is asked for a second time, because it has no range.
    let n_ranges: usize =
        sizes.iter().map(|size| size.div_ceil(RANGE) + usize::from(*size == 0) * 2).sum();
    let needed = (n_pages + n_ranges) as f64;
    let allowed = 1.2 * needed + 10.0 * seconds + 10.0;
    let (sent, faults) = (server.requests(), server.faults());
    println!(
        "{dialect:<5?} {name:<28} {n_whole:>4} of {:>4} whole, {n_other} other; {faults:>4} faults in {sent:>4} requests ({needed} needed, {allowed:.0} allowed), {seconds:.1} s",
        sizes.len()
    );
    assert_eq!((n_whole, n_other), (sizes.len(), 0), "{name}");
    assert!(sent as f64 <= allowed, "{name}: {sent} requests, {allowed:.0} allowed");
}

async fn is_whole(store: &BucketStore, uri: &str, n: usize, size: usize) -> bool {
    let (meta, read) = store.get(uri, 1 << 30).await.unwrap();
    meta.size == size as u64 && read.to_bytes().unwrap() == content(n, size)
}

fn sizes(n: usize) -> Vec<usize> {
    (0..n).map(|n| (n * 7919) % (200 << 10)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_bodies_cut_at_each_edge() {
    // Each object loses its first answer at another edge of 64 KiB, and a byte beside it.
    let sizes = vec![1 << 20; 48];
    run("cut at each edge of 64 KiB", &sizes, |n| {
        let n = n as usize;
        (n >= 5 && n % 2 == 1)
            .then(|| Fault::Cut(((n / 2 % 16 + 1) * (64 << 10) + n % 3).saturating_sub(1)))
    })
    .await;
    // The server halves what is shorter, so that one answer in eight must be whole.
    run("7 of 8 answers cut at 64 KiB", &[2 << 20, 2 << 20], |n| {
        (n > 0 && n % 8 > 0).then_some(Fault::Cut(64 << 10))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_and_r8_servers_that_are_overloaded() {
    for (name, percent) in [("503 for 30%", 30), ("503 for 49%", 49)] {
        run(name, &sizes(100), move |n| (chance(n) < percent).then_some(Fault::SlowDown)).await;
    }
    run("no answer for 30%", &sizes(100), |n| (chance(n) < 30).then_some(Fault::Drop)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_listings_that_are_cut_or_come_twice() {
    let sizes = vec![100; 200];
    run("listing cut, header agrees", &sizes, |n| {
        (n < 40 && n % 2 == 0).then_some(Fault::Short(n as usize * 2 + 15))
    })
    .await;
    run("listing breaks off", &sizes, |n| {
        (n < 40 && n % 2 == 0).then_some(Fault::Cut(n as usize * 40))
    })
    .await;
    run("pages come twice", &sizes, |n| (n < 20 && n % 3 == 1).then_some(Fault::PageAgain)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_headers_that_lie() {
    let sizes: Vec<usize> = sizes(60).into_iter().map(|size| size + 200).collect();
    run("length too large", &sizes, |n| (chance(n) < 45).then_some(Fault::WrongLength(100))).await;
    run("length too small", &sizes, |n| (chance(n) < 45).then_some(Fault::WrongLength(-100))).await;
    run("says gzip of plain bytes", &sizes, |n| (n > 5).then_some(Fault::SaysGzip)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_slow_bodies() {
    run("1 KB/s", &[5_000; 16], |n| (n > 1).then_some(Fault::Slow(1_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_everything_at_once() {
    let mut sizes = sizes(80);
    // Of an empty object there is no range, so that a length that lies would make it another one.
    (sizes[0], sizes[40]) = (1, 20 << 20);
    run("all of them for 48%", &sizes, |n| {
        let fault = match n % 6 {
            0 => Fault::SlowDown,
            1 => Fault::Cut((n as usize % 32 + 1) << 16),
            2 => Fault::Drop,
            3 => Fault::WrongLength(if n % 4 < 2 { 1_000 } else { -50 }),
            4 => Fault::SaysGzip,
            _ => Fault::Slow(1 << 20),
        };
        (chance(n) < 48).then_some(fault)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_objects_that_change_while_they_are_read() {
    let (mut conflicts, mut whole) = (0, 0);
    for n in 0..30 {
        let dialect = Dialect::ALL[n as usize % 3];
        // The change comes before, between or after the answers of one reading.
        let server = Faulty::start(dialect, move |request| {
            (request < 6 && n / 3 % 2 == 0).then_some(Fault::Cut(64 << 10))
        });
        let (before, after) = (vec![b'a'; 20 << 20], vec![b'b'; 20 << 20]);
        server.put("a.txt", before.clone());
        server.replace_after("a.txt", n / 6, after.clone());
        let spool = tempfile::tempdir().unwrap();
        let store = dialect.store(server.address(), spool.path());
        match store.get(&format!("{}b/a.txt", dialect.scheme()), 1 << 30).await {
            Ok((_, read)) => {
                let read = read.to_bytes().unwrap();
                assert!(read == before || read == after, "one version, never a mixture");
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                conflicts += 1;
            }
        }
    }
    println!(
        "changes while it is read      {whole} whole, {conflicts} conflicts, 0 mixtures of 30"
    );
    assert!(conflicts > 0 && whole > 0);
}

#[tokio::test]
async fn r7_a_server_that_lists_out_of_order_is_refused() {
    use crate::site::{Reply, Site};
    let page = |keys: &[&str], end: &str| {
        let keys: String = keys
            .iter()
            .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
            .collect();
        Reply::ok(format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{keys}{end}</ListBucketResult>"
        ))
    };
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let site = Site::start(move |request, _| {
        let is_first = !request.path.contains("continuation-token");
        match &request.path {
            path if path.contains("/order") && is_first => page(&["a", "c"], more),
            path if path.contains("/order") => page(&["b", "d"], ""),
            path if path.contains("/circle") => page(&["a", "b"], more),
            _ => page(&["a"], "<IsTruncated>true</IsTruncated>"),
        }
    });
    let spool = tempfile::tempdir().unwrap();
    let store = Dialect::S3.store(&site.address, spool.path());
    let all = async |source: &str| -> vellum_core::Result<Vec<Listed>> {
        store.list(source).await?.try_collect().await
    };
    for (source, says) in [
        ("s3://order/", "the server lists `s3://order/b` after `s3://order/c`"),
        ("s3://circle/", "100 pages in a row hold nothing new"),
    ] {
        let error = all(source).await.unwrap_err();
        assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
    }
}
