//! Feeds each parser changed copies of real files and prints how they ended: `fuzz WORKER MINUTES OUT FOLDER...`.
//!
//! The files of the folders (up to [`MAX_SEED`] bytes each) are sorted by the format that is recognised, and every format
//! gets the same share of the time. A copy is changed in one to six places: bits, bytes, numbers, pieces of itself or
//! of a neighbour; a member of a container is changed and packed again. Inputs follow from their number, so a run
//! can be repeated; `--from N` goes on behind an earlier one.
//!
//! What ends a child or takes too long is contained and counted, and the first inputs of each kind are kept in OUT. The run
//! fails when the pool is not left able to read, when a file ends otherwise than as a document or rejected, or
//! when a document contradicts itself.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

use fastrand::Rng;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vellum_convert::{PoolSettings, WorkerPool};
use vellum_core::ErrorKind;
use vellum_core::document::{Document, Format, Span};
use vellum_core::ports::{ConvertInput, Converter};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Largest file that is changed: small ones are read thousands of times a minute.
const MAX_SEED: u64 = 256 << 10;
/// Time for one file.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Files that are read at a time.
const WORKERS: usize = 2;
/// Most changes of one copy.
const MAX_CHANGES: usize = 6;
/// Inputs that are kept of each kind of end.
const KEPT: usize = 5;
/// Bytes at which parsers turn.
const NASTY: [u8; 9] = [0, 0x7f, 0x80, 0xff, b'<', b'>', b'(', b'{', b'\\'];
/// Numbers at which programs break.
const NUMBERS: [&str; 8] =
    ["0", "-1", "1e308", "65536", "2147483648", "4294967295", "99999999999999999999", "NaN"];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).peekable();
    let mut from = 0;
    if args.next_if_eq("--from").is_some() {
        from = args.next().ok_or("--from has a number")?.parse()?;
    }
    let worker = args.next().ok_or("name the worker program")?;
    let minutes: f64 = args.next().ok_or("say how many minutes")?.parse()?;
    let out = PathBuf::from(args.next().ok_or("name a folder for what is kept")?);
    std::fs::create_dir_all(&out)?;
    let settings = PoolSettings {
        workers: WORKERS,
        timeout: TIMEOUT,
        ocr: None,
        ..PoolSettings::new(worker, Vec::new())
    };
    let pool = WorkerPool::new(settings);
    let mut seeds: BTreeMap<Format, Vec<Arc<[u8]>>> = BTreeMap::new();
    for folder in args {
        sort_seeds(&pool, Path::new(&folder), &mut seeds).await?;
    }
    let share = Duration::from_secs_f64(minutes * 60.0 / seeds.len().max(1) as f64);
    println!("{:9} seeds inputs documents rejected contained slowest", "format");
    for (format, files) in seeds {
        let fuzz = Arc::new(Fuzz {
            pool: pool.clone(),
            format,
            files,
            out: out.clone(),
            ends: Mutex::default(),
        });
        fuzz.run(share, from).await?;
        fuzz.report();
    }
    let input = ConvertInput { name: "a.txt".into(), content: "still there".into() };
    match pool.convert(input).await?.text.as_str() {
        "still there" => Ok(()),
        other => Err(format!("afterwards the pool reads {other:?}").into()),
    }
}

/// Adds the files below `folder` to `seeds`, each under the format that it is.
async fn sort_seeds(
    pool: &WorkerPool,
    folder: &Path,
    seeds: &mut BTreeMap<Format, Vec<Arc<[u8]>>>,
) -> Result<(), Failure> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let mut entries = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::path);
        for entry in entries {
            let about = entry.metadata()?;
            if about.is_dir() {
                open.push(entry.path());
            } else if about.len() <= MAX_SEED {
                let bytes: Arc<[u8]> = std::fs::read(entry.path())?.into();
                let name = entry.file_name().to_string_lossy().into_owned();
                let input = ConvertInput { name, content: bytes.to_vec().into() };
                if let Ok(document) = pool.convert(input).await {
                    seeds.entry(document.format).or_default().push(bytes);
                }
            }
        }
    }
    Ok(())
}

/// The inputs of one format and how they ended.
struct Fuzz {
    pool: WorkerPool,
    format: Format,
    files: Vec<Arc<[u8]>>,
    out: PathBuf,
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    n_documents: usize,
    n_rejected: usize,
    /// What would have hurt outside of a child, by reason.
    contained: BTreeMap<String, usize>,
    slowest: Duration,
}

