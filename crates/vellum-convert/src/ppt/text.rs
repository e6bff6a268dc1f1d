//! The texts of a presentation before 2007: characters, levels and bullets of paragraphs, links.
//!
//! Reference: MS-PPT 2.9.41 to 2.9.46 and 2.9.20 (`TextPFException`).

use super::records::{Record, Records, number, short};
use crate::blocks::{Block, unseen_address};
use encoding_rs::UTF_16LE;
use std::collections::HashMap;

/// Types of records.
const HEADER: u16 = 0x0F9F;
const CHARACTERS: u16 = 0x0FA0;
const BYTES: u16 = 0x0FA8;
const STYLE: u16 = 0x0FA1;
const OUTLINE_REFERENCE: u16 = 0x0F9E;
const ACTION: u16 = 0x0FF2;
const ACTION_ATOM: u16 = 0x0FF3;
const ACTION_RANGE: u16 = 0x0FDF;
/// What a text is for.
const TITLES: [u32; 2] = [0, 6];
const BODIES: [u32; 3] = [1, 7, 8];
/// Deepest level of a paragraph.
const MAX_LEVEL: u16 = 4;

/// One text.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    kind: u32,
    /// Paragraphs end with a carriage return, lines in them with a vertical tab.
    content: String,
    /// How many characters have a level, and whether they have bullets, when that is said.
    levels: Vec<(usize, u16, Option<bool>)>,
    /// From which character to which, and the number of the link.
    links: Vec<(usize, usize, u32)>,
}

impl Text {
    pub(super) fn is_title(&self) -> bool {
        TITLES.contains(&self.kind)
    }

    /// Returns the paragraphs that hold something; those of lists as items.
    pub(super) fn blocks(&self, links: &HashMap<u32, String>) -> Vec<Block> {
        let mut blocks = Vec::new();
        let (mut at, mut runs) = (0, self.levels.iter());
        let (mut run_end, mut run) = (0, (0, None));
        for paragraph in self.content.split('\r') {
            while run_end <= at {
                let Some(&(n, level, has_bullet)) = runs.next() else { break };
                run_end += n;
                run = (level, has_bullet);
            }
            let n_characters = paragraph.encode_utf16().count();
            let text = self.linked(paragraph, at, links);
            at += n_characters + 1;
            let text = text.replace('\u{b}', "\n");
            // Stands for a date or a number that is filled in.
            if text.trim().is_empty() || text.trim() == "*" {
                continue;
            }
            let (level, has_bullet) = run;
            let has_bullet = has_bullet.unwrap_or_else(|| BODIES.contains(&self.kind));
            blocks.push(if has_bullet {
                Block::Item(level.min(MAX_LEVEL).into(), "-".into(), text)
            } else {
                Block::Paragraph(text)
            });
        }
        blocks
    }

    /// Returns a paragraph, which begins with character `start`, with addresses behind the words that hide them.
    fn linked(&self, paragraph: &str, start: usize, links: &HashMap<u32, String>) -> String {
        if self.links.is_empty() {
            return paragraph.to_owned();
        }
        let units: Vec<u16> = paragraph.encode_utf16().collect();
        let mut own: Vec<(usize, usize, &str)> = Vec::new();
        for (from, to, id) in &self.links {
            let (from, to) =
                (from.saturating_sub(start), to.saturating_sub(start).min(units.len()));
            if let Some(address) = links.get(id).filter(|_| from < to) {
                own.push((from, to, address));
            }
        }
        own.sort_unstable();
        let (mut out, mut at) = (String::new(), 0);
        for (from, to, address) in own {
            if from < at {
                continue;
            }
            let shown = String::from_utf16_lossy(&units[from..to]);
            out.push_str(&String::from_utf16_lossy(&units[at..from]));
            out.push_str(shown.trim_end());
            if let Some(address) = unseen_address(shown.trim(), address) {
                out.push_str(&format!(" ({address})"));
            }
            out.push_str(&shown[shown.trim_end().len()..]);
            at = to;
        }
        out + &String::from_utf16_lossy(&units[at..])
    }
}

/// Returns the texts in `records`, also those without characters, because others refer to them by number; a reference to one
/// of `outline` is that text.
pub(super) fn texts<'a>(records: impl Iterator<Item = Record<'a>>, outline: &[Text]) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let mut link = None;
    for record in records {
        match (record.kind, texts.last_mut()) {
            (HEADER, _) => {
                let kind = number(record.content, 0).unwrap_or(u32::MAX);
                texts.push(Text { kind, ..Text::default() });
            }
            (OUTLINE_REFERENCE, _) => {
                let at = number(record.content, 0).unwrap_or(u32::MAX);
                texts.extend(outline.get(at as usize).cloned());
            }
            (CHARACTERS, Some(text)) => text.content = utf_16(record.content),
            // The low halves of UTF-16.
            (BYTES, Some(text)) => {
                text.content = record.content.iter().map(|&byte| char::from(byte)).collect();
            }
            (STYLE, Some(text)) => {
                text.levels = levels(record.content, text.content.encode_utf16().count());
            }
            (ACTION, _) => link = link_of(record.content),
            (ACTION_RANGE, Some(text)) => {
                let place = |at| number(record.content, at).map(|place| place as usize);
                if let (Some(from), Some(to), Some(id)) = (place(0), place(4), link.take()) {
                    text.links.push((from, to, id));
                }
            }
            _ => {}
        }
    }
    texts
}

