//! Feeds a pool hostile files and prints how each ended, the slowest, and the peak memory of parent and children:
//! `torture WORKER FOLDER...`.
//!
//! Besides the files of the folders it makes a bomb of each kind: archives, ratios, entities, filter chains,
//! nesting, page trees. Fails when a file ends otherwise than as a document or rejected, takes longer
//! than its time, or leaves the pool unable to read the next one.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

#[path = "shared/pack.rs"]
mod pack;

use pack::{open_document, page, pdf, xlsx, zip};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vellum_convert::{PoolSettings, WorkerPool};
use vellum_core::ErrorKind;
use vellum_core::ports::{ConvertInput, Converter};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type File = (String, Vec<u8>);

/// Time for one file, and what it may take longer to be killed and told.
const TIMEOUT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
/// Documents that are read at a time.
const WORKERS: usize = 2;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let worker = args.next().ok_or("name the worker program")?;
    let mut files = bombs()?;
    for folder in args {
        let entries = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        for path in entries.iter().map(|entry| entry.path()).filter(|path| path.is_file()) {
            files.push((path.to_string_lossy().into_owned(), std::fs::read(&path)?));
        }
    }
    let settings = PoolSettings {
        workers: WORKERS,
        timeout: TIMEOUT,
        ocr: None,
        ..PoolSettings::new(worker, Vec::new())
    };
    // What making the bombs took is not what reading them takes; the kernel starts the peak anew.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let memory = watch_children();
    let n_files = files.len();
    let held: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let ends = convert_all(WorkerPool::new(settings), files).await?;
    memory.done.store(true, Ordering::Relaxed);
    report(n_files, &ends);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let parent = peak_kib("self").unwrap_or_default();
    let child = memory.peak_kib.load(Ordering::Relaxed);
    println!(
        "peak memory: parent {:.0} MiB, of which {:.0} MiB are the files themselves; largest child {:.0} MiB",
        mib(parent),
        mib(held / 1024),
        mib(child)
    );
    Ok(())
}

/// How a file ended.
struct End {
    name: String,
    reason: Option<String>,
    took: Duration,
}

async fn convert_all(pool: WorkerPool, files: Vec<File>) -> Result<Vec<End>, Failure> {
    let turns = Arc::new(tokio::sync::Semaphore::new(WORKERS));
    let mut tasks = tokio::task::JoinSet::new();
    for (name, bytes) in files {
        let (pool, turns) = (pool.clone(), Arc::clone(&turns));
        tasks.spawn(async move {
            let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
            let start = Instant::now();
            // The name must not help: content decides.
            let input = ConvertInput { name: "file".into(), content: bytes.into() };
            let reason = match pool.convert(input).await {
                Ok(_) => None,
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    Some(error.message().to_owned())
                }
                Err(error) => return Err(format!("{name}: {}", error.full_message())),
            };
            let took = start.elapsed();
            if took > TIMEOUT + GRACE {
                return Err(format!("{name}: took {:.1} s", took.as_secs_f64()));
            }
            Ok(End { name, reason, took })
        });
    }
    let mut ends = Vec::new();
    while let Some(end) = tasks.join_next().await {
        ends.push(end??);
    }
    let input = ConvertInput { name: "a.txt".into(), content: "still there".into() };
    match pool.convert(input).await?.text.as_str() {
        "still there" => Ok(ends),
        other => Err(format!("afterwards the pool reads {other:?}").into()),
    }
}

fn report(n_files: usize, ends: &[End]) {
    let mut reasons = BTreeMap::<String, usize>::new();
    for end in ends {
        let reason = end.reason.clone().unwrap_or_else(|| "(a document)".to_owned());
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, n) in &reasons {
        println!("{n:5}  {reason}");
    }
    println!("\nbombs:");
    let mut bombs: Vec<&End> = ends.iter().filter(|end| end.name.starts_with("bomb: ")).collect();
    bombs.sort_by(|a, b| a.name.cmp(&b.name));
    let mut slowest: Vec<&End> = ends.iter().collect();
    slowest.sort_by_key(|end| std::cmp::Reverse(end.took));
    let line = |end: &End| {
        let reason = end.reason.as_deref().unwrap_or("(a document)");
        println!("{:6.2} s  {}: {reason}", end.took.as_secs_f64(), end.name);
    };
    bombs.into_iter().for_each(line);
    println!("\nslowest:");
    slowest.into_iter().take(5).for_each(line);
    println!("\n{n_files} files, {} ended well", ends.len());
}

/// The largest child so far.
struct Memory {
    peak_kib: AtomicU64,
    done: AtomicBool,
}

