//! The `ObjectStore` of buckets, whatever service holds them.
//!
//! 1. [`BucketStore::resolve`] tells whether an address names an object or a folder of them.
//! 2. [`BucketStore::list`] streams the keys below it, a page at a time, in the order of their bytes ([`walk`];
//!    [`tree`] where a service has an order of its own).
//! 3. [`BucketStore::get`] reads one version of an object by ranges ([`fetch`]): small ones into memory, large ones into
//!    an unnamed copy, several ranges at a time.
//!
//! A uri is `s3://bucket/key` with the bytes up to `%` (controls, blanks, quotes, `#`) percent-encoded and all others
//! as they are: so the order of uris is that of keys, and a listing of any length is merged with the ledger in
//! constant memory. Keys that no URL of a service can carry (`.` and `..` as a segment) and ends of folders (`dir/`) are
//! told or left out, and stop nothing.
//!
//! What differs is a [`Service`]: how it is asked and by whom, how its pages read, and what its refusals mean. It sends
//! through [`crate::client`] and decides nothing. `object_store` was not taken: one key such as `a//b` fails its whole
//! listing, and it retries by rules of its own.

mod fetch;
mod keeper;
pub(crate) mod key;
mod tree;
mod walk;

pub(crate) use keeper::{Finder, Found, Keeper};

use crate::client::{Answer, Client, PATIENTLY, PROMPTLY, Refusal, Tries};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tree::Tree;
use url::Host;
use vellum_core::ports::{Content, Listed, Listing, ObjectMeta, ObjectStore};
use vellum_core::{Error, ErrorKind, Result};
use walk::Walk;

/// Keys of a page; the most that S3 and GCS give.
const PAGE: usize = 1_000;
/// Keys that are asked for to see whether there are any.
const FEW: usize = 10;
/// Pages in a row that may hold no new key.
const MAX_IDLE_PAGES: u32 = 100;

/// What is asked about a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// At most `n` keys that begin with `prefix`, those that follow `token`.
    Page { prefix: &'a str, below: Below, token: Option<&'a str>, n: usize },
    /// An object: all of it or its bytes from `range.0` to `range.1`, of one version or of the one that there is.
    Object { key: &'a str, range: Option<(u64, u64)>, version: Option<&'a HeaderValue> },
}

/// Which keys that begin with a prefix a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    All,
    /// Up to the next `/`, and folders in place of what is below them. Asked only where pages come from a tree.
    Folder,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// Prefixes that end with `/`.
    pub(crate) folders: Vec<String>,
    /// Whether the service keeps a tree of folders, and lists that in an order of its own.
    pub(crate) is_tree: bool,
    /// What the next page is asked for with; unset on the last one.
    pub(crate) next: Option<String>,
}

/// An object as a page shows it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// What tells its version.
    pub(crate) version: Option<String>,
    pub(crate) modified: Option<String>,
}

/// A service that holds buckets.
#[async_trait]
pub(crate) trait Service: std::fmt::Debug + Send + Sync {
    /// Returns what its uris begin with, such as `s3://`.
    fn scheme(&self) -> &'static str;

    /// Returns an address that others write in another way as this store does.
    ///
    /// # Errors
    /// `Invalid` when it leads somewhere else.
    fn canonical<'s>(&self, source: &'s str) -> Result<Cow<'s, str>> {
        Ok(source.into())
    }

    /// Returns why a key cannot be read; `None` when it can.
    fn unfit(&self, key: &str) -> Option<&'static str> {
        key::unfit(key)
    }

    /// Returns the host that is asked, for errors.
    fn host(&self) -> &str;

    fn client(&self) -> &Client;

    /// Returns the header by which an answer tells the version of an object: with a strong tag, which a page shows too.
    fn version_header(&self) -> HeaderName;

    /// Asks about `bucket`, signed, and once more when the credentials just ended.
    ///
    /// # Errors
    /// As [`Tries::send`]; `Invalid` when there is no such address, what finding credentials fails with.
    async fn send(&self, tries: &mut Tries<'_>, bucket: &str, ask: Ask<'_>) -> Result<Answer>;

    /// Reads a page, which must be whole; `Err` tells what is wrong with it.
    fn page(&self, text: &str) -> std::result::Result<Page, String>;

    /// Returns what a refusal means, if that is known better than by its status; `key` is unset for the bucket itself.
    fn meaning(&self, refusal: &Refusal, bucket: &str, key: Option<&str>) -> Option<Error>;

    /// Returns the words of a refusal for people.
    fn words(&self, refusal: &Refusal) -> String;

    /// Returns whether no credentials were found.
    fn is_anonymous(&self) -> bool;

    /// Returns what allows reading, for people.
    fn needs(&self) -> &'static str;

    /// Fails when credentials cannot be had.
    async fn check(&self) -> Result<()>;
}

