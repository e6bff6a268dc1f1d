//! What every [`Metastore`] must show on one connection, clause by clause.

use crate::access::{Pass, Principal, Verb, VersionPass};
use crate::collection::{
    Collection, Fusion, IndexSettings, SparseSettings, SplitterSettings, Tuning,
};
use crate::document::Format;
use crate::error::{ErrorKind, Result};
use crate::ids::{CollectionName, ContentHash, DocumentId, JobId, Space};
use crate::job::{Job, JobSpec, JobState, Refusal, Refusals, Report};
use crate::ledger::{DocumentState, LedgerRow, Scope};
use crate::ports::{Metastore, Missing};
use std::time::Duration;

mod feedback;
mod versions;

/// Returns a collection as the tests of stores need it.
pub fn sample_collection(name: &str) -> Collection {
    let name: CollectionName = name.parse().expect("tests use valid names");
    Collection {
        space: Space::of(&name, "0123456789abcdef"),
        name,
        settings: IndexSettings {
            converter: "plain-1".into(),
            splitter: SplitterSettings::new(256, 32),
            embedder: "hash".into(),
            embedder_digest: "hash-64-256".into(),
            dim: 64,
        },
        language: None,
        sparse: None,
        tuning: Tuning::default(),
        created_ms: 1_767_225_600_000,
    }
}

/// Returns the ledger row of an indexed document with one chunk.
pub fn sample_row(collection: &CollectionName, uri: &str) -> LedgerRow {
    LedgerRow {
        document: DocumentId::derive(collection, uri),
        uri: uri.to_owned(),
        etag: "etag".into(),
        content: Some(ContentHash::of(uri.as_bytes())),
        settings: "0123456789abcdef".into(),
        state: DocumentState::Indexed,
        format: Some(Format::Text),
        title: Some("Title".into()),
        chunks: 1,
        pages: 2,
        bytes: 3,
        source: "file:///".into(),
        job: Some(JobId::from_bytes([5; 16])),
        version: 1,
        attempts: 0,
        is_copy: false,
        claim: None,
        updated_ms: 4,
    }
}

/// Asserts every clause of the [`Metastore`] port on an empty store.
///
/// # Panics
/// When a clause is broken.
pub async fn metastore_suite(store: &dyn Metastore) {
    store.check().await.expect("a fresh store is ready");
    assert_eq!(store.collections().await.expect("listed"), [], "the suite needs an empty store");
    collections(store).await;
    ledger(store).await;
    order_of_rows(store).await;
    rights(store).await;
    claims(store).await;
    copies(store).await;
    sources(store).await;
    jobs(store).await;
    forgotten_jobs(store).await;
    feedback::feedback(store).await;
    versions::versions(store).await;
    deletion(store).await;
}

/// Returns the owner's pass for the version of [`sample_collection`].
fn pass(collection: &str, verb: Verb) -> VersionPass {
    let seen = sample_collection(collection);
    whole(collection, verb).at(&seen).expect("of the same name")
}

/// Returns the owner's pass for a collection as a whole.
fn whole(collection: &str, verb: Verb) -> Pass {
    let name = collection.parse().expect("tests use valid names");
    Pass::grant(&Principal::Owner, &name, verb).expect("the owner may do everything")
}

/// Stores rows as a worker does: claimed, then committed.
///
/// # Errors
/// What the store fails with.
pub async fn store_rows(
    store: &dyn Metastore,
    pass: &VersionPass,
    rows: &[LedgerRow],
) -> Result<()> {
    // A worker of its own, so that two calls do not end each other's lease.
    let owner = rows.first().map_or("test", |row| row.uri.as_str());
    let lease = store.open_lease(pass, owner, JobId::from_bytes([5; 16]), TTL).await?;
    let documents: Vec<DocumentId> = rows.iter().map(|row| row.document).collect();
    store.claim(pass, &lease, rows, &documents).await?;
    store.commit(pass, &lease, rows).await?;
    store.close_lease(&lease).await
}

