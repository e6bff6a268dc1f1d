//! The converter of the product: a bounded pool of child processes.
//!
//! A conversion takes a permit, then an idle child or a new one, sends the file and waits for the answers
//! under the time limit. A child that answered goes back, until it has served its share; one that was
//! killed, crashed or was cut off by a dropped stream does not, and the next conversion starts
//! another. So a hostile file costs one child and never the pool.
//!
//! A large file is not sent: it becomes the stdin of a child of its own.
//!
//! A child that was idle may have died for reasons of its own (the system ran out of memory), so a crash of
//! a used child is tried once more on a new one before the file is blamed.
//!
//! Children get an empty environment and end with their stdin, hence with their parent.

use crate::detect::rejected;
use crate::ocr::{self, Ocr};
use crate::pdf::NO_TEXT_LAYER;
use crate::worker::{Hello, JOB, Job, Render, Request, Response};
use crate::{Settings, VERSION, too_large};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};
use vellum_core::document::Document;
use vellum_core::ports::{Content, ConvertInput, Converter, Parts};
use vellum_core::{Error, ErrorKind, Result};

/// Parts that may wait for their reader.
const PARTS_AHEAD: usize = 1;
/// File bytes that earn a conversion one more second.
const BYTES_PER_SECOND: u64 = 1 << 20;
/// Text bytes that earn a conversion one more second.
const TEXT_PER_SECOND: u64 = 20 << 10;
/// How long a child that closed its pipes may take to end.
const EXIT_WAIT: Duration = Duration::from_secs(2);
/// Largest picture of a page that is read; four bytes for each pixel that may be drawn.
const MAX_IMAGE_BYTES: usize = 64 << 20;
/// How much of a child's stderr is kept to tell why it died.
const MAX_STDERR_BYTES: u64 = 4096;

/// How the pool runs its children.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Program that calls [`crate::worker_main`]; usually the running program itself.
    pub program: PathBuf,
    /// Its arguments, such as the name of the hidden subcommand.
    pub args: Vec<String>,
    /// Most children at a time; further conversions wait.
    pub workers: usize,
    /// Time limit of one file, without the time that the reader of its parts takes. 30 seconds suit an
    /// interactive ingest. A file earns one more second with each MiB it has and each 20 KiB of text it gives.
    pub timeout: Duration,
    /// Memory limit of a child, in bytes; not enforced on macOS. At least 128 MiB, 64 MiB of it are stack.
    pub memory_bytes: u64,
    /// Files after which a child is replaced, against memory that parsers never give back.
    pub max_documents_per_worker: usize,
    /// Limits of one conversion.
    pub limits: Settings,
    /// Reads scanned pages; without it they are only named.
    pub ocr: Option<Ocr>,
}

impl PoolSettings {
    /// Returns settings for `program` with one worker per core, 30 seconds, 512 MiB, 500 files per worker, and
    /// `tesseract` for English where it is installed.
    pub fn new(program: impl Into<PathBuf>, args: Vec<String>) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            program: program.into(),
            args,
            workers,
            timeout: Duration::from_secs(30),
            memory_bytes: 512 << 20,
            max_documents_per_worker: 500,
            limits: Settings::default(),
            ocr: Ocr::find("eng"),
        }
    }
}

/// Converts in child processes; see the module page.
#[derive(Debug, Clone)]
pub struct WorkerPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    settings: PoolSettings,
    permits: Semaphore,
    /// Pages drawn for people at a time; they do not wait for documents that are read.
    pictures: Semaphore,
    /// Children that wait for a file; never more than `workers`.
    idle: Mutex<Vec<Worker>>,
}

impl WorkerPool {
    /// Returns a pool without children; they are started when needed.
    pub fn new(settings: PoolSettings) -> Self {
        let permits = Semaphore::new(settings.workers.max(1));
        let pictures = Semaphore::new(settings.workers.max(1));
        Self(Arc::new(Pool { settings, permits, pictures, idle: Mutex::new(Vec::new()) }))
    }

    /// Reads the scanned pages of a part; those that cannot be read stay named. Returns whether text was found.
    async fn read_scans(&self, ocr: &Ocr, input: &ConvertInput, part: &mut Document) -> bool {
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for page in ocr::wanted(part) {
            let table = async {
                let (png, width) = self.0.draw(input, page, ocr::WIDTH).await?;
                Ok::<_, Error>((ocr.read(&png).await?, width))
            };
            let is_read = match table.await {
                Ok((table, width)) => ocr::put(part, page, width, &table),
                Err(error) => {
                    warn!(name = input.name, page, error = %error, "a scanned page was not read");
                    false
                }
            };
            if is_read { read.push(page) } else { unread.push(page) }
        }
        ocr::report(part, &read, &unread);
        !read.is_empty()
    }

