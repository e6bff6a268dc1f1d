//! Whatever the input: no panic, and positions that hold.

use proptest::prelude::*;
use vellum_convert::{Settings, convert};
use vellum_core::ports::ConvertInput;

/// Pieces from which markup is made, so that random input reaches deep into the converters.
const PIECES: &[&str] = &[
    "# ",
    "## ",
    "\n",
    "\n\n",
    "- ",
    "1. ",
    "  ",
    "    ",
    "| a | b |\n",
    "|--|--|\n",
    "```\n",
    "> ",
    "**",
    "_",
    "`",
    "[x](y)",
    "![a](b)",
    "---\n",
    "title: t\n",
    "<div>",
    "</div>",
    "<table>",
    "<tr>",
    "<td>",
    "</table>",
    "<h1>",
    "</h1>",
    "<h2>",
    "<ul>",
    "<li>",
    "</ul>",
    "<pre>",
    "</pre>",
    "<nav>",
    "</nav>",
    "<header>",
    "</header>",
    "<script>",
    "</script>",
    "<title>",
    "</title>",
    "<br>",
    "<p>",
    "&amp;",
    "<!--",
    "-->",
    "word",
    "é",
    "中文",
    "\u{ad}",
    "\r",
    "\t",
    "\0",
    "<html>",
    "<article>",
    "<footer>",
    "<caption>",
];

/// The same for rich text, e-mail, tables and JSON.
const OTHER_PIECES: &[&str] = &[
    "{",
    "}",
    "{\\rtf1",
    "\\par ",
    "\\cell",
    "\\row ",
    "\\intbl ",
    "\\trowd",
    "{\\*\\footnote ",
    "{\\footnote ",
    "{\\fonttbl{\\f1\\fcharset128 A;}}",
    "\\f1",
    "\\uc2",
    "\\u-10179 ?",
    "\\'93",
    "\\bin9",
    "\\v ",
    "{\\stylesheet{\\s1 heading 1;}}",
    "\\s1 ",
    "\\fromhtml1",
    "{\\*\\htmltag1 <p>}",
    "Subject: x\n",
    "From: a <b@c>\n",
    "Received: by d\n",
    "Content-Type: multipart/mixed; boundary=b\n",
    "Content-Type: multipart/alternative; boundary=c\n",
    "Content-Type: message/rfc822\n",
    "Content-Type: text/html; charset=utf-7\n",
    "Content-Type: text/calendar\n",
    "Content-Transfer-Encoding: base64\n",
    "Content-Transfer-Encoding: quoted-printable\n",
    "\n--b\n",
    "\n--c\n",
    "\n--b--\n",
    "\n",
    "\n\n",
    "=C3=A4=\n",
    "UEsDBA==",
    "> quoted text that is long enough to be compared\n",
    "BEGIN:VEVENT\nDTSTART:2024é301\n",
    "\"",
    "[",
    "]",
    ":",
    ",",
    "\"k\"",
    "{\"k\":1,\"l\":\"\\ud83d\"}",
    "1e5",
    ";",
    "\t",
    "a,b\n",
    "1,2\n",
    "fn a() {\n",
    "def f(x):\n",
    "func (",
    "int f(x) {\n",
    "é",
    "word ",
];

/// Files of every binary format.
const FILES: &[&str] = &[
    "ascii.msg",
    "handbook.doc",
    "handbook.epub",
    "handbook-pandoc.rtf",
    "handbook-word.rtf",
    "invite.eml",
    "locked.docx",
    "papers.zip",
    "reply.eml",
    "rtf-html.msg",
];

fn check(name: &str, bytes: Vec<u8>) {
    let input = ConvertInput { name: name.into(), content: bytes.into() };
    let Ok(document) = convert(&input, &Settings::default()) else { return };
    let text = &document.text;
    assert!(
        !text.contains("\n\n\n") && !text.contains(" \n") && !text.contains(['\0', '\r']),
        "{text:?}"
    );
    assert_eq!(text.trim_end(), text);
    let mut last = 0;
    for section in &document.sections {
        let span = section.span;
        assert!(text.get(span.start..span.end).is_some(), "{span:?} in {text:?}");
        assert!(span.start >= last, "sections ascend");
        last = span.start;
    }
}

proptest! {
    #[test]
    fn markup_of_pieces(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let source: String = picks.iter().map(|&n| PIECES[n]).collect();
        for name in ["a.md", "a.html", "a.txt", "a"] {
            check(name, source.clone().into_bytes());
        }
        check("a.html", format!("<html>{source}").into_bytes());
    }

    #[test]
    fn other_formats_of_pieces(picks in prop::collection::vec(0..OTHER_PIECES.len(), 0..60)) {
        let source: String = picks.iter().map(|&n| OTHER_PIECES[n]).collect();
        for name in ["a.eml", "a.csv", "a.json", "a.jsonl", "a.rs", "a.go", "a.c", "a"] {
            check(name, source.clone().into_bytes());
        }
        check("a.rtf", format!("{{\\rtf1{source}").into_bytes());
        check("a.eml", format!("Subject: x\n{source}").into_bytes());
    }

    #[test]
    fn damaged_files(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        end in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.3),
    ) {
        let path = format!("{}/tests/data/{}", env!("CARGO_MANIFEST_DIR"), FILES[file]);
        let mut bytes = std::fs::read(path).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        check(FILES[file], bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), pdf in any::<bool>()) {
        let head: &[u8] = if pdf { b"%PDF-1.7\n" } else { b"" };
        check("a.md", [head, &bytes].concat());
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        for name in ["a.md", "a.html", "a.txt"] {
            check(name, text.clone().into_bytes());
        }
    }
}
