//! PDF with a text layer: pages of glyphs to pages of text.
//!
//! The steps, each in a module: interpret a page into positioned glyphs (`glyphs`), form words and
//! lines (`lines`), leave out running headers and footers (`furniture`, looks at many pages), find columns
//! and tables (`layout`, `table`) and the order to read them in (`drawn`), let lines flow into paragraphs (`flow`),
//! find the headings (`outline`, `headings`). Text keeps its place on the way (`placed`). Every page keeps its section,
//! empty or not.
//!
//! The interpreter is `hayro-interpret`: it repairs damaged files instead of giving up, decrypts, and
//! is the renderer's own, so that text and page images agree. Like every PDF library it can still
//! overflow the stack or eat memory on hostile files, so this runs in a child process.
//!
//! Pages are also drawn (`render`). Pages with pictures and no text are named in the metadata. Not here: OCR
//! (`crate::ocr`), form fields.

mod drawn;
pub(crate) mod flow;
mod furniture;
mod glyphs;
mod headings;
mod layout;
pub(crate) mod lines;
mod links;
mod outline;
pub(crate) mod placed;
mod render;
mod table;

pub(crate) use render::render;

use crate::Settings;
use crate::clean;
use crate::detect::rejected;
use flow::Vocabulary;
use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf, PdfData};
use hayro_interpret::{InterpreterCache, InterpreterSettings};
use layout::Block;
use lines::Word;
use placed::{Place, Placed};
use std::collections::BTreeMap;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::document::{
    self, Document, Edge, Format, Furniture, Layout, PageSize, Position, Rect, Section,
    SectionKind, Span,
};
use vellum_core::ports::Content;

/// Why a document is rejected whose pages are all of that kind, or empty.
pub(crate) const NO_TEXT_LAYER: &str = "no page has a text layer (scanned images need OCR)";

/// Pages that are laid out together: running headers, page numbers and divided words are told by looking at
/// other pages.
const PAGES_PER_PART: usize = 128;
/// Pages after which the file is opened anew: the library keeps what it unpacked for as long as it is open.
const PAGES_PER_OPENING: usize = 8 * PAGES_PER_PART;
/// Size of a title, as a multiple of the usual size, on the first page.
const TITLE_SCALE: f64 = 1.2;
/// Longest title taken from the first page, in characters.
const MAX_TITLE_CHARS: usize = 200;
/// Titles that programs write when nobody gave one.
const NO_TITLES: &[&str] = &["untitled", "(anonymous)", "unspecified", "title", "document"];

/// Hands the document in `content` on, [`PAGES_PER_PART`] pages at a time.
///
/// # Errors
/// `Rejected` when the file is damaged beyond repair, needs a password, has too many pages or no text.
pub(crate) fn convert(
    content: &Content,
    settings: &Settings,
    emit: &mut dyn FnMut(Document) -> Result<()>,
) -> Result<()> {
    let mut pdf = load(data(content)?, settings)?;
    let n_pages = pdf.pages().len();
    let metadata = metadata(&pdf);
    let outline = outline::read(&pdf);
    let mut title = pdf_title(&pdf);
    let mut n_bytes = 0;
    // Pages that were read and hold no text; they open the next part. Those with pictures are reported.
    let mut empty: Vec<Section> = Vec::new();
    let mut sizes: Vec<PageSize> = Vec::new();
    let mut scans: Vec<u32> = Vec::new();
    let mut links: Vec<links::Target> = Vec::new();
    for first in (0..n_pages).step_by(PAGES_PER_PART) {
        if first > 0 && first.is_multiple_of(PAGES_PER_OPENING) {
            pdf = load(data(content)?, settings)?;
        }
        let pages = read_pages(&pdf, first, settings, &mut n_bytes)?;
        title = title.or_else(|| largest_line(&pages));
        let is_scan = |(_, page): &(usize, &Page)| page.is_scan;
        scans.extend((first..).zip(&pages).filter(is_scan).map(|(n, _)| page_number(n)));
        sizes.extend((first..).zip(&pages).map(|(index, page)| size(index, page)));
        links.extend(links::read(&pdf, first, PAGES_PER_PART));
        let (text, mut sections, furniture) = write(pages, first);
        if text.is_empty() {
            empty.extend(sections);
            continue;
        }
        let (text, places) = text.into_parts();
        headings::add(&text, &places, &mut sections, &outline);
        let sections = empty.drain(..).chain(sections).collect();
        let layout = Layout {
            words: places.iter().filter_map(position).collect(),
            pages: std::mem::take(&mut sizes),
            links: links::place(std::mem::take(&mut links), &text, &places),
            furniture,
        };
        let (title, metadata) = (title.clone(), with_scans(&metadata, &mut scans));
        emit(Document { format: Format::Pdf, title, text, sections, metadata, layout })?;
    }
    let is_scan = n_bytes == 0;
    // Pages at the end, or all of them, where something is left to read.
    if !empty.is_empty() && (!is_scan || !scans.is_empty()) {
        let metadata = with_scans(&metadata, &mut scans);
        let layout = Layout { pages: sizes, ..Layout::default() };
        let (text, sections) = (String::new(), empty);
        emit(Document { format: Format::Pdf, title, text, sections, metadata, layout })?;
    }
    if is_scan { Err(rejected(NO_TEXT_LAYER)) } else { Ok(()) }
}

