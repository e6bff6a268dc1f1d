//! The slides of a presentation before 2007, and where their parts are in the stream.
//!
//! A save appends what changed, so a slide is found by its number through the directories of all saves, the newest
//! first; where those are damaged, slides are taken as they come.
//! Reference: MS-PPT 2.3.2 to 2.3.5, 2.4.1, 2.4.14.

use super::records::{Record, Records, number};
use super::text::{Text, texts};
use std::collections::{HashMap, HashSet};

/// Types of records.
const DOCUMENT: u16 = 0x03E8;
const SLIDE: u16 = 0x03EE;
const SLIDE_ENTRY: u16 = 0x03F3;
const NOTES: u16 = 0x03F0;
const NOTES_ATOM: u16 = 0x03F1;
const LIST: u16 = 0x0FF0;
const CURRENT_USER: u16 = 0x0FF6;
const EDIT: u16 = 0x0FF5;
const DIRECTORY: u16 = 0x1772;
const LINKED_OBJECTS: u16 = 0x0409;
const LINK: u16 = 0x0FD7;
const LINK_ATOM: u16 = 0x0FD3;
const STRING: u16 = 0x0FBA;
/// Lists of [`LIST`], by instance.
const OF_SLIDES: u16 = 0;
const OF_NOTES: u16 = 2;
/// The string of a link that is its address.
const ADDRESS: u16 = 1;
/// What the current user's record opens with when the file is encrypted.
const ENCRYPTED: u32 = 0xF3D1_C4DF;
/// Most saves that are followed.
const MAX_SAVES: usize = 10_000;

/// A slide or a page of notes.
pub(super) struct Page<'a> {
    /// Its records.
    pub(super) content: &'a [u8],
    /// Texts to which placeholders refer by number.
    pub(super) outline: Vec<Text>,
}

/// What a presentation is made of.
pub(super) struct Deck<'a> {
    /// Slides in order, each with its notes.
    pub(super) slides: Vec<(Page<'a>, Option<Page<'a>>)>,
    /// Addresses by the number of a link.
    pub(super) links: HashMap<u32, String>,
}

/// Returns whether a file with these streams is encrypted.
pub(super) fn is_encrypted(stream: &[u8], user: &[u8]) -> bool {
    let is_marked = number(user, 12) == Some(ENCRYPTED);
    let session = last_save(stream, user).and_then(|save| number(save, 28));
    is_marked || session.is_some_and(|id| id != 0 && id != u32::MAX)
}

/// Returns the slides in `stream`; `user` is the stream of the current user. `None` when it holds neither slides nor what
/// lists them.
pub(super) fn read<'a>(stream: &'a [u8], user: &[u8]) -> Option<Deck<'a>> {
    let (offsets, document_id) = directory(stream, user);
    let object = |id: u32, kind: u16| -> Option<Record<'a>> {
        let record = Records(stream.get(*offsets.get(&id)?..)?).next()?;
        (record.kind == kind).then_some(record)
    };
    // A file that lost its directory holds each state of its document; the last one counts.
    let document = object(document_id, DOCUMENT)
        .or_else(|| Records(stream).filter(|record| record.kind == DOCUMENT).last())
        .map(|record| record.content)
        .unwrap_or_default();
    let mut notes: HashMap<u32, Page<'a>> = HashMap::new();
    for entry in entries(document, OF_NOTES) {
        let Some(page) = object(entry.object, NOTES) else { continue };
        let slide = Records(page.content).content(NOTES_ATOM).and_then(|atom| number(atom, 0));
        if let Some(slide) = slide {
            notes.insert(slide, Page { content: page.content, outline: entry.outline });
        }
    }
    let mut seen = HashSet::new();
    let mut slides = Vec::new();
    let mut in_order = Records(stream).contents(SLIDE);
    for entry in entries(document, OF_SLIDES) {
        let found = object(entry.object, SLIDE).map(|record| record.content);
        let found = if offsets.is_empty() { in_order.next() } else { found };
        let content = found.unwrap_or_default();
        // Many entries for one slide would unfold a small file to a large text.
        if content.is_empty() || seen.insert(content.as_ptr()) {
            slides.push((Page { content, outline: entry.outline }, notes.remove(&entry.slide)));
        }
    }
    if slides.is_empty() {
        let page = |content| (Page { content, outline: Vec::new() }, None);
        slides.extend(Records(stream).contents(SLIDE).map(page));
    }
    let is_known = !(slides.is_empty() && document.is_empty());
    is_known.then(|| Deck { slides, links: links(document) })
}

