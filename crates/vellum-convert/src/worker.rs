//! The child process: reads files from stdin, writes documents to stdout, one after the other.
//!
//! Frames are a length (u32, little endian) and that many bytes. First a [`Hello`] with the limits; then
//! for each file a [`Request`] in JSON followed by the raw content, answered by one [`Response`] in JSON.
//! The child ends when stdin does, which is also how it notices that its parent has died.
//!
//! Each file is converted on a thread with a large stack, so that deep nesting which is not hostile is
//! read. A panic is an answer; a stack overflow or an allocation beyond the limit ends the process, and the
//! parent tells which from the signal and from stderr. A parent that was killed while a file is being
//! converted cannot end its child, so the child has a deadline of its own.

use crate::detect::rejected;
use crate::{Settings, convert};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use vellum_core::document::Document;
use vellum_core::ports::ConvertInput;
use vellum_core::{Error, ErrorKind, Result};

/// Stack of the converting thread; parsers recurse about 1 KiB per level of nesting.
const STACK_BYTES: usize = 64 << 20;
/// How much later than the parent the child gives up by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Address space beyond the memory limit: the program itself and reserved, untouched ranges.
const ADDRESS_SLACK: u64 = 1 << 30;
/// Largest JSON frame that is read; content is not part of one.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) settings: Settings,
    pub(crate) memory_bytes: u64,
    pub(crate) timeout_ms: u64,
}

/// What precedes the content of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) n_bytes: usize,
}

/// The answer to a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    /// The document.
    Document(Document),
    /// The code of an error kind, and its message.
    Error { code: String, message: String },
}

impl Response {
    pub(crate) fn into_result(self) -> Result<Document> {
        match self {
            Self::Document(document) => Ok(document),
            Self::Error { code, message } => {
                Err(Error::new(ErrorKind::from_code(&code).unwrap_or(ErrorKind::Internal), message))
            }
        }
    }
}

/// Serves conversions until `stdin` ends; what the hidden subcommand of the program runs.
///
/// Sets resource limits for the whole process and takes over the panic hook: call it in a process that
/// does nothing else.
///
/// # Errors
/// `Io` when a pipe breaks in the middle of a frame, `Timeout` when a conversion outlives its
/// parent. The process should end either way.
pub fn worker_main(mut stdin: impl Read, mut stdout: impl Write) -> Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    let Some(hello) = read_frame(&mut stdin)? else { return Ok(()) };
    let hello: Hello = parse(&hello)?;
    limit_resources(hello.memory_bytes);
    let deadline = Duration::from_millis(hello.timeout_ms) + GRACE;
    while let Some(request) = read_frame(&mut stdin)? {
        let request: Request = parse(&request)?;
        let mut content = vec![0; request.n_bytes.min(hello.settings.max_bytes)];
        stdin
            .read_exact(&mut content)
            .map_err(|error| Error::io("read a file to convert", error))?;
        let input = ConvertInput { name: request.name, bytes: Bytes::from(content) };
        let response = convert_apart(input, hello.settings, deadline)?;
        let frame = serde_json::to_vec(&response).map_err(|error| {
            Error::new(ErrorKind::Internal, "encode a document").with_source(error)
        })?;
        write_frame(&mut stdout, &frame)?;
    }
    Ok(())
}

/// Converts on a thread of its own.
fn convert_apart(input: ConvertInput, settings: Settings, deadline: Duration) -> Result<Response> {
    let (sender, receiver) = sync_channel(1);
    std::thread::Builder::new()
        .name("convert".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // The receiver lives as long as this function, or the process is about to end.
            let _ = sender.send(convert(&input, &settings));
        })
        .map_err(|error| Error::io("start a thread to convert on", error))?;
    let result = match receiver.recv_timeout(deadline) {
        Ok(result) => result,
        Err(RecvTimeoutError::Disconnected) => {
            Err(rejected("the parser crashed on this file (panic)"))
        }
        Err(RecvTimeoutError::Timeout) => {
            return Err(Error::new(ErrorKind::Timeout, "the conversion outlived its deadline"));
        }
    };
    Ok(match result {
        Ok(document) => Response::Document(document),
        Err(error) => {
            Response::Error { code: error.kind().code().to_owned(), message: error.full_message() }
        }
    })
}

/// Limits memory, core dumps and files; a limit the system refuses leaves the time limit in force.
fn limit_resources(memory_bytes: u64) {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Fsize, limit(0));
    // macOS knows neither limit for mapped memory.
    if cfg!(target_os = "linux") {
        let _ = setrlimit(Resource::Data, limit(memory_bytes));
        let _ = setrlimit(Resource::As, limit(memory_bytes.saturating_add(ADDRESS_SLACK)));
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
    let written = stdout.write_all(&length.to_le_bytes()).and_then(|()| stdout.write_all(frame));
    written.and_then(|()| stdout.flush()).map_err(|error| Error::io("write a document", error))
}
