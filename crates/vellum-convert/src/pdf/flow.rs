//! Lines to flowing text: paragraphs, list items, words divided at the end of a line.
//!
//! A paragraph ends where the distance or the size of lines changes, where a line is indented, after
//! a line that ends early with the end of a sentence, and before a list marker. Everything else is one
//! paragraph, its lines joined by a blank, so that sentences are whole.
//!
//! A hyphen at the end of a line goes when the next line starts in lower case, unless the document
//! writes the word with a hyphen elsewhere and never without.

use super::lines::{Line, is_rtl, text_of};
use super::placed::Placed;
use std::collections::HashSet;

/// Distance of lines, as a multiple of the block's usual one, that ends a paragraph.
const PARAGRAPH_LEADING: f64 = 1.2;
/// Change of size, as a ratio, that ends a paragraph.
const SIZE_CHANGE: f64 = 1.12;
/// Indentation, in em, that starts a paragraph.
const INDENT: f64 = 0.9;

/// The words of a document, for telling a divided word from a compound.
pub(crate) type Vocabulary = HashSet<String>;

/// A paragraph and how it is set apart from the one before.
#[derive(Debug, PartialEq)]
pub(crate) struct Paragraph {
    pub(crate) text: Placed,
    /// Whether only a line end parts it from the one before, as between list items.
    pub(crate) is_tight: bool,
}

/// Returns the paragraphs of a block; `gap` is the word gap in em.
pub(crate) fn paragraphs(lines: &[Line], gap: f64, vocabulary: &Vocabulary) -> Vec<Paragraph> {
    let metrics = Metrics::new(lines);
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    // Where the text of the list item that is being read starts, right of its marker.
    let mut item: Option<f64> = None;
    for (n, line) in lines.iter().enumerate() {
        let text = shorten_leaders(text_of(&line.words, gap));
        let neighbours = Neighbours {
            above: n.checked_sub(1).map(|above| &lines[above]),
            line,
            below: lines.get(n + 1),
        };
        let so_far = paragraphs.last().map_or("", |paragraph| &*paragraph.text);
        let relation = metrics.relation(&neighbours, so_far, &text, item);
        if relation != Relation::Continues {
            item = item_text_start(line);
        }
        match paragraphs.last_mut() {
            Some(last) if relation == Relation::Continues => {
                append_line(&mut last.text, &text, vocabulary);
            }
            _ => {
                paragraphs.push(Paragraph { text, is_tight: relation == Relation::NextLine });
            }
        }
    }
    paragraphs
}

/// How a line relates to the one above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Same paragraph.
    Continues,
    /// A line of its own, close to the one above: a list item, an address.
    NextLine,
    /// A new paragraph.
    Apart,
}

struct Neighbours<'a> {
    above: Option<&'a Line>,
    line: &'a Line,
    below: Option<&'a Line>,
}

/// What is usual in a block.
struct Metrics {
    leading: f64,
    size: f64,
    x0: f64,
    x1: f64,
}

