//! Index versions, export and import through the binary, and SIGKILL amid each of them.

use crate::kill::Random;
use crate::tool::{Ran, Tool, root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const DOCUMENTS: usize = 24;
/// Kills of each kind, unless `VELLUM_KILLS` says how many.
const KILLS: u64 = 3;
const BUILD: [&str; 6] = ["collection", "build", "default", "--max-tokens", "40", "--json"];

fn filled() -> Tool {
    let tool = Tool::new();
    for n in 0..DOCUMENTS {
        let text = format!(
            "Document {n} speaks of valve {n}. The valve is serviced every {} days by team {}.\n",
            n * 3 + 1,
            n % 7
        );
        tool.write(&format!("{}/{n}.txt", n % 4), text.repeat(1 + n % 5 * 3));
    }
    let docs = tool.docs();
    tool.json(&["ingest", docs.to_str().unwrap(), "--json"]);
    tool
}

fn states(tool: &Tool) -> Vec<(String, String)> {
    let list = tool.json(&["collection", "versions", "--json"]);
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let versions = list["versions"].as_array().unwrap().iter();
    versions.map(|it| (text(it, "version"), text(it, "state"))).collect()
}

fn must(ran: &Ran, status: i32) -> &Ran {
    assert_eq!(ran.status, status, "{ran:?}");
    ran
}

#[test]
fn a_version_is_built_promoted_and_rolled_back() {
    let tool = filled();
    let before = tool.digest();
    let built = tool.json(&BUILD);
    let id = built["version"].as_str().unwrap();
    assert_eq!((&built["state"], &built["behind"]), (&"ready".into(), &0.into()), "{built}");
    assert_eq!(tool.digest(), before, "the live version is as it was");

    // The same through a server, which goes on meanwhile.
    let server = tool.serve(&["serve"]);
    let refused = tool.run(&["collection", "promote", "default", "00000000"]);
    assert!(must(&refused, 2).stderr.contains("has no version"), "{refused:?}");
    let live = tool.json(&["collection", "promote", "default", &id[..8], "--json"]);
    assert_eq!(live["state"], "live");
    let after = tool.digest();
    assert_ne!(after, before);
    let shown = tool.json(&["collection", "show", "--json"]);
    assert_eq!(shown["index_version"], id);
    let back = tool.json(&["collection", "rollback", "default", "--json"]);
    assert_eq!((&back["state"], &back["behind"]), (&"live".into(), &0.into()), "{back}");
    assert_eq!(tool.digest(), before);
    let first = back["version"].as_str().unwrap();
    let known = [(first.to_owned(), "live".into()), (id.to_owned(), "retired".into())];
    assert_eq!(states(&tool), known);
    tool.write("new.txt", "A document that came later.");
    tool.json(&["ingest", tool.docs().to_str().unwrap(), "--json"]);
    let behind = tool.run(&["collection", "promote", "default", id]);
    assert!(must(&behind, 2).stderr.contains("1 documents behind"), "{behind:?}");
    let caught_up = tool.json(&["collection", "build", "default", "--version", id, "--json"]);
    assert_eq!(
        (&caught_up["behind"], &caught_up["documents"]),
        (&0.into(), &(DOCUMENTS + 1).into())
    );
    tool.json(&["collection", "promote", "default", id, "--json"]);
    assert_eq!(server.terminate(), Some(0));
    must(&tool.run(&["collection", "delete", "default", "--version", first]), 0);
    assert_eq!(states(&tool), [(id.to_owned(), "live".to_owned())]);
}

/// A data directory of a release before index versions, whose documents are gone from where they were.
fn of_layout_1() -> Tool {
    let tool = Tool::new();
    let packed = include_bytes!("../fixtures/layout-1.tar.zst");
    let mut tar = tar::Archive::new(zstd::Decoder::new(&packed[..]).unwrap());
    tar.unpack(tool.data().parent().unwrap()).unwrap();
    tool
}

#[test]
fn an_older_data_directory_goes_on_and_is_built_anew_without_its_originals() {
    let tool = of_layout_1();
    let shown = tool.json(&["collection", "show", "--json"]);
    assert_eq!(shown["digest"], "68a09f05211f916df4559b55f489c084");
    assert_eq!((&shown["documents"], &shown["chunks"]), (&3.into(), &2.into()));
    assert_eq!(shown["index_version"], "63acf50765da7efc");
    let top = |tool: &Tool| {
        let found = tool.json(&["search", "pump pressure", "--json"]);
        let hit = &found["hits"][0];
        (hit["text"].clone(), hit["score"].as_f64().unwrap(), hit["also"].clone())
    };
    let found = top(&tool);
    assert_eq!(found.0, "The pump pressure limit is 7 bar. Never exceed it.");
    assert!((found.1 - 0.809_584_5).abs() < 1e-3, "{found:?}");

    let ran = tool.run(&BUILD);
    let built = must(&ran, 0).json();
    assert!(ran.stderr.contains("the original is gone"), "{ran:?}");
    assert_eq!((&built["documents"], &built["missing"]), (&3.into(), &0.into()), "{built}");
    let id = built["version"].as_str().unwrap();
    tool.json(&["collection", "promote", "default", id, "--json"]);
    assert_eq!((top(&tool).0, top(&tool).2), (found.0, found.2));
    tool.json(&["collection", "rollback", "default", "--json"]);
    assert_eq!(tool.digest(), "68a09f05211f916df4559b55f489c084");
}

fn export(tool: &Tool, file: &Path, more: &[&str]) -> Ran {
    tool.run(
        &[&["collection", "export", "default", file.to_str().unwrap(), "--json"], more].concat(),
    )
}

fn import(tool: &Tool, file: &Path, more: &[&str]) -> Ran {
    tool.run(&[&["collection", "import", file.to_str().unwrap(), "--json"], more].concat())
}

/// What a search finds, without what it took.
#[derive(Debug)]
struct Hits(Vec<(Value, Value, f64)>);

/// Scores may differ in their last bit: a vector that is stored again is brought to unit length again.
impl PartialEq for Hits {
    fn eq(&self, other: &Self) -> bool {
        let same = |((a_uri, a_text, a), (b_uri, b_text, b)): (&(_, _, f64), &(_, _, f64))| {
            (a_uri, a_text) == (b_uri, b_text) && (a - b).abs() < 1e-5
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

fn hits(tool: &Tool, query: &str, name: &str) -> Hits {
    let found = tool.json(&["search", query, "-c", name, "--json"]);
    let hits = found["hits"].as_array().unwrap().iter();
    let told =
        |hit: &Value| (hit["uri"].clone(), hit["text"].clone(), hit["score"].as_f64().unwrap());
    Hits(hits.map(told).collect())
}

#[test]
fn a_collection_travels_in_one_file() {
    let tool = filled();
    let file = tool.data().with_file_name("all.vellum");
    let told = must(&export(&tool, &file, &[]), 0).json();
    assert_eq!((&told["documents"], &told["digest"]), (&DOCUMENTS.into(), &tool.digest().into()));
    assert_eq!(must(&export(&tool, &file, &[]), 2).stdout, "", "an existing file is not replaced");

    let other = Tool::new();
    let made = must(&import(&other, &file, &[]), 0).json();
    assert_eq!((&made["digest"], &made["collection"]), (&told["digest"], &"default".into()));
    assert_eq!(other.digest(), tool.digest());
    let query = "which team services valve 5";
    assert_eq!(hits(&other, query, "default"), hits(&tool, query, "default"));
    let taken = import(&other, &file, &[]);
    assert!(must(&taken, 2).stderr.contains("exists already"), "{taken:?}");

    // Under another name, through a server, and from a file without the documents.
    let texts = other.data().with_file_name("texts.vellum");
    let server = other.serve(&["serve"]);
    must(&import(&other, &file, &["--as", "second"]), 0);
    assert_eq!(hits(&other, query, "second"), hits(&tool, query, "default"));
    // The originals travelled: they are there when their source is not.
    fs::rename(tool.docs(), tool.docs().with_file_name("moved")).unwrap();
    let again = must(&export(&other, &texts, &["--without-originals"]), 0).json();
    assert_eq!((&again["digest"], &again["originals"]), (&told["digest"], &0.into()));
    let whole = other.data().with_file_name("whole.vellum");
    let again = must(&export(&other, &whole, &[]), 0).json();
    assert_eq!(again["originals"], told["originals"], "{again}");
    assert_eq!(server.terminate(), Some(0));
    let third = Tool::new();
    must(&import(&third, &texts, &[]), 0);
    assert_eq!(third.digest(), tool.digest());

    // A file that is cut off or changed is refused, and nothing is made of it.
    let bytes = fs::read(&file).unwrap();
    let broken = file.with_file_name("broken.vellum");
    let fresh = Tool::new();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for bad in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &flipped, b"no export"] {
        fs::write(&broken, bad).unwrap();
        let refused = import(&fresh, &broken, &[]);
        assert!(must(&refused, 2).stderr.contains("no whole export"), "{refused:?}");
    }
    let list = fresh.json(&["collection", "list", "--json"]);
    assert_eq!(list["collections"].as_array().unwrap().len(), 0);
}

#[test]
fn a_file_of_the_first_format_is_imported() {
    let tool = Tool::new();
    let file = root().join("crates/vellum/tests/fixtures/export-1.vellum");
    let made = must(&import(&tool, &file, &[]), 0).json();
    assert_eq!(made["digest"], "42db00eeda974ae3950146518ee769e0");
    let counts = ["documents", "chunks", "originals", "datasets", "opinions"];
    assert_eq!(counts.map(|key| made[key].as_u64().unwrap()), [3, 2, 2, 0, 0]);
    let shown = tool.json(&["collection", "show", "--json"]);
    assert_eq!(shown["retrieval"]["leg_limit"], 30);
    let found = tool.json(&["search", "pump pressure", "--json"]);
    assert_eq!(found["hits"][0]["text"], "The pump pressure limit is 7 bar. Never exceed it.");
}

/// Writes a dataset with a question about each document of [`filled`].
fn with_dataset(tool: &Tool) -> String {
    let (mut queries, mut qrels) = (String::new(), String::new());
    for n in 0..DOCUMENTS {
        queries += &format!("{{\"_id\":\"q{n}\",\"text\":\"how often is valve {n} serviced\"}}\n");
        qrels += &format!("q{n}\t{n}.txt\t1\n");
    }
    let folder = tool.docs().with_file_name("valves");
    fs::create_dir_all(folder.join("qrels")).unwrap();
    fs::write(folder.join("queries.jsonl"), queries).unwrap();
    fs::write(folder.join("qrels/test.tsv"), qrels).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn versions_are_compared_on_datasets_of_the_collection() {
    let tool = filled();
    let dir = with_dataset(&tool);
    let none = tool.run(&["collection", "compare", "default"]);
    assert!(must(&none, 2).stderr.contains("vellum collection build"), "{none:?}");
    let built = tool.json(&BUILD);
    let id = built["version"].as_str().unwrap();
    let none = tool.run(&["collection", "compare", "default"]);
    assert!(
        must(&none, 2).stderr.contains("vellum collection dataset add default DIR"),
        "{none:?}"
    );
    let added = tool.json(&["collection", "dataset", "add", "default", &dir, "--json"]);
    assert_eq!((&added["name"], &added["judged"]), (&"valves".into(), &DOCUMENTS.into()));

    let report = tool.data().with_file_name("report.html");
    let compare = ["collection", "compare", "default", "--json"];
    let ran = tool.run(&[&compare[..], &["--report", report.to_str().unwrap()]].concat());
    let here = ran.json();
    let on = &here["datasets"][0];
    let worse = on["verdict"] == "worse";
    assert_eq!(ran.status, i32::from(worse), "{here}");
    assert_eq!((&here["version"], &on["metric"]), (&id.into(), &"ndcg_at_10".into()));
    assert_eq!(on["difference"]["n"], DOCUMENTS);
    assert!(fs::read_to_string(&report).unwrap().contains("<svg"));

    // The same through a server.
    let server = tool.serve(&["serve"]);
    let there = tool.run(&compare).json();
    assert_eq!(there["datasets"][0]["difference"], on["difference"]);
    let told = tool.run(&["collection", "compare", "default", &id[..8], "--metric", "recall_at_3"]);
    assert!(told.stdout.contains("recall_at_3 of hybrid"), "{told:?}");
    let wrong = tool.run(&["collection", "compare", "default", "--metric", "luck"]);
    assert!(
        must(&wrong, 2).stderr.contains("there are evidence")
            || wrong.stderr.contains("ndcg_at_10")
    );
    let versions = tool.json(&["collection", "versions", "--json"]);
    for version in versions["versions"].as_array().unwrap() {
        assert_eq!(version["scores"][0]["dataset"], "valves", "{version}");
    }
    let table = tool.run(&["collection", "versions"]);
    assert!(must(&table, 0).stdout.contains("valves "), "{table:?}");
    assert_eq!(server.terminate(), Some(0));

    let list = tool.json(&["eval", "list", "--json"]);
    let experiments = list["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 6, "{list}");
    let of = |it: &Value| it["index_version"] == id && it["collection"] == "default";
    assert_eq!(experiments.iter().filter(|it| of(it)).count(), 3);
    let promoted = tool.json(&["collection", "promote", "default", id, "--json"]);
    assert_eq!(promoted["warnings"].as_array().unwrap().is_empty(), !worse, "{promoted}");

    // Datasets travel with their collection, and go away with it.
    let file = tool.data().with_file_name("judged.vellum");
    assert_eq!(must(&export(&tool, &file, &[]), 0).json()["datasets"], 1);
    let other = Tool::new();
    assert_eq!(must(&import(&other, &file, &[]), 0).json()["datasets"], 1);
    let listed = other.json(&["collection", "dataset", "list", "default", "--json"]);
    assert_eq!(listed["datasets"][0]["queries"], DOCUMENTS);
    must(&tool.run(&["collection", "dataset", "remove", "default", "valves"]), 0);
    must(&other.run(&["collection", "delete", "default", "--yes"]), 0);
    assert!(!other.data().join("datasets/default").exists());
}

/// Starts a command and kills it after a part of the time that a whole run takes.
fn kill_amid(tool: &Tool, args: &[&str], whole: Duration, random: &mut Random) {
    let mut child = tool.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(whole.mul_f64(1.1 * random.below(1_000) as f64 / 1_000.0));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn timed(tool: &Tool, args: &[&str]) -> (Ran, Duration) {
    let started = Instant::now();
    let ran = tool.run(args);
    must(&ran, 0);
    (ran, started.elapsed())
}

#[test]
fn a_kill_amid_build_promote_export_or_import_loses_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("VELLUM_KILLS").unwrap_or(KILLS);
    let seed = number("VELLUM_SEED").unwrap_or(1);
    println!("VELLUM_KILLS={kills} VELLUM_SEED={seed}");
    let mut random = Random(seed);
    let tool = filled();
    let before = tool.digest();
    let (built, mut whole) = timed(&tool, &BUILD);
    let id = built.json()["version"].as_str().unwrap().to_owned();
    let promote = ["collection", "promote", "default", &id, "--json"];
    let roll_back = ["collection", "rollback", "default", "--json"];
    let (_, promoting) = timed(&tool, &promote);
    let after = tool.digest();
    timed(&tool, &roll_back);

    for kill in 0..kills {
        must(&tool.run(&["collection", "delete", "default", "--version", &id]), 0);
        kill_amid(&tool, &BUILD, whole, &mut random);
        assert_eq!(tool.digest(), before, "build, kill {kill} of seed {seed}");
        let half = states(&tool);
        let is_ready = half.get(1).is_some_and(|(_, state)| state == "ready");
        if half.len() > 1 && !is_ready {
            let refused = tool.run(&promote);
            assert!(must(&refused, 2).stderr.contains("not fully built"), "{refused:?}");
        }
        let (again, took) = timed(&tool, &BUILD);
        whole = (whole + took) / 2;
        assert_eq!(again.json()["behind"], 0);

        kill_amid(&tool, &promote, promoting, &mut random);
        let live = tool.digest();
        assert!(live == before || live == after, "promote, kill {kill} of seed {seed}: {live}");
        timed(&tool, &promote);
        assert_eq!(tool.digest(), after, "promote, kill {kill} of seed {seed}");
        timed(&tool, &roll_back);
        assert_eq!(tool.digest(), before);
    }

    let file = |n: u64| tool.data().with_file_name(format!("{n}.vellum"));
    let args = |file: &PathBuf| {
        ["collection", "export", "default", file.to_str().unwrap()].map(str::to_owned)
    };
    let first = args(&file(kills));
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    tool.json(&["collection", "dataset", "add", "default", &with_dataset(&tool), "--json"]);
    let (_, exporting) = timed(&tool, &first);
    for kill in 0..kills {
        let target = file(kill);
        let owned = args(&target);
        let export: Vec<&str> = owned.iter().map(String::as_str).collect();
        kill_amid(&tool, &export, exporting, &mut random);
        if !target.exists() {
            timed(&tool, &export);
        }
        assert_eq!(tool.digest(), before);

        let other = Tool::new();
        let import = ["collection", "import", target.to_str().unwrap(), "--json"];
        kill_amid(&other, &import, exporting, &mut random);
        let list = other.json(&["collection", "list", "--json"]);
        match list["collections"].as_array().unwrap().len() {
            0 => drop(timed(&other, &import)),
            _ => drop(must(&other.run(&import), 2)),
        }
        assert_eq!(other.digest(), before, "import, kill {kill} of seed {seed}");
        let list = other.json(&["collection", "versions", "--json"]);
        assert_eq!(list["versions"].as_array().unwrap().len(), 1);
        let list = other.json(&["collection", "dataset", "list", "--json"]);
        assert_eq!(list["datasets"][0]["queries"], DOCUMENTS, "import, kill {kill} of seed {seed}");
    }
}
