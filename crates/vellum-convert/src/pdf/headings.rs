//! Headings of a PDF: where its bookmarks point, else lines that are set larger than the text.
//!
//! A bookmark becomes the section of the line that reads like its title, nearest to the height it points to; where
//! no line does, of the first line at that height. Without bookmarks, a short line counts as a heading when
//! it is clearly larger than most of the text, unless so many lines are that size means nothing, or the same
//! stands in the same place of many pages.

use super::outline::Bookmark;
use super::placed::Place;
use std::collections::{BTreeMap, HashMap};
use vellum_core::document::{Section, SectionKind, Span};

/// Bookmarks that are looked up on one page; more are marks in a list, not headings.
const MAX_PER_PAGE: usize = 200;
/// How far above its line a bookmark may point, in points.
const ABOVE: f64 = 8.0;
/// Size of a heading as a multiple of the text's, and the rank from that size on.
const RANKS: [(f64, u8); 3] = [(1.7, 1), (1.35, 2), (1.14, 3)];
/// Longest heading told by its size, in characters.
const MAX_CHARS: usize = 120;
/// Most characters in large lines, as a share of all, for size to mean rank.
const MAX_SHARE: f64 = 0.1;

/// Least times that a large line stands in one place to be a watermark.
const WATERMARKS: usize = 3;

/// A line of the text with its place.
struct Line {
    span: Span,
    /// Top of its first word.
    y: f64,
    /// Letters and digits in lower case.
    key: String,
}

/// Adds the headings to `sections`, which are the pages of `text`.
pub(crate) fn add(
    text: &str,
    places: &[Place],
    sections: &mut Vec<Section>,
    bookmarks: &[Bookmark],
) {
    let mut headings = match bookmarks {
        [] => large(text, places),
        _ => marked(text, places, sections, bookmarks),
    };
    headings.sort_by_key(|(start, ..)| *start);
    headings.dedup();
    let mut closed = nested(text, headings);
    sections.append(&mut closed);
    sections.sort_by_key(|section| {
        (section.span.start, matches!(section.kind, SectionKind::Heading { .. }))
    });
}

/// First byte, rank, title.
type Heading = (usize, u8, String);

fn marked(text: &str, places: &[Place], pages: &[Section], bookmarks: &[Bookmark]) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut by_page: HashMap<usize, Vec<&Bookmark>> = HashMap::new();
    for mark in bookmarks {
        by_page.entry(mark.page + 1).or_default().push(mark);
    }
    for section in pages {
        let SectionKind::Page(number) = section.kind else { continue };
        let Some(marks) = by_page.get(&(number as usize)) else { continue };
        let lines = lines(text, section.span, places);
        headings.extend(
            marks
                .iter()
                .take(MAX_PER_PAGE)
                .map(|mark| (start_of(mark, &lines, section.span), mark.level, mark.title.clone())),
        );
    }
    headings
}

/// Returns where the section of a bookmark starts on its page.
fn start_of(mark: &Bookmark, lines: &[Line], page: Span) -> usize {
    let key = key(&mark.title);
    let distance = |line: &&Line| mark.y.map_or(0.0, |y| (line.y - y).abs());
    let alike = lines.iter().filter(|line| reads_like(&line.key, &key));
    let nearest = alike.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let below = || {
        let y = mark.y?;
        lines.iter().find(|line| line.y >= y - ABOVE)
    };
    nearest.or_else(below).map_or(page.start, |line| line.span.start)
}

/// Returns whether a line starts with a title; either may have a number that the other lacks.
fn reads_like(line: &str, title: &str) -> bool {
    let unnumbered = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if title.is_empty() {
        return false;
    }
    let (line_words, title_words) =
        (&line[line.len() - unnumbered(line)..], &title[title.len() - unnumbered(title)..]);
    line.starts_with(title) || !title_words.is_empty() && line_words.starts_with(title_words)
}

