//! The `ObjectStore` of web sites: a sitemap, an index of them, a list of pages, or one page.
//!
//! 1. [`WebStore::resolve`] makes an address canonical and tells whether something answers there.
//! 2. [`WebStore::list`] reads what is there ([`lists`] tells what it is), follows the index ([`gather`]), orders the
//!    addresses ([`catalogue`]) and gives each its change marker: the date in the sitemap where there is one, else
//!    what the server says when it is asked for the headers alone (`HEAD`), a few pages at a time.
//! 3. [`WebStore::get`] reads one page ([`fetch`]).
//!
//! A page without any sign of change has another marker each time, so it is read and its content compared. A page of
//! another host than its sitemap's is left out. What a list names and is not there fails alone; a list that cannot be
//! read ends the listing. Whether a source is a list is told by its content only, so nothing about an address says
//! it. No robots.txt is asked: the pages are those that somebody named.

mod catalogue;
mod fetch;
mod gather;
mod guard;
mod lists;
mod page;

use crate::client::{Client, PATIENTLY, PROMPTLY};
use async_trait::async_trait;
use catalogue::{Catalogue, Dates};
use futures::{StreamExt, stream};
use guard::Guard;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;
use vellum_core::ports::{Content, Listed, Listing, ObjectMeta, ObjectStore};
use vellum_core::{Error, ErrorKind, Result};

/// Pages that are asked for their marker at a time.
const LOOKS: usize = 6;
/// Pages in a row without an answer after which a site is down.
const DOWN_AFTER: u32 = 8;
/// Sites whose budget of retries is kept.
const MAX_SITES: usize = 256;

/// Lists and reads web sites.
#[derive(Debug, Clone)]
pub struct WebStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guard: Guard,
    /// Budget and breaker by host and port; what is sent goes through the guard's own clients.
    sites: Mutex<HashMap<String, Arc<Client>>>,
    dates: Dates,
    spool: PathBuf,
    /// How long work in the background waits for progress.
    patience: Duration,
}

/// Returns whether a source is an address of a web site.
pub(crate) fn is_web(source: &str) -> bool {
    let scheme = source.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

impl WebStore {
    /// Returns a store that keeps copies of large pages in the folder `spool` while they are used.
    ///
    /// Hosts are called at public addresses only, but for those in `allowed_hosts` (`intranet.example`, `10.0.0.7:8080`).
    ///
    /// # Errors
    /// `Invalid` for an entry that names no host.
    pub fn new(allowed_hosts: &[String], spool: PathBuf) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            guard: Guard::new(allowed_hosts)?,
            sites: Mutex::default(),
            dates: Dates::default(),
            spool,
            patience: PATIENTLY,
        })))
    }
}

impl Inner {
    /// Returns the budget of the host of an address.
    fn site(&self, url: &Url) -> Arc<Client> {
        let host = url.host_str().unwrap_or_default();
        let key = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if sites.len() >= MAX_SITES && !sites.contains_key(&key) {
            sites.clear();
        }
        let new = || Arc::new(Client::over(self.guard.outside().clone()));
        Arc::clone(sites.entry(key).or_insert_with(new))
    }

    /// Asks for the headers of a listed page.
    async fn look(&self, uri: &str) -> Result<Look> {
        let url = address(uri)?;
        let site = self.site(&url);
        let operation = format!("look at `{url}`");
        let mut tries = site.tries(&operation, PROMPTLY);
        let none = HeaderMap::new();
        let answer = match fetch::ask(self, &mut tries, &Method::HEAD, &url, &none).await {
            Ok((_, answer)) => answer,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return Ok(Look::Silent(unmarked(&url), error));
            }
            Err(error) => return Ok(Look::Answered(unreadable(uri, &error))),
        };
        Ok(Look::Answered(match answer {
            Ok(response) => {
                let headers = response.headers();
                let etag = page::marker(headers).unwrap_or_else(page::unmarked);
                let (name, size) = (page::name(&url, headers), page::size(headers));
                Listed::Object(ObjectMeta { uri: uri.to_owned(), name, size, etag })
            }
            Err(refusal) if matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                match fetch::accepted(&url, Err(refusal)) {
                    Ok(_) => unmarked(&url),
                    Err(error) => unreadable(uri, &error),
                }
            }
            // Some servers refuse HEAD and give the page: reading it tells.
            Err(_) => unmarked(&url),
        }))
    }
}

/// What became of asking for the headers of a page.
enum Look {
    Answered(Listed),
    /// Nobody: what to take it for, and why.
    Silent(Listed, Error),
}

fn unreadable(uri: &str, error: &Error) -> Listed {
    Listed::Unreadable { uri: uri.to_owned(), reason: error.full_message() }
}

/// Returns a page of which nothing is known.
fn unmarked(url: &Url) -> Listed {
    let name = page::name(url, &HeaderMap::new());
    Listed::Object(ObjectMeta { uri: url.to_string(), name, size: 0, etag: page::unmarked() })
}

/// Returns the address of a source.
///
/// # Errors
/// `Invalid` when it is none or holds a password, `Unsupported` for another scheme.
fn address(source: &str) -> Result<Url> {
    let url = Url::parse(source.trim()).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("`{source}` is no web address: {error}"))
            .with_hint("use https://host/path")
    })?;
    canonical(url)
}

