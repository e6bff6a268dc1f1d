//! Datasets of a collection, and index versions compared on them.

use crate::jobs::{gated, until};
use crate::world::{SOURCE, World, pass, sync};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use vellum_core::ErrorKind;
use vellum_core::feedback::{Cited, Verdict};
use vellum_core::ids::{DatasetName, DocumentId};
use vellum_core::ports::{Missing, Shelf};
use vellum_core::testing::WordReranker;
use vellum_rag::app::App;
use vellum_rag::datasets::{self, Absent};
use vellum_rag::eval::scores;
use vellum_rag::feedback::{self, Opinion};
use vellum_rag::versions::{self, Change, CompareRequest, Compared};
use vellum_rag::{collections, jobs};

const THINGS: [&str; 8] =
    ["pumps", "alarms", "hatches", "leave", "travel", "backups", "badges", "parking"];

/// Documents `0.txt` to `7.txt`, each about a thing; `deep/2.txt` has the name of another, `copy.txt` the content of `3.txt`.
async fn filled() -> World {
    let world = World::new();
    for (n, thing) in THINGS.iter().enumerate() {
        world.put(&format!("{n}.txt"), &about(thing));
    }
    world.put("copy.txt", &about(THINGS[3]));
    world.put("deep/2.txt", "Something else altogether stands here.");
    sync(&world.app()).await;
    world
}

fn about(thing: &str) -> String {
    format!(
        "This is all that is known of {thing}. Whoever asks for {thing} is told so. Nothing more."
    )
}

fn uri(name: &str) -> String {
    format!("{SOURCE}{name}")
}

/// A dataset with a question about each thing; `qrels` are added to the judgements.
fn dataset(qrels: &str, spans: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let queries: String = THINGS
        .iter()
        .enumerate()
        .map(|(n, thing)| format!("{{\"_id\":\"q{n}\",\"text\":\"what is known of {thing}\"}}\n"))
        .collect();
    let name = |n: usize| if n == 2 { uri("2.txt") } else { format!("{n}.txt") };
    let judged: String = (0..THINGS.len()).map(|n| format!("q{n}\t{}\t1\n", name(n))).collect();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    std::fs::write(dir.path().join("queries.jsonl"), queries).unwrap();
    std::fs::write(dir.path().join("qrels/test.tsv"), judged + qrels).unwrap();
    std::fs::write(dir.path().join("spans.jsonl"), spans).unwrap();
    dir
}

fn named(name: &str) -> DatasetName {
    name.parse().unwrap()
}

async fn add(
    app: &App,
    dir: &Path,
    name: &str,
    absent: Absent,
) -> vellum_core::Result<datasets::Added> {
    datasets::add(app, &pass(), dir, Some(named(name)), absent).await
}

async fn compare(app: &App, request: &CompareRequest) -> vellum_core::Result<Compared> {
    versions::compare(app, &pass(), request, &|_| {}).await
}

async fn built(app: &Arc<App>) -> String {
    let small = Change { max_tokens: Some(12), ..Change::default() };
    let (_, mut watcher) = versions::build(app, &pass(), &small).await.unwrap();
    let ended = watcher.wait_for(|progress| !progress.job.state.is_active()).await.unwrap();
    ended.job.spec.builds().unwrap().to_owned()
}

