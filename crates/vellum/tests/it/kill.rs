//! R1 in small: SIGKILL at any moment of an ingest; the next run ends as a clean one would.

use crate::tool::Tool;
use std::process::Stdio;
use std::time::{Duration, Instant};

const DOCUMENTS: usize = 40;
const KILLS: u64 = 25;

fn fill(tool: &Tool, version: u32) {
    for n in 0..DOCUMENTS {
        let text = format!(
            "Document {n} in version {version}. It speaks of valve {n} and of pressure {}. \
             The valve is serviced every {} days by team {}.\n",
            n * 3,
            n + version as usize,
            n % 7,
        );
        tool.write(&format!("{}/{n}.txt", n % 5), text.repeat(12));
    }
}

#[test]
fn r1_a_killed_ingest_loses_and_doubles_nothing() {
    let clean = Tool::new();
    let tool = Tool::new();
    // The uri is part of a chunk's id, so both read the same folder.
    fill(&tool, 1);
    let docs = tool.docs();
    let docs = docs.to_str().unwrap();
    let started = Instant::now();
    clean.json(&["ingest", docs, "--json"]);
    let whole = started.elapsed();
    for kill in 0..KILLS {
        if kill == KILLS / 2 {
            fill(&tool, 2);
            std::fs::remove_dir_all(tool.docs().join("3")).unwrap();
        }
        let mut child = tool
            .command(&["ingest", docs, "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the whole run, and a little beyond its end.
        std::thread::sleep(whole.mul_f64(1.1 * (kill % (KILLS / 2)) as f64 / (KILLS / 2) as f64));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let reopened = Instant::now();
    let report = tool.json(&["ingest", docs, "--json"]);
    assert!(reopened.elapsed() < Duration::from_secs(120));
    assert!(report["failed"].as_array().unwrap().is_empty(), "{report}");
    clean.json(&["ingest", docs, "--json"]);
    assert_eq!(tool.digest(), clean.digest());
    let shown = |tool: &Tool| tool.json(&["collection", "show", "default", "--json"]);
    assert_eq!(shown(&tool)["chunks"], shown(&clean)["chunks"]);
    assert_eq!(shown(&tool)["documents"], shown(&clean)["documents"]);
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
        while !tool.data().join("index/default").exists() {
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
