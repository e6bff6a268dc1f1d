//! Text that knows where it stands: a string, and a rectangle for each piece that was drawn.
//!
//! Every step from words to pages works on [`Placed`] instead of strings, so that joining, dividing and
//! leaving out keep the places right. What was not drawn (blanks, bars of tables) has no place.

use super::lines::Word;
use hayro_interpret::kurbo::Rect;
use std::ops::{Deref, Range};

/// A piece of the text and its rectangle: upright in its own direction of text, then as displayed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// 1-based; 0 until the page is known.
    pub(crate) page: u32,
    pub(crate) rect: Rect,
    /// Height of the em square.
    pub(crate) size: f64,
}

/// Text with its places, which ascend and do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Placed {
    text: String,
    places: Vec<Place>,
}

impl Deref for Placed {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Placed {
    pub(crate) fn push_word(&mut self, word: &Word) {
        let start = self.text.len();
        self.text.push_str(&word.text);
        let rect = Rect::new(word.x0, word.ascent(), word.x1, word.descent());
        self.places.push(Place { start, end: self.text.len(), page: 0, rect, size: word.size });
    }

    /// Appends text that was not drawn.
    pub(crate) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.append_part(other, 0..other.len());
    }

    /// Appends a part of `other`; `range` lies on character boundaries.
    fn append_part(&mut self, other: &Self, range: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(&other.text[range.clone()]);
        let first = other.places.partition_point(|place| place.end <= range.start);
        let inside = other.places[first..].iter().take_while(|place| place.start < range.end);
        self.places.extend(inside.map(|place| Place {
            start: start + place.start.max(range.start) - range.start,
            end: start + place.end.min(range.end) - range.start,
            ..place.clone()
        }));
    }

    /// Returns a part; `range` lies on character boundaries.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        part.append_part(self, range);
        part
    }

    /// Returns the text without blanks at its ends.
    pub(crate) fn trimmed(&self) -> Self {
        let start = self.len() - self.text.trim_start().len();
        self.part(start..start + self.text.trim().len())
    }

    /// Drops what stands behind byte `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.text.truncate(len);
        let len = self.text.len();
        self.places.truncate(self.places.partition_point(|place| place.start < len));
        if let Some(last) = self.places.last_mut() {
            last.end = last.end.min(len);
        }
    }

    /// Returns the text without the characters that `is_out` names.
    pub(crate) fn without(self, is_out: impl Fn(char) -> bool) -> Self {
        if !self.text.contains(&is_out) {
            return self;
        }
        let mut kept = Self::default();
        let mut start = 0;
        for (at, gone) in self.text.match_indices(&is_out) {
            kept.append_part(&self, start..at);
            start = at + gone.len();
        }
        kept.append_part(&self, start..self.len());
        kept
    }

    /// Says on which page the text stands that has none yet, and turns its rectangles as they are displayed.
    pub(crate) fn settle(&mut self, page: u32, turn: impl Fn(Rect) -> Rect) {
        for place in self.places.iter_mut().filter(|place| place.page == 0) {
            place.page = page;
            place.rect = turn(place.rect);
        }
    }

    pub(crate) fn into_parts(self) -> (String, Vec<Place>) {
        (self.text, self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, x0: f64) -> Word {
        let text = text.into();
        Word { text, x0, x1: x0 + 10.0, y: 10.0, size: 10.0, after_blank: false, order: 0 }
    }

    fn spans(placed: &Placed) -> Vec<(&str, f64)> {
        placed.places.iter().map(|p| (&placed.text[p.start..p.end], p.rect.x0)).collect()
    }

    #[test]
    fn places_follow_the_text() {
        let mut line = Placed::default();
        line.push_word(&word("no\u{ad}ta", 0.0));
        line.push_str(" ");
        line.push_word(&word("ble-", 20.0));
        line.truncate(line.len() - 1);
        line.push_word(&word("é ", 40.0));
        assert_eq!(&*line, "no\u{ad}ta bleé ");
        let line = line.without(|c| c == '\u{ad}').trimmed();
        assert_eq!(spans(&line), [("no", 0.0), ("ta", 0.0), ("ble", 20.0), ("é", 40.0)]);
        assert_eq!(spans(&line.part(3..6)), [("a", 0.0), ("b", 20.0)]);
        assert_eq!(&*line.part(3..6), "a b");
    }
}