    /// Converts on a child; its answers, without the end.
    fn responses(&self, input: ConvertInput) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
        let pool = self.0.clone();
        tokio::spawn(async move {
            if let Err(error) = pool.convert(&input, &sender).await {
                // A reader that is gone has no use for the error.
                let _ = sender.send(Err(error)).await;
            }
        });
        receiver
    }
}

#[async_trait]
impl Converter for WorkerPool {
    fn version(&self) -> &str {
        VERSION
    }

    fn parts(&self, input: ConvertInput) -> Parts {
        let limits = &self.0.settings.limits;
        if input.content.len() > limits.max_bytes {
            return stream::iter([Err(too_large(input.content.len(), limits))]).boxed();
        }
        let responses = self.responses(input.clone());
        // Whether a document without any text layer got text from its pictures.
        let is_read = false;
        stream::unfold((self.clone(), input, responses, is_read), async |state| {
            let (pool, input, mut responses, mut is_read) = state;
            let part = match responses.recv().await? {
                Ok(Response::Part(mut part)) => {
                    if let Some(ocr) = &pool.0.settings.ocr {
                        is_read |= pool.read_scans(ocr, &input, &mut part).await;
                    }
                    Ok(part)
                }
                Ok(_) => Err(answered_wrongly()),
                Err(error) if is_read && error.message() == NO_TEXT_LAYER => return None,
                Err(error) => Err(error),
            };
            Some((part, (pool, input, responses, is_read)))
        })
        .boxed()
    }

    fn release(&self) {
        // Dropping a child kills it.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn page_image(&self, content: Content, page: u32, width: u32) -> Result<Vec<u8>> {
        let _permit = self.0.pictures.acquire().await.map_err(closed)?;
        let input = ConvertInput { name: String::new(), content };
        self.0.draw(&input, page, width).await.map(|(png, _)| png)
    }

    async fn check(&self) -> Result<()> {
        let input = ConvertInput { name: "check.txt".into(), content: "check".into() };
        let document = self.convert(input).await.map_err(|error| match error.kind() {
            ErrorKind::Rejected => {
                Error::new(ErrorKind::Unavailable, format!("convert: {}", error.message()))
            }
            _ => error,
        })?;
        match document.text.as_str() {
            "check" => Ok(()),
            text => Err(Error::new(ErrorKind::Unavailable, format!("convert gave `{text}`"))),
        }
    }
}

/// A part or a picture.
type Answer = Result<Response>;
/// Where the answers to a job go.
type Reader = mpsc::Sender<Answer>;

impl Pool {
    async fn convert(&self, input: &ConvertInput, reader: &Reader) -> Result<()> {
        let n_bytes = input.content.len();
        let request = Request { name: input.name.clone(), n_bytes, render: None };
        let _permit = self.permits.acquire().await.map_err(closed)?;
        if let Content::Memory(_) = input.content
            && let Some(worker) = self.take_idle()
        {
            match self.run(worker, input, &request, reader).await {
                Outcome::Crashed { reason, n_parts: 0 } => {
                    debug!(reason, "used worker died, trying a new one");
                }
                Outcome::Ended { error, n_parts: 0 } => {
                    debug!(error = error.full_message(), "used worker ended, trying a new one");
                }
                outcome => return outcome.into_result(),
            }
        }
        let worker = Worker::start(&self.settings, input, &request)?;
        self.run(worker, input, &request, reader).await.into_result()
    }

    /// Draws a page on a child beyond the permits: the caller holds one for the document, so waiting for
    /// another could last forever.
    async fn draw(&self, input: &ConvertInput, page: u32, width: u32) -> Result<(Vec<u8>, f32)> {
        let render = Some(Render { page, width });
        let request = Request { name: input.name.clone(), n_bytes: input.content.len(), render };
        let request = &request;
        let worker = Worker::start(&self.settings, input, request)?;
        // One answer is expected; a child that gives more is killed with the reader.
        let (sender, mut receiver) = mpsc::channel(1);
        let image = async {
            let image = receiver.recv().await;
            drop(receiver);
            image
        };
        let (outcome, image) = tokio::join!(
            async move {
                let outcome = self.run(worker, input, request, &sender).await;
                drop(sender);
                outcome
            },
            image
        );
        match image {
            Some(Ok(Response::Image { png, width_points, .. })) => Ok((png, width_points)),
            _ => Err(outcome.into_result().err().unwrap_or_else(answered_wrongly)),
        }
    }