/// Returns the metadata of a part with the scanned pages in it.
fn with_scans(
    metadata: &BTreeMap<String, String>,
    scans: &mut Vec<u32>,
) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    if !scans.is_empty() {
        let pages = crate::ocr::ranges(&std::mem::take(scans));
        metadata.insert(document::PAGES_WITHOUT_TEXT.to_owned(), pages);
    }
    metadata
}

pub(crate) fn position(place: &Place) -> Option<Position> {
    let [x0, y0, x1, y1] = [place.rect.x0, place.rect.y0, place.rect.x1, place.rect.y1].map(tenths);
    let rect = Rect { x0, y0, x1, y1 };
    let (start, end) = (u32::try_from(place.start).ok()?, u32::try_from(place.end).ok()?);
    Some(Position { start, end, page: place.page, rect })
}

/// Tenths of a point are finer than any display and short to store.
fn tenths(value: f64) -> f32 {
    ((value * 10.0).round() / 10.0) as f32
}

fn size(index: usize, page: &Page) -> PageSize {
    PageSize { page: page_number(index), width: tenths(page.width), height: tenths(page.height) }
}

/// Returns the bytes as the interpreter wants them: at hand at any place. A spooled file is mapped.
fn data(content: &Content) -> Result<PdfData> {
    match content {
        Content::Memory(bytes) => Ok(Arc::new(bytes.clone()).into()),
        Content::Spooled { file, len } => {
            // The length is given, because a parser process may not ask for it.
            let mut options = memmap2::MmapOptions::new();
            options.len(*len as usize);
            // SAFETY: the file has no name and only this converter and the one who made it hold it; both
            // only read, so the mapped bytes never change and the file never shrinks.
            #[allow(unsafe_code)]
            let map = unsafe { options.map(file.as_ref()) };
            let map = map.map_err(|error| vellum_core::Error::io("map the file", error))?;
            Ok(Arc::new(map).into())
        }
    }
}

/// Opens the file and counts its pages.
fn load(data: PdfData, settings: &Settings) -> Result<Pdf> {
    let pdf = open(data, settings.password.as_deref())?;
    let (n_pages, limit) = (pdf.pages().len(), settings.max_pages);
    if n_pages == 0 {
        return Err(rejected("the PDF is damaged: it has no pages"));
    }
    if n_pages > limit {
        return Err(rejected(format!("the PDF has {n_pages} pages; the limit is {limit}")));
    }
    Ok(pdf)
}

/// Opens a file without a password, else with this one: most need none, or only to be changed.
fn open(data: PdfData, password: Option<&str>) -> Result<Pdf> {
    const LOCKED: LoadPdfError = LoadPdfError::Decryption(DecryptionError::PasswordProtected);
    match (Pdf::new(data.clone()), password) {
        (Err(LOCKED), Some(password)) => {
            Pdf::new_with_password(data, password).map_err(|error| match error {
                LOCKED => rejected("the PDF is password-protected, and the password does not fit"),
                _ => load_error(error),
            })
        }
        (result, _) => result.map_err(load_error),
    }
}