/// Removes rows as a worker does: claimed, then deleted.
async fn remove_rows(
    store: &dyn Metastore,
    pass: &VersionPass,
    documents: &[DocumentId],
) -> Result<()> {
    let lease = store.open_lease(pass, "test", JobId::from_bytes([5; 16]), TTL).await?;
    store.claim(pass, &lease, &[], documents).await?;
    store.delete_rows(pass, &lease, documents).await?;
    store.close_lease(&lease).await
}

/// Longer than any test.
const TTL: Duration = Duration::from_secs(600);

async fn uris(store: &dyn Metastore, prefix: &str, after: Option<&str>, n: usize) -> Vec<String> {
    let rows = store
        .rows(&pass("a", Verb::Read), Scope::Prefix(prefix), after, n)
        .await
        .expect("rows are read");
    rows.into_iter().map(|row| row.uri).collect()
}

async fn collections(store: &dyn Metastore) {
    let mut first = sample_collection("a");
    first.language = Some("de".into());
    let second = sample_collection("b-2");
    for collection in [&second, &first] {
        store.create_collection(collection).await.expect("the name is free");
    }
    let taken = store.create_collection(&sample_collection("a")).await.expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::Conflict, "a taken name is a conflict");
    assert!(taken.message().contains("`a`"), "the message names the collection: {taken}");
    assert_eq!(store.collection(&first.name).await.expect("read"), Some(first.clone()));
    assert_eq!(store.collections().await.expect("read"), [first.clone(), second], "by name");
    let none = "none".parse().expect("valid");
    assert_eq!(store.collection(&none).await.expect("read"), None);

    // Values without a short decimal form show that the mean is stored exactly.
    for (language, avg_len) in [(None, 0.1_f32 + 0.2), (Some("en".to_owned()), 1.0 / 3.0 * 1e7)] {
        let others = vec!["de".to_owned()];
        let sparse = SparseSettings { language, others, avg_len, chunks: 9 };
        store.settle_sparse(&pass("a", Verb::Write), Some(&sparse)).await.expect("settled");
        let read = store.collection(&first.name).await.expect("read").expect("still there");
        assert_eq!(read, Collection { sparse: Some(sparse), ..first.clone() });
    }
    let (write, name) = (pass("a", Verb::Write), &first.name);
    store.settle_sparse(&write, None).await.expect("unsettled");
    assert_eq!(store.collection(name).await.expect("read"), Some(first.clone()), "not settled");
    let missing = store.settle_sparse(&pass("none", Verb::Write), None).await;
    assert_eq!(missing.expect_err("missing").kind(), ErrorKind::NotFound);

    let tuning = Tuning {
        fusion: Some(Fusion::Rank),
        dense_weight: Some(0.1_f32 + 0.2),
        leg_limit: Some(7),
        ..Tuning::default()
    };
    for set in [tuning, Tuning::default()] {
        store.set_tuning(&write, &set).await.expect("set");
        let read = store.collection(name).await.expect("read").expect("still there");
        assert_eq!(read, Collection { tuning: set, ..first.clone() });
    }
    let missing = store.set_tuning(&pass("none", Verb::Write), &Tuning::default()).await;
    assert_eq!(missing.expect_err("missing").kind(), ErrorKind::NotFound);
}