impl Fuzz {
    /// Tries inputs for as long as `share`.
    async fn run(self: &Arc<Self>, share: Duration, from: u64) -> Result<(), Failure> {
        let start = Instant::now();
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..WORKERS as u64 {
            let fuzz = Arc::clone(self);
            lanes.spawn(async move {
                let mut number = from + lane;
                while start.elapsed() < share {
                    fuzz.one(number).await.map_err(|error| format!("input {number}: {error}"))?;
                    number += WORKERS as u64;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(end) = lanes.join_next().await {
            end??;
        }
        Ok(())
    }

    async fn one(&self, number: u64) -> Result<(), Failure> {
        let mut rng = Rng::with_seed(number);
        let bytes = changed(&self.files, &mut rng);
        let start = Instant::now();
        // The name decides where the content does not: text formats.
        let name = format!("file.{}", extension(self.format));
        let input = ConvertInput { name, content: bytes.clone().into() };
        let end = self.pool.convert(input).await;
        let took = start.elapsed();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.slowest = ends.slowest.max(took);
        match end {
            Ok(document) => {
                ends.n_documents += 1;
                check(&document).inspect_err(|_| self.keep("contradiction", number, &bytes))?;
            }
            Err(error) if error.kind() == ErrorKind::Rejected => {
                ends.n_rejected += 1;
                let reason = error.message();
                let contained = ["crashed", "longer than", "needs more than"];
                if contained.iter().any(|words| reason.contains(words)) {
                    let n = ends.contained.entry(reason.to_owned()).or_default();
                    *n += 1;
                    if *n <= KEPT {
                        self.keep(reason, number, &bytes);
                    }
                }
            }
            Err(error) => {
                self.keep("error", number, &bytes);
                return Err(error.full_message().into());
            }
        }
        Ok(())
    }

    fn keep(&self, reason: &str, number: u64, bytes: &[u8]) {
        let word = |c: char| if c.is_alphanumeric() { c } else { '-' };
        let reason: String = reason.chars().map(word).collect();
        let path = self.out.join(format!("{}-{reason}-{number}", self.format.as_str()));
        if let Err(error) = std::fs::write(&path, bytes) {
            println!("cannot keep {}: {error}", path.display());
        }
    }

    fn report(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        println!(
            "{:9} {:5} {:6} {:9} {:8} {:9} {:6.1} s",
            self.format.as_str(),
            self.files.len(),
            ends.n_documents + ends.n_rejected,
            ends.n_documents,
            ends.n_rejected,
            ends.contained.values().sum::<usize>(),
            ends.slowest.as_secs_f64()
        );
        for (reason, n) in &ends.contained {
            println!("          {n:5}  {reason}");
        }
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Markdown => "md",
        Format::Email => "eml",
        Format::Outlook => "msg",
        Format::Code => "rs",
        other => other.as_str(),
    }
}

/// Returns an error when the spans of a document do not fit its text.
fn check(document: &Document) -> Result<(), Failure> {
    let fits =
        |span: Span| span.start <= span.end && document.text.get(span.start..span.end).is_some();
    let words = &document.layout.words;
    let word_fits = |n: usize| {
        let span = Span { start: words[n].start as usize, end: words[n].end as usize };
        fits(span) && (n == 0 || words[n - 1].end <= words[n].start)
    };
    if !document.sections.iter().all(|section| fits(section.span)) {
        return Err("a section does not fit the text".into());
    }
    if !document.layout.links.iter().all(|link| fits(link.span)) {
        return Err("a link does not fit the text".into());
    }
    if !(0..words.len()).all(word_fits) {
        return Err("the words do not ascend, or do not fit the text".into());
    }
    Ok(())
}

/// Returns a changed copy of one of the files.
fn changed(files: &[Arc<[u8]>], rng: &mut Rng) -> Vec<u8> {
    let (file, other) = (&files[rng.usize(..files.len())], &files[rng.usize(..files.len())]);
    let n_changes = rng.usize(1..=MAX_CHANGES);
    if let Some(mut members) = unpacked(file).filter(|_| rng.u8(..8) > 0) {
        let at = rng.usize(..members.len());
        for _ in 0..n_changes {
            change(&mut members[at].1, file, rng);
        }
        if let Some(packed) = packed(&members) {
            return packed;
        }
    }
    let mut bytes = file.to_vec();
    for _ in 0..n_changes {
        change(&mut bytes, other, rng);
    }
    bytes
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

/// Returns the members of a ZIP container.
fn unpacked(file: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).ok()?;
    let mut members = Vec::with_capacity(archive.len());
    for n in 0..archive.len() {
        let mut member = archive.by_index(n).ok()?;
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).ok()?;
        members.push((member.name().ok()?.into_owned(), bytes));
    }
    (!members.is_empty()).then_some(members)
}

fn packed(members: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in members {
        archive.start_file(name.as_str(), options).ok()?;
        archive.write_all(bytes).ok()?;
    }
    Some(archive.finish().ok()?.into_inner())
}
