//! Feeds each parser files that nobody wrote and prints how they ended: `fuzz WORKER MINUTES OUT [OPTIONS] FOLDER...`.
//!
//! The files of the folders (up to [`MAX_SEED`] bytes each) are sorted by the format that is recognised. Every format gets
//! the same share of the time, in turns of a minute. One input in four is grown anew (`grow`); the others are copies of a file
//! (of a grown one where a format has none), changed in one to six places (`change`): bits, bytes, numbers, pieces of itself or of
//! a neighbour; a member of a container is changed and packed again.
//!
//! Options: `--only pdf,xls` tries these formats; `--workers N` reads N files at a time (2); `--from N` goes on
//! behind an earlier run, as inputs follow from their number; `--sort FOLDER` tries nothing and leaves the files
//! and some grown ones in FOLDER, a folder for each format, for the fuzzing that coverage guides (`../../fuzz`).
//!
//! What ends a child or takes too long is contained and counted, and the first inputs of each kind are kept in OUT. The run
//! fails when the pool is not left able to read, when a file ends otherwise than as a document or rejected, or
//! when a document contradicts itself.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

mod change;
mod compound;
mod grammar;
mod grow;
#[path = "../shared/pack.rs"]
mod pack;
mod subject;

use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subject::{FORMATS, check, extension, named};
use vellum_convert::{PoolSettings, WorkerPool};
use vellum_core::ErrorKind;
use vellum_core::document::Format;
use vellum_core::ports::{ConvertInput, Converter};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Largest file that is changed: small ones are read thousands of times a minute.
const MAX_SEED: u64 = 256 << 10;
/// Time for one file.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Files that are read at a time, unless the options say otherwise.
const WORKERS: u64 = 2;
/// One input in so many is grown and not a copy.
const GROWN: u8 = 4;
/// Longest turn of a format.
const TURN: Duration = Duration::from_secs(60);
/// Files of each format that `--sort` grows.
const N_SEEDS_GROWN: u64 = 200;
/// Largest of them that is written, in bytes; small ones are read far more often.
const MAX_SEED_GROWN: usize = 32 << 10;
/// Inputs that are kept of each kind of end.
const KEPT: usize = 5;
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).peekable();
    let worker = args.next().ok_or("name the worker program")?;
    let minutes: f64 = args.next().ok_or("say how many minutes")?.parse()?;
    let out = PathBuf::from(args.next().ok_or("name a folder for what is kept")?);
    std::fs::create_dir_all(&out)?;
    let (mut from, mut workers, mut only, mut sort) = (0, WORKERS, FORMATS.to_vec(), None);
    while let Some(option) = args.next_if(|arg| arg.starts_with("--")) {
        let value = args.next().ok_or(format!("{option} has a value"))?;
        match option.as_str() {
            "--from" => from = value.parse()?,
            "--workers" => workers = value.parse::<u64>()?.max(1),
            "--only" => only = value.split(',').map(named).collect::<Result<_, _>>()?,
            "--sort" => sort = Some(PathBuf::from(value)),
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    let settings = PoolSettings {
        workers: workers as usize,
        timeout: TIMEOUT,
        ocr: None,
        ..PoolSettings::new(worker, Vec::new())
    };
    let pool = WorkerPool::new(settings);
    let mut seeds: BTreeMap<Format, Vec<Arc<[u8]>>> = BTreeMap::new();
    for folder in args {
        sort_seeds(&pool, Path::new(&folder), &mut seeds).await?;
    }
    if let Some(folder) = sort {
        return only.into_iter().try_for_each(|format| {
            write_seeds(&folder.join(format.as_str()), format, seeds.get(&format))
        });
    }
    let all: Vec<Arc<Fuzz>> = only
        .into_iter()
        .map(|format| {
            Arc::new(Fuzz {
                pool: pool.clone(),
                format,
                files: seeds.remove(&format).unwrap_or_default(),
                out: out.clone(),
                workers,
                next: AtomicU64::new(from),
                ends: Mutex::default(),
            })
        })
        .collect();
    let share = Duration::from_secs_f64(minutes * 60.0 / all.len().max(1) as f64);
    let n_turns = share.div_duration_f64(TURN).ceil().max(1.0) as u32;
    for turn in 1..=n_turns {
        for fuzz in &all {
            fuzz.run(share / n_turns).await?;
        }
        println!("turn {turn} of {n_turns}");
        println!("format    seeds minutes inputs documents rejected contained slowest");
        all.iter().for_each(|fuzz| fuzz.report());
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

/// Writes files of one format to `folder`, those that were `found` and of [`N_SEEDS_GROWN`] grown ones the small.
fn write_seeds(
    folder: &Path,
    format: Format,
    found: Option<&Vec<Arc<[u8]>>>,
) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    for (n, bytes) in found.into_iter().flatten().enumerate() {
        std::fs::write(folder.join(format!("found-{n}")), bytes)?;
    }
    for n in 0..N_SEEDS_GROWN {
        let grown = grow::file(format, &mut Rng::with_seed(n))?;
        if grown.len() <= MAX_SEED_GROWN {
            std::fs::write(folder.join(format!("grown-{n}")), grown)?;
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
    workers: u64,
    /// Number of the next input.
    next: AtomicU64,
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    n_documents: usize,
    n_rejected: usize,
    /// What would have hurt outside of a child, by reason.
    contained: BTreeMap<String, usize>,
    slowest: Duration,
    spent: Duration,
}

impl Fuzz {
    /// Tries inputs for as long as `share`.
    async fn run(self: &Arc<Self>, share: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        let mut lanes = tokio::task::JoinSet::new();
        for _ in 0..self.workers {
            let fuzz = Arc::clone(self);
            lanes.spawn(async move {
                while start.elapsed() < share {
                    let number = fuzz.next.fetch_add(1, Ordering::Relaxed);
                    fuzz.one(number).await.map_err(|error| format!("input {number}: {error}"))?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(end) = lanes.join_next().await {
            end??;
        }
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).spent += start.elapsed();
        Ok(())
    }

    /// Returns input `number`.
    fn input(&self, number: u64) -> Result<Vec<u8>, Failure> {
        let mut rng = Rng::with_seed(number);
        if !self.files.is_empty() && rng.u8(..GROWN) > 0 {
            let mut any = || &self.files[rng.usize(..self.files.len())];
            let (file, other) = (any(), any());
            return Ok(change::changed(file, other, &mut rng));
        }
        let grown = grow::file(self.format, &mut rng)?;
        if !self.files.is_empty() || rng.bool() {
            return Ok(grown);
        }
        let grown: Arc<[u8]> = grown.into();
        Ok(change::changed(&grown, &grown, &mut rng))
    }

    async fn one(&self, number: u64) -> Result<(), Failure> {
        let bytes = self.input(number)?;
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
            "{:9} {:5} {:7.1} {:6} {:9} {:8} {:9} {:6.1} s",
            self.format.as_str(),
            self.files.len(),
            ends.spent.as_secs_f64() / 60.0,
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
