//! One process owns a data directory; the others go through it and behave the same.

use crate::tool::{Tool, run};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends a request and returns the whole response.
fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn get(address: &str, path: &str) -> String {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

#[test]
fn commands_go_through_the_server_and_say_the_same() {
    let tool = Tool::with_documents();
    let local = Tool::with_documents();
    let server = tool.serve(&["serve"]);
    let ask = ["ask", "What is the pump pressure limit?"];
    let missing = tool.run(&ask);
    let missing_local = local.run(&ask);
    assert_eq!((missing.status, missing.stderr), (missing_local.status, missing_local.stderr));
    let report = tool.json(&["ingest", "docs", "--json"]);
    assert_eq!(report["added"], json!(3));
    local.json(&["ingest", "docs", "--json"]);
    let (there, here) = (tool.run(&ask), local.run(&ask));
    assert_eq!((there.status, there.stdout), (here.status, here.stdout));
    assert_eq!(tool.run(&["ingest", "nowhere"]).status, 2);
    assert_eq!(tool.run(&["check"]).status, 0);
    let listed = tool.json(&["collection", "list", "--json"]);
    assert_eq!(listed["collections"][0]["documents"], json!(3));
    assert_eq!(tool.run(&["collection", "delete", "default", "--yes"]).status, 0);
    assert_eq!(tool.run(&ask).status, 2);
    assert_eq!(server.terminate(), Some(0));
    assert!(!tool.data().join("server.json").exists());
}

#[test]
fn jobs_are_shown_ended_and_repeated_here_and_through_the_server() {
    let (tool, local) = (Tool::with_documents(), Tool::with_documents());
    let server = tool.serve(&["serve"]);
    for tool in [&tool, &local] {
        tool.json(&["ingest", "docs", "--json"]);
        let jobs = tool.json(&["job", "list", "--json"]);
        let job = &jobs["jobs"][0];
        assert_eq!((&job["state"], &job["report"]["added"]), (&json!("done"), &json!(3)));
        let id = job["id"].as_str().unwrap();
        assert_eq!(&tool.json(&["job", "show", id, "--json"]), job);
        let shown = tool.run(&["job", "show", id]);
        assert!(shown.stdout.contains("3 listed, 3 added"), "{shown:?}");
        let ended = tool.run(&["job", "cancel", id]);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.stderr.contains("has ended: done"), "{ended:?}");
        assert_eq!(tool.json(&["job", "retry", id, "--json"])["unchanged"], json!(3));
        assert_eq!(tool.json(&["job", "list", "--json"])["jobs"].as_array().unwrap().len(), 2);
        let table = tool.run(&["job", "list"]);
        assert!(table.stdout.contains(id) && table.stdout.contains("DOCUMENTS"), "{table:?}");
        let unknown = tool.run(&["job", "show", "00000000-0000-4000-8000-000000000000"]);
        assert_eq!(unknown.status, 2, "{unknown:?}");
        assert!(unknown.stderr.contains("does not exist"), "{unknown:?}");
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn two_servers_and_a_taken_port() {
    let tool = Tool::new();
    let server = tool.serve(&["serve"]);
    let second = tool.run(&["serve", "--bind", "127.0.0.1:0"]);
    assert_eq!(second.status, 2, "{second:?}");
    assert!(
        second.stderr.contains("serves this data directory at http://127.0.0.1:"),
        "{second:?}"
    );
    let other = Tool::new();
    let taken = other.run(&["serve", "--bind", &server.address]);
    assert_eq!(taken.status, 2, "{taken:?}");
    assert!(taken.stderr.contains("--bind"), "{taken:?}");
    assert!(!taken.stderr.contains(&server.token) && !second.stderr.contains(&server.token));
}

#[test]
fn a_lock_and_an_address_left_by_a_crash_do_not_matter() {
    let tool = Tool::with_documents();
    let mut server = tool.serve(&["serve"]);
    server.kill();
    assert!(tool.data().join("server.json").exists());
    assert_eq!(tool.run(&["ingest", "docs"]).status, 0);
    assert!(!tool.data().join("server.json").exists());
}

#[test]
fn a_directory_in_use_by_a_command_is_said_so() {
    let tool = Tool::with_documents();
    std::fs::create_dir(tool.data()).unwrap();
    let lock = std::fs::File::create(tool.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let ran = tool.run(&["ingest", "docs"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("is in use by another vellum process"), "{ran:?}");
}

#[test]
fn up_ingests_watches_and_serves() {
    let tool = Tool::with_documents();
    let server = tool.serve(&["up", "docs"]);
    let asks = |question: &str, expect: &str| {
        let started = std::time::Instant::now();
        loop {
            let ran = tool.run(&["ask", question]);
            if ran.stdout.contains(expect) {
                return;
            }
            assert!(started.elapsed().as_secs() < 60, "{ran:?}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    asks("What is the pump pressure limit?", "7 bar");
    tool.write("new.txt", "The cafeteria opens at eleven on Fridays.\n");
    asks("When does the cafeteria open on Fridays?", "eleven");
    assert!(get(&server.address, "/healthz").contains("200 OK"));
    assert!(get(&server.address, "/readyz").contains("\"ready\":true"));
    assert!(get(&server.address, "/metrics").contains("vellum_"));
    assert!(get(&server.address, "/api/v1/openapi.json").contains("\"openapi\""));
    assert!(get(&server.address, "/").contains("<html"));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn changes_over_http_need_the_token() {
    let tool = Tool::with_documents();
    let server = tool.serve(&["serve"]);
    let body = r#"{"source":"/etc"}"#;
    let post = |header: &str| {
        http(
            &server.address,
            &format!(
                "POST /api/v1/collections/default/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n{body}",
                body.len()
            ),
        )
    };
    assert!(post("").starts_with("HTTP/1.1 401"), "{}", post(""));
    assert!(post("Authorization: Bearer wrong\r\n").starts_with("HTTP/1.1 401"));
    assert!(
        !post(&format!("Authorization: Bearer {}\r\n", server.token)).starts_with("HTTP/1.1 401")
    );
    let rebound = http(
        &server.address,
        "GET /api/v1/collections HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    );
    assert!(rebound.starts_with("HTTP/1.1 4"), "{rebound}");
}

#[test]
fn the_token_file_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let tool = Tool::new();
    let _server = tool.serve(&["serve"]);
    let mode = std::fs::metadata(tool.data().join("server.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ran = run(&mut tool.command(&["collection", "list"]));
    assert_eq!(ran.status, 0);
}

#[test]
fn a_reranker_that_does_not_answer_is_told_and_is_not_needed() {
    let tool = Tool::new();
    // Nothing listens on the discard port.
    let check = |more: &[&str]| {
        let mut command = tool.command(&[&["check"], more].concat());
        run(command.env("VELLUM_RERANKER_MODEL", "http://127.0.0.1:9/"))
    };
    let ran = check(&["--json"]);
    assert_eq!((ran.status, &ran.json()["ok"]), (0, &json!(true)), "{ran:?}");
    let claims = ran.json()["checks"].as_array().unwrap().clone();
    let last = claims.last().unwrap();
    assert_eq!((&last["ok"], &last["degrades"]), (&json!(false), &json!(true)), "{last}");
    assert!(check(&[]).stdout.contains(" DEGRADED  the reranker scores"));
}
