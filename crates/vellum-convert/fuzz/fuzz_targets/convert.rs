//! Tries the parser of one format, `VELLUM_FUZZ_FORMAT`, in this process, guided by coverage.
//!
//! `cargo xtask torture guided` sorts the seeds and runs this for each format; by hand, in this folder's parent:
//! `VELLUM_FUZZ_FORMAT=docx cargo fuzz run --sanitizer none convert`.
//!
//! Half of the inputs are changed by libFuzzer itself, in containers one member of them (so that what it learns
//! from comparisons meets the XML and not the compressed bytes), the others as the fuzzing of child processes
//! does (`change`), and a few are grown anew (`grow`).
//!
//! Ends the process, which is a finding: a panic in code of ours, an error other than a rejection, a document that
//! contradicts itself. A panic in a library is not one, as the child process contains it. Nothing else is limited
//! here but the size of the text and the number of pages.

#![no_main]

#[path = "../../examples/fuzz/change.rs"]
mod change;
#[path = "../../examples/fuzz/compound.rs"]
mod compound;
#[path = "../../examples/fuzz/grammar.rs"]
mod grammar;
#[path = "../../examples/fuzz/grow.rs"]
mod grow;
#[path = "../../examples/shared/pack.rs"]
mod pack;
#[path = "../../examples/fuzz/subject.rs"]
mod subject;

use fastrand::Rng;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::backtrace::Backtrace;
use std::panic::{PanicHookInfo, catch_unwind, set_hook};
use std::sync::LazyLock;
use subject::extension;
use vellum_convert::{Settings, convert, render_page};
use vellum_core::document::{Document, Format};
use vellum_core::ports::{Content, ConvertInput};
use vellum_core::{ErrorKind, Result};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Stack of the thread that converts, as in the child process.
const STACK_BYTES: usize = 64 << 20;
/// One PDF in so many has its first page drawn too.
const DRAWN: u64 = 8;
/// Width of that page, in pixels.
const WIDTH: u32 = 100;

/// The format that is tried.
static FORMAT: LazyLock<Format> = LazyLock::new(|| {
    let name = std::env::var("VELLUM_FUZZ_FORMAT").unwrap_or_default();
    subject::named(&name).unwrap_or_else(|error| panic!("VELLUM_FUZZ_FORMAT: {error}"))
});

fuzz_target!(init: set_hook(Box::new(end_if_ours)), |data: &[u8]| -> Corpus {
    let input = Content::from(data.to_vec());
    let apart = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || read(input));
    match apart.expect("start a thread").join() {
        // A library's panic: nothing follows from it that is worth changing.
        Err(_) => Corpus::Reject,
        Ok(Err(error)) if error.kind() != ErrorKind::Rejected => {
            panic!("an error that is no rejection: {}", error.full_message())
        }
        Ok(Err(_)) => Corpus::Keep,
        Ok(Ok(document)) => {
            subject::check(&document).unwrap_or_else(|error| panic!("{error}"));
            if document.format == *FORMAT { Corpus::Keep } else { Corpus::Reject }
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = Rng::with_seed(seed.into());
    let way = rng.u8(..16);
    // A file may break the library that packs it, as it may the parser.
    let made = catch_unwind(|| made(&data[..size], way, max_size, seed)).ok().flatten();
    match made.filter(|made| (1..=max_size).contains(&made.len())) {
        Some(made) => {
            data[..made.len()].copy_from_slice(&made);
            made.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
});

/// Returns a new input; `None` when libFuzzer shall change the whole.
fn made(file: &[u8], way: u8, max_size: usize, seed: u32) -> Option<Vec<u8>> {
    let mut rng = Rng::with_seed(seed.into());
    match way {
        0 => grow::file(*FORMAT, &mut rng).ok(),
        1 => {
            let other = grow::file(*FORMAT, &mut rng).ok()?;
            Some(change::changed(file, &other, &mut rng))
        }
        2..8 => Some(change::changed(file, file, &mut rng)),
        _ => change::altered(file, &mut rng, |member, _| {
            let size = member.len();
            member.resize((2 * size + 64).min(max_size.max(size)), 0);
            let (room, size) = (member.len(), size.min(member.len()));
            let new = fuzzer_mutate(member, size, room);
            member.truncate(new);
        }),
    }
}

/// Reads the file as the child process does.
fn read(content: Content) -> Result<Document> {
    let settings =
        Settings { max_bytes: 1 << 20, max_text_bytes: 1 << 20, max_pages: 50, password: None };
    let name = format!("file.{}", extension(*FORMAT));
    if *FORMAT == Format::Pdf && content.len().is_multiple_of(DRAWN) {
        // Whatever comes of it, the text is read as well.
        let _ = render_page(&content, 1, WIDTH, &settings);
    }
    convert(&ConvertInput { name, content }, &settings)
}

/// Ends the process when the panic began in code of ours.
fn end_if_ours(info: &PanicHookInfo<'_>) {
    let library = |place: &str| place.contains("/registry/src/");
    let std = |place: &str| place.contains("/rustc/");
    let place = info.location().map_or("", |place| place.file());
    // The standard library does not always name its caller.
    let called = if std(place) { Backtrace::force_capture().to_string() } else { place.to_owned() };
    let mut frames = called.lines().filter(|line| line.contains(".rs") && !std(line));
    if frames.next().is_none_or(|frame| !library(frame)) {
        eprintln!("a finding: {info}");
        std::process::abort();
    }
}