fn load_error(error: LoadPdfError) -> vellum_core::Error {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            rejected("the PDF is password-protected; `--password-file` opens it")
        }
        LoadPdfError::Decryption(DecryptionError::UnsupportedAlgorithm) => {
            rejected("the PDF is encrypted in an unknown way")
        }
        LoadPdfError::Decryption(
            DecryptionError::MissingIDEntry | DecryptionError::InvalidEncryption,
        ) => rejected("the PDF is damaged: its encryption cannot be read"),
        LoadPdfError::Invalid => rejected("the PDF is damaged: no readable page tree"),
    }
}

/// A page on its way from glyphs to text.
struct Page {
    words: Vec<Word>,
    /// Direction of `words`, in degrees.
    turn: u16,
    /// Text that runs in other directions, such as notes in a margin.
    turned: Vec<(u16, lines::Words)>,
    /// What the file marks as header, footer or page number.
    artifacts: Vec<Word>,
    rules: glyphs::Rules,
    gap: f64,
    /// Whether it shows pictures and no text.
    is_scan: bool,
    /// As displayed.
    width: f64,
    height: f64,
}

/// Reads the pages of the part that begins with page `first`, from 0; adds their text to `n_bytes`.
fn read_pages(
    pdf: &Pdf,
    first: usize,
    settings: &Settings,
    n_bytes: &mut usize,
) -> Result<Vec<Page>> {
    // Fonts are cached for a part only, so that a long document does not pile them up.
    let cache = InterpreterCache::new();
    let interpreter = InterpreterSettings::default();
    let mut pages = Vec::with_capacity(PAGES_PER_PART);
    for page in pdf.pages().iter().skip(first).take(PAGES_PER_PART) {
        let read = glyphs::read(page, &cache, &interpreter);
        // The direction with most text is the page's own; a page scanned sideways has another than 0.
        let main = read.glyphs.iter().rev().max_by_key(|(_, glyphs)| glyphs.len());
        let turn = main.map_or(0, |(turn, _)| *turn);
        let lines::Words { words, gap } =
            main.map(|(_, glyphs)| lines::words(glyphs)).unwrap_or_default();
        let turned = read.glyphs.iter().filter(|(other, _)| **other != turn);
        let turned = turned.map(|(turn, glyphs)| (*turn, lines::words(glyphs))).collect();
        *n_bytes += words.iter().map(|word| word.text.len() + 1).sum::<usize>();
        if *n_bytes > settings.max_text_bytes {
            return Err(crate::too_much_text(settings));
        }
        let rules = if turn == 0 { read.rules } else { glyphs::Rules::default() };
        let is_scan = read.has_image && read.glyphs.is_empty();
        let (width, height) = (read.width, read.height);
        let artifacts = lines::words(&read.artifacts).words;
        pages.push(Page { words, turn, turned, artifacts, rules, gap, is_scan, width, height });
    }
    Ok(pages)
}

