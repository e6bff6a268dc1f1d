//! Google Cloud Storage, by its JSON API.
//!
//! The JSON API and not the one that speaks like S3, because it can name every key and is what emulators of it answer. A
//! version is a generation (`ifGenerationMatch`). An object that is stored packed with gzip is asked for as it is
//! stored, else Google would unpack it and know no ranges of it.
//!
//! Who asks is found in [`credentials`]; what is around a question and its answer is [`crate::bucket`].

mod credentials;

use crate::Environment;
use crate::bucket::{self, Ask, BucketStore, Item, Keeper, Page, Service, key};
use crate::client::{Answer, Client, Refusal, Tries};
use async_trait::async_trait;
use credentials::{Provider, Token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, HeaderName};
use reqwest::{StatusCode, Url};
use serde_json::Value;
use std::path::PathBuf;
use vellum_core::{Error, ErrorKind, Result};

/// What an address of this store begins with.
pub(crate) const SCHEME: &str = "gs://";
/// Where Google answers.
const GOOGLE: &str = "https://storage.googleapis.com";
/// The header that tells a generation.
const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");
/// What a segment of a path cannot hold as it is: all but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where buckets of Google Cloud Storage are.
#[derive(Debug, Clone, Default)]
pub struct GcsSettings {
    /// Address of the service; empty: what `STORAGE_EMULATOR_HOST` says, else Google's own.
    pub endpoint: String,
}

/// Google Cloud Storage at one address.
#[derive(Debug)]
struct Gcs {
    client: Client,
    endpoint: Url,
    keeper: Keeper<Provider>,
}

impl BucketStore {
    /// Returns the buckets of Google Cloud Storage; copies of large objects are kept in the folder `spool` while they
    /// are used.
    ///
    /// # Errors
    /// `Invalid` when the endpoint is no address.
    pub fn gcs(settings: &GcsSettings, environment: Environment, spool: PathBuf) -> Result<Self> {
        let emulator = environment.get("STORAGE_EMULATOR_HOST");
        let (endpoint, is_emulated) = match (settings.endpoint.as_str(), emulator) {
            ("", "") => (GOOGLE.to_owned(), false),
            ("", host) if host.contains("://") => (host.to_owned(), true),
            ("", host) => (format!("http://{host}"), true),
            (own, _) => (own.to_owned(), false),
        };
        let endpoint = bucket::endpoint("gcs.endpoint", &endpoint, GOOGLE)?;
        // An emulator knows nobody, and a token goes nowhere in the clear.
        let is_open = is_emulated || !bucket::is_private(&endpoint);
        let keeper = Keeper::new(Provider::new(environment, is_open));
        Ok(Self::over(Gcs { client: Client::new()?, endpoint, keeper }, spool))
    }
}

impl Gcs {
    /// Returns the address of a bucket's objects, or of one of them.
    fn address(&self, bucket: &str, key: Option<&str>) -> Url {
        let mut url = self.endpoint.clone();
        // Some write the whole of it into STORAGE_EMULATOR_HOST.
        let base = url.path().trim_end_matches('/');
        let mut path = format!("{}/storage/v1/b/{bucket}/o", base.trim_end_matches("/storage/v1"));
        if let Some(key) = key {
            path.push('/');
            path.extend(utf8_percent_encode(key, SEGMENT));
        }
        url.set_path(&path);
        url
    }
}

#[async_trait]
impl Service for Gcs {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn unfit(&self, key: &str) -> Option<&'static str> {
        // A key is one segment of an address, its slashes encoded.
        match key {
            "." | ".." => key::unfit(key),
            _ => key::controlled(key),
        }
    }

    fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    fn client(&self) -> &Client {
        &self.client
    }

    fn version_header(&self) -> HeaderName {
        GENERATION
    }

    async fn send(&self, tries: &mut Tries<'_>, bucket: &str, ask: Ask<'_>) -> Result<Answer> {
        let request = |http: &reqwest::Client, token: Option<&Token>| {
            let mut get = match ask {
                Ask::Page { prefix, token, n, .. } => {
                    let fields = "items(name,size,generation),nextPageToken";
                    let mut url = self.address(bucket, None);
                    url.query_pairs_mut()
                        .append_pair("prefix", prefix)
                        .append_pair("maxResults", &n.to_string())
                        .append_pair("fields", fields)
                        .extend_pairs(token.map(|token| ("pageToken", token)));
                    http.get(url)
                }
                Ask::Object { key, range, version } => {
                    let mut url = self.address(bucket, Some(key));
                    let generation = version.and_then(|version| version.to_str().ok());
                    url.query_pairs_mut()
                        .append_pair("alt", "media")
                        .extend_pairs(generation.map(|it| ("ifGenerationMatch", it)));
                    let get = http.get(url).header(header::ACCEPT_ENCODING, "gzip");
                    match range {
                        Some((first, last)) => {
                            get.header(header::RANGE, format!("bytes={first}-{last}"))
                        }
                        None => get,
                    }
                }
            };
            if let Some(token) = token {
                get = get.bearer_auth(token.secret());
            }
            get
        };
        self.keeper.send(&self.client, tries, request).await
    }

    fn page(&self, text: &str) -> std::result::Result<Page, String> {
        let page: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let text = |of: &Value, name: &str| of.get(name)?.as_str().map(str::to_owned);
        let item = |item: &Value| {
            let size = text(item, "size").and_then(|size| size.parse().ok()).unwrap_or_default();
            let key = text(item, "name").ok_or("an object has no name")?;
            Ok(Item { key, size, version: text(item, "generation"), modified: None })
        };
        // An empty listing has no items.
        let items = page.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let items: std::result::Result<_, &str> = items.iter().map(item).collect();
        Ok(Page { items: items?, next: text(&page, "nextPageToken"), ..Page::default() })
    }

    fn meaning(&self, refusal: &Refusal, bucket: &str, key: Option<&str>) -> Option<Error> {
        let host = self.host();
        let words = self.words(refusal);
        match refusal.status {
            StatusCode::NOT_FOUND if key.is_none() || words.contains("bucket does not exist") => {
                let message = format!("bucket `{bucket}` does not exist at {host}");
                // A setting is wrong; what is looked for may exist.
                let hint = "check the spelling of the bucket, and `gcs.endpoint`";
                Some(Error::new(ErrorKind::Invalid, message).with_hint(hint))
            }
            StatusCode::BAD_REQUEST if words.to_lowercase().contains("invalid bucket name") => {
                let message = format!("`{bucket}` cannot name a bucket");
                Some(Error::new(ErrorKind::Invalid, message).with_hint("use gs://bucket/prefix"))
            }
            StatusCode::UNAUTHORIZED if !self.is_anonymous() => {
                let message = format!("{host} does not accept the credentials ({words})");
                Some(Error::new(ErrorKind::Unauthenticated, message).with_hint(credentials::HINT))
            }
            _ => None,
        }
    }

    fn words(&self, refusal: &Refusal) -> String {
        let answer: Option<Value> = serde_json::from_str(&refusal.body).ok();
        let words = answer.as_ref().and_then(|it| it.pointer("/error/message")?.as_str());
        // Answers about content are words as they are.
        words.unwrap_or_else(|| refusal.body.lines().next().unwrap_or_default()).to_owned()
    }

    fn is_anonymous(&self) -> bool {
        self.keeper.is_anonymous()
    }

    fn needs(&self) -> &'static str {
        "it the role `roles/storage.objectViewer` on the bucket"
    }

    async fn check(&self) -> Result<()> {
        self.keeper.get(&self.client).await.map(drop)
    }
}
