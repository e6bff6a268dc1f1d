//! Boxes of words, headings and pictures of PDF pages.

use crate::pages::{PAGE, Page, pdf};
use crate::text::run;
use proptest::prelude::*;
use vellum_core::document::{Document, Position, SectionKind, Span};

/// Fails unless every character that was drawn lies in an entry, and every box on its page.
fn check_positions(document: &Document) {
    let text = &document.text;
    let mut covered = vec![false; text.len()];
    let mut last = 0;
    for Position { start, end, page, rect } in document.layout.words.iter().copied() {
        let (start, end) = (start as usize, end as usize);
        assert!(last <= start && start < end, "entries ascend");
        assert!(text.get(start..end).is_some_and(|word| !word.contains([' ', '\n'])));
        // A word that the page's end divides stands in the text of the page where it began.
        let shown = document.page_at(start).unwrap();
        assert!((page - 1..=page).contains(&shown), "{} on {page}", &text[start..end]);
        assert!(0.0 <= rect.x0 && rect.x0 <= rect.x1 && rect.x1 <= PAGE.0, "{rect:?}");
        assert!(0.0 <= rect.y0 && rect.y0 <= rect.y1 && rect.y1 <= PAGE.1, "{rect:?}");
        covered[start..end].fill(true);
        last = end;
    }
    for (at, c) in text.char_indices() {
        // Bars of tables are not drawn.
        assert!(covered[at] || c.is_whitespace() || c == '|', "{c} at {at} in {text}");
    }
}

#[test]
fn a_phrase_has_a_box_on_each_of_its_lines() {
    let lines = ["An agreement of the inter-", "national kind is made", "in writing."];
    let page = Page::new().lines(50.0, 100.0, 10.0, &lines);
    let document = run("a.pdf", &pdf(None, vec![Page::new(), page])).unwrap();
    check_positions(&document);
    let start = document.text.find("the international kind").unwrap();
    let boxes = document.boxes_of(Span { start, end: start + "the international kind".len() });
    assert_eq!(boxes.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [2, 2]);
    let (above, below) = (boxes[0].1, boxes[1].1);
    assert!(above.x0 > 110.0 && above.y0 < 93.0 && above.y1 > 101.0, "{above:?}");
    assert!((50.0..51.0).contains(&below.x0) && below.x1 < 120.0, "{below:?}");
    assert!(below.y0 > 103.0 && below.y0 < 106.0, "{below:?}");
}

#[test]
fn cells_have_their_own_boxes() {
    let rows = [["Country", "Days"], ["Denmark", "30"], ["Norway", "25"]];
    let page = rows.iter().enumerate().fold(Page::new(), |page, (n, row)| {
        let y = 112.0 + 20.0 * n as f32;
        page.text(55.0, y, 10.0, row[0]).text(305.0, y, 10.0, row[1])
    });
    let document = run("a.pdf", &pdf(None, vec![page])).unwrap();
    assert_eq!(document.text, "| Country | Days |\n| Denmark | 30 |\n| Norway | 25 |");
    check_positions(&document);
    let start = document.text.find("30").unwrap();
    let boxes = document.boxes_of(Span { start, end: start + 2 });
    assert!(boxes.len() == 1 && (boxes[0].1.x0 - 305.0).abs() < 0.2, "{boxes:?}");
}

#[test]
fn larger_lines_are_headings() {
    let body = [
        "A handbook says what is done and by whom, and it does so in lines that are much",
        "longer than any heading is. This one goes on for as long as it takes to be the",
        "text of the page, because the share of large letters tells headings from posters.",
        "It is followed by another paragraph on the next page, which says nothing else.",
    ];
    let page = |title: &str, size: f32| {
        Page::new().text(50.0, 80.0, size, title).lines(50.0, 110.0, 10.0, &body)
    };
    let bytes = pdf(None, vec![page("Leave", 20.0), page("Parental leave", 14.0)]);
    let document = run("a.pdf", &bytes).unwrap();
    let headings: Vec<(u8, &str, Option<u32>)> = document
        .sections
        .iter()
        .filter_map(|section| match &section.kind {
            SectionKind::Heading { level, title } => {
                Some((*level, title.as_str(), document.page_at(section.span.start)))
            }
            SectionKind::Page(_) => None,
        })
        .collect();
    assert_eq!(headings, [(1, "Leave", Some(1)), (2, "Parental leave", Some(2))]);
}

#[test]
fn bookmarks_are_headings() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let document = run("a.pdf", &std::fs::read(data.join("places.pdf")).unwrap()).unwrap();
    let headings: Vec<(u8, &str, &str)> = document
        .sections
        .iter()
        .filter_map(|section| match &section.kind {
            SectionKind::Heading { level, title } => {
                let covered = &document.text[section.span.start..section.span.end];
                Some((*level, title.as_str(), covered))
            }
            SectionKind::Page(_) => None,
        })
        .collect();
    let [(1, "Annual leave", first), (2, "Parental leave", second), (1, "Travel", third)] =
        headings.as_slice()
    else {
        panic!("{headings:?}")
    };
    assert!(first.starts_with("Annual leave\n\n") && first.ends_with(second));
    assert!(second.starts_with("Parental leave\n\n") && !second.contains("Travel"));
    assert!(third.starts_with("Travel\n\n") && document.text.ends_with(third));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_character_has_a_place(
        words in prop::collection::vec(
            ("[a-zA-Z.|-]{1,9}", 0_u8..2, 0.0_f32..620.0, -5.0_f32..805.0, 4.0_f32..30.0),
            1..80,
        ),
    ) {
        let mut pages = [Page::new(), Page::new()];
        for (text, page, x, y, size) in words {
            let page = &mut pages[usize::from(page)];
            *page = std::mem::replace(page, Page::new()).text(x, y, size, &text);
        }
        // Words that all stand outside of the page are no text.
        if let Ok(document) = run("a.pdf", &pdf(None, pages.into())) {
            check_positions(&document);
        }
    }
}
