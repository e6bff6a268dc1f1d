//! A small server of buckets that fails on request: lists in pages of ten, gives ranges, keeps versions apart.
//!
//! What it counts tells how much a store asked, and how much of that went wrong.

use crate::dialect::{Dialect, Question};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What goes wrong with one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// 503 SlowDown.
    SlowDown,
    /// The connection ends after so many bytes of the body, or in its middle where it is shorter.
    Cut(usize),
    /// No answer at all.
    Drop,
    /// So many bytes of the body in a second.
    Slow(usize),
    /// The header tells of more bytes (or fewer) than there are.
    WrongLength(i64),
    /// The header says gzip of what is none.
    SaysGzip,
    /// The body stops at a part of it, and the header tells that length: a proxy that gave up. In percent.
    Short(usize),
    /// A listing shows the page before once more.
    PageAgain,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// Key, requests until then, new content.
    replacement: Option<(String, u64, Vec<u8>)>,
    n_requests: u64,
    n_faults: u64,
    /// The keys of the page that was given last.
    page: Vec<String>,
}

type Plan = dyn Fn(u64) -> Option<Fault> + Send + Sync;

pub(crate) struct Faulty {
    address: String,
    state: Arc<Mutex<State>>,
}

/// Keys on a page.
const PAGE: usize = 10;

impl Faulty {
    /// Serves bucket `b`; `fault` says what happens to the n-th request, from 0.
    pub(crate) fn start(
        dialect: Dialect,
        fault: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (served, fault): (_, Arc<Plan>) = (Arc::clone(&state), Arc::new(fault));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (served, fault) = (Arc::clone(&served), Arc::clone(&fault));
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || drop(answer(dialect, socket, &served, &*fault)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn put(&self, key: &str, content: Vec<u8>) {
        self.state().objects.insert(key.to_owned(), content);
    }

    /// Replaces an object after `n` requests.
    pub(crate) fn replace_after(&self, key: &str, n: u64, content: Vec<u8>) {
        self.state().replacement = Some((key.to_owned(), n, content));
    }

    pub(crate) fn faults(&self) -> u64 {
        self.state().n_faults
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state().n_requests
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(
    dialect: Dialect,
    socket: TcpStream,
    state: &Mutex<State>,
    fault: &Plan,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut socket = socket;
    let (status, extra, body, fault) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let n = state.n_requests;
        state.n_requests += 1;
        if let Some((key, at, content)) = state.replacement.take() {
            if n >= at {
                state.objects.insert(key, content);
            } else {
                state.replacement = Some((key, at, content));
            }
        }
        let fault = fault(n);
        state.n_faults += u64::from(fault.is_some());
        let path = request.split(' ').nth(1).unwrap_or_default();
        let if_match = headers.get("if-match").map(String::as_str);
        let (status, extra, body) = match dialect.question(path, if_match) {
            Question::Page { prefix, after, most } => {
                let again = matches!(fault, Some(Fault::PageAgain));
                let body = page(dialect, &mut state, &prefix, &after, most, again);
                ("200 OK", String::new(), body)
            }
            Question::Object { key, version } => {
                object(dialect, state.objects.get(&key), version.as_deref(), &headers)
            }
        };
        (status, extra, body, fault)
    };
    let (status, mut body) = match fault {
        Some(Fault::Drop) => return Ok(()),
        Some(Fault::SlowDown) => ("503 Slow Down", b"<Code>SlowDown</Code>".to_vec()),
        _ => (status, body),
    };
    let mut length = body.len() as i64;
    let mut says = "";
    let mut sent = body.len();
    match fault {
        Some(Fault::Cut(at)) => sent = if at < body.len() { at } else { body.len() / 2 },
        Some(Fault::WrongLength(by)) => length = (length + by).max(0),
        Some(Fault::SaysGzip) => says = "Content-Encoding: gzip\r\n",
        Some(Fault::Short(percent)) => {
            body.truncate(body.len() * percent / 100);
            (length, sent) = (body.len() as i64, body.len());
        }
        _ => {}
    }
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{says}{extra}\r\n"
    );
    socket.write_all(head.as_bytes())?;
    let Some(Fault::Slow(per_second)) = fault else { return socket.write_all(&body[..sent]) };
    for piece in body.chunks((per_second / 10).max(1)) {
        socket.write_all(piece)?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

fn object(
    dialect: Dialect,
    bytes: Option<&Vec<u8>>,
    version: Option<&str>,
    headers: &BTreeMap<String, String>,
) -> (&'static str, String, Vec<u8>) {
    let Some(bytes) = bytes else {
        return ("404 Not Found", String::new(), b"<Code>NoSuchKey</Code>".to_vec());
    };
    let is = dialect.version(bytes);
    if version.is_some_and(|wanted| wanted != is) {
        return ("412 Precondition Failed", String::new(), Vec::new());
    }
    let version = format!("{}: {is}\r\n", dialect.version_header());
    let Some(range) = headers.get("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return ("200 OK", version, bytes.clone());
    };
    let (start, end) = range.split_once('-').unwrap_or(("0", "0"));
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    if start >= bytes.len() {
        return ("416 Range Not Satisfiable", String::new(), Vec::new());
    }
    let end = end.min(bytes.len() - 1);
    let range = format!("Content-Range: bytes {start}-{end}/{}\r\n", bytes.len());
    ("206 Partial Content", version + &range, bytes[start..=end].to_vec())
}

/// Returns a page; with the one before once more in front of it when `again`.
fn page(
    dialect: Dialect,
    state: &mut State,
    prefix: &str,
    after: &str,
    most: Option<usize>,
    again: bool,
) -> Vec<u8> {
    let State { objects, page: before, .. } = state;
    let below: Vec<&String> =
        objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after).collect();
    let shown = &below[..below.len().min(most.unwrap_or(PAGE).min(PAGE))];
    let next = shown.last().filter(|_| shown.len() < below.len());
    let before = std::mem::replace(before, shown.iter().map(|key| (*key).clone()).collect());
    let repeated = before.iter().filter(|_| again);
    let items: Vec<_> =
        repeated.chain(shown.iter().copied()).map(|key| (key, &objects[key])).collect();
    dialect.page(&items, next.map(|next| next.as_str())).into_bytes()
}
