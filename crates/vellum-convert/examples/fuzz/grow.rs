//! Makes files of each format that no program wrote: markup grown from a grammar, records, and properties, packed as the
//! format is.
//!
//! A file that was grown is well-formed and mostly in order, so it gets further into a parser than a damaged
//! copy does, and it combines what real files hold apart.

use crate::change;
use crate::compound;
use crate::grammar;
use crate::pack;
use fastrand::Rng;
use std::fmt::Write as _;
use vellum_core::document::Format;

/// A Word document before 2007, and a ZIP file with a presentation of that time.
const REPORT: &[u8] = include_bytes!("../../tests/data/office/report.doc");
const DECK: &[u8] = include_bytes!("../../tests/data/office/deck.ppt.zip");

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Most elements of one tree, and how deep they nest.
const MAX_ELEMENTS: usize = 300;
const MAX_DEPTH: usize = 24;
/// What texts are made of.
const WORDS: [&str; 25] = [
    "leave",
    "of",
    "25 days",
    "Zürich",
    "42",
    "-1",
    "1e308",
    "2024-03-01",
    "0",
    "3.14159",
    "TRUE",
    " ",
    "  \t ",
    "\u{200b}",
    "\u{202e}abc",
    "\u{ad}",
    "日本語",
    "e\u{301}",
    "😀",
    "|",
    "- x",
    "# y",
    "&amp;",
    "&lt;b&gt;",
    "HYPERLINK \"https://a.org\"",
];
/// What no document may hold, and some do.
const WRONG: [&str; 4] = ["&#0;", "&#xFFFF;", "&unknown;", "\u{0}"];
/// Numbers at which programs break.
const NUMBERS: [i64; 12] =
    [0, 1, 2, 7, -1, 255, 256, 65_535, 65_536, 2_147_483_647, -2_147_483_648, 4_294_967_296];

pub(crate) fn pick<T: Copy>(from: &[T], rng: &mut Rng) -> T {
    from[rng.usize(..from.len())]
}

pub(crate) fn text(rng: &mut Rng) -> String {
    let word =
        |rng: &mut Rng| if rng.u16(..2_000) == 0 { pick(&WRONG, rng) } else { pick(&WORDS, rng) };
    let words: Vec<&str> = (0..rng.usize(..6)).map(|_| word(rng)).collect();
    words.join(if rng.u8(..4) > 0 { " " } else { "" })
}

/// Returns a file of `format`.
///
/// # Errors
/// When it cannot be packed.
pub(crate) fn file(format: Format, rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    Ok(match format {
        Format::Text | Format::Code => prose(&["\n", "\n\n", "\u{c}", "fn a() {", "}", "// "], rng),
        Format::Markdown => prose(
            &[
                "\n",
                "\n\n",
                "# ",
                "## ",
                "- ",
                "1. ",
                "> ",
                "| a | b |\n|---|---|\n",
                "| ",
                "```\n",
                "    ",
                "[a](b)",
                "![",
                "](",
                "**",
                "_",
                "`",
                "<div>",
                "</div>",
                "---\n",
                "***\n",
                "[^1]",
                "\n[^1]: ",
                "~~~",
                "===\n",
                "\\",
                "&amp;",
                "<!--",
            ],
            rng,
        ),
        Format::Csv => {
            prose(&[",", ",", ";", "\t", "\"", "\"\"", "\n", "\r\n", "\r", "'", "=1+1"], rng)
        }
        Format::Json => json(rng, 0).into_bytes(),
        Format::Html => format!("<!doctype html>{}", tree(grammar::PAGE, rng)).into_bytes(),
        Format::Pdf => page(rng),
        Format::Docx => word(rng)?,
        // Records that point to each other by place: whole ones are changed, not grown.
        Format::Doc => change::changed(REPORT, REPORT, rng),
        Format::Ppt => {
            let deck = pack::unzip_first(DECK)?;
            change::changed(&deck, &deck, rng)
        }
        Format::Pptx => slides(rng)?,
        Format::Xlsx => pack::xlsx(
            inner(&tree(grammar::SHEET, rng)),
            &tree(grammar::BOOK_STYLES, rng),
            &tree(grammar::STRINGS, rng),
        )?,
        Format::Odt => open_document("text", grammar::TEXT, rng)?,
        Format::Odp => open_document("presentation", &begin_at("draw:page"), rng)?,
        Format::Ods => open_document("spreadsheet", &begin_at("table:table"), rng)?,
        Format::Epub => book(rng)?,
        Format::Rtf => rich(rng, 0).into_bytes(),
        Format::Email => letter(rng, 0),
        Format::Outlook => compound::message(rng)?,
        Format::Xls => compound::workbook(rng)?,
        Format::Zip => {
            let inside =
                [Format::Html, Format::Docx, Format::Email, Format::Csv, Format::Json, Format::Odt];
            let mut members = Vec::new();
            for n in 0..rng.usize(1..4) {
                let format = pick(&inside, rng);
                members.push((
                    format!("{}/a{n}.{}", rng.u8(..3), crate::extension(format)),
                    file(format, rng)?,
                ));
            }
            pack::zip(&members)?
        }
    })
}

