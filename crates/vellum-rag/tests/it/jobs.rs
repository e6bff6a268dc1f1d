//! Jobs take turns, stop and go on, wait for causes to pass, and never write beside another worker.

use crate::world::{SOURCE, World, pass, run_job, sync};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use vellum_core::ErrorKind;
use vellum_core::ids::JobId;
use vellum_core::job::{Job, JobState};
use vellum_core::ledger::{DocumentState, Scope};
use vellum_core::ports::{Embedder, EmbedderInfo, Metastore, TextKind};
use vellum_core::testing::ManualClock;
use vellum_core::vector::Embedding;
use vellum_rag::app::App;
use vellum_rag::collections;
use vellum_rag::jobs::{self, Progress, Request};

const SECONDS: Duration = Duration::from_secs(20);

/// An embedder that makes as many batches as it is given permits for.
struct Gated {
    inner: Arc<dyn Embedder>,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl Embedder for Gated {
    fn info(&self) -> &EmbedderInfo {
        self.inner.info()
    }
    async fn embed(&self, texts: &[String], kind: TextKind) -> vellum_core::Result<Vec<Embedding>> {
        if kind == TextKind::Passage {
            self.permits.acquire().await.unwrap().forget();
        }
        self.inner.embed(texts, kind).await
    }
    fn n_tokens(&self, text: &str) -> usize {
        self.inner.n_tokens(text)
    }
    async fn check(&self) -> vellum_core::Result<()> {
        self.inner.check().await
    }
}

/// Returns a product that embeds as many batches as there are permits.
pub(crate) fn gated(world: &World, worker: &str) -> (Arc<App>, Arc<Semaphore>) {
    let mut app = world.product(worker);
    let permits = Arc::new(Semaphore::new(0));
    app.embedder = Arc::new(Gated { inner: app.embedder.clone(), permits: permits.clone() });
    (Arc::new(app), permits)
}

/// Returns a world of `n` documents, each with a text of its own.
fn filled(n: usize) -> World {
    let world = World::new();
    for n in 0..n {
        world.put(&format!("{n:04}.txt"), &format!("Document {n} says that valve {n} is open."));
    }
    world
}

async fn start(app: &Arc<App>) -> (JobId, watch::Receiver<Progress>) {
    jobs::start(app, &pass(), &Request::of(SOURCE)).await.unwrap()
}

pub(crate) async fn until(
    watcher: &mut watch::Receiver<Progress>,
    condition: impl FnMut(&Progress) -> bool,
) -> Progress {
    let seen = tokio::time::timeout(SECONDS, watcher.wait_for(condition)).await;
    seen.expect("it comes about in time").unwrap().clone()
}

async fn stopped(watcher: &mut watch::Receiver<Progress>) -> Job {
    until(watcher, |progress| !progress.job.state.is_active()).await.job
}

#[tokio::test]
async fn jobs_of_a_collection_take_turns() {
    let world = filled(3);
    let (app, permits) = gated(&world, "local");
    let (first, mut first_seen) = start(&app).await;
    until(&mut first_seen, |progress| progress.job.state == JobState::Running).await;
    let (second, mut second_seen) = start(&app).await;
    let (same, _) = start(&app).await;
    assert_eq!(second, same, "one that waits for its turn serves both");
    assert_ne!(first, second, "the first has begun to list");
    assert_eq!(second_seen.borrow().job.state, JobState::Queued);
    let refused = collections::delete(&app, &pass()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    permits.add_permits(100);
    let first = stopped(&mut first_seen).await;
    let second = stopped(&mut second_seen).await;
    assert_eq!((first.state, first.report.added), (JobState::Done, 3));
    assert_eq!((second.state, second.report.unchanged), (JobState::Done, 3));
    let again = jobs::resume(&app, &pass(), second.id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "it is done: {again}");
}

#[tokio::test]
async fn a_waiting_job_can_be_cancelled() {
    let world = filled(3);
    let (app, permits) = gated(&world, "local");
    let (_, mut first) = start(&app).await;
    until(&mut first, |progress| progress.job.state == JobState::Running).await;
    let (id, mut second) = start(&app).await;
    jobs::cancel(&app, id).await.unwrap();
    assert_eq!(stopped(&mut second).await.state, JobState::Cancelled);
    jobs::cancel(&app, id).await.unwrap();
    permits.add_permits(100);
    assert_eq!(stopped(&mut first).await.state, JobState::Done);
}

/// Stops a job amid its work by `stop`, lets it go on by `go_on`, and expects the report of one clean run.
async fn stop_and_go_on<S, G>(expected: JobState, stop: S, go_on: G)
where
    S: AsyncFnOnce(&Arc<App>, JobId),
    G: AsyncFnOnce(&World, JobId) -> (JobId, watch::Receiver<Progress>),
{
    const N: usize = 150;
    let world = filled(N);
    let (app, permits) = gated(&world, "local");
    let (id, mut watcher) = start(&app).await;
    permits.add_permits(60);
    until(&mut watcher, |progress| progress.job.report.added >= 40).await;
    stop(&app, id).await;
    assert_eq!(stopped(&mut watcher).await.state, expected);
    assert_eq!(jobs::get(&app, id).await.unwrap().state, expected, "it is stored");
    let (same, mut watcher) = go_on(&world, id).await;
    assert_eq!(same, id, "the same job goes on");
    let job = stopped(&mut watcher).await;
    assert_eq!(job.state, JobState::Done, "{:?}", job.error);
    let report = &job.report;
    assert_eq!((report.added, report.unchanged, report.chunks), (N as u64, 0, N as u64));
    assert_eq!(report.listed, report.settled());
    assert_eq!(world.embedder.n_embedded(), N as u64, "nothing is embedded twice");
    let clean = World { objects: world.objects.clone(), ..World::new() };
    sync(&clean.app()).await;
    assert_eq!(world.contents().await, clean.contents().await);
}

#[tokio::test]
async fn a_paused_job_resumes() {
    stop_and_go_on(
        JobState::Paused,
        async |app, id| jobs::pause(app, id).await.unwrap(),
        async |world, id| jobs::resume(&world.app(), &pass(), id).await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_cancelled_job_resumes() {
    stop_and_go_on(
        JobState::Cancelled,
        async |app, id| jobs::cancel(app, id).await.unwrap(),
        async |world, id| jobs::resume(&world.app(), &pass(), id).await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_job_whose_process_ends_goes_on_when_the_same_is_asked() {
    stop_and_go_on(
        JobState::Interrupted,
        async |app, _| jobs::leave_all(app, SECONDS).await,
        async |world, _| {
            let app = world.app();
            jobs::recover(&app).await.unwrap();
            start(&app).await
        },
    )
    .await;
}

#[tokio::test]
async fn a_job_whose_process_was_killed_goes_on_when_the_product_is_served() {
    let world = filled(3);
    let mut job = run_job(&world.app(), false).await.unwrap();
    job.state = JobState::Running;
    world.metastore.put_job(&job).await.unwrap();
    world.put("later.txt", "This came after the crash.");
    let app = world.app();
    jobs::recover(&app).await.unwrap();
    let marked = jobs::get(&app, job.id).await.unwrap();
    assert_eq!(marked.state, JobState::Interrupted);
    assert!(marked.error.unwrap().contains("the process ended"));
    jobs::resume_interrupted(&app, &|_| Ok(pass())).await;
    let job = stopped(&mut jobs::watch(&app, job.id).unwrap()).await;
    assert_eq!((job.state, job.report.added), (JobState::Done, 4), "with what it did before");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for() {
    let world = filled(3);
    let app = world.app();
    world.fuse.store(5, Ordering::SeqCst);
    let (id, mut watcher) = start(&app).await;
    let waiting = until(&mut watcher, |progress| progress.job.state == JobState::Waiting).await.job;
    assert!(waiting.error.unwrap().contains("no space left"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(jobs::get(&app, id).await.unwrap().state, JobState::Waiting, "still");
    world.fuse.store(-1, Ordering::SeqCst);
    let job = stopped(&mut watcher).await;
    assert_eq!((job.state, job.error, job.report.added), (JobState::Done, None, 3));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_job_obeys() {
    let world = filled(3);
    let app = world.app();
    world.fuse.store(5, Ordering::SeqCst);
    let (id, mut watcher) = start(&app).await;
    until(&mut watcher, |progress| progress.job.state == JobState::Waiting).await;
    jobs::cancel(&app, id).await.unwrap();
    assert_eq!(stopped(&mut watcher).await.state, JobState::Cancelled);
    world.fuse.store(-1, Ordering::SeqCst);
    sync(&app).await;
}

#[tokio::test(start_paused = true)]
async fn a_document_that_takes_too_long_stops_nobody() {
    let world = filled(5);
    // The embedder works on three documents and then no more.
    let (app, permits) = gated(&world, "local");
    permits.add_permits(3);
    let job = run_job(&app, false).await.unwrap();
    let report = job.report;
    assert_eq!((report.added, report.failed.count), (3, 2), "{:?}", report.failed);
    assert!(report.failed.named[0].reason.contains("longer than 1800 s"));
    assert_eq!(world.contents().await.len(), 3);
    let healed = sync(&world.app()).await;
    assert_eq!((healed.added, healed.unchanged), (2, 3));
}

/// Two processes of a cluster ingest the same source at the same time.
#[tokio::test(start_paused = true)]
async fn two_workers_share_the_work_and_write_nothing_twice() {
    const N: usize = 300;
    let world = filled(N);
    collections::ensure(&world.app(), &pass()).await.unwrap();
    let (one, two) = (world.worker("one"), world.worker("two"));
    let (a, b) = tokio::join!(run_job(&one, false), run_job(&two, false));
    let (a, b) = (a.unwrap(), b.unwrap());
    for job in [&a, &b] {
        assert_eq!(job.state, JobState::Done, "{:?}", job.error);
        assert_eq!((job.report.listed, job.report.settled()), (N as u64, N as u64));
    }
    assert_eq!(a.report.added + b.report.added, N as u64, "each document has one writer");
    assert_eq!(world.embedder.n_embedded(), N as u64);
    let clean = World { objects: world.objects.clone(), ..World::new() };
    sync(&clean.app()).await;
    assert_eq!(world.contents().await, clean.contents().await);
}

/// A worker that stands still for longer than its lease has lost its documents, and notices.
#[tokio::test]
async fn a_worker_that_was_taken_for_dead_is_fenced_off() {
    let world = filled(2);
    let clock = Arc::new(ManualClock::default());
    let mut app = world.product("slow");
    let permits = Arc::new(Semaphore::new(0));
    app.embedder = Arc::new(Gated { inner: app.embedder.clone(), permits: permits.clone() });
    app.clock = clock.clone();
    let slow = Arc::new(app);
    let (_, mut watcher) = start(&slow).await;
    // Both documents are claimed, none is embedded.
    let claimed = async || {
        let Some(live) = world.live().await else { return 0 };
        let rows = world.metastore.rows(&live, Scope::Prefix(""), None, 9).await.unwrap();
        rows.iter().filter(|row| row.claim.is_some()).count()
    };
    while claimed().await < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows = world
        .metastore
        .rows(&world.live().await.unwrap(), Scope::Prefix(""), None, 9)
        .await
        .unwrap();
    assert!(rows.iter().all(|row| row.state == DocumentState::Queued), "before any chunk");
    // Its lease ends, by the clock of the store as by its own, and another worker takes over.
    clock.advance(Duration::from_secs(61));
    let job = JobId::from_bytes([1; 16]);
    let lease = world
        .metastore
        .open_lease(&world.live().await.unwrap(), "slow", job, SECONDS)
        .await
        .unwrap();
    world.metastore.close_lease(&lease).await.unwrap();
    world.put("0000.txt", "A newer text that only the second worker sees.");
    let taken = run_job(&world.worker("quick"), false).await.unwrap();
    assert_eq!((taken.state, taken.report.added), (JobState::Done, 2));
    let after = world.contents().await;
    permits.add_permits(100);
    let late = until(&mut watcher, |progress| {
        progress.job.state == JobState::Waiting || !progress.job.state.is_active()
    });
    let late = late.await.job;
    assert_eq!(late.state, JobState::Waiting, "{late:?}");
    assert!(late.error.unwrap().contains("the lease of this worker has ended"));
    let ended = stopped(&mut watcher).await;
    assert_eq!((ended.state, ended.report.unchanged), (JobState::Done, 2), "{:?}", ended.error);
    assert_eq!(world.contents().await, after, "with the newer text");
}

/// What a dead worker wrote of a version that is gone again does not stay.
#[tokio::test]
async fn content_that_comes_back_after_a_crash_is_whole() {
    let world = World::new();
    world.put("a.txt", "The first version. It tells of pumps.");
    sync(&world.app()).await;
    let first = world.contents().await;
    world.put(
        "a.txt",
        "The second version. It tells of valves. It is much longer than the first one.",
    );
    // The second version's chunks are written, and the process dies before the commit.
    for nth in 0.. {
        world.fuse.store(nth, Ordering::SeqCst);
        let mut app = world.product("local");
        app.settings.ingest.patience = Duration::ZERO;
        let job = run_job(&Arc::new(app), false).await;
        world.fuse.store(-1, Ordering::SeqCst);
        if world.contents().await != first || job.is_ok_and(|job| job.state == JobState::Done) {
            break;
        }
    }
    assert_ne!(world.contents().await, first, "something of the second version is there");
    world.objects.put_as(
        &format!("{SOURCE}a.txt"),
        b"The first version. It tells of pumps.".to_vec(),
        "w1",
    );
    let app = world.app();
    jobs::recover(&app).await.unwrap();
    sync(&app).await;
    assert_eq!(world.contents().await, first);
}

/// Five thousand documents: cancelled amid the work; half of them change and a fifth goes; then resumed.
#[tokio::test]
async fn a_large_job_ends_with_exactly_the_new_state() {
    const N: usize = 5_000;
    let world = filled(N);
    let (app, permits) = gated(&world, "local");
    let (id, mut watcher) = start(&app).await;
    permits.add_permits(1_800);
    until(&mut watcher, |progress| progress.job.report.added >= 1_200).await;
    jobs::cancel(&app, id).await.unwrap();
    let cancelled = stopped(&mut watcher).await;
    assert_eq!(cancelled.state, JobState::Cancelled);
    let committed = cancelled.report.added;
    for n in 0..N {
        let name = format!("{n:04}.txt");
        if n % 5 == 4 {
            world.remove(&name);
        } else if n % 2 == 0 {
            world.put(&name, &format!("Document {n} was changed: valve {n} is shut."));
        }
    }
    let (same, mut watcher) = jobs::resume(&world.app(), &pass(), id).await.unwrap();
    assert_eq!(same, id);
    let job = until(&mut watcher, |progress| !progress.job.state.is_active()).await.job;
    let report = &job.report;
    assert_eq!((job.state, report.listed), (JobState::Done, 4_000), "{:?}", job.error);
    assert_eq!(report.listed, report.settled());
    assert_eq!((report.unchanged, report.rejected.count, report.failed.count), (0, 0, 0));
    // Of those that were committed two in five changed and one in five went.
    assert!(report.updated > committed / 3 && report.updated < committed / 2, "{report:?}");
    assert!(report.removed > committed / 6, "{report:?}");
    let clean = World { objects: world.objects.clone(), ..World::new() };
    sync(&clean.app()).await;
    assert_eq!(world.contents().await, clean.contents().await);
    assert_eq!(world.contents().await.len(), 4_000);
}
