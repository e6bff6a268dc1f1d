//! The shapes of a slide before 2007, as those of its successor know them ([`Shape`]), and tables.
//!
//! A table is a group whose properties say so; its cells are shapes that stand in a grid, its lines are shapes too.
//! Reference: MS-ODRAW 2.2.13 to 2.2.40, MS-PPT 2.7 and 2.13.24 (`PlaceholderEnum`).

use super::deck::Page;
use super::records::{Record, Records, number, short};
use super::text::{Text, link_all, texts};
use crate::blocks::{Block, Flow};
use crate::pptx::shapes::{Place, Shape};
use std::collections::HashMap;

/// Types of records.
const DRAWING: u16 = 0x040C;
const DRAWING_OF_PAGE: u16 = 0xF002;
const GROUP: u16 = 0xF003;
const SHAPE: u16 = 0xF004;
const SHAPE_ATOM: u16 = 0xF00A;
const PROPERTIES: [u16; 3] = [0xF00B, 0xF121, 0xF122];
const TEXT: u16 = 0xF00D;
const PLACE_IN_GROUP: u16 = 0xF00F;
const PLACE_ON_SLIDE: u16 = 0xF010;
const CLIENT_DATA: u16 = 0xF011;
const PLACEHOLDER: u16 = 0x0BC3;
/// Set on a shape that was deleted.
const DELETED: u32 = 0x8;
/// Shapes that are lines.
const LINE: u16 = 20;
/// The property that makes a group a table.
const TABLE: u16 = 0x039F;
/// Deepest group that is read.
const MAX_DEPTH: usize = 32;
/// Most columns and rows of a table.
const MAX_GRID: usize = 1_000;

/// Returns the shapes of a slide or a page of notes, in the order of the file; of one that is lost what the outline has.
pub(super) fn read(page: &Page<'_>, links: &HashMap<u32, String>) -> Vec<Shape> {
    if page.content.is_empty() {
        return page.outline.iter().map(|text| of_outline(text, links)).collect();
    }
    let drawing = Records(page.content).content(DRAWING).unwrap_or_default();
    let drawing = Records(drawing).content(DRAWING_OF_PAGE).unwrap_or_default();
    let group = Records(drawing).content(GROUP).unwrap_or_default();
    shapes_of(group, page, links, 0)
}

fn of_outline(text: &Text, links: &HashMap<u32, String>) -> Shape {
    let kind = if text.is_title() { "title" } else { "" };
    Shape { kind: kind.into(), place: None, blocks: text.blocks(links), inner: Vec::new() }
}

/// Returns the shapes of a group; the first record is the group itself.
fn shapes_of(
    group: &[u8],
    page: &Page<'_>,
    links: &HashMap<u32, String>,
    depth: usize,
) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for record in Records(group).skip(1) {
        match record.kind {
            SHAPE => shapes.extend(shape(record.content, page, links)),
            GROUP if depth < MAX_DEPTH => {
                let own = Records(record.content).content(SHAPE).unwrap_or_default();
                let place = bounds(own).map(Bounds::place);
                let mut found =
                    Shape { kind: String::new(), place, blocks: Vec::new(), inner: Vec::new() };
                match is_table(own).then(|| table(record.content, page, links)).flatten() {
                    Some(blocks) => found.blocks = blocks,
                    None => found.inner = shapes_of(record.content, page, links, depth + 1),
                }
                shapes.push(found);
            }
            _ => {}
        }
    }
    shapes
}

/// Returns the shape with these records; `None` when it was deleted or holds no text.
fn shape(records: &[u8], page: &Page<'_>, links: &HashMap<u32, String>) -> Option<Shape> {
    let flags = Records(records).content(SHAPE_ATOM).and_then(|atom| number(atom, 4));
    if flags.is_some_and(|flags| flags & DELETED != 0) {
        return None;
    }
    let client_data = Records(records).content(CLIENT_DATA).unwrap_or_default();
    let mut texts = texts(Records(Records(records).content(TEXT)?), &page.outline);
    link_all(&mut texts, client_data);
    let placeholder =
        Records(client_data).content(PLACEHOLDER).and_then(|atom| atom.get(4).copied());
    let kind = match placeholder.map(kind_of) {
        Some(kind) if !kind.is_empty() => kind,
        _ if texts.iter().any(Text::is_title) => "title",
        _ => "",
    };
    let blocks: Vec<Block> = texts.iter().flat_map(|text| text.blocks(links)).collect();
    let place = bounds(records).map(Bounds::place);
    (!blocks.is_empty()).then(|| Shape { kind: kind.to_owned(), place, blocks, inner: Vec::new() })
}

