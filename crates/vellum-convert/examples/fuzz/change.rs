//! Changes copies of files: bytes, numbers and pieces, also of the members of a container.

use crate::pack;
use fastrand::Rng;
use std::io::{Cursor, Read, Write};

/// Most changes of one copy.
const MAX_CHANGES: usize = 6;
/// Most that the members of a container may unfold to, in bytes.
const MAX_UNFOLDED: u64 = 8 << 20;
/// Bytes at which parsers turn.
const NASTY: [u8; 9] = [0, 0x7f, 0x80, 0xff, b'<', b'>', b'(', b'{', b'\\'];
/// Numbers at which programs break.
const NUMBERS: [&str; 8] =
    ["0", "-1", "1e308", "65536", "2147483648", "4294967295", "99999999999999999999", "NaN"];

/// Returns a changed copy of `file`, into which pieces of `other` may come.
pub(crate) fn changed(file: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let n_changes = rng.usize(1..=MAX_CHANGES);
    let alter = |member: &mut Vec<u8>, rng: &mut Rng| {
        (0..n_changes).for_each(|_| change(member, file, rng));
    };
    if let Some(packed) = unpacked(file)
        .filter(|_| rng.u8(..8) > 0)
        .and_then(|container| with_altered(container, rng, alter))
    {
        return packed;
    }
    let mut bytes = file.to_vec();
    for _ in 0..n_changes {
        change(&mut bytes, other, rng);
    }
    bytes
}

/// Returns the container in `file` with one member altered; `None` when it is none.
#[allow(dead_code, reason = "only the guided target alters members in ways of its own")]
pub(crate) fn altered(
    file: &[u8],
    rng: &mut Rng,
    alter: impl FnOnce(&mut Vec<u8>, &mut Rng),
) -> Option<Vec<u8>> {
    with_altered(unpacked(file)?, rng, alter)
}

fn with_altered(
    (kind, mut members): (Container, Members),
    rng: &mut Rng,
    alter: impl FnOnce(&mut Vec<u8>, &mut Rng),
) -> Option<Vec<u8>> {
    let at = rng.usize(..members.len());
    alter(&mut members[at].1, rng);
    packed(&kind, &members)
}

/// Changes one place.
fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if bytes.is_empty() {
        return bytes.push(rng.u8(..));
    }
    let at = rng.usize(..bytes.len());
    let end = (at + (1 << rng.usize(..12))).min(bytes.len());
    match rng.u8(..9) {
        0 => bytes[at] ^= 1 << rng.u8(..8),
        1 => bytes[at] = NASTY[rng.usize(..NASTY.len())],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            let times = 1 << rng.usize(..6);
            bytes.splice(at..at, piece.repeat(times));
        }
        4 => {
            let to = rng.usize(..=bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(to..to, piece);
        }
        5 if !other.is_empty() => {
            let from = rng.usize(..other.len());
            let to = (from + (1 << rng.usize(..12))).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        6 => number(bytes, at, rng),
        7 => bytes.truncate(at),
        _ => bytes[at..end].fill(rng.u8(..)),
    }
}

/// Replaces the next number by one at which programs break.
fn number(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) else {
        return;
    };
    let n_digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let new = NUMBERS[rng.usize(..NUMBERS.len())];
    bytes.splice(start..start + n_digits, new.bytes());
}

/// What members are packed in.
enum Container {
    Zip,
    /// OLE compound file: `.xls`, `.msg`.
    Compound,
}

type Members = Vec<(String, Vec<u8>)>;

/// Returns the members of a container.
fn unpacked(file: &[u8]) -> Option<(Container, Members)> {
    let (kind, members) = if file.starts_with(b"PK") {
        (Container::Zip, unzipped(file)?)
    } else {
        (Container::Compound, streams(file)?)
    };
    (!members.is_empty()).then_some((kind, members))
}

fn unzipped(file: &[u8]) -> Option<Members> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).ok()?;
    let mut members = Vec::with_capacity(archive.len());
    let mut left = MAX_UNFOLDED;
    for n in 0..archive.len() {
        let mut member = archive.by_index(n).ok()?;
        let mut bytes = Vec::new();
        let name = member.name().ok()?.into_owned();
        (&mut member).take(left + 1).read_to_end(&mut bytes).ok()?;
        left = left.checked_sub(bytes.len() as u64)?;
        members.push((name, bytes));
    }
    Some(members)
}

fn streams(file: &[u8]) -> Option<Members> {
    let mut compound = cfb::CompoundFile::open(Cursor::new(file)).ok()?;
    let paths: Vec<String> = compound
        .walk()
        .filter(|entry| entry.is_stream())
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .collect();
    let mut members = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bytes = Vec::new();
        compound.open_stream(&path).ok()?.read_to_end(&mut bytes).ok()?;
        members.push((path, bytes));
    }
    Some(members)
}

fn packed(kind: &Container, members: &Members) -> Option<Vec<u8>> {
    match kind {
        Container::Zip => pack::zip(members).ok(),
        Container::Compound => {
            let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).ok()?;
            for (path, bytes) in members {
                if let Some((storage, _)) = path.rsplit_once('/').filter(|(at, _)| !at.is_empty()) {
                    file.create_storage_all(storage).ok()?;
                }
                file.create_stream(path).ok()?.write_all(bytes).ok()?;
            }
            file.flush().ok()?;
            Some(file.into_inner().into_inner())
        }
    }
}