    async fn run(
        &self,
        mut worker: Worker,
        input: &ConvertInput,
        request: &Request,
        reader: &Reader,
    ) -> Outcome {
        let mut budget = Budget::of(&self.settings, input);
        let mut n_parts = 0;
        let mut sent = false;
        loop {
            let start = Instant::now();
            let exchange = async {
                if !std::mem::replace(&mut sent, true) {
                    worker.send_file(input, request, &self.settings).await?;
                }
                worker.answer(&self.settings.limits).await
            };
            // Dropping the worker kills it.
            let answer = tokio::select! {
                () = reader.closed() => return Outcome::Done(Ok(())),
                answer = tokio::time::timeout(budget.left, exchange) => answer,
            };
            budget.spend(start.elapsed());
            match answer {
                Ok(Ok(response @ (Response::Part(_) | Response::Image { .. }))) => {
                    n_parts += 1;
                    if let Response::Part(part) = &response {
                        budget.earn(part.text.len() as u64, TEXT_PER_SECOND);
                    }
                    if reader.send(Ok(response)).await.is_err() {
                        return Outcome::Done(Ok(()));
                    }
                }
                Ok(Ok(Response::End)) => {
                    self.put_back(worker);
                    return Outcome::Done(Ok(()));
                }
                Ok(Ok(Response::Error { code, message })) => {
                    self.put_back(worker);
                    return Outcome::Done(Err(Response::error(&code, message)));
                }
                Ok(Err(error)) => {
                    return worker.autopsy(error, self.settings.memory_bytes, n_parts).await;
                }
                Err(_) => {
                    let seconds = budget.total.as_secs_f64();
                    warn!(name = input.name, seconds, "conversion timed out");
                    let reason = format!("the parser took longer than {seconds} s");
                    return Outcome::Done(Err(rejected(reason)));
                }
            }
        }
    }