/// Returns texts with `marks` between them.
fn prose(marks: &[&str], rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    for _ in 0..rng.usize(1..200) {
        out.push_str(if rng.bool() { pick(marks, rng) } else { pick(&WORDS, rng) });
    }
    out.into_bytes()
}

fn json(rng: &mut Rng, depth: usize) -> String {
    let many = |rng: &mut Rng| if depth > 8 { 0 } else { rng.usize(..5) };
    match rng.u8(..8) {
        0..=2 => {
            let entries: Vec<String> = (0..many(rng))
                .map(|_| format!("{:?}: {}", pick(&WORDS, rng), json(rng, depth + 1)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        3 | 4 => {
            let entries: Vec<String> = (0..many(rng)).map(|_| json(rng, depth + 1)).collect();
            format!("[{}]", entries.join(if rng.u8(..9) > 0 { "," } else { "\n" }))
        }
        5 => pick(&NUMBERS, rng).to_string(),
        6 => (pick(&["true", "null", "1e999", "-0", "\"\\ud800\"", "\"\\u0000\""], rng)).to_owned(),
        _ => format!("\"{}\"", text(rng).replace('"', "\\\"").replace('\t', "\\t")),
    }
}

/// The elements of a grammar.
struct Grammar<'g>(Vec<Element<'g>>);

struct Element<'g> {
    name: &'g str,
    attributes: Vec<(&'g str, Vec<&'g str>)>,
    children: Vec<&'g str>,
    has_all: bool,
}

impl<'g> Grammar<'g> {
    fn read(source: &'g str) -> Self {
        let line = |line: &'g str| {
            let (head, children) = line.split_once(" >").unwrap_or((line, ""));
            let mut head = head.split(' ');
            let name = head.next().unwrap_or_default();
            let attributes = head.filter_map(|attribute| attribute.split_once('='));
            let attributes = attributes.map(|(name, values)| (name, values.split('|').collect()));
            let has_all = children.starts_with('>');
            let children = children.trim_start_matches('>').split_whitespace().collect();
            Element { name, attributes: attributes.collect(), children, has_all }
        };
        Self(source.trim().lines().map(line).collect())
    }

    fn grow(&self, name: &str, depth: usize, left: &mut usize, rng: &mut Rng, out: &mut String) {
        *left = left.saturating_sub(1);
        let any = &self.0[rng.usize(..self.0.len())];
        let found =
            if name == "*" { Some(any) } else { self.0.iter().find(|known| known.name == name) };
        let Some(element) = found else {
            let _ = write!(out, "<{name}/>");
            return;
        };
        let name = element.name.split('@').next().unwrap_or_default();
        let _ = write!(out, "<{name}");
        for (attribute, values) in &element.attributes {
            if values.len() == 1 || rng.u8(..16) > 0 {
                let _ = write!(out, " {attribute}='{}'", pick(values, rng));
            }
        }
        out.push('>');
        let children = &element.children;
        if element.has_all {
            for child in children {
                self.grow(child, depth + 1, left, rng, out);
            }
        } else if !children.is_empty() && depth < MAX_DEPTH {
            for _ in 0..rng.usize(1..=children.len().min(8)) {
                match pick(children, rng) {
                    "#" => out.push_str(&text(rng)),
                    "%" if rng.u8(..16) > 0 => out.push_str(&rng.u8(..6).to_string()),
                    "%" => out.push_str(&pick(&NUMBERS, rng).to_string()),
                    _ if *left == 0 => break,
                    _ if rng.u8(..) == 0 => self.grow("*", depth + 1, left, rng, out),
                    child => self.grow(child, depth + 1, left, rng, out),
                }
            }
        }
        let _ = write!(out, "</{name}>");
    }
}

