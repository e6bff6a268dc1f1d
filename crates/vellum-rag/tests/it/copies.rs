//! Equal contents are indexed once, whatever the order of events; embeddings are made once for a text.

use crate::world::{SOURCE, World, pass, run_job, run_source, sync};
use async_trait::async_trait;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::DocumentId;
use vellum_core::job::JobState;
use vellum_core::ledger::{DocumentState, LedgerRow, Scope};
use vellum_core::ports::{Content, Listing, Metastore, ObjectMeta, ObjectStore, WithVectors};
use vellum_core::testing::MemoryObjectStore;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::documents::{self, Place};
use vellum_rag::search::{Mode, SearchRequest, search};

async fn rows(world: &World) -> Vec<LedgerRow> {
    world
        .metastore
        .rows(&world.live().await.unwrap(), Scope::Prefix(""), None, 1_000)
        .await
        .unwrap()
}

async fn originals(world: &World) -> Vec<String> {
    let rows = rows(world).await.into_iter();
    rows.filter(|row| !row.is_copy)
        .map(|row| row.uri.trim_start_matches(SOURCE).to_owned())
        .collect()
}

const TEXT: &str = "The pump runs at night. It stops in the morning.";

#[tokio::test]
async fn equal_contents_are_indexed_once_and_cited_with_every_place() {
    let world = World::new();
    for name in ["b.txt", "a/x.txt", "c/y.txt"] {
        world.put(name, TEXT);
    }
    world.put("z.txt", "Leave is 25 days a year.");
    let app = world.app();
    let report = sync(&app).await;
    assert_eq!((report.added, report.embedded), (4, 2), "{report:?}");
    assert_eq!(originals(&world).await, ["a/x.txt", "z.txt"], "the least uri holds the chunks");
    assert_eq!(world.contents().await.len(), 2);
    let request = |filter| SearchRequest {
        filter,
        ..SearchRequest::new("When does the pump run?", 1, Mode::Hybrid)
    };
    let found = search(&app, &pass(), &request(None), WithVectors::No).await.unwrap();
    let hit = &found.hits[0];
    assert_eq!(hit.chunk.uri, format!("{SOURCE}a/x.txt"));
    assert_eq!(hit.also, [format!("{SOURCE}b.txt"), format!("{SOURCE}c/y.txt")]);

    // A copy is found by its own id and shows its text.
    let copy = DocumentId::derive(pass().collection(), &format!("{SOURCE}b.txt"));
    let only = Filter::In(Field::Document, vec![copy.to_string()]);
    let found = search(&app, &pass(), &request(Some(only)), WithVectors::No).await.unwrap();
    assert_eq!(found.hits[0].chunk.uri, format!("{SOURCE}a/x.txt"));
    let row = rows(&world).await.into_iter().find(|row| row.document == copy).unwrap();
    let part = documents::part(&app, &world.live().await.unwrap(), &row, Place::Number(1), &(0..0))
        .await
        .unwrap();
    assert_eq!(part.runs[0].text, TEXT);
}

#[tokio::test]
async fn a_copy_takes_over_when_its_original_goes_or_changes() {
    let world = World::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        world.put(name, TEXT);
    }
    let app = world.app();
    sync(&app).await;
    world.remove("a.txt");
    let report = sync(&app).await;
    assert_eq!((report.removed, report.unchanged, report.embedded), (1, 2, 0));
    assert_eq!(originals(&world).await, ["b.txt"]);
    world.put("b.txt", "Something else altogether.");
    sync(&app).await;
    assert_eq!(originals(&world).await, ["b.txt", "c.txt"]);
    world.put("0.txt", TEXT);
    let report = sync(&app).await;
    assert_eq!((report.added, report.unchanged, report.embedded), (1, 2, 0));
    assert_eq!(originals(&world).await, ["0.txt", "b.txt"], "the least again");
    assert_eq!(world.contents().await.len(), 2);
}

