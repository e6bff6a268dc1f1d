//! R1: SIGKILL at any moment of an ingest; the next run ends as a clean one would.
//!
//! `cargo xtask torture ingest KILLS` runs the same with more kills against the release binary.

use crate::tool::Tool;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const DOCUMENTS: u64 = 30;
/// Kills, unless `VELLUM_KILLS` says how many.
const KILLS: u64 = 25;
/// Longest that a killed data directory may take to answer again.
const READY: Duration = Duration::from_secs(2);

/// A generator of numbers that one seed replays (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// The documents of a round: some are changed, removed, added, moved or doubled; some come back as they were.
fn stir(tool: &Tool, random: &mut Random, version: u64) {
    for _ in 0..DOCUMENTS / 3 {
        let n = random.below(DOCUMENTS);
        let path = place(tool, n);
        match random.below(6) {
            0 => drop(fs::remove_file(&path)),
            1 => drop(fs::rename(&path, place(tool, random.below(DOCUMENTS)))),
            // Onto itself it empties the file, which is then rejected.
            2 => drop(fs::copy(&path, place(tool, random.below(DOCUMENTS)))),
            3 => write(tool, n, 0),
            _ => write(tool, n, version),
        }
    }
}

fn place(tool: &Tool, n: u64) -> PathBuf {
    tool.docs().join(format!("{}", n % 5)).join(format!("{n}.txt"))
}

fn write(tool: &Tool, n: u64, version: u64) {
    let text = format!(
        "Document {n} in version {version}. It speaks of valve {n} and of pressure {}. \
         The valve is serviced every {} days by team {}.\n",
        n * 3,
        n + version,
        n % 7,
    );
    // Of up to three chunks.
    tool.write(&format!("{}/{n}.txt", n % 5), text.repeat(1 + (n as usize % 5) * 4));
}

/// How far the killed run was: what it had committed.
fn window(tool: &Tool) -> &'static str {
    let jobs = tool.json(&["job", "list", "--json"]);
    let Some(job) = jobs["jobs"].get(0) else { return "before the job was stored" };
    match job["state"].as_str() {
        Some("interrupted") => {}
        _ => return "after the end",
    }
    let documents = database(tool, "SELECT COUNT(*) FROM document WHERE claim IS NOT NULL");
    match documents {
        0 => "list, settle or compact",
        _ => "fetch, convert, embed, upsert or commit",
    }
}

/// Returns the number that a query of the metadata gives.
fn database(tool: &Tool, sql: &'static str) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(tool.data().join("vellum.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::ConnectOptions;
        let mut connection = options.connect().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    })
}

#[test]
fn r1_a_killed_ingest_loses_and_doubles_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("VELLUM_KILLS").unwrap_or(KILLS);
    let seed = number("VELLUM_SEED").unwrap_or(1);
    println!("VELLUM_KILLS={kills} VELLUM_SEED={seed}");
    let mut random = Random(seed);
    let tool = Tool::new();
    for n in 0..DOCUMENTS {
        write(&tool, n, 0);
    }
    let docs = tool.docs();
    let docs = docs.to_str().unwrap();
    let ingest = ["ingest", docs, "--prune", "--json"];
    let mut whole = Duration::from_secs(2);
    let mut slowest = Duration::ZERO;
    let mut windows: BTreeMap<&str, u64> = BTreeMap::new();
    for kill in 0..kills {
        stir(&tool, &mut random, kill);
        let mut child =
            tool.command(&ingest).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Spread over the whole run, and a little beyond its end.
        std::thread::sleep(whole.mul_f64(1.1 * random.below(1_000) as f64 / 1_000.0));
        child.kill().unwrap();
        child.wait().unwrap();

        let reopened = Instant::now();
        let listed = tool.run(&["collection", "list", "--json"]);
        slowest = slowest.max(reopened.elapsed());
        assert_eq!(listed.status, 0, "kill {kill}: {listed:?}");
        *windows.entry(window(&tool)).or_default() += 1;
        // Between the kill and the next run the source changes again, or comes back as it was.
        if random.below(2) == 0 {
            stir(&tool, &mut random, kill);
        }

        let started = Instant::now();
        let ran = tool.run(&ingest);
        whole = (whole * 3 + started.elapsed()) / 4;
        assert_eq!(ran.status, 0, "kill {kill}: {ran:?}");
        let report = ran.json();
        check_identity(&report, kill);
        // The uri is part of a chunk's id, so a clean run reads the same folder. Its embeddings are taken over, which
        // is what makes a thousand of these runs bearable; what they are is not what is tested here.
        let clean = Tool::new();
        fs::create_dir_all(clean.data()).unwrap();
        fs::copy(tool.data().join("embeddings.db"), clean.data().join("embeddings.db")).unwrap();
        clean.json(&ingest);
        assert_eq!(state(&tool), state(&clean), "kill {kill} of seed {seed}");
    }
    println!("{kills} kills: {windows:?}; slowest reopening {slowest:?}");
    // A debug binary on a busy machine is not what the promise is about.
    if std::env::var_os("VELLUM_BIN").is_some() {
        assert!(slowest <= READY, "{slowest:?}");
    }
}

/// listed = added + updated + unchanged + rejected + failed, and nothing failed.
fn check_identity(report: &Value, kill: u64) {
    let n = |key: &str| report[key].as_u64().unwrap();
    let rejected = report["rejected"].as_array().unwrap().len() as u64;
    let settled = n("added") + n("updated") + n("unchanged") + rejected;
    assert_eq!(n("listed"), settled, "kill {kill}: {report}");
    assert!(report["failed"].as_array().unwrap().is_empty(), "kill {kill}: {report}");
}

/// Everything that two equal collections have in common: documents, chunks and the digest over their ids and texts, and the
/// number of rows that are claimed or came to no end, which is none.
fn state(tool: &Tool) -> (Value, Value, Value, i64) {
    let shown = tool.json(&["collection", "show", "default", "--json"]);
    let claimed = database(
        tool,
        "SELECT COUNT(*) FROM document WHERE claim IS NOT NULL OR state NOT IN ('indexed', 'rejected')",
    );
    (shown["documents"].clone(), shown["chunks"].clone(), shown["digest"].clone(), claimed)
}

#[test]
fn an_interrupt_ends_an_ingest_whenever_it_comes() {
    for round in 0..3 {
        let tool = Tool::new();
        for n in 0..2_000 {
            let text = format!("Note number {n} tells of nothing in particular.");
            tool.write(&format!("{n}.txt"), text);
        }
        let mut child = tool
            .command(&["ingest", "docs"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Amid its work, where progress changes all the time.
        let is_of_default =
            |name: std::ffi::OsString| name.to_string_lossy().starts_with("default");
        let has_begun = || {
            let entries = fs::read_dir(tool.data().join("index")).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).any(is_of_default)
        };
        while !has_begun() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300 + 130 * round));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut told = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
        assert!(told.contains("cancelled") && told.contains("to go on"), "{status}: {told}");
    }
}
