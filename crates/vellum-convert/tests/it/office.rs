//! Office documents: the text of files that real programs wrote, the cells of their tables, and hostile markup.

use crate::text::{check_rejected, run};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use vellum_core::document::{Document, SectionKind};

pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/office").join(name);
    std::fs::read(path).unwrap()
}

pub(crate) fn read(name: &str) -> Document {
    run(name, &data(name)).unwrap()
}

/// Returns a ZIP file with these members.
pub(crate) fn zip(members: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn docx(body: &str) -> Vec<u8> {
    zip(&[("word/document.xml", &format!("<w:document><w:body>{body}</w:body></w:document>"))])
}

fn check_docx(body: &str, expect: &str) {
    assert_eq!(run("a.docx", &docx(body)).unwrap().text, expect, "{body}");
}

/// Returns `level title` of every heading, `page n` of every page.
pub(crate) fn outline(document: &Document) -> Vec<String> {
    let line = |section: &vellum_core::document::Section| match &section.kind {
        SectionKind::Heading { level, title } => format!("{level} {title}"),
        SectionKind::Page(number) => format!("page {number}"),
    };
    document.sections.iter().map(line).collect()
}

/// Returns the tables of a text, as rows of cells.
fn tables(text: &str) -> Vec<Vec<Vec<String>>> {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let row = line.strip_prefix("| ").or_else(|| line.strip_prefix('|'));
        let row = row.and_then(|row| row.strip_suffix('|'));
        if let Some(row) = row {
            let cells = row.split('|').map(|cell| cell.trim().to_owned()).collect();
            match tables.last_mut().filter(|_| in_table) {
                // The header of a long table is repeated for its readers.
                Some(table) if table[0] == cells => {}
                Some(table) => table.push(cells),
                None => tables.push(vec![cells]),
            }
        }
        in_table = row.is_some();
    }
    tables
}

#[test]
fn cells_of_tables_are_right() {
    let truth: BTreeMap<String, Vec<Vec<Vec<String>>>> =
        serde_json::from_slice(&data("tables.json")).unwrap();
    let (mut n_tables, mut n_cells) = (0, 0);
    for (name, expect) in truth {
        let found = tables(&read(&name).text);
        // A chart is a table, too.
        let found: Vec<_> = found.into_iter().filter(|table| table[0] != ["", "Rent"]).collect();
        assert_eq!(found, expect, "{name}");
        n_tables += expect.len();
        n_cells += expect.iter().flatten().map(Vec::len).sum::<usize>();
    }
    eprintln!("{n_tables} tables, {n_cells} cells, all right");
    assert!(n_tables >= 15 && n_cells > 500);
}

#[test]
fn a_report_reads_the_same_from_every_program() {
    let expect = "Field report\n\nMara Lindqvist\n\nHarbour\n\nThe northern harbour silted up.[1] See the survey \
        (https://example.org/survey).\n\n[1] Soundings of 3 May; 4.2 m at the mole.\n\nMeasures\n\n\
        1. Dredge the basin\n  a. North side\n  b. South side\n2. Mark the channel\n\n- buoys\n- lights\n  \
        - red\n  - green\n\n| Berth | Depth (m) | Ships |\n| A1 | 4.2 | 12 |\n| A2 | 3.9 | 7 |\n\
        | B1 | 6.0 | 31 |\n\nLine one\nline two with x^2.\n\nBudget\n\n| Item | 2023 | 2024 |\n\
        | Dredging | 12,500 | 14,000 |\n| Buoys | 900 | 1,150 |\n| Total | 13,400 | 15,150 |";
    for name in ["report.docx", "report-libreoffice.docx", "report.odt"] {
        let document = read(name);
        // LibreOffice keeps a formula as an object of its own.
        let expect =
            if name == "report.docx" { expect.to_owned() } else { expect.replace("x^2", "") };
        assert_eq!(document.text, expect, "{name}");
        assert_eq!(document.title.as_deref(), Some("Field report"));
        assert_eq!(document.metadata["author"], "Mara Lindqvist");
        assert_eq!(outline(&document), ["1 Field report", "1 Harbour", "2 Measures", "1 Budget"]);
    }
}