/// Returns what files since 2007 call a kind of placeholder.
fn kind_of(placeholder: u8) -> &'static str {
    match placeholder {
        0x07 => "dt",
        0x08 => "sldNum",
        0x09 => "ftr",
        0x0A => "hdr",
        0x05 | 0x0B => "sldImg",
        0x06 | 0x0C | 0x0E | 0x12 => "body",
        0x0D | 0x11 => "title",
        0x0F => "ctrTitle",
        0x10 => "subTitle",
        _ => "",
    }
}

/// Where a shape stands, in the units of its group or the slide.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl Bounds {
    fn place(self) -> Place {
        let [x, y, bottom] = [self.left, self.top, self.bottom].map(f64::from);
        Place { x, y, height: bottom - y }
    }
}

fn bounds(records: &[u8]) -> Option<Bounds> {
    let long = |atom: &[u8]| {
        let side = |n: usize| number(atom, 4 * n).map(|side| side as i32);
        Some([side(0)?, side(1)?, side(2)?, side(3)?])
    };
    if let Some(atom) = Records(records).content(PLACE_IN_GROUP) {
        let [left, top, right, bottom] = long(atom)?;
        return Some(Bounds { left, top, right, bottom });
    }
    let atom = Records(records).content(PLACE_ON_SLIDE)?;
    let side = |n: usize| short(atom, 2 * n).map(|side| i32::from(side as i16));
    let [top, left, right, bottom] = match atom.len() {
        0..16 => [side(0)?, side(1)?, side(2)?, side(3)?],
        _ => long(atom)?,
    };
    Some(Bounds { left, top, right, bottom })
}

fn is_table(group: &[u8]) -> bool {
    let is_property = |record: &Record<'_>| PROPERTIES.contains(&record.kind);
    Records(group).filter(is_property).any(|record| {
        let n = usize::from(record.instance);
        (0..n).map_while(|n| short(record.content, 6 * n)).any(|id| id & 0x3FFF == TABLE)
    })
}

/// Returns the table in a group; `None` when its shapes form none.
fn table(group: &[u8], page: &Page<'_>, links: &HashMap<u32, String>) -> Option<Vec<Block>> {
    let is_line = |records: &[u8]| {
        let atom = Records(records).find(|record| record.kind == SHAPE_ATOM);
        atom.is_some_and(|atom| atom.instance == LINE)
    };
    let mut cells: Vec<(Bounds, Vec<Block>)> = Vec::new();
    for records in Records(group).contents(SHAPE).skip(1).filter(|records| !is_line(records)) {
        let blocks = shape(records, page, links).map(|shape| shape.blocks);
        cells.push((bounds(records)?, blocks.unwrap_or_default()));
    }
    let edges = |of: fn(&Bounds) -> i32| {
        let mut edges: Vec<i32> = cells.iter().map(|(bounds, _)| of(bounds)).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    };
    let (columns, rows) = (edges(|bounds| bounds.left), edges(|bounds| bounds.top));
    if cells.is_empty() || columns.len() > MAX_GRID || rows.len() > MAX_GRID {
        return None;
    }
    cells.sort_by_key(|(bounds, _)| (bounds.top, bounds.left));
    // Up to which row each column is taken by a cell above.
    let mut taken = vec![0; columns.len()];
    let mut cells = cells.into_iter().peekable();
    let mut flow = Flow::gather();
    flow.open_table();
    for (row, &top) in rows.iter().enumerate() {
        flow.open_row();
        let mut column = 0;
        while column < columns.len() {
            let here = |(bounds, _): &(Bounds, Vec<Block>)| {
                bounds.top == top && bounds.left <= columns[column]
            };
            let Some((bounds, blocks)) = cells.next_if(here) else {
                if taken[column] > row {
                    flow.cover_place(false);
                } else {
                    flow.open_cell();
                    flow.close_cell();
                }
                column += 1;
                continue;
            };
            let last_column = columns.partition_point(|&edge| edge < bounds.right).max(column + 1);
            let last_row = rows.partition_point(|&edge| edge < bounds.bottom);
            taken[column..last_column].fill(last_row);
            flow.open_cell();
            flow.cell_span(last_column - column);
            blocks.into_iter().for_each(|block| flow.block(plain(block)));
            flow.close_cell();
            column = last_column;
        }
        flow.close_row();
    }
    flow.close_table();
    let blocks = flow.into_blocks();
    (cells.next().is_none() && !blocks.is_empty()).then_some(blocks)
}