/// Returns a tree that begins with the first element of a grammar.
pub(crate) fn tree(source: &str, rng: &mut Rng) -> String {
    let grammar = Grammar::read(source);
    let mut out = String::new();
    let mut left = MAX_ELEMENTS;
    grammar.grow(grammar.0[0].name, 0, &mut left, rng, &mut out);
    out
}

/// Returns what stands in the outermost element of `tree`.
fn inner(tree: &str) -> &str {
    let start = tree.find('>').map_or(0, |at| at + 1);
    &tree[start..tree.rfind("</").unwrap_or(tree.len()).max(start)]
}

/// Returns the grammar of texts, where a tree begins with many of `name`.
fn begin_at(name: &str) -> String {
    format!("office:body >> {name} {name} {name}{}", grammar::TEXT)
}

fn open_document(kind: &str, grammar: &str, rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let body = tree(grammar, rng);
    pack::open_document(kind, &tree(grammar::AUTOMATIC, rng), inner(&body))
}

fn word(rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let document = format!("<w:document>{}</w:document>", tree(grammar::WORD, rng));
    let links = pack::relations(&[
        ("r1", "hyperlink", "https://a.org/x"),
        ("r2", "chart", "chart.xml"),
        ("r3", "diagramData", "chart.xml"),
    ]);
    let notes = tree(grammar::NOTES, rng);
    pack::zip(&[
        ("[Content_Types].xml", "<Types/>"),
        ("word/document.xml", &document),
        ("word/_rels/document.xml.rels", &links),
        ("word/chart.xml", &tree(grammar::CHART, rng)),
        ("word/numbering.xml", &tree(grammar::NUMBERING, rng)),
        ("word/styles.xml", &tree(grammar::WORD_STYLES, rng)),
        ("word/footnotes.xml", &notes),
        ("word/comments.xml", &notes),
    ])
}

