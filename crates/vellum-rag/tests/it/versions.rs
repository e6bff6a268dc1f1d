//! Index versions: built beside the live one, promoted, rolled back; refused, interrupted, failed and healed.

use crate::jobs::{gated, until};
use crate::world::{SOURCE, World, pass, run_job, sync};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vellum_core::ErrorKind;
use vellum_core::collection::{SplitMethod, SplitterSettings, Tuning, VersionState};
use vellum_core::job::{Job, JobState};
use vellum_core::ports::{Metastore, Missing, VectorStore, WithVectors};
use vellum_core::testing::{HashEmbedder, MemoryConvertedCache};
use vellum_rag::app::App;
use vellum_rag::search::{Mode, SearchRequest, search};
use vellum_rag::versions::{self, Change};
use vellum_rag::{collections, jobs};

const N: usize = 6;

fn text(n: usize, word: &str) -> String {
    let sentence = |at| format!("Sentence {at} of document {n} speaks of {word} and of valve {n}.");
    (0..5).map(sentence).collect::<Vec<_>>().join(" ")
}

async fn filled() -> World {
    let world = World::new();
    for n in 0..N {
        world.put(&format!("{n}.txt"), &text(n, "pumps"));
    }
    sync(&world.app()).await;
    world
}

/// Chunks of about one sentence; the settings in force make one chunk of each document.
fn small() -> Change {
    Change { max_tokens: Some(20), ..Change::default() }
}

/// Builds a version to its end; returns its id and the job.
async fn build(app: &Arc<App>, change: &Change) -> (String, Job) {
    let (_, mut watcher) = versions::build(app, &pass(), change).await.unwrap();
    let ended = watcher.wait_for(|progress| !progress.job.state.is_active()).await.unwrap();
    let job = ended.job.clone();
    (job.spec.builds().unwrap().to_owned(), job)
}

async fn built(app: &Arc<App>, change: &Change) -> String {
    let (id, job) = build(app, change).await;
    assert_eq!((job.state, &job.error), (JobState::Done, &None));
    assert_eq!(job.report.listed, job.report.settled(), "{:?}", job.report);
    id
}

async fn promote(app: &App, id: &str) -> vellum_core::Result<versions::VersionSummary> {
    versions::promote(app, &pass(), id, Missing::Refuse).await.map(|promoted| promoted.summary)
}

async fn states(app: &App) -> Vec<VersionState> {
    let list = versions::list(app, &pass()).await.unwrap();
    list.iter().map(|it| it.version.state()).collect()
}

/// What a collection holds that was made with the settings of [`small`] in the first place.
async fn clean(world: &World) -> BTreeMap<String, String> {
    let fresh = World { objects: world.objects.clone(), ..World::new() };
    let mut app = fresh.product("local");
    app.settings.splitter.max_tokens = 20;
    sync(&Arc::new(app)).await;
    fresh.contents().await
}

async fn hits(app: &App, query: &str) -> Vec<String> {
    let request = SearchRequest::new(query, 3, Mode::Hybrid);
    let found = search(app, &pass(), &request, WithVectors::No).await.unwrap();
    found.hits.into_iter().map(|hit| hit.chunk.text.clone()).collect()
}

#[tokio::test]
async fn a_version_is_built_beside_the_live_one_and_promoted_and_rolled_back() {
    let world = filled().await;
    let app = world.app();
    let before = world.contents().await;
    let first = collections::get(&app, &pass()).await.unwrap().version();
    let (embedded, digest) =
        (world.embedder.n_embedded(), collections::digest(&app, &pass()).await.unwrap());

    let second = built(&app, &small()).await;
    assert_ne!(first, second);
    assert_eq!(states(&app).await, [VersionState::Live, VersionState::Ready]);
    assert_eq!(world.contents().await, before, "nothing of it is seen");
    assert_eq!(collections::digest(&app, &pass()).await.unwrap(), digest);
    assert!(world.embedder.n_embedded() > embedded);
    let listed = versions::list(&app, &pass()).await.unwrap();
    assert_eq!((listed[1].documents, listed[1].lag), (N as u64, Default::default()));
    assert!(listed[1].chunks > listed[0].chunks, "smaller chunks");

    let live = promote(&app, &second[..6]).await.unwrap();
    assert_eq!(live.version.collection.version(), second);
    assert_eq!(world.contents().await, clean(&world).await, "as if made so in the first place");
    assert_eq!(states(&app).await, [VersionState::Retired, VersionState::Live]);
    assert!(hits(&app, "valve 3").await.iter().all(|hit| hit.matches('.').count() <= 2));

    // What comes now reaches the live version; the way back says what it lacks, and an ingest brings it.
    world.put("later.txt", &text(7, "alarms"));
    world.remove("0.txt");
    let report = sync(&app).await;
    assert_eq!((report.added, report.removed, report.unchanged), (1, 1, N as u64 - 1));
    let back = versions::roll_back(&app, &pass()).await.unwrap();
    assert_eq!((back.version.collection.version(), back.lag.behind), (first.clone(), 2));
    assert_eq!(world.contents().await, before);
    let report = sync(&app).await;
    assert_eq!((report.added, report.removed, report.unchanged), (1, 1, N as u64 - 1));
    assert_eq!(states(&app).await, [VersionState::Live, VersionState::Retired]);
    let further = versions::roll_back(&app, &pass()).await.unwrap_err();
    assert_eq!(further.kind(), ErrorKind::NotFound, "nothing was live before the first");
    promote(&app, &second).await.unwrap();
    assert_eq!(world.contents().await, clean(&world).await);
}

