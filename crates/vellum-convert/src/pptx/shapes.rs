//! The shapes of a slide: where they stand, what they are for, and their paragraphs.
//!
//! One pass over the tokens with the open groups on a stack. A group has its own coordinates; the places of its shapes are
//! brought into those of the slide.

use crate::blocks::{Block, Flow, unseen_address};
use crate::number::{letters, roman};
use crate::ooxml::Relations;
use crate::xml::{Element, Token, Xml};
use std::collections::HashMap;
use vellum_core::Result;

/// A place on the slide, in English metric units (914,400 to the inch).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) height: f64,
}

/// Something with text.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Type of placeholder, such as `title`; empty for none.
    pub(crate) kind: String,
    pub(crate) place: Option<Place>,
    pub(crate) blocks: Vec<Block>,
    /// Shapes of a group.
    pub(crate) inner: Vec<Shape>,
}

/// What a placeholder says for those that inherit from it.
#[derive(Debug, Clone, Default)]
struct Inherited {
    place: Option<Place>,
    /// Whether paragraphs of the first level have bullets, when it says so.
    has_bullets: Option<bool>,
}

/// The placeholders of a layout and its master, by index and by type.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    by_index: HashMap<String, Inherited>,
    by_kind: HashMap<String, Inherited>,
}

impl Placeholders {
    /// Adds those of a layout; they go before what is known.
    pub(super) fn add(&mut self, source: &str) -> Result<()> {
        let mut xml = Xml::new(source);
        let mut open: Option<(String, Option<String>)> = None;
        let mut found = Inherited::default();
        let mut transform = Transform::default();
        while let Some(token) = xml.next()? {
            match token {
                Token::Start(element) => match element.name() {
                    "sp" => (open, found) = (None, Inherited::default()),
                    "ph" => {
                        let kind = element.attr("type").unwrap_or_else(|| "obj".into());
                        open = Some((kind, element.attr("idx")));
                    }
                    "xfrm" => transform = Transform::default(),
                    "lvl1pPr" => found.has_bullets = bullets_of(&mut xml)?,
                    _ => transform.read(&element),
                },
                Token::End(end) => match end.name() {
                    "xfrm" => found.place = transform.place(),
                    "sp" => {
                        let Some((kind, index)) = open.take() else { continue };
                        let known = self.by_kind.get(family(&kind)).cloned().unwrap_or_default();
                        let new = Inherited {
                            place: found.place.or(known.place),
                            has_bullets: found.has_bullets.or(known.has_bullets),
                        };
                        if let Some(index) = index {
                            self.by_index.insert(index, new.clone());
                        }
                        self.by_kind.insert(family(&kind).to_owned(), new);
                    }
                    _ => {}
                },
                Token::Text(_) => {}
            }
        }
        Ok(())
    }

    fn get(&self, kind: &str, index: Option<&str>) -> Inherited {
        let by_index = index.and_then(|index| self.by_index.get(index));
        by_index.or_else(|| self.by_kind.get(family(kind))).cloned().unwrap_or_default()
    }
}

/// Returns the type that stands for `kind` in a master.
fn family(kind: &str) -> &str {
    match kind {
        "ctrTitle" => "title",
        "obj" | "body" => "body",
        kind => kind,
    }
}

/// Returns whether a level has bullets, when it says so; reads to its end.
fn bullets_of(xml: &mut Xml<'_>) -> Result<Option<bool>> {
    let (mut depth, mut found) = (1, None);
    while depth > 0 {
        match xml.next()? {
            Some(Token::Start(element)) => {
                depth += 1;
                match element.name() {
                    "buNone" => found = Some(false),
                    "buChar" | "buAutoNum" | "buBlip" => found = Some(true),
                    _ => {}
                }
            }
            Some(Token::End(_)) => depth -= 1,
            Some(Token::Text(_)) => {}
            None => break,
        }
    }
    Ok(found)
}

/// Place and size of a shape, and how a group maps the places in it.
#[derive(Debug, Clone, Copy, Default)]
struct Transform {
    off: Option<(f64, f64)>,
    ext: (f64, f64),
    inner_off: (f64, f64),
    inner_ext: Option<(f64, f64)>,
}

