//! Running headers, footers and page numbers: found by repetition, left out of the text.
//!
//! A piece of a line near the top or the bottom edge is furniture when the same text stands at the same
//! place on at least three pages and on a good part of all; odd and even pages may differ. One number in
//! it may change if it counts the pages, so "Invoice 4711" and "Invoice 4712" stay. Nothing but furniture stands between
//! it and the edge, and it makes up half of its line at least: a table that has the same first column on every page
//! keeps it.
//!
//! When most pages would be left empty, nothing is removed: then the repetition is the content. What is removed is
//! told apart, page by page, so that nothing of the file is lost.

use super::lines::{Line, Word};
use std::collections::{HashMap, HashSet};

/// Share of the page's height, from either edge, in which furniture stands. TeX sets wide margins.
const MARGIN: f64 = 0.18;
/// Least number of pages that repeat a text.
const MIN_PAGES: usize = 3;
/// Least share of pages that repeat it; two alternating headers have one half each.
const MIN_SHARE: f64 = 0.3;
/// Gap, in em, that parts the pieces of a header.
const PIECE_GAP: f64 = 1.5;
/// Tolerance of a place, in points.
const PLACE_STEP: f64 = 3.0;
/// Numbers of a piece that are tried as page number.
const MAX_NUMBERS: usize = 4;

/// A text, possibly with its page number as distance to the page's index, and its place in steps.
type Key = (String, i64);

/// The lines near an edge of a page, as pieces.
type Edge = Vec<Vec<Piece>>;

struct Piece {
    keys: Vec<Key>,
    words: Vec<Word>,
}

/// Removes furniture from the words of all pages and returns the removed words, page by page; `heights` are
/// those of the pages.
pub(crate) fn remove(pages: &mut [Vec<Word>], heights: &[f64]) -> Vec<Vec<Word>> {
    if pages.len() < MIN_PAGES {
        return vec![Vec::new(); pages.len()];
    }
    let edges: Vec<[Edge; 2]> = (0..).zip(pages.iter()).zip(heights).map(candidates).collect();
    let mut n_pages: HashMap<&Key, usize> = HashMap::new();
    for page in &edges {
        let pieces = page.iter().flatten().flatten();
        let keys: HashSet<&Key> = pieces.flat_map(|piece| &piece.keys).collect();
        for key in keys {
            *n_pages.entry(key).or_default() += 1;
        }
    }
    let least = MIN_PAGES.max((pages.len() as f64 * MIN_SHARE).ceil() as usize);
    let is_furniture = |piece: &Piece| {
        piece.keys.iter().any(|(text, place)| {
            // A place may fall on either side of a step.
            let near = [-1, 0, 1].map(|step| (text.clone(), place + step));
            near.iter().filter_map(|key| n_pages.get(key)).sum::<usize>() >= least
        })
    };
    let parted: Vec<(Vec<Word>, Vec<Word>)> = pages
        .iter()
        .zip(&edges)
        .map(|(words, page)| {
            let furniture: Vec<&Word> = page
                .iter()
                .flat_map(|edge| peeled(edge, is_furniture))
                .flat_map(|piece| &piece.words)
                .collect();
            words.iter().cloned().partition(|word| furniture.contains(&word))
        })
        .collect();
    let n_emptied =
        parted.iter().filter(|(gone, kept)| !gone.is_empty() && kept.is_empty()).count();
    if n_emptied * 2 >= pages.len() {
        return vec![Vec::new(); pages.len()];
    }
    let (removed, kept): (Vec<_>, Vec<_>) = parted.into_iter().unzip();
    pages.clone_from_slice(&kept);
    removed
}

/// Returns the pieces of the lines from the edge inward that are furniture.
fn peeled(edge: &Edge, is_furniture: impl Fn(&Piece) -> bool) -> Vec<&Piece> {
    let mut peeled = Vec::new();
    for line in edge {
        let furniture: Vec<&Piece> = line.iter().filter(|piece| is_furniture(piece)).collect();
        if furniture.len() * 2 < line.len() {
            break;
        }
        peeled.extend(furniture);
    }
    peeled
}

