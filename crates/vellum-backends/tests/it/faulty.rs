//! A small S3 server that fails on request: lists in pages of ten, gives ranges, honours `If-Match`.
//!
//! What it counts tells how much a store asked, and how much of that went wrong.

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
    /// The page of a listing that was given last.
    page: Vec<u8>,
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
    pub(crate) fn start(fault: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (served, fault): (_, Arc<Plan>) = (Arc::clone(&state), Arc::new(fault));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (served, fault) = (Arc::clone(&served), Arc::clone(&fault));
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || drop(answer(socket, &served, &*fault)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
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

fn answer(socket: TcpStream, state: &Mutex<State>, fault: &Plan) -> std::io::Result<()> {
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
        let (status, extra, body) = respond(&state.objects, path, &headers);
        let mut body = body;
        if is_listing(path) {
            let page = std::mem::replace(&mut state.page, body.clone());
            if let (Some(Fault::PageAgain), false) = (fault, page.is_empty()) {
                // The token of this page, so that it gets on.
                body = with_token_of(&page, &body);
            }
        }
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

fn is_listing(path: &str) -> bool {
    path.split('?').next().is_some_and(|path| path.trim_end_matches('/') == "/b")
}

/// Returns the keys of one page with the end of another.
fn with_token_of(keys: &[u8], end: &[u8]) -> Vec<u8> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (keys, end) = (text(keys), text(end));
    let (keys, _) = keys.split_once("<IsTruncated>").unwrap();
    let (inner, end) = end.split_once("<IsTruncated>").unwrap();
    // Nothing is left out: the page before, then this one.
    let (_, inner) = inner.split_once("<Contents>").unwrap_or_default();
    let inner = if inner.is_empty() { String::new() } else { format!("<Contents>{inner}") };
    format!("{keys}{inner}<IsTruncated>{end}").into_bytes()
}

fn respond(
    objects: &BTreeMap<String, Vec<u8>>,
    path: &str,
    headers: &BTreeMap<String, String>,
) -> (&'static str, String, Vec<u8>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let key = path.trim_start_matches("/b").trim_start_matches('/');
    if key.is_empty() {
        return ("200 OK", String::new(), page(objects, query));
    }
    let Some(bytes) = objects.get(key) else {
        return ("404 Not Found", String::new(), b"<Code>NoSuchKey</Code>".to_vec());
    };
    let etag = format!("\"{:x}-{}\"", bytes.first().copied().unwrap_or_default(), bytes.len());
    if headers.get("if-match").is_some_and(|wanted| *wanted != etag) {
        return (
            "412 Precondition Failed",
            String::new(),
            b"<Code>PreconditionFailed</Code>".to_vec(),
        );
    }
    let etag_line = format!("ETag: {etag}\r\n");
    let Some(range) = headers.get("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return ("200 OK", etag_line, bytes.clone());
    };
    let (start, end) = range.split_once('-').unwrap_or(("0", "0"));
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    if start >= bytes.len() {
        return ("416 Range Not Satisfiable", String::new(), Vec::new());
    }
    let end = end.min(bytes.len() - 1);
    let range = format!("Content-Range: bytes {start}-{end}/{}\r\n", bytes.len());
    ("206 Partial Content", etag_line + &range, bytes[start..=end].to_vec())
}

fn page(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Vec<u8> {
    let value = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.unwrap_or_default().replace("%2F", "/")
    };
    let (prefix, after) = (value("prefix"), value("continuation-token"));
    let most = value("max-keys").parse().unwrap_or(PAGE).min(PAGE);
    let below: Vec<&String> =
        objects.keys().filter(|key| key.starts_with(&prefix) && **key > after).collect();
    let shown = &below[..below.len().min(most)];
    let contents: String = shown
        .iter()
        .map(|key| {
            let bytes = &objects[*key];
            let tag = format!(
                "&quot;{:x}-{}&quot;",
                bytes.first().copied().unwrap_or_default(),
                bytes.len()
            );
            format!(
                "<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{}</Size></Contents>",
                bytes.len()
            )
        })
        .collect();
    let more = match shown.last().filter(|_| shown.len() < below.len()) {
        Some(last) => format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
        ),
        None => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{contents}{more}</ListBucketResult>"
    )
    .into_bytes()
}
