//! The `ObjectStore` of S3 and what speaks like it: MinIO, SeaweedFS, Ceph, R2, GCS with HMAC keys.
//!
//! 1. [`S3Store::resolve`] tells whether an address names an object or a folder of them.
//! 2. [`S3Store::list`] streams the keys below it, a page at a time, in the order of their bytes.
//! 3. [`S3Store::get`] reads one version of an object by ranges (`fetch`): small ones into memory, large ones into an
//!    unnamed copy.
//!
//! A uri is `s3://bucket/key` with the bytes up to `%` (controls, blanks, quotes, `#`) percent-encoded and all others
//! as they are: so the order of uris is that of keys, and a listing of any length is merged with the ledger in
//! constant memory. Keys that no URL can carry (`.` and `..` as a segment) and ends of folders (`dir/`) are told or left
//! out, and stop nothing.
//!
//! Signing and parsing is `rusty-s3`, sans I/O; sending is [`crate::client`]. `object_store` was not taken: one key
//! such as `a//b` fails its whole listing, and it retries by rules of its own.

mod credentials;
mod fetch;
mod key;
mod platform;
mod walk;

pub use credentials::S3Environment;

use crate::client::{Answer, Client, PATIENTLY, PROMPTLY, Refusal, Tries};
use async_trait::async_trait;
use credentials::Provider;
use futures::{StreamExt, stream};
use reqwest::{RequestBuilder, StatusCode, Url};
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vellum_core::ports::{Content, Listing, ObjectMeta, ObjectStore};
use vellum_core::{Error, ErrorKind, Result};
use walk::Walk;

/// What an address of this store begins with.
pub(crate) const SCHEME: &str = "s3://";
/// How long a signed address holds; longer than any call waits for its turn.
const SIGNED_FOR: Duration = Duration::from_secs(600);
/// Keys of a page; the most that S3 gives.
const PAGE: usize = 1_000;

/// Where buckets are.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// Address of the service; empty: AWS in `region`.
    pub endpoint: String,
    /// Region; empty: what the environment says, else `us-east-1`.
    pub region: String,
    /// Whether the bucket is part of the path, not of the host; unset: with an endpoint of one's own.
    pub path_style: Option<bool>,
}

/// Lists and reads buckets.
#[derive(Debug, Clone)]
pub struct S3Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    endpoint: Url,
    region: String,
    style: UrlStyle,
    provider: Provider,
    spool: PathBuf,
    /// How long work in the background waits for progress.
    patience: Duration,
}

