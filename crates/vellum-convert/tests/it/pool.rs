//! The pool: files that break their child cost that child and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vellum_convert::{PoolSettings, WorkerPool};
use vellum_core::ports::{ConvertInput, Converter};
use vellum_core::{ErrorKind, Result};

fn settings() -> PoolSettings {
    PoolSettings {
        workers: 2,
        timeout: Duration::from_secs(20),
        ..PoolSettings::new(env!("CARGO_BIN_EXE_vellum-convert-worker"), Vec::new())
    }
}

/// Returns settings for a child that runs a shell script instead.
fn script(script: &str) -> PoolSettings {
    let args = vec!["-c".to_owned(), script.to_owned()];
    PoolSettings { program: PathBuf::from("/bin/sh"), args, ..settings() }
}

async fn convert(pool: &WorkerPool, name: &str, bytes: &[u8]) -> Result<String> {
    let input = ConvertInput { name: name.into(), bytes: bytes.to_vec().into() };
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
    let error = convert(&pool, "a.txt", &text).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Rejected, "the file needs more than 160 MiB")
    );
    assert_eq!(convert(&pool, "a.txt", b"small").await.unwrap(), "small");
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