async fn ledger(store: &dyn Metastore) {
    let (read, write) = (pass("a", Verb::Read), pass("a", Verb::Write));
    assert_eq!(store.totals(&read).await.expect("read"), (0, 0));
    let indexed = sample_row(read.collection(), "file:///d/indexed.txt");
    let bare = LedgerRow {
        state: DocumentState::Rejected("it is `encrypted`; naïve ☃".into()),
        content: None,
        format: None,
        title: None,
        chunks: 7,
        pages: 0,
        bytes: (1 << 53) + 1,
        updated_ms: -1,
        ..sample_row(read.collection(), "file:///d/rejected.pdf")
    };
    let failed = LedgerRow {
        state: DocumentState::Failed(String::new()),
        format: Some(Format::Pdf),
        chunks: u32::MAX,
        ..sample_row(read.collection(), "file:///d/failed.pdf")
    };
    store_rows(store, &write, &[]).await.expect("nothing to do");
    let rows = [indexed.clone(), bare.clone(), failed.clone()];
    store_rows(store, &write, &rows).await.expect("rows are stored");
    let stored = store.rows(&read, Scope::Prefix(""), None, 10).await.expect("read");
    assert_eq!(stored, [failed, indexed.clone(), bare], "rows come back whole, by uri");
    assert_eq!(store.totals(&read).await.expect("read"), (1, 1), "only indexed documents count");

    let changed = LedgerRow { chunks: 5, etag: "etag 2".into(), ..indexed.clone() };
    store_rows(store, &write, std::slice::from_ref(&changed)).await.expect("replaced");
    assert_eq!(store.totals(&read).await.expect("read"), (1, 5), "a row is replaced by uri");
    let found = store.find_document(indexed.document).await.expect("read");
    let seen = store.collection(read.collection()).await.expect("read").expect("it exists");
    assert_eq!(found, Some((seen, changed)));

    let other = sample_row(&"b-2".parse().expect("valid"), &indexed.uri);
    let other_pass = pass("b-2", Verb::Write);
    store_rows(store, &other_pass, std::slice::from_ref(&other)).await.expect("stored");
    let unknown = DocumentId::derive(read.collection(), "unknown");
    let ids = [unknown, other.document, indexed.document];
    remove_rows(store, &write, &ids).await.expect("removed");
    remove_rows(store, &write, &ids).await.expect("removal is idempotent");
    remove_rows(store, &write, &[]).await.expect("nothing to do");
    assert_eq!(store.find_document(indexed.document).await.expect("read"), None);
    let kept = store.rows(&other_pass, Scope::Prefix(""), None, 10).await.expect("read");
    assert_eq!(kept, [other], "a pass reaches its own collection only");

    let missing = store_rows(store, &pass("none", Verb::Write), &[indexed]).await;
    assert_eq!(missing.expect_err("missing").kind(), ErrorKind::NotFound);
    let none = pass("none", Verb::Read);
    assert_eq!(store.rows(&none, Scope::Prefix(""), None, 10).await.expect("read"), []);
    assert_eq!(store.totals(&none).await.expect("read"), (0, 0));
}

async fn order_of_rows(store: &dyn Metastore) {
    let (read, write) = (pass("a", Verb::Read), pass("a", Verb::Write));
    // Ascending by bytes; differs from every order that folds case or knows a language, and holds the
    // wildcards of SQL's LIKE.
    let sorted = [
        "m:///%25",
        "m:///A",
        "m:///Z",
        "m:///_",
        "m:///a",
        "m:///a%",
        "m:///a-b",
        "m:///a/1",
        "m:///a/2",
        "m:///ab",
        "m:///z",
        "m:///~",
        "m:///ä",
        "m:///\u{10ffff}",
    ];
    assert!(sorted.is_sorted());
    let mut rows: Vec<_> = sorted.iter().map(|uri| sample_row(read.collection(), uri)).collect();
    rows.reverse();
    rows.rotate_left(5);
    store_rows(store, &write, &rows).await.expect("stored");

    assert_eq!(uris(store, "m:///", None, usize::MAX).await, sorted, "bytewise order");
    assert_eq!(uris(store, "m:///a/", None, 9).await, ["m:///a/1", "m:///a/2"], "prefix");
    assert_eq!(uris(store, "m:///a/1", None, 9).await, ["m:///a/1"], "a prefix may be a whole uri");
    assert_eq!(uris(store, "m:///%", None, 9).await, ["m:///%25"], "no wildcards");
    assert_eq!(uris(store, "m:///_", None, 9).await, ["m:///_"], "no wildcards");
    assert_eq!(uris(store, "m:///\u{10ffff}", None, 9).await.len(), 1, "the greatest prefix");
    assert_eq!(uris(store, "x", None, 9).await, [""; 0]);
    assert_eq!(uris(store, "m:///", None, 0).await, [""; 0], "a limit of nothing");
    assert_eq!(
        uris(store, "m:///", Some("m:///a0"), 1).await,
        ["m:///ab"],
        "`after` may be absent"
    );
    assert_eq!(
        uris(store, "m:///z", Some("m:///A"), 9).await,
        ["m:///z"],
        "`after` below the prefix"
    );
    assert_eq!(uris(store, "m:///A", Some("m:///Z"), 9).await, [""; 0], "`after` above the prefix");

    let mut paged = Vec::new();
    loop {
        let page = uris(store, "m:///", paged.last().map(String::as_str), 3).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, sorted, "pages join without gap or overlap");
}

