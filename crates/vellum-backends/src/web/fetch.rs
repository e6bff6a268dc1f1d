//! One page as one version, whatever happens on the way.
//!
//! A body that breaks off goes on where it ended when the server marks versions with a strong entity tag (`If-Range`);
//! otherwise, or when the page is another one by then, it begins anew. Bodies come packed with gzip where the server
//! can; ranges count packed bytes, so unpacking waits for the end. Redirects are followed here, one by one, because
//! each address is looked at before it is called.

use super::{Inner, canonical};
use crate::client::{Answer, Refusal, Tries, told};
use crate::spool::{Spool, blocking};
use flate2::read::MultiGzDecoder;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use std::io::{self, Read};
use std::path::Path;
use url::Url;
use vellum_core::ports::Content;
use vellum_core::{Error, ErrorKind, Result};

/// Redirects that are followed for one page.
const MAX_REDIRECTS: usize = 5;
/// Bytes after which a reader is asked whether it wants the rest.
pub(super) const START: usize = 64 << 10;
/// Bytes that are unpacked at a time.
const WINDOW: usize = 256 << 10;
/// What the first bytes of gzip are.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A page that was read, or begun.
pub(super) struct Page {
    /// Where it was found after redirects.
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// What came, unpacked; unset when the rest was not wanted.
    pub(super) content: Option<Content>,
}

/// Asks at `url` and where it redirects to; returns the address that answered.
///
/// # Errors
/// As [`Tries::send`]; `Forbidden` for an address that must not be called, `Invalid` for redirects without end.
pub(super) async fn ask(
    web: &Inner,
    tries: &mut Tries<'_>,
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
) -> Result<(Url, Answer)> {
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        // Another host may need another client; the budget stays that of the first.
        let http = web.guard.client_for(&at).map_err(|error| led(url, &at, error))?;
        let request = |_: &_| {
            let request = http.request(method.clone(), at.clone()).headers(headers.clone());
            request.header(header::ACCEPT_ENCODING, "gzip")
        };
        let answer = tries.send(request).await.map_err(|error| led(url, &at, error))?;
        let to = match &answer {
            Err(Refusal { status, location: Some(to), .. }) if status.is_redirection() => to,
            _ => return Ok((at, answer)),
        };
        let next = at.join(to).map_err(|_| {
            let message = format!("`{url}` leads to `{to}`, which is no address");
            Error::new(ErrorKind::Unavailable, message)
        })?;
        at = canonical(next)?;
    }
    let message = format!("`{url}` leads on more than {MAX_REDIRECTS} times, last to `{at}`");
    Err(Error::new(ErrorKind::Invalid, message).with_hint("give the address where the page is"))
}

/// Says in an error about `at` that `url` led there, and what opens an address inside.
fn led(url: &Url, at: &Url, error: Error) -> Error {
    if error.kind() != ErrorKind::Forbidden {
        return error;
    }
    let way = if url == at { String::new() } else { format!(" leads to `{at}`") };
    super::guard::closed(&format!("`{url}`{way}: {}", error.message()))
}

/// Returns the answer, or what a refusal means.
pub(super) fn accepted(url: &Url, answer: Answer) -> Result<Response> {
    let Refusal { status, .. } = match answer {
        Ok(response) => return Ok(response),
        Err(refusal) => refusal,
    };
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Error::new(ErrorKind::NotFound, format!("`{url}` does not exist ({status})"))
                .with_hint("check the address in a browser")
        }
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Error::new(ErrorKind::Unauthenticated, format!("`{url}` wants a login ({status})"))
                .with_hint(
                    "only pages that need none are read; put others into a folder or a bucket",
                )
        }
        StatusCode::FORBIDDEN => {
            Error::new(ErrorKind::Forbidden, format!("`{url}` may not be read ({status})"))
                .with_hint("ask whoever runs the site to let `vellum` read it")
        }
        _ => Error::new(ErrorKind::Unavailable, format!("`{url}` is refused: {status}")),
    })
}

/// Reads the page at `url`, of at most `limit` bytes packed and unpacked.
///
/// `wants` is asked once, with the first bytes as they come (all, where there are fewer than [`START`]), whether the
/// rest is wanted; the limit holds from then on.
///
/// # Errors
/// What [`ask`] and [`accepted`] fail with; `Rejected` above the limit.
pub(super) async fn read(
    web: &Inner,
    url: &Url,
    limit: u64,
    wants: fn(&[u8]) -> bool,
) -> Result<Page> {
    let site = web.site(url);
    let operation = format!("read `{url}`");
    let mut tries = site.tries(&operation, web.patience);
    let mut body = Body {
        url,
        limit,
        wants: Some(wants),
        spool: Spool::new(&web.spool),
        furthest: 0,
        tag: None,
        packed: None,
    };
    loop {
        let (at, answer) = ask(web, &mut tries, &Method::GET, url, &body.rest()).await?;
        if answer.as_ref().is_err_and(|refusal| refusal.status == StatusCode::RANGE_NOT_SATISFIABLE)
        {
            body.restart(&HeaderMap::new());
            tries.failed("the server knows no rest".to_owned(), None);
            continue;
        }
        let mut response = accepted(url, answer)?;
        if !body.fits(&response) {
            body.restart(response.headers());
            if response.status() == StatusCode::PARTIAL_CONTENT {
                tries.failed("the server sends another part than was asked for".to_owned(), None);
                continue;
            }
        }
        let headers = response.headers().clone();
        match body.take(&mut response, &mut tries).await? {
            End::Broken(why) => tries.failed(why, None),
            End::Unwanted => return Ok(Page { url: at, headers, content: None }),
            End::Whole => {
                let spool = body.spool;
                let content = blocking(url.as_str(), &web.spool, move || spool.finish()).await?;
                let content = unpacked(url, &headers, content, limit, &web.spool).await?;
                return Ok(Page { url: at, headers, content: Some(content) });
            }
        }
    }
}