#[tokio::test]
async fn a_version_has_what_is_asked_for_and_is_searched_so_while_it_is_live() {
    let world = filled().await;
    let app = world.app();
    let limit = |limit| Tuning { leg_limit: Some(limit), ..Tuning::default() };
    let set = collections::Change { set: limit(40), cleared: Vec::new() };
    collections::tune(&app, &pass(), &set).await.unwrap();
    let change = Change {
        splitter: Some("semantic".to_owned()),
        semantic_percentile: Some(60),
        context: Some(true),
        parent_tokens: Some(64),
        retrieval: Some(limit(20)),
        ..small()
    };
    let second = built(&app, &change).await;
    let made = versions::get(&app, &pass(), &second).await.unwrap().collection;
    let splitter = SplitterSettings {
        method: SplitMethod::Semantic { percentile: 60 },
        parent_tokens: 64,
        context: true,
        ..SplitterSettings::new(20, 0)
    };
    assert_eq!((made.settings.splitter, made.tuning), (splitter, limit(20)));
    let tuning = async || collections::get(&app, &pass()).await.unwrap().tuning;
    assert_eq!(tuning().await, limit(40), "nothing of it is seen");
    promote(&app, &second).await.unwrap();
    assert_eq!(tuning().await, limit(20));
    let set = collections::Change { set: limit(30), cleared: Vec::new() };
    collections::tune(&app, &pass(), &set).await.unwrap();
    versions::roll_back(&app, &pass()).await.unwrap();
    assert_eq!(tuning().await, limit(40));
    // Built again without a word about it, it keeps what was said.
    built(&app, &Change { retrieval: None, ..change }).await;
    promote(&app, &second).await.unwrap();
    assert_eq!(tuning().await, limit(30));
}