async fn rights(store: &dyn Metastore) {
    let read = pass("a", Verb::Read);
    let row = sample_row(read.collection(), "m:///a");
    let write = pass("a", Verb::Write);
    let job = JobId::from_bytes([5; 16]);
    let lease = store.open_lease(&write, "test", job, TTL).await.expect("opened");
    for refused in [
        store.settle_sparse(&read, None).await,
        store.set_tuning(&pass("a", Verb::Read), &Tuning::default()).await,
        store.delete_collection(&whole("a", Verb::Read)).await,
        store.open_lease(&read, "test", lease.job, TTL).await.map(drop),
        store.claim(&read, &lease, &[], &[row.document]).await.map(drop),
        store.commit(&read, &lease, std::slice::from_ref(&row)).await,
        store.delete_rows(&read, &lease, &[row.document]).await,
        store.create_version(&whole("a", Verb::Read), &sample_collection("a")).await,
        store.set_built(&read, None).await,
        store.promote(&read, 1, Missing::Refuse).await,
        store.roll_back(&read).await,
        store.delete_version(&read).await,
    ] {
        assert_eq!(refused.expect_err("a read pass").kind(), ErrorKind::Forbidden);
    }
    assert!(store.find_document(row.document).await.expect("read").is_some(), "nothing changed");
    store.close_lease(&lease).await.expect("closed");
}

