//! Damaged files answer `Corrupt` with a hint, or do no harm; never a panic, never the end of the
//! process.

use crate::support::{created, dense_leg, document, numbered, open, scratch, sparse_leg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use vellum_core::access::Verb;
use vellum_core::ports::{StoreSpec, VectorStore, WithVectors};
use vellum_core::testing::vector_store::pass;
use vellum_core::{Error, ErrorKind, Result};

/// Copies a directory. The engine's files are mostly holes, which `cp` knows how to keep.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-R").arg(from.join("hurt")).arg(to).status().unwrap();
    assert!(status.success());
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Fills a store with an indexed and a writable segment.
async fn fill(root: &Path) {
    let store = open(root);
    let owner = created(&store, "hurt").await;
    store.upsert(&owner, document(0, 60)).await.unwrap();
    store.optimize(&owner).await.unwrap();
    store.upsert(&owner, document(1, 20)).await.unwrap();
    store.flush(&owner).await.unwrap();
}

/// Reads everything in every way and returns the number of chunks.
async fn use_all(root: &Path) -> Result<usize> {
    let store = open(root);
    let owner = pass("hurt", Verb::Write);
    let chunks = store.scan(&owner, None, 1000, None).await?;
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    store.fetch(&owner, &ids, WithVectors::Yes).await?;
    let target = numbered(0, 3);
    store.search(&owner, &dense_leg(target.dense.as_slice(), 100)).await?;
    store.search(&owner, &sparse_leg(&[(target.sparse.indices()[0], 1.0)], 100)).await?;
    store.upsert(&owner, document(2, 3)).await?;
    store.flush(&owner).await?;
    store.count(&owner).await?;
    Ok(chunks.len())
}

fn assert_told(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {}", error.full_message());
    assert!(error.hint().is_some(), "{what}: no hint");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_files_do_no_harm() {
    let pristine = scratch();
    fill(pristine.path()).await;
    let (mut silent, mut told, mut n_cases) = (Vec::new(), 0, 0);
    for file in files(&pristine.path().join("hurt")) {
        let name = file.strip_prefix(pristine.path()).unwrap().to_owned();
        // Emptied, cut in half, removed.
        for share in [0, 1, 2] {
            n_cases += 1;
            let root = scratch();
            copy(pristine.path(), root.path());
            let victim = root.path().join(&name);
            let length = fs::metadata(&victim).unwrap().len();
            match share {
                2 => fs::remove_file(&victim).unwrap(),
                _ => {
                    let file = File::options().write(true).open(&victim).unwrap();
                    file.set_len(length * share / 2).unwrap();
                }
            }
            match use_all(root.path()).await {
                Ok(80) => {}
                Ok(n) => silent.push(format!("{} {share} ({length}): {n} chunks", name.display())),
                Err(error) => {
                    assert_told(&error, &name.display().to_string());
                    told += 1;
                }
            }
            // Whatever happened, the collection can be dropped and made anew.
            let store = open(root.path());
            let owner = pass("hurt", Verb::Write);
            store.drop_collection(&owner).await.unwrap();
            store.create(&owner, StoreSpec { dim: 3 }).await.unwrap();
            assert_eq!(store.count(&owner).await.unwrap(), 0);
        }
    }
    assert!(silent.is_empty(), "chunks went missing silently:\n{}", silent.join("\n"));
    println!("{told} of {n_cases} damages were told");
    assert!(told * 4 > n_cases, "only {told} damages of {n_cases} were noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_collection_does_not_affect_others() {
    let root = scratch();
    fill(root.path()).await;
    fs::remove_dir_all(root.path().join("hurt/segments")).unwrap();
    let store = open(root.path());
    assert_told(&store.count(&pass("hurt", Verb::Read)).await.unwrap_err(), "no segments");
    let other = created(&store, "well").await;
    store.upsert(&other, document(1, 2)).await.unwrap();
    assert_eq!(store.count(&other).await.unwrap(), 2);
}
