//! Glyphs to words, words to lines: what stands together on one baseline.
//!
//! Words follow the drawing order, because that is how overlapping texts stay apart; lines follow geometry,
//! because programs draw the pieces of a line in any order. A blank is either drawn as one or left
//! as a gap; the gap that counts is narrower on pages that draw no blanks (TeX).

use super::glyphs::Glyph;
use super::placed::Placed;

/// Gap, in em, that parts words on a page whose blanks are drawn, and on one whose blanks are gaps.
const GAP_WITH_BLANKS: f64 = 0.22;
const GAP_WITHOUT_BLANKS: f64 = 0.13;
/// Least room, in em, that a drawn blank leaves.
const LEAST_BLANK: f64 = 0.08;
/// How far the glyphs of a word may overlap, in em; more means that another text begins.
const MAX_OVERLAP: f64 = 0.35;
/// Distance of baselines, in em, within which pieces are one line (superscripts included).
const SAME_LINE: f64 = 0.42;
/// The same for the highest and the lowest piece: a line may hold a raised and a lowered one (the logo of LaTeX).
const SAME_LINE_SPREAD: f64 = 0.52;
/// Share of drawn blanks above which gaps need not stand for blanks.
const DRAWS_BLANKS: f64 = 0.05;

/// Height of a word's box over and under its baseline, in em; holds the letters of nearly all fonts.
const ASCENT: f64 = 0.82;
const DESCENT: f64 = 0.24;

/// A piece of text without a blank.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) x0: f64,
    pub(crate) x1: f64,
    /// Baseline.
    pub(crate) y: f64,
    pub(crate) size: f64,
    /// Whether a blank was drawn before it.
    pub(crate) after_blank: bool,
    /// Its place among the words of the page in the order of drawing; words drawn one after the other on one line
    /// count from left to right.
    pub(crate) order: usize,
}

impl Word {
    /// Returns a word without text whose box is this one.
    pub(crate) fn in_box(x0: f64, top: f64, x1: f64, bottom: f64) -> Self {
        let size = (bottom - top) / (ASCENT + DESCENT);
        let y = top + ASCENT * size;
        Self { text: String::new(), x0, x1, y, size, after_blank: false, order: 0 }
    }

    pub(crate) fn top(&self) -> f64 {
        self.y - 0.75 * self.size
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.y + 0.25 * self.size
    }

    /// Returns the top of the word's box.
    pub(crate) fn ascent(&self) -> f64 {
        self.y - ASCENT * self.size
    }

    /// Returns the bottom of the word's box.
    pub(crate) fn descent(&self) -> f64 {
        self.y + DESCENT * self.size
    }
}

/// The words of a page in drawing order, and the gap that parts words on it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) words: Vec<Word>,
    /// In em.
    pub(crate) gap: f64,
}

/// Returns the words that `glyphs` form.
pub(crate) fn words(glyphs: &[Glyph]) -> Words {
    let n_blanks = glyphs.iter().filter(|glyph| glyph.text.trim().is_empty()).count();
    let draws_blanks = n_blanks as f64 > glyphs.len() as f64 * DRAWS_BLANKS;
    let gap = if draws_blanks { GAP_WITH_BLANKS } else { GAP_WITHOUT_BLANKS };
    let mut words = Vec::new();
    let mut open: Vec<&Glyph> = Vec::new();
    let mut last: Option<&Glyph> = None;
    let mut after_blank = false;
    for glyph in glyphs {
        let is_blank = glyph.text.trim().is_empty();
        if !is_blank {
            // A drawn blank under a glyph that follows at once is a leftover of kerning, but in the text layer of a scan,
            // whose letters are wider than those in the picture.
            let is_leftover = || last.is_some_and(|last| is_squeezed(last, glyph));
            if open.is_empty() && glyph.is_visible && is_leftover() {
                after_blank = false;
            }
            last = Some(glyph);
        }
        if is_blank || open.last().is_some_and(|last| !continues(last, glyph, gap)) {
            close_word(&mut open, after_blank, &mut words);
            after_blank = is_blank;
        }
        if !is_blank {
            open.push(glyph);
        }
    }
    close_word(&mut open, after_blank, &mut words);
    number(&mut words);
    Words { words, gap }
}

/// Returns whether hardly any room is left between two glyphs of a line.
fn is_squeezed(last: &Glyph, next: &Glyph) -> bool {
    let size = last.size.max(next.size);
    let distance = (next.x0 - last.x1).max(last.x0 - next.x1);
    (last.y - next.y).abs() < 0.5 * size && (-size..=LEAST_BLANK * size).contains(&distance)
}