/// One line of a list of slides.
struct Entry {
    /// The number under which the slide is found.
    object: u32,
    /// The number by which its notes call it.
    slide: u32,
    outline: Vec<Text>,
}

fn entries(document: &[u8], list: u16) -> Vec<Entry> {
    let mut entries: Vec<(u32, u32, Vec<Record<'_>>)> = Vec::new();
    let is_list = |record: &Record<'_>| record.kind == LIST && record.instance == list;
    for record in Records(document).filter(is_list).flat_map(|list| Records(list.content)) {
        if record.kind == SLIDE_ENTRY {
            let part = |at| number(record.content, at).unwrap_or_default();
            entries.push((part(0), part(12), Vec::new()));
        } else if let Some((.., records)) = entries.last_mut() {
            records.push(record);
        }
    }
    let entry = |(object, slide, records): (u32, u32, Vec<Record<'_>>)| Entry {
        object,
        slide,
        outline: texts(records.into_iter(), &[]),
    };
    entries.into_iter().map(entry).collect()
}

/// Returns the content of the last save's record.
fn last_save<'a>(stream: &'a [u8], user: &[u8]) -> Option<&'a [u8]> {
    let named = Records(user).content(CURRENT_USER).and_then(|user| number(user, 8));
    let named = named.and_then(|at| save_at(stream, at));
    named.or_else(|| Records(stream).contents(EDIT).last())
}

fn save_at(stream: &[u8], at: u32) -> Option<&[u8]> {
    let record = Records(stream.get(at as usize..)?).next()?;
    (record.kind == EDIT).then_some(record.content)
}

/// Returns where each object stands, and the number of the document.
fn directory(stream: &[u8], user: &[u8]) -> (HashMap<u32, usize>, u32) {
    let mut offsets = HashMap::new();
    let last = last_save(stream, user);
    let document = last.and_then(|save| number(save, 16)).unwrap_or(1);
    let mut save = last;
    let mut earliest = u32::MAX;
    for _ in 0..MAX_SAVES {
        let Some(open) = save else { break };
        let at = number(open, 12).and_then(|at| stream.get(at as usize..));
        let table = at.and_then(|rest| Records(rest).next()).filter(|it| it.kind == DIRECTORY);
        if let Some(table) = table {
            add_offsets(&mut offsets, table.content);
        }
        // Each save names the one before it, which stands before it.
        let before = number(open, 8).filter(|&at| at > 0 && at < earliest);
        earliest = before.unwrap_or_default();
        save = before.and_then(|at| save_at(stream, at));
    }
    (offsets, document)
}

/// Adds the runs of a directory: a first number and a count, then an offset for each; those known stay.
fn add_offsets(offsets: &mut HashMap<u32, usize>, table: &[u8]) {
    let mut at = 0;
    while let Some(head) = number(table, at) {
        at += 4;
        for id in (head & 0xF_FFFF..).take((head >> 20) as usize) {
            let Some(offset) = number(table, at) else { return };
            at += 4;
            offsets.entry(id).or_insert(offset as usize);
        }
    }
}

fn links(document: &[u8]) -> HashMap<u32, String> {
    let list = Records(document).content(LINKED_OBJECTS).unwrap_or_default();
    let link = |content| {
        let id = number(Records(content).content(LINK_ATOM)?, 0)?;
        let is_address = |record: &Record<'_>| record.kind == STRING && record.instance == ADDRESS;
        let address = Records(content).find(is_address)?;
        Some((id, super::text::utf_16(address.content)))
    };
    Records(list).contents(LINK).filter_map(link).collect()
}
