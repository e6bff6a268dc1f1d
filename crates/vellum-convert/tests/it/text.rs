//! Plain text, Markdown and HTML: exact text, sections and title.

use vellum_convert::{Settings, convert};
use vellum_core::document::{Document, SectionKind};
use vellum_core::ports::ConvertInput;
use vellum_core::{ErrorKind, Result};

pub(crate) fn run(name: &str, bytes: &[u8]) -> Result<Document> {
    let input = ConvertInput { name: name.into(), content: bytes.to_vec().into() };
    convert(&input, &Settings::default())
}

fn check(name: &str, source: &str, expect: &str) {
    let document = run(name, source.as_bytes()).unwrap();
    assert_eq!(document.text, expect, "{name}: {source}");
}

#[track_caller]
pub(crate) fn check_rejected(name: &str, bytes: &[u8], expect: &str) {
    let error = run(name, bytes).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Rejected, expect));
}

/// Returns `level title => covered text` of every heading, line ends as `/`.
fn headings(document: &Document) -> Vec<String> {
    let line = |section: &vellum_core::document::Section| match &section.kind {
        SectionKind::Heading { level, title } => {
            let covered = &document.text[section.span.start..section.span.end];
            Some(format!("{level} {title} => {}", covered.replace('\n', "/")))
        }
        SectionKind::Page(_) => None,
    };
    document.sections.iter().filter_map(line).collect()
}

#[test]
fn plain_text_is_cleaned() {
    check("a.txt", "one  \r\ntwo\rthree\t\n\n\n\n  four\0\u{ad}\n\n", "one\ntwo\nthree\n\n  four");
    check("a.txt", "# not markdown\n[x](y)", "# not markdown\n[x](y)");
}

#[test]
fn what_holds_no_text_is_rejected() {
    check_rejected("a.txt", b"", "the file is empty");
    check_rejected("a.txt", b" \n\t\n", "the file holds no text");
    check_rejected("a.md", b"---\ntitle: x\n---\n", "the file holds no text");
    check_rejected("a.html", b"<html><script>x</script></html>", "the file holds no text");
    check_rejected("a.pdf", &[0, 1, 2, 200, 255, 0], "not a text document: unknown binary format");
    check_rejected(
        "a.md",
        b"PK\x03\x04....",
        "the archive is damaged: invalid Zip archive: Could not find EOCD",
    );
}

#[test]
fn a_limit_is_named() {
    let settings = Settings {
        max_bytes: 1 << 20,
        max_text_bytes: 1 << 20,
        max_pages: 1,
        ..Settings::default()
    };
    let input = ConvertInput { name: "a.txt".into(), content: vec![b'x'; 2 << 20].into() };
    let error = convert(&input, &settings).unwrap_err();
    assert_eq!(error.message(), "the file is too large: 2 MiB, the limit is 1 MiB");
}