/// Numbers words by the order of drawing.
fn number(words: &mut [Word]) {
    let on_one_line = |a: &Word, b: &Word| (a.y - b.y).abs() <= SAME_LINE * a.size.max(b.size);
    let mut first = 0;
    for run in words.chunk_by_mut(on_one_line) {
        let mut from_left: Vec<&mut Word> = run.iter_mut().collect();
        from_left.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        for (n, word) in from_left.into_iter().enumerate() {
            word.order = first + n;
        }
        first += run.len();
    }
}

fn continues(last: &Glyph, next: &Glyph, gap: f64) -> bool {
    let size = last.size.max(next.size);
    let ratio = last.size / next.size;
    if (last.y - next.y).abs() > 0.1 * size || !(0.5..=2.0).contains(&ratio) {
        return false;
    }
    let fits = |distance: f64| (-MAX_OVERLAP * size..=gap * size).contains(&distance);
    let leftward = is_rtl(&next.text) && fits(last.x0 - next.x1);
    fits(next.x0 - last.x1) || leftward
}

fn close_word(open: &mut Vec<&Glyph>, after_blank: bool, words: &mut Vec<Word>) {
    let [first, rest @ ..] = open.as_slice() else { return };
    let (x0, x1) = rest
        .iter()
        .fold((first.x0, first.x1), |(x0, x1), glyph| (x0.min(glyph.x0), x1.max(glyph.x1)));
    let size = rest.iter().fold(first.size, |size, glyph| size.max(glyph.size));
    let y = first.y;
    let has_letters = |glyph: &&&Glyph| glyph.text.chars().any(char::is_alphabetic);
    if is_rtl(&first.text) && open.iter().filter(has_letters).all(|glyph| is_rtl(&glyph.text)) {
        // Some programs draw right-to-left words from the left; the place tells the order.
        open.sort_by(|a, b| b.x0.total_cmp(&a.x0));
    }
    let text = open.iter().map(|glyph| glyph.text.as_str()).collect();
    open.clear();
    words.push(Word { text, x0, x1, y, size, after_blank, order: 0 });
}

/// Words on one baseline, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) words: Vec<Word>,
    /// Baseline of the largest word.
    pub(crate) y: f64,
    pub(crate) size: f64,
}

impl Line {
    /// Returns a line of `words`, which stand on one baseline.
    pub(crate) fn new(mut words: Vec<Word>) -> Self {
        words.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        let mut line = Self { words, y: 0.0, size: 0.0 };
        // The size that most characters have; one drop cap or footnote mark decides nothing.
        let weight = |size: f64| {
            let alike = line.words.iter().filter(|word| (word.size - size).abs() < 0.3);
            alike.map(|word| word.text.chars().count()).sum::<usize>()
        };
        let main = line.words.iter().max_by_key(|word| weight(word.size));
        if let Some((y, size)) = main.map(|word| (word.y, word.size)) {
            (line.y, line.size) = (y, size);
        }
        line
    }

    pub(crate) fn x0(&self) -> f64 {
        self.words.first().map_or(0.0, |word| word.x0)
    }

    pub(crate) fn x1(&self) -> f64 {
        self.words.iter().fold(f64::MIN, |x1, word| x1.max(word.x1))
    }

    pub(crate) fn top(&self) -> f64 {
        self.y - 0.75 * self.size
    }

    /// Returns the runs of words that no gap of `em` or more parts.
    pub(crate) fn cells(&self, em: f64) -> Vec<&[Word]> {
        let mut cells = Vec::new();
        let mut start = 0;
        let mut x1 = f64::MIN;
        for (n, word) in self.words.iter().enumerate() {
            if n > start && word.x0 - x1 > em * self.size.max(word.size) {
                cells.push(&self.words[start..n]);
                start = n;
            }
            x1 = x1.max(word.x1);
        }
        cells.push(&self.words[start..]);
        cells
    }
}

/// Returns `words` as lines from top to bottom.
pub(crate) fn lines(mut words: Vec<Word>) -> Vec<Line> {
    words.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut lines = Vec::new();
    let mut open: Vec<Word> = Vec::new();
    for word in words {
        let belongs = open.last().is_some_and(|last| {
            let first = &open[0];
            let size = last.size.max(word.size).min(first.size.max(word.size));
            word.y - last.y <= SAME_LINE * size.min(last.size.max(word.size))
                && word.y - first.y <= SAME_LINE_SPREAD * size
        });
        if !belongs && !open.is_empty() {
            lines.push(Line::new(std::mem::take(&mut open)));
        }
        open.push(word);
    }
    if !open.is_empty() {
        lines.push(Line::new(open));
    }
    lines
}

