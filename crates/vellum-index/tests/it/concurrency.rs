//! Searches, writes, flushes and index builds at the same time.

use crate::support::{created, dense_leg, document, numbered, open, scratch, sparse_leg};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vellum_core::ErrorKind;
use vellum_core::ports::{VectorStore, WithVectors};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_never_fail_while_everything_else_runs() {
    let root = scratch();
    let store = Arc::new(open(root.path()));
    let owner = created(&store, "busy").await;
    store.upsert(&owner, document(0, 10)).await.unwrap();
    let (stop, n_reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));

    let readers: Vec<_> = (0..3u64)
        .map(|reader| {
            let (store, owner) = (Arc::clone(&store), owner.clone());
            let (stop, n_reads) = (Arc::clone(&stop), Arc::clone(&n_reads));
            tokio::spawn(async move {
                let target = numbered(0, reader as u32);
                while !stop.load(Ordering::Relaxed) {
                    let leg = dense_leg(target.dense.as_slice(), 5);
                    let hits = store.search(&owner, &leg).await.unwrap();
                    assert_eq!(hits[0].id, target.chunk.id, "what is stored is always found");
                    let leg = sparse_leg(&[(target.sparse.indices()[0], 1.0)], 500);
                    let hits = store.search(&owner, &leg).await.unwrap();
                    assert!(hits.iter().any(|hit| hit.id == target.chunk.id));
                    let ids = [target.chunk.id];
                    let got = store.fetch(&owner, &ids, WithVectors::Yes).await.unwrap();
                    assert_eq!(*got[0].chunk, target.chunk);
                    store.scan(&owner, None, 20, None).await.unwrap();
                    n_reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let writer = {
        let (store, owner) = (Arc::clone(&store), owner.clone());
        tokio::spawn(async move {
            for n in 1..=60 {
                store.upsert(&owner, document(n, 10)).await.unwrap();
                if n % 3 == 0 {
                    let stale = numbered(n - 1, 0).chunk.document;
                    store.delete_document(&owner, stale, &[]).await.unwrap();
                }
            }
        })
    };
    let keeper = {
        let (store, owner, stop) = (Arc::clone(&store), owner.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                store.optimize(&owner).await.unwrap();
                store.flush(&owner).await.unwrap();
            }
        })
    };
    writer.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    keeper.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(n_reads.load(Ordering::Relaxed) > 10);
    assert_eq!(store.count(&owner).await.unwrap(), 10 + 600 - 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drop_under_load_ends_in_not_found() {
    let root = scratch();
    let store = Arc::new(open(root.path()));
    let owner = created(&store, "gone").await;
    let workers: Vec<_> = (0..4u64)
        .map(|worker| {
            let (store, owner) = (Arc::clone(&store), owner.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let result = match worker {
                        0 => store.upsert(&owner, document(n, 5)).await,
                        1 => store.optimize(&owner).await,
                        2 => store.flush(&owner).await,
                        _ => store.count(&owner).await.map(drop),
                    };
                    if let Err(error) = result {
                        return error.kind();
                    }
                }
                unreachable!("the loop has no end");
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    store.drop_collection(&owner).await.unwrap();
    for worker in workers {
        assert_eq!(worker.await.unwrap(), ErrorKind::NotFound);
    }
    assert!(!root.path().join("gone").exists());
}
