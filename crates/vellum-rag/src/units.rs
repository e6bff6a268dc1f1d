//! Cuts a text into units: sentences, list items, table rows, headings.
//!
//! Units are what the splitter packs into chunks and what an extractive answer cites. They are
//! ascending, do not overlap, and cover every character that is not white space between them.
//!
//! Steps: blocks (blank lines) -> items (list markers, table rows, code lines) -> sentences (Unicode
//! UAX #29, with line ends read as spaces, and without the breaks that abbreviations cause).

use unicode_segmentation::UnicodeSegmentation;
use vellum_core::document::Span;

/// A unit with its range in the text that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Bytes in the text; trimmed of white space, never empty.
    pub span: Span,
    /// What it is.
    pub kind: UnitKind,
    /// Whether a block begins with it.
    pub starts_block: bool,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// A sentence of running text or of a list item.
    Sentence,
    /// A row of a table (`| cell | cell |`).
    TableRow,
}

/// Returns the units of `text`, ascending.
pub fn units(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    let mut item: Option<Span> = None;
    let mut block_open = false;
    let flush = |item: &mut Option<Span>, starts: bool, found: &mut Vec<Unit>| {
        if let Some(span) = item.take() {
            push_sentences(text, span, starts, found);
        }
    };
    let mut item_starts_block = false;
    for line in lines(text) {
        let content = &text[line.start..line.end];
        let trimmed = trim(text, line);
        if trimmed.is_empty() {
            flush(&mut item, item_starts_block, &mut found);
            block_open = false;
        } else if content.trim_start().starts_with('|') {
            flush(&mut item, item_starts_block, &mut found);
            if !is_table_rule(content) {
                found.push(Unit {
                    span: trimmed,
                    kind: UnitKind::TableRow,
                    starts_block: !block_open,
                });
            }
            block_open = true;
        } else if item.is_none() || starts_item(content) {
            flush(&mut item, item_starts_block, &mut found);
            item_starts_block = !block_open;
            block_open = true;
            item = Some(trimmed);
        } else if let Some(span) = &mut item {
            span.end = trimmed.end;
        }
    }
    flush(&mut item, item_starts_block, &mut found);
    found
}

/// Returns the lines of `text` as spans without their line ends.
fn lines(text: &str) -> impl Iterator<Item = Span> + '_ {
    let mut start = 0;
    text.split('\n').map(move |line| {
        let span = Span { start, end: start + line.len() };
        start += line.len() + 1;
        span
    })
}

fn trim(text: &str, span: Span) -> Span {
    let slice = &text[span.start..span.end];
    let start = span.start + (slice.len() - slice.trim_start().len());
    let end = start + slice.trim().len();
    Span { start, end }
}

/// A Markdown table rule such as `| --- | :-: |`, which says nothing to a reader.
fn is_table_rule(line: &str) -> bool {
    line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// Whether a line begins a list item: a bullet, or a short number or letter with `.` or `)`.
fn starts_item(line: &str) -> bool {
    let line = line.trim_start();
    let mut chars = line.chars();
    match chars.next() {
        Some('-' | '*' | '•' | '–' | '▪' | '◦' | '·' | '#') => {
            chars.next().is_none_or(|c| c.is_whitespace() || c == '#')
        }
        Some(c) if c.is_ascii_digit() => {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            line.len() - rest.len() <= 3 && (rest.starts_with(". ") || rest.starts_with(") "))
        }
        _ => false,
    }
}

/// Cuts one item into sentences.
fn push_sentences(text: &str, span: Span, starts_block: bool, found: &mut Vec<Unit>) {
    // UAX #29 ends a sentence at every line end; in wrapped text a line end is a space.
    let flat = text[span.start..span.end].replace('\n', " ");
    let mut start = 0;
    let mut first = true;
    let mut push = |from: usize, to: usize| {
        let trimmed = trim(text, Span { start: span.start + from, end: span.start + to });
        if !trimmed.is_empty() {
            let starts_block = starts_block && std::mem::take(&mut first);
            found.push(Unit { span: trimmed, kind: UnitKind::Sentence, starts_block });
        }
    };
    for (at, sentence) in flat.split_sentence_bound_indices() {
        let end = at + sentence.len();
        if end <= start {
            // Inside references that were taken whole.
            continue;
        }
        let end = bracketed(&flat, start, end);
        if end < flat.len() && continues(&flat[start..end], &flat[end..]) {
            continue;
        }
        push(start, end);
        start = end;
    }
    push(start, flat.len());
}

/// Returns the candidate boundary `end` of the sentence from `start` on, moved where UAX #29 cuts behind an opening bracket:
/// references such as `[1]` belong to the sentence before them, any other bracket opens the next.
fn bracketed(text: &str, start: usize, end: usize) -> usize {
    let before = &text[start..end];
    let body = before.trim_end_matches(['[', '(']);
    if body.len() == before.len() {
        return end;
    }
    let mut end = start + body.len();
    while let Some(length) = reference(&text[end..]) {
        end += length;
    }
    end
}

/// Returns the length of the reference that opens `text`, such as `[3, 5-7]`; `None` where none does.
fn reference(text: &str) -> Option<usize> {
    /// Longest inside, in bytes.
    const MAX_INSIDE: usize = 16;
    let (inside, _) = text.strip_prefix('[')?.split_once(']')?;
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, ',' | '-' | '–' | ' ');
    (inside.len() <= MAX_INSIDE && inside.chars().all(is_number)).then_some(inside.len() + 2)
}