/// Returns the text of words on one line; `gap` in em parts words between which no blank was drawn.
pub(crate) fn text_of(words: &[Word], gap: f64) -> Placed {
    let is_rtl_line = 2 * words.iter().filter(|word| is_rtl(&word.text)).count() > words.len();
    let mut text = Placed::default();
    let mut previous: Option<&Word> = None;
    for word in reading_order(words, is_rtl_line) {
        if let Some(previous) = previous {
            let (left, right) =
                if previous.x0 <= word.x0 { (previous, word) } else { (word, previous) };
            let distance = right.x0 - left.x1;
            let drawn = if is_rtl_line {
                word.after_blank || previous.after_blank
            } else {
                right.after_blank
            };
            let size = left.size.max(right.size);
            let is_next = word.order.abs_diff(previous.order) == 1;
            let is_level = (word.y - previous.y).abs() <= 0.1 * size;
            if distance > gap * size
                || drawn && (is_next || distance > LEAST_BLANK * size)
                || distance < -MAX_OVERLAP * size && !(is_next && is_level)
            {
                text.push_str(" ");
            }
        }
        text.push_word(word);
        previous = Some(word);
    }
    text
}

/// Returns the words in reading order: right to left with left-to-right runs kept, where the line is so.
fn reading_order(words: &[Word], is_rtl_line: bool) -> Vec<&Word> {
    let mut ordered: Vec<&Word> = words.iter().collect();
    if !is_rtl_line {
        // Runs of right-to-left words inside a left-to-right line are read from their right end.
        for run in ordered.chunk_by_mut(|a, b| is_rtl(&a.text) && is_rtl(&b.text)) {
            run.sort_by(|a, b| b.x0.total_cmp(&a.x0).then(std::cmp::Ordering::Equal));
        }
        return ordered;
    }
    ordered.reverse();
    for run in ordered.chunk_by_mut(|a, b| !is_rtl(&a.text) && !is_rtl(&b.text)) {
        run.reverse();
    }
    ordered
}

/// Returns whether the first letter of `text` belongs to a right-to-left script.
pub(crate) fn is_rtl(text: &str) -> bool {
    text.chars().find(|c| c.is_alphabetic()).is_some_and(
        |c| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(text: &str, x0: f64, y: f64) -> Glyph {
        Glyph { text: text.into(), x0, x1: x0 + 5.0, y, size: 10.0, is_visible: true }
    }

    fn read(glyphs: &[Glyph]) -> Vec<String> {
        let Words { words, gap } = words(glyphs);
        lines(words).iter().map(|line| text_of(&line.words, gap).to_string()).collect()
    }

    #[test]
    fn gaps_and_drawn_blanks_part_words() {
        let by_gap = [("a", 0.0), ("b", 5.0), ("c", 13.0)].map(|(text, x)| glyph(text, x, 0.0));
        assert_eq!(read(&by_gap), ["ab c"]);
        let mut by_blank =
            [("a", 0.0), (" ", 5.0), ("b", 6.5)].map(|(text, x)| glyph(text, x, 0.0));
        by_blank[1].x1 = 6.5;
        assert_eq!(read(&by_blank), ["a b"]);
    }

    #[test]
    fn lines_come_from_the_place_not_from_the_drawing_order() {
        let glyphs = [glyph("z", 20.0, 12.0), glyph("b", 20.0, 0.0), glyph("a", 0.0, 0.0)];
        assert_eq!(read(&glyphs), ["a b", "z"]);
    }

    #[test]
    fn a_line_holds_a_raised_and_a_lowered_letter() {
        let mut logo = [("L", 0.0, 20.0), ("A", 4.0, 17.8), ("T", 8.0, 20.0), ("E", 12.0, 22.2)]
            .map(|(text, x, y)| glyph(text, x, y));
        logo[1].size = 7.0;
        assert_eq!(read(&logo), ["LATE"]);
    }

    #[test]
    fn right_to_left_words_are_read_from_the_right() {
        let glyphs = [glyph("ب", 0.0, 0.0), glyph("ا", 5.0, 0.0), glyph("م", 20.0, 0.0)];
        assert_eq!(read(&glyphs), ["م اب"]);
    }
}
