//! Makes compound files (MS-CFB): Outlook messages (MS-OXMSG) and workbooks before 2007 (MS-XLS).

use crate::grammar;
use crate::grow::{self, pick, rich, text, tree};
use fastrand::Rng;
use std::io::{Cursor, Write};
use vellum_core::document::Format;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A compound file (MS-CFB) in memory.
type Compound = cfb::CompoundFile<Cursor<Vec<u8>>>;

fn put(file: &mut Compound, path: &str, bytes: &[u8]) -> Result<(), Failure> {
    file.create_stream(path)?.write_all(bytes)?;
    Ok(())
}

fn packed(mut file: Compound) -> Result<Vec<u8>, Failure> {
    file.flush()?;
    Ok(file.into_inner().into_inner())
}

/// Returns an Outlook message (MS-OXMSG).
pub(crate) fn message(rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new()))?;
    storage(&mut file, "", 0, rng)?;
    packed(file)
}

/// Fills the storage `at` of a message with properties, recipients and attachments.
fn storage(file: &mut Compound, at: &str, depth: usize, rng: &mut Rng) -> Result<(), Failure> {
    const TEXTS: [u16; 12] = [
        0x001a, 0x0037, 0x0042, 0x0c1a, 0x0c1f, 0x0e03, 0x0e04, 0x1000, 0x1035, 0x5d01, 0x1013,
        0x3001,
    ];
    let head = if depth == 0 { 32 } else { 24 };
    properties(file, at, head, &[0x0039, 0x0e06, 0x3fde, 0x3ffd], rng)?;
    for id in TEXTS.into_iter().filter(|_| rng.bool()).collect::<Vec<_>>() {
        string(file, at, id, rng)?;
    }
    if rng.bool() {
        let page = tree(grammar::PAGE, rng);
        put(file, &format!("{at}/__substg1.0_10130102"), page.as_bytes())?;
    }
    if rng.bool() {
        // Kept as it is (MELA), or as if it were compressed (LZFu): then references lead anywhere.
        let rich = rich(rng, 0);
        let kind: [u8; 4] = if rng.bool() { *b"MELA" } else { *b"LZFu" };
        let size = u32::try_from(rich.len())?;
        let mut bytes = [size + 12, size * 2].map(u32::to_le_bytes).concat();
        bytes.extend(kind);
        bytes.extend([0; 4]);
        bytes.extend(rich.bytes());
        put(file, &format!("{at}/__substg1.0_10090102"), &bytes)?;
    }
    for n in 0..rng.usize(..3) {
        let to = format!("{at}/__recip_version1.0_#{n:08X}");
        file.create_storage(&to)?;
        properties(file, &to, 8, &[0x0c15], rng)?;
        for id in [0x3001, 0x3003, 0x39fe] {
            string(file, &to, id, rng)?;
        }
    }
    for n in 0..rng.usize(..3) {
        let to = format!("{at}/__attach_version1.0_#{n:08X}");
        file.create_storage(&to)?;
        properties(file, &to, 8, &[0x7ffe, 0x3705], rng)?;
        for id in [0x3707, 0x370e, 0x3712, 0x3704] {
            if rng.bool() {
                string(file, &to, id, rng)?;
            }
        }
        if depth < 3 && rng.bool() {
            let inside = format!("{to}/__substg1.0_3701000D");
            file.create_storage(&inside)?;
            storage(file, &inside, depth + 1, rng)?;
        } else {
            let inside = pick(&[Format::Html, Format::Csv, Format::Rtf, Format::Docx], rng);
            put(file, &format!("{to}/__substg1.0_37010102"), &grow::file(inside, rng)?)?;
        }
    }
    Ok(())
}

fn properties(
    file: &mut Compound,
    at: &str,
    head: usize,
    ids: &[u16],
    rng: &mut Rng,
) -> Result<(), Failure> {
    let mut bytes = vec![0; head];
    for id in ids {
        bytes.extend([3, 0]);
        bytes.extend(id.to_le_bytes());
        bytes.extend([6, 0, 0, 0]);
        let value = pick(&[1252, 65001, 932, 1, 2, 3, 0x01da_6b9f_1a2b_3c4d, u64::MAX, 0], rng);
        bytes.extend(u64::to_le_bytes(value));
    }
    put(file, &format!("{at}/__properties_version1.0"), &bytes)
}