/// Whether the text after a candidate boundary still belongs to the sentence before it.
fn continues(before: &str, after: &str) -> bool {
    const ABBREVIATIONS: [&str; 34] = [
        "e.g", "i.e", "etc", "vs", "cf", "approx", "no", "nos", "fig", "figs", "eq", "sec", "ch",
        "vol", "dr", "mr", "mrs", "ms", "prof", "st", "inc", "ltd", "co", "corp", "dept", "est",
        "min", "max", "al", "pp", "z.b", "bzw", "ca", "nr",
    ];
    let Some(stem) = before.trim_end().strip_suffix('.') else { return false };
    let word = stem.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or(stem);
    let lower = word.to_lowercase();
    if lower == "etc" || lower == "no" {
        // These also end sentences: go on only before a lower-case word or a digit.
        return after.trim_start().starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit());
    }
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    is_initial || ABBREVIATIONS.contains(&lower.as_str()) || is_item_number(before)
}

/// A list number alone (`3.`) is the start of its item, not a sentence.
fn is_item_number(before: &str) -> bool {
    let stem = before.trim().trim_end_matches('.');
    !stem.is_empty() && stem.len() <= 3 && stem.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: &[&str]) {
        let found: Vec<&str> =
            units(text).iter().map(|unit| &text[unit.span.start..unit.span.end]).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn sentences_items_and_rows() {
        check("One is here. Two is\nthere.  Three", &["One is here.", "Two is\nthere.", "Three"]);
        check(
            "Ask Dr. Smith, e.g. by mail. Then go.",
            &["Ask Dr. Smith, e.g. by mail.", "Then go."],
        );
        check(
            "- first item\n- second\n  goes on\n\nPara",
            &["- first item", "- second\n  goes on", "Para"],
        );
        check("1. Stop the pump. Wait.\n2. Go", &["1. Stop the pump.", "Wait.", "2. Go"]);
        check("| a | b |\n| --- | --- |\n| 1 | 2 |", &["| a | b |", "| 1 | 2 |"]);
        check("It costs 3.50 EUR. Is it U.S. made?", &["It costs 3.50 EUR.", "Is it U.S. made?"]);
        check("这是一。那是二。", &["这是一。", "那是二。"]);
        check("It silted up.[1] See [2].", &["It silted up.[1]", "See [2]."]);
        check("As shown.[3, 5-7][9] Then.", &["As shown.[3, 5-7][9]", "Then."]);
        check("He left.(Then he came.) So.", &["He left.", "(Then he came.)", "So."]);
        check("It ended.[citation needed] So.", &["It ended.[citation needed] So."]);
        check("Open.[", &["Open.", "["]);
        check("[(", &["[("]);
        check(" \n\n ", &[]);
    }

    proptest! {
        #[test]
        fn units_cover_all_visible_text(text in "[a-zA-Z0-9 .\n|é\\[\\](-]{0,200}") {
            let mut at = 0;
            for unit in units(&text) {
                prop_assert!(unit.span.start >= at && !unit.span.is_empty());
                let gap = &text[at..unit.span.start];
                prop_assert!(gap.chars().all(|c| c.is_whitespace() || "|-:".contains(c)), "{gap:?}");
                at = unit.span.end;
            }
            prop_assert!(text[at..].chars().all(|c| c.is_whitespace() || "|-:".contains(c)));
        }
    }
}
