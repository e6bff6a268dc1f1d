//! The outline of a presentation before 2007: titles and texts of slides, apart from the slides.
//!
//! A placeholder of a slide has its text there or refers to the outline by number. `office_oxide` 0.1.16 does not count
//! the placeholders that are empty, so it loses texts that stand behind one; they are found here.
//! Reference: MS-PPT 2.4.14.3 (`SlideListWithTextContainer`), 2.9.43.

use encoding_rs::UTF_16LE;

/// Types of records.
const DOCUMENT: u16 = 0x03E8;
const SLIDE_LIST: u16 = 0x0FF0;
const SLIDE: u16 = 0x03F3;
const TEXT_HEADER: u16 = 0x0F9F;
const TEXT_CHARS: u16 = 0x0FA0;
const TEXT_BYTES: u16 = 0x0FA8;
/// Kinds of text that are titles.
const TITLES: [u32; 2] = [0, 6];
/// The list of slides; there are others of masters and of notes.
const OF_SLIDES: u16 = 0;

/// A text of a slide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutlineText {
    pub(super) is_title: bool,
    /// Its paragraphs, those that hold something.
    pub(super) paragraphs: Vec<String>,
}

/// Returns the texts of each slide in `stream`, the records of a presentation; none where they are damaged.
pub(super) fn texts(stream: &[u8]) -> Vec<Vec<OutlineText>> {
    // A file that was saved in pieces holds each state of its document; the last one counts.
    let Some(document) = Records(stream).filter(|record| record.kind == DOCUMENT).last() else {
        return Vec::new();
    };
    let mut slides: Vec<Vec<OutlineText>> = Vec::new();
    let is_list = |record: &Record<'_>| record.kind == SLIDE_LIST && record.instance == OF_SLIDES;
    let mut is_title = false;
    for record in Records(document.content).filter(is_list).flat_map(|list| Records(list.content)) {
        let text = match (record.kind, slides.last_mut()) {
            (SLIDE, _) => {
                slides.push(Vec::new());
                continue;
            }
            (TEXT_HEADER, _) => {
                let kind = record.content.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
                is_title = kind.is_some_and(|kind| TITLES.contains(&kind));
                continue;
            }
            (TEXT_CHARS, Some(_)) => {
                UTF_16LE.decode_without_bom_handling(record.content).0.into_owned()
            }
            // The low halves of UTF-16.
            (TEXT_BYTES, Some(_)) => record.content.iter().map(|&byte| char::from(byte)).collect(),
            _ => continue,
        };
        let paragraphs = text.split('\r').map(|line| line.replace('\u{b}', "\n"));
        let paragraphs: Vec<String> = paragraphs.filter(|line| !line.trim().is_empty()).collect();
        if let Some(slide) = slides.last_mut().filter(|_| !paragraphs.is_empty()) {
            slide.push(OutlineText { is_title, paragraphs });
        }
    }
    slides
}

/// One record: a header of eight bytes, then its content.
struct Record<'a> {
    instance: u16,
    kind: u16,
    content: &'a [u8],
}

/// The records that follow one another in a stream, up to the first that does not fit it.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_first_chunk::<8>()?;
        let [v0, v1, k0, k1, l0, l1, l2, l3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let instance = u16::from_le_bytes([v0, v1]) >> 4;
        Some(Record { instance, kind: u16::from_le_bytes([k0, k1]), content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(content);
        bytes
    }

    #[test]
    fn a_text_behind_an_empty_placeholder_is_found() {
        let utf_16 =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let list = [
            record(SLIDE, &[0; 20]),
            record(TEXT_HEADER, &[0, 0, 0, 0]),
            record(TEXT_HEADER, &[1, 0, 0, 0]),
            record(TEXT_CHARS, &utf_16("25 days\r\rZürich\u{b}Bern")),
            record(SLIDE, &[0; 20]),
            record(TEXT_HEADER, &[6, 0, 0, 0]),
            record(TEXT_BYTES, b"Caf\xe9"),
        ];
        let document = record(DOCUMENT, &record(SLIDE_LIST, &list.concat()));
        let stream = [record(SLIDE, b"x"), document].concat();
        let text = |is_title, paragraphs: &[&str]| OutlineText {
            is_title,
            paragraphs: paragraphs.iter().map(|line| (*line).to_owned()).collect(),
        };
        let expect =
            vec![vec![text(false, &["25 days", "Zürich\nBern"])], vec![text(true, &["Café"])]];
        assert_eq!(texts(&stream), expect);
        assert_eq!(texts(&stream[..stream.len() - 1]), Vec::<Vec<OutlineText>>::new());
    }
}