impl Metrics {
    fn new(lines: &[Line]) -> Self {
        let lower_middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            // Below the median, because gaps between paragraphs only ever make distances larger.
            values.get(values.len() * 2 / 5).copied().unwrap_or_default()
        };
        let size = lower_middle(lines.iter().map(|line| line.size).collect());
        let leadings = lines.windows(2).map(|pair| pair[1].y - pair[0].y);
        Self {
            leading: lower_middle(leadings.filter(|&leading| leading > 0.0).collect()),
            size,
            x0: lines.iter().map(Line::x0).fold(f64::MAX, f64::min),
            x1: lines.iter().map(Line::x1).fold(f64::MIN, f64::max),
        }
    }

    fn relation(
        &self,
        Neighbours { above, line, below }: &Neighbours<'_>,
        so_far: &str,
        text: &str,
        item: Option<f64>,
    ) -> Relation {
        let Some(above) = above else { return Relation::Apart };
        if self.are_apart(above, line) {
            return Relation::Apart;
        }
        if item_text_start(line).is_some() && starts_item(text) {
            return Relation::NextLine;
        }
        match item {
            // Text left of the item's own is no part of it.
            Some(start) if line.x0() < start - 0.6 * line.size => return Relation::Apart,
            Some(start) if line.x0() < start + 0.6 * line.size && !ends_sentence(so_far) => {
                return Relation::Continues;
            }
            Some(_) => {}
            None if self.is_indented(above, line, *below) => return Relation::Apart,
            None => {}
        }
        let free = self.free(above, line);
        if so_far.ends_with("...") || ends_in_page_number(so_far) {
            Relation::NextLine
        } else if free > 0.8 * above.size && ends_sentence(so_far) {
            Relation::Apart
        } else if free > 0.35 * (self.x1 - self.x0) {
            Relation::NextLine
        } else {
            Relation::Continues
        }
    }

    fn are_apart(&self, above: &Line, line: &Line) -> bool {
        let size = above.size.max(line.size);
        let ratio = size / above.size.min(line.size);
        // With few lines, or for a title, the usual distance is unknown.
        let is_usual = (size / self.size - 1.0).abs() < 0.1 && self.leading < 1.9 * size;
        let usual = if is_usual { self.leading.max(0.9 * size) } else { 1.3 * size };
        line.y - above.y > PARAGRAPH_LEADING * usual || ratio > SIZE_CHANGE
    }

    fn is_indented(&self, above: &Line, line: &Line, below: Option<&Line>) -> bool {
        let by = line.x0() - above.x0();
        let returns = below.is_none_or(|below| line.x0() - below.x0() > INDENT * line.size * 0.5);
        let is_flush = above.x0() - self.x0 < INDENT * above.size;
        by > INDENT * line.size && by < 6.0 * line.size && returns && is_flush
    }

    /// Returns the room that is left on `above` after the first word of `line` would have been set there.
    ///
    /// Lines are filled greedily, so room that was not used means that the line was meant to end.
    fn free(&self, above: &Line, line: &Line) -> f64 {
        let Some(first) = line.words.first() else { return 0.0 };
        if is_rtl(&first.text) {
            let start = line.words.last().map_or(0.0, |word| word.x1 - word.x0);
            return above.x0() - self.x0 - start - 0.3 * above.size;
        }
        self.x1 - above.x1() - (first.x1 - first.x0) - 0.3 * above.size
    }
}

/// Returns where the text of a list item starts, or `None` when the line starts none.
fn item_text_start(line: &Line) -> Option<f64> {
    let [marker, text, ..] = line.words.as_slice() else { return None };
    is_list_marker(&marker.text).then_some(text.x0)
}

/// Shortens the dots that lead to a page number.
fn shorten_leaders(text: Placed) -> Placed {
    if !text.contains("....") && !text.contains(". . . .") {
        return text;
    }
    let mut short = Placed::default();
    let mut n_dots = 0;
    let mut start = 0;
    for word in text.split(' ') {
        let end = start + word.len();
        let is_dots = !word.is_empty() && word.chars().all(|c| c == '.');
        n_dots = if is_dots { n_dots + word.len() } else { 0 };
        if n_dots <= word.len() || n_dots <= 3 {
            if !short.is_empty() {
                short.push_str(" ");
            }
            short.append(&text.part(start..if n_dots > 3 { start + 3 } else { end }));
        }
        start = end + 1;
    }
    short
}

fn ends_in_page_number(text: &str) -> bool {
    text.rsplit_once("... ")
        .is_some_and(|(_, number)| !number.is_empty() && number.chars().all(char::is_alphanumeric))
}

/// Joins lines of one cell or paragraph without a vocabulary.
pub(crate) fn join_lines(lines: &[Placed]) -> Placed {
    let mut text = Placed::default();
    for line in lines {
        append_line(&mut text, line, &Vocabulary::new());
    }
    text
}