async fn claims(store: &dyn Metastore) {
    let write = pass("a", Verb::Write);
    let row = |uri: &str| sample_row(write.collection(), uri);
    let (one, two) = (row("c:///1"), row("c:///2"));
    let open = |owner: &'static str, ttl| {
        let job = JobId::from_bytes([owner.len() as u8; 16]);
        async move { store.open_lease(&pass("a", Verb::Write), owner, job, ttl).await.expect("opened") }
    };
    let live = async || store.live_leases(&write).await.expect("read");
    let claim_of = async |id| {
        let found = store.find_document(id).await.expect("read");
        found.map(|(_, row)| row.claim).expect("the row is there")
    };
    let kind = |result: Result<()>| result.expect_err("refused").kind();

    let first = open("first", TTL).await;
    let second = open("second one", TTL).await;
    assert!(second.token > first.token, "tokens ascend");
    assert_eq!(live().await, 2);
    let both = [one.document, two.document, DocumentId::derive(write.collection(), "unknown")];
    let queued = LedgerRow { state: DocumentState::Queued, ..one.clone() };
    let claimed = store.claim(&write, &first, std::slice::from_ref(&queued), &both).await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.refused, [], "nobody else is there");
    assert_eq!(claimed.rows, [LedgerRow { claim: None, ..queued }], "as it stood before");
    let stored = store.find_document(one.document).await.expect("read").expect("added").1;
    assert_eq!((stored.state, stored.claim), (DocumentState::Queued, Some(first.token)));
    assert_eq!(store.find_document(two.document).await.expect("read"), None, "not added");

    // The second worker gets what is free, and the row that is there is not replaced.
    let newer = LedgerRow { chunks: 99, ..one.clone() };
    let claimed = store.claim(&write, &second, &[newer, two.clone()], &both).await.expect("asked");
    assert_eq!(claimed.refused, [one.document], "held by the first");
    assert_eq!(claimed.rows, [LedgerRow { claim: None, ..two.clone() }]);
    assert_eq!(claim_of(two.document).await, Some(second.token));
    let unclaimed = store.commit(&write, &second, &[two.clone(), one.clone()]).await;
    assert_eq!(kind(unclaimed), ErrorKind::Conflict);
    assert_eq!(claim_of(two.document).await, Some(second.token), "all or none");
    let foreign = store.delete_rows(&write, &second, &[two.document, one.document]).await;
    assert_eq!(kind(foreign), ErrorKind::Conflict);
    store.commit(&write, &second, std::slice::from_ref(&two)).await.expect("its own");
    assert_eq!(claim_of(two.document).await, None, "a commit lifts the claim");
    let again = store.commit(&write, &second, std::slice::from_ref(&two)).await;
    assert_eq!(kind(again), ErrorKind::Conflict, "a claim is for one commit");

    // The first worker dies: its lease ends, its claim stays as a mark, and its late commit is refused.
    store.renew_lease(&first, Duration::ZERO).await.expect("ends now");
    assert_eq!(live().await, 1);
    assert_eq!(claim_of(one.document).await, Some(first.token));
    let late = store.claim(&write, &first, &[], &both).await.map(drop);
    assert_eq!(kind(late), ErrorKind::Conflict, "an ended lease claims nothing");
    let taken = store.claim(&write, &second, &[], &both).await.expect("taken over");
    let marks: Vec<_> = taken.rows.iter().map(|row| (row.document, row.claim)).collect();
    assert_eq!(taken.refused, []);
    assert!(marks.contains(&(one.document, Some(first.token))), "the mark is seen: {marks:?}");
    store.renew_lease(&first, TTL).await.expect("it comes back");
    let late = store.commit(&write, &first, std::slice::from_ref(&one)).await;
    assert_eq!(kind(late), ErrorKind::Conflict, "fenced off");
    store.commit(&write, &second, std::slice::from_ref(&one)).await.expect("the new holder");

    store.close_lease(&second).await.expect("closed");
    store.close_lease(&second).await.expect("closing is idempotent");
    assert_eq!(kind(store.renew_lease(&second, TTL).await), ErrorKind::Conflict, "it is closed");
    let next = open("first", TTL).await;
    assert_eq!(live().await, 1, "the next of an owner ends the one before");
    assert_eq!(kind(store.renew_lease(&first, TTL).await), ErrorKind::Conflict, "it is over");
    store.close_lease(&next).await.expect("closed");
    assert_eq!(live().await, 0);
    remove_rows(store, &write, &both).await.expect("removed");
}

