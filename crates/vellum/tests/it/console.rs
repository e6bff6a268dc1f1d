//! The console in a real browser: ask, read the answer, follow a citation to its page; versions and what they are worth.

use crate::tool::{Tool, root};
use std::process::{Command, Stdio};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Returns the page at `url` as the browser has it after scripts ran; `None` without a browser.
fn page(url: &str) -> Option<String> {
    let browser = BROWSERS.iter().find(|name| {
        let mut probe = Command::new(name);
        probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })?;
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=8000", "--timeout=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn ask_and_follow_a_citation() {
    let tool = Tool::new();
    for name in ["tw-series-datasheet.pdf", "leave-policy.md"] {
        std::fs::copy(root().join("examples/handbook").join(name), tool.docs().join(name)).unwrap();
    }
    tool.write("hostile.md", "# <script>document.title='owned'</script>\n\nThe <img src=x onerror=alert(1)> code word is marzipan.\n");
    tool.json(&["ingest", "docs", "--json"]);
    let server = tool.serve(&["serve"]);
    let base = format!("http://{}", server.address);
    let Some(answer) = page(&format!("{base}/?q=When+was+the+datasheet+DS-TW-2026-03+issued%3F"))
    else {
        eprintln!("skipped: no Chromium on this machine");
        return;
    };
    assert!(answer.contains("27 March 2026"), "{answer}");
    let thumbs = answer.split("<form class=\"feedback\"").nth(1).unwrap();
    assert!(!thumbs.split('>').next().unwrap().contains("hidden"), "{thumbs}");
    let at = answer.find("documents/").unwrap_or_else(|| panic!("no citation in {answer}"));
    let link = answer[at..].split(['"', '\'']).next().unwrap().replace("&amp;", "&");
    let cited = page(&format!("{base}/{link}")).unwrap();
    assert!(cited.contains("<mark"), "{cited}");
    assert!(cited.contains("27 March 2026"), "{cited}");
    // The page is shown as it looks, with the cited words marked on it.
    assert!(cited.contains("/image?width=") && cited.contains("<rect "), "{cited}");

    let hostile = page(&format!("{base}/?q=What+is+the+code+word%3F")).unwrap();
    assert!(hostile.contains("marzipan"), "{hostile}");
    assert!(!hostile.contains("<img src=\"x\"") && !hostile.contains("<title>owned"), "{hostile}");
}

#[test]
fn versions_and_what_they_are_worth() {
    let tool = Tool::with_documents();
    tool.json(&["ingest", "docs", "--json"]);
    let set = tool.docs().with_file_name("set");
    std::fs::create_dir_all(set.join("qrels")).unwrap();
    std::fs::write(set.join("queries.jsonl"), "{\"_id\":\"q\",\"text\":\"pump pressure\"}\n")
        .unwrap();
    std::fs::write(set.join("qrels/test.tsv"), "q\tpump.txt\t1\n").unwrap();
    tool.json(&["collection", "dataset", "add", "default", "set", "--json"]);
    let build = ["collection", "build", "default", "--max-tokens", "40", "--json"];
    let built = tool.json(&build);
    let id = built["version"].as_str().unwrap();
    tool.json(&["collection", "compare", "default", "--json"]);
    let server = tool.serve(&["serve"]);
    let Some(shown) = page(&format!("http://{}/versions", server.address)) else {
        eprintln!("skipped: no Chromium on this machine");
        return;
    };
    let version = shown.split(&format!("id=\"v-{id}\"")).nth(1).unwrap();
    let version = version.split("</li>\n").next().unwrap();
    assert!(version.contains("state ready") && version.contains("up to 40 tokens"), "{version}");
    assert!(version.contains("nDCG@10 on set</dt><dd>1.0000"), "{version}");
    for action in ["Compare with the live one", "Promote…", "Undecided: ndcg_at_10"] {
        assert!(version.contains(action), "{action}: {version}");
    }
    assert!(shown.contains("Build another version") && !shown.contains("Roll back"), "{shown}");
}