fn string(file: &mut Compound, at: &str, id: u16, rng: &mut Rng) -> Result<(), Failure> {
    let text = text(rng);
    let (kind, bytes) = match rng.bool() {
        true => ("001F", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        false => ("001E", text.into_bytes()),
    };
    put(file, &format!("{at}/__substg1.0_{id:04X}{kind}"), &bytes)
}

/// Returns a workbook before 2007 (MS-XLS): records of a few kinds, most of them in order.
pub(crate) fn workbook(rng: &mut Rng) -> Result<Vec<u8>, Failure> {
    let record = |kind: u16, body: &[u8], out: &mut Vec<u8>| {
        out.extend(kind.to_le_bytes());
        out.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(body);
    };
    let begin = |kind: u8, out: &mut Vec<u8>| {
        record(0x809, &[0, 6, kind, 0, 0xbb, 0x0d, 0xcc, 7, 0, 0, 0, 0, 6, 0, 0, 0], out);
    };
    let mut sheet = Vec::new();
    begin(0x10, &mut sheet);
    for _ in 0..rng.usize(1..60) {
        let short = |rng: &mut Rng| match rng.u8(..12) {
            0 => rng.u16(..),
            _ => rng.u16(..12),
        };
        let mut at = [short(rng), short(rng), rng.u16(..4)].map(u16::to_le_bytes).concat();
        let float = pick(&[0.5, 45_352.25, -1.0, 1e308, f64::NAN, f64::INFINITY, 3_000_000.0], rng);
        match rng.u8(..12) {
            0 | 1 => {
                at.extend(u32::from(rng.u8(..8)).to_le_bytes());
                record(0xfd, &at, &mut sheet);
            }
            2 | 3 => {
                at.extend(float.to_le_bytes());
                record(0x203, &at, &mut sheet);
            }
            4 => {
                at.extend(rng.u32(..).to_le_bytes());
                record(0x27e, &at, &mut sheet);
            }
            5 => {
                let (row, column, n_cells) = (short(rng), rng.u16(..9), rng.u16(1..5));
                let mut cells = [row, column].map(u16::to_le_bytes).concat();
                for _ in 0..n_cells {
                    cells.extend(rng.u16(..4).to_le_bytes());
                    cells.extend(rng.u32(..).to_le_bytes());
                }
                let last = column + n_cells - u16::from(rng.u8(..9) > 0);
                cells.extend(last.to_le_bytes());
                record(0xbd, &cells, &mut sheet);
            }
            6 => {
                // A formula whose result is a text, and the text.
                at.extend([0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
                // Mostly a number, at times anything.
                let tokens: Vec<u8> = match rng.u8(..8) {
                    0 => (0..rng.usize(..12)).map(|_| rng.u8(..0x80)).collect(),
                    _ => vec![0x1e, rng.u8(..), 0],
                };
                at.extend(u16::try_from(tokens.len())?.to_le_bytes());
                at.extend(tokens);
                record(0x06, &at, &mut sheet);
                record(0x207, &wide(&text(rng), 2), &mut sheet);
            }
            7 => {
                at.extend([pick(&[0, 7, 0x0f, 0x17, 0x2a, 1], rng), rng.u8(..2)]);
                record(0x205, &at, &mut sheet);
            }
            8 => {
                let area: Vec<u8> = (0..4).flat_map(|_| short(rng).to_le_bytes()).collect();
                record(0xe5, &[&[1, 0], area.as_slice()].concat(), &mut sheet);
            }
            9 => {
                at.extend(wide(&text(rng), 2));
                record(0x204, &at, &mut sheet);
            }
            10 => {
                let size: Vec<u8> =
                    [0, rng.u32(..20), 0, rng.u32(..20)].map(u32::to_le_bytes).concat();
                record(0x200, &size, &mut sheet);
            }
            _ => {
                let bytes: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..)).collect();
                record(pick(&[0x1b6, 0x208, 0x3d, 0x9, 0xa1, 0x1c], rng), &bytes, &mut sheet);
            }
        }
    }
    record(0x0a, &[], &mut sheet);
    let strings: Vec<String> = (0..6).map(|_| text(rng)).collect();
    let globals = |sheet_at: usize, rng: &mut Rng| -> Vec<u8> {
        let mut out = Vec::new();
        begin(5, &mut out);
        record(0x42, &[0xb0, 4], &mut out);
        record(0x22, &[rng.u8(..2), 0], &mut out);
        let code = pick(&["0.00", "yyyy-mm-dd", "[h]:mm", "General", "0%", "[Red]0;;@"], rng);
        record(0x41e, &[&[164, 0], wide(code, 2).as_slice()].concat(), &mut out);
        for format in [0_u16, 14, 164, 9] {
            let mut style = [0, format].map(u16::to_le_bytes).concat();
            style.resize(20, 0);
            record(0xe0, &style, &mut out);
        }
        let place = u32::try_from(sheet_at).unwrap_or(u32::MAX).to_le_bytes();
        record(0x85, &[place.as_slice(), &[0, 0], &wide("a", 1)].concat(), &mut out);
        // A long table goes on in another record: mostly between two texts, at times inside of one.
        let mut table = [6_u32, 6].map(u32::to_le_bytes).concat();
        let n_first = rng.usize(..=strings.len());
        let (first, rest) = strings.split_at(n_first);
        table.extend(first.iter().flat_map(|text| wide(text, 2)));
        let mut rest: Vec<u8> = rest.iter().flat_map(|text| wide(text, 2)).collect();
        if rng.u8(..4) == 0 {
            table.extend(rest.drain(..rng.usize(..=rest.len())));
        }
        record(0xfc, &table, &mut out);
        record(0x3c, &rest, &mut out);
        record(0x0a, &[], &mut out);
        out
    };
    // The place of the sheet is as long as any other place.
    let seed = rng.u64(..);
    let n_bytes = globals(0, &mut Rng::with_seed(seed)).len();
    let mut book = globals(n_bytes, &mut Rng::with_seed(seed));
    book.extend(sheet);
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new()))?;
    put(&mut file, "/Workbook", &book)?;
    packed(file)
}

/// Returns a text in UTF-16 behind its length (of `n_length` bytes) and its flags.
fn wide(text: &str, n_length: usize) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().take(200).collect();
    let mut out = (units.len() as u16).to_le_bytes()[..n_length].to_vec();
    out.push(1);
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
    out
}
