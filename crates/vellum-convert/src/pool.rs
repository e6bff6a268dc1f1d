//! The converter of the product: a bounded pool of child processes.
//!
//! A conversion takes a permit, then an idle child or a new one, sends the file and waits for the answer
//! under the time limit. A child that answered goes back, until it has served its share; one that was
//! killed, crashed or was cut off by a dropped future does not, and the next conversion starts
//! another. So a hostile file costs one child and never the pool.
//!
//! A child that was idle may have died for reasons of its own (the system ran out of memory), so a crash of
//! a used child is tried once more on a new one before the file is blamed.
//!
//! Children get an empty environment and end with their stdin, hence with their parent.

use crate::detect::rejected;
use crate::worker::{Hello, Request, Response};
use crate::{Settings, VERSION, too_large};
use async_trait::async_trait;
use bytes::Bytes;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use vellum_core::document::Document;
use vellum_core::ports::{ConvertInput, Converter};
use vellum_core::{Error, ErrorKind, Result};

/// How long a child that closed its pipes may take to end.
const EXIT_WAIT: Duration = Duration::from_secs(2);
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
    /// Time limit of one file. 30 seconds suit an interactive ingest.
    pub timeout: Duration,
    /// Memory limit of a child, in bytes; not enforced on macOS. At least 128 MiB, 64 MiB of it are stack.
    pub memory_bytes: u64,
    /// Files after which a child is replaced, against memory that parsers never give back.
    pub max_documents_per_worker: usize,
    /// Limits of one conversion.
    pub limits: Settings,
}

impl PoolSettings {
    /// Returns settings for `program` with one worker per core, 30 seconds, 512 MiB and 500 files per worker.
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
        }
    }
}

/// Converts in child processes; see the module page.
#[derive(Debug)]
pub struct WorkerPool {
    settings: PoolSettings,
    permits: Semaphore,
    /// Children that wait for a file; never more than `workers`.
    idle: Mutex<Vec<Worker>>,
}

impl WorkerPool {
    /// Returns a pool without children; they are started when needed.
    pub fn new(settings: PoolSettings) -> Self {
        let permits = Semaphore::new(settings.workers.max(1));
        Self { settings, permits, idle: Mutex::new(Vec::new()) }
    }

    async fn convert_bounded(&self, input: &ConvertInput) -> Result<Document> {
        let _permit = self.permits.acquire().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the converter is closed").with_source(error)
        })?;
        if let Some(worker) = self.take_idle() {
            match self.run(worker, input).await {
                Outcome::Crashed(reason) => debug!(reason, "used worker died, trying a new one"),
                Outcome::Done(result) => return result,
            }
        }
        let worker = Worker::start(&self.settings)?;
        match self.run(worker, input).await {
            Outcome::Done(result) => result,
            Outcome::Crashed(reason) => Err(rejected(reason)),
        }
    }

    async fn run(&self, mut worker: Worker, input: &ConvertInput) -> Outcome {
        let exchange = worker.exchange(input, &self.settings);
        match tokio::time::timeout(self.settings.timeout, exchange).await {
            Ok(Ok(response)) => {
                worker.n_documents += 1;
                if worker.n_documents < self.settings.max_documents_per_worker {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                }
                Outcome::Done(response.into_result())
            }
            Ok(Err(error)) => worker.autopsy(error, self.settings.memory_bytes).await,
            // Dropping the worker kills it.
            Err(_) => {
                let seconds = self.settings.timeout.as_secs_f64();
                warn!(name = input.name, seconds, "conversion timed out");
                Outcome::Done(Err(rejected(format!("the parser took longer than {seconds} s"))))
            }
        }
    }

    fn take_idle(&self) -> Option<Worker> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

#[async_trait]
impl Converter for WorkerPool {
    fn version(&self) -> &str {
        VERSION
    }

    async fn convert(&self, input: ConvertInput) -> Result<Document> {
        if input.bytes.len() > self.settings.limits.max_bytes {
            return Err(too_large(input.bytes.len(), &self.settings.limits));
        }
        self.convert_bounded(&input).await
    }

    async fn check(&self) -> Result<()> {
        let input = ConvertInput { name: "check.txt".into(), bytes: Bytes::from_static(b"check") };
        let document = self.convert_bounded(&input).await.map_err(|error| match error.kind() {
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

/// How a conversion on one child ended.
enum Outcome {
    /// With an answer, or with an error that another child would not change.
    Done(Result<Document>),
    /// The child died; why.
    Crashed(String),
}

/// A child and its pipes. Dropping it kills it.
#[derive(Debug)]
struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    n_documents: usize,
}

impl Worker {
    fn start(settings: &PoolSettings) -> Result<Self> {
        let program = settings.program.display();
        let broken = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("start the converter `{program}`"))
                .with_source(error)
        };
        let mut child = Command::new(&settings.program)
            .args(&settings.args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(broken(std::io::Error::other("a pipe is missing")));
        };
        Ok(Self { child, stdin, stdout, stderr, n_documents: 0 })
    }

    async fn exchange(
        &mut self,
        input: &ConvertInput,
        settings: &PoolSettings,
    ) -> std::io::Result<Response> {
        if self.n_documents == 0 {
            let timeout_ms = u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX / 2);
            let (settings, memory_bytes) = (settings.limits, settings.memory_bytes);
            self.send(&Hello { settings, memory_bytes, timeout_ms }).await?;
        }
        let request = Request { name: input.name.clone(), n_bytes: input.bytes.len() };
        self.send(&request).await?;
        self.stdin.write_all(&input.bytes).await?;
        self.stdin.flush().await?;
        let length = self.stdout.read_u32_le().await? as usize;
        // Escaped text is at most six times as long; sections add less than that.
        if length / 8 > settings.limits.max_text_bytes {
            return Err(std::io::Error::other("the answer is too long"));
        }
        let mut frame = vec![0; length];
        self.stdout.read_exact(&mut frame).await?;
        serde_json::from_slice(&frame).map_err(std::io::Error::other)
    }

    async fn send(&mut self, header: &(impl serde::Serialize + Sync)) -> std::io::Result<()> {
        let frame = serde_json::to_vec(header)?;
        let length = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        self.stdin.write_all(&length.to_le_bytes()).await?;
        self.stdin.write_all(&frame).await?;
        self.stdin.flush().await
    }

    /// Says why the child broke off.
    async fn autopsy(mut self, error: std::io::Error, memory_bytes: u64) -> Outcome {
        let Ok(Ok(status)) = tokio::time::timeout(EXIT_WAIT, self.child.wait()).await else {
            let broken = Error::new(ErrorKind::Unavailable, "the converter answered wrongly");
            return Outcome::Done(Err(broken.with_source(error)));
        };
        let mut last_words = Vec::new();
        // What cannot be read is not needed: the signal remains.
        let _ = self.stderr.take(MAX_STDERR_BYTES).read_to_end(&mut last_words).await;
        let last_words = String::from_utf8_lossy(&last_words);
        if last_words.contains("memory allocation of") {
            return Outcome::Crashed(format!(
                "the file needs more than {} MiB",
                memory_bytes >> 20
            ));
        }
        if last_words.contains("overflowed its stack") {
            return Outcome::Crashed("the parser crashed on this file (stack overflow)".into());
        }
        match signal(status) {
            Some(name) => {
                Outcome::Crashed(format!("the parser crashed on this file (signal {name})"))
            }
            None => {
                let message = format!("the converter ended with {status}");
                let error = Error::new(ErrorKind::Unavailable, message).with_source(error);
                Outcome::Done(Err(error))
            }
        }
    }
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
