//! The pool: files that break their child cost that child and nothing else.

use crate::pages::{Page, pdf};
use futures::{StreamExt, TryStreamExt};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vellum_convert::{Ocr, PoolSettings, WorkerPool};
use vellum_core::document::Document;
use vellum_core::ports::{Content, ConvertInput, Converter};
use vellum_core::testing::converter::assert_well_formed;
use vellum_core::{ErrorKind, Result};

fn settings() -> PoolSettings {
    PoolSettings {
        workers: 2,
        timeout: Duration::from_secs(20),
        ocr: None,
        ..PoolSettings::new(env!("CARGO_BIN_EXE_vellum-convert-worker"), Vec::new())
    }
}

/// Returns settings for a child that runs a shell script instead.
fn script(script: &str) -> PoolSettings {
    let args = vec!["-c".to_owned(), script.to_owned()];
    PoolSettings { program: PathBuf::from("/bin/sh"), args, ..settings() }
}

async fn convert(pool: &WorkerPool, name: &str, bytes: &[u8]) -> Result<String> {
    let input = ConvertInput { name: name.into(), content: bytes.to_vec().into() };
    pool.convert(input).await.map(|document| document.text)
}

async fn reason(pool: &WorkerPool) -> (ErrorKind, String) {
    let error = convert(pool, "a.txt", b"x").await.unwrap_err();
    (error.kind(), error.message().to_owned())
}

#[tokio::test]
async fn children_convert_reject_and_are_replaced() {
    let pool = WorkerPool::new(PoolSettings { max_documents_per_worker: 2, ..settings() });
    pool.check().await.unwrap();
    assert_eq!(pool.version(), vellum_convert::VERSION);
    for n in 0..5 {
        let text = format!("# Title {n}\n\nGrüße");
        assert_eq!(
            convert(&pool, "a.md", text.as_bytes()).await.unwrap(),
            format!("Title {n}\n\nGrüße")
        );
        let error = convert(&pool, "a.md", b"").await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Rejected, "the file is empty"));
    }
}

