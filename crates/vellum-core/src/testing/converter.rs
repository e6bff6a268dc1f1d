//! Conformance suite of the `Converter` port, and [`PlainConverter`], its peer without parsers.
//!
//! The suite is given samples in the formats that the converter reads, each with a piece of text that
//! must be found, and checks what holds for every document: valid ascending sections, `\n` line ends,
//! equal output for equal input. It also feeds bytes that no converter may accept.

use crate::document::{Document, Format, Layout, Section, SectionKind, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::{ConvertInput, Converter, Parts};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::collections::BTreeMap;

/// Converts UTF-8 text; a form feed begins a new page, and text without one has no pages.
///
/// Form feeds become line ends, which belong to the page they close. Rejects what is not UTF-8, holds
/// a NUL, or has nothing but white space.
#[derive(Debug, Default)]
pub struct PlainConverter;

#[async_trait]
impl Converter for PlainConverter {
    fn version(&self) -> &str {
        "plain-1"
    }

    fn parts(&self, input: ConvertInput) -> Parts {
        stream::iter([plain(&input)]).boxed()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn plain(input: &ConvertInput) -> Result<Document> {
    let reject = |why: &str| Err(Error::new(ErrorKind::Rejected, why));
    let bytes = input.content.to_bytes().map_err(|error| Error::io("read the content", error))?;
    let Ok(source) = std::str::from_utf8(&bytes) else {
        return reject("the content is not UTF-8 text");
    };
    if source.contains('\0') {
        return reject("the content is binary");
    }
    if source.trim().is_empty() {
        return reject("the document holds no text");
    }
    Ok(document_of(&source.replace("\r\n", "\n").replace('\r', "\n")))
}

fn document_of(source: &str) -> Document {
    let mut sections = Vec::new();
    let mut start = 0;
    if source.contains('\u{c}') {
        for (number, page) in (1..).zip(source.split_inclusive('\u{c}')) {
            let span = Span { start, end: start + page.len() };
            sections.push(Section { kind: SectionKind::Page(number), span });
            start = span.end;
        }
    }
    Document {
        format: Format::Text,
        title: None,
        text: source.replace('\u{c}', "\n"),
        sections,
        metadata: BTreeMap::new(),
        layout: Layout::default(),
    }
}

/// Input for [`converter_suite`] with what must come out.
#[derive(Debug, Clone)]
pub struct Sample {
    /// File name.
    pub name: &'static str,
    /// Content.
    pub bytes: Bytes,
    /// Format that must be recognised.
    pub format: Format,
    /// Piece of text that must be found.
    pub contains: &'static str,
    /// Number of pages.
    pub pages: usize,
}

/// Asserts every clause of the [`Converter`] port on `samples`.
///
/// # Panics
/// When a clause is broken.
pub async fn converter_suite(converter: &dyn Converter, samples: &[Sample]) {
    converter.check().await.expect("a fresh converter is ready");
    assert!(!converter.version().is_empty(), "the extraction has a version");
    for sample in samples {
        let input =
            || ConvertInput { name: sample.name.into(), content: sample.bytes.clone().into() };
        let document = converter.convert(input()).await.expect(sample.name);
        let again = converter.convert(input()).await.expect(sample.name);
        assert_eq!(document, again, "{}: equal input, equal output", sample.name);
        assert_eq!(document.format, sample.format, "{}: format", sample.name);
        assert_eq!(document.pages().count(), sample.pages, "{}: pages", sample.name);
        let text = &document.text;
        assert!(text.contains(sample.contains), "{}: text, got {text:?}", sample.name);
        assert_well_formed(&document);
    }
    refusals(converter).await;
}

/// Asserts what holds for every document: `\n` line ends, sections in range, ascending and nested.
///
/// # Panics
/// When a clause is broken.
pub fn assert_well_formed(document: &Document) {
    let text = &document.text;
    assert!(!text.contains('\r'), "line ends are \\n");
    assert!(!text.trim().is_empty(), "a document has text");
    for section in &document.sections {
        let Span { start, end } = section.span;
        assert!(start <= end, "{section:?} is a range");
        assert!(text.get(start..end).is_some(), "{section:?} lies on characters of the text");
        if let SectionKind::Heading { level, .. } = section.kind {
            assert!((1..=6).contains(&level), "{section:?} has a rank");
        }
    }
    let ascending = document.sections.is_sorted_by_key(|section| section.span.start);
    assert!(ascending, "sections ascend by start");
    let pages: Vec<(u32, Span)> = document.pages().collect();
    for ((number, span), expected) in pages.iter().zip(1..) {
        assert_eq!(*number, expected, "pages are numbered from 1 without gaps");
        assert!(span.end <= text.len());
    }
    for pair in pages.windows(2) {
        assert!(pair[0].1.end <= pair[1].1.start, "pages do not overlap: {pair:?}");
    }
}

async fn refusals(converter: &dyn Converter) {
    let noise: Vec<u8> =
        (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: [(&str, Vec<u8>); 4] = [
        ("empty.txt", Vec::new()),
        ("blank.txt", b" \n\t\n".to_vec()),
        ("noise.bin", noise),
        ("zeros.txt", vec![0; 512]),
    ];
    for (name, bytes) in cases {
        let input = ConvertInput { name: name.into(), content: bytes.into() };
        let error = converter.convert(input).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Rejected, "{name}: {error}");
        assert!(!error.message().contains('\n'), "{name}: the reason is one line");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_converter_conforms() {
        let sample = |name, text: &'static str, contains, pages| Sample {
            name,
            bytes: Bytes::from_static(text.as_bytes()),
            format: Format::Text,
            contains,
            pages,
        };
        let samples = [
            sample("a.txt", "one\r\ntwo\rthree", "one\ntwo\nthree", 0),
            sample("b.txt", "first page\u{c}second ü page\u{c}", "second ü page", 2),
        ];
        converter_suite(&PlainConverter, &samples).await;
    }

    #[test]
    fn pages_cover_the_text() {
        let document = document_of("ab\u{c}c\u{c}d");
        assert_eq!(document.text, "ab\nc\nd");
        let pages: Vec<_> = document.pages().map(|(n, s)| (n, s.start, s.end)).collect();
        assert_eq!(pages, [(1, 0, 3), (2, 3, 5), (3, 5, 6)]);
    }
}
