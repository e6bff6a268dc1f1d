//! Slides of a presentation: shapes with their places, in the order in which people read them.

use super::styles::Styles;
use super::text::Text;
use crate::Settings;
use crate::blocks::{Block, Flow};
use crate::detect::rejected;
use crate::pptx::shapes::{Place, Shape};
use crate::pptx::{add, page, slide};
use crate::xml::{Element, Token, Xml};
use vellum_core::Result;
use vellum_core::document::Document;

/// Elements that are shapes.
const SHAPES: &[&str] = &[
    "frame",
    "custom-shape",
    "rect",
    "ellipse",
    "circle",
    "line",
    "polyline",
    "polygon",
    "path",
    "connector",
    "caption",
    "regular-polygon",
    "measure",
];

/// Returns the slides in `source` as a document; `None` when there are none.
pub(super) fn read(source: &str, styles: &Styles, settings: &Settings) -> Result<Option<Document>> {
    let mut xml = Xml::new(source);
    let mut document: Option<Document> = None;
    let mut title: Option<String> = None;
    let mut text = Text::new(styles, settings);
    let (mut shapes, mut notes): (Vec<Shape>, Vec<Shape>) = (Vec::new(), Vec::new());
    let (mut number, mut in_notes) = (0, false);
    // The open shape, and how many shapes are open in it.
    let mut open: Option<(Shape, usize)> = None;
    while let Some(token) = xml.next()? {
        match &token {
            Token::Start(element) if element.name() == "page" => {
                number += 1;
                if number as usize > settings.max_pages {
                    let limit = settings.max_pages;
                    return Err(rejected(format!("the presentation has over {limit} slides")));
                }
            }
            Token::Start(element) if element.name() == "notes" => in_notes = true,
            Token::End(end) if end.name() == "notes" => in_notes = false,
            Token::Start(element) if SHAPES.contains(&element.name()) => match &mut open {
                Some((_, depth)) => *depth += 1,
                None => {
                    open = Some((shape(element), 0));
                    text.flow = Flow::gather();
                }
            },
            Token::End(end) if SHAPES.contains(&end.name()) => match open.take() {
                Some((mut shape, 0)) => {
                    shape.blocks = std::mem::take(&mut text.flow).into_blocks();
                    if in_notes { &mut notes } else { &mut shapes }.push(shape);
                }
                Some((shape, depth)) => open = Some((shape, depth - 1)),
                None => {}
            },
            Token::End(end) if end.name() == "page" => {
                let mut blocks = slide::blocks(std::mem::take(&mut shapes));
                if let Some(Block::Heading(1, first)) = blocks.first() {
                    title.get_or_insert_with(|| first.clone());
                }
                blocks.extend(slide::notes(std::mem::take(&mut notes)));
                add(&mut document, page(blocks, number), settings)?;
            }
            _ => text.token(token, &mut xml)?,
        }
    }
    Ok(document.map(|document| Document { title, ..document }))
}

fn shape(element: &Element<'_>) -> Shape {
    let kind = match element.attr("class").as_deref() {
        Some("title") => "title",
        Some("notes") => "notes",
        Some("footer") => "ftr",
        Some("header") => "hdr",
        Some("date-time") => "dt",
        Some("page-number") => "sldNum",
        Some("page") => "sldImg",
        _ => "",
    };
    let length = |name: &str| element.attr(name).and_then(|length| millimetres(&length));
    let place = length("x").zip(length("y")).map(|(x, y)| Place {
        x,
        y,
        height: length("height").unwrap_or(0.0),
    });
    Shape { kind: kind.into(), place, blocks: Vec::new(), inner: Vec::new() }
}

/// Returns a length such as `2.5cm` in millimetres.
fn millimetres(length: &str) -> Option<f64> {
    let at = length.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = length.split_at(at);
    let scale = match unit {
        "mm" => 1.0,
        "cm" => 10.0,
        "in" => 25.4,
        "pt" => 25.4 / 72.0,
        "pc" => 25.4 / 6.0,
        "px" => 25.4 / 96.0,
        _ => return None,
    };
    Some(number.trim().parse::<f64>().ok()? * scale)
}
