//! The child process: files in, documents out in parts, one file after the other.
//!
//! Frames are a length (u32, little endian) and that many bytes. A child that serves many files reads a
//! [`Hello`] with the limits from stdin, then for each file a [`Request`] in JSON and the raw content. A
//! child for one large file has that file as its stdin, and limits and request in its environment
//! ([`JOB`]). Either answers in JSON frames on stdout: any number of [`Response::Part`] or the one
//! [`Response::Image`] that was asked for, then an end. The child ends when stdin does, which is also how it notices that its parent has died, or when nobody reads
//! its answers.
//!
//! Each file is converted on a thread with a large stack, so that deep nesting which is not hostile is
//! read. A panic is an answer; a stack overflow or an allocation beyond the limit ends the process, and the
//! parent tells which from the signal and from stderr. A parent that was killed while a file is being
//! converted cannot end its child, so the child has a deadline of its own.

use crate::detect::rejected;
use crate::{Settings, convert_parts, draw_page, sandbox};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use vellum_core::document::Document;
use vellum_core::ports::{Content, ConvertInput};
use vellum_core::{Error, ErrorKind, Result};

/// Environment variable with the [`Job`] of a child for one file.
pub(crate) const JOB: &str = "VELLUM_CONVERT_JOB";
/// Stack of the converting thread; parsers recurse about 1 KiB per level of nesting.
const STACK_BYTES: usize = 64 << 20;
/// How much later than the parent the child gives up by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Address space beyond the memory limit: the program itself and reserved, untouched ranges.
const ADDRESS_SLACK: u64 = 1 << 30;
/// Largest JSON frame that is read; content is not part of one.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The first frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) settings: Settings,
    pub(crate) memory_bytes: u64,
    pub(crate) timeout_ms: u64,
}

impl Hello {
    fn deadline(&self) -> Duration {
        Duration::from_millis(self.timeout_ms) + GRACE
    }
}

/// The work of a child for one file, which is its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) hello: Hello,
    pub(crate) request: Request,
}

/// What precedes the content of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) n_bytes: u64,
    /// The page that is wanted as a picture, instead of the document.
    #[serde(default)]
    pub(crate) render: Option<Render>,
}

/// A page to draw.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Render {
    /// From 1.
    pub(crate) page: u32,
    /// In pixels.
    pub(crate) width: u32,
}

/// The answers to a file: parts, then one of the others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    /// The next part of the document.
    Part(Document),
    /// The picture of a page, a PNG; its bytes follow the frame.
    Image {
        n_bytes: usize,
        /// Width of the page in points.
        width_points: f32,
        #[serde(skip)]
        png: Vec<u8>,
    },
    /// The document is complete.
    End,
    /// The code of an error kind, and its message.
    Error { code: String, message: String },
}

impl Response {
    fn failure(error: &Error) -> Self {
        Self::Error { code: error.kind().code().to_owned(), message: error.full_message() }
    }

    /// Returns the error of a [`Response::Error`].
    pub(crate) fn error(code: &str, message: String) -> Error {
        Error::new(ErrorKind::from_code(code).unwrap_or(ErrorKind::Internal), message)
    }
}

/// Serves conversions until stdin ends, or converts the one file that stdin is; what the hidden
/// subcommand of the program runs.
///
/// Sets resource limits for the whole process and takes over the panic hook: call it in a process that
/// does nothing else.
///
/// # Errors
/// `Io` when a pipe breaks in the middle of a frame, `Timeout` when a conversion outlives its
/// parent. The process should end either way.
pub fn worker_main() -> Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    match std::env::var(JOB) {
        Ok(job) => convert_stdin(&parse(job.as_bytes())?),
        Err(_) => serve(std::io::stdin().lock(), std::io::stdout().lock()),
    }
}

fn convert_stdin(job: &Job) -> Result<()> {
    let Job { hello, request } = job;
    // A mapped file takes address space, not memory.
    confine(hello.memory_bytes, request.n_bytes);
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let file = File::from(stdin.map_err(|error| Error::io("open the file", error))?);
    let content = Content::Spooled { file: Arc::new(file), len: request.n_bytes };
    let input = ConvertInput { name: request.name.clone(), content };
    answer(input, request.render, hello, &mut std::io::stdout().lock())
}