#[tokio::test]
async fn only_complete_and_whole_versions_are_promoted() {
    let world = filled().await;
    let app = world.app();
    let same = versions::build(&app, &pass(), &Change::default()).await.unwrap_err();
    assert_eq!(same.kind(), ErrorKind::Conflict, "{same}");
    for none in [
        Change { max_tokens: Some(3), ..Change::default() },
        Change { splitter: Some("words".to_owned()), ..Change::default() },
        Change { semantic_percentile: Some(50), ..small() },
        Change { splitter: Some("semantic".to_owned()), semantic_percentile: Some(0), ..small() },
        Change { parent_tokens: Some(19), ..small() },
        Change { parent_tokens: Some(5_000), ..small() },
        Change { retrieval: Some(Tuning { leg_limit: Some(0), ..Tuning::default() }), ..small() },
    ] {
        let none = versions::build(&app, &pass(), &none).await.unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Invalid, "{none}");
    }
    for (id, kind) in [("0123456789abcdef", ErrorKind::NotFound), ("0", ErrorKind::Invalid)] {
        assert_eq!(promote(&app, id).await.unwrap_err().kind(), kind);
    }
    let first = collections::get(&app, &pass()).await.unwrap().version();
    let live = versions::delete(&app, &pass(), &first).await.unwrap_err();
    assert_eq!(live.kind(), ErrorKind::Conflict, "{live}");

    // Amid its build.
    let (slow, permits) = gated(&world, "builder");
    let (id, mut watcher) = versions::build(&slow, &pass(), &small()).await.unwrap();
    permits.add_permits(2);
    until(&mut watcher, |progress| progress.job.report.added > 0).await;
    let second = watcher.borrow().job.spec.builds().unwrap().to_owned();
    let refused = promote(&app, &second).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    let at_work = versions::delete(&app, &pass(), &second).await.unwrap_err();
    assert_eq!(at_work.kind(), ErrorKind::Conflict, "{at_work}");
    // The live version is searched and written meanwhile.
    world.put("9.txt", &text(9, "locks"));
    sync(&app).await;
    assert!(hits(&app, "locks").await[0].contains("locks"));
    jobs::pause(&slow, id).await.unwrap();
    until(&mut watcher, |progress| progress.job.state == JobState::Paused).await;
    assert_eq!(promote(&app, &second).await.unwrap_err().kind(), ErrorKind::Conflict);

    // Resumed in the next life of the process; what came meanwhile is in it.
    let next = world.worker("builder");
    let (_, mut watcher) = jobs::resume(&next, &pass(), id).await.unwrap();
    until(&mut watcher, |progress| progress.job.state == JobState::Done).await;
    assert_eq!(states(&app).await, [VersionState::Live, VersionState::Ready]);

    // Behind, until it is built again.
    world.put("1.txt", &text(1, "hatches"));
    world.remove("2.txt");
    sync(&app).await;
    let behind = promote(&app, &second).await.unwrap_err();
    assert!(behind.message().contains("behind") || behind.message().contains("Lag"), "{behind}");
    assert_eq!(built(&app, &small()).await, second);
    promote(&app, &second).await.unwrap();
    assert_eq!(world.contents().await, clean(&world).await);
    versions::delete(&app, &pass(), &first).await.unwrap();
    assert_eq!(states(&app).await, [VersionState::Live]);
}

#[tokio::test]
async fn an_original_that_cannot_be_read_any_more_is_told() {
    let world = filled().await;
    let app = world.app();
    world.objects.put(&format!("{SOURCE}3.txt"), vec![0xff, 0xfe, 0]);
    let (id, job) = build(&app, &small()).await;
    assert_eq!((job.state, job.report.rejected.count), (JobState::Done, 1), "{job:?}");
    assert_eq!(versions::list(&app, &pass()).await.unwrap()[1].lag.missing, 1);
    assert_eq!(promote(&app, &id).await.unwrap_err().kind(), ErrorKind::Conflict);
    versions::promote(&app, &pass(), &id, Missing::Accept).await.unwrap();
    assert_eq!(versions::list(&app, &pass()).await.unwrap()[1].documents, N as u64 - 1);
}

#[tokio::test]
async fn retired_versions_beyond_those_that_are_kept_go() {
    let world = filled().await;
    let mut app = world.product("local");
    app.settings.keep_versions = 1;
    let app = Arc::new(app);
    let first = world.live().await.unwrap();
    for max_tokens in [20, 30, 40] {
        let id = built(&app, &Change { max_tokens: Some(max_tokens), ..Change::default() }).await;
        promote(&app, &id).await.unwrap();
    }
    assert_eq!(states(&app).await, [VersionState::Retired, VersionState::Live]);
    assert!(world.vectors.count(&first).await.is_err(), "with its vectors");
    let all = world.metastore.versions(&pass()).await.unwrap();
    let spaces: Vec<_> = all.iter().map(|it| pass().at(&it.collection).unwrap()).collect();
    collections::delete(&app, &pass()).await.unwrap();
    for space in &spaces {
        assert!(world.vectors.count(space).await.is_err(), "a deleted collection leaves none");
    }
}

#[tokio::test]
async fn any_write_of_a_build_and_a_promotion_may_fail_and_the_next_heals() {
    let clean = clean(&filled().await).await;
    let mut failures = 0;
    for nth in 0.. {
        let world = filled().await;
        let before = world.contents().await;
        let mut app = world.product("local");
        app.settings.ingest.patience = Duration::ZERO;
        let app = Arc::new(app);
        world.fuse.store(nth, Ordering::SeqCst);
        let outcome = async {
            let (_, mut watcher) = versions::build(&app, &pass(), &small()).await?;
            let ended = watcher.wait_for(|it| !it.job.state.is_active()).await.unwrap().job.clone();
            promote(&app, ended.spec.builds().unwrap()).await
        };
        let ended_well = outcome.await.is_ok();
        world.fuse.store(-1, Ordering::SeqCst);
        let seen = world.contents().await;
        assert!(seen == before || seen == clean, "write {nth} failed: something half is seen");

        let app = world.app();
        jobs::recover(&app).await.unwrap();
        if seen == before {
            let id = built(&app, &small()).await;
            promote(&app, &id).await.unwrap();
        }
        assert_eq!(world.contents().await, clean, "write {nth} failed");
        assert_eq!(run_job(&app, false).await.unwrap().report.unchanged, N as u64);
        if ended_well {
            break;
        }
        failures += 1;
    }
    assert!(failures >= 15, "only {failures} writes were visited");
}