/// Appends a line to a paragraph: a divided word is put together, else a blank parts the lines.
pub(crate) fn append_line(text: &mut Placed, line: &Placed, vocabulary: &Vocabulary) {
    let line = line.trimmed();
    let (Some(last), Some(first)) = (text.chars().next_back(), line.chars().next()) else {
        return text.append(&line);
    };
    let is_hyphen = matches!(last, '-' | '\u{2010}' | '\u{ad}');
    let before = text[..text.len() - last.len_utf8()].chars().next_back();
    if is_hyphen && before.is_some_and(char::is_alphabetic) && first.is_alphabetic() {
        if last == '\u{ad}' || first.is_lowercase() && !is_compound(text, &line, vocabulary) {
            text.truncate(text.len() - last.len_utf8());
        }
    } else if !(is_unspaced(last) && is_unspaced(first)) {
        text.push_str(" ");
    }
    text.append(&line);
}

/// Returns whether the word divided between `text` and `line` is written with its hyphen elsewhere, and
/// never without.
fn is_compound(text: &str, line: &str, vocabulary: &Vocabulary) -> bool {
    let head = text.rsplit(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or_default();
    let tail = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let with = normal_word(&format!("{head}{tail}"));
    let without = normal_word(&format!("{}{tail}", head.trim_end_matches('-')));
    vocabulary.contains(&with) && !vocabulary.contains(&without)
}

/// Adds the words of a line that are whole: not divided at its end.
pub(crate) fn learn(vocabulary: &mut Vocabulary, line: &Line, gap: f64) {
    let text = text_of(&line.words, gap);
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '-') {
        if word.len() > 3 && !word.ends_with('-') {
            vocabulary.insert(normal_word(word));
        }
    }
}

fn normal_word(word: &str) -> String {
    word.to_lowercase()
}

/// Returns whether a paragraph that ends like this and one that starts like that are one.
pub(crate) fn runs_on(text: &str, next: &str) -> bool {
    let starts_inside = next.chars().next().is_some_and(char::is_lowercase);
    starts_inside && !ends_sentence(text) && !text.is_empty()
}

fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»']);
    text.ends_with(['.', '!', '?', ':', ';', '。', '！', '？', '؟', '…'])
}

fn starts_item(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(marker, _)| is_list_marker(marker))
}

/// Returns whether `word` is a bullet or the number of a list item.
pub(crate) fn is_list_marker(word: &str) -> bool {
    let mut chars = word.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return "•◦▪‣●○■□–—*·-➢✓\u{f0b7}\u{2043}".contains(c);
    }
    let body = word.trim_start_matches('(');
    let Some(body) = body.strip_suffix(['.', ')']) else { return false };
    !body.is_empty() && body.len() <= 3 && body.chars().all(|c| c.is_ascii_digit())
        || body.len() == 1 && word.ends_with(')') && body.chars().all(|c| c.is_ascii_alphabetic())
}

/// Returns whether `c` belongs to a script that writes no blanks between words.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{30ff}' | '\u{31f0}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff01}'..='\u{ff60}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divided_words_are_put_together() {
        let vocabulary = Vocabulary::from(["well-known".into(), "undamaged".into()]);
        let cases = [
            ("an inter-", "national rule", "an international rule"),
            ("it is un\u{ad}", "damaged", "it is undamaged"),
            ("a well-", "known fact", "a well-known fact"),
            ("from Anglo-", "Saxon times", "from Anglo-Saxon times"),
            ("pages 3 -", "and more", "pages 3 - and more"),
            ("中文的", "句子", "中文的句子"),
            ("", "first", "first"),
        ];
        for (text, line, expect) in cases {
            let [mut text, line] = [text, line].map(|text| {
                let mut placed = Placed::default();
                placed.push_str(text);
                placed
            });
            append_line(&mut text, &line, &vocabulary);
            assert_eq!(&*text, expect);
        }
    }

    #[test]
    fn list_markers() {
        for (word, expect) in [
            ("•", true),
            ("12.", true),
            ("a)", true),
            ("(3)", true),
            ("x.", false),
            ("2026.", false),
        ] {
            assert_eq!(is_list_marker(word), expect, "{word}");
        }
    }
}
