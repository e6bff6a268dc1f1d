//! Text of scanned pages, read by the program `tesseract` where it is installed.
//!
//! The parser names the pages that have pictures but no text ([`PAGES_WITHOUT_TEXT`]). Each is drawn by a child and
//! given to `tesseract`, a program of its own with a time limit; its words come back with their boxes and are
//! put where the page stands in the document. A page that cannot be read stays named, so nobody takes the document
//! for complete.

use crate::clean;
use crate::pdf::flow::{Vocabulary, append_line};
use crate::pdf::lines::Word;
use crate::pdf::placed::Placed;
use crate::pdf::position;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use vellum_core::document::{Document, PAGES_WITHOUT_TEXT, Position, Section, SectionKind, Span};
use vellum_core::{Error, ErrorKind, Result};

/// Metadata: the pages whose text was read from their picture.
const PAGES_BY_OCR: &str = "pages_by_ocr";
/// Pixels of a page's width: 300 for each inch of A4.
pub(crate) const WIDTH: u32 = 2480;
/// How long the program may take for a page.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Most output that is read for a page.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;
/// Least confidence, in percent, with which a word is taken; below, it is mostly specks and lines.
const MIN_CONFIDENCE: f64 = 30.0;

/// How scanned pages are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ocr {
    /// The program `tesseract`.
    pub program: PathBuf,
    /// Languages of the text as the program names them, such as `eng` or `deu+fra`.
    pub languages: String,
}

impl Ocr {
    /// Returns the program on `PATH`, if there is one.
    pub fn find(languages: &str) -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let programs = std::env::split_paths(&path).map(|folder| folder.join("tesseract"));
        let program = programs.into_iter().find(|program| program.is_file())?;
        Some(Self { program, languages: languages.to_owned() })
    }

    /// Returns the words of a picture as the program's table.
    pub(crate) async fn read(&self, png: &[u8]) -> Result<String> {
        match tokio::time::timeout(TIMEOUT, self.run(png)).await {
            Ok(Ok(table)) => Ok(table),
            Ok(Err(error)) => {
                let message = format!("run `{}`", self.program.display());
                Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
            }
            Err(_) => Err(Error::new(ErrorKind::Timeout, "reading the page took too long")),
        }
    }

    async fn run(&self, png: &[u8]) -> std::io::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["stdin", "stdout", "-l", &self.languages, "--dpi", "300", "tsv"]).env_clear();
        // Pages are read side by side, so each takes one core.
        command.env("OMP_THREAD_LIMIT", "1");
        if let Some(folder) = std::env::var_os("TESSDATA_PREFIX") {
            command.env("TESSDATA_PREFIX", folder);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("a pipe is missing"));
        };
        let write = async {
            // A program that ends early says so by its status.
            let _ = stdin.write_all(png).await;
            drop(stdin);
        };
        let mut table = String::new();
        let mut output = stdout.take(MAX_OUTPUT_BYTES);
        let ((), read) = tokio::join!(write, output.read_to_string(&mut table));
        read?;
        let status = child.wait().await?;
        if status.success() { Ok(table) } else { Err(std::io::Error::other(status.to_string())) }
    }
}

/// Returns the pages of a part that are to be read.
pub(crate) fn wanted(part: &Document) -> Vec<u32> {
    let Some(ranges) = part.metadata.get(PAGES_WITHOUT_TEXT) else { return Vec::new() };
    let pages = part.pages().map(|(number, _)| number);
    let ranges: Vec<(u32, u32)> = ranges
        .split(", ")
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    pages.filter(|page| ranges.iter().any(|(first, last)| (first..=last).contains(&page))).collect()
}

/// Puts the words in `table` on their page, which is `width` points wide; returns whether there are any.
pub(crate) fn put(part: &mut Document, page: u32, width: f32, table: &str) -> bool {
    let text = text_of(table, page, width);
    let is_text = !text.is_empty();
    if is_text {
        insert(part, page, text);
    }
    is_text
}

