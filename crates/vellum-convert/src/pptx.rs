//! Presentations: every slide is a page, its title a heading, its shapes in reading order.
//!
//! Slides stand in the order of the presentation, hidden ones too; the speaker's notes follow their slide. What a slide
//! inherits from its layout matters in two ways: where a placeholder stands, and whether its paragraphs have bullets.
//!
//! Left out: dates, footers and slide numbers; pictures, sound and film; comments.

pub(crate) mod shapes;
pub(crate) mod slide;

use crate::blocks::{Block, Flow};
use crate::detect::rejected;
use crate::ooxml::{Relation, Relations, graphics, main_part, properties, read, relations};
use crate::xml::{Token, Xml};
use crate::{Emit, Settings, package::Package, too_much_text};
use shapes::Placeholders;
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::document::{Document, Format, Section, SectionKind, Span};

/// What PowerPoint calls a presentation that nobody gave a title.
pub(crate) const NO_TITLE: &str = "PowerPoint Presentation";

/// Hands the slides of `package` on, as one part.
///
/// # Errors
/// `Rejected` when it is damaged, or holds too many slides or too much text.
pub(crate) fn convert(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let slides = slides(&mut package)?;
    if slides.len() > settings.max_pages {
        return Err(too_many_slides(slides.len(), settings));
    }
    let mut metadata = properties(&mut package)?;
    let mut title = metadata.remove("title").filter(|title| title != NO_TITLE);
    let mut layouts: HashMap<String, Placeholders> = HashMap::new();
    let mut document: Option<Document> = None;
    for (n, part) in (1..).zip(&slides) {
        let blocks = slide_blocks(&mut package, part, &mut layouts)?;
        if let Some(Block::Heading(1, first)) = blocks.first() {
            title.get_or_insert_with(|| crate::clean::collapsed(first));
        }
        add(&mut document, page(blocks, n), settings)?;
    }
    let Some(document) = document else { return Ok(()) };
    emit(Document { format: Format::Pptx, title, metadata, ..document })
}

pub(crate) fn too_many_slides(n_slides: usize, settings: &Settings) -> vellum_core::Error {
    let limit = settings.max_pages;
    rejected(format!("the presentation has {n_slides} slides; the limit is {limit}"))
}

/// Adds a page behind those of `document`.
///
/// # Errors
/// `Rejected` when that is too much text.
pub(crate) fn add(
    document: &mut Option<Document>,
    page: Document,
    settings: &Settings,
) -> Result<()> {
    let Some(document) = document else {
        *document = Some(page);
        return Ok(());
    };
    document.append(&page);
    if document.text.len() > settings.max_text_bytes {
        return Err(too_much_text(settings));
    }
    Ok(())
}

/// Returns the slide `number` as a document of one page.
pub(crate) fn page(blocks: Vec<Block>, number: u32) -> Document {
    let mut flow = Flow::default();
    for block in blocks {
        flow.block(block);
    }
    let (text, mut sections) = flow.finish();
    let span = Span { start: 0, end: text.len() };
    sections.insert(0, Section { kind: SectionKind::Page(number), span });
    Document { sections, ..Document::plain(text) }
}

/// Returns the parts of the slides, in order.
fn slides(package: &mut Package) -> Result<Vec<String>> {
    let main = main_part(package, "ppt/presentation.xml")?;
    let relations = relations(package, &main)?;
    let source = read(package, &main)?
        .ok_or_else(|| rejected("the presentation is damaged: its main part is missing"))?;
    let mut xml = Xml::new(&source);
    let mut slides = Vec::new();
    while let Some(token) = xml.next()? {
        let Token::Start(element) = token else { continue };
        if element.name() != "sldId" {
            continue;
        }
        let relation = element.relation("id").and_then(|id| relations.get(&id));
        slides.extend(relation.map(|relation| relation.target.clone()));
    }
    Ok(slides)
}

fn slide_blocks(
    package: &mut Package,
    part: &str,
    layouts: &mut HashMap<String, Placeholders>,
) -> Result<Vec<Block>> {
    let own = relations(package, part)?;
    let Some(source) = read(package, part)? else { return Ok(Vec::new()) };
    let layout = match related(&own, "slideLayout") {
        Some(layout) => {
            if !layouts.contains_key(&layout.target) {
                let found = inherited(package, &layout.target)?;
                layouts.insert(layout.target.clone(), found);
            }
            layouts.get(&layout.target)
        }
        None => None,
    };
    let empty = Placeholders::default();
    let mut graphics = graphics(package, &own)?;
    let shapes = shapes::read(&source, layout.unwrap_or(&empty), &own, &mut graphics)?;
    let mut blocks = slide::blocks(shapes);
    if let Some(notes) = related(&own, "notesSlide")
        && let Some(source) = read(package, &notes.target)?
    {
        let shapes = shapes::read(&source, &empty, &own, &mut graphics)?;
        blocks.extend(slide::notes(shapes));
    }
    Ok(blocks)
}

/// Returns the placeholders of a layout, completed by those of its master.
fn inherited(package: &mut Package, layout: &str) -> Result<Placeholders> {
    let own = relations(package, layout)?;
    let mut found = Placeholders::default();
    if let Some(master) = related(&own, "slideMaster")
        && let Some(source) = read(package, &master.target)?
    {
        found.add(&source)?;
    }
    if let Some(source) = read(package, layout)? {
        found.add(&source)?;
    }
    Ok(found)
}

fn related<'a>(relations: &'a Relations, kind: &str) -> Option<&'a Relation> {
    relations.values().find(|relation| relation.kind == kind)
}
