//! Versions of a collection: made, built, promoted, rolled back, removed.

use super::{TTL, pass, sample_collection, sample_row, store_rows, whole};
use crate::access::{Verb, VersionPass};
use crate::collection::{Collection, IndexVersion, Lag, Tuning, VersionState};
use crate::error::{ErrorKind, Result};
use crate::ids::{ContentHash, JobId, Space};
use crate::ledger::{DocumentState, LedgerRow, Scope};
use crate::ports::{Metastore, Missing};

/// Returns another version of [`sample_collection`].
fn other(name: &str, version: &str) -> (Collection, VersionPass) {
    let sample = sample_collection(name);
    let mut settings = sample.settings;
    settings.splitter.max_tokens = 100;
    let seen = Collection { space: Space::of(&sample.name, version), settings, ..sample };
    let pass = whole(name, Verb::Write).at(&seen).expect("of the same name");
    (seen, pass)
}

async fn listed(store: &dyn Metastore, name: &str) -> Vec<IndexVersion> {
    store.versions(&whole(name, Verb::Read)).await.expect("read")
}

async fn states(store: &dyn Metastore, name: &str) -> Vec<VersionState> {
    listed(store, name).await.iter().map(IndexVersion::state).collect()
}

fn kind(result: Result<()>) -> ErrorKind {
    result.expect_err("refused").kind()
}

pub(super) async fn versions(store: &dyn Metastore) {
    use VersionState::{Building, Live, Ready, Retired};
    let first = sample_collection("v");
    let (one, all) = (pass("v", Verb::Write), whole("v", Verb::Write));
    store.create_collection(&first).await.expect("the name is free");
    let row = sample_row(&first.name, "m:///a");
    store_rows(store, &one, std::slice::from_ref(&row)).await.expect("stored");
    let (second, two) = other("v", "2");
    assert_eq!(kind(store.set_built(&two, Some(1)).await), ErrorKind::NotFound);
    store.create_version(&all, &second).await.expect("made");
    assert_eq!(kind(store.create_version(&all, &second).await), ErrorKind::Conflict, "it is there");
    assert_eq!(states(store, "v").await, [Live, Building], "oldest first");
    assert_eq!(listed(store, "v").await[1].collection, second);
    assert_eq!(store.collection(&first.name).await.expect("read"), Some(first.clone()));
    lags(store, &one, &two, &row).await;

    // How it is searched belongs to a version; one that says nothing shows what the live one says.
    let limit = |limit| Tuning { leg_limit: Some(limit), ..Tuning::default() };
    store.set_tuning(&one, &limit(7)).await.expect("set");
    let tunings = async || -> Vec<Tuning> {
        listed(store, "v").await.into_iter().map(|it| it.collection.tuning).collect()
    };
    assert_eq!(tunings().await, [limit(7), limit(7)]);
    store.set_tuning(&two, &limit(8)).await.expect("set");
    assert_eq!(tunings().await, [limit(7), limit(8)]);
    let (first, second) =
        (Collection { tuning: limit(7), ..first }, Collection { tuning: limit(8), ..second });
    assert_eq!(store.collection(&first.name).await.expect("read"), Some(first.clone()));

    // Promoted when it is complete, at rest and up to date, and only then.
    let accept = |now| store.promote(&two, now, Missing::Accept);
    assert_eq!(kind(accept(50).await), ErrorKind::Conflict, "it is not complete");
    store.set_built(&two, Some(40)).await.expect("complete");
    assert_eq!(states(store, "v").await, [Live, Ready]);
    for at in [&one, &two] {
        let lease = store.open_lease(at, "test", JobId::from_bytes([5; 16]), TTL).await;
        assert_eq!(kind(accept(50).await), ErrorKind::Conflict, "a worker is at it");
        store.close_lease(&lease.expect("opened")).await.expect("closed");
    }
    let later = sample_row(&first.name, "m:///later");
    store_rows(store, &one, std::slice::from_ref(&later)).await.expect("stored");
    assert_eq!(kind(accept(50).await), ErrorKind::Conflict, "it is behind");
    let failed = LedgerRow { state: DocumentState::Failed("gone".into()), ..later };
    store_rows(store, &two, &[failed]).await.expect("stored");
    let refused = store.promote(&two, 50, Missing::Refuse).await;
    assert_eq!(kind(refused), ErrorKind::Conflict, "one is missing");
    assert_eq!(states(store, "v").await, [Live, Ready], "nothing changed");
    accept(50).await.expect("promoted");
    accept(99).await.expect("promoted already");
    assert_eq!(states(store, "v").await, [Retired, Live]);
    let times: Vec<_> = listed(store, "v").await.iter().map(|it| it.live_ms).collect();
    assert_eq!(times[0], Some(first.created_ms));
    assert!(times[1] > times[0], "ascends whatever the clock says: {times:?}");
    let found = store.find_document(row.document).await.expect("read").expect("found");
    assert_eq!(found.0, second, "in the live version, which is searched as it says");

    // Back, whatever came since; times stay, so that going back again goes further back.
    store.set_built(&one, None).await.expect("not complete");
    assert_eq!(kind(store.roll_back(&one).await), ErrorKind::Conflict, "it is not complete");
    store.set_built(&one, Some(60)).await.expect("complete");
    let newer = sample_row(&first.name, "m:///newer");
    store_rows(store, &two, &[newer]).await.expect("stored");
    assert_eq!(kind(store.delete_version(&two).await), ErrorKind::Conflict, "it is live");
    store.roll_back(&one).await.expect("rolled back");
    store.roll_back(&one).await.expect("rolled back already");
    assert_eq!(states(store, "v").await, [Live, Retired]);
    assert_eq!(listed(store, "v").await.iter().map(|it| it.live_ms).collect::<Vec<_>>(), times);
    assert_eq!(store.collection(&first.name).await.expect("read"), Some(first.clone()));
    let (third, three) = other("v", "3");
    let told = Collection { tuning: limit(9), ..third.clone() };
    store.create_version(&all, &told).await.expect("made");
    assert_eq!(tunings().await[2], limit(7), "what is made says nothing");
    store.set_built(&three, Some(1)).await.expect("complete");
    assert_eq!(kind(store.roll_back(&three).await), ErrorKind::Conflict, "it never was live");
    inherited(store, &one, &three).await;

    // Removed with its ledger, and nothing else.
    for at in [&two, &three, &three] {
        store.delete_version(at).await.expect("removed");
    }
    assert_eq!(states(store, "v").await, [Live]);
    assert_eq!(store.rows(&two, Scope::Prefix(""), None, 9).await.expect("read"), []);
    assert_eq!(store.totals(&one).await.expect("read"), (2, 2));
    store.delete_collection(&all).await.expect("removed");
    assert_eq!(listed(store, "v").await, []);
    unpublished(store).await;
}

