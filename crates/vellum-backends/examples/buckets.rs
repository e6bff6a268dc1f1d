//! Measures how a bucket is listed and read: `bench/buckets.py` runs it beside boto3.
//!
//! ```text
//! buckets read ENDPOINT s3://BUCKET/PREFIX [PARALLEL]   list and read everything, PARALLEL objects (8) at a time
//! buckets list ENDPOINT s3://BUCKET/                    list only
//! buckets fake N                                        serve a listing of N keys; prints its address
//! buckets serve FOLDER                                  serve the buckets in a folder with s3s; prints its address
//! ```
//!
//! Prints objects, bytes, seconds, and resident memory in MiB at the start, at most and at the end (Linux). Keys come from the usual
//! variables.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use futures::StreamExt;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;
use vellum_backends::{BucketStore, Environment, S3Settings};
use vellum_core::ports::{Listed, ObjectStore};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["read", endpoint, source] => read(endpoint, source, 8).await,
        ["read", endpoint, source, parallel] => {
            read(endpoint, source, parallel.parse().unwrap()).await;
        }
        ["list", endpoint, source] => list(endpoint, source).await,
        ["fake", n] => fake(n.parse().unwrap()),
        ["serve", folder] => serve(folder).await,
        _ => println!("buckets read|list ENDPOINT s3://BUCKET/PREFIX, or buckets fake N"),
    }
}

fn store(endpoint: &str) -> BucketStore {
    let settings = S3Settings { endpoint: endpoint.to_owned(), ..S3Settings::default() };
    let environment = Environment::read(|name| std::env::var(name).ok());
    BucketStore::s3(&settings, environment, std::env::temp_dir()).unwrap()
}

async fn read(endpoint: &str, source: &str, parallel: usize) {
    let (store, start, began) = (store(endpoint), memory("VmRSS"), Instant::now());
    let listing = store.list(source).await.unwrap();
    let sizes = listing.map(|entry| {
        let store = store.clone();
        async move {
            let Listed::Object(meta) = entry.unwrap() else { return 0 };
            store.get(&meta.uri, 1 << 40).await.unwrap().1.len()
        }
    });
    let (objects, bytes) = sizes
        .buffer_unordered(parallel)
        .fold((0_u64, 0_u64), |(n, sum), size| std::future::ready((n + 1, sum + size)))
        .await;
    tell(objects, bytes, began, start);
}

async fn list(endpoint: &str, source: &str) {
    let (store, start, began) = (store(endpoint), memory("VmRSS"), Instant::now());
    let mut listing = store.list(source).await.unwrap();
    let mut objects = 0;
    while let Some(entry) = listing.next().await {
        entry.unwrap();
        objects += 1;
        if objects % 250_000 == 0 {
            println!("{objects} keys: {} MiB", memory("VmRSS"));
        }
    }
    tell(objects, 0, began, start);
}

fn tell(objects: u64, bytes: u64, began: Instant, start: u64) {
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{objects} objects, {bytes} bytes, {seconds:.2} s, {:.0} objects/s, {:.0} MB/s; MiB: {start} at the start, {} at most, {} at the end",
        objects as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        memory("VmHWM"),
        memory("VmRSS"),
    );
}

/// Returns a figure of this process's memory in MiB; 0 where the system does not tell.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Serves the buckets in `folder`, for the keys in the environment.
async fn serve(folder: &str) {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    let key = |name| std::env::var(name).unwrap_or_default();
    builder
        .set_auth(SimpleAuth::from_single(key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY")));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    while let Ok((socket, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A client that goes away is no failure of the server.
            let _ = http.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// Serves a bucket of `n` keys that hold nothing, a thousand on a page.
fn fake(n: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    for socket in listener.incoming().flatten() {
        std::thread::spawn(move || drop(pages(socket, n)));
    }
}

fn pages(mut socket: TcpStream, n: usize) -> std::io::Result<()> {
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    while let Some(request) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let token = request.split("continuation-token=").nth(1).unwrap_or_default();
        let token: String = token.chars().take_while(char::is_ascii_digit).collect();
        let start: usize = token.parse().unwrap_or(0);
        let end = (start + 1_000).min(n);
        let mut page =
            String::from("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for key in start..end {
            page.push_str(&format!("<Contents><Key>documents/of/the/department/{key:09}.pdf</Key><LastModified>2026-11-23T04:17:15.000Z</LastModified><ETag>&quot;{key:032x}&quot;</ETag><Size>{key}</Size></Contents>"));
        }
        match end < n {
            true => page.push_str(&format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>")),
            false => page.push_str("<IsTruncated>false</IsTruncated>"),
        }
        page.push_str("</ListBucketResult>");
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len())?;
    }
    Ok(())
}