/// Returns the link to which an action leads.
fn link_of(action: &[u8]) -> Option<u32> {
    number(Records(action).content(ACTION_ATOM)?, 4).filter(|&id| id != 0)
}

/// Returns the link of a shape with these records of its client data, over all of `texts`.
pub(super) fn link_all(texts: &mut [Text], client_data: &[u8]) {
    let Some(id) = Records(client_data).contents(ACTION).find_map(link_of) else { return };
    for text in texts.iter_mut().filter(|text| text.links.is_empty()) {
        text.links.push((0, text.content.encode_utf16().count(), id));
    }
}

pub(super) fn utf_16(bytes: &[u8]) -> String {
    UTF_16LE.decode_without_bom_handling(bytes).0.into_owned()
}

/// Returns the paragraph runs of a style, of a text with `n_characters`.
fn levels(style: &[u8], n_characters: usize) -> Vec<(usize, u16, Option<bool>)> {
    let mut runs = Vec::new();
    let (mut at, mut covered) = (0, 0);
    // The end of the text counts as a character.
    while covered <= n_characters {
        let Some((n, level, mask)) = run_head(style, at) else { break };
        at += 10;
        let flags = short(style, at).filter(|_| mask & 0xF != 0);
        at += run_length(mask, style, at);
        let has_bullet = flags.filter(|_| mask & 1 != 0).map(|flags| flags & 1 != 0);
        runs.push((n, level, has_bullet));
        covered += n.max(1);
    }
    runs
}

fn run_head(style: &[u8], at: usize) -> Option<(usize, u16, u32)> {
    Some((number(style, at)? as usize, short(style, at + 4)?, number(style, at + 6)?))
}

/// Returns the length of what a run's mask announces, which begins at `at`.
fn run_length(mask: u32, style: &[u8], at: usize) -> usize {
    let two = |bits: u32| if mask & bits == 0 { 0 } else { 2 };
    let color = if mask & 0x20 == 0 { 0 } else { 4 };
    let bullet = two(0xF) + two(0x80) + two(0x10) + two(0x40) + color;
    let spacing = [0x800, 0x1000, 0x2000, 0x4000, 0x100, 0x400, 0x8000].map(two);
    let before_tabs = bullet + spacing.iter().sum::<usize>();
    let tabs = if mask & 0x10_0000 == 0 {
        0
    } else {
        2 + 4 * usize::from(short(style, at + before_tabs).unwrap_or_default())
    };
    before_tabs + tabs + two(0x1_0000) + two(0xE_0000) + two(0x20_0000)
}

#[cfg(test)]
mod tests {
    use super::super::records::record;
    use super::*;

    fn style(runs: &[(u32, u16, u32, &[u8])]) -> Vec<u8> {
        let run = |(n, level, mask, rest): &(u32, u16, u32, &[u8])| {
            [&n.to_le_bytes()[..], &level.to_le_bytes(), &mask.to_le_bytes(), rest].concat()
        };
        runs.iter().flat_map(run).collect()
    }

    #[test]
    fn levels_bullets_and_links() {
        let content = "Rent\rNorth, see list\rSouth\r*";
        let chars: Vec<u8> = content.encode_utf16().flat_map(u16::to_le_bytes).collect();
        // Two tab stops stand before the flags that wrap; the third run has no bullets.
        let tabs: &[u8] = &[2, 0, 1, 0, 2, 0, 3, 0, 4, 0, 9, 9];
        let style = style(&[(5, 0, 0, b""), (16, 1, 0x12_0000, tabs), (8, 1, 0x1, &[0, 0])]);
        let range = [12_u32, 20].map(u32::to_le_bytes).concat();
        let action = record(ACTION_ATOM, 0, &[0, 0, 0, 0, 7, 0, 0, 0]);
        let records = [
            record(HEADER, 0, &[1, 0, 0, 0]),
            record(CHARACTERS, 0, &chars),
            record(STYLE, 0, &style),
            record(ACTION, 0, &action),
            record(ACTION_RANGE, 0, &range),
        ]
        .concat();
        let texts = texts(Records(&records), &[]);
        let links = HashMap::from([(7, "https://a.org/list".to_owned())]);
        let item = |level, text: &str| Block::Item(level, "-".into(), text.into());
        let expect = [
            item(0, "Rent"),
            item(1, "North, see list (https://a.org/list)"),
            Block::Paragraph("South".into()),
        ];
        assert_eq!(texts[0].blocks(&links), expect);
    }

    #[test]
    fn a_reference_counts_empty_texts() {
        let list = [
            record(HEADER, 0, &[0, 0, 0, 0]),
            record(HEADER, 0, &[4, 0, 0, 0]),
            record(BYTES, 0, b"Caf\xe9\x0b2"),
        ]
        .concat();
        let outline = texts(Records(&list), &[]);
        assert!(outline[0].is_title() && outline.len() == 2);
        let reference = record(OUTLINE_REFERENCE, 0, &[1, 0, 0, 0]);
        let found = texts(Records(&reference), &outline);
        let blocks = found[0].blocks(&HashMap::new());
        assert_eq!(blocks, [Block::Paragraph("Café\n2".into())]);
        assert!(texts(Records(&record(OUTLINE_REFERENCE, 0, &[2, 0, 0, 0])), &outline).is_empty());
    }

    #[test]
    fn damaged_styles_end() {
        for length in 0..40 {
            assert!(levels(&vec![0; length], 1_000).len() <= 4);
            levels(&vec![0xff; length], 1_000);
        }
    }
}