/// A version that says nothing of how it is searched keeps what it took over when it was promoted. Leaves `one` live.
async fn inherited(store: &dyn Metastore, one: &VersionPass, three: &VersionPass) {
    let rows = store.rows(one, Scope::Prefix(""), None, 9).await.expect("read");
    store_rows(store, three, &rows).await.expect("stored");
    store.promote(three, 70, Missing::Refuse).await.expect("promoted");
    let limit = async || {
        let seen = store.collection(one.collection()).await.expect("read").expect("there");
        seen.tuning.leg_limit
    };
    assert_eq!(limit().await, Some(7));
    store.set_tuning(one, &Tuning::default()).await.expect("set");
    assert_eq!(limit().await, Some(7), "it is its own now");
    store
        .set_tuning(three, &Tuning { leg_limit: Some(5), ..Tuning::default() })
        .await
        .expect("set");
    assert_eq!(limit().await, Some(5));
    store.roll_back(one).await.expect("rolled back");
    assert_eq!(limit().await, None, "it went with the version");
}

/// What `two` lacks of `one`, case by case; leaves both with the row.
async fn lags(store: &dyn Metastore, one: &VersionPass, two: &VersionPass, row: &LedgerRow) {
    assert_eq!(store.lag(one).await.expect("read"), Lag::default(), "it is live");
    let lag = async || store.lag(two).await.expect("read");
    assert_eq!(lag().await, Lag { behind: 1, missing: 0 }, "it has nothing");
    let state = |state| LedgerRow { state, ..row.clone() };
    let content = |updated_ms| LedgerRow {
        content: Some(ContentHash::of(b"other")),
        updated_ms,
        ..row.clone()
    };
    for (own, behind, missing) in [
        (state(DocumentState::Queued), 1, 0),
        (state(DocumentState::Rejected("r".into())), 0, 1),
        (state(DocumentState::Failed("f".into())), 0, 1),
        (content(row.updated_ms - 1), 1, 0),
        (content(row.updated_ms + 1), 0, 0),
        (row.clone(), 0, 0),
    ] {
        let told = format!("{own:?}");
        store_rows(store, two, &[own]).await.expect("stored");
        assert_eq!(lag().await, Lag { behind, missing }, "{told}");
    }
    let gone = sample_row(one.collection(), "m:///gone");
    store_rows(store, two, std::slice::from_ref(&gone)).await.expect("stored");
    assert_eq!(lag().await, Lag { behind: 1, missing: 0 }, "the live one no longer has it");
    super::remove_rows(store, two, &[gone.document]).await.expect("removed");
}

/// A version whose collection appears with its promotion.
async fn unpublished(store: &dyn Metastore) {
    let (seen, at) = other("w", "1");
    let all = whole("w", Verb::Write);
    store.create_version(&all, &seen).await.expect("made");
    store_rows(store, &at, &[sample_row(&seen.name, "m:///a")]).await.expect("stored");
    assert_eq!(store.collection(&seen.name).await.expect("read"), None, "nobody sees it");
    let names = |all: Vec<Collection>| all.into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert!(!names(store.collections().await.expect("read")).contains(&seen.name));
    let document = sample_row(&seen.name, "m:///a").document;
    assert_eq!(store.find_document(document).await.expect("read"), None);
    assert_eq!(states(store, "w").await, [VersionState::Building]);
    store.set_built(&at, Some(1)).await.expect("complete");
    store.promote(&at, 2, Missing::Refuse).await.expect("promoted");
    assert_eq!(store.collection(&seen.name).await.expect("read"), Some(seen));
    store.delete_collection(&all).await.expect("removed");
    assert_eq!(states(store, "w").await, []);
}
