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
