//! From a source to its addresses: lists are read one after the other, an index before what it names.
//!
//! A list that cannot be read ends the listing: what it would have named must not look as if it were gone.

use super::catalogue::{Catalogue, Listing, MAX_ADDRESSES};
use super::fetch::{Page, read};
use super::lists::{Item, Kind, kind, open, pages, sitemap};
use super::{Inner, canonical};
use std::collections::{HashSet, VecDeque};
use std::io;
use url::Url;
use vellum_core::ports::Content;
use vellum_core::{Error, ErrorKind, Result};

/// Bytes of all lists of a source, unpacked.
pub(super) const MAX_LISTS: u64 = 256 << 20;
/// Indexes in indexes.
const DEEPEST: usize = 2;
/// Lists of one source.
const MAX_SITEMAPS: usize = 10_000;

/// Reads a list at `url`; `None` when it is a page.
pub(super) async fn list(web: &Inner, url: &Url) -> Result<(Page, Option<(Kind, Content)>)> {
    let mut page =
        read(web, url, MAX_LISTS, |start| kind(start) != Kind::Page).await.map_err(|error| {
            match error.kind() {
                ErrorKind::Rejected => {
                    let most = MAX_LISTS >> 20;
                    let message = format!("the list `{url}` has more than {most} MiB");
                    Error::new(ErrorKind::Rejected, message)
                        .with_hint("divide it into several sources")
                }
                _ => error,
            }
        })?;
    let Some(content) = page.content.take() else { return Ok((page, None)) };
    let start = content.read_at(0, super::fetch::START);
    let start = start.map_err(|error| Error::io(format!("read the copy of `{url}`"), error))?;
    let kind = kind(&start);
    Ok((page, (kind != Kind::Page).then_some((kind, content))))
}

/// Returns the addresses in the list that `source` is.
///
/// # Errors
/// What reading fails with; `Rejected` when a list is not whole or there is too much.
pub(super) async fn gather(
    web: &Inner,
    source: &Url,
    (first, kind, content): (Page, Kind, Content),
) -> Result<Catalogue> {
    // A list of pages was written by whoever names it; a sitemap speaks for its own host only.
    let own = (kind != Kind::List).then(|| vec![source.clone(), first.url.clone()]);
    let mut gathered =
        Gathered { own, catalogue: Catalogue::default(), found: Vec::new(), left: MAX_LISTS };
    gathered = gathered.take(&first.url, kind, content).await?;
    let (mut lists, mut seen) = (VecDeque::new(), HashSet::from([source.clone()]));
    gathered.queue(1, &mut lists, &mut seen, source)?;
    while let Some((url, depth)) = lists.pop_front() {
        let (page, list) = list(web, &url).await.map_err(|error| inside(source, &error))?;
        let wrong = |why: &str| {
            let message = format!("`{source}` names the sitemap `{url}`, which {why}");
            Error::new(ErrorKind::Rejected, message)
                .with_hint("name the sitemaps that are good as sources of their own")
        };
        let (kind, content) = list.ok_or_else(|| wrong("is none"))?;
        if kind == Kind::Index && depth > DEEPEST {
            return Err(wrong("is an index below an index below an index"));
        }
        gathered = gathered.take(&page.url, kind, content).await?;
        gathered.queue(depth + 1, &mut lists, &mut seen, source)?;
    }
    gathered.catalogue.finish();
    Ok(gathered.catalogue)
}

/// Says which source an error about one of its lists belongs to; nothing of it is gone.
fn inside(source: &Url, error: &Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => ErrorKind::Unavailable,
        kind => kind,
    };
    let told = Error::new(kind, format!("`{source}` cannot be listed: {}", error.message()));
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

struct Gathered {
    /// The addresses whose hosts the sitemap speaks for; unset when any may be named.
    own: Option<Vec<Url>>,
    catalogue: Catalogue,
    /// Lists that the last index named.
    found: Vec<Url>,
    left: u64,
}