impl S3Store {
    /// Returns a store that keeps copies of large objects in the folder `spool` while they are used.
    ///
    /// # Errors
    /// `Invalid` when the endpoint is no address.
    pub fn new(settings: &S3Settings, environment: S3Environment, spool: PathBuf) -> Result<Self> {
        let region = [settings.region.as_str(), environment.region(), "us-east-1"];
        let region =
            region.into_iter().find(|region| !region.is_empty()).unwrap_or_default().to_owned();
        let endpoint = [settings.endpoint.as_str(), environment.endpoint()];
        let own = endpoint.into_iter().find(|endpoint| !endpoint.is_empty()).map(str::to_owned);
        let is_own = own.is_some();
        let endpoint = own.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let wrong = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("s3.endpoint `{endpoint}`: {why}"))
                .with_hint("give the address of the service, such as http://minio.storage:9000")
        };
        let url = Url::parse(&endpoint).map_err(|_| wrong("is no address"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("must begin with http:// or https://"));
        }
        let is_path = settings.path_style.unwrap_or(is_own);
        let style = if is_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let client = Client::new()?;
        let provider = Provider::new(environment, region.clone());
        let patience = PATIENTLY;
        let inner = Inner { client, endpoint: url, region, style, provider, spool, patience };
        Ok(Self(Arc::new(inner)))
    }

    fn bucket(&self, name: &str) -> Result<Bucket> {
        let Inner { endpoint, style, region, .. } = &*self.0;
        Bucket::new(endpoint.clone(), *style, name.to_owned(), region.clone()).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("`{name}` cannot name a bucket"))
                .with_source(error)
        })
    }

    async fn credentials(&self) -> Result<Option<Arc<Credentials>>> {
        self.0.provider.get(&self.0.client).await
    }

    /// Sends what `request` makes of our credentials, and once more when they just ended.
    async fn send(
        &self,
        tries: &mut Tries<'_>,
        request: impl Fn(&reqwest::Client, Option<&Credentials>) -> RequestBuilder,
    ) -> Result<Answer> {
        let credentials = self.credentials().await?;
        let answer = tries.send(|http| request(http, credentials.as_deref())).await?;
        let is_over = |refusal: &Refusal| {
            let code = between(&refusal.body, "<Code>", "</Code>").unwrap_or_default();
            matches!(code, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
        };
        if !answer.as_ref().is_err_and(is_over) {
            return Ok(answer);
        }
        self.0.provider.forget(credentials.as_ref()).await;
        let credentials = self.credentials().await?;
        tries.send(|http| request(http, credentials.as_deref())).await
    }

    /// Returns the first key that begins with `prefix`, for a person who waits.
    async fn first(&self, bucket: &Bucket, prefix: &str) -> Result<Option<String>> {
        let page = self.page(bucket, prefix, None, 1, PROMPTLY).await?;
        Ok(page.contents.into_iter().next().map(|content| content.key))
    }

    /// Returns a page of keys that begin with `prefix`.
    async fn page(
        &self,
        bucket: &Bucket,
        prefix: &str,
        token: Option<&str>,
        n: usize,
        patience: Duration,
    ) -> Result<ListObjectsV2Response> {
        let operation = format!("list `{SCHEME}{}/{prefix}`", bucket.name());
        let mut tries = self.0.client.tries(&operation, patience);
        loop {
            let request = |http: &reqwest::Client, credentials: Option<&Credentials>| {
                let mut action = ListObjectsV2::new(bucket, credentials);
                action.with_prefix(prefix);
                action.with_max_keys(n);
                if let Some(token) = token {
                    action.with_continuation_token(token);
                }
                http.get(action.sign(SIGNED_FOR))
            };
            let answer = self.send(&mut tries, request).await?;
            let text = match self.accepted(answer, bucket, None)?.text().await {
                Ok(text) => text,
                Err(error) => {
                    tries.failed(crate::client::told(&error), None);
                    continue;
                }
            };
            // A page that was cut off is no page.
            match parsed(&text) {
                Ok(page) => return Ok(page),
                Err(why) => tries.failed(format!("the listing cannot be read: {why}"), None),
            }
        }
    }

    /// Returns the answer, or what a refusal means; `key` is unset for the bucket itself.
    fn accepted(
        &self,
        answer: Answer,
        bucket: &Bucket,
        key: Option<&str>,
    ) -> Result<reqwest::Response> {
        let Refusal { status, body, .. } = match answer {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        let code = between(&body, "<Code>", "</Code>").unwrap_or_default();
        let name = bucket.name();
        let uri = key.map_or_else(|| format!("{SCHEME}{name}/"), |key| key::uri(name, key));
        let place = self.0.endpoint.host_str().unwrap_or_default();
        let error = match (status, code) {
            (_, "NoSuchBucket") => {
                let message = format!("bucket `{name}` does not exist at {place}");
                // A setting is wrong; what is looked for may exist.
                Error::new(ErrorKind::Invalid, message)
                    .with_hint("check the spelling of the bucket, and `s3.endpoint`")
            }
            (_, "RequestTimeTooSkewed") => {
                let message = format!("{place} says that this machine's clock is wrong");
                Error::new(ErrorKind::Unauthenticated, message).with_hint("set the clock by NTP")
            }
            (
                _,
                "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken",
            ) => {
                let message = format!("{place} does not accept the credentials ({code})");
                Error::new(ErrorKind::Unauthenticated, message).with_hint(
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws/credentials",
                )
            }
            (StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT, _)
            | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
                let region = between(&body, "<Region>", "</Region>");
                let hint = region.map_or_else(
                    || "set `s3.region` or `s3.endpoint` to the bucket's own".to_owned(),
                    |region| format!("set `s3.region` to `{region}`"),
                );
                let message =
                    format!("bucket `{name}` is in another region than `{}`", self.0.region);
                Error::new(ErrorKind::Invalid, message).with_hint(hint)
            }
            (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => {
                let who = if self.0.provider.is_anonymous() { "without credentials " } else { "" };
                let message = format!("{who}{place} does not allow reading `{uri}`");
                let needs = "`s3:ListBucket` on the bucket and `s3:GetObject` on its objects";
                Error::new(ErrorKind::Forbidden, message).with_hint(format!("allow {needs}"))
            }
            (StatusCode::NOT_FOUND, _) => {
                Error::new(ErrorKind::NotFound, format!("`{uri}` does not exist"))
                    .with_hint("check the spelling")
            }
            (StatusCode::PRECONDITION_FAILED, _) => changed(&uri),
            _ => {
                let told = between(&body, "<Message>", "</Message>").unwrap_or(code);
                let message = format!("{place} refuses `{uri}`: {status} {told}");
                Error::new(ErrorKind::Unavailable, message)
            }
        };
        Err(error)
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn resolve(&self, source: &str) -> Result<String> {
        let (name, key) = key::typed(source)?;
        let bucket = self.bucket(name)?;
        let mut known = vec![key.to_owned()];
        // Our own addresses encode some characters; people and other tools write them as they are.
        known.extend(key::decoded(key).filter(|decoded| decoded != key));
        for key in &known {
            let is_folder = key.is_empty() || key.ends_with('/');
            if !is_folder && self.first(&bucket, key).await?.as_ref() == Some(key) {
                return Ok(key::uri(name, key));
            }
            let folder = if is_folder { key.clone() } else { format!("{key}/") };
            let below = self.first(&bucket, &folder).await?;
            // A bucket without objects is a source; a prefix without is a mistake.
            if folder.is_empty() || below.is_some() {
                return Ok(key::uri(name, &folder));
            }
        }
        let message = format!("`{}` does not exist", source.trim_end_matches('/'));
        let alike = self.first(&bucket, key.trim_end_matches('/')).await?;
        Err(Error::new(ErrorKind::NotFound, message).with_hint(match alike {
            Some(alike) => {
                format!("a prefix ends at a `/`; there is `{}`", key::uri(name, &alike))
            }
            None => format!("no key of the bucket begins with `{key}`; check the spelling"),
        }))
    }

    async fn list(&self, source: &str) -> Result<Listing> {
        let (name, prefix) = key::split(source)?;
        let bucket = self.bucket(&name)?;
        let is_object = !prefix.is_empty() && !prefix.ends_with('/');
        let n = if is_object { 1 } else { PAGE };
        let first = self.page(&bucket, &prefix, None, n, PATIENTLY).await?;
        let exists = match first.contents.first() {
            Some(first) => !is_object || first.key == prefix,
            None => prefix.is_empty(),
        };
        if !exists {
            return Err(Error::new(ErrorKind::NotFound, format!("`{source}` does not exist"))
                .with_hint("check the spelling, and that the objects are still there"));
        }
        let mut walk = Walk::begin(self.clone(), bucket, prefix, first)?;
        if is_object {
            walk.end();
        }
        Ok(stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|entry| (entry, walk)))
        })
        .boxed())
    }

    fn uri_of(&self, bucket: &str, key: &str) -> Result<String> {
        if let Some(reason) = key::unfit(key) {
            return Err(Error::new(ErrorKind::Invalid, format!("key `{key}`: {reason}")));
        }
        Ok(key::uri(bucket, key))
    }

    async fn get(&self, uri: &str, limit: u64) -> Result<(ObjectMeta, Content)> {
        let (name, key) = key::split(uri)?;
        if let Some(why) = key::unfit(&key) {
            return Err(Error::new(ErrorKind::Unsupported, format!("`{uri}`: {why}")));
        }
        fetch::get(self, &self.bucket(&name)?, &key, limit).await
    }

    async fn check(&self) -> Result<()> {
        self.credentials().await.map(drop)
    }
}