/// Writes down which pages were read and which were not.
pub(crate) fn report(part: &mut Document, read: &[u32], unread: &[u32]) {
    for (key, pages) in [(PAGES_BY_OCR, read), (PAGES_WITHOUT_TEXT, unread)] {
        part.metadata.remove(key);
        if !pages.is_empty() {
            part.metadata.insert(key.to_owned(), ranges(pages));
        }
    }
}

/// Returns ascending page numbers as `3, 5-7`.
pub(crate) fn ranges(pages: &[u32]) -> String {
    let runs = pages.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let texts: Vec<String> = runs
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            _ => run.iter().map(u32::to_string).collect(),
        })
        .collect();
    texts.join(", ")
}

/// A row of the table that holds a word: `level page block paragraph line word left top width height
/// confidence text`.
struct Row<'a> {
    /// Block and paragraph, and line in it.
    paragraph: (u32, u32),
    line: u32,
    word: Word,
    text: &'a str,
}

/// Reads the table: lines of a paragraph flow, paragraphs are parted by an empty line.
fn text_of(table: &str, page: u32, width: f32) -> Placed {
    let mut scale = 1.0;
    let mut text = Placed::default();
    let mut paragraph = Placed::default();
    let mut line = Placed::default();
    let mut last: Option<((u32, u32), u32)> = None;
    let vocabulary = Vocabulary::new();
    for row in table.lines() {
        let columns: Vec<&str> = row.splitn(12, '\t').collect();
        if let ["1", _, _, _, _, _, _, _, pixels, ..] = columns.as_slice() {
            let pixels = pixels.parse::<f64>().unwrap_or(0.0);
            scale = if pixels > 0.0 { f64::from(width) / pixels } else { 1.0 };
        }
        let Some(row) = word(&columns, scale) else { continue };
        let place = (row.paragraph, row.line);
        if last.is_some_and(|last| last != place) {
            append_line(&mut paragraph, &std::mem::take(&mut line), &vocabulary);
        }
        if last.is_some_and(|(last, _)| last != row.paragraph) {
            push_paragraph(&mut text, &std::mem::take(&mut paragraph));
        }
        if !line.is_empty() {
            line.push_str(" ");
        }
        line.push_word(&Word { text: row.text.to_owned(), ..row.word });
        last = Some(place);
    }
    append_line(&mut paragraph, &line, &vocabulary);
    push_paragraph(&mut text, &paragraph);
    let mut text = text.without(clean::is_invisible).trimmed();
    text.settle(page, |rect| rect);
    text
}

fn push_paragraph(text: &mut Placed, paragraph: &Placed) {
    if !text.is_empty() && !paragraph.is_empty() {
        text.push_str("\n\n");
    }
    text.append(paragraph);
}

fn word<'a>(columns: &[&'a str], scale: f64) -> Option<Row<'a>> {
    let &["5", _, block, paragraph, line, _, left, top, width, height, confidence, text] = columns
    else {
        return None;
    };
    let text = text.trim();
    if text.is_empty() || confidence.parse::<f64>().ok()? < MIN_CONFIDENCE {
        return None;
    }
    let points = |pixels: &str| pixels.parse::<f64>().ok().map(|pixels| pixels * scale);
    let (x0, top, width, height) = (points(left)?, points(top)?, points(width)?, points(height)?);
    let word = Word::in_box(x0, top, x0 + width, top + height);
    let paragraph = (block.parse().ok()?, paragraph.parse().ok()?);
    Some(Row { paragraph, line: line.parse().ok()?, word, text })
}

