//! Untrusted bytes to a document with structure.
//!
//! [`convert`] is the pure step: detect the format by content, decode, extract text, sections and
//! metadata. It runs in this process and is for trusted input and for the worker only, because parsers
//! of hostile files can overflow the stack or eat memory, which ends the process.
//!
//! [`WorkerPool`] is the converter of the product: it runs [`convert`] in a bounded pool of child processes
//! ([`worker_main`]) with a time and a memory limit. A file that breaks its child is rejected, and the pool
//! heals.
//!
//! Large plain text and long PDFs come in parts ([`convert_parts`]), so neither side holds the whole.
//!
//! Text of every format follows the rules of `clean`: `\n` line ends, no control characters, no trailing
//! blanks, at most one empty line in a row.
//!
//! Scanned pages of a PDF are read by the program `tesseract` where it is installed ([`Ocr`]).
//! Pages are also drawn as pictures: [`render_page`], `WorkerPool::page_image`.
//!
//! Not here: splitting into chunks.

#![warn(missing_docs)]

mod archive;
mod blocks;
mod clean;
mod code;
mod csv;
mod decode;
mod detect;
mod docx;
mod email;
mod embedded;
mod epub;
mod html;
mod io;
mod json;
mod large;
mod legacy;
mod markdown;
mod number;
mod ocr;
mod odf;
mod ooxml;
mod outlook;
mod package;
mod pdf;
mod pool;
mod ppt;
mod pptx;
mod rtf;
mod sandbox;
mod sheet;
mod text;
mod worker;
mod xml;

pub use ocr::Ocr;
pub use pool::{PoolSettings, WorkerPool};
pub use worker::worker_main;

use detect::{Kind, rejected};
use large::LARGE_FROM;
use serde::{Deserialize, Serialize};
use std::fmt;
use vellum_core::document::{Document, Format};
use vellum_core::ports::{Content, ConvertInput};
use vellum_core::{Error, Result};

/// Version of the extraction, part of the index settings.
///
/// Raise it with every change after which some file gives another text, other sections or another
/// title: collections are then ingested again, and chunk ids never point into a text that changed
/// underneath them. A change of messages, limits or speed does not count.
pub const VERSION: &str = "7";

/// Limits of one conversion.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Largest file, in bytes. Larger files are rejected unread.
    pub max_bytes: u64,
    /// Largest extracted text, in bytes; bounds what a compressed file can unfold to. Plain text, which
    /// unfolds to no more than it is, has no such limit.
    pub max_text_bytes: usize,
    /// Most pages of a PDF.
    pub max_pages: usize,
    /// Opens encrypted PDFs that cannot be read without; the owner's only with AES-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl fmt::Debug for Settings {
    /// Tells whether there is a password, not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_bytes, max_text_bytes, max_pages, password } = self;
        f.debug_struct("Settings")
            .field("max_bytes", max_bytes)
            .field("max_text_bytes", max_text_bytes)
            .field("max_pages", max_pages)
            .field("password", &password.as_ref().map(|_| "redacted"))
            .finish()
    }
}

impl Default for Settings {
    /// Returns 2 GiB of file, 64 MiB of text, 20,000 pages and no password.
    fn default() -> Self {
        Self { max_bytes: 2 << 30, max_text_bytes: 64 << 20, max_pages: 20_000, password: None }
    }
}

/// Takes the parts of a document, in order.
pub type Emit<'a> = &'a mut dyn FnMut(Document) -> Result<()>;

/// Returns the document in `input`; pure, in this process, without protection against hostile files.
///
/// # Errors
/// `Rejected` when the content cannot be read: empty, not a text document, damaged, encrypted, without
/// text, or over a limit.
///
/// ```
/// use vellum_core::ports::ConvertInput;
/// let input = ConvertInput { name: "a.md".into(), content: "# Leave\n\n27 *days*".into() };
/// let document = vellum_convert::convert(&input, &vellum_convert::Settings::default())?;
/// assert_eq!(document.title.as_deref(), Some("Leave"));
/// assert_eq!(document.text, "Leave\n\n27 days");
/// # Ok::<(), vellum_core::Error>(())
/// ```
pub fn convert(input: &ConvertInput, settings: &Settings) -> Result<Document> {
    let mut document: Option<Document> = None;
    convert_parts(input, settings, &mut |part| {
        match &mut document {
            Some(document) => document.append(&part),
            None => document = Some(part),
        }
        Ok(())
    })?;
    document.ok_or_else(|| rejected("the file holds no text"))
}