/// Returns the change marker of an object: its entity tag, or where there is none its date and size.
fn marker(etag: Option<&str>, modified: Option<&str>, size: u64) -> String {
    let bare = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
    match bare.filter(|etag| !etag.is_empty()) {
        Some(etag) => etag.to_owned(),
        None => format!("{size:x}-{}", modified.unwrap_or_default()),
    }
}

fn changed(uri: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("`{uri}` changed while it was read"))
        .with_retry(vellum_core::Retry::Later)
}

/// Reads a page of a listing, which must be whole: the parser takes an end in the middle for the end of the listing.
fn parsed(text: &str) -> std::result::Result<ListObjectsV2Response, String> {
    let text = with_namespace(text.trim_end());
    // Its end tag, or nothing but its empty tag.
    let last = text.rsplit_once('<').map_or("", |(_, last)| last);
    if last != "/ListBucketResult>"
        && !(last.starts_with("ListBucketResult") && last.ends_with("/>"))
    {
        return Err("it ends in the middle".to_owned());
    }
    ListObjectsV2::parse_response(&text).map_err(|error| error.to_string())
}

/// Returns a listing with the namespace of S3, which GCS writes in a way of its own and others leave out.
fn with_namespace(text: &str) -> Cow<'_, str> {
    const ROOT: &str = "<ListBucketResult";
    const OURS: &str = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    let Some((before, rest)) = text.split_once(ROOT) else { return text.into() };
    match rest.split_once('>') {
        Some(_) if text[before.len()..].starts_with(OURS) => text.into(),
        Some((attributes, rest)) => {
            let end = if attributes.ends_with('/') { "/" } else { "" };
            format!("{before}{OURS}{end}>{rest}").into()
        }
        None => text.into(),
    }
}

/// Returns what stands between two marks: enough for the flat XML of S3's errors.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_other_namespaces_are_read() {
        let contents =
            "<Contents><Key>a</Key><Size>1</Size></Contents><IsTruncated>false</IsTruncated>";
        for attributes in [
            "",
            " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"",
            " xmlns='http://doc.s3.amazonaws.com/2006-03-01'",
        ] {
            let text = format!(
                "<?xml version='1.0'?><ListBucketResult{attributes}>{contents}</ListBucketResult>"
            );
            let page = parsed(&text).expect(attributes);
            assert_eq!(page.contents.len(), 1);
            let empty = format!("<ListBucketResult{attributes}/>");
            assert!(parsed(&empty).is_ok());
            // Half a page is no page.
            for end in 1..text.len() {
                assert!(parsed(&text[..end]).is_err(), "{}", &text[..end]);
            }
        }
    }
}
