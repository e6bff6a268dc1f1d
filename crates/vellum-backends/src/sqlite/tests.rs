//! What needs the connections of the store: a full disk, and calls that are given up.

use super::*;
use vellum_core::Retry;
use vellum_core::access::{Principal, Verb};
use vellum_core::testing::metastore::{sample_collection, sample_row, store_rows};

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteMetastore::open(dir.path().join("meta.db")).await.unwrap();
    let collection = sample_collection("a");
    store.create_collection(&collection).await.unwrap();
    // A page limit stands in for the end of the disk; both end as SQLITE_FULL.
    sqlx::raw_sql("PRAGMA max_page_count = 20").execute(&store.writer).await.unwrap();
    let pass = Pass::grant(&Principal::Owner, &collection.name, Verb::Write).unwrap();
    let pass = pass.at(&collection).unwrap();
    let row = |i| sample_row(&collection.name, &format!("file:///{i}.txt"));
    let rows: Vec<LedgerRow> = (0..2000).map(row).collect();
    let error = store_rows(&store, &pass, &rows).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::NoSpace, Retry::Later), "{error}");
    assert_eq!(store.totals(&pass).await.unwrap(), (0, 0), "all or none");
    store_rows(&store, &pass, &rows[..3]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteMetastore::open(dir.path().join("meta.db")).await.unwrap();
    let collection = sample_collection("a");
    store.create_collection(&collection).await.unwrap();
    let pass = Pass::grant(&Principal::Owner, &collection.name, Verb::Write).unwrap();
    let pass = pass.at(&collection).unwrap();
    let row = |i| sample_row(&collection.name, &format!("file:///{i}.txt"));
    let rows: Vec<LedgerRow> = (0..5000).map(row).collect();
    for ms in [1, 3, 10] {
        let call = store_rows(&store, &pass, &rows);
        tokio::time::timeout(Duration::from_millis(ms), call).await.unwrap_err();
        assert_eq!(store.totals(&pass).await.unwrap(), (0, 0));
    }
    store_rows(&store, &pass, &rows).await.unwrap();
    assert_eq!(store.totals(&pass).await.unwrap(), (5000, 5000));
}
