//! PDF: reading order, paragraphs, tables, furniture, and files that cannot be read.

use crate::pages::{PAGE, Page, pdf};
use crate::text::{check_rejected, run};
use std::path::Path;
use vellum_convert::{Settings, convert};
use vellum_core::ErrorKind;
use vellum_core::document::{Document, Edge};
use vellum_core::ports::ConvertInput;

/// Returns the text of each page.
fn pages(bytes: &[u8]) -> Vec<String> {
    let document = run("a.pdf", bytes).unwrap();
    document.pages().map(|(_, span)| document.text[span.start..span.end].to_owned()).collect()
}

const LEFT: [&str; 6] = [
    "The reading order of a page in two col-",
    "umns is the left one first, and then the",
    "right one, however the lines stand.",
    "A second paragraph begins here, and it",
    "goes on until the column ends, so that its",
    "sentence is finished at the top of the",
];
const RIGHT: [&str; 6] = [
    "other column, where it ends. The third",
    "sentence names a well-known compound.",
    "Every line here has a neighbour on the",
    "left at the same height, which a naive",
    "reader would join with it into one well-",
    "known mess of words from both columns.",
];

#[test]
fn two_columns_are_read_one_after_the_other() {
    let page = Page::new()
        .text(100.0, 60.0, 18.0, "A title that stands across the columns")
        .lines(50.0, 100.0, 11.0, &LEFT)
        .lines(310.0, 100.0, 11.0, &RIGHT)
        .text(
            50.0,
            230.0,
            11.0,
            "A line across the whole page ends the columns, because it is much too long.",
        );
    assert_eq!(
        pages(&pdf(None, vec![page])),
        ["A title that stands across the columns\n\n\
          The reading order of a page in two columns is the left one first, and then the right one, \
          however the lines stand.\n\n\
          A second paragraph begins here, and it goes on until the column ends, so that its sentence \
          is finished at the top of the other column, where it ends. The third sentence names a \
          well-known compound. Every line here has a neighbour on the left at the same height, which \
          a naive reader would join with it into one well-known mess of words from both columns.\n\n\
          A line across the whole page ends the columns, because it is much too long."]
    );
}

#[test]
fn columns_with_other_baselines_are_columns_too() {
    let page = Page::new().lines(50.0, 100.0, 11.0, &LEFT).lines(310.0, 106.5, 11.0, &RIGHT);
    let text = pages(&pdf(None, vec![page])).remove(0);
    assert!(text.contains("at the top of the other column"), "{text}");
}

#[test]
fn columns_drawn_line_by_line_are_columns_too() {
    let lines = (0_u8..).zip(LEFT.iter().zip(&RIGHT));
    let page = lines.fold(Page::new(), |page, (n, (left, right))| {
        let y = 100.0 + 13.0 * f32::from(n);
        page.text(50.0, y, 11.0, left).text(310.0, y, 11.0, right)
    });
    let text = pages(&pdf(None, vec![page])).remove(0);
    assert!(text.contains("at the top of the other column"), "{text}");
}

#[test]
fn letters_drawn_twice_are_one() {
    for n in 0..40 {
        // Wherever the two fall on a grid of places.
        let x = 50.0 + n as f32 * 0.1;
        let page = Page::new().text(x, 100.0, 10.0, "Foods still").text(
            x + 0.3,
            100.2,
            10.0,
            "Foods still",
        );
        assert_eq!(pages(&pdf(None, vec![page])), ["Foods still"], "at {x}");
    }
    // Places are measured in the letters' size; these are the same number of sizes from the corner.
    let page = Page::new().text(100.0, 200.0, 10.0, "Word").text(120.0, 240.0, 12.0, "Word");
    assert_eq!(pages(&pdf(None, vec![page])), ["Word\n\nWord"]);
}

#[test]
fn drawn_letters_are_known_by_their_codes_where_those_make_text() {
    use pdf_writer::{Content, Name, Pdf, Rect, Ref, Str};
    let file = |shown: &[u8]| {
        let (catalog, tree, page, content, font, shape) =
            (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4), Ref::new(5), Ref::new(6));
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree);
        pdf.pages(tree).count(1).kids([page]);
        let mut object = pdf.page(page);
        object.parent(tree).contents(content).media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1));
        object.resources().fonts().pair(Name(b"F"), font);
        drop(object);
        // Characters that are drawn, named by number.
        let names: Vec<String> = (32..127).map(|code| code.to_string()).collect();
        let names = || names.iter().map(|name| Name(name.as_bytes()));
        let mut type3 = pdf.type3_font(font);
        type3.bbox(Rect::new(0.0, 0.0, 1000.0, 1000.0)).matrix([0.001, 0.0, 0.0, 0.001, 0.0, 0.0]);
        type3.first_char(32).last_char(126).widths((32..127).map(|_| 600.0));
        type3.char_procs().pairs(names().map(|name| (name, shape)));
        type3.encoding_custom().differences().consecutive(32, names());
        drop(type3);
        pdf.stream(shape, b"600 0 0 0 500 500 d1 0 0 500 500 re f");
        let mut text = Content::new();
        text.begin_text()
            .set_font(Name(b"F"), 10.0)
            .next_line(50.0, 700.0)
            .show(Str(shown))
            .end_text();
        pdf.stream(content, &text.finish());
        pdf.finish()
    };
    assert_eq!(pages(&file(b"Drawn letters, 42.")), ["Drawn letters, 42."]);
    // Numbered as they came.
    check_rejected(
        "a.pdf",
        &file(b"!\"#$ !\"%&' !()$* $+#*"),
        "no page has a text layer (scanned images need OCR)",
    );
}