/// Lists and reads the buckets of one service.
#[derive(Debug, Clone)]
pub struct BucketStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Box<dyn Service>,
    spool: PathBuf,
    /// How long work in the background waits for progress.
    patience: Duration,
    /// The right to read a further range of a large object.
    lanes: Semaphore,
}

impl BucketStore {
    /// Returns a store that keeps copies of large objects in the folder `spool` while they are used.
    pub(crate) fn over(service: impl Service + 'static, spool: PathBuf) -> Self {
        let service = Box::new(service);
        let lanes = Semaphore::new(fetch::MOST_LANES);
        Self(Arc::new(Inner { service, spool, patience: PATIENTLY, lanes }))
    }

    fn service(&self) -> &dyn Service {
        &*self.0.service
    }

    fn uri(&self, bucket: &str, key: &str) -> String {
        key::uri(self.service().scheme(), bucket, key)
    }

    /// Returns the first key that begins with `prefix`, for a person who waits.
    async fn first(&self, bucket: &str, prefix: &str) -> Result<Option<String>> {
        let mut token = None;
        for _ in 0..=MAX_IDLE_PAGES {
            let token_known = token.as_deref();
            let ask = Ask::Page { prefix, below: Below::All, token: token_known, n: FEW };
            let page = self.page(bucket, prefix, ask, PROMPTLY).await?;
            let first = page.items.into_iter().next();
            if first.is_some() || page.next.is_none() {
                return Ok(first.map(|item| item.key));
            }
            token = page.next;
        }
        Err(self.stuck(bucket, prefix))
    }

    /// Returns the page of keys that begin with `prefix` which `ask` asks for.
    async fn page(
        &self,
        bucket: &str,
        prefix: &str,
        ask: Ask<'_>,
        patience: Duration,
    ) -> Result<Page> {
        let service = self.service();
        let operation = format!("list `{}{bucket}/{prefix}`", service.scheme());
        let mut tries = service.client().tries(&operation, patience);
        loop {
            let answer = service.send(&mut tries, bucket, ask).await?;
            let text = match self.accepted(answer, bucket, None)?.text().await {
                Ok(text) => text,
                Err(error) => {
                    tries.failed(crate::client::told(&error), None);
                    continue;
                }
            };
            // A page that was cut off is no page.
            match service.page(&text) {
                Ok(page) => return Ok(page),
                Err(why) => tries.failed(format!("the listing cannot be read: {why}"), None),
            }
        }
    }

    fn stuck(&self, bucket: &str, prefix: &str) -> Error {
        let place = self.uri(bucket, prefix);
        let message = format!("list `{place}`: {MAX_IDLE_PAGES} pages in a row hold nothing new");
        Error::new(ErrorKind::Unavailable, message)
            .with_hint("look at the server: it does not get on in its listing")
    }

    /// Returns what an object is listed as; nothing for the empty ones that consoles make folders of.
    fn listed(&self, bucket: &str, item: &Item) -> Option<Listed> {
        let Item { key, size, version, modified } = item;
        if key.ends_with('/') {
            return None;
        }
        let uri = self.uri(bucket, key);
        let etag = marker(version.as_deref(), modified.as_deref(), *size);
        Some(match self.service().unfit(key) {
            Some(why) => Listed::Unreadable { uri, reason: why.to_owned() },
            None => Listed::Object(ObjectMeta { uri, name: key::name(key), size: *size, etag }),
        })
    }

    /// Returns the answer, or what a refusal means; `key` is unset for the bucket itself.
    fn accepted(
        &self,
        answer: Answer,
        bucket: &str,
        key: Option<&str>,
    ) -> Result<reqwest::Response> {
        let refusal = match answer {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        let service = self.service();
        if let Some(error) = service.meaning(&refusal, bucket, key) {
            return Err(error);
        }
        let uri = self.uri(bucket, key.unwrap_or_default());
        let place = service.host();
        Err(match refusal.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                let who = if service.is_anonymous() { "without credentials " } else { "" };
                let message = format!("{who}{place} does not allow reading `{uri}`");
                Error::new(ErrorKind::Forbidden, message)
                    .with_hint(format!("allow {}", service.needs()))
            }
            StatusCode::NOT_FOUND => {
                Error::new(ErrorKind::NotFound, format!("`{uri}` does not exist"))
                    .with_hint("check the spelling")
            }
            StatusCode::PRECONDITION_FAILED => changed(&uri),
            status => {
                let message =
                    format!("{place} refuses `{uri}`: {status} {}", service.words(&refusal));
                Error::new(ErrorKind::Unavailable, message)
            }
        })
    }
}

