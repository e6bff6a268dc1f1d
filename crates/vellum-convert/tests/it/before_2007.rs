//! Office documents before 2007: Word, PowerPoint, and Excel with what its number formats show.

use crate::office::{data, outline, read};
use crate::text::{check_rejected, run};
use std::io::{Cursor, Read, Write};

/// Returns the presentation that is kept packed.
fn deck() -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(data("deck.ppt.zip"))).unwrap();
    let mut bytes = Vec::new();
    archive.by_name("deck.ppt").unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Returns a compound file with one stream, which holds nothing that belongs there.
fn compound(stream: &str) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_stream(stream).unwrap().write_all(b"nothing of the kind").unwrap();
    file.into_inner().into_inner()
}

#[test]
fn a_report() {
    let document = read("report.doc");
    assert_eq!(
        document.text,
        "Field report\n\nMara Lindqvist\n\nHarbour\n\nThe northern harbour silted up. See the survey \
         (https://example.org/survey).\n\nMeasures\n\n- Dredge the basin\n  - North side\n  - South side\n\
         - Mark the channel\n- buoys\n- lights\n  - red\n  - green\n\n\
         | Berth | Depth (m) | Ships |\n| A1 | 4.2 | 12 |\n| A2 | 3.9 | 7 |\n| B1 | 6.0 | 31 |\n\n\
         Line one\nline two with .\n\nBudget\n\n| Item | 2023 | 2024 |\n| Dredging | 12,500 | 14,000 |\n\
         | Buoys | 900 | 1,150 |\n| Total | 13,400 | 15,150 |\n\nFootnote: Soundings of 3 May; 4.2 m at the mole."
    );
    assert_eq!(document.format.as_str(), "doc");
    assert_eq!(document.title.as_deref(), Some("Field report"));
    assert_eq!(document.metadata["author"], "Mara Lindqvist");
    assert_eq!(outline(&document), ["1 Field report", "1 Harbour", "2 Measures", "1 Budget"]);
}

#[test]
fn deletions_hidden_text_and_headers_are_left_out_and_merged_cells_said_again() {
    let text = read("contract.doc").text;
    let opening = "Contract\n\nParties\n\nThe fee is 200 euro, page 7\n\n- first\n- second\n\nDeadlines\n\n- soon\n\n\
                   | Region | 2023 | 2023 | Note |\n| Region | Q1 | Q2 |  |\n| North | 1.5 | 2.5 | up |";
    assert!(text.starts_with(opening), "{text}");
    assert!(!text.contains("header") && !text.contains("hidden"), "{text}");
}

#[test]
fn slides_read_as_those_of_newer_files_do() {
    let document = run("deck.ppt", &deck()).unwrap();
    assert_eq!(document.format.as_str(), "ppt");
    assert_eq!(document.title.as_deref(), Some("Town plan"));
    assert_eq!(document.metadata["author"], "Ines Roy");
    assert_eq!(outline(&document), ["page 1", "1 Town plan", "page 2", "1 Figures"]);
    assert_eq!(
        document.text,
        "Town plan\n\n- Housing\n  - 120 flats\n- Traffic\n\nNotes:\n\nAsk the council first.\n\n\
         Figures\n\n| Year | Flats |\n| 2023 | 80 |\n| 2024 | 120 |\n\nleft\n\nright\n\nlower"
    );
}

#[test]
fn numbers_are_written_as_their_cells_show_them() {
    let expect = "Times\n\n| overtime | 36:00:00 |\n| opens | 06:00 |\n| half | 0.5 |\n| day | 2024-03-01 |\n\
                  | weight | 12.5 kg |\n| hidden | 7 |\n| plain | 0.3 |\n| loss | -1,234.50 |\n\nlast corner";
    assert_eq!(read("times.xls").text, expect);
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases = [
        ("PP40", "a PowerPoint presentation before PowerPoint 97 is not read: save it as .pptx"),
        ("EncryptedPackage", "the file is password-protected"),
        ("VisioDocument", "not a text document: Visio drawing"),
        ("Other", "not a text document: OLE compound file of an unknown kind"),
    ];
    for (stream, expect) in cases {
        check_rejected("a.doc", &compound(stream), expect);
    }
    for stream in ["WordDocument", "Workbook", "PowerPoint Document"] {
        let error = run("a.doc", &compound(stream)).unwrap_err();
        assert!(error.message().contains("is damaged"), "{stream}: {error}");
    }
    check_rejected(
        "a.doc",
        b"\xdb\xa5-\0\0\0\0\0",
        "not a text document: Word 2 document, save it as .docx",
    );
}

#[test]
fn cut_files_are_rejected_or_say_what_is_missing() {
    let files =
        [("report.doc", data("report.doc")), ("book.xls", data("book.xls")), ("deck.ppt", deck())];
    for (name, whole) in files {
        for cut in [100, 600, whole.len() / 4] {
            if let Ok(document) = run(name, &whole[..cut]) {
                assert!(document.text.contains("Not read: "), "{name} {cut}: {}", document.text);
            }
        }
    }
}