#[test]
fn tables_are_rows() {
    let rows = [
        ["Country", "Days", "Remark"],
        ["United Kingdom", "27", "on top"],
        ["Denmark", "30", "all"],
    ];
    let table = |page: Page| {
        rows.iter().enumerate().fold(page, |page, (n, row)| {
            let y = 112.0 + 20.0 * n as f32;
            page.text(55.0, y, 10.0, row[0])
                .text(205.0, y, 10.0, row[1])
                .text(305.0, y, 10.0, row[2])
        })
    };
    let expect =
        "| Country | Days | Remark |\n| United Kingdom | 27 | on top |\n| Denmark | 30 | all |";
    // Without rules.
    assert_eq!(pages(&pdf(None, vec![table(Page::new())])), [expect]);
    // With a grid, and a cell of two lines.
    let grid = (0..4).fold(table(Page::new()), |page, n| {
        let y = 98.0 + 20.0 * n as f32;
        page.rule(50.0, y, 400.0, y)
    });
    let grid =
        [50.0, 200.0, 300.0, 400.0].iter().fold(grid, |page, &x| page.rule(x, 98.0, x, 190.0));
    let grid = grid
        .rule(50.0, 190.0, 400.0, 190.0)
        .text(55.0, 172.0, 10.0, "Netherlands")
        .text(205.0, 172.0, 10.0, "29")
        .text(305.0, 172.0, 10.0, "until")
        .text(305.0, 184.0, 10.0, "July")
        .text(50.0, 215.0, 10.0, "Text below the table.");
    assert_eq!(
        pages(&pdf(None, vec![grid])),
        [format!("{expect}\n| Netherlands | 29 | until July |\n\nText below the table.")]
    );
}

#[test]
fn paragraphs_lists_and_headings() {
    let page = Page::new()
        .text(50.0, 80.0, 16.0, "1. Scope")
        .lines(
            50.0,
            110.0,
            10.0,
            &["This paragraph has lines that flow on, and its", "end is here."],
        )
        .lines(
            50.0,
            134.0,
            10.0,
            &[
                "Another starts without any space, and that is",
                "seen because there was room above.",
            ],
        )
        .lines(
            60.0,
            170.0,
            10.0,
            &["\u{b7} first item, which is long enough to be set", "\u{b7} second item"],
        )
        .text(67.0, 194.0, 10.0, "with a second line");
    assert_eq!(
        pages(&pdf(None, vec![page])),
        ["1. Scope\n\nThis paragraph has lines that flow on, and its end is here.\n\n\
          Another starts without any space, and that is seen because there was room above.\n\n\
          \u{b7} first item, which is long enough to be set\n\u{b7} second item with a second line"]
    );
}

#[test]
fn furniture_is_left_out_and_pages_are_kept() {
    let page = |n: usize, lines: &[&str]| {
        Page::new()
            .text(50.0, 40.0, 9.0, "Handbook, edition 2026")
            .text(250.0, PAGE.1 - 30.0, 9.0, &format!("Page {n} of 4"))
            .lines(50.0, 100.0, 11.0, lines)
    };
    let bytes = pdf(
        Some("  The   handbook "),
        vec![
            page(1, &["A sentence that begins on the first page is not fin-"]),
            page(2, &["ished before the second one."]),
            page(3, &[]),
            page(4, &["Last."]),
        ],
    );
    assert_eq!(
        pages(&bytes),
        [
            "A sentence that begins on the first page is not finished",
            "before the second one.",
            "",
            "Last."
        ]
    );
    let document = run("x", &bytes).unwrap();
    assert_eq!(document.title.as_deref(), Some("The handbook"));
    assert_eq!(document.metadata["author"], "Grüße");
    assert_eq!(
        furniture(&document)[..3],
        [
            (1, Edge::Top, "Handbook, edition 2026"),
            (1, Edge::Bottom, "Page 1 of 4"),
            (2, Edge::Top, "Handbook, edition 2026")
        ]
    );
}

fn furniture(document: &Document) -> Vec<(u32, Edge, &str)> {
    let lines = document.layout.furniture.iter();
    lines.map(|line| (line.page, line.edge, line.text.as_str())).collect()
}

#[test]
fn what_the_file_calls_a_footer_is_told_apart() {
    let page = Page::new().text(50.0, 100.0, 11.0, "The only sentence.").artifact(
        50.0,
        PAGE.1 - 30.0,
        9.0,
        "Confidential, page 1",
    );
    let document = run("x", &pdf(None, vec![page])).unwrap();
    assert_eq!(document.text, "The only sentence.");
    assert_eq!(furniture(&document), [(1, Edge::Bottom, "Confidential, page 1")]);
}

