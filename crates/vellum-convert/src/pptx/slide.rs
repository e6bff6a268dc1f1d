//! The reading order of a slide.
//!
//! The title first; then shapes from top to bottom, those side by side from left to right, a group as one. A shape
//! without a place keeps its place among the others.

use super::shapes::{Place, Shape};
use crate::blocks::Block;

/// Placeholders that repeat on every slide and say nothing of this one.
pub(crate) const FURNITURE: &[&str] = &["dt", "ftr", "hdr", "sldNum", "sldImg"];

/// Returns the blocks of a slide.
pub(crate) fn blocks(mut shapes: Vec<Shape>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let is_title = |shape: &Shape| matches!(&*shape.kind, "title" | "ctrTitle");
    if let Some(at) = shapes.iter().position(|shape| is_title(shape) && !shape.blocks.is_empty()) {
        let title = shapes.remove(at);
        blocks.push(Block::Heading(1, crate::blocks::line(&title.blocks)));
    }
    blocks.extend(flatten(shapes));
    blocks
}

/// Returns the speaker's notes.
pub(crate) fn notes(shapes: Vec<Shape>) -> Vec<Block> {
    let said = shapes.into_iter().filter(|shape| shape.kind == "body" || shape.kind == "notes");
    let mut blocks: Vec<Block> = said
        .flat_map(|shape| shape.blocks)
        .map(|block| match block {
            // The pane of notes shows no bullets unless someone put them there.
            Block::Item(0, label, text) if label == "-" => Block::Paragraph(text),
            block => block,
        })
        .collect();
    if !blocks.is_empty() {
        blocks.insert(0, Block::Paragraph("Notes:".into()));
    }
    blocks
}

/// Returns the blocks of `shapes` in reading order; nesting was limited when they were read.
fn flatten(shapes: Vec<Shape>) -> Vec<Block> {
    let kept = shapes.into_iter().filter(|shape| !FURNITURE.contains(&&*shape.kind)).collect();
    let mut blocks = Vec::new();
    for shape in ordered(kept) {
        blocks.extend(shape.blocks);
        blocks.extend(flatten(shape.inner));
    }
    blocks
}

/// Returns `shapes` from top to bottom; those whose tops are near each other from left to right.
fn ordered(shapes: Vec<Shape>) -> Vec<Shape> {
    let mut last = Place { x: 0.0, y: f64::NEG_INFINITY, height: 0.0 };
    let mut placed: Vec<(Place, Shape)> = Vec::with_capacity(shapes.len());
    for shape in shapes {
        last = shape.place.unwrap_or(last);
        placed.push((last, shape));
    }
    placed.sort_by(|(a, _), (b, _)| a.y.total_cmp(&b.y));
    let mut bands: Vec<Vec<(Place, Shape)>> = Vec::new();
    for (place, shape) in placed {
        match bands.last_mut() {
            Some(band) if is_beside(&band[0].0, &place) => band.push((place, shape)),
            _ => bands.push(vec![(place, shape)]),
        }
    }
    for band in &mut bands {
        band.sort_by(|(a, _), (b, _)| a.x.total_cmp(&b.x));
    }
    bands.into_iter().flatten().map(|(_, shape)| shape).collect()
}

/// Returns whether `b` begins in the upper half of `a`, by the smaller of the two.
fn is_beside(a: &Place, b: &Place) -> bool {
    b.y - a.y <= a.height.min(b.height) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str, kind: &str, x: f64, y: f64) -> Shape {
        let place = Some(Place { x, y, height: 10.0 });
        let blocks = vec![Block::Paragraph(text.into())];
        Shape { kind: kind.into(), place, blocks, inner: Vec::new() }
    }

    #[test]
    fn shapes_are_read_as_people_do() {
        let mut group = shape("", "", 0.0, 50.0);
        group.blocks.clear();
        group.inner = vec![shape("f", "", 9.0, 51.0), shape("e", "", 1.0, 52.0)];
        let shapes = vec![
            group,
            shape("d", "", 60.0, 21.0),
            shape("c", "", 5.0, 23.0),
            shape("7", "sldNum", 90.0, 95.0),
            shape("b", "", 50.0, 5.0),
            shape("a", "title", 0.0, 90.0),
        ];
        let texts: Vec<String> = blocks(shapes)
            .into_iter()
            .map(|block| match block {
                Block::Paragraph(text) | Block::Heading(_, text) => text,
                Block::Item(..) | Block::Table(_) => String::new(),
            })
            .collect();
        assert_eq!(texts.join(""), "abcdef");
    }
}
