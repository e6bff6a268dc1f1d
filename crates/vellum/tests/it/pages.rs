//! Proof on the page: a citation's rectangles, the page as a picture, and what has neither.

use crate::tool::{Tool, root};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Returns head and body of the answer to a GET request.
fn get(address: &str, path: &str, header: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase(), answer.split_off(end + 4))
}

/// Returns width and height in the header of a PNG.
fn png_size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn a_citation_is_marked_on_the_picture_of_its_page() {
    let tool = Tool::new();
    for name in ["tw-series-datasheet.pdf", "leave-policy.md"] {
        std::fs::copy(root().join("examples/handbook").join(name), tool.docs().join(name)).unwrap();
    }
    tool.json(&["ingest", "docs", "--json"]);
    let question = "When was the datasheet DS-TW-2026-03 issued?";
    let answer = tool.json(&["ask", question, "--json"]);
    let citation = &answer["citations"][0];
    assert_eq!(
        (&citation["source"], &citation["page_kind"]),
        (&json!("tw-series-datasheet.pdf"), &json!("page"))
    );
    let boxes = citation["boxes"].as_array().unwrap();
    assert!(!boxes.is_empty(), "{citation}");
    for place in boxes {
        assert_eq!(place["page"], citation["page"]);
        let number = |key: &str| place[key].as_f64().unwrap();
        assert!(0.0 <= number("x0") && number("x0") < number("x1"), "{place}");
        assert!(0.0 <= number("y0") && number("y0") < number("y1"), "{place}");
        assert!(number("x1") <= number("page_width") && number("y1") <= number("page_height"));
    }

    let server = tool.serve(&["serve"]);
    let document = format!("/api/v1/documents/{}", citation["document_id"].as_str().unwrap());
    let span = format!("start={}&end={}", citation["start"], citation["end"]);
    let (_, same) = get(&server.address, &format!("{document}/boxes?{span}"), "");
    assert_eq!(serde_json::from_slice::<Value>(&same).unwrap()["boxes"], citation["boxes"]);

    let picture = format!("{document}/pages/{}/image", citation["page"]);
    let (head, png) = get(&server.address, &format!("{picture}?width=600"), "");
    assert!(head.contains("content-type: image/png"), "{head}");
    let (width, height) = png_size(&png);
    let number = |key: &str| boxes[0][key].as_f64().unwrap();
    let expected = 600.0 / number("page_width") * number("page_height");
    assert!(width == 600 && (f64::from(height) - expected).abs() < 1.5, "{width} x {height}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let known = format!("If-None-Match: {tag}\r\n");
    let (head, body) = get(&server.address, &format!("{picture}?width=600"), &known);
    assert!(head.contains(" 304 ") && body.is_empty(), "{head}");

    for (path, status, message) in [
        (format!("{document}/pages/99/image"), "404", "has no page 99, but"),
        (format!("{picture}?width=9"), "400", "width 9 is not in 64 to 2400"),
        (format!("{document}/boxes?start=5&end=4"), "400", "start 5 is behind end 4"),
    ] {
        let (head, body) = get(&server.address, &path, "");
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert!(head.contains(&format!(" {status} ")), "{path}: {head}");
        assert!(problem["detail"].as_str().unwrap().contains(message), "{path}: {problem}");
    }

    let leave = tool.json(&["ask", "How many days of annual leave do employees get?", "--json"]);
    let citation = &leave["citations"][0];
    assert_eq!((&citation["source"], &citation["boxes"]), (&json!("leave-policy.md"), &json!([])));
    let document = citation["document_id"].as_str().unwrap();
    let (head, body) =
        get(&server.address, &format!("/api/v1/documents/{document}/pages/1/image"), "");
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert!(head.contains(" 404 "), "{head}");
    assert!(
        problem["detail"].as_str().unwrap().contains("`markdown` have no picture"),
        "{problem}"
    );

    // A page of what was ingested cannot be drawn once the file is another.
    std::fs::copy(
        root().join("examples/handbook/leave-policy.md"),
        tool.docs().join("tw-series-datasheet.pdf"),
    )
    .unwrap();
    let (head, _) = get(&server.address, &format!("{picture}?width=700"), "");
    assert!(head.contains(" 409 "), "{head}");
}
