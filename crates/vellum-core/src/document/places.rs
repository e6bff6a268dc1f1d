//! Where the words of a chunk stand, packed small enough to be stored with it.
//!
//! Each word is seven variable-length integers (LEB128, signed ones in zigzag), relative to the word before, so
//! that a word of running text takes about nine bytes: bytes since the last word's end, length in
//! bytes, pages on, left end from the last right end, top from the last top, width, height against the last
//! height. Lengths are tenths of a point, finer than any display.

use super::layout::{self, Layout, PageBox, PageSize, Position, Rect};
use super::{Document, Span};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Lengths per point.
const TENTHS: f32 = 10.0;

/// Packed places of a chunk's words; empty where its format does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Page, width and height of the pages on which words stand, ascending; lengths in tenths of a point.
    pages: Vec<(u32, i32, i32)>,
    /// The words, packed and in base64.
    words: String,
}

impl Places {
    /// Returns the places of the words that lie in or reach into `span` of a document.
    pub fn cut(document: &Document, span: Span) -> Self {
        let Layout { words, pages, .. } = &document.layout;
        let words = layout::touched(words, span);
        let sizes = pages.iter().filter(|size| words.iter().any(|word| word.page == size.page));
        let mut packed = Vec::with_capacity(words.len() * 9);
        let mut before = Cursor::default();
        for word in words {
            // A word on the chunk's edge counts for the part that lies inside.
            let start = (word.start as usize).max(span.start) - span.start;
            let end = (word.end as usize).min(span.end) - span.start;
            let (Ok(start), Ok(end)) = (i64::try_from(start), i64::try_from(end)) else { break };
            let Rect { x0, y0, x1, y1 } = word.rect;
            let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(|value| i64::from(tenths(value)));
            let now =
                Cursor { end, page: i64::from(word.page), right: x1, top: y0, height: y1 - y0 };
            for value in [
                start - before.end,
                end - start,
                now.page - before.page,
                x0 - before.right,
                now.top - before.top,
                x1 - x0,
                now.height - before.height,
            ] {
                push(&mut packed, value);
            }
            before = now;
        }
        Self {
            pages: sizes.map(|s| (s.page, tenths(s.width), tenths(s.height))).collect(),
            words: STANDARD_NO_PAD.encode(packed),
        }
    }

    /// Returns whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the size of a page on which words of the chunk stand.
    pub fn page_size(&self, page: u32) -> Option<PageSize> {
        let (page, width, height) =
            self.pages.iter().find(|(known, ..)| *known == page).copied()?;
        Some(PageSize { page, width: points(width.into()), height: points(height.into()) })
    }

    /// Returns the rectangles that cover `span`, a byte range of the chunk's text: one for each run of words on
    /// a line, in order of the text. A word that `span` only touches counts whole.
    pub fn boxes(&self, span: Span) -> Vec<PageBox> {
        let boxes = layout::boxes(&self.words(), span).into_iter();
        boxes.filter_map(|(page, rect)| Some(PageBox { rect, on: self.page_size(page)? })).collect()
    }

    /// Returns the words with their places in the chunk's text, up to the first that is damaged; lengths are whole tenths of a
    /// point.
    pub fn words(&self) -> Vec<Position> {
        let packed = STANDARD_NO_PAD.decode(&self.words).unwrap_or_default();
        let mut packed = packed.into_iter();
        let mut before = Cursor::default();
        let mut words = Vec::with_capacity(packed.len() / 8);
        while let Some(word) = next_word(&mut packed, &mut before) {
            words.push(word);
        }
        words
    }
}

/// What the next word is told against.
#[derive(Default)]
struct Cursor {
    end: i64,
    page: i64,
    right: i64,
    top: i64,
    height: i64,
}