#[test]
fn markdown_markup_goes_and_structure_stays() {
    let cases = [
        ("a **b** _c_ `d` [e](f) ![g](h) ~~i~~", "a b c d e g i"),
        ("one\ntwo\\\nthree", "one two\nthree"),
        ("- a\n- b\n  - c\n    d\n- e\n\nf", "- a\n- b\n  - c d\n- e\n\nf"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("- a\n\n  more\n\n- b", "- a\n  more\n- b"),
        ("- [x] done\n- [ ] open", "- [x] done\n- [ ] open"),
        ("| a | b |\n|---|:-:|\n| *c* | `d` |\n| e |", "| a | b |\n| c | d |\n| e |  |"),
        ("x\n\n```sh\nif a:\n    b\n\n\n\n    c\n```\n\ny", "x\n\nif a:\n    b\n\n    c\n\ny"),
        ("- run\n\n  ```\n  a\n  b\n  ```\n- then", "- run\n  a\n  b\n\n- then"),
        ("> quoted\n> text\n\nafter", "quoted text\n\nafter"),
        ("a<br>b <b>c</b> &amp; &euro;", "a\nb c & €"),
        ("<details><summary>S</summary>\n<p>inner</p></details>\n\nx", "S\n\ninner\n\nx"),
        ("a[^1]\n\n[^1]: note", "a[1]\n\n[1] note"),
        ("above\n\n---\n\nbelow", "above\n\nbelow"),
        ("a line  \nand another", "a line\nand another"),
        ("It costs $5 or $10.", "It costs $5 or $10."),
    ];
    for (source, expect) in cases {
        check("a.md", source, expect);
    }
}

#[test]
fn markdown_headings_nest_and_name_the_document() {
    let source = "# Top *title*\nx\n## A {#anchor}\ny\n### B\nz\n\nC\n---\nw\n";
    let document = run("a.md", source.as_bytes()).unwrap();
    assert_eq!(document.title.as_deref(), Some("Top title"));
    assert_eq!(
        headings(&document),
        [
            "1 Top title => Top title//x//A//y//B//z//C//w",
            "2 A => A//y//B//z",
            "3 B => B//z",
            "2 C => C//w"
        ]
    );
}

#[test]
fn front_matter_is_metadata() {
    let source =
        "---\ntitle: \"The: title\"\nauthor: A. B.\ntags: [x]\nnested:\n  key: v\n---\n# H\nx";
    let document = run("a.md", source.as_bytes()).unwrap();
    assert_eq!(document.title.as_deref(), Some("The: title"));
    assert_eq!(document.text, "H\n\nx");
    let metadata: Vec<_> = document.metadata.iter().collect();
    assert_eq!(metadata, [(&"author".to_owned(), &"A. B.".to_owned())]);
    check("a.md", "---\n\nno front matter\n\n---\n\nx", "no front matter\n\nx");
}

const PAGE: &str = r##"<!DOCTYPE html><html lang="en"><head><title>Leave | Intranet</title>
<meta name="author" content="People team"><style>p { color: red }</style></head><body>
<a class="skip-link" href="#c">Skip to content</a>
<header><a href="/">Home</a><nav>menu</nav></header><nav><ul><li>Products</ul></nav>
<main><article><header><h1>Leave</h1><p>By <b>us</b>,
today</p></header>
<p>First&nbsp;paragraph<br>next line<p>Second <!-- no -->one
<h2>Days</h2>
<table><caption>All days</caption><thead><tr><th>Country<th>Days<tbody>
<tr><td>UK <p>and more</p></td><td>27</td></tr><tr><td>NL<td><ul><li>29</li><li>30</li></ul></table>
<ul><li>one<li><p>two</p><ol start=4><li>deep</ol></ul>
<pre>a
   b
</pre>
<form><label>Name</label><input><button>Send</button><p>kept</p></form>
<p hidden>no</p><p style="display: none">no</p><footer>article foot</footer></article></main>
<aside>related</aside><footer>imprint</footer><script>if (a < b) "</p>"</script></body></html>"##;

#[test]
fn html_keeps_the_main_content() {
    let document = run("a.html", PAGE.as_bytes()).unwrap();
    assert_eq!(
        document.text,
        "Leave\n\nBy us, today\n\nFirst paragraph\nnext line\n\nSecond one\n\nDays\n\nAll days\n\
         | Country | Days |\n| UK and more | 27 |\n| NL | 29 30 |\n\n- one\n- two\n  4. deep\n\n\
         a\n   b\n\nkept\n\narticle foot"
    );
    assert_eq!(document.title.as_deref(), Some("Leave"));
    assert_eq!(document.metadata["author"], "People team");
    assert_eq!(document.metadata["language"], "en");
    assert_eq!(headings(&document).len(), 2);
}

#[test]
fn html_oddities() {
    let cases = [
        // Nothing but furniture: then it is the content.
        ("<html><nav>only this</nav>", "only this"),
        // A layout table.
        ("<html><table><tr><td>a<table><tr><td>b<td>c</table><td>d</table>", "a\n\n| b | c |\n\nd"),
        // A page header with the document's own heading.
        ("<html><header><h1>T</h1><p>date</p></header><p>x", "T\n\ndate\n\nx"),
        // A heading without end tag.
        ("<html><h1>T<p>x</p><p>y", "T\n\nx\n\ny"),
        // Scripts hide a body until they have run.
        ("<html><body style='display:none'><p>x", "x"),
        ("<html><svg><title>no</title></svg><p>a <i>b</i>c</p>", "a bc"),
        ("<html><p>1 &lt; 2 &#x20ac;", "1 < 2 €"),
        ("<html></p></div></p>x", "x"),
    ];
    for (source, expect) in cases {
        check("a.html", source, expect);
    }
}

#[test]
fn deep_nesting_is_read() {
    let n = 100_000;
    let html = format!("<html>{}x{}", "<div><b>".repeat(n), "</i></div>".repeat(n));
    check("a.html", &html, "x");
    let tables = format!("<html>{}x", "<table><tr><td>".repeat(n));
    check("a.html", &tables, "x");
    let lists = format!("<html>{}x", "<ul><li>".repeat(n / 10));
    assert!(run("a.html", lists.as_bytes()).unwrap().text.ends_with("- x"));
    let markdown = format!("{}x", "> ".repeat(n / 10));
    check("a.md", &markdown, "x");
    let brackets = "[".repeat(n) + &"*a_".repeat(n / 10);
    assert!(run("a.md", brackets.as_bytes()).is_ok());
}