#[test]
fn a_contract_shows_what_word_shows() {
    let document = read("contract.docx");
    let expect = "Contract\n\nParties\n\nThe fee is 200 euro, page 7\n\n1. first\n2. second\n\nDeadlines\n\n- soon";
    assert!(document.text.starts_with(expect), "{}", document.text);
    assert!(!document.text.contains("header") && !document.text.contains("hidden"));
    assert_eq!(document.format.as_str(), "docx");
    assert_eq!(document.metadata["language"], "en");
}

#[test]
fn slides_are_pages_in_reading_order() {
    for name in ["deck.pptx", "deck.odp"] {
        let document = read(name);
        let pages: Vec<_> =
            document.pages().map(|(n, span)| (n, &document.text[span.start..span.end])).collect();
        assert_eq!(pages.len(), 3, "{name}");
        let first =
            "Town plan\n\n- Housing\n  - 120 flats\n- Traffic\n\nNotes:\n\nAsk the council first.";
        assert_eq!(pages[0], (1, first), "{name}");
        let last =
            "Figures\n\n| Year | Flats |\n| 2023 | 80 |\n| 2024 | 120 |\n\nleft\n\nright\n\nlower";
        assert_eq!(pages[2], (3, last), "{name}");
        let chart = if name == "deck.pptx" {
            "|  | Rent |\n| North | 10.5 |\n| South | 9.25 |"
        } else {
            ""
        };
        assert_eq!(pages[1], (2, chart), "{name}");
        assert_eq!(outline(&document), ["page 1", "1 Town plan", "page 2", "page 3", "1 Figures"]);
    }
}

#[test]
fn sheets_are_pages_with_their_names() {
    for name in ["book.xlsx", "book.ods", "book.xls"] {
        let document = read(name);
        let opening =
            "Stock\n\nStock of spare parts\n\n| Part | Price | Since | Margin |\n| Bolt | 0.30 |";
        assert!(document.text.starts_with(opening), "{name}: {}", document.text);
        let pages = ["page 1", "1 Stock", "page 2", "1 Rates", "page 3", "1 Log"];
        assert_eq!(outline(&document), pages, "{name}");
        assert_eq!(document.title.as_deref(), Some("Stock"));
        assert_eq!(document.text.matches("| Number | Square |").count(), 3);
    }
}