fn next_word(packed: &mut impl Iterator<Item = u8>, before: &mut Cursor) -> Option<Position> {
    let mut next = || pop(packed);
    let start = before.end.checked_add(next()?)?;
    let end = start.checked_add(next()?)?;
    let page = before.page.checked_add(next()?)?;
    let left = before.right.checked_add(next()?)?;
    let top = before.top.checked_add(next()?)?;
    let right = left.checked_add(next()?)?;
    let height = before.height.checked_add(next()?)?;
    *before = Cursor { end, page, right, top, height };
    let rect = Rect {
        x0: points(left),
        y0: points(top),
        x1: points(right),
        y1: points(top.checked_add(height)?),
    };
    let (start, end) = (start.try_into().ok()?, end.try_into().ok()?);
    Some(Position { start, end, page: page.try_into().ok()?, rect })
}

fn tenths(points: f32) -> i32 {
    (points * TENTHS).round() as i32
}

fn points(tenths: i64) -> f32 {
    tenths as f32 / TENTHS
}

fn push(packed: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        packed.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    packed.push(rest as u8);
}

fn pop(packed: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = packed.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(words: &[(u32, u32, u32, [i16; 4])]) -> Document {
        let mut at = 0;
        let mut layout = Layout::default();
        for (gap, length, page, [x0, y0, width, height]) in words {
            let start = at + gap;
            at = start + length;
            let [x0, y0, width, height] = [x0, y0, width, height].map(|n| f32::from(*n) / 10.0);
            let rect = Rect { x0, y0, x1: x0 + width.abs(), y1: y0 + height.abs() };
            layout.words.push(Position { start, end: at, page: *page, rect });
        }
        layout.pages = (1..4).map(|page| PageSize { page, width: 595.3, height: 841.9 }).collect();
        Document { layout, ..Document::plain("x".repeat(at as usize)) }
    }

    proptest! {
        #[test]
        fn packing_keeps_every_box(
            words in prop::collection::vec((0u32..3, 1u32..20, 1u32..4, any::<[i16; 4]>()), 0..40),
            cut in (0usize..300, 0usize..300),
        ) {
            let document = document(&words);
            let length = document.text.len();
            let cut = Span { start: cut.0.min(cut.1).min(length), end: cut.0.max(cut.1).min(length) };
            let places = Places::cut(&document, cut);
            let json = serde_json::to_string(&places).unwrap();
            let stored: Places = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&stored, &places);
            let want = layout::touched(&document.layout.words, cut);
            let got = stored.words();
            prop_assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(want) {
                let edges = |at: u32| (at as usize).clamp(cut.start, cut.end) - cut.start;
                prop_assert_eq!(got.start as usize, edges(want.start));
                prop_assert_eq!(got.end as usize, edges(want.end));
                prop_assert_eq!(got.page, want.page);
                let size = stored.page_size(got.page).map(|size| (size.width, size.height));
                prop_assert_eq!(size, Some((595.3, 841.9)));
                let (got, want) = (got.rect, want.rect);
                for edge in [|r: Rect| r.x0, |r: Rect| r.y0, |r: Rect| r.x1, |r: Rect| r.y1] {
                    prop_assert!((edge(got) - edge(want)).abs() < 0.06, "{got:?} is {want:?}");
                }
            }
        }

        #[test]
        fn damage_is_no_panic(words in "[A-Za-z0-9+/]{0,60}") {
            let places = Places { pages: vec![(1, 1, 1)], words };
            places.boxes(Span { start: 0, end: 1000 });
        }
    }

    #[test]
    fn running_text_takes_about_nine_bytes_a_word() {
        let words: Vec<_> = (0..200i16)
            .map(|n| (1, 6, 1, [700 + n % 10 * 400, 800 + n / 10 * 120, 350, 110]))
            .collect();
        let places = Places::cut(&document(&words), Span { start: 0, end: 1400 });
        let n_bytes = places.words.len() * 3 / 4;
        assert!(n_bytes <= 200 * 9 + 10, "{n_bytes} bytes");
        assert_eq!(places.boxes(Span { start: 0, end: 1400 }).len(), 20);
    }
}
