//! What pages tell beyond the text: where its words stand, where links lead, what repeats on every page.
//!
//! A page's coordinates are points (1/72 inch) from its top left corner as it is displayed, y downward.

use super::Span;
use serde::{Deserialize, Serialize};

/// Least share of the lower of two boxes that both cover in height when they stand on one line.
const SAME_LINE: f32 = 0.5;
/// Largest blank inside one rectangle, as a multiple of its height; a wider one parts two cells.
const MAX_BLANK: f32 = 3.0;

/// An upright rectangle on a page, in points from the top left; `x0 <= x1`, `y0 <= y1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left end.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right end.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

impl Rect {
    /// Returns the smallest rectangle that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Returns whether `other` stands on the same line, next to this one.
    fn is_beside(self, other: Self) -> bool {
        let low = (self.y1 - self.y0).min(other.y1 - other.y0);
        let shared = self.y1.min(other.y1) - self.y0.max(other.y0);
        let blank = self.x0.max(other.x0) - self.x1.min(other.x1);
        shared >= SAME_LINE * low && blank <= MAX_BLANK * low
    }
}

/// The place of a word, or of the part of a divided word that stands on one line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Position {
    /// First byte in the document's text.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Page, 1-based.
    pub page: u32,
    /// Where on the page.
    pub rect: Rect,
}

/// The size of a page as it is displayed, in points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageSize {
    /// Page, 1-based.
    pub page: u32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// A rectangle on a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageBox {
    /// Where on the page.
    pub rect: Rect,
    /// The page.
    pub on: PageSize,
}

/// A piece of the text that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The text that is shown.
    pub span: Span,
    /// The address.
    pub target: String,
}

/// A running header or footer: text that repeats from page to page and is no part of the document's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Furniture {
    /// Page, 1-based.
    pub page: u32,
    /// The side of the page.
    pub edge: Edge,
    /// The text as it stands on this page.
    pub text: String,
}

/// A side of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// Above the text.
    Top,
    /// Below the text.
    Bottom,
}

/// How a text stands on its pages; empty where its format does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// The words, ascending and without overlap.
    pub words: Vec<Position>,
    /// The pages on which they stand, ascending.
    pub pages: Vec<PageSize>,
    /// Links whose address the text does not show, ascending by start.
    pub links: Vec<Link>,
    /// Headers and footers, ascending by page.
    pub furniture: Vec<Furniture>,
}

impl Layout {
    /// Returns whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.pages.is_empty()
            && self.links.is_empty()
            && self.furniture.is_empty()
    }

    /// Takes over the layout of a text that now begins at byte `start` of this one; words have no place where that is too long.
    pub(super) fn append(&mut self, later: &Self, start: usize) {
        self.words.extend(later.words.iter().filter_map(|position| {
            let by = u32::try_from(start).ok()?;
            let (start, end) = (position.start.checked_add(by)?, position.end.checked_add(by)?);
            Some(Position { start, end, ..*position })
        }));
        self.pages.extend(&later.pages);
        self.links.extend(later.links.iter().map(|link| {
            let span = Span { start: link.span.start + start, end: link.span.end + start };
            Link { span, target: link.target.clone() }
        }));
        self.furniture.extend_from_slice(&later.furniture);
    }
}

/// A position as it is stored: there is one for each word, so names would cost more than values.
type Packed = (u32, u32, u32, f32, f32, f32, f32);

impl From<Packed> for Position {
    fn from((start, end, page, x0, y0, x1, y1): Packed) -> Self {
        Self { start, end, page, rect: Rect { x0, y0, x1, y1 } }
    }
}

impl From<Position> for Packed {
    fn from(position: Position) -> Self {
        let Position { start, end, page, rect } = position;
        (start, end, page, rect.x0, rect.y0, rect.x1, rect.y1)
    }
}

/// Returns the words that share a byte with `span`.
pub(super) fn touched(words: &[Position], span: Span) -> &[Position] {
    let first = words.partition_point(|word| word.end as usize <= span.start);
    let n = words[first..].partition_point(|word| (word.start as usize) < span.end);
    &words[first..first + n]
}

/// Returns the rectangles that cover `span`, one for each run of words on a line, in order of the text.
pub(super) fn boxes(words: &[Position], span: Span) -> Vec<(u32, Rect)> {
    let mut boxes: Vec<(u32, Rect)> = Vec::new();
    for Position { page, rect, .. } in touched(words, span) {
        match boxes.last_mut() {
            Some((last, open)) if last == page && open.is_beside(*rect) => {
                *open = open.union(*rect);
            }
            _ => boxes.push((*page, *rect)),
        }
    }
    boxes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: u32, end: u32, page: u32, x0: f32, y0: f32) -> Position {
        let rect = Rect { x0, y0, x1: x0 + 20.0, y1: y0 + 10.0 };
        Position { start, end, page, rect }
    }

    #[test]
    fn words_of_a_line_are_one_box() {
        // "aaa bbb ccc ddd": two on a line, one on the next, one on the next page.
        let positions = [
            at(0, 3, 1, 50.0, 10.0),
            at(4, 7, 1, 75.0, 11.0),
            at(8, 11, 1, 50.0, 24.0),
            at(12, 15, 2, 50.0, 10.0),
        ];
        let rect = |x0, y0, x1, y1| Rect { x0, y0, x1, y1 };
        assert_eq!(
            boxes(&positions, Span { start: 1, end: 13 }),
            [
                (1, rect(50.0, 10.0, 95.0, 21.0)),
                (1, rect(50.0, 24.0, 70.0, 34.0)),
                (2, rect(50.0, 10.0, 70.0, 20.0))
            ]
        );
        assert_eq!(
            boxes(&positions, Span { start: 4, end: 8 }),
            [(1, rect(75.0, 11.0, 95.0, 21.0))]
        );
        assert_eq!(boxes(&positions, Span { start: 3, end: 4 }), []);
        // Cells far apart are not joined over the blank between them.
        let cells = [at(0, 3, 1, 50.0, 10.0), at(4, 7, 1, 300.0, 10.0)];
        assert_eq!(boxes(&cells, Span { start: 0, end: 7 }).len(), 2);
    }

    #[test]
    fn positions_are_stored_as_seven_numbers() {
        let json = serde_json::to_string(&at(4, 7, 2, 75.3, 10.0)).unwrap();
        assert_eq!(json, "[4,7,2,75.3,10.0,95.3,20.0]");
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap().rect.x0, 75.3);
    }
}
