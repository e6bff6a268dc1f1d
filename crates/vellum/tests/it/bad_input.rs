//! Bad input gets one clear line and the right exit code, and never stops the others.

use crate::tool::Tool;

/// Checks the status, and that stderr holds each text; an error is one line and at most one hint.
fn check(tool: &Tool, args: &[&str], status: i32, expect: &[&str]) {
    let ran = tool.run(args);
    assert_eq!(ran.status, status, "{args:?}: {ran:?}");
    for text in expect {
        assert!(ran.stderr.contains(text), "{args:?}: no `{text}` in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn what_is_not_there() {
    let tool = Tool::new();
    check(&tool, &["ingest", "nowhere"], 2, &["`nowhere` does not exist", "hint:"]);
    check(&tool, &["ingest", "s3://bucket/x"], 2, &["s3"]);
    check(&tool, &["ingest", "docs"], 1, &["no documents in docs", "hint:"]);
    check(
        &tool,
        &["search", "x", "-c", "other"],
        2,
        &["collection `other` does not exist", "hint:"],
    );
    check(
        &tool,
        &["search", "x", "-c", "Bad Name"],
        2,
        &["collection name `Bad Name` is not valid"],
    );
    check(&tool, &["collection", "delete", "other", "--yes"], 2, &["does not exist"]);
    check(&tool, &["eval", "--dataset", "docs"], 2, &["corpus.jsonl", "BEIR"]);
    check(&tool, &["convert", "nowhere.pdf"], 2, &["nowhere.pdf"]);
    check(&tool, &["--config", "nowhere.toml", "check"], 2, &["nowhere.toml"]);
    check(&tool, &["serve", "--bind", "nonsense"], 2, &["server.bind", "ADDRESS:PORT"]);
}

#[test]
fn one_bad_file_never_stops_the_others() {
    let tool = Tool::with_documents();
    tool.write("empty.txt", "");
    tool.write(
        "noise.bin",
        (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
    );
    tool.write(
        "damaged.pdf",
        b"%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 9 0 R >> endobj\ntrailer",
    );
    // A gigabyte that takes no space: larger than what is read at all.
    let huge = std::fs::File::create(tool.docs().join("huge.bin")).unwrap();
    huge.set_len(1 << 30).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", tool.docs().join("loop")).unwrap();
    let ran = tool.run(&["ingest", "docs", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    let number = |key: &str| report[key].as_u64().unwrap();
    let length = |key: &str| report[key].as_array().unwrap().len() as u64;
    assert_eq!((number("added"), length("rejected"), length("failed")), (3, 4, 0), "{report}");
    assert_eq!(
        number("listed"),
        number("added")
            + number("updated")
            + number("unchanged")
            + length("rejected")
            + length("failed")
    );
    for refusal in report["rejected"].as_array().unwrap() {
        let reason = refusal["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }
    assert!(ran.stderr.contains("loop"), "links are told of: {}", ran.stderr);
    assert_eq!(tool.run(&["ask", "What is the pump pressure limit?"]).status, 0);
}

#[test]
fn a_password_protected_pdf_says_so() {
    let tool = Tool::with_documents();
    let locked = crate::tool::root().join("crates/vellum-convert/tests/data/locked.pdf");
    std::fs::copy(locked, tool.docs().join("secret.pdf")).unwrap();
    let report = tool.json(&["ingest", "docs", "--json"]);
    let reason = report["rejected"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("password"), "{reason}");
    assert_eq!(tool.run(&["convert", "docs/secret.pdf"]).status, 1);
}

#[test]
fn a_data_directory_of_a_newer_version_is_left_alone() {
    let tool = Tool::with_documents();
    std::fs::create_dir(tool.data()).unwrap();
    std::fs::write(tool.data().join("VERSION"), "99\n").unwrap();
    check(&tool, &["ingest", "docs"], 2, &["layout 99", "hint:"]);
    assert_eq!(std::fs::read_dir(tool.data()).unwrap().count(), 1);
}

#[test]
fn a_data_directory_that_is_a_file() {
    let tool = Tool::with_documents();
    std::fs::write(tool.data(), "x").unwrap();
    check(&tool, &["ingest", "docs"], 2, &["data directory", "hint:"]);
}

#[test]
fn wrong_settings_name_their_place() {
    let tool = Tool::new();
    std::fs::write(tool.docs().join("../vellum.toml"), "[ingest]\nconcurency = 3\n").unwrap();
    check(&tool, &["config", "show"], 2, &["unknown setting `ingest.concurency`", "did you mean"]);
}

#[test]
fn documents_are_cut_as_the_collection_was_made() {
    let tool = Tool::with_documents();
    let wrong: [(&[&str], &[&str]); 4] = [
        (
            &["--splitter", "words"],
            &["flag --splitter: `collection.splitter` must be one of", "`recursive`"],
        ),
        (&["--max-tokens", "8"], &["flag --max-tokens", "must be in 16 to 8192"]),
        (&["--max-tokens", "9000"], &["flag --max-tokens", "must be in 16 to 8192"]),
        (&["--overlap-tokens", "250"], &["flag --overlap-tokens", "at most 240: 16 of"]),
    ];
    for (flags, expect) in wrong {
        check(&tool, &[&["ingest", "docs"], flags].concat(), 2, expect);
    }
    check(&tool, &["ingest", "docs", "--splitter", "recursive", "--max-tokens", "64"], 0, &[]);
    let shown = tool.json(&["collection", "show", "--json"]);
    assert_eq!(
        (shown["splitter"]["name"].as_str(), shown["splitter"]["max_tokens"].as_u64()),
        (Some("recursive"), Some(64))
    );
    // What a collection has been is not changed in silence.
    check(
        &tool,
        &["ingest", "docs", "--splitter", "fixed"],
        2,
        &["collection `default` is cut by `recursive` with 64 tokens", "leave --splitter out"],
    );
    check(&tool, &["ingest", "docs", "--splitter", "recursive"], 0, &[]);
    check(&tool, &["ingest", "docs"], 0, &[]);
}
