//! A process that is killed at any moment loses nothing that was flushed and keeps only whole points.
//!
//! The test starts its own binary again for the ignored test `child`, which replays a fixed list of
//! steps from a given one, prints `flushed N` after each flush of the first N steps, and is killed
//! (SIGKILL) after a random delay. The steps are idempotent, so the next round begins at the last
//! flushed one, on the same directory.

use crate::support::{created, document, numbered, open, pick, scratch};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vellum_core::access::Verb;
use vellum_core::ports::{VectorStore, WithVectors};
use vellum_core::testing::vector_store::pass;

const ROUNDS: u64 = 30;
const N_CHUNKS: u32 = 6;
/// Every fifth step deletes the document that was written this many steps before.
const AGE: u64 = 7;
const ROOT: &str = "VELLUM_INDEX_CRASH_ROOT";
const FROM: &str = "VELLUM_INDEX_CRASH_FROM";

/// Returns the document that step `n` deletes, if it deletes; other steps write document `n`.
fn deleted_by(n: u64) -> Option<u64> {
    (n % 5 == 4 && n >= AGE).then(|| n - AGE)
}

#[test]
#[ignore = "the victim of `killed_at_any_moment`"]
fn child() {
    let (Ok(root), Ok(from)) = (std::env::var(ROOT), std::env::var(FROM)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(Path::new(&root)));
        let owner = created(&store, "victim").await;
        let optimizing = {
            let (store, owner) = (Arc::clone(&store), owner.clone());
            async move {
                loop {
                    store.optimize(&owner).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        tokio::spawn(optimizing);
        for n in from.parse::<u64>().unwrap().. {
            match deleted_by(n) {
                Some(old) => {
                    let gone = numbered(old, 0).chunk.document;
                    store.delete_document(&owner, gone, &[]).await.unwrap();
                }
                None => store.upsert(&owner, document(n, N_CHUNKS)).await.unwrap(),
            }
            if n % 3 == 0 {
                store.flush(&owner).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "\nflushed {}", n + 1).unwrap();
                out.flush().unwrap();
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed =
        std::env::var("VELLUM_SEED").map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
    println!("VELLUM_SEED={seed}");
    let root = scratch();
    let mut flushed = 0;
    for round in 0..ROUNDS {
        // A third of the rounds dies early, where opening and creating happen.
        let n_reports = pick(seed.wrapping_add(round), 3);
        let delay = Duration::from_millis(pick(seed.wrapping_add(round + 1000), 150));
        flushed = run_and_kill(root.path(), flushed, n_reports, delay);
        check(root.path(), flushed, round).await;
    }
    assert!(flushed > 0, "no round lived long enough to flush");
    println!("{flushed} steps in {ROUNDS} rounds");
}

/// Starts the child at step `from`, kills it `delay` after it has reported `n_reports` flushes, and
/// returns the number of steps that it reported last.
fn run_and_kill(root: &Path, from: u64, n_reports: u64, delay: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut reports = out
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("flushed ")?.parse::<u64>().ok());
    let before = reports.by_ref().take(n_reports as usize).last();
    std::thread::sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "the child ended by itself: {status}");
    // What was written to the pipe before the kill is still there.
    reports.last().or(before).unwrap_or(from)
}

async fn check(root: &Path, flushed: u64, round: u64) {
    let store = open(root);
    let reader = pass("victim", Verb::Read);
    if flushed == 0 && !root.join("victim").exists() {
        return;
    }
    let chunks = store.scan(&reader, None, 1_000_000, None).await.unwrap();
    assert_eq!(store.count(&reader).await.unwrap(), chunks.len() as u64, "round {round}");
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    let stored = store.fetch(&reader, &ids, WithVectors::Yes).await.unwrap();
    assert_eq!(stored.len(), chunks.len(), "round {round}: every chunk has its vector");
    for found in &stored {
        let n: u64 = found.chunk.source.trim_end_matches(".md").parse().unwrap();
        let want = numbered(n, found.chunk.ordinal);
        assert_eq!(*found.chunk, want.chunk, "round {round}: whole payload");
        let cosine = found.dense.as_ref().unwrap().cosine(&want.dense);
        assert!(cosine > 0.9999, "round {round}: whole vector of document {n}");
    }
    // Deletions of later steps may or may not have happened.
    let never: Vec<u64> = (0..flushed).filter_map(deleted_by).collect();
    let maybe: Vec<u64> = (flushed..flushed + AGE + 5).filter_map(deleted_by).collect();
    for n in (0..flushed).filter(|n| deleted_by(*n).is_none() && !maybe.contains(n)) {
        let n_found = chunks.iter().filter(|chunk| chunk.uri == format!("file:///{n}.md")).count();
        let expected = if never.contains(&n) { 0 } else { N_CHUNKS as usize };
        assert_eq!(n_found, expected, "round {round}: document {n}, {flushed} steps flushed");
    }
}