/// Objects of which one folder does not answer.
struct Deaf {
    inner: Arc<MemoryObjectStore>,
    folder: &'static str,
}

#[async_trait]
impl ObjectStore for Deaf {
    async fn resolve(&self, source: &str) -> Result<String> {
        self.inner.resolve(source).await
    }
    async fn list(&self, source: &str) -> Result<Listing> {
        self.inner.list(source).await
    }
    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        if uri.starts_with(self.folder) {
            return Err(Error::new(ErrorKind::Unavailable, format!("`{uri}` does not answer")));
        }
        self.inner.get(uri, limit).await
    }
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_copy_of_a_source_that_does_not_answer_fails_alone() {
    const OTHER: &str = "mem:///other/";
    let world = World::new();
    // More of them than documents in a row may fail before a job waits for its source.
    for n in 0..8 {
        world.put(&format!("{n}.txt"), &format!("Note {n} stands in two places."));
        world.objects.put(&format!("{OTHER}{n}.txt"), format!("Note {n} stands in two places."));
    }
    world.put("z.txt", TEXT);
    let app = world.app();
    sync(&app).await;
    assert_eq!(run_source(&app, OTHER, false).await.unwrap().report.added, 8);

    let mut deaf = world.product("local");
    deaf.objects = Arc::new(Deaf { inner: world.objects.clone(), folder: OTHER });
    (0..8).for_each(|n| world.remove(&format!("{n}.txt")));
    let job = run_job(&Arc::new(deaf), true).await.unwrap();
    assert_eq!((job.state, job.report.removed), (JobState::Done, 8), "{job:?}");
    let left = rows(&world).await;
    let of_other = left.iter().filter(|row| row.source == OTHER);
    assert!(
        of_other.clone().count() == 8
            && of_other.clone().all(|row| matches!(row.state, DocumentState::Failed(_))),
        "{left:?}"
    );

    let job = run_source(&app, OTHER, false).await.unwrap();
    assert_eq!(job.report.failed.count, 0, "{:?}", job.report);
    assert_eq!(world.contents().await.len(), 9);
}

#[tokio::test]
async fn a_moved_document_is_not_embedded_again() {
    let world = World::new();
    world.put("old/report.txt", TEXT);
    let app = world.app();
    sync(&app).await;
    let embedded = world.embedder.n_embedded();
    world.remove("old/report.txt");
    world.put("new/report.txt", TEXT);
    let report = sync(&app).await;
    assert_eq!((report.added, report.removed, report.embedded), (1, 1, 0));
    assert_eq!(world.embedder.n_embedded(), embedded);
    let fresh = World { objects: world.objects.clone(), ..World::new() };
    sync(&fresh.app()).await;
    assert_eq!(fresh.contents().await, world.contents().await);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// R5: any history of puts and removals ends in the collection that its last state alone gives.
    #[test]
    fn r5_what_is_left_depends_on_the_documents_alone(
        history in prop::collection::vec(
            prop::collection::vec((0..6_u8, prop::option::of(0..3_u8)), 1..6), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            // A source that is empty altogether is another matter.
            world.put("keep.txt", "This one stays.");
            let mut model: BTreeMap<String, u8> = BTreeMap::new();
            for batch in history {
                for (name, content) in batch {
                    let name = format!("{name}.txt");
                    match content {
                        Some(content) => {
                            let text = format!("Content number {content} speaks of {content}.");
                            world.put(&name, &text);
                            model.insert(name, content);
                        }
                        None => {
                            world.remove(&name);
                            model.remove(&name);
                        }
                    }
                }
                sync(&world.app()).await;
            }
            let fresh = World { objects: world.objects.clone(), ..World::new() };
            sync(&fresh.app()).await;
            prop_assert_eq!(world.contents().await, fresh.contents().await);
            prop_assert_eq!(originals(&world).await, originals(&fresh).await);
            prop_assert_eq!(rows(&world).await.len(), model.len() + 1);
            Ok(())
        })?;
    }
}
