//! A collection in one file: whole or refused, the same wherever it is imported, never seen by half.

use crate::world::{SOURCE, World, sync};
use proptest::prelude::*;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::collection::Tuning;
use vellum_core::feedback::{Cited, Feedback, Verdict};
use vellum_core::ids::DocumentId;
use vellum_core::ledger::{LedgerRow, Scope};
use vellum_core::ports::{Metastore, WithVectors};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::app::App;
use vellum_rag::archive::{self, Archive, Imported, Originals};
use vellum_rag::datasets::{self, Absent};
use vellum_rag::feedback::{self, Opinion};
use vellum_rag::search::{Hit, Mode, SearchRequest, search};
use vellum_rag::{collections, documents, jobs};

const N: usize = 7;

fn named(name: &str) -> Pass {
    Pass::grant(&Principal::Owner, &name.parse().unwrap(), Verb::Write).unwrap()
}

async fn filled() -> World {
    let world = World::new();
    for n in 0..N {
        world.put(
            &format!("{n}.txt"),
            &format!("Document {n} says that valve {n} is open. It was closed."),
        );
    }
    world.put("copy.txt", "Document 3 says that valve 3 is open. It was closed.");
    world.put("empty.txt", " ");
    world.put("pages.txt", "The first page.\u{c}The second page speaks of hatches.");
    sync(&world.app()).await;
    world
}

async fn exported(app: &App, originals: Originals) -> Vec<u8> {
    archive::export(app, &named("default"), originals, Vec::new(), &|_| {}).await.unwrap()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

async fn import(app: &App, name: &str, bytes: &[u8]) -> Result<Imported> {
    let archive = Archive::open(file(bytes))?;
    archive::import(app, &named(name), archive, &|_| {}).await
}

async fn hits(app: &App, name: &str) -> Vec<Hit> {
    let mut all = Vec::new();
    for query in ["which valve is open", "hatches", "document 5"] {
        for mode in Mode::ALL {
            let request = SearchRequest::new(query, 20, mode);
            all.extend(search(app, &named(name), &request, WithVectors::Yes).await.unwrap().hits);
        }
    }
    all
}

#[tokio::test]
async fn what_is_imported_is_what_was_exported() {
    let world = filled().await;
    let app = world.app();
    let set = Tuning { leg_limit: Some(30), ..Tuning::default() };
    let change = collections::Change { set: set.clone(), cleared: Vec::new() };
    collections::tune(&app, &named("default"), &change).await.unwrap();
    let bytes = exported(&app, Originals::With).await;
    assert_eq!(bytes, exported(&app, Originals::With).await, "equal collections, equal files");
    let other = World::new();
    let there = other.app();
    let made = import(&there, "default", &bytes).await.unwrap();
    let digest = collections::digest(&app, &named("default")).await.unwrap();
    assert_eq!(made.summary.collection.tuning, set);
    assert_eq!((made.summary.documents, made.digest.as_str()), (N as u64 + 2, digest.as_str()));
    // The documents but the copy, and the one that was rejected.
    assert_eq!(made.originals, N as u64 + 2);
    assert_eq!(other.contents().await, world.contents().await);
    let rows = async |world: &World| {
        let live = world.live().await.unwrap();
        world.metastore.rows(&live, Scope::Prefix(""), None, 99).await.unwrap()
    };
    assert_eq!(rows(&other).await, rows(&world).await);
    let (now, then) = (hits(&there, "default").await, hits(&app, "default").await);
    assert_eq!(format!("{now:?}"), format!("{then:?}"), "with the same vectors and scores");
    assert_eq!(exported(&there, Originals::With).await, bytes, "and exported again as it was");

    // Another name has other ids, and finds the same.
    import(&there, "second", &bytes).await.unwrap();
    let second = hits(&there, "second").await;
    // Equal scores are ordered by ids.
    let told = |hits: &[Hit]| {
        let told = hits.iter().map(|hit| (hit.score.to_bits(), hit.chunk.text.clone()));
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    };
    assert_eq!(told(&second), told(&now));
    let document = DocumentId::derive(named("second").collection(), &second[0].chunk.uri);
    assert_eq!(second[0].chunk.document, document);
    // It goes on like any other: its source brings it up to date.
    let known = Arc::new(World { objects: world.objects.clone(), ..other.clone() });
    let request = jobs::Request::of(SOURCE);
    let (_, mut watcher) = jobs::start(&known.app(), &named("second"), &request).await.unwrap();
    let ended = watcher.wait_for(|it| !it.job.state.is_active()).await.unwrap().job.clone();
    assert_eq!((ended.report.unchanged, ended.report.chunks), (N as u64 + 2, 0), "{ended:?}");
}

/// Adds a dataset and two opinions to the collection of [`filled`].
async fn judge(app: &App) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    let query = "{\"_id\":\"q\",\"text\":\"is valve 3 open\"}\n";
    std::fs::write(dir.path().join("queries.jsonl"), query).unwrap();
    std::fs::write(dir.path().join("qrels/test.tsv"), "q\t3.txt\t1\n").unwrap();
    let (pass, name) = (named("default"), Some("valves".parse().unwrap()));
    datasets::add(app, &pass, dir.path(), name, Absent::Refuse).await.unwrap();
    for (question, names) in [("is valve 5 open", &["5.txt", "2.txt"][..]), ("who knows", &[])] {
        let document =
            |name: &str| DocumentId::derive(pass.collection(), &format!("{SOURCE}{name}"));
        let cited = |name: &&str| Cited { document: document(name), start: 0, end: 9 };
        let opinion = Opinion {
            question: question.to_owned(),
            verdict: Verdict::Up,
            comment: Some("so it is".to_owned()),
            cited: names.iter().map(cited).collect(),
        };
        feedback::give(app, &pass, opinion).await.unwrap();
    }
}

