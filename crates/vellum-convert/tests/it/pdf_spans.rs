//! Fifty phrases of the sample PDFs: a snapshot of their rectangles, and ink in each of these.
//!
//! A phrase begins at a word that is known by its text and by which one of its kind it is on the page, from the top. A
//! keyed hash of that chooses: so the choice does not hang on the order in which the text is read, and words that come or
//! go elsewhere change nothing.

use crate::pictures::{Picture, decode};
use crate::text::run;
use std::collections::BTreeMap;
use std::path::Path;
use vellum_convert::{Settings, render_page};
use vellum_core::document::{Document, Position, Rect, Span};

/// Chooses other phrases when it is changed.
const SEED: u64 = 7;
/// Phrases of the snapshot.
const N_PHRASES: usize = 50;
/// Most words of a phrase.
const MAX_WORDS: u64 = 6;
/// Width of a drawn page, in pixels.
const WIDTH: u32 = 1200;
/// Least darkness of a rectangle: 1 is black.
const LEAST_INK: f64 = 0.02;

/// FNV-1a, 64 bits, finished as in SplitMix64, because the last bytes of the former hardly reach its upper bits.
fn hash(key: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ SEED;
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mixed = key.bytes().fold(start, fold);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(root.join("../../examples/handbook"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pdf"))
        .collect();
    paths.extend(["places.pdf", "turned.pdf"].map(|name| root.join("tests/data").join(name)));
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// A word at which a phrase may begin.
struct Start {
    hash: u64,
    file: usize,
    word: usize,
    occurrence: usize,
}

/// Returns a start for each word of `document`.
fn starts(file: usize, name: &str, document: &Document) -> Vec<Start> {
    let words = &document.layout.words;
    let mut order: Vec<usize> = (0..words.len()).collect();
    let key = |&n: &usize| {
        let Position { page, rect, .. } = words[n];
        (page, (rect.y0 * 10.0).round() as i64, (rect.x0 * 10.0).round() as i64)
    };
    order.sort_by_key(key);
    let mut seen: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let start = |word: usize| {
        let Position { start, end, page, .. } = words[word];
        let text = &document.text[start as usize..end as usize];
        let occurrence = seen.entry((page, text)).or_default();
        *occurrence += 1;
        let hash = hash(&format!("{name}/{page}/{text}/{occurrence}"));
        Start { hash, file, word, occurrence: *occurrence }
    };
    order.into_iter().map(start).collect()
}

/// Returns the phrase that begins at `start`: as many words as its hash says, but none behind a cell or paragraph.
fn phrase(document: &Document, start: &Start) -> Span {
    let words = &document.layout.words;
    let n_words = 1 + start.hash % MAX_WORDS;
    let mut last = start.word;
    while last + 1 < words.len() && (last - start.word + 1) as u64 != n_words {
        let (from, to) = (words[last].end as usize, words[last + 1].start as usize);
        let same_page = words[last].page == words[last + 1].page;
        if !same_page || !matches!(&document.text[from..to], "" | " " | "\n") {
            break;
        }
        last += 1;
    }
    Span { start: words[start.word].start as usize, end: words[last].end as usize }
}

fn draw(bytes: &[u8], page: u32) -> Picture {
    decode(&render_page(&bytes.to_vec().into(), page, WIDTH, &Settings::default()).unwrap())
}

#[test]
fn phrases_have_the_rectangles_that_they_had() {
    let samples = samples();
    let documents: Vec<Document> =
        samples.iter().map(|(name, bytes)| run(name, bytes).unwrap()).collect();
    let mut chosen: Vec<Start> = documents
        .iter()
        .enumerate()
        .flat_map(|(n, document)| starts(n, &samples[n].0, document))
        .collect();
    chosen.sort_by_key(|start| start.hash);
    chosen.truncate(N_PHRASES);
    let mut pictures: BTreeMap<(usize, u32), Picture> = BTreeMap::new();
    let mut lines = Vec::new();
    for start in &chosen {
        let (name, bytes) = &samples[start.file];
        let document = &documents[start.file];
        let span = phrase(document, start);
        let text = &document.text[span.start..span.end];
        let mut line = format!("{name}: {text:?} {}", start.occurrence);
        for (page, rect) in document.boxes_of(span) {
            let picture = pictures.entry((start.file, page)).or_insert_with(|| draw(bytes, page));
            let size = document.layout.pages.iter().find(|size| size.page == page).unwrap();
            let scale = picture.width as f32 / size.width;
            let Rect { x0, y0, x1, y1 } = rect;
            let area = f64::from((x1 - x0) * (y1 - y0) * scale * scale);
            let ink = picture.ink(rect, scale) as f64 / (255.0 * area);
            assert!(ink > LEAST_INK, "{line}: {rect:?} holds {ink:.3} ink");
            line.push_str(&format!(" p{page} [{x0:.1} {y0:.1} {x1:.1} {y1:.1}]"));
        }
        lines.push(line);
    }
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
}