#[tokio::test]
async fn many_files_share_few_children() {
    let pool = Arc::new(WorkerPool::new(settings()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let pool = Arc::clone(&pool);
        tasks.spawn(async move {
            let text = format!("file {n}");
            assert_eq!(convert(&pool, "a.txt", text.as_bytes()).await.unwrap(), text);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

#[tokio::test]
async fn a_crash_is_a_rejection() {
    let pool = WorkerPool::new(script("kill -SEGV $$"));
    let crashed = "the parser crashed on this file (signal SIGSEGV)";
    assert_eq!(reason(&pool).await, (ErrorKind::Rejected, crashed.into()));
    assert_eq!(pool.check().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_overflow_of_the_stack_is_named() {
    let pool = WorkerPool::new(script(
        "echo \"thread 'convert' has overflowed its stack\" >&2; kill -ABRT $$",
    ));
    let crashed = "the parser crashed on this file (stack overflow)";
    assert_eq!(reason(&pool).await, (ErrorKind::Rejected, crashed.into()));
}

#[tokio::test]
async fn a_slow_file_is_a_rejection() {
    let timeout = Duration::from_millis(300);
    let pool = WorkerPool::new(PoolSettings { timeout, ..script("exec sleep 60") });
    let start = Instant::now();
    assert_eq!(
        reason(&pool).await,
        (ErrorKind::Rejected, "the parser took longer than 0.3 s".into())
    );
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_broken_program_is_unavailable() {
    for program in ["/bin/false", "/does/not/exist"] {
        let pool = WorkerPool::new(PoolSettings { program: program.into(), ..settings() });
        assert_eq!(reason(&pool).await.0, ErrorKind::Unavailable, "{program}");
    }
}

#[tokio::test]
async fn the_pool_heals() {
    // The first child of this script dies, the second is a worker.
    let flag = std::env::temp_dir().join(format!("vellum-convert-{}", std::process::id()));
    let worker = env!("CARGO_BIN_EXE_vellum-convert-worker");
    let flag_path = flag.display();
    let pool = WorkerPool::new(script(&format!(
        "if [ -e '{flag_path}' ]; then exec '{worker}'; fi; : > '{flag_path}'; kill -SEGV $$"
    )));
    let crashed = "the parser crashed on this file (signal SIGSEGV)";
    assert_eq!(reason(&pool).await, (ErrorKind::Rejected, crashed.into()));
    let healed = convert(&pool, "a.txt", b"x").await;
    std::fs::remove_file(&flag).unwrap();
    assert_eq!(healed.unwrap(), "x");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_limited() {
    let pool = WorkerPool::new(PoolSettings { memory_bytes: 160 << 20, ..settings() });
    let text = b"words and more words\n".repeat(3 << 20);
    let error = convert(&pool, "a.md", &text).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Rejected, "the file needs more than 160 MiB")
    );
    assert_eq!(convert(&pool, "a.txt", b"small").await.unwrap(), "small");
}

/// Returns `bytes` as an unnamed file.
fn spooled(bytes: &[u8]) -> Content {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Content::Spooled { file: Arc::new(file), len: bytes.len() as u64 }
}

#[tokio::test]
async fn a_large_text_comes_in_parts_and_in_little_memory() {
    // The text alone is more than the child may hold.
    let pool = WorkerPool::new(PoolSettings { memory_bytes: 130 << 20, ..settings() });
    let line = "Zeile um Zeile, und keine geht verloren.\n";
    let n_lines = (200 << 20) / line.len();
    let input =
        ConvertInput { name: "a.txt".into(), content: spooled(line.repeat(n_lines).as_bytes()) };
    let mut parts = pool.parts(input);
    let (mut n_parts, mut n_seen) = (0, 0);
    while let Some(part) = parts.next().await {
        let text = part.unwrap().text;
        assert!(text.len() <= 1 << 20);
        n_parts += 1;
        n_seen += text.lines().filter(|found| *found == line.trim_end()).count();
    }
    assert_eq!(n_seen, n_lines);
    assert!(n_parts >= 200, "{n_parts}");
}

#[tokio::test]
async fn a_long_pdf_comes_in_parts() {
    let pages = (1..=300).map(|n| {
        let page = Page::new();
        // Pages without text, also whole parts of them, keep their place.
        if n <= 130 || n == 300 {
            page
        } else {
            page.text(50.0, 300.0, 11.0, &format!("Number {n}"))
        }
    });
    let bytes = pdf(Some("Long"), pages.collect());
    let pool = WorkerPool::new(settings());
    for content in [spooled(&bytes), bytes.clone().into()] {
        let input = ConvertInput { name: "a.pdf".into(), content };
        let parts: Vec<Document> = pool.parts(input.clone()).try_collect().await.unwrap();
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.title.as_deref() == Some("Long")));
        let document = pool.convert(input).await.unwrap();
        assert_well_formed(&document);
        let texts: Vec<&str> =
            document.pages().map(|(_, span)| &document.text[span.start..span.end]).collect();
        assert_eq!((texts.len(), texts[129], texts[130], texts[299]), (300, "", "Number 131", ""));
    }
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_work() {
    let pool = WorkerPool::new(PoolSettings { workers: 1, ..settings() });
    let content = spooled(&b"words and more words\n".repeat(1 << 20));
    let mut parts = pool.parts(ConvertInput { name: "a.txt".into(), content });
    parts.next().await.unwrap().unwrap();
    drop(parts);
    // The only permit is free again.
    let next = tokio::time::timeout(Duration::from_secs(20), convert(&pool, "a.txt", b"next"));
    assert_eq!(next.await.unwrap().unwrap(), "next");
}

#[tokio::test]
async fn a_text_that_turns_binary_is_rejected_after_its_parts() {
    let mut bytes = b"words and more words\n".repeat(400_000);
    bytes.extend((0..4_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    let pool = WorkerPool::new(settings());
    let input = ConvertInput { name: "a.txt".into(), content: spooled(&bytes) };
    let parts: Vec<Result<Document>> = pool.parts(input).collect().await;
    let error = parts.last().unwrap().as_ref().unwrap_err();
    assert!(parts.len() > 1 && error.message().contains("turns binary"), "{error}");
}

/// Converts every file below `folder` of the shared test data; none may end otherwise than well.
async fn convert_all(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/pdf").join(folder);
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is missing", folder.display());
        return;
    };
    let timeout = Duration::from_secs(10);
    let pool = Arc::new(WorkerPool::new(PoolSettings { timeout, ..settings() }));
    let mut tasks = tokio::task::JoinSet::new();
    for file in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let pool = Arc::clone(&pool);
        tasks.spawn(async move {
            let bytes = std::fs::read(&file).unwrap();
            match convert(&pool, "file", &bytes).await {
                Ok(_) => "document".to_owned(),
                Err(error) if error.kind() == ErrorKind::Rejected => error.message().to_owned(),
                Err(error) => panic!("{}: {}", file.display(), error.full_message()),
            }
        });
    }
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    while let Some(end) = tasks.join_next().await {
        *ends.entry(end.unwrap()).or_default() += 1;
    }
    eprintln!("{ends:#?}");
    assert!(ends.contains_key("document"));
    assert_eq!(convert(&pool, "a.txt", b"still there").await.unwrap(), "still there");
}

#[tokio::test]
async fn hostile_files() {
    convert_all("hostile").await;
}

#[tokio::test]
async fn odd_files() {
    convert_all("samples").await;
}

#[tokio::test]
async fn scanned_pages_are_named_or_read() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let bytes = std::fs::read(data.join("scanned.pdf")).unwrap();
    let input = || ConvertInput { name: "a.pdf".into(), content: bytes.clone().into() };
    let pool = WorkerPool::new(settings());
    let document = pool.convert(input()).await.unwrap();
    assert_eq!(document.metadata["pages_without_text"], "2-3");
    assert!(!document.text.contains("Parental"));

    let Some(ocr) = Ocr::find("eng") else {
        eprintln!("skipped: tesseract is not installed");
        return;
    };
    let pool = WorkerPool::new(PoolSettings { workers: 1, ocr: Some(ocr), ..settings() });
    let document = pool.convert(input()).await.unwrap();
    assert_eq!(document.metadata.get("pages_without_text"), None);
    assert_eq!(document.metadata["pages_by_ocr"], "2-3");
    assert_well_formed(&document);
    let pages: Vec<&str> =
        document.pages().map(|(_, span)| &document.text[span.start..span.end]).collect();
    assert!(pages[0].starts_with("Annual leave\n\n"), "{}", pages[0]);
    assert!(pages[1].starts_with("Parental leave\n\n"), "{}", pages[1]);
    assert!(pages[2].starts_with("Travel\n\n"), "{}", pages[2]);
    // The title stands where it was drawn: 72 points from the left, 80 from the top.
    let start = document.text.find("Parental leave").unwrap();
    let boxes = document.boxes_of(vellum_core::document::Span { start, end: start + 14 });
    assert_eq!((boxes.len(), boxes[0].0), (1, 2));
    let rect = boxes[0].1;
    assert!((rect.x0 - 72.0).abs() < 3.0 && (rect.y1 - 80.0).abs() < 4.0, "{rect:?}");
}