async fn opinions(app: &App, name: &str) -> Vec<Feedback> {
    feedback::list(app, &named(name), None, 99).await.unwrap()
}

#[tokio::test]
async fn datasets_and_opinions_travel() {
    let world = filled().await;
    let app = world.app();
    judge(&app).await;
    let bytes = exported(&app, Originals::Without).await;
    let other = World::new();
    let there = other.app();
    let made = import(&there, "default", &bytes).await.unwrap();
    assert_eq!((made.datasets, made.opinions), (1, 2));
    let told = |it: &[datasets::Summary]| it.iter().map(|it| it.queries).collect::<Vec<_>>();
    let before = datasets::list(&app, &named("default")).await.unwrap();
    assert_eq!(told(&before), [2, 1]);
    assert_eq!(datasets::list(&there, &named("default")).await.unwrap(), before);
    assert_eq!(opinions(&there, "default").await, opinions(&app, "default").await);
    assert_eq!(exported(&there, Originals::Without).await, bytes, "and exported again as it was");

    // Under another name, opinions are about the documents of that collection, and mean the same.
    import(&there, "second", &bytes).await.unwrap();
    assert_eq!(told(&datasets::list(&there, &named("second")).await.unwrap()), [2, 1]);
    let feedback = "feedback".parse().unwrap();
    let open = async |name: &str| datasets::open(&there, &named(name), &feedback).await.unwrap();
    let (first, second) = (open("default").await, open("second").await);
    assert_eq!(first.digest, second.digest);
    let judged = second.queries.iter().find(|query| query.text == "is valve 5 open").unwrap();
    assert_eq!(judged.judgements.len(), 2, "{judged:?}");
}

#[tokio::test]
async fn opinions_of_an_interrupted_import_follow_at_the_next_start() {
    let source = filled().await;
    judge(&source.app()).await;
    let bytes = exported(&source.app(), Originals::Without).await;
    let mut late = 0;
    for nth in 0.. {
        let world = World::new();
        world.fuse.store(nth, Ordering::SeqCst);
        let first = import(&world.app(), "default", &bytes).await;
        world.fuse.store(-1, Ordering::SeqCst);
        let seen = collections::get(&world.app(), &named("default")).await.is_ok();
        let app = world.app();
        archive::recover(&app, &|name| Ok(named(name.as_str()))).await.unwrap();
        if !seen {
            assert!(first.is_err(), "write {nth}");
            import(&app, "default", &bytes).await.unwrap();
        }
        late += u32::from(seen && first.is_err());
        assert_eq!(opinions(&app, "default").await.len(), 2, "write {nth} failed");
        assert_eq!(datasets::list(&app, &named("default")).await.unwrap().len(), 2);
        if first.is_ok() {
            break;
        }
    }
    assert_eq!(late, 2, "each opinion was interrupted once");
}

