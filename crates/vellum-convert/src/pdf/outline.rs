//! The bookmarks of a PDF: titles with their rank and the place where they point.
//!
//! Destinations are pages with a height, given outright, by name, or inside a "go to" action. Entries that point
//! elsewhere are left out. Cyclic and endless lists end at [`MAX_ENTRIES`].

use super::information;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{
    Array, Dict, MaybeRef, Name, Number, ObjRef, Object, ObjectIdentifier, String as PdfString,
};
use hayro_interpret::hayro_syntax::page::Page;
use std::collections::{HashMap, HashSet};

/// Most bookmarks, and most names of destinations, that are read.
const MAX_ENTRIES: usize = 50_000;
/// Longest title that is a heading, in characters.
const MAX_TITLE_CHARS: usize = 300;
/// Lowest rank of a heading.
const MAX_LEVEL: u8 = 6;

/// A bookmark that points to a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bookmark {
    pub(crate) title: String,
    /// 1 to 6.
    pub(crate) level: u8,
    /// Index of the page.
    pub(crate) page: usize,
    /// Distance from the top of the page as displayed, in points; unknown when the whole page is meant.
    pub(crate) y: Option<f64>,
}

/// Returns the bookmarks in their order.
pub(crate) fn read(pdf: &Pdf) -> Vec<Bookmark> {
    let xref = pdf.xref();
    let Some(root) = xref.get::<Dict<'_>>(xref.root_id()) else { return Vec::new() };
    let Some(outlines) = root.get::<Dict<'_>>(b"Outlines".as_slice()) else { return Vec::new() };
    let targets = Targets::new(pdf, &root);
    let mut bookmarks = Vec::new();
    let mut seen: HashSet<ObjectIdentifier> = HashSet::new();
    // Entries that are still to be read: the next of each rank.
    let mut open: Vec<Dict<'_>> = outlines.get(b"First".as_slice()).into_iter().collect();
    let mut n_entries = 0;
    while let Some(entry) = open.pop() {
        n_entries += 1;
        let is_new = entry.obj_id().is_none_or(|id| seen.insert(id));
        if !is_new || n_entries > MAX_ENTRIES {
            break;
        }
        let level = u8::try_from(open.len() + 1).unwrap_or(MAX_LEVEL).min(MAX_LEVEL);
        let title = entry.get::<PdfString<'_>>(b"Title".as_slice());
        let title = title.map(|title| information(title.as_bytes())).unwrap_or_default();
        let is_title = !title.is_empty() && title.chars().count() <= MAX_TITLE_CHARS;
        if let Some((page, y)) = targets.of(&entry).filter(|_| is_title) {
            bookmarks.push(Bookmark { title, level, page, y });
        }
        let next = entry.get::<Dict<'_>>(b"Next".as_slice());
        let first = entry.get::<Dict<'_>>(b"First".as_slice());
        // The depth is the rank, so an entry without a follower keeps its place under its children.
        match (next, first) {
            (Some(next), Some(first)) => open.extend([next, first]),
            (Some(next), None) => open.push(next),
            (None, Some(first)) => open.extend([Dict::empty(), first]),
            (None, None) => {}
        }
        while open.last().is_some_and(Dict::is_empty) {
            open.pop();
        }
    }
    bookmarks
}

/// What destinations point to.
struct Targets<'a> {
    pages: HashMap<ObjectIdentifier, usize>,
    all: &'a [Page<'a>],
    named: HashMap<Vec<u8>, Object<'a>>,
}

impl<'a> Targets<'a> {
    fn new(pdf: &'a Pdf, root: &Dict<'a>) -> Self {
        let all = pdf.pages();
        let pages = all.iter().enumerate().filter_map(|(n, page)| Some((page.raw().obj_id()?, n)));
        Self { pages: pages.collect(), all, named: named(root) }
    }

    /// Returns the page and the height that `entry` points to.
    fn of(&self, entry: &Dict<'a>) -> Option<(usize, Option<f64>)> {
        let destination = entry.get::<Object<'_>>(b"Dest".as_slice()).or_else(|| {
            let action = entry.get::<Dict<'_>>(b"A".as_slice())?;
            let kind = action.get::<Name<'_>>(b"S".as_slice())?;
            (&*kind == b"GoTo".as_slice()).then(|| action.get(b"D".as_slice()))?
        })?;
        let destination = match &destination {
            Object::String(name) => self.named.get(name.as_bytes())?,
            Object::Name(name) => self.named.get(&**name)?,
            _ => &destination,
        };
        match destination {
            Object::Array(array) => self.place(array),
            Object::Dict(dict) => self.place(&dict.get::<Array<'_>>(b"D".as_slice())?),
            _ => None,
        }
    }

    /// Reads `[page /XYZ left top zoom]` and its kin (PDF 32000-2, 12.3.2.2).
    fn place(&self, destination: &Array<'a>) -> Option<(usize, Option<f64>)> {
        let mut items = destination.raw_iter();
        let page = match items.next()? {
            MaybeRef::Ref(ObjRef { obj_number, gen_number }) => {
                *self.pages.get(&ObjectIdentifier::new(obj_number, gen_number))?
            }
            MaybeRef::NotRef(Object::Number(index)) => usize::try_from(index.as_i64()).ok()?,
            MaybeRef::NotRef(_) => return None,
        };
        let shown = self.all.get(page)?;
        let mut rest = destination.iter::<Object<'_>>().skip(1);
        let kind = rest.next().and_then(Object::into_name);
        let number = |object: Option<Object<'_>>| object.and_then(Object::into_number);
        let top: Option<Number> = match kind.as_deref() {
            Some(b"XYZ") => number(rest.nth(1)),
            Some(b"FitH" | b"FitBH") => number(rest.next()),
            Some(b"FitR") => number(rest.nth(3)),
            _ => None,
        };
        let height = |top: Number| {
            let [_, b, _, d, _, f] = shown.initial_transform(true).as_coeffs();
            // On a page that is turned sideways the height does not tell the line.
            (b == 0.0).then(|| d * top.as_f64() + f)
        };
        Some((page, top.and_then(height)))
    }
}

/// Returns the named destinations: of the name tree, and of the dictionary that older files have.
fn named<'a>(root: &Dict<'a>) -> HashMap<Vec<u8>, Object<'a>> {
    let mut named = HashMap::new();
    if let Some(old) = root.get::<Dict<'_>>(b"Dests".as_slice()) {
        let names: Vec<Name<'_>> = old.keys().take(MAX_ENTRIES).collect();
        for name in names {
            if let Some(object) = old.get::<Object<'_>>(&*name) {
                named.insert(name.to_vec(), object);
            }
        }
    }
    let names = root.get::<Dict<'_>>(b"Names".as_slice());
    let mut open: Vec<Dict<'a>> =
        names.and_then(|names| names.get(b"Dests".as_slice())).into_iter().collect();
    let mut n_nodes = 0;
    while let Some(node) = open.pop() {
        n_nodes += 1;
        if n_nodes > MAX_ENTRIES || named.len() > MAX_ENTRIES {
            break;
        }
        if let Some(kids) = node.get::<Array<'_>>(b"Kids".as_slice()) {
            open.extend(kids.iter::<Dict<'_>>().take(MAX_ENTRIES.saturating_sub(open.len())));
        }
        let Some(pairs) = node.get::<Array<'_>>(b"Names".as_slice()) else { continue };
        let mut pairs = pairs.iter::<Object<'_>>();
        while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
            if let (Object::String(key), true) = (key, named.len() <= MAX_ENTRIES) {
                named.insert(key.as_bytes().to_vec(), value);
            }
        }
    }
    named
}