/// Looks at the children every few milliseconds; the kernel keeps each one's peak, so little is missed.
fn watch_children() -> Arc<Memory> {
    let memory = Arc::new(Memory { peak_kib: AtomicU64::new(0), done: AtomicBool::new(false) });
    let watched = Arc::clone(&memory);
    std::thread::spawn(move || {
        let own = std::process::id();
        let command = |process: &str| std::fs::read(format!("/proc/{process}/cmdline")).ok();
        let own_command = command("self");
        while !watched.done.load(Ordering::Relaxed) {
            let path = format!("/proc/{own}/task");
            for task in std::fs::read_dir(path).into_iter().flatten().flatten() {
                let listed = std::fs::read_to_string(task.path().join("children"));
                for child in listed.unwrap_or_default().split_whitespace() {
                    // Between fork and exec a child has its parent's pages.
                    if command(child) == own_command {
                        continue;
                    }
                    let peak = peak_kib(child).unwrap_or_default();
                    watched.peak_kib.fetch_max(peak, Ordering::Relaxed);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    memory
}

/// Returns the peak of a process's resident memory.
fn peak_kib(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Returns a bomb of each kind.
fn bombs() -> Result<Vec<File>, Failure> {
    const DEEP: usize = 100_000;
    const MIB: usize = 1 << 20;
    let mut files: Vec<File> = Vec::new();
    let sheet =
        |rows: &str| xlsx(&format!("<sheetData>{rows}</sheetData>"), "<styleSheet/>", "<sst/>");
    let odt = |body: &str| open_document("text", "", body);
    let mut add = |name: &str, bytes: Vec<u8>| files.push((format!("bomb: {name}"), bytes));
    add("zip, 1 GiB of one letter", zip(&[("a.txt", &vec![b'a'; 1024 * MIB])])?);
    let mut nested = zip(&[("a.txt", &vec![b'a'; 64 * MIB])])?;
    for _ in 0..8 {
        nested = zip(&[("a.zip", &nested), ("b.zip", &nested)])?;
    }
    add("zip in zip, 256 times 64 MiB", nested);
    add("zip, 100,000 members", zip_of_many(DEEP)?);
    add("docx, ratio", docx(&"<w:p><w:r><w:t>word</w:t></w:r></w:p>".repeat(8 * MIB))?);
    let entities: String = (1..30)
        .map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10)))
        .collect();
    let laughs = format!(
        "<?xml version='1.0'?><!DOCTYPE w [<!ENTITY e0 \"ha\">{entities}]><w:document>&e29;</w:document>"
    );
    add("docx, entities", office("word/document.xml", &laughs)?);
    add("docx, nested tables", docx(&"<w:tbl><w:tr><w:tc>".repeat(DEEP))?);
    add("xlsx, ratio", sheet(&"<row><c><v>1</v></c></row>".repeat(8 * MIB))?);
    add(
        "xlsx, last cell of the sheet",
        sheet("<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>")?,
    );
    add("odt, ratio", odt(&"<text:p>word</text:p>".repeat(8 * MIB))?);
    add("odt, repeated columns", odt(&"<table:table><table:table-row table:number-rows-repeated='1048576'><table:table-cell table:number-columns-repeated='16384'><text:p>x</text:p></table:table-cell></table:table-row></table:table>".repeat(3))?);
    add("json, nested", vec![b'['; DEEP]);
    add("json, nested objects", "{\"a\":".repeat(DEEP).into_bytes());
    add("html, nested", format!("<!doctype html><html>{}x", "<div>".repeat(DEEP)).into_bytes());
    add(
        "html, nested tables",
        format!("<!doctype html>{}x", "<table><tr><td>".repeat(DEEP)).into_bytes(),
    );
    add("markdown, nested quotes", format!("# a\n\n{} x\n", ">".repeat(DEEP)).into_bytes());
    add("markdown, brackets", format!("# a\n\n{}\n", "[".repeat(10 * DEEP)).into_bytes());
    add("rtf, nested", format!("{{\\rtf1 {}x", "{".repeat(DEEP)).into_bytes());
    add("e-mail, nested", "Subject: x\nContent-Type: message/rfc822\n\n".repeat(DEEP).into_bytes());
    add("csv, one million columns", ",".repeat(10 * DEEP).into_bytes());
    let mut stream = vec![b'a'; 512 * MIB];
    for _ in 0..4 {
        stream = miniz_oxide::deflate::compress_to_vec_zlib(&stream, 6);
    }
    let filters = "/Filter [/FlateDecode /FlateDecode /FlateDecode /FlateDecode]";
    add("pdf, chain of filters", pdf(&page("/Contents 4 0 R"), filters, &stream));
    let text = "BT /F1 9 Tf (word word word) Tj ET\n".repeat(4 * MIB);
    let stream = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
    add("pdf, four million words", pdf(&page("/Contents 4 0 R"), "/Filter /FlateDecode", &stream));
    add(
        "pdf, page tree that loops",
        pdf("<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>", "", b""),
    );
    let kids = "3 0 R ".repeat(10 * DEEP);
    add(
        "pdf, a million pages",
        pdf(&format!("<</Type/Pages/Kids[{kids}]/Count 1000000>>"), "", b""),
    );
    let arrays = format!("{} Tj", "[".repeat(DEEP));
    add("pdf, nested arrays", pdf(&page("/Contents 4 0 R"), "", arrays.as_bytes()));
    add(
        "pdf, form that draws itself",
        pdf(
            &page("/Contents 4 0 R/Resources<</XObject<</F 4 0 R>>>>"),
            "/Type/XObject/Subtype/Form/BBox[0 0 1 1]/Resources<</XObject<</F 4 0 R>>>>",
            b"/F Do /F Do",
        ),
    );
    Ok(files)
}

fn zip_of_many(n: usize) -> Result<Vec<u8>, Failure> {
    let members: Vec<(String, &str)> = (0..n).map(|n| (format!("{n}.txt"), "x")).collect();
    zip(&members)
}

/// Returns an Office file with one part.
fn office(member: &str, xml: &str) -> Result<Vec<u8>, Failure> {
    zip(&[("[Content_Types].xml", "<Types/>"), (member, xml)])
}

fn docx(body: &str) -> Result<Vec<u8>, Failure> {
    office("word/document.xml", &format!("<w:document><w:body>{body}</w:body></w:document>"))
}