#[tokio::test]
async fn originals_that_travelled_can_be_opened() {
    let world = filled().await;
    let bytes = exported(&world.app(), Originals::With).await;
    let texts = exported(&world.app(), Originals::Without).await;
    assert!(texts.len() < bytes.len());
    let other = World::new();
    let app = other.app();
    for (name, bytes, expect) in [("all", &bytes, Some("closed.")), ("texts", &texts, None)] {
        import(&app, name, bytes).await.unwrap();
        for uri in ["2.txt", "copy.txt"] {
            let id = DocumentId::derive(named(name).collection(), &format!("{SOURCE}{uri}"));
            let (pass, row): (_, LedgerRow) =
                documents::find(&app, &Principal::Owner, id).await.unwrap();
            let opened = documents::original(&app, &pass, &row).await;
            match expect {
                None => assert_eq!(opened.unwrap_err().kind(), ErrorKind::NotFound),
                Some(end) => {
                    let (meta, content) = opened.unwrap();
                    assert_eq!(meta.name, uri);
                    assert!(content.to_bytes().unwrap().ends_with(end.as_bytes()));
                }
            }
        }
    }
    // One that changed in its source is not what was ingested, and is left out.
    world.put("2.txt", "Something else.");
    let fewer = exported(&world.app(), Originals::With).await;
    let made = import(&app, "fewer", &fewer).await.unwrap();
    assert_eq!(made.originals, N as u64 + 1);
    collections::delete(&app, &named("all")).await.unwrap();
    let all: &dyn vellum_core::ports::KeptOriginals = &*other.kept;
    let hash =
        vellum_core::ids::ContentHash::of(b"Document 3 says that valve 3 is open. It was closed.");
    assert!(all.get(named("all").collection(), &hash).unwrap().is_none(), "gone with it");
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_newer_format_are_refused() {
    let world = filled().await;
    let app = world.app();
    let bytes = exported(&app, Originals::Without).await;
    let taken = import(&app, "default", &bytes).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    let unknown = archive::export(&app, &named("none"), Originals::With, Vec::new(), &|_| {}).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);

    // As a later version would write it: another number, and a seal that fits.
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let manifest = br#"{"format":3,"of":"another kind"}"#;
    let mut header = tar::Header::new_gnu();
    header.set_size(manifest.len() as u64);
    tar.append_data(&mut header, "manifest.json", &manifest[..]).unwrap();
    let mut newer = tar.into_inner().unwrap().finish().unwrap();
    let hash = blake3::hash(&newer);
    newer.extend(&bytes[bytes.len() - 48..bytes.len() - 32]);
    newer.extend(hash.as_bytes());
    assert_eq!(Archive::open(file(&newer)).unwrap_err().kind(), ErrorKind::TooNew);
}

#[tokio::test]
async fn any_write_of_an_import_may_fail_and_nothing_is_seen() {
    let source = filled().await;
    let bytes = exported(&source.app(), Originals::With).await;
    for nth in 0.. {
        let world = World::new();
        world.fuse.store(nth, Ordering::SeqCst);
        let first = import(&world.app(), "default", &bytes).await;
        world.fuse.store(-1, Ordering::SeqCst);
        let seen = collections::get(&world.app(), &named("default")).await;
        if first.is_ok() {
            assert!(seen.is_ok() && nth >= 8, "only {nth} writes were visited");
            return;
        }
        assert_eq!(seen.unwrap_err().kind(), ErrorKind::NotFound, "write {nth} failed");
        // What is left of it is in nobody's way: neither of the next import, nor of a collection of that name.
        if nth % 2 == 0 {
            import(&world.app(), "default", &bytes).await.unwrap();
        } else {
            let world = World { objects: source.objects.clone(), ..world.clone() };
            sync(&world.app()).await;
        }
        assert_eq!(world.contents().await, source.contents().await, "write {nth} failed");
    }
}

/// A writer that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => {
                self.0 = left;
                Ok(bytes.len())
            }
            None => Err(std::io::ErrorKind::StorageFull.into()),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_ends_an_export() {
    let world = filled().await;
    let (app, pass) = (world.app(), named("default"));
    for room in [0, 100, 700] {
        let ended = archive::export(&app, &pass, Originals::With, Full(room), &|_| {}).await;
        let error: Error = ended.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    }
    // Nothing is held: the next job goes on.
    sync(&world.app()).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_changed_or_missing_byte_is_found(at in 0.0..1.0_f64, bit in 0_u8..8, cut in any::<bool>()) {
        static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let whole = BYTES.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { exported(&filled().await.app(), Originals::With).await })
        });
        let at = (whole.len() as f64 * at) as usize;
        let mut bytes = whole.clone();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        let refused = Archive::open(file(&bytes)).unwrap_err();
        prop_assert_eq!(refused.kind(), ErrorKind::Corrupt, "{}", refused);
    }
}
