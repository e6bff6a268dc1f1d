//! S3 and what speaks like it: MinIO, SeaweedFS, Ceph, R2, GCS with HMAC keys.
//!
//! Signing and parsing is `rusty-s3`, sans I/O: an address is signed, and with it nothing but the host. What is around a
//! question and its answer is [`crate::bucket`].

mod credentials;
mod platform;

use crate::Environment;
use crate::bucket::{self, Ask, BucketStore, Item, Keeper, Page, Service, between};
use crate::client::{Answer, Client, Refusal, Tries};
use async_trait::async_trait;
use credentials::Provider;
use reqwest::header::{self, HeaderName};
use reqwest::{StatusCode, Url};
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;
use vellum_core::{Error, ErrorKind, Result};

/// What an address of this store begins with.
pub(crate) const SCHEME: &str = "s3://";
/// How long a signed address holds; longer than any call waits for its turn.
const SIGNED_FOR: Duration = Duration::from_secs(600);

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

/// S3 at one address.
#[derive(Debug)]
struct S3 {
    client: Client,
    endpoint: Url,
    region: String,
    style: UrlStyle,
    keeper: Keeper<Provider>,
}

impl BucketStore {
    /// Returns the buckets of S3; copies of large objects are kept in the folder `spool` while they are used.
    ///
    /// # Errors
    /// `Invalid` when the endpoint is no address.
    pub fn s3(settings: &S3Settings, environment: Environment, spool: PathBuf) -> Result<Self> {
        let told = environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let region = [settings.region.as_str(), told, "us-east-1"];
        let region =
            region.into_iter().find(|region| !region.is_empty()).unwrap_or_default().to_owned();
        let told = environment.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        let own = [settings.endpoint.as_str(), told];
        let own = own.into_iter().find(|endpoint| !endpoint.is_empty()).map(str::to_owned);
        let is_own = own.is_some();
        let endpoint = own.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = bucket::endpoint("s3.endpoint", &endpoint, "http://minio.storage:9000")?;
        let is_path = settings.path_style.unwrap_or(is_own);
        let style = if is_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let keeper = Keeper::new(Provider::new(environment, region.clone()));
        let s3 = S3 { client: Client::new()?, endpoint, region, style, keeper };
        Ok(Self::over(s3, spool))
    }
}

#[async_trait]
impl Service for S3 {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    fn client(&self) -> &Client {
        &self.client
    }

    fn version_header(&self) -> HeaderName {
        header::ETAG
    }

    async fn send(&self, tries: &mut Tries<'_>, bucket: &str, ask: Ask<'_>) -> Result<Answer> {
        let Self { endpoint, style, region, .. } = self;
        let name = bucket.to_owned();
        let bucket =
            Bucket::new(endpoint.clone(), *style, name, region.clone()).map_err(|error| {
                Error::new(ErrorKind::Invalid, format!("`{bucket}` cannot name a bucket"))
                    .with_source(error)
            })?;
        let request = |http: &reqwest::Client, credentials: Option<&Credentials>| match ask {
            Ask::Page { prefix, token, n, .. } => {
                let mut action = ListObjectsV2::new(&bucket, credentials);
                action.with_prefix(prefix);
                action.with_max_keys(n);
                if let Some(token) = token {
                    action.with_continuation_token(token);
                }
                http.get(action.sign(SIGNED_FOR))
            }
            Ask::Object { key, range, version } => {
                let action = bucket.get_object(credentials, key);
                let mut get = http.get(action.sign(SIGNED_FOR));
                // Packed on the way, a body would have another length than the object.
                get = get.header(header::ACCEPT_ENCODING, "identity");
                if let Some((first, last)) = range {
                    get = get.header(header::RANGE, format!("bytes={first}-{last}"));
                }
                match version {
                    Some(tag) => get.header(header::IF_MATCH, tag),
                    None => get,
                }
            }
        };
        self.keeper.send(&self.client, tries, request).await
    }

    fn page(&self, text: &str) -> std::result::Result<Page, String> {
        let ListObjectsV2Response { contents, next_continuation_token, .. } = parsed(text)?;
        let items = contents.into_iter().map(|content| Item {
            key: content.key,
            size: content.size.unwrap_or_default(),
            version: content.etag,
            modified: content.last_modified,
        });
        Ok(Page { items: items.collect(), next: next_continuation_token, ..Page::default() })
    }

    fn meaning(&self, refusal: &Refusal, bucket: &str, _key: Option<&str>) -> Option<Error> {
        let Refusal { status, body, .. } = refusal;
        let code = between(body, "<Code>", "</Code>").unwrap_or_default();
        let host = self.host();
        Some(match (*status, code) {
            (_, "NoSuchBucket") => {
                let message = format!("bucket `{bucket}` does not exist at {host}");
                // A setting is wrong; what is looked for may exist.
                Error::new(ErrorKind::Invalid, message)
                    .with_hint("check the spelling of the bucket, and `s3.endpoint`")
            }
            (_, "RequestTimeTooSkewed") => {
                let message = format!("{host} says that this machine's clock is wrong");
                Error::new(ErrorKind::Unauthenticated, message).with_hint("set the clock by NTP")
            }
            (
                _,
                "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken",
            ) => {
                let message = format!("{host} does not accept the credentials ({code})");
                Error::new(ErrorKind::Unauthenticated, message).with_hint(
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws/credentials",
                )
            }
            (StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT, _)
            | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
                let region = between(body, "<Region>", "</Region>");
                let hint = region.map_or_else(
                    || "set `s3.region` or `s3.endpoint` to the bucket's own".to_owned(),
                    |region| format!("set `s3.region` to `{region}`"),
                );
                let message =
                    format!("bucket `{bucket}` is in another region than `{}`", self.region);
                Error::new(ErrorKind::Invalid, message).with_hint(hint)
            }
            _ => return None,
        })
    }

    fn words(&self, refusal: &Refusal) -> String {
        let part = |name| between(&refusal.body, &format!("<{name}>"), &format!("</{name}>"));
        part("Message").or_else(|| part("Code")).unwrap_or_default().to_owned()
    }

    fn is_anonymous(&self) -> bool {
        self.keeper.is_anonymous()
    }

    fn needs(&self) -> &'static str {
        "`s3:ListBucket` on the bucket and `s3:GetObject` on its objects"
    }

    async fn check(&self) -> Result<()> {
        self.keeper.get(&self.client).await.map(drop)
    }
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