/// Hands the parts of the document in `input` to `emit`, at least one; else as [`convert`].
///
/// # Errors
/// As [`convert`], even after parts were handed on; the errors of `emit`.
pub fn convert_parts(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let content = &input.content;
    if content.len() > settings.max_bytes {
        return Err(too_large(content.len(), settings));
    }
    embedded::begin(content.len(), settings);
    let unreadable = |error| Error::io("read the file", error);
    let head = content.read_at(0, detect::HEAD).map_err(unreadable)?;
    let mut has_text = false;
    let mut emit = |part: Document| {
        has_text |= !part.text.is_empty();
        emit(part)
    };
    match detect::detect(&input.name, &head)? {
        Kind::Pdf => pdf::convert(content, settings, &mut emit)?,
        Kind::Zip => {
            let mut package = package::Package::open(content, settings)?;
            match package::identify(&mut package)? {
                Format::Docx => docx::convert(package, settings, &mut emit)?,
                Format::Pptx => pptx::convert(package, settings, &mut emit)?,
                Format::Xlsx | Format::Ods => sheet::convert(input, settings, &mut emit)?,
                Format::Odt | Format::Odp => odf::convert(package, settings, &mut emit)?,
                Format::Epub => epub::convert(package, settings, &mut emit)?,
                _ => archive::convert(package, settings, &mut emit)?,
            }
        }
        Kind::Ole => outlook::convert(input, settings, &mut emit)?,
        Kind::Excel => sheet::convert_xls(input, settings, &mut emit)?,
        Kind::Rtf => emit(rtf::convert(content)?)?,
        Kind::Text(Format::Email, ..) => email::convert(input, settings, &mut emit)?,
        Kind::Text(format @ (Format::Text | Format::Code), encoding, mark)
            if content.len() >= LARGE_FROM
                && !(format == Format::Code && code::may_be_packed(&input.name)) =>
        {
            large::convert(content, encoding, mark as u64, &mut emit)?;
        }
        Kind::Text(Format::Csv, encoding, mark) => {
            csv::convert(content, encoding, mark as u64, &mut emit)?;
        }
        Kind::Text(Format::Json, encoding, mark)
            if content.len() >= LARGE_FROM && json::is_lines(&head_text(&head, encoding, mark)) =>
        {
            json::convert_lines(content, encoding, mark as u64, settings, &mut emit)?;
        }
        Kind::Text(format, ..) => {
            if content.len() > settings.max_text_bytes as u64 * 2 {
                return Err(too_much_text(settings));
            }
            let bytes = content.to_bytes().map_err(unreadable)?;
            let Some(text) = decode::decode(&bytes) else {
                return Err(rejected("not a text document: it begins as text, then turns binary"));
            };
            let document = match format {
                Format::Markdown => markdown::convert(&text),
                Format::Html => html::convert(&text),
                Format::Json => json::convert(&text, settings)?,
                Format::Code => code::convert(&input.name, &text),
                _ => text::convert(&text),
            };
            if document.text.len() > settings.max_text_bytes {
                return Err(too_much_text(settings));
            }
            if !document.text.is_empty() {
                emit(document)?;
            }
        }
    }
    if has_text { Ok(()) } else { Err(rejected("the file holds no text")) }
}

/// Returns the text of the first bytes of a file.
fn head_text(head: &[u8], encoding: &'static encoding_rs::Encoding, mark: usize) -> String {
    encoding.decode_without_bom_handling(&head[mark.min(head.len())..]).0.into_owned()
}

/// Returns page `page` (from 1) of the PDF in `content` as a PNG that is `width` pixels wide; a page that is far
/// longer than wide becomes narrower. Pure and without protection, as [`convert`].
///
/// # Errors
/// `Rejected` when the content is no PDF, cannot be read, or has no such page.
pub fn render_page(
    content: &Content,
    page: u32,
    width: u32,
    settings: &Settings,
) -> Result<Vec<u8>> {
    draw_page(content, page, width, settings).map(|(png, _)| png)
}

/// Returns the picture and the page's width in points.
fn draw_page(
    content: &Content,
    page: u32,
    width: u32,
    settings: &Settings,
) -> Result<(Vec<u8>, f32)> {
    if content.len() > settings.max_bytes {
        return Err(too_large(content.len(), settings));
    }
    let head = content.read_at(0, detect::HEAD);
    let head = head.map_err(|error| Error::io("read the file", error))?;
    match detect::detect("", &head)? {
        Kind::Pdf => pdf::render(content, page, width, settings),
        _ => Err(rejected("only pages of a PDF can be drawn")),
    }
}

pub(crate) fn too_large(n_bytes: u64, settings: &Settings) -> vellum_core::Error {
    let (size, limit) = (n_bytes >> 20, settings.max_bytes >> 20);
    rejected(format!("the file is too large: {size} MiB, the limit is {limit} MiB"))
}

pub(crate) fn too_much_text(settings: &Settings) -> vellum_core::Error {
    let limit = settings.max_text_bytes >> 20;
    rejected(format!("the file holds too much text: the limit is {limit} MiB"))
}