/// Writes the pages one after the other; a word or sentence that runs over the page's end stays whole.
///
/// `first` is the index of the first page in the document.
fn write(mut pages: Vec<Page>, first: usize) -> (Placed, Vec<Section>, Vec<Furniture>) {
    let upright =
        |page: &Page| if page.turn.is_multiple_of(180) { page.height } else { page.width };
    let heights: Vec<f64> = pages.iter().map(upright).collect();
    let mut words: Vec<Vec<Word>> =
        pages.iter_mut().map(|page| std::mem::take(&mut page.words)).collect();
    let removed = furniture::remove(&mut words, &heights);
    let furniture = (first..)
        .zip(removed)
        .zip(pages.iter_mut().zip(&heights))
        .flat_map(|((n, mut words), (page, height))| {
            words.append(&mut page.artifacts);
            told_apart(words, page_number(n), page.gap, *height)
        })
        .collect();
    let mut vocabulary = Vocabulary::new();
    for (words, page) in words.iter().zip(&pages) {
        for line in lines::lines(words.clone()) {
            flow::learn(&mut vocabulary, &line, page.gap);
        }
    }

    let mut text = Placed::default();
    let mut sections: Vec<Section> = Vec::with_capacity(pages.len());
    for (n, (words, page)) in words.into_iter().zip(pages).enumerate() {
        let number = page_number(first + n);
        let mut body = page_text(words, &page, number, &vocabulary);
        finish_word(&mut text, &mut body, &mut sections, &vocabulary);
        if !text.is_empty() && !body.is_empty() {
            text.push_str(if flow::runs_on(&text, &body) { "\n" } else { "\n\n" });
        }
        let start = text.len();
        text.append(&body);
        let kind = SectionKind::Page(number);
        sections.push(Section { kind, span: Span { start, end: text.len() } });
    }
    finish_word(&mut text, &mut Placed::default(), &mut sections, &vocabulary);
    (text, sections, furniture)
}

/// Returns the headers and footers of a page, line by line.
fn told_apart(words: Vec<Word>, page: u32, gap: f64, height: f64) -> Vec<Furniture> {
    let told = |line: &lines::Line| {
        let edge = if line.y < height / 2.0 { Edge::Top } else { Edge::Bottom };
        let text = clean::collapsed(&clean::characters(&lines::text_of(&line.words, gap)));
        Furniture { page, edge, text }
    };
    lines::lines(words).iter().map(told).collect()
}

/// Returns the 1-based number of the page with this index.
fn page_number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// Puts a word that the page's end divides together, on the page where it began.
fn finish_word(
    text: &mut Placed,
    next: &mut Placed,
    sections: &mut [Section],
    vocabulary: &Vocabulary,
) {
    let is_divided = text.ends_with(['-', '\u{2010}', '\u{ad}']);
    if is_divided && next.starts_with(char::is_lowercase) {
        let end = next.find(char::is_whitespace).unwrap_or(next.len());
        flow::append_line(text, &next.part(0..end), vocabulary);
        *next = next.part(end..next.len()).trimmed();
    } else {
        // A soft hyphen was only there to be joined.
        text.truncate(text.trim_end_matches('\u{ad}').len());
    }
    let end = text.len();
    if let Some(section) = sections.iter_mut().rev().find(|section| !section.span.is_empty()) {
        section.span.end = end;
    }
    // Empty pages after the one that changed stand at the new end.
    for section in sections.iter_mut().rev().take_while(|section| section.span.is_empty()) {
        section.span = Span { start: end, end };
    }
}

fn page_text(words: Vec<Word>, page: &Page, number: u32, vocabulary: &Vocabulary) -> Placed {
    let mut text = Placed::default();
    let settle = |text: &mut Placed, turn| {
        text.settle(number, |rect| glyphs::displayed(rect, turn, page.width, page.height));
    };
    for block in layout::blocks(words, &page.rules, page.gap) {
        push_block(&mut text, &block, page.gap, vocabulary);
    }
    settle(&mut text, page.turn);
    for (turn, turned) in &page.turned {
        for block in layout::blocks(turned.words.clone(), &glyphs::Rules::default(), turned.gap) {
            push_block(&mut text, &block, turned.gap, vocabulary);
        }
        settle(&mut text, *turn);
    }
    // A soft hyphen at the end waits for the next page.
    let end = text.strip_suffix('\u{ad}').unwrap_or(&text).len();
    let mut clean = text.part(0..end).without(clean::is_invisible).trimmed();
    clean.append(&text.part(end..text.len()));
    clean
}

fn push_block(text: &mut Placed, block: &Block, gap: f64, vocabulary: &Vocabulary) {
    match block {
        Block::Lines(lines) => {
            for (n, paragraph) in flow::paragraphs(lines, gap, vocabulary).iter().enumerate() {
                // The first of a block may continue the column before.
                if n == 0 && flow::runs_on(text, &paragraph.text) && !text.ends_with('|') {
                    flow::append_line(text, &paragraph.text, vocabulary);
                    continue;
                }
                part(text, if paragraph.is_tight { "\n" } else { "\n\n" });
                text.append(&paragraph.text.trimmed());
            }
        }
        Block::Table(table) => {
            part(text, "\n\n");
            for (n, cells) in table.rows.iter().enumerate() {
                if n > 0 {
                    text.push_str("\n");
                }
                push_row(text, cells);
            }
        }
    }
}