/// Returns an item as a paragraph: a bullet in a cell only takes room.
fn plain(block: Block) -> Block {
    match block {
        Block::Item(_, _, text) => Block::Paragraph(text),
        block => block,
    }
}

#[cfg(test)]
mod tests {
    use super::super::deck;
    use super::super::records::record;
    use super::*;

    /// Returns a shape at a place (left, top, right, bottom), with text unless it is empty.
    fn cell(kind: u16, place: [i32; 4], text: &str) -> Vec<u8> {
        let words = [record(0x0F9F, 0, &[4, 0, 0, 0]), record(0x0FA8, 0, text.as_bytes())].concat();
        let place: Vec<u8> = place.iter().flat_map(|side| side.to_le_bytes()).collect();
        let parts = [
            record(SHAPE_ATOM, kind, &[0; 8]),
            record(PLACE_IN_GROUP, 0, &place),
            if text.is_empty() { Vec::new() } else { record(TEXT, 0, &words) },
        ];
        record(SHAPE, 0, &parts.concat())
    }

    fn page_of(shapes: &[Vec<u8>]) -> Vec<u8> {
        let group = record(GROUP, 0, &[&record(SHAPE, 0, b"")[..], &shapes.concat()].concat());
        record(DRAWING, 0, &record(DRAWING_OF_PAGE, 0, &group))
    }

    fn blocks(content: &[u8]) -> Vec<Block> {
        let page = Page { content, outline: Vec::new() };
        crate::pptx::slide::blocks(read(&page, &HashMap::new()))
    }

    #[test]
    fn a_group_that_says_so_is_a_table() {
        let table = [0x3f, 0xc1, 1, 0, 0, 0, 0x9f, 0x03, 1, 0, 0, 0];
        let own = record(SHAPE, 0, &record(PROPERTIES[2], 2, &table));
        let cells = [
            cell(1, [10, 0, 30, 5], "2024"),
            cell(1, [0, 0, 10, 10], "Zone"),
            cell(1, [10, 5, 20, 10], "net"),
            cell(1, [20, 5, 30, 10], "gross"),
            cell(1, [0, 10, 10, 15], "I"),
            cell(1, [10, 10, 20, 15], ""),
            cell(1, [20, 10, 30, 15], "11.9"),
            cell(LINE, [0, 7, 30, 7], ""),
        ];
        let group = |own: &[u8]| record(GROUP, 0, &[own, &cells.concat()].concat());
        let rows = [["Zone", "2024", "2024"], ["Zone", "net", "gross"], ["I", "", "11.9"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(blocks(&page_of(&[group(&own)])), [Block::Table(rows)]);
        let plain = blocks(&page_of(&[group(&record(SHAPE, 0, b""))]));
        assert_eq!(plain.len(), 6, "{plain:?}");
    }

    #[test]
    fn deep_groups_and_deleted_shapes_are_left_out() {
        let deleted = record(SHAPE_ATOM, 1, &[0, 0, 0, 0, 8, 0, 0, 0]);
        let words = [record(0x0F9F, 0, &[4, 0, 0, 0]), record(0x0FA8, 0, b"gone")].concat();
        let gone = record(SHAPE, 0, &[deleted, record(TEXT, 0, &words)].concat());
        assert_eq!(blocks(&page_of(&[gone])), []);
        let mut deep = cell(1, [0; 4], "deep");
        for _ in 0..1_000 {
            deep = record(GROUP, 0, &[record(SHAPE, 0, b""), deep].concat());
        }
        assert_eq!(blocks(&page_of(&[deep])), []);
    }

    #[test]
    fn a_lost_slide_shows_its_outline() {
        let list = [
            record(0x03F3, 0, &[9; 20]),
            record(0x0F9F, 0, &[0, 0, 0, 0]),
            record(0x0FA8, 0, b"Town plan"),
            record(0x0F9F, 0, &[1, 0, 0, 0]),
            record(0x0FA8, 0, b"Housing"),
        ];
        let stream = record(0x03E8, 0, &record(0x0FF0, 0, &list.concat()));
        let deck = deck::read(&stream, b"").unwrap();
        let found = crate::pptx::slide::blocks(read(&deck.slides[0].0, &deck.links));
        let item = Block::Item(0, "-".into(), "Housing".into());
        assert_eq!(found, [Block::Heading(1, "Town plan".into()), item]);
        assert!(deck::read(b"nothing", b"").is_none());
        assert!(deck::is_encrypted(b"", &[&[0; 12][..], &[0xdf, 0xc4, 0xd1, 0xf3]].concat()));
    }
}