async fn copies(store: &dyn Metastore) {
    let write = pass("a", Verb::Write);
    let row = |uri: &str, content: &str, is_copy| LedgerRow {
        content: Some(ContentHash::of(content.as_bytes())),
        is_copy,
        ..sample_row(write.collection(), uri)
    };
    let (x, y) = (ContentHash::of(b"x"), ContentHash::of(b"y"));
    let failed =
        LedgerRow { state: DocumentState::Failed("gone".into()), ..row("d:///0", "x", false) };
    let rows = [
        failed,
        row("d:///1", "x", false),
        row("d:///2", "x", true),
        row("d:///3", "x", true),
        row("d:///4", "y", true),
        row("d:///5", "z", false),
    ];
    store_rows(store, &write, &rows).await.expect("stored");
    let same = async |content, after, limit| {
        let rows = store.same_content(&write, content, after, limit).await.expect("read");
        rows.into_iter().map(|row| row.uri).collect::<Vec<_>>()
    };
    assert_eq!(same(&x, None, 9).await, ["d:///1", "d:///2", "d:///3"], "indexed ones, by uri");
    assert_eq!(same(&x, Some("d:///1"), 1).await, ["d:///2"]);
    let untold = async |after| store.untold_copies(&write, after, 9).await.expect("read");
    assert_eq!(untold(None).await, std::slice::from_ref(&y), "a copy of nothing");
    assert_eq!(untold(Some(&y)).await, []);
    for (uri, is_copy) in [("d:///3", false), ("d:///1", true)] {
        store_rows(store, &write, &[row(uri, "x", is_copy)]).await.expect("stored");
        assert!(untold(None).await.contains(&x), "{uri} is not told apart");
    }
    store_rows(store, &write, &rows).await.expect("as before");
    let of = |index: usize| rows[index].document;
    let found = store.copies(&write, &[of(5), of(1), of(2)]).await.expect("read");
    let expected = [2, 3].map(|copy| (of(1), rows[copy].uri.clone()));
    let of_copy = [2, 3].map(|copy| (of(2), rows[copy].uri.clone()));
    assert!(expected.iter().all(|it| found.contains(it)), "{found:?}");
    assert!(found.iter().all(|it| expected.contains(it) || of_copy.contains(it)), "{found:?}");
    let all: Vec<DocumentId> = rows.iter().map(|row| row.document).collect();
    remove_rows(store, &write, &all).await.expect("removed");
}

async fn sources(store: &dyn Metastore) {
    let write = pass("a", Verb::Write);
    let row = |uri: &str, source: &str| LedgerRow {
        source: source.into(),
        ..sample_row(write.collection(), uri)
    };
    let rows = [row("h://b/", "h://list"), row("h://a/", "h://list"), row("h://list/c", "h://o")];
    store_rows(store, &write, &rows).await.expect("stored");
    let listed = |after, limit| store.rows(&write, Scope::Source("h://list"), after, limit);
    let uris = |rows: Vec<LedgerRow>| rows.into_iter().map(|row| row.uri).collect::<Vec<_>>();
    assert_eq!(uris(listed(None, 9).await.expect("read")), ["h://a/", "h://b/"]);
    assert_eq!(uris(listed(None, 1).await.expect("read")), ["h://a/"]);
    assert_eq!(uris(listed(Some("h://a/"), 9).await.expect("read")), ["h://b/"]);
    let all: Vec<DocumentId> = rows.iter().map(|row| row.document).collect();
    remove_rows(store, &write, &all).await.expect("removed");
}

fn sample_job(id: u8, collection: &str, created_ms: i64) -> Job {
    Job {
        id: JobId::from_bytes([id; 16]),
        spec: JobSpec {
            version: 1,
            collection: collection.parse().expect("valid"),
            source: "file:///d/".into(),
            prune: false,
            rejected: true,
        },
        state: JobState::Queued,
        report: Report::default(),
        error: None,
        created_ms,
        updated_ms: created_ms,
    }
}