/// Returns the lines near the top and near the bottom, each from the edge inward.
fn candidates(((index, words), &height): ((i64, &Vec<Word>), &f64)) -> [Edge; 2] {
    let near_top = |word: &Word| word.y < height * MARGIN;
    let near_bottom = |word: &Word| word.y > height * (1.0 - MARGIN);
    let top = edge(index, words.iter().filter(|word| near_top(word)));
    let mut bottom = edge(index, words.iter().filter(|word| near_bottom(word)));
    bottom.reverse();
    [top, bottom]
}

fn edge<'a>(index: i64, words: impl Iterator<Item = &'a Word>) -> Edge {
    let lines: Vec<Line> = super::lines::lines(words.cloned().collect());
    let piece = |words: &[Word]| {
        let text: String = words.iter().map(|word| word.text.as_str()).collect();
        let place = words.first().map_or(0.0, |word| word.y) / PLACE_STEP;
        let keys = texts(&text, index).into_iter().map(|text| (text, place.round() as i64));
        Piece { keys: keys.collect(), words: words.to_vec() }
    };
    lines.iter().map(|line| line.cells(PIECE_GAP).into_iter().map(piece).collect()).collect()
}

/// Returns `text` itself, and with each of its numbers in turn as distance to `index`.
fn texts(text: &str, index: i64) -> Vec<String> {
    let mut texts = vec![text.to_owned()];
    if text.len() <= 6 && text.chars().all(|c| "ivxlIVXL".contains(c)) {
        texts.push("roman numeral".into());
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && texts.len() <= MAX_NUMBERS {
        let n_digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if let Ok(number) = text[at..at + n_digits].parse::<i64>() {
            let distance = number.wrapping_sub(index);
            texts.push(format!("{}<{distance}>{}", &text[..at], &text[at + n_digits..]));
        }
        // Step over the digits, or to the next character.
        at += n_digits.max(1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(y: f64, texts: &[&str]) -> Vec<Word> {
        let word = |(n, text): (usize, &&str)| {
            let (x0, text) = (100.0 * n as f64, (*text).to_owned());
            Word { text, x0, x1: x0 + 40.0, y, size: 10.0, after_blank: false, order: 0 }
        };
        texts.iter().enumerate().map(word).collect()
    }

    /// The texts that are removed from three pages of these lines; `#` is the page's index.
    fn removed(lines: &[(f64, &[&str])]) -> Vec<String> {
        let page = |index: usize| -> Vec<Word> {
            let mut words: Vec<Word> =
                lines.iter().flat_map(|(y, texts)| line(*y, texts)).collect();
            for word in &mut words {
                word.text = word.text.replace('#', &(7 * index * index).to_string());
            }
            words
        };
        let mut pages: Vec<Vec<Word>> = (1..4).map(page).collect();
        let removed = remove(&mut pages, &[800.0; 3]);
        removed[0].iter().map(|word| word.text.clone()).collect()
    }

    #[test]
    fn a_header_goes_and_the_first_column_of_a_table_stays() {
        let body = (400.0, ["text#"].as_slice());
        let header = (20.0, ["Report", "2026"].as_slice());
        let row = (60.0, ["North", "#1", "#2", "#3"].as_slice());
        let title = (20.0, ["Table#"].as_slice());
        assert_eq!(removed(&[header, row, body]), ["Report", "2026"]);
        assert!(removed(&[title, row, (80.0, &["South", "#1"]), body]).is_empty());
        // A chapter's title beside the report's.
        assert_eq!(removed(&[(20.0, &["Report", "Chapter#"]), body]), ["Report"]);
        assert_eq!(
            removed(&[body, (760.0, &["Notes"]), (780.0, &["Report"])]),
            ["Notes", "Report"]
        );
    }

    #[test]
    fn a_page_number_is_a_distance() {
        assert_eq!(texts("Page3of9", 2), ["Page3of9", "Page<1>of9", "Page3of<7>"]);
        assert_eq!(texts("é7", 6), ["é7", "é<1>"]);
        assert_eq!(texts("xii", 0), ["xii", "roman numeral"]);
    }
}