#[tokio::test]
async fn a_gone_original_is_taken_from_what_the_live_version_knows() {
    let world = filled().await;
    let app = world.app();
    world.put("copy.txt", &text(2, "pumps"));
    sync(&app).await;
    let expected = clean(&world).await;
    for n in 0..N {
        world.remove(&format!("{n}.txt"));
    }
    world.remove("copy.txt");
    let (id, job) = build(&app, &small()).await;
    assert_eq!((job.state, job.report.added), (JobState::Done, N as u64 + 1), "{job:?}");
    assert!(job.report.warnings[0].contains("the original is gone"), "{job:?}");
    promote(&app, &id).await.unwrap();
    assert_eq!(world.contents().await, expected, "same ids, same texts");
    world.put("new.txt", "Something new.");
    // Removals are followed by the next look at the source, not before.
    assert_eq!(run_job(&app, true).await.unwrap().report.removed, N as u64 + 1);
}

#[tokio::test]
async fn another_embedder_takes_over_while_the_first_answers() {
    let world = filled().await;
    let chunks = world.contents().await.len();
    // Another digest makes it another model.
    let other = Arc::new(HashEmbedder::new(99));
    let mut app = world.product("local");
    app.embedder = other.clone();
    let alone = Arc::new(app);
    let request = SearchRequest::new("valve 3", 3, Mode::Hybrid);
    let refused = search(&alone, &pass(), &request, WithVectors::No).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "vectors of two models are not compared");
    let refused = run_job(&alone, false).await.unwrap();
    assert_eq!(refused.state, JobState::Failed, "nor mixed");

    let mut app = world.product("local");
    app.earlier_embedders = vec![std::mem::replace(&mut app.embedder, other.clone())];
    let app = Arc::new(app);
    assert!(hits(&app, "valve 3").await[0].contains("valve 3"), "the one that made it answers");
    let id = built(&app, &Change::default()).await;
    assert_eq!(other.n_embedded(), chunks as u64, "each chunk once, by the new one");
    promote(&app, &id).await.unwrap();
    assert!(hits(&alone, "valve 3").await[0].contains("valve 3"), "the new one is enough");
    assert_eq!(
        collections::get(&app, &pass()).await.unwrap().settings.embedder_digest,
        "hash-64-99"
    );
}

#[tokio::test]
async fn a_build_reads_no_original_whose_conversion_is_kept() {
    let converted = Arc::new(MemoryConvertedCache::default());
    let world = World { converted: Some(converted.clone()), ..World::new() };
    for n in 0..N {
        world.put(&format!("{n}.txt"), &text(n, "pumps"));
    }
    world.put("copy of 3.txt", &text(3, "pumps"));
    let app = world.app();
    sync(&app).await;
    assert_eq!(converted.n_kept(), N, "one for both copies");
    let wanted = clean(&world).await;
    for n in 0..N {
        world.objects.put_unreadable(&format!("{SOURCE}{n}.txt"), "its owner left");
    }
    world.objects.put_unreadable(&format!("{SOURCE}copy of 3.txt"), "its owner left");
    let id = built(&app, &small()).await;
    promote(&app, &id).await.unwrap();
    assert_eq!(world.contents().await, wanted);

    // Nothing stays of what is gone, nor of what a document held before it could not be read.
    for n in 0..N {
        world.put(&format!("{n}.txt"), &text(n, "alarms"));
    }
    world.remove("copy of 3.txt");
    world.remove("0.txt");
    world.objects.put(&format!("{SOURCE}1.txt"), vec![0xff, 0xfe, 0x00]);
    let report = sync(&app).await;
    assert_eq!((report.removed, report.rejected.count), (2, 1), "{report:?}");
    assert_eq!(converted.n_kept(), N - 2);
    collections::delete(&app, &pass()).await.unwrap();
    assert_eq!(converted.n_kept(), 0);
}