#[tokio::test]
async fn a_dataset_is_added_listed_and_removed() {
    let world = filled().await;
    let app = world.app();
    let span = r#"{"query-id":"q0","corpus-id":"0.txt","start":0,"end":37}"#;
    let dir = dataset("q3\tcopy.txt\t1\n", span);
    let added = add(&app, dir.path(), "things", Absent::Refuse).await.unwrap();
    let it = &added.summary;
    assert_eq!(
        (it.queries, it.judged, it.evidence, added.unknown, added.left_out),
        (8, 8, 1, 0, 0)
    );
    let taken = add(&app, dir.path(), "things", Absent::Refuse).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict, "{taken}");
    let reserved = add(&app, dir.path(), "feedback", Absent::Refuse).await.unwrap_err();
    assert_eq!(reserved.kind(), ErrorKind::Conflict, "{reserved}");
    assert_eq!(datasets::list(&app, &pass()).await.unwrap(), std::slice::from_ref(it));
    let opened = datasets::open(&app, &pass(), &named("things")).await.unwrap();
    assert_eq!(opened.queries[0].judgements[&uri("0.txt")], 1, "kept by uri");
    assert_eq!(opened.queries[0].evidence[0].document, uri("0.txt"));

    for name in [None, Some(named("other"))] {
        // Temporary folders have names with a dot and capitals.
        datasets::add(&app, &pass(), dir.path(), name, Absent::Refuse)
            .await
            .map(drop)
            .unwrap_or_else(|error| assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"));
    }
    datasets::remove(&app, &pass(), &named("other")).await.unwrap();
    let gone = datasets::remove(&app, &pass(), &named("other")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    datasets::remove(&app, &pass(), &named("feedback")).await.unwrap_err();

    collections::delete(&app, &pass()).await.unwrap();
    assert_eq!(world.shelf.datasets(pass().collection()).unwrap(), [], "gone with the collection");
}

#[tokio::test]
async fn what_a_dataset_says_must_hold_of_the_collection() {
    let world = filled().await;
    let app = world.app();
    let none = dataset("q1\tnowhere.txt\t1\nq1\tnever.txt\t1\n", "");
    let error = add(&app, none.path(), "none", Absent::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("2 of the judged documents: never.txt, nowhere.txt"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--lenient"));
    let added = add(&app, none.path(), "none", Absent::Accept).await.unwrap();
    assert_eq!((added.unknown, added.left_out, added.summary.queries), (2, 0, 8));

    let several = dataset("q1\t2.txt\t1\n", "");
    let error = add(&app, several.path(), "several", Absent::Accept).await.unwrap_err();
    assert!(error.message().contains("2 documents are called `2.txt`"), "{error}");

    let far = dataset("", r#"{"query-id":"q0","corpus-id":"0.txt","start":0,"end":999}"#);
    let error = add(&app, far.path(), "far", Absent::Refuse).await.unwrap_err();
    assert!(error.message().contains("lies outside `0.txt`"), "{error}");
    assert_eq!(add(&app, far.path(), "far", Absent::Accept).await.unwrap().summary.evidence, 0);

    let empty = dataset("", "");
    std::fs::write(empty.path().join("queries.jsonl"), "\n").unwrap();
    let error = add(&app, empty.path(), "empty", Absent::Accept).await.unwrap_err();
    assert!(error.message().contains("has no query"), "{error}");
    let twice = dataset("q9\t1.txt\t1\n", "");
    let error = add(&app, twice.path(), "twice", Absent::Refuse).await.unwrap_err();
    assert!(error.message().contains("qrels/test.tsv line 9: unknown query `q9`"), "{error}");
}

#[tokio::test]
async fn versions_are_measured_kept_and_compared() {
    let world = filled().await;
    let app = world.app();
    let request = CompareRequest::default();
    let nothing = compare(&app, &request).await.unwrap_err();
    assert!(nothing.message().contains("no version that waits"), "{nothing}");
    let id = built(&app).await;
    let nothing = compare(&app, &request).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    assert!(nothing.message().contains("no dataset to measure on"), "{nothing}");
    let span = r#"{"query-id":"q0","corpus-id":"0.txt","start":0,"end":37}"#;
    let dir = dataset("q3\tcopy.txt\t1\n", span);
    add(&app, dir.path(), "things", Absent::Refuse).await.unwrap();

    let steps = std::sync::Mutex::new(Vec::new());
    let show = |step: versions::Step| steps.lock().unwrap().push((step.done, step.of));
    let compared = versions::compare(&app, &pass(), &request, &show).await.unwrap();
    assert_eq!(steps.lock().unwrap().last(), Some(&(16, 16)));
    let live = collections::get(&app, &pass()).await.unwrap().version();
    assert_eq!((&compared.version, &compared.against), (&id, &live));
    let decision = compared.measured[0].decision(&request.metric).unwrap();
    // A question about a copy is answered by what it is a copy of, which comes first by uri here.
    assert_eq!((decision.paired.a, decision.paired.b, decision.paired.n), (1.0, 1.0, 8));
    assert_eq!(decision.verdict(), "undecided");
    let made = &compared.measured[0].version;
    let subject = made.subject.as_ref().unwrap();
    assert_eq!((&subject.version, made.dataset.name.as_str()), (&id, "things"));
    assert!(made.parts["hybrid"].means.contains_key("evidence_recall_at_5"));
    let list = versions::list(&app, &pass()).await.unwrap();
    for version in &list {
        assert_eq!(version.scores.len(), 1, "{version:?}");
        assert_eq!(version.scores[0].estimate.mean, 1.0);
    }
    // The same again is another experiment, and the newest counts.
    compare(&app, &CompareRequest { dataset: Some(named("things")), ..request.clone() })
        .await
        .unwrap();
    assert_eq!(scores::list(&app, pass().collection()).await.unwrap().len(), 2);

    for (request, kind, words) in [
        (
            CompareRequest { metric: "luck".to_owned(), ..request.clone() },
            ErrorKind::Invalid,
            "luck",
        ),
        (
            CompareRequest { dataset: Some(named("other")), ..request.clone() },
            ErrorKind::NotFound,
            "no dataset `other`",
        ),
        (
            CompareRequest { dataset: Some(named("feedback")), ..request.clone() },
            ErrorKind::NotFound,
            "nobody has judged",
        ),
        (
            CompareRequest { version: Some(live.clone()), ..request.clone() },
            ErrorKind::Invalid,
            "on both sides",
        ),
        (
            CompareRequest { version: Some("ffffffff".to_owned()), ..request.clone() },
            ErrorKind::NotFound,
            "has no version",
        ),
    ] {
        let error = compare(&app, &request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    // Any cut-off can decide.
    let first = CompareRequest { metric: "recall_at_1".to_owned(), ..request.clone() };
    let compared = compare(&app, &first).await.unwrap();
    assert_eq!(compared.measured[0].decision("recall_at_1").unwrap().paired.b, 1.0);

    versions::delete(&app, &pass(), &id).await.unwrap();
    assert_eq!(scores::list(&app, pass().collection()).await.unwrap().len(), 1);
    datasets::remove(&app, &pass(), &named("things")).await.unwrap();
    assert_eq!(scores::list(&app, pass().collection()).await.unwrap(), []);
    assert!(!world.shelf.experiments().unwrap().is_empty(), "what was measured stays");
    collections::delete(&app, &pass()).await.unwrap();
    assert_eq!(
        world.shelf.experiments().unwrap(),
        Vec::<String>::new(),
        "until the collection goes"
    );
}

#[tokio::test]
async fn a_version_that_lacks_documents_is_worse_and_promotion_says_so() {
    let world = filled().await;
    let app = world.app();
    let dir = dataset("", "");
    add(&app, dir.path(), "things", Absent::Refuse).await.unwrap();
    for n in 0..6 {
        world.objects.put(&uri(&format!("{n}.txt")), vec![0xff, 0xfe, 0]);
    }
    let id = built(&app).await;
    let request = CompareRequest { version: Some(id.clone()), ..CompareRequest::default() };
    let lacking = compare(&app, &request).await.unwrap_err();
    assert_eq!(lacking.kind(), ErrorKind::Conflict);
    assert!(lacking.message().contains("does not have 6 of the documents"), "{lacking}");
    assert!(lacking.message().contains("and 1 more"), "{lacking}");
    let lenient = CompareRequest { absent: Absent::Accept, ..request };
    let compared = compare(&app, &lenient).await.unwrap();
    let decision = compared.measured[0].decision(&lenient.metric).unwrap();
    assert_eq!((decision.verdict(), decision.paired.losses), ("worse", 6));
    assert_eq!(decision.lost().count(), 6);
    let promoted = versions::promote(&app, &pass(), &id, Missing::Accept).await.unwrap();
    assert_eq!(promoted.doubts.len(), 1);
    assert!(promoted.doubts[0].contains("`things`: Worse: ndcg_at_10"), "{:?}", promoted.doubts);
    // The way back is no promotion, and the other way round nothing speaks against it.
    versions::roll_back(&app, &pass()).await.unwrap();
    let versions = world.app().metastore.versions(&pass()).await.unwrap();
    for version in &versions {
        let doubts = versions::doubts(&app, &pass(), version).await.unwrap();
        assert_eq!(doubts.len(), usize::from(!version.is_live));
    }
}

#[tokio::test]
async fn a_version_amid_its_build_is_not_compared() {
    let world = filled().await;
    let app = world.app();
    let dir = dataset("", "");
    add(&app, dir.path(), "things", Absent::Refuse).await.unwrap();
    let (slow, permits) = gated(&world, "builder");
    let small = Change { max_tokens: Some(12), ..Change::default() };
    let (job, mut watcher) = versions::build(&slow, &pass(), &small).await.unwrap();
    permits.add_permits(1);
    until(&mut watcher, |progress| progress.job.report.added > 0).await;
    let id = watcher.borrow().job.spec.builds().unwrap().to_owned();
    let request = CompareRequest { version: Some(id), ..CompareRequest::default() };
    let refused = compare(&app, &request).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.message().contains("not fully built"), "{refused}");
    jobs::pause(&slow, job).await.unwrap();
    until(&mut watcher, |progress| !progress.job.state.is_active()).await;
}

#[tokio::test]
async fn opinions_are_a_dataset() {
    let world = filled().await;
    let app = world.app();
    let document = |name: &str| DocumentId::derive(pass().collection(), &uri(name));
    let give = async |question: &str, verdict, cited: &[(&str, usize, usize)]| {
        let cited = cited.iter().map(|(name, start, end)| Cited {
            document: document(name),
            start: *start,
            end: *end,
        });
        let opinion = Opinion {
            question: question.to_owned(),
            verdict,
            comment: None,
            cited: cited.collect(),
        };
        feedback::give(&app, &pass(), opinion).await.unwrap();
    };
    assert_eq!(datasets::list(&app, &pass()).await.unwrap(), []);
    give("what is known of badges", Verdict::Up, &[("6.txt", 0, 38)]).await;
    give("what is known of parking", Verdict::Down, &[("6.txt", 0, 38)]).await;
    give("what is known of kites", Verdict::Up, &[]).await;
    let list = datasets::list(&app, &pass()).await.unwrap();
    assert_eq!((list[0].queries, list[0].judged, list[0].evidence), (3, 2, 1));
    built(&app).await;
    let compared = compare(&app, &CompareRequest::default()).await.unwrap();
    assert_eq!(compared.measured[0].dataset.as_str(), "feedback");
    let decision = compared.measured[0].decision("recall_at_10").unwrap();
    // Nothing is known to answer the second question.
    assert_eq!((decision.paired.n, decision.paired.a), (2, 0.5));
    // What was cited goes, and with it what is known.
    world.remove("6.txt");
    jobs::start(&app, &pass(), &jobs::Request { prune: true, ..jobs::Request::of(SOURCE) })
        .await
        .unwrap()
        .1
        .wait_for(|progress| !progress.job.state.is_active())
        .await
        .unwrap();
    let nothing = compare(&app, &CompareRequest::default()).await.unwrap_err();
    assert!(nothing.message().contains("no dataset to measure on"), "{nothing}");
}

#[tokio::test]
async fn a_search_without_its_reranker_is_not_measured() {
    let world = filled().await;
    let dir = dataset("", "");
    add(&world.app(), dir.path(), "things", Absent::Refuse).await.unwrap();
    built(&world.app()).await;
    let reranker = Arc::new(WordReranker::default());
    let mut app = world.product("local");
    app.reranker = Some(reranker.clone());
    compare(&app, &CompareRequest::default()).await.unwrap();
    let kept = world.shelf.experiments().unwrap().len();
    reranker.set_down(true);
    let half = compare(&app, &CompareRequest::default()).await.unwrap_err();
    assert_eq!(half.kind(), ErrorKind::Unavailable);
    assert!(half.message().contains("was searched with less"), "{half}");
    assert_eq!(world.shelf.experiments().unwrap().len(), kept, "and nothing is kept");
}