fn slides(rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let n_slides = rng.usize(1..4);
    let numbers: Vec<String> = (0..n_slides).map(|n| format!("r{n}")).collect();
    let ids: String = numbers.iter().map(|id| format!("<p:sldId r:id='{id}'/>")).collect();
    let targets: Vec<String> = (0..n_slides).map(|n| format!("slides/s{n}.xml")).collect();
    let rows: Vec<(&str, &str, &str)> =
        numbers.iter().zip(&targets).map(|(id, to)| (id.as_str(), "slide", to.as_str())).collect();
    let own = pack::relations(&[
        ("r1", "hyperlink", "https://a.org/x"),
        ("r2", "chart", "../chart.xml"),
        ("r3", "diagramData", "../chart.xml"),
        ("r4", "slideLayout", "../layout.xml"),
        ("r5", "notesSlide", "../notes.xml"),
    ]);
    let to_master = pack::relations(&[("r1", "slideMaster", "master.xml")]);
    let mut members = vec![
        ("[Content_Types].xml".to_owned(), "<Types/>".to_owned()),
        (
            "ppt/presentation.xml".into(),
            format!("<p:presentation><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
        ),
        ("ppt/_rels/presentation.xml.rels".into(), pack::relations(&rows)),
        ("ppt/chart.xml".into(), tree(grammar::CHART, rng)),
        ("ppt/layout.xml".into(), tree(grammar::SLIDE, rng)),
        ("ppt/_rels/layout.xml.rels".into(), to_master),
        ("ppt/master.xml".into(), tree(grammar::SLIDE, rng)),
        ("ppt/notes.xml".into(), tree(grammar::SLIDE, rng)),
    ];
    for n in 0..n_slides {
        members.push((format!("ppt/slides/s{n}.xml"), tree(grammar::SLIDE, rng)));
        members.push((format!("ppt/slides/_rels/s{n}.xml.rels"), own.clone()));
    }
    pack::zip(&members)
}

fn book(rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let container = "<container><rootfiles><rootfile full-path='o/book.opf' media-type='application/oebps-package+xml'/></rootfiles></container>";
    let contents = format!(
        "<html><body><nav epub:type='toc'>{}</nav></body></html>",
        inner(&tree(grammar::PAGE, rng))
    );
    pack::zip(&[
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", container),
        ("o/book.opf", &tree(grammar::BOOK, rng)),
        ("o/t.ncx", &tree(grammar::CONTENTS, rng)),
        ("o/n.xhtml", &contents),
        ("o/a.xhtml", &tree(grammar::PAGE, rng)),
        ("o/b.xhtml", &tree(grammar::PAGE, rng)),
    ])
}

/// Returns one page: text, lines and pictures from operators in any order.
fn page(rng: &mut Rng) -> Vec<u8> {
    const OPERATORS: [&str; 24] = [
        "BT", "ET", "Tf", "Td", "Tm", "Tj", "TJ", "'", "T*", "TL", "Tz", "Tc", "cm", "q", "Q",
        "re", "f", "m", "l", "S", "Do", "Tr", "BDC", "EMC",
    ];
    let number = |rng: &mut Rng| match rng.u8(..8) {
        0 => pick(&NUMBERS, rng).to_string(),
        _ => format!("{:.1}", rng.f32() * 700.0),
    };
    let string = |rng: &mut Rng| format!("({})", text(rng).replace(['(', ')', '\\'], ""));
    let mut content = String::new();
    for _ in 0..rng.usize(1..80) {
        let line = match rng.u8(..6) {
            0 => {
                for _ in 0..rng.usize(..7) {
                    content.push_str(&number(rng));
                    content.push(' ');
                }
                (pick(&OPERATORS, rng)).to_owned()
            }
            1 => format!("[{} {} {}] TJ", string(rng), number(rng), string(rng)),
            2 => format!("{} {} {} {} re f", number(rng), number(rng), number(rng), number(rng)),
            _ => {
                let (x, y, size) = (number(rng), number(rng), rng.u8(..40));
                format!("BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm {} Tj ET", string(rng))
            }
        };
        content.push_str(&line);
        content.push('\n');
    }
    let fonts = "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>/XObject<</F 4 0 R>>>>";
    let (x, rotate) =
        (pick(&["600", "1", "0", "-600", "1e9"], rng), pick(&["0", "90", "45", "-270"], rng));
    let entries = format!("/Contents 4 0 R/CropBox[0 0 {x} 800]/Rotate {rotate}{fonts}");
    let form = pick(&["", "/Type/XObject/Subtype/Form/BBox[0 0 600 800]"], rng);
    pack::pdf(&pack::page(&entries), form, content.as_bytes())
}

/// Returns rich text: control words in any order, groups in groups.
pub(crate) fn rich(rng: &mut Rng, depth: usize) -> String {
    const WORDS: [&str; 60] = [
        "par",
        "pard",
        "plain",
        "b",
        "i0",
        "tab",
        "line",
        "page",
        "sect",
        "cell",
        "row",
        "trowd",
        "cellx100",
        "cellx9000",
        "intbl",
        "itap2",
        "nestcell",
        "nestrow",
        "clvmgf",
        "clvmrg",
        "clmgf",
        "clmrg",
        "u8364?",
        "u-4051 x",
        "uc0",
        "uc2",
        "'e9",
        "'80",
        "'zz",
        "ansicpg1252",
        "ansicpg932",
        "ansicpg99999",
        "mac",
        "f0",
        "f1",
        "deff0",
        "fs20",
        "fs40",
        "outlinelevel0",
        "outlinelevel9",
        "s1",
        "ls1",
        "ilvl3",
        "bin5 abcde",
        "bin99999999",
        "emdash",
        "lquote",
        "bullet",
        "~",
        "_",
        "-",
        "*\\unknown",
        "v",
        "v0",
        "htmlrtf",
        "htmlrtf0",
        "fromhtml1",
        "li720",
        "ql",
        "footnote",
    ];
    const GROUPS: [&str; 16] = [
        "fonttbl{\\f0\\fcharset0 A;}{\\f1\\fcharset128 B;}",
        "colortbl;",
        "stylesheet{\\s1\\outlinelevel0 heading 1;}",
        "info{\\title x}",
        "footnote",
        "header",
        "*\\bkmkstart",
        "field{\\*\\fldinst HYPERLINK \"https://a.org\"}{\\fldrslt here}",
        "pict ffd8",
        "listtext 1.",
        "pntext",
        "*\\nesttableprops\\trowd\\cellx100\\nestrow",
        "shp{\\*\\shpinst{\\shptxt",
        "object{\\*\\objdata 00",
        "*\\htmltag64 <p>",
        "annotation",
    ];
    let mut out = String::from(if depth == 0 { "{\\rtf1\\ansi " } else { "{" });
    for _ in 0..rng.usize(1..40) {
        match rng.u8(..8) {
            0..=2 => out.push_str(&text(rng).replace(['\\', '{', '}'], "")),
            3 if depth < 6 => out.push_str(&rich(rng, depth + 1)),
            4 => {
                let group = pick(&GROUPS, rng);
                let n_open = group.matches('{').count() - group.matches('}').count();
                let _ = write!(out, "{{\\{group} {}{}", text(rng), "}".repeat(n_open + 1));
            }
            5 => {
                let _ = write!(
                    out,
                    "\\{}{} ",
                    pick(&["u", "cellx", "li", "fs", "f", "uc", "ls"], rng),
                    pick(&NUMBERS, rng)
                );
            }
            _ => {
                let _ = write!(out, "\\{} ", pick(&WORDS, rng));
            }
        }
    }
    out.push('}');
    out
}

/// Returns a message (RFC 5322) with parts in parts.
fn letter(rng: &mut Rng, depth: usize) -> Vec<u8> {
    const HEADS: [&str; 16] = [
        "From: \"Jörg\" <a@b.org>",
        "To: a@b.org, =?utf-8?q?J=C3=B6rg?= <c@d.org>",
        "Subject: =?iso-8859-1?b?R3L832U=?=",
        "Subject: x",
        "Date: Fri, 1 Mar 2024 09:30:00 +0100",
        "Date: 99 Foo 99999 99:99",
        "Cc: group: a@b.org, c@d.org;",
        "Message-ID: <1@b.org>",
        "References: <0@b.org>",
        "MIME-Version: 1.0",
        "Received: from x by y",
        "In-Reply-To: <1@b.org>",
        "Subject: =?utf-8?q?=",
        "To:",
        "X-A: b\n c\n\td",
        "From: a@b.org",
    ];
    const KINDS: [&str; 12] = [
        "text/plain",
        "text/plain; charset=iso-2022-jp",
        "text/plain; charset=zz; format=flowed",
        "text/html",
        "text/calendar; method=REQUEST",
        "text/csv",
        "message/rfc822",
        "message/delivery-status",
        "application/octet-stream",
        "image/png",
        "application/pkcs7-mime",
        "text/rtf",
    ];
    let mut out = String::new();
    if depth == 0 || rng.bool() {
        for _ in 0..rng.usize(1..7) {
            let _ = write!(out, "{}\r\n", pick(&HEADS, rng));
        }
    }
    if rng.bool() {
        let _ = write!(
            out,
            "Content-Disposition: {}\r\n",
            pick(
                &[
                    "attachment; filename=a.html",
                    "inline",
                    "attachment; filename*0*=utf-8''a%C3%BC; filename*1=.txt"
                ],
                rng
            )
        );
    }
    let many = depth < 5 && rng.u8(..3) > 0;
    if many {
        let kind = pick(&["mixed", "alternative", "related", "signed", "report", "digest"], rng);
        let _ = write!(
            out,
            "Content-Type: multipart/{kind}; boundary=\"b{depth}\"\r\n\r\npreamble\r\n"
        );
        let mut out = out.into_bytes();
        for _ in 0..rng.usize(1..5) {
            out.extend(format!("--b{depth}\r\n").bytes());
            out.extend(letter(rng, depth + 1));
            out.extend(b"\r\n");
        }
        if rng.u8(..4) > 0 {
            out.extend(format!("--b{depth}--\r\nepilogue").bytes());
        }
        return out;
    }
    let kind = pick(&KINDS, rng);
    let body = match kind {
        "message/rfc822" if depth < 5 => letter(rng, depth + 1),
        "text/html" => tree(grammar::PAGE, rng).into_bytes(),
        "text/rtf" => rich(rng, 0).into_bytes(),
        "text/calendar; method=REQUEST" => b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\nDTSTART;TZID=a:20240304T140000\r\nDTEND:99999999T999999Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".to_vec(),
        _ => text(rng).into_bytes(),
    };
    let coding = pick(&["7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "zz"], rng);
    let _ = write!(out, "Content-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n");
    let mut out = out.into_bytes();
    match coding {
        "quoted-printable" => {
            out.extend(body.iter().flat_map(|byte| format!("={byte:02X}").into_bytes()));
        }
        _ => out.extend(body),
    }
    out
}
