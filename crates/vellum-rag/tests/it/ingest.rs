//! What a sync does to a collection.

use crate::world::{SOURCE, World, pass, run_job, run_source, sync};
use vellum_core::ErrorKind;
use vellum_core::ports::{Metastore, VectorStore};
use vellum_rag::collections;

fn sample() -> World {
    let world = World::new();
    world.put("a.txt", "The pump runs at night. It stops in the morning.");
    world.put("b.txt", "Leave is 25 days a year. It must be asked for.");
    world.put("sub/c.txt", "The alarm rings twice.\u{c}Page two says more about the alarm.");
    world
}

#[tokio::test]
async fn a_second_sync_writes_and_embeds_nothing() {
    let world = sample();
    let app = world.app();
    let first = sync(&app).await;
    assert_eq!((first.added, first.listed, first.pages > 0), (3, 3, true));
    let (contents, embedded) = (world.contents().await, world.embedder.n_embedded());
    let second = sync(&app).await;
    assert_eq!((second.unchanged, second.added, second.chunks), (3, 0, 0));
    assert_eq!((world.contents().await, world.embedder.n_embedded()), (contents, embedded));
}

#[tokio::test]
async fn changes_and_removals_are_followed() {
    let world = sample();
    let app = world.app();
    sync(&app).await;
    world.put("a.txt", "The pump was replaced.");
    world.remove("b.txt");
    world.put("d.txt", "A new document.");
    let report = sync(&app).await;
    assert_eq!((report.added, report.updated, report.unchanged, report.removed), (1, 1, 1, 1));
    let texts: Vec<String> = world.contents().await.into_values().collect();
    assert!(texts.iter().any(|text| text.contains("replaced")));
    assert!(!texts.iter().any(|text| text.contains("at night") || text.contains("25 days")));
    // The same documents ingested from nothing give the same collection.
    let fresh = World { objects: world.objects.clone(), ..World::new() };
    sync(&fresh.app()).await;
    assert_eq!(fresh.contents().await, world.contents().await);
    let digest = collections::digest(&app, &pass()).await.unwrap();
    assert_eq!(digest, collections::digest(&fresh.app(), &pass()).await.unwrap());
}

/// Other documents whose names begin alike are none of its business.
#[tokio::test]
async fn a_single_document_is_its_own_source() {
    let world = sample();
    world.put("a.txt.bak", "An older text.");
    let app = world.app();
    sync(&app).await;
    let before = world.contents().await;
    let job = run_source(&app, &format!("{SOURCE}a.txt"), true).await.unwrap();
    assert_eq!((job.report.listed, job.report.unchanged, job.report.removed), (1, 1, 0));
    assert_eq!(world.contents().await, before);
}

#[tokio::test]
async fn the_same_content_under_a_new_marker_is_unchanged() {
    let world = sample();
    let app = world.app();
    sync(&app).await;
    let embedded = world.embedder.n_embedded();
    world.put("a.txt", "The pump runs at night. It stops in the morning.");
    let report = sync(&app).await;
    assert_eq!((report.unchanged, report.updated), (3, 0));
    assert_eq!(world.embedder.n_embedded(), embedded);
}

#[tokio::test]
async fn one_bad_document_stops_nobody() {
    let world = sample();
    world.objects.put(&format!("{SOURCE}bad.txt"), vec![0xff, 0xfe, 0x00]);
    world.put("empty.txt", "");
    world.objects.put_unreadable(&format!("{SOURCE}locked.txt"), "permission denied");
    let app = world.app();
    let report = sync(&app).await;
    assert_eq!((report.added, report.rejected.count, report.failed.count), (3, 2, 1));
    assert!(report.rejected.named.iter().all(|refusal| !refusal.reason.is_empty()));
    let again = sync(&app).await;
    assert_eq!((again.unchanged, again.rejected.count, again.failed.count), (3, 2, 1));
}

#[tokio::test]
async fn a_document_that_becomes_unreadable_loses_its_old_text() {
    let world = sample();
    let app = world.app();
    sync(&app).await;
    world.objects.put(&format!("{SOURCE}a.txt"), vec![0xff, 0xfe, 0x00]);
    sync(&app).await;
    assert!(!world.contents().await.into_values().any(|text| text.contains("pump")));
}

#[tokio::test]
async fn an_unreadable_folder_is_not_a_removal() {
    let world = sample();
    let app = world.app();
    sync(&app).await;
    world.remove("sub/c.txt");
    world.objects.put_unreadable(&format!("{SOURCE}sub/"), "permission denied");
    let report = sync(&app).await;
    assert_eq!((report.removed, report.failed.count), (0, 1));
    assert!(world.contents().await.into_values().any(|text| text.contains("alarm")));
}

#[tokio::test]
async fn mass_removal_needs_prune() {
    let world = World::new();
    for n in 0..30 {
        world.put(&format!("{n}.txt"), &format!("Document number {n} is here."));
    }
    let app = world.app();
    sync(&app).await;
    for n in 1..30 {
        world.remove(&format!("{n}.txt"));
    }
    let held = sync(&app).await;
    assert_eq!((held.removed, held.warnings.len()), (0, 1), "{:?}", held.warnings);
    assert_eq!(run_job(&app, true).await.unwrap().report.removed, 29);
    assert_eq!(world.contents().await.len(), 1);
}

#[tokio::test]
async fn the_language_and_mean_length_are_settled_once() {
    let world = World::new();
    for n in 0..5 {
        world.put(
            &format!("{n}.txt"),
            &format!(
                "Die Häuser der Stadt Nummer {n} werden im nächsten Jahr vollständig erneuert."
            ),
        );
    }
    let app = world.app();
    sync(&app).await;
    let collection = collections::get(&app, &pass()).await.unwrap();
    let sparse = collection.sparse.unwrap();
    assert_eq!((sparse.language.as_deref(), sparse.chunks), (Some("de"), 5));
    world.put("new.txt", "Ein weiteres kurzes Dokument über die Stadt und ihre Häuser.");
    sync(&app).await;
    let later = collections::get(&app, &pass()).await.unwrap().sparse.unwrap();
    assert_eq!(later.avg_len.to_bits(), sparse.avg_len.to_bits());
}

#[tokio::test]
async fn a_deleted_collection_is_gone() {
    let world = sample();
    let app = world.app();
    sync(&app).await;
    let live = world.live().await.unwrap();
    collections::delete(&app, &pass()).await.unwrap();
    assert_eq!(collections::get(&app, &pass()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(world.metastore.collections().await.unwrap().is_empty());
    assert!(world.vectors.count(&live).await.is_err());
}