fn large(text: &str, places: &[Place]) -> Vec<Heading> {
    let Some(usual) = usual_size(places) else { return Vec::new() };
    let mut headings = Vec::new();
    let mut n_at: HashMap<(String, i64), usize> = HashMap::new();
    let mut tops = Vec::new();
    let (mut n_large, mut next) = (0, 0);
    for (span, line) in line_spans(text, Span { start: 0, end: text.len() }) {
        next += places[next..].partition_point(|place| place.end <= span.start);
        let n_words = places[next..].partition_point(|place| place.start < span.end);
        let words = &places[next..next + n_words];
        let Some(size) = usual_size(words) else { continue };
        let is_rank = |(least, _): &(f64, u8)| size >= least * usual;
        let Some((_, level)) = RANKS.into_iter().find(is_rank) else { continue };
        n_large += line.len();
        let n_letters = line.chars().filter(|c| c.is_alphabetic()).count();
        let is_title = n_letters >= 3
            && line.chars().count() <= MAX_CHARS
            && !line.starts_with('|')
            && !line.ends_with(['.', ',', ';', ':']);
        if is_title {
            let top = (line.to_owned(), words[0].rect.y0.round() as i64);
            *n_at.entry(top.clone()).or_default() += 1;
            tops.push(top);
            headings.push((span.start, level, line.to_owned()));
        }
    }
    let mut is_watermark = tops.iter().map(|top| n_at[top] >= WATERMARKS);
    headings.retain(|_| is_watermark.next() == Some(false));
    let is_reliable = n_large as f64 <= MAX_SHARE * text.len() as f64;
    if is_reliable { headings } else { Vec::new() }
}

/// Returns the size, to half a point, that most characters have; of equals the largest.
fn usual_size(places: &[Place]) -> Option<f64> {
    let mut n_chars = BTreeMap::new();
    for place in places {
        *n_chars.entry((place.size * 2.0).round() as i64).or_insert(0) += place.end - place.start;
    }
    let (half_points, _) = n_chars.into_iter().max_by_key(|(_, n)| *n)?;
    Some(half_points as f64 / 2.0).filter(|size| *size > 0.0)
}

fn lines(text: &str, within: Span, places: &[Place]) -> Vec<Line> {
    let mut next = places.partition_point(|place| place.end <= within.start);
    let line = |(span, line): (Span, &str)| {
        next += places[next..].partition_point(|place| place.end <= span.start);
        let first = places.get(next).filter(|place| place.start < span.end);
        Line { span, y: first.map_or(0.0, |place| place.rect.y0), key: key(line) }
    };
    line_spans(text, within).map(line).collect()
}

/// Returns the lines inside `within` that are not empty.
fn line_spans(text: &str, within: Span) -> impl Iterator<Item = (Span, &str)> {
    let mut start = within.start;
    let lines = text.get(within.start..within.end).unwrap_or_default().split('\n');
    lines
        .map(move |line| {
            let span = Span { start, end: start + line.len() };
            start = span.end + 1;
            (span, line)
        })
        .filter(|(span, _)| !span.is_empty())
}

fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns headings as sections: each ends where the next of its rank or a higher one starts.
fn nested(text: &str, headings: Vec<Heading>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::with_capacity(headings.len());
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut close = |sections: &mut Vec<Section>, level: u8, end: usize| {
        while let Some((_, index)) = open.pop_if(|(rank, _)| *rank >= level) {
            let start = sections[index].span.start;
            sections[index].span.end = start + text[start..end].trim_end().len();
        }
        open.push((level, sections.len()));
    };
    for (start, level, title) in headings {
        close(&mut sections, level, start);
        let kind = SectionKind::Heading { level, title };
        sections.push(Section { kind, span: Span { start, end: start } });
    }
    close(&mut sections, 0, text.len());
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_with_and_without_numbers() {
        for (line, title, expect) in [
            ("2.1 The Scope of it", "The scope", true),
            ("The scope", "2.1 The scope", true),
            ("Scope", "The scope", false),
            ("2026", "", false),
        ] {
            assert_eq!(reads_like(&key(line), &key(title)), expect, "{line}");
        }
    }

    #[test]
    fn headings_end_before_the_next_of_their_rank() {
        let headings = vec![(0, 1, "A".into()), (3, 2, "B".into()), (6, 1, "C".into())];
        let text = "a\n\nb\n\nc";
        let spans: Vec<&str> = nested(text, headings)
            .iter()
            .map(|section| &text[section.span.start..section.span.end])
            .collect();
        assert_eq!(spans, ["a\n\nb", "b", "c"]);
    }
}