    fn put_back(&self, mut worker: Worker) {
        worker.n_documents += 1;
        if worker.stdin.is_some() && worker.n_documents < self.settings.max_documents_per_worker {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
    }

    fn take_idle(&self) -> Option<Worker> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Time that a conversion may take.
struct Budget {
    total: Duration,
    left: Duration,
}

impl Budget {
    fn of(settings: &PoolSettings, input: &ConvertInput) -> Self {
        let mut budget = Self { total: settings.timeout, left: settings.timeout };
        budget.earn(input.content.len(), BYTES_PER_SECOND);
        budget
    }

    fn earn(&mut self, bytes: u64, per_second: u64) {
        let earned = Duration::from_secs(bytes / per_second);
        self.total += earned;
        self.left += earned;
    }

    fn spend(&mut self, spent: Duration) {
        self.left = self.left.saturating_sub(spent);
    }
}

/// How a conversion on one child ended.
enum Outcome {
    /// With an end, or with an error that another child would not change.
    Done(Result<()>),
    /// The child died.
    Crashed {
        /// Why.
        reason: String,
        /// Parts that were handed on before.
        n_parts: usize,
    },
    /// The child ended by itself, for want of something that another child may have, such as room for a thread.
    Ended {
        /// What it said.
        error: Error,
        /// Parts that were handed on before.
        n_parts: usize,
    },
}

impl Outcome {
    fn into_result(self) -> Result<()> {
        match self {
            Self::Done(result) => result,
            Self::Crashed { reason, .. } => Err(rejected(reason)),
            Self::Ended { error, .. } => Err(error),
        }
    }
}

/// A child and its pipes. Dropping it kills it.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// `None` for a child of one file.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    n_documents: usize,
}

impl Worker {
    /// Starts a child for many files, or for this one if it is spooled.
    fn start(settings: &PoolSettings, input: &ConvertInput, request: &Request) -> Result<Self> {
        let program = settings.program.display();
        let broken = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("start the converter `{program}`"))
                .with_source(error)
        };
        let mut command = Command::new(&settings.program);
        command.args(&settings.args).env_clear();
        match &input.content {
            Content::Memory(_) => command.stdin(Stdio::piped()),
            Content::Spooled { file, .. } => {
                let job = Job { hello: hello(settings), request: request.clone() };
                let job = serde_json::to_string(&job).map_err(|error| broken(error.into()))?;
                command.env(JOB, job).stdin(Stdio::from(file.try_clone().map_err(broken)?))
            }
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let stdin = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(broken(std::io::Error::other("a pipe is missing")));
        };
        Ok(Self { child, stdin, stdout, stderr, n_documents: 0 })
    }

    /// Sends the file, unless the child was started with it.
    async fn send_file(
        &mut self,
        input: &ConvertInput,
        request: &Request,
        settings: &PoolSettings,
    ) -> std::io::Result<()> {
        let (Content::Memory(bytes), Some(_)) = (&input.content, &self.stdin) else {
            return Ok(());
        };
        if self.n_documents == 0 {
            self.send(&hello(settings)).await?;
        }
        self.send(request).await?;
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        stdin.write_all(bytes).await?;
        stdin.flush().await
    }

    async fn answer(&mut self, limits: &Settings) -> std::io::Result<Response> {
        let length = self.stdout.read_u32_le().await? as usize;
        // Escaped text is at most six times as long; sections add less than that.
        if length / 8 > limits.max_text_bytes {
            return Err(std::io::Error::other("the answer is too long"));
        }
        let mut frame = vec![0; length];
        self.stdout.read_exact(&mut frame).await?;
        let mut response = serde_json::from_slice(&frame).map_err(std::io::Error::other)?;
        if let Response::Image { n_bytes, png, .. } = &mut response {
            if *n_bytes > MAX_IMAGE_BYTES {
                return Err(std::io::Error::other("the image is too large"));
            }
            png.resize(*n_bytes, 0);
            self.stdout.read_exact(png).await?;
        }
        Ok(response)
    }

    async fn send(&mut self, header: &(impl serde::Serialize + Sync)) -> std::io::Result<()> {
        let frame = serde_json::to_vec(header)?;
        let length = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        stdin.write_all(&length.to_le_bytes()).await?;
        stdin.write_all(&frame).await?;
        stdin.flush().await
    }

    /// Says why the child broke off.
    async fn autopsy(
        mut self,
        error: std::io::Error,
        memory_bytes: u64,
        n_parts: usize,
    ) -> Outcome {
        let crashed = |reason| Outcome::Crashed { reason, n_parts };
        // A child that waits for the rest of its input goes on waiting, unless that ends.
        drop(self.stdin.take());
        let Ok(Ok(status)) = tokio::time::timeout(EXIT_WAIT, self.child.wait()).await else {
            return Outcome::Done(Err(answered_wrongly().with_source(error)));
        };
        let mut last_words = Vec::new();
        // What cannot be read is not needed: the signal remains.
        let _ = self.stderr.take(MAX_STDERR_BYTES).read_to_end(&mut last_words).await;
        let last_words = String::from_utf8_lossy(&last_words);
        if last_words.contains("memory allocation of") {
            return crashed(format!("the file needs more than {} MiB", memory_bytes >> 20));
        }
        if last_words.contains("overflowed its stack") {
            return crashed("the parser crashed on this file (stack overflow)".into());
        }
        match signal(status) {
            Some(name) => crashed(format!("the parser crashed on this file (signal {name})")),
            None => {
                let message = format!("the converter ended with {status}: {}", last_words.trim());
                let error = Error::new(ErrorKind::Unavailable, message).with_source(error);
                Outcome::Ended { error, n_parts }
            }
        }
    }
}

fn hello(settings: &PoolSettings) -> Hello {
    Hello {
        settings: settings.limits.clone(),
        memory_bytes: settings.memory_bytes,
        timeout_ms: u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX / 2),
    }
}

fn closed(error: tokio::sync::AcquireError) -> Error {
    Error::new(ErrorKind::Unavailable, "the converter is closed").with_source(error)
}

fn answered_wrongly() -> Error {
    Error::new(ErrorKind::Unavailable, "the converter answered wrongly")
}

fn signal(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.signal()?;
    let name = match rustix::process::Signal::from_named_raw(number)? {
        rustix::process::Signal::SEGV => "SIGSEGV",
        rustix::process::Signal::ABORT => "SIGABRT",
        rustix::process::Signal::BUS => "SIGBUS",
        rustix::process::Signal::ILL => "SIGILL",
        rustix::process::Signal::FPE => "SIGFPE",
        rustix::process::Signal::KILL => "SIGKILL",
        _ => return Some(number.to_string()),
    };
    Some(name.to_owned())
}