#[test]
fn a_repeated_first_column_is_not_furniture() {
    let page = |n: u32| {
        let row = |page: Page, (at, name): (usize, &str)| {
            let y = 60.0 + 14.0 * at as f32;
            let cells = [name, &format!("{}", 7 * n + at as u32), &format!("{}", 31 * n * n)];
            cells.iter().enumerate().fold(page, |page, (column, cell)| {
                page.text(50.0 + 120.0 * column as f32, y, 10.0, cell)
            })
        };
        let title = Page::new().text(50.0, 40.0, 12.0, &format!("Sales of quarter {}", 3 * n * n));
        ["North", "South", "East", "West"].into_iter().enumerate().fold(title, row)
    };
    for text in pages(&pdf(None, (1..5).map(page).collect())) {
        assert!(
            ["North", "South", "East", "West"].iter().all(|name| text.contains(name)),
            "{text}"
        );
    }
}

#[test]
fn text_at_a_slant_is_read_and_placed() {
    let lines = ["The whole page is turned by a third", "of a quarter, and every line is read."];
    let page = lines.iter().enumerate().fold(Page::new(), |page, (n, line)| {
        // The next line stands at a right angle below.
        let (sin, cos) = 30_f32.to_radians().sin_cos();
        let down = 14.0 * n as f32;
        page.slanted(30.0, 150.0 - sin * down, 200.0 + cos * down, 11.0, line)
    });
    let document = run("x", &pdf(None, vec![page])).unwrap();
    assert_eq!(document.text, lines.join(" "));
    // The second line is some 165 points long and ends to the right of and below where it began.
    let last = document.layout.words.last().unwrap().rect;
    assert!((280.0..310.0).contains(&last.x1) && (285.0..310.0).contains(&last.y1), "{last:?}");
}

#[test]
fn links_lead_where_their_text_does_not_say() {
    let page = Page::new()
        .text(50.0, 100.0, 10.0, "Expenses go to the portal, see https://a.org/help for more.")
        .link([120.0, 90.0, 170.0, 104.0], "https://a.org/portal")
        .link([185.0, 90.0, 280.0, 104.0], "https://a.org/help");
    let document = run("x", &pdf(None, vec![page])).unwrap();
    let links: Vec<(&str, &str)> = document
        .layout
        .links
        .iter()
        .map(|link| (&document.text[link.span.start..link.span.end], link.target.as_str()))
        .collect();
    assert_eq!(links, [("the portal,", "https://a.org/portal")]);
}

#[test]
fn empty_pages_keep_their_section() {
    let page = |text: &str| Page::new().text(50.0, 100.0, 11.0, text);
    let bytes = pdf(None, vec![Page::new(), page("Two."), Page::new(), page("Four."), Page::new()]);
    assert_eq!(pages(&bytes), ["", "Two.", "", "Four.", ""]);
    assert_eq!(run("x", &bytes).unwrap().page_at(6), Some(4));
}

#[test]
fn repeated_content_is_not_furniture() {
    let bytes = pdf(
        None,
        (1..=5).map(|n| Page::new().text(50.0, 60.0, 11.0, &format!("Record {n}"))).collect(),
    );
    assert_eq!(pages(&bytes), ["Record 1", "Record 2", "Record 3", "Record 4", "Record 5"]);
}

#[test]
fn what_cannot_be_read_says_why() {
    let whole = pdf(None, vec![Page::new().text(50.0, 100.0, 11.0, "text")]);
    check_rejected("a.pdf", b"%PDF-1.7\nnothing", "the PDF is damaged: no readable page tree");
    check_rejected("a.pdf", &whole[..60], "the PDF is damaged: no readable page tree");
    check_rejected(
        "a.pdf",
        &pdf(None, vec![Page::new()]),
        "no page has a text layer (scanned images need OCR)",
    );
    // A missing end is repaired.
    assert_eq!(pages(&whole[..whole.len() - 120]), ["text"]);
}

#[test]
fn encrypted_files() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let locked = std::fs::read(data.join("locked.pdf")).unwrap();
    check_rejected("a.pdf", &locked, "the PDF is password-protected; `--password-file` opens it");
    let open = |password: &str| {
        let settings = Settings { password: Some(password.into()), ..Settings::default() };
        assert!(!format!("{settings:?}").contains(password));
        let input = ConvertInput { name: "a.pdf".into(), content: locked.clone().into() };
        convert(&input, &settings).map(|document| document.text)
    };
    assert_eq!(open("secret").unwrap(), "Locked.");
    let error = open("wrong").unwrap_err();
    let expect = "the PDF is password-protected, and the password does not fit";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Rejected, expect));
    let owner_only = std::fs::read(data.join("owner-password.pdf")).unwrap();
    assert_eq!(pages(&owner_only), ["Readable without a password."]);
}