impl Gathered {
    /// Reads a list off the async threads.
    async fn take(mut self, base: &Url, kind: Kind, content: Content) -> Result<Self> {
        let base = base.clone();
        let work = move || {
            let read = self.read(&base, kind, content);
            let read = read.map_err(|error| {
                let message = format!("the list `{base}` cannot be read: {error}");
                Error::new(ErrorKind::Rejected, message)
                    .with_hint("its pages stay as they are until it can be read whole")
            });
            read.map(|()| self)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            Error::new(ErrorKind::Internal, "reading a list ended early").with_source(error)
        })?
    }

    fn read(&mut self, base: &Url, kind: Kind, content: Content) -> io::Result<()> {
        let text = open(content, self.left)?;
        let read = match kind {
            Kind::List => pages(text, &mut |item| self.add(base, &item))?,
            Kind::Index => sitemap(text, &mut |item| self.add_list(base, &item))?,
            Kind::Sitemap | Kind::Page => sitemap(text, &mut |item| self.add(base, &item))?,
        };
        self.left = self.left.saturating_sub(read);
        Ok(())
    }

    fn add(&mut self, base: &Url, item: &Item) -> io::Result<()> {
        let Some(url) = address(base, &item.address) else {
            self.catalogue.add_unusable(&item.address);
            return Ok(());
        };
        let is_foreign = !self.is_own(&url);
        let modified = crate::stamp::millis(&item.modified);
        self.catalogue.add(Listing { uri: url.as_str(), is_foreign, modified })
    }

    fn add_list(&mut self, base: &Url, item: &Item) -> io::Result<()> {
        match address(base, &item.address) {
            Some(url) if self.is_own(&url) => {
                if self.found.len() == MAX_SITEMAPS {
                    return Err(io::Error::other(format!(
                        "it names more than {MAX_SITEMAPS} lists"
                    )));
                }
                self.found.push(url);
                Ok(())
            }
            Some(url) => {
                self.catalogue.add(Listing { uri: url.as_str(), is_foreign: true, modified: None })
            }
            None => {
                self.catalogue.add_unusable(&item.address);
                Ok(())
            }
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        self.own.as_ref().is_none_or(|own| own.iter().any(|own| is_same_host(own, url)))
    }

    /// Moves the lists that were found last to those that are still to be read.
    fn queue(
        &mut self,
        depth: usize,
        lists: &mut VecDeque<(Url, usize)>,
        seen: &mut HashSet<Url>,
        source: &Url,
    ) -> Result<()> {
        lists.extend(
            self.found.drain(..).filter(|url| seen.insert(url.clone())).map(|url| (url, depth)),
        );
        if seen.len() > MAX_SITEMAPS {
            let message = format!("`{source}` names more than {MAX_SITEMAPS} lists");
            return Err(Error::new(ErrorKind::Rejected, message).with_hint(format!(
                "at most {MAX_ADDRESSES} addresses of a source are read anyway"
            )));
        }
        Ok(())
    }
}

/// Returns the address that a list holds.
fn address(base: &Url, text: &str) -> Option<Url> {
    let url = base.join(text.trim()).ok()?;
    canonical(url).ok()
}

/// Whether two addresses have the same host, on the same port or each on the one of its scheme.
fn is_same_host(a: &Url, b: &Url) -> bool {
    let is_usual = |url: &Url| url.port().is_none();
    a.host() == b.host()
        && (a.port_or_known_default() == b.port_or_known_default() || is_usual(a) && is_usual(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_a_sitemap_speaks_for() {
        for (a, b, expect) in [
            ("https://a.example/", "http://a.example/x", true),
            ("https://a.example:8443/", "https://a.example:8443/x", true),
            ("https://a.example/", "https://a.example:8443/x", false),
            ("https://a.example/", "https://www.a.example/x", false),
            ("http://127.0.0.1:81/", "http://127.0.0.1:82/", false),
        ] {
            let (a, b) = (Url::parse(a).unwrap(), Url::parse(b).unwrap());
            assert_eq!(is_same_host(&a, &b), expect, "{a} {b}");
        }
    }
}