#[test]
fn word_markup() {
    let p = |inner: &str| format!("<w:p>{inner}</w:p>");
    let r = |text: &str| format!("<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>");
    let field = |kind: &str| format!("<w:r><w:fldChar w:fldCharType='{kind}'/></w:r>");
    let cases = [
        // Fields nest; what is code shows nothing.
        (
            p(&[
                &*field("begin"),
                "<w:r><w:instrText>IF </w:instrText></w:r>",
                &field("begin"),
                &field("separate"),
                &r("no"),
                &field("end"),
                &field("separate"),
                &r("yes"),
                &field("end"),
            ]
            .concat()),
            "yes",
        ),
        (
            p(&[
                &*field("begin"),
                "<w:r><w:instrText> HYPERLINK \"https://a.org/x\" </w:instrText></w:r>",
                &field("separate"),
                &r("here"),
                &field("end"),
            ]
            .concat()),
            "here (https://a.org/x)",
        ),
        // A text box stands after the paragraph that holds it, once.
        (
            p(&format!(
                "{}<w:r><mc:AlternateContent><mc:Choice><w:txbxContent>{}</w:txbxContent></mc:Choice>\
                 <mc:Fallback><w:txbxContent>{}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r>{}",
                r("a"),
                p(&r("box")),
                p(&r("box")),
                r("b")
            )),
            "ab\n\nbox",
        ),
        (
            p(
                "<w:r><w:t>in</w:t><w:softHyphen/><w:t>to</w:t><w:br/><w:t>a</w:t><w:noBreakHyphen/><w:t>b</w:t><w:tab/><w:t>c</w:t></w:r>",
            ),
            "into\na-b c",
        ),
        (
            p(
                "<w:moveFrom><w:r><w:t>no</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>yes</w:t></w:r></w:moveTo>",
            ),
            "yes",
        ),
        (
            p(
                "<m:oMath><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>",
            ),
            "(a+b)/2",
        ),
        // A large first letter is the beginning of the next paragraph.
        (
            format!(
                "<w:p><w:pPr><w:framePr w:dropCap='drop'/></w:pPr>{}</w:p>{}",
                r("O"),
                p(&r("nce"))
            ),
            "Once",
        ),
        // A row that was deleted; a table with one row left is a table all the same.
        (
            format!(
                "<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>{0}</w:tc></w:tr><w:tr><w:tc>{0}</w:tc>\
                 <w:tc>{1}</w:tc></w:tr></w:tbl>",
                p(&r("x")),
                p(&r("y"))
            ),
            "| x | y |",
        ),
        // Old files merge cells to the side one by one.
        (
            format!(
                "<w:tbl><w:tr><w:tc>{a}</w:tc><w:tc>{b}</w:tc><w:tc>{c}</w:tc></w:tr><w:tr>\
                 <w:tc><w:tcPr><w:hMerge w:val='restart'/></w:tcPr>{d}</w:tc>\
                 <w:tc><w:tcPr><w:hMerge/></w:tcPr><w:p/></w:tc><w:tc>{c}</w:tc></w:tr></w:tbl>",
                a = p(&r("a")),
                b = p(&r("b")),
                c = p(&r("c")),
                d = p(&r("d"))
            ),
            "| a | b | c |\n| d | d | c |",
        ),
        (p(&r("1 &lt; 2 &#8364; &unknown;")), "1 < 2 €"),
    ];
    for (body, expect) in cases {
        check_docx(&body, expect);
    }
}

#[test]
fn the_main_part_may_have_another_name() {
    let relations = "<Relationships><Relationship Id='a' Type='http://x/officeDocument' \
                     Target='/word/document2.xml'/></Relationships>";
    let body = "<w:document><w:body><w:p><w:r><w:t>here</w:t></w:r></w:p></w:body></w:document>";
    let file = zip(&[
        ("_rels/.rels", relations),
        ("word/document.xml", "<w:document/>"),
        ("word/document2.xml", body),
    ]);
    assert_eq!(run("a.docx", &file).unwrap().text, "here");
}

#[test]
fn broken_office_files_are_rejected() {
    check_rejected("a.docx", &docx(""), "the file holds no text");
    let error = run("a.docx", &docx("<w:p><w:r>")).unwrap_err();
    assert!(error.message().starts_with("the document is damaged"), "{error}");
    let deep = docx(&"<w:tbl><w:tr><w:tc>".repeat(1_000));
    check_rejected("a.docx", &deep, "the document is damaged: nested more than 2000 deep");
    check_rejected(
        "a.odt",
        &zip(&[
            ("mimetype", "application/vnd.oasis.opendocument.text"),
            ("META-INF/manifest.xml", "<a><encryption-data/></a>"),
        ]),
        "the file is password-protected",
    );
    let error = run("a.xlsx", &zip(&[("xl/workbook.xml", "<workbook>")])).unwrap_err();
    assert!(error.message().starts_with("the workbook is damaged"), "{error}");
    let workbook = |strings: &str| {
        let sst =
            format!("<?xml version='1.0'?><sst uniqueCount='{strings}'><si><t>a</t></si></sst>");
        zip(&[("xl/workbook.xml", "<workbook/>"), ("xl/sharedStrings.xml", &sst)])
    };
    let claims = "the workbook is damaged: it claims more shared strings than it can hold";
    check_rejected("a.xlsx", &workbook("4294967295"), claims);
    assert!(run("a.xlsx", &workbook("5000")).unwrap_err().message() != claims);
    for name in ["report.docx", "deck.pptx", "book.xlsx", "report.odt", "deck.odp", "book.ods"] {
        let whole = data(name);
        for cut in [100, whole.len() / 2, whole.len() - 30] {
            assert!(run(name, &whole[..cut]).is_err(), "{name} {cut}");
        }
    }
}