impl Transform {
    fn read(&mut self, element: &Element<'_>) {
        let pair =
            |a: &str, b: &str| (element.number(a).unwrap_or(0.0), element.number(b).unwrap_or(0.0));
        match element.name() {
            "off" => self.off = Some(pair("x", "y")),
            "ext" if element.attr("cx").is_some() => self.ext = pair("cx", "cy"),
            "chOff" => self.inner_off = pair("x", "y"),
            "chExt" => self.inner_ext = Some(pair("cx", "cy")),
            _ => {}
        }
    }

    fn place(&self) -> Option<Place> {
        self.off.map(|(x, y)| Place { x, y, height: self.ext.1 })
    }

    /// Returns the place outside of a group of `place` inside.
    fn outer(&self, place: Place) -> Place {
        let (Some(off), Some(inner)) = (self.off, self.inner_ext) else { return place };
        let scale = |outer: f64, inner: f64| if inner > 0.0 { outer / inner } else { 1.0 };
        let (sx, sy) = (scale(self.ext.0, inner.0), scale(self.ext.1, inner.1));
        Place {
            x: off.0 + (place.x - self.inner_off.0) * sx,
            y: off.1 + (place.y - self.inner_off.1) * sy,
            height: place.height * sy,
        }
    }
}

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    level: usize,
    /// Whether it says itself that it has a bullet.
    bullet: Option<bool>,
    /// Type of its number and where it starts.
    number: Option<(String, u32)>,
    /// Where the open run begins, and the address it links to.
    link: Option<(usize, String)>,
}

/// A shape or group that is being read.
struct Open {
    kind: String,
    index: Option<String>,
    is_placeholder: bool,
    transform: Transform,
    flow: Flow,
    inner: Vec<Shape>,
    inherited: Inherited,
    /// Numbers of the open lists, by level.
    counts: Vec<u32>,
}

/// Returns the shapes of the slide in `source`.
pub(super) fn read(
    source: &str,
    layout: &Placeholders,
    relations: &Relations,
    graphics: &mut HashMap<String, Vec<Block>>,
) -> Result<Vec<Shape>> {
    let mut xml = Xml::new(source);
    // The slide itself is the outermost group.
    let mut open = vec![Open::new()];
    let mut paragraph: Option<Paragraph> = None;
    let mut in_text = false;
    let mut in_transform = false;
    while let Some(token) = xml.next()? {
        let Some(shape) = open.last_mut() else { break };
        match token {
            Token::Start(element) => match element.name() {
                "sp" | "grpSp" | "graphicFrame" | "cxnSp" => open.push(Open::new()),
                "Fallback" | "pic" | "extLst" => xml.skip()?,
                "xfrm" => in_transform = true,
                "ph" => {
                    shape.is_placeholder = true;
                    shape.kind = element.attr("type").unwrap_or_else(|| "obj".into());
                    shape.index = element.attr("idx");
                    shape.inherited = layout.get(&shape.kind, shape.index.as_deref());
                }
                "tbl" => shape.flow.open_table(),
                "tr" => shape.flow.open_row(),
                "tc" => {
                    shape.flow.open_cell();
                    if element.attr("vMerge").is_some_and(|merge| merge != "0") {
                        shape.flow.cell_continues();
                    } else if element.attr("hMerge").is_some_and(|merge| merge != "0") {
                        shape.flow.cell_continues_left();
                    }
                }
                "p" => paragraph = Some(Paragraph::default()),
                "br" => {
                    if let Some(paragraph) = &mut paragraph {
                        paragraph.text.push('\n');
                    }
                }
                "t" => in_text = true,
                "chart" | "relIds" => {
                    let id = element.relation("id").or_else(|| element.relation("dm"));
                    let found = id.and_then(|id| graphics.remove(&id)).unwrap_or_default();
                    found.into_iter().for_each(|block| shape.flow.block(block));
                }
                _ if in_transform => shape.transform.read(&element),
                _ => {
                    if let Some(paragraph) = &mut paragraph {
                        paragraph.property(&element, relations);
                    }
                }
            },
            Token::Text(text) => {
                if let (true, Some(paragraph)) = (in_text, &mut paragraph) {
                    paragraph.text.push_str(&text);
                }
            }
            Token::End(end) => match end.name() {
                "t" => in_text = false,
                "xfrm" => in_transform = false,
                "r" | "fld" => {
                    if let Some(paragraph) = &mut paragraph {
                        paragraph.end_run();
                    }
                }
                "p" => {
                    if let Some(paragraph) = paragraph.take() {
                        shape.end_paragraph(paragraph);
                    }
                }
                "tc" => shape.flow.close_cell(),
                "tr" => shape.flow.close_row(),
                "tbl" => shape.flow.close_table(),
                "sp" | "grpSp" | "graphicFrame" | "cxnSp" if open.len() > 1 => {
                    let Some(done) = open.pop() else { break };
                    let done = done.finish();
                    if let Some(group) = open.last_mut() {
                        group.inner.push(done);
                    }
                }
                _ => {}
            },
        }
    }
    while let Some(done) = open.pop() {
        match open.last_mut() {
            Some(group) => group.inner.push(done.finish()),
            None => return Ok(done.inner),
        }
    }
    Ok(Vec::new())
}