fn serve(mut stdin: impl Read, mut stdout: impl Write) -> Result<()> {
    let Some(hello) = read_frame(&mut stdin)? else { return Ok(()) };
    let hello: Hello = parse(&hello)?;
    confine(hello.memory_bytes, 0);
    while let Some(request) = read_frame(&mut stdin)? {
        let request: Request = parse(&request)?;
        let mut content = vec![0; request.n_bytes.min(hello.settings.max_bytes) as usize];
        stdin
            .read_exact(&mut content)
            .map_err(|error| Error::io("read a file to convert", error))?;
        let input = ConvertInput { name: request.name, content: content.into() };
        answer(input, request.render, &hello, &mut stdout)?;
    }
    Ok(())
}

/// Converts one file and writes what comes of it.
fn answer(
    input: ConvertInput,
    render: Option<Render>,
    hello: &Hello,
    stdout: &mut impl Write,
) -> Result<()> {
    let responses = convert_apart(input, render, hello.settings.clone())?;
    loop {
        let response = match responses.recv_timeout(hello.deadline()) {
            Ok(response) => response,
            Err(RecvTimeoutError::Disconnected) => {
                Response::failure(&rejected("the parser crashed on this file (panic)"))
            }
            Err(RecvTimeoutError::Timeout) => {
                let message = "the conversion outlived its deadline";
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        };
        let frame = serde_json::to_vec(&response).map_err(|error| {
            Error::new(ErrorKind::Internal, "encode a document").with_source(error)
        })?;
        write_frame(stdout, &frame)?;
        match response {
            Response::Part(_) => {}
            Response::Image { png, .. } => write_bytes(stdout, &png)?,
            Response::End | Response::Error { .. } => return Ok(()),
        }
    }
}

/// Converts on a thread of its own, which waits while its answers are not taken.
fn convert_apart(
    input: ConvertInput,
    render: Option<Render>,
    settings: Settings,
) -> Result<Receiver<Response>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::Builder::new()
        .name("convert".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let gone = |_| Error::new(ErrorKind::Cancelled, "nobody wants the document");
            let send = |response| sender.send(response).map_err(gone);
            let result = match render {
                Some(Render { page, width }) => draw_page(&input.content, page, width, &settings)
                    .and_then(|image| {
                        let (png, width_points) = image;
                        send(Response::Image { n_bytes: png.len(), width_points, png })
                    }),
                None => convert_parts(&input, &settings, &mut |part| send(Response::Part(part))),
            };
            let end = match result {
                Ok(()) => Response::End,
                Err(error) => Response::failure(&error),
            };
            // The receiver lives until it has an end, or the process is about to end.
            let _ = sender.send(end);
        })
        .map_err(|error| Error::io("start a thread to convert on", error))?;
    Ok(receiver)
}

/// Takes away what no parser needs, for the rest of the process.
fn confine(memory_bytes: u64, mapped_bytes: u64) {
    limit_resources(memory_bytes, mapped_bytes);
    if let Err(reason) = sandbox::enter() {
        // Nobody reads this but the parent, when the child dies.
        let _ = writeln!(std::io::stderr(), "no seccomp filter: {reason}");
    }
}

/// Limits memory, core dumps and files; a limit the system refuses leaves the time limit in force.
fn limit_resources(memory_bytes: u64, mapped_bytes: u64) {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Fsize, limit(0));
    // macOS knows neither limit for mapped memory.
    if cfg!(target_os = "linux") {
        let address_space = memory_bytes.saturating_add(ADDRESS_SLACK).saturating_add(mapped_bytes);
        let _ = setrlimit(Resource::Data, limit(memory_bytes));
        let _ = setrlimit(Resource::As, limit(address_space));
    }
}

fn parse<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<T> {
    serde_json::from_slice(frame)
        .map_err(|error| Error::new(ErrorKind::Invalid, "read a request").with_source(error))
}

/// Reads a frame; `None` at the end of the input.
fn read_frame(stdin: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stdin.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(Error::io("read a request", error)),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER_BYTES {
        return Err(Error::new(ErrorKind::Invalid, format!("a request of {length} bytes")));
    }
    let mut frame = vec![0; length];
    stdin.read_exact(&mut frame).map_err(|error| Error::io("read a request", error))?;
    Ok(Some(frame))
}

fn write_frame(stdout: &mut impl Write, frame: &[u8]) -> Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| rejected("the document is too large"))?;
    write_bytes(stdout, &length.to_le_bytes())?;
    write_bytes(stdout, frame)
}

fn write_bytes(stdout: &mut impl Write, bytes: &[u8]) -> Result<()> {
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| Error::io("write a document", error))
}