/// A body on its way.
struct Body<'a> {
    url: &'a Url,
    limit: u64,
    /// The question that is still to be asked.
    wants: Option<fn(&[u8]) -> bool>,
    spool: Spool,
    /// The most bytes that there ever were: what comes again is no progress.
    furthest: u64,
    /// The version that is read, and how it is packed: a part may come in another way than the whole.
    tag: Option<HeaderValue>,
    packed: Option<HeaderValue>,
}

enum End {
    Whole,
    Unwanted,
    Broken(String),
}

impl Body<'_> {
    /// Returns the headers that ask for what is missing.
    fn rest(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let (Some(tag), at @ 1..) = (&self.tag, self.spool.len()) {
            let range = format!("bytes={at}-");
            headers.extend([
                (header::RANGE, HeaderValue::from_str(&range).expect("digits are a header value")),
                (header::IF_RANGE, tag.clone()),
            ]);
        }
        headers
    }

    /// Returns whether an answer goes on where the body ended.
    fn fits(&self, response: &Response) -> bool {
        let range =
            response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
        response.status() == StatusCode::PARTIAL_CONTENT
            && start.and_then(|start| start.parse().ok()) == Some(self.spool.len())
            && self.tag.is_some()
            && self.tag == strong_tag(response.headers())
            && self.packed.as_ref() == response.headers().get(header::CONTENT_ENCODING)
    }

    /// Begins anew with the body that these headers come with.
    fn restart(&mut self, headers: &HeaderMap) {
        self.spool.clear();
        self.tag = strong_tag(headers);
        self.packed = headers.get(header::CONTENT_ENCODING).cloned();
    }

    async fn take(&mut self, response: &mut Response, tries: &mut Tries<'_>) -> Result<End> {
        let announced = response.content_length().map(|rest| rest + self.spool.len());
        loop {
            if self.wants.is_none() {
                self.within_limit(announced)?;
            }
            let end = match response.chunk().await {
                Ok(Some(piece)) => {
                    self.spool.hold(&piece);
                    let new = self.spool.len().saturating_sub(self.furthest);
                    self.furthest += new;
                    tries.got_on(new)?;
                    None
                }
                Ok(None) => Some(End::Whole),
                Err(error) => return Ok(End::Broken(told(&error))),
            };
            let is_start = end.is_some() || self.spool.len() >= START as u64;
            if let Some(wants) = self.wants
                && is_start
            {
                self.wants = None;
                if !wants(self.spool.start()) {
                    return Ok(End::Unwanted);
                }
                self.within_limit(announced)?;
            }
            if let Some(end) = end {
                return Ok(end);
            }
            if self.spool.is_full() {
                let mut spool = std::mem::replace(&mut self.spool, Spool::new(Path::new("")));
                let folder = spool.folder().to_owned();
                let flush = move || spool.flush().map(|()| spool);
                self.spool = blocking(self.url.as_str(), &folder, flush).await?;
            }
        }
    }

    fn within_limit(&self, announced: Option<u64>) -> Result<()> {
        let size = announced.unwrap_or_default().max(self.spool.len());
        if size > self.limit { Err(crate::too_large(size, self.limit)) } else { Ok(()) }
    }
}

/// Returns the entity tag, if equal tags mean equal bytes.
fn strong_tag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned()
}

/// Returns whether a body was packed on the way.
pub(super) fn is_packed(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
}

/// Returns a body as the page is.
async fn unpacked(
    url: &Url,
    headers: &HeaderMap,
    content: Content,
    limit: u64,
    folder: &Path,
) -> Result<Content> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match encoding.map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"identity" | b"") => return Ok(content),
        Some(b"gzip" | b"x-gzip") => {}
        Some(_) => {
            let message = format!("`{url}` comes packed in a way that was not asked for");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    let (spool, wide) = (Spool::new(folder), folder.to_owned());
    let inflated =
        blocking(url.as_str(), folder, move || Ok(inflate(content, limit, spool))).await?;
    match inflated {
        Ok(content) => Ok(content),
        Err(Inflate::TooLarge) => Err(crate::too_large(limit + 1, limit)),
        Err(Inflate::Broken(error)) => {
            let message = format!("`{url}`: what came is no whole gzip: {error}");
            Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
        }
        Err(Inflate::Disk(error)) => Err(crate::spool::failed(url.as_str(), &wide, error)),
    }
}

enum Inflate {
    TooLarge,
    Broken(io::Error),
    Disk(io::Error),
}

fn inflate(
    content: Content,
    limit: u64,
    mut spool: Spool,
) -> std::result::Result<Content, Inflate> {
    // Some servers say gzip of what they send as it is.
    if content.read_at(0, GZIP.len()).map_err(Inflate::Disk)? != GZIP {
        return Ok(content);
    }
    let mut packed = MultiGzDecoder::new(Window::new(content));
    let mut piece = vec![0; WINDOW];
    loop {
        let n = packed.read(&mut piece).map_err(Inflate::Broken)?;
        if n == 0 {
            return spool.finish().map_err(Inflate::Disk);
        }
        spool.hold(&piece[..n]);
        if spool.len() > limit {
            return Err(Inflate::TooLarge);
        }
        if spool.is_full() {
            spool.flush().map_err(Inflate::Disk)?;
        }
    }
}

/// Reads content from its start to its end. Blocks where that is on disk.
pub(super) struct Window {
    content: Content,
    at: u64,
}

impl Window {
    pub(super) fn new(content: Content) -> Self {
        Self { content, at: 0 }
    }
}

impl Read for Window {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.content.read_at(self.at, into.len())?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