impl Open {
    fn new() -> Self {
        Self {
            kind: String::new(),
            index: None,
            is_placeholder: false,
            transform: Transform::default(),
            flow: Flow::gather(),
            inner: Vec::new(),
            inherited: Inherited::default(),
            counts: Vec::new(),
        }
    }

    fn finish(self) -> Shape {
        let transform = self.transform;
        let place = transform.place().or(self.inherited.place);
        let mut inner = self.inner;
        for shape in &mut inner {
            shape.place = shape.place.map(|place| transform.outer(place));
        }
        Shape { kind: self.kind, place, blocks: self.flow.into_blocks(), inner }
    }

    fn end_paragraph(&mut self, paragraph: Paragraph) {
        let is_body = self.is_placeholder && matches!(family(&self.kind), "body");
        let has_bullet = paragraph.bullet.unwrap_or_else(|| {
            paragraph.number.is_none() && is_body && self.inherited.has_bullets.unwrap_or(true)
        });
        let text = paragraph.text;
        let level = paragraph.level;
        self.counts.truncate(level + usize::from(paragraph.number.is_some()));
        if text.trim().is_empty() {
            return;
        }
        let block = if let Some((kind, start)) = paragraph.number {
            self.counts.resize(level + 1, 0);
            let count = match self.counts[level] {
                0 => start,
                count => count.saturating_add(1),
            };
            self.counts[level] = count;
            Block::Item(level, number_label(&kind, count), text)
        } else if has_bullet {
            Block::Item(level, "-".into(), text)
        } else {
            Block::Paragraph(text)
        };
        self.flow.block(block);
    }
}

impl Paragraph {
    fn property(&mut self, element: &Element<'_>, relations: &Relations) {
        match element.name() {
            "pPr" => self.level = element.number("lvl").unwrap_or(0).min(8),
            "buNone" => self.bullet = Some(false),
            "buChar" | "buBlip" => self.bullet = Some(true),
            "buAutoNum" => {
                let start = element.number("startAt").unwrap_or(1);
                self.number = Some((element.attr("type").unwrap_or_default(), start));
            }
            "hlinkClick" => {
                let target = element.relation("id").and_then(|id| relations.get(&id));
                self.link = target.map(|target| (self.text.len(), target.target.clone()));
            }
            _ => {}
        }
    }

    fn end_run(&mut self) {
        let Some((start, address)) = self.link.take() else { return };
        let shown = self.text.get(start..).unwrap_or_default().trim();
        if let Some(address) = unseen_address(shown, &address) {
            self.text.truncate(self.text.trim_end().len());
            self.text.push_str(&format!(" ({address})"));
        }
    }
}

/// Returns the label of an automatic number (ECMA-376 part 1, 20.1.10.61).
fn number_label(kind: &str, n: u32) -> String {
    let number = match kind {
        kind if kind.starts_with("alphaLc") => letters(n),
        kind if kind.starts_with("alphaUc") => letters(n).to_uppercase(),
        kind if kind.starts_with("romanLc") => roman(n),
        kind if kind.starts_with("romanUc") => roman(n).to_uppercase(),
        _ => n.to_string(),
    };
    match kind {
        kind if kind.ends_with("ParenBoth") => format!("({number})"),
        kind if kind.ends_with("ParenR") => format!("{number})"),
        kind if kind.ends_with("Plain") => number,
        _ => format!("{number}."),
    }
}