#[async_trait]
impl ObjectStore for BucketStore {
    async fn resolve(&self, source: &str) -> Result<String> {
        let source = &*self.service().canonical(source)?;
        let (bucket, key) = key::typed(self.service().scheme(), source)?;
        let mut known = vec![key.to_owned()];
        // Our own addresses encode some characters; people and other tools write them as they are.
        known.extend(key::decoded(key).filter(|decoded| decoded != key));
        for key in &known {
            let is_folder = key.is_empty() || key.ends_with('/');
            if !is_folder && self.first(bucket, key).await?.as_ref() == Some(key) {
                return Ok(self.uri(bucket, key));
            }
            let folder = if is_folder { key.clone() } else { format!("{key}/") };
            let below = self.first(bucket, &folder).await?;
            // A bucket without objects is a source; a prefix without is a mistake.
            if folder.is_empty() || below.is_some() {
                return Ok(self.uri(bucket, &folder));
            }
        }
        let message = format!("`{}` does not exist", source.trim_end_matches('/'));
        let alike = self.first(bucket, key.trim_end_matches('/')).await?;
        Err(Error::new(ErrorKind::NotFound, message).with_hint(match alike {
            Some(alike) => {
                format!("a prefix ends at a `/`; there is `{}`", self.uri(bucket, &alike))
            }
            None => format!("no key of the bucket begins with `{key}`; check the spelling"),
        }))
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        let (bucket, prefix) = key::split(self.service().scheme(), source)?;
        let is_object = !prefix.is_empty() && !prefix.ends_with('/');
        let missing = || {
            Error::new(ErrorKind::NotFound, format!("`{source}` does not exist"))
                .with_hint("check the spelling, and that the objects are still there")
        };
        let n = if is_object { 1 } else { PAGE };
        let mut walk = Walk::begin(self.clone(), bucket.clone(), prefix.clone(), n);
        walk.fill().await?;
        if walk.is_tree() && !is_object {
            let mut tree = Tree::new(self.clone(), bucket, prefix.clone());
            let first = tree.next().await?;
            if first.is_none() && !prefix.is_empty() {
                return Err(missing());
            }
            let rest = stream::try_unfold(tree, |mut tree| async move {
                Ok(tree.next().await?.map(|entry| (entry, tree)))
            });
            return Ok(stream::iter(first.map(Ok)).chain(rest).boxed());
        }
        let exists = match walk.first() {
            Some(first) => !is_object || first == prefix,
            None => prefix.is_empty(),
        };
        if !exists {
            return Err(missing());
        }
        if is_object {
            walk.end();
        }
        Ok(stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|entry| (entry, walk)))
        })
        .boxed())
    }

    fn uri_of(&self, bucket: &str, key: &str) -> Result<String> {
        if let Some(reason) = self.service().unfit(key) {
            return Err(Error::new(ErrorKind::Invalid, format!("key `{key}`: {reason}")));
        }
        Ok(self.uri(bucket, key))
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        let (bucket, key) = key::split(self.service().scheme(), uri)?;
        if let Some(why) = self.service().unfit(&key) {
            return Err(Error::new(ErrorKind::Unsupported, format!("`{uri}`: {why}")));
        }
        fetch::get(self, &bucket, &key, limit).await
    }

    async fn check(&self) -> Result<()> {
        self.service().check().await
    }
}

/// Returns the change marker of an object: what tells its version, or where there is nothing its date and size.
fn marker(version: Option<&str>, modified: Option<&str>, size: u64) -> String {
    let bare = version.map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
    match bare.filter(|tag| !tag.is_empty()) {
        Some(tag) => tag.to_owned(),
        None => format!("{size:x}-{}", modified.unwrap_or_default()),
    }
}

fn changed(uri: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("`{uri}` changed while it was read"))
        .with_retry(vellum_core::Retry::Later)
}

/// Returns the address of a service that `setting` gives, such as `example`.
///
/// # Errors
/// `Invalid` when it is none.
pub(crate) fn endpoint(setting: &str, endpoint: &str, example: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::Invalid, format!("{setting} `{endpoint}`: {why}"))
            .with_hint(format!("give the address of the service, such as {example}"))
    };
    let url = Url::parse(endpoint).map_err(|_| wrong("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("must begin with http:// or https://"));
    }
    Ok(url)
}

/// Returns whether secrets may be sent to an address: nobody between it and us can read them.
pub(crate) fn is_private(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_here
}

/// Returns what stands between two marks: enough for the flat XML of errors.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}
