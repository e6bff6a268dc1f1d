//! R13: a full volume stops nobody for good. The job waits and says for what, what is there can be read, and the job goes on
//! by itself once there is room.
//!
//! The volume is an ext4 file system in a file, which takes the right to mount one; without it the test says so. (One in memory
//! would not do: there even reading a hole of a mapped file takes space, and ends the process when there is none.)

use crate::tool::{Serving, Tool, run};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of the volume: what an index must leave free, and as much again three times.
const VOLUME: u64 = 256 << 20;
/// Longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(180);

/// A mounted file system that ends with its owner.
struct Volume(PathBuf);

impl Volume {
    /// Returns the volume, mounted at `path`; `None` where that is not allowed.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let image = path.with_extension("ext4");
        fs::File::create(&image).unwrap().set_len(VOLUME).unwrap();
        let (image, place) = (image.to_str().unwrap(), path.to_str().unwrap());
        let succeeds = |program: &str, args: &[&str]| {
            Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        let mounted = succeeds("mkfs.ext4", &["-q", "-F", "-m", "0", image])
            && succeeds("mount", &["-o", "loop", image, place]);
        mounted.then(|| Self(path.to_owned()))
    }

    /// Fills it up to the last `free` bytes.
    fn fill(&self, free: u64) {
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        let block = [1; 64 << 10];
        while file.write_all(&block).is_ok() {}
        file.set_len(file.metadata().unwrap().len().saturating_sub(free)).unwrap();
        file.sync_all().unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Returns the newest job once `is_so` holds for it.
fn wait_for(tool: &Tool, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let jobs = tool.json(&["job", "list", "--json"]);
        let newest = jobs["jobs"][0].clone();
        if is_so(&newest) {
            return newest;
        }
        assert!(began.elapsed() < LIMIT, "{what}: {newest}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn write_documents(tool: &Tool, n: std::ops::Range<u32>) {
    for n in n {
        let text = format!("Valve {n} is serviced every {} days by team {}.\n", n + 3, n % 7);
        tool.write(&format!("{n}.txt"), text.repeat(40));
    }
}

#[test]
fn r13_a_full_volume_is_waited_for() {
    let tool = Tool::new();
    let Some(volume) = Volume::mount(&tool.data()) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    write_documents(&tool, 0..5);
    let docs = tool.docs();
    let docs = docs.to_str().unwrap();
    let ingest = ["ingest", docs, "--json"];
    tool.json(&ingest);

    let server: Serving = tool.serve(&["serve"]);
    write_documents(&tool, 5..60);
    // Room for the job, and too little for its chunks.
    volume.fill(4 << 20);
    let mut client = tool.command(&ingest).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let waiting = wait_for(&tool, "the job waits", |job| job["state"] == "waiting");
    let reason = waiting["error"].as_str().unwrap();
    assert!(reason.contains("free"), "{reason}");
    let found = tool.json(&["search", "When is valve 3 serviced?", "--json"]);
    assert_eq!(found["hits"][0]["source"], "3.txt", "what is there can be read");

    volume.empty();
    wait_for(&tool, "the job goes on by itself", |job| job["state"] == "done");
    assert!(client.wait().unwrap().success());
    assert_eq!(tool.json(&["search", "valve 59", "--json"])["hits"][0]["source"], "59.txt");
    let digest = tool.digest();
    assert_eq!(server.terminate(), Some(0));

    let clean = Tool::new();
    let made = run(tool.command(&ingest).env("VELLUM_DATA_DIR", clean.data()));
    assert_eq!(made.status, 0, "{made:?}");
    assert_eq!(digest, clean.digest(), "as if nothing had happened");
}
