//! Presentations before 2007 (PPT, since PowerPoint 97), read by what they share with their successors: a slide's shapes
//! in reading order, tables, bullets and levels, links, the speaker's notes (`crate::pptx`).
//!
//! `deck` finds the slides in the stream of records, `shapes` their shapes, `text` their paragraphs. Own code, because the
//! one library, `office_oxide` 0.1.16, loses texts that stand behind an empty placeholder, has no places and so no reading
//! order, and finds no tables. Its reader of containers, which makes do with damaged ones, is used here too.
//!
//! Left out, as there: dates, footers and slide numbers; pictures, charts, comments; what stands on the master.

mod deck;
mod records;
mod shapes;
mod text;

use crate::blocks::Block;
use crate::clean::collapsed;
use crate::detect::rejected;
use crate::io::ContentReader;
use crate::legacy::properties_of;
use crate::pptx::slide;
use crate::{Emit, Settings, pptx};
use office_oxide::cfb::{CfbReader, read_document_properties};
use std::io::BufReader;
use vellum_core::Result;
use vellum_core::document::{Document, Format};
use vellum_core::ports::ConvertInput;

/// The stream of records.
pub(crate) const STREAM: &str = "PowerPoint Document";

/// The stream of who saved last and where.
const USER: &str = "Current User";
/// The storage of a file that two versions read.
const NEWER: &str = "PP97_DUALSTORAGE";

/// Hands the slides of `input` on, as one part.
///
/// # Errors
/// `Rejected` when it is damaged, encrypted, or holds too many slides or too much text; those of `emit`.
pub(crate) fn convert(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let damaged = |error: office_oxide::cfb::CfbError| {
        rejected(format!("the file is damaged: {}", collapsed(&error.to_string())))
    };
    let reader = BufReader::new(ContentReader::new(&input.content));
    let mut file = CfbReader::new(reader).map_err(damaged)?;
    // A file for PowerPoint 95 and 97 has the newer form in a storage of its own.
    let newer = file.open_stream_by_path(&format!("{NEWER}/{STREAM}"));
    let (stream, user) = match newer {
        Ok(stream) => (stream, file.open_stream_by_path(&format!("{NEWER}/{USER}"))),
        Err(_) => (file.open_stream(STREAM).map_err(damaged)?, file.open_stream(USER)),
    };
    let user = user.unwrap_or_default();
    if deck::is_encrypted(&stream, &user) {
        return Err(rejected("the file is password-protected"));
    }
    let deck = deck::read(&stream, &user).ok_or_else(|| {
        rejected("the presentation is damaged, or older than PowerPoint 97: it has no slides")
    })?;
    if deck.slides.len() > settings.max_pages {
        return Err(pptx::too_many_slides(deck.slides.len(), settings));
    }
    let mut metadata = properties_of(read_document_properties(&mut file).as_ref());
    let mut title = metadata.remove("title").filter(|title| title != pptx::NO_TITLE);
    let mut document: Option<Document> = None;
    for (number, (page, notes)) in (1..).zip(&deck.slides) {
        let mut blocks = slide::blocks(shapes::read(page, &deck.links));
        if let Some(notes) = notes {
            blocks.extend(slide::notes(shapes::read(notes, &deck.links)));
        }
        if let Some(Block::Heading(1, first)) = blocks.first() {
            title.get_or_insert_with(|| collapsed(first));
        }
        pptx::add(&mut document, pptx::page(blocks, number), settings)?;
    }
    let Some(document) = document else { return Ok(()) };
    emit(Document { format: Format::Ppt, title, metadata, ..document })
}