async fn jobs(store: &dyn Metastore) {
    assert_eq!(store.jobs(10).await.expect("read"), []);
    // A job is accepted before its collection exists, because its first step creates it.
    let (old, new) = (sample_job(9, "a", 100), sample_job(1, "later", 200));
    for job in [&new, &old] {
        store.put_job(job).await.expect("stored");
    }
    assert_eq!(store.jobs(10).await.expect("read"), [new.clone(), old.clone()], "newest first");
    assert_eq!(store.jobs(1).await.expect("read"), std::slice::from_ref(&new), "the newest");
    assert_eq!(store.jobs(0).await.expect("read"), []);

    let asked = ["file:///d/", "file:///", "file:///d/x"].map(str::to_owned);
    let known = store.known_sources(&whole("a", Verb::Read), &asked).await.expect("read");
    assert_eq!(known, ["file:///d/"]);
    let known = store.known_sources(&whole("b-2", Verb::Read), &asked).await.expect("read");
    assert_eq!(known, [""; 0], "of another collection");
    let unfinished = store.unfinished_jobs().await.expect("read");
    assert_eq!(unfinished, [old.clone(), new.clone()], "oldest first");
    let done = Job {
        state: JobState::Failed,
        report: Report {
            listed: 3,
            added: 1,
            rejected: Refusals {
                count: 7,
                named: vec![Refusal { uri: "file:///d/x".into(), reason: "no text".into() }],
            },
            warnings: vec!["a link".into()],
            ..Report::default()
        },
        error: Some("disk full; free some space".into()),
        updated_ms: 150,
        ..old
    };
    store.put_job(&done).await.expect("replaced");
    assert_eq!(store.job(done.id).await.expect("read"), Some(done));
    let left = store.unfinished_jobs().await.expect("read");
    assert_eq!(left, std::slice::from_ref(&new));
    for state in [JobState::Waiting, JobState::Paused, JobState::Interrupted, JobState::Running] {
        let job = Job { state, ..new.clone() };
        store.put_job(&job).await.expect("replaced");
        assert_eq!(store.unfinished_jobs().await.expect("read"), [job]);
    }
    let unknown = JobId::from_bytes([7; 16]);
    assert_eq!(store.job(unknown).await.expect("read"), None);
}

/// Of jobs 20 to 28, oldest first: all of one source but 21, of another, and 23, of an object of the first; 22 has not ended.
async fn forgotten_jobs(store: &dyn Metastore) {
    let ended =
        |id: u8| Job { state: JobState::Done, ..sample_job(id, "a", 1_000 + i64::from(id)) };
    for id in 20..29 {
        let mut job = ended(id);
        if id == 21 {
            job.spec.source = "file:///other/".into();
        }
        if id == 22 {
            job.state = JobState::Paused;
        }
        if id == 23 {
            job.spec.source = "file:///d/x.pdf".into();
        }
        store.put_job(&job).await.expect("stored");
    }
    let left = async || {
        let jobs = store.jobs(100).await.expect("read");
        let ids = jobs.iter().map(|job| job.created_ms - 1_000).filter(|id| (20..29).contains(id));
        ids.collect::<Vec<_>>()
    };
    assert_eq!(store.forget_jobs(100).await.expect("room for all"), 0);
    store.forget_jobs(3).await.expect("forgotten");
    assert_eq!(left().await, [28, 27, 26, 22, 21], "the newest of a source stays");
    store.forget_jobs(0).await.expect("forgotten");
    assert_eq!(left().await, [28, 22, 21]);
    assert_eq!(store.forget_jobs(0).await.expect("idempotent"), 0);
}

async fn deletion(store: &dyn Metastore) {
    let (write, all) = (pass("a", Verb::Write), whole("a", Verb::Write));
    store.delete_collection(&all).await.expect("removed");
    store.delete_collection(&all).await.expect("removal is idempotent");
    assert_eq!(store.collection(write.collection()).await.expect("read"), None);
    assert_eq!(
        store.rows(&write, Scope::Prefix(""), None, 10).await.expect("read"),
        [],
        "with its ledger"
    );
    let left: Vec<String> = store
        .jobs(10)
        .await
        .expect("read")
        .iter()
        .map(|job| job.spec.collection.to_string())
        .collect();
    assert_eq!(left, ["later"], "with its jobs, and no others");
    let others =
        store.rows(&pass("b-2", Verb::Read), Scope::Prefix(""), None, 10).await.expect("read");
    assert_eq!(others.len(), 1, "other collections stay");

    store.create_collection(&sample_collection("a")).await.expect("the name is free again");
    assert_eq!(store.totals(&write).await.expect("read"), (0, 0), "and starts empty");
    assert_eq!(store.feedback(&all, None, 10).await.expect("read"), [], "without opinions");
}
