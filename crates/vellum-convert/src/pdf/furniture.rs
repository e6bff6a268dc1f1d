//! Running headers, footers and page numbers: found by repetition, left out of the text.
//!
//! A piece of a line near the top or the bottom edge is furniture when the same text stands at the same
//! place on at least three pages and on a good part of all; odd and even pages may differ. One number in
//! it may change if it counts the pages, so "Invoice 4711" and "Invoice 4712" stay.
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
    let pieces: Vec<Vec<Piece>> = (0..).zip(pages.iter()).zip(heights).map(candidates).collect();
    let mut n_pages: HashMap<&Key, usize> = HashMap::new();
    for page in &pieces {
        let keys: HashSet<&Key> = page.iter().flat_map(|piece| &piece.keys).collect();
        for key in keys {
            *n_pages.entry(key).or_default() += 1;
        }
    }
    let least = MIN_PAGES.max((pages.len() as f64 * MIN_SHARE).ceil() as usize);
    let is_furniture = |piece: &&Piece| {
        piece.keys.iter().any(|(text, place)| {
            // A place may fall on either side of a step.
            let near = [-1, 0, 1].map(|step| (text.clone(), place + step));
            near.iter().filter_map(|key| n_pages.get(key)).sum::<usize>() >= least
        })
    };
    let parted: Vec<(Vec<Word>, Vec<Word>)> = pages
        .iter()
        .zip(&pieces)
        .map(|(words, page)| {
            let furniture: Vec<&Word> =
                page.iter().filter(is_furniture).flat_map(|piece| &piece.words).collect();
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

fn candidates(((index, words), &height): ((i64, &Vec<Word>), &f64)) -> Vec<Piece> {
    let in_margin = |word: &&Word| word.y < height * MARGIN || word.y > height * (1.0 - MARGIN);
    let words: Vec<Word> = words.iter().filter(in_margin).cloned().collect();
    let lines: Vec<Line> = super::lines::lines(words);
    lines
        .iter()
        .flat_map(|line| line.cells(PIECE_GAP))
        .map(|words| {
            let text: String = words.iter().map(|word| word.text.as_str()).collect();
            let place = words.first().map_or(0.0, |word| word.y) / PLACE_STEP;
            let keys = texts(&text, index).into_iter().map(|text| (text, place.round() as i64));
            Piece { keys: keys.collect(), words: words.to_vec() }
        })
        .collect()
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

    #[test]
    fn a_page_number_is_a_distance() {
        assert_eq!(texts("Page3of9", 2), ["Page3of9", "Page<1>of9", "Page3of<7>"]);
        assert_eq!(texts("é7", 6), ["é7", "é<1>"]);
        assert_eq!(texts("xii", 0), ["xii", "roman numeral"]);
    }
}