/// Puts `text` in the place of a page that has none.
fn insert(part: &mut Document, page: u32, text: Placed) {
    let is_page = |section: &Section| section.kind == SectionKind::Page(page);
    let Some(index) = part.sections.iter().position(is_page) else { return };
    let at = part.sections[index].span.start;
    let (text, places) = text.into_parts();
    // An empty page stands at the end of the text before it.
    let (before, after) = match (part.text.is_empty(), at) {
        (true, _) => ("", ""),
        (false, 0) => ("", "\n\n"),
        (false, _) => ("\n\n", ""),
    };
    let start = at + before.len();
    let end = start + text.len();
    let by = end + after.len() - at;
    part.text.insert_str(at, &format!("{before}{text}{after}"));
    for (n, section) in part.sections.iter_mut().enumerate() {
        let Span { start, end: last } = section.span;
        match n {
            // A heading that began before and goes on.
            _ if n < index && last > at => section.span.end += by,
            _ if n <= index => {}
            // An empty page after this one stands at its end.
            _ if start == at && last == at => section.span = Span { start: end, end },
            _ => section.span = Span { start: start + by, end: last + by },
        }
    }
    part.sections[index].span = Span { start, end };
    let words = &mut part.layout.words;
    let first = words.partition_point(|position| (position.start as usize) < at);
    let shift = |n: u32, by: usize| u32::try_from(n as usize + by).unwrap_or(u32::MAX);
    let shifted = |position: Position, by| Position {
        start: shift(position.start, by),
        end: shift(position.end, by),
        ..position
    };
    for link in part.layout.links.iter_mut().filter(|link| link.span.start >= at) {
        link.span = Span { start: link.span.start + by, end: link.span.end + by };
    }
    let behind: Vec<Position> = words.drain(first..).collect();
    words.extend(places.iter().filter_map(position).map(|p| shifted(p, start)));
    words.extend(behind.into_iter().map(|p| shifted(p, by)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "level\tpage_num\n\
        1\t1\t0\t0\t0\t0\t0\t0\t1000\t2000\t-1\t\n\
        5\t1\t1\t1\t1\t1\t100\t200\t50\t20\t96.1\tThe\n\
        5\t1\t1\t1\t1\t2\t160\t200\t50\t20\t96.1\tinter-\n\
        5\t1\t1\t1\t2\t1\t100\t230\t50\t20\t96.1\tnational\n\
        5\t1\t1\t1\t2\t2\t170\t230\t50\t20\t12.0\t~|\n\
        5\t1\t2\t1\t1\t1\t100\t400\t50\t20\t90\trule";

    fn pages(texts: &[&str]) -> Document {
        let mut document = Document::plain("");
        for (number, text) in (1..).zip(texts) {
            let parted = !document.text.is_empty() && !text.is_empty();
            document.text.push_str(if parted { "\n\n" } else { "" });
            let start = document.text.len();
            document.text.push_str(text);
            let span = Span { start, end: document.text.len() };
            document.sections.push(Section { kind: SectionKind::Page(number), span });
        }
        document
    }

    #[test]
    fn words_of_the_table_flow_and_keep_their_boxes() {
        let mut document = pages(&["", "two"]);
        assert!(put(&mut document, 1, 500.0, TABLE));
        assert_eq!(document.text, "The international\n\nrule\n\ntwo");
        let boxes = document.boxes_of(Span { start: 0, end: 17 });
        assert_eq!(boxes.len(), 2);
        let rect = boxes[0].1;
        assert_eq!([rect.x0, rect.y0, rect.x1, rect.y1], [50.0, 100.0, 105.0, 110.0]);
    }

    #[test]
    fn pages_are_put_in_their_order() {
        let word = |text: &str| TABLE.lines().next_back().unwrap().replace("rule", text);
        for texts in [["", "", "three", "", ""], ["one", "", "", "four", ""], ["", "", "", "", ""]]
        {
            let mut document = pages(&texts);
            for (page, text) in (1..).zip(texts) {
                if text.is_empty() {
                    assert!(put(&mut document, page, 500.0, &word(&format!("scan{page}"))));
                }
            }
            let found: Vec<&str> =
                document.pages().map(|(_, span)| &document.text[span.start..span.end]).collect();
            let expect: Vec<String> = (1..)
                .zip(texts)
                .map(
                    |(page, text)| {
                        if text.is_empty() { format!("scan{page}") } else { text.into() }
                    },
                )
                .collect();
            assert_eq!(found, expect);
            assert_eq!(document.text, expect.join("\n\n"));
        }
    }

    #[test]
    fn page_numbers_are_ranges() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9, 10]), "3, 5-7, 9-10");
        let mut document = pages(&["", "two", "", "", ""]);
        document.metadata.insert(PAGES_WITHOUT_TEXT.into(), ranges(&[1, 3, 4]));
        assert_eq!(wanted(&document), [1, 3, 4]);
    }
}