/// Appends a row as `clean::table_row` writes it, its cells with their places.
fn push_row(text: &mut Placed, cells: &[Placed]) {
    let texts: Vec<String> = cells.iter().map(|cell| cell.to_string()).collect();
    let row = clean::table_row(&texts);
    let mut at = 0;
    for cell in cells {
        // A row holds its cells as they are, one after the other.
        let Some(start) = row[at..].find(&**cell).map(|distance| at + distance) else { continue };
        text.push_str(&row[at..start]);
        text.append(cell);
        at = start + cell.len();
    }
    text.push_str(&row[at..]);
}

fn part(text: &mut Placed, separator: &str) {
    if !text.is_empty() {
        text.push_str(separator);
    }
}

/// Returns the title in the document information, unless a program made it up.
fn pdf_title(pdf: &Pdf) -> Option<String> {
    let title = information(pdf.metadata().title.as_deref()?);
    let lower = title.to_lowercase();
    let is_file_name = [".doc", ".docx", ".indd", ".qxd", ".dvi", ".tex", ".ppt", ".pptx", ".xls"]
        .iter()
        .any(|extension| lower.ends_with(extension));
    let is_made_up = NO_TITLES.contains(&lower.as_str()) || lower.starts_with("microsoft word -");
    (!title.is_empty() && !is_file_name && !is_made_up).then_some(title)
}

/// Returns the largest line of the first page, if it stands out.
fn largest_line(pages: &[Page]) -> Option<String> {
    let page = pages.iter().find(|page| !page.words.is_empty())?;
    let mut sizes: Vec<f64> = page.words.iter().map(|word| word.size).collect();
    sizes.sort_by(f64::total_cmp);
    let usual = sizes[sizes.len() / 2];
    let largest = sizes[sizes.len() - 1];
    let title: Vec<Word> =
        page.words.iter().filter(|word| word.size > largest * 0.95).cloned().collect();
    let lines: Vec<Placed> =
        lines::lines(title).iter().map(|line| lines::text_of(&line.words, page.gap)).collect();
    let title = clean::collapsed(&clean::characters(&flow::join_lines(&lines)));
    let fits = (3..=MAX_TITLE_CHARS).contains(&title.chars().count());
    (fits && largest >= usual * TITLE_SCALE).then_some(title)
}

fn metadata(pdf: &Pdf) -> BTreeMap<String, String> {
    let source = pdf.metadata();
    let mut metadata = BTreeMap::new();
    let texts =
        [("author", &source.author), ("subject", &source.subject), ("keywords", &source.keywords)];
    for (key, value) in texts {
        let value = value.as_deref().map(information);
        if let Some(value) = value.filter(|value| !value.is_empty() && value != "anonymous") {
            metadata.insert(key.to_owned(), value);
        }
    }
    for (key, date) in [("created", source.creation_date), ("modified", source.modification_date)] {
        if let Some(date) = date {
            let day = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
            metadata.insert(key.to_owned(), day);
        }
    }
    metadata
}

/// Returns an entry of the document information on one line.
fn information(bytes: &[u8]) -> String {
    clean::collapsed(&clean::characters(&pdf_text(bytes)))
}

/// Decodes a PDF text string: UTF-16 or UTF-8 with a mark, else Latin-1 (PDF 32000-2, 7.9.2.2).
///
/// PDFDocEncoding differs from Latin-1 in some 40 rare places (0x18-0x1F, 0x80-0xA0), read as Windows-1252.
fn pdf_text(bytes: &[u8]) -> String {
    let text = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, skip)) => encoding.decode_without_bom_handling(&bytes[skip..]).0,
        None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    };
    text.into_owned()
}