/// Returns an address as it is compared: without what a server never sees.
fn canonical(mut url: Url) -> Result<Url> {
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("sources of scheme `{}` are not supported", url.scheme());
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint("use https://host/path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "addresses with a user name or password are not read";
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("take them out: every citation would show them"));
    }
    url.set_fragment(None);
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
        // It stays a host, so this cannot fail.
        let _ = url.set_host(Some(&host));
    }
    Ok(url)
}

#[async_trait]
impl ObjectStore for WebStore {
    async fn resolve(&self, source: &str) -> Result<String> {
        let url = address(source)?;
        let site = self.0.site(&url);
        let operation = format!("read `{url}`");
        let mut tries = site.tries(&operation, PROMPTLY);
        let none = HeaderMap::new();
        let (_, answer) = fetch::ask(&self.0, &mut tries, &Method::GET, &url, &none).await?;
        fetch::accepted(&url, answer)?;
        Ok(url.into())
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        let url = address(source)?;
        let (page, list) = gather::list(&self.0, &url).await?;
        let Some((kind, content)) = list else {
            let (name, size) = (page::name(&url, &page.headers), page::size(&page.headers));
            let dated = self.0.dates.of(url.as_str()).map(page::dated);
            let etag = dated.or_else(|| page::marker(&page.headers)).unwrap_or_else(page::unmarked);
            let listed = Listed::Object(ObjectMeta { uri: url.into(), name, size, etag });
            return Ok(stream::iter([Ok(listed)]).boxed());
        };
        let catalogue = gather::gather(&self.0, &url, (page, kind, content)).await?;
        self.0.dates.keep(url.as_str(), &catalogue);
        Ok(listing(self, &url, catalogue))
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        let url = address(uri)?;
        let page = fetch::read(&self.0, &url, limit, |_| true).await?;
        let content = page.content.unwrap_or_else(|| Content::from(Vec::new()));
        let dated = self.0.dates.of(uri).map(page::dated);
        let etag = dated.or_else(|| page::marker(&page.headers)).unwrap_or_else(page::unmarked);
        let name = page::name(&url, &page.headers);
        Ok((ObjectMeta { uri: url.into(), name, size: content.len(), etag }, content))
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Streams the addresses with their markers.
fn listing(store: &WebStore, source: &Url, catalogue: Catalogue) -> Listing {
    let note = format!("{source}#entries");
    let unusable = catalogue.unusable.as_ref().map(|(n, first)| {
        let reason = format!("{n} entries are no web addresses, the first is `{first}`");
        Look::Answered(Listed::Skipped { uri: note.clone(), reason })
    });
    let at = (0..catalogue.len()).take_while(|n| catalogue.get(*n).uri < note.as_str()).count();
    let (n, catalogue) = (catalogue.len(), Arc::new(catalogue));
    let store = Arc::clone(&store.0);
    let look = move |n| {
        let (store, catalogue) = (Arc::clone(&store), Arc::clone(&catalogue));
        async move {
            let catalogue::Listing { uri, is_foreign, modified } = catalogue.get(n);
            if is_foreign {
                let reason = "it is on another host than its sitemap".to_owned();
                return Ok(Look::Answered(Listed::Skipped { uri: uri.to_owned(), reason }));
            }
            let Some(modified) = modified else { return store.look(uri).await };
            let name = page::name(&address(uri)?, &HeaderMap::new());
            let etag = page::dated(modified);
            let meta = ObjectMeta { uri: uri.to_owned(), name, size: 0, etag };
            Ok(Look::Answered(Listed::Object(meta)))
        }
    };
    let before = stream::iter(0..at).map(look.clone()).buffered(LOOKS);
    let after = stream::iter(at..n).map(look).buffered(LOOKS);
    let looks = before.chain(stream::iter(unusable.map(Ok))).chain(after);
    let mut silent = Silent::default();
    let listed = looks.map(move |look| match look? {
        Look::Answered(listed) => {
            silent = Silent::default();
            Ok(listed)
        }
        Look::Silent(listed, error) => {
            if silent.is_down(listed.uri()) {
                Err(error)
            } else {
                Ok(listed)
            }
        }
    });
    listed.boxed()
}

/// A site that gave no answer, and for how many pages in a row.
#[derive(Default)]
struct Silent {
    site: Option<url::Origin>,
    n_pages: u32,
}

impl Silent {
    /// Counts a page; returns whether its site is down, so that asking for the others would only take time.
    fn is_down(&mut self, uri: &str) -> bool {
        let site = Url::parse(uri).ok().map(|url| url.origin());
        if site != self.site {
            *self = Self { site, n_pages: 0 };
        }
        self.n_pages += 1;
        self.n_pages >= DOWN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_the_web() {
        assert!(is_web("https://a.example") && is_web("HTTP://a.example"));
        assert!(!is_web("s3://a") && !is_web("/a/https://b") && !is_web("https:/a"));
    }

    #[test]
    fn a_site_is_down_after_some_pages_in_a_row() {
        let mut silent = Silent::default();
        assert!((1..DOWN_AFTER).all(|_| !silent.is_down("https://a.example/1")));
        assert!(silent.is_down("https://a.example/2"));
        // Dead links to many sites tell of none that it is down.
        assert!((0..99).all(|n| !silent.is_down(&format!("https://{n}.example/"))));
    }
}
