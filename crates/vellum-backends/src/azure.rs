//! Azure Blob Storage, by its REST API.
//!
//! A source is `az://container/prefix` in the one account of the settings; `abfss://container@account.dfs.core.windows.net/prefix`,
//! as Spark and Databricks write it, is taken for the same. A version is an entity tag (`If-Match`).
//!
//! Accounts with a hierarchical namespace tell of each blob what it is (`ResourceType`) and list `a/z` before `a-b`, which
//! is not the order of bytes: they are listed folder by folder.
//!
//! Who asks is found in [`credentials`]; [`sign`] signs for an account's key.

mod credentials;
mod page;
mod sign;

use crate::Environment;
use crate::bucket::{self, Ask, Below, BucketStore, Keeper, Page, Service, between};
use crate::client::{Answer, Client, Refusal, Tries};
use async_trait::async_trait;
use credentials::{Connection, Identity, Provider};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use std::borrow::Cow;
use std::path::PathBuf;
use vellum_core::{Error, ErrorKind, Result};

/// What an address of this store begins with, and how the drivers of Hadoop write it.
pub(crate) const SCHEME: &str = "az://";
pub(crate) const ABFS: [&str; 2] = ["abfss://", "abfs://"];
/// The version of the API that is spoken.
const VERSION: &str = "2021-12-02";
/// What a path cannot hold as it is: all but RFC 3986's unreserved characters and `/`.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Where containers of Azure are.
#[derive(Debug, Clone, Default)]
pub struct AzureSettings {
    /// Storage account; empty: what the environment says.
    pub account: String,
    /// Address of the account's blobs; empty: what the environment says, else Azure's own.
    pub endpoint: String,
}

/// One account of Azure Blob Storage.
#[derive(Debug)]
struct Azure {
    client: Client,
    account: String,
    /// Unset: no account is configured.
    endpoint: Option<Url>,
    keeper: Keeper<Provider>,
}

impl BucketStore {
    /// Returns the containers of an account of Azure; copies of large objects are kept in the folder `spool` while they
    /// are used.
    ///
    /// # Errors
    /// `Invalid` when the endpoint is no address, or a connection string is none.
    pub fn azure(
        settings: &AzureSettings,
        environment: Environment,
        spool: PathBuf,
    ) -> Result<Self> {
        let connection = Connection::read(&environment)?;
        let own = [settings.account.as_str(), connection.account.as_str()];
        let account = own.into_iter().find(|it| !it.is_empty()).unwrap_or_default();
        let is_told = [account, ""].contains(&connection.account.as_str());
        let endpoint = match (settings.endpoint.as_str(), connection.endpoint.as_str()) {
            ("", told) if is_told && !told.is_empty() => Some(told.to_owned()),
            ("", _) if account.is_empty() => None,
            ("", _) => Some(format!("https://{account}.blob.{}", connection.suffix)),
            (own, _) => Some(own.to_owned()),
        };
        let example = "https://account.blob.core.windows.net";
        let endpoint = endpoint.map(|it| bucket::endpoint("azure.endpoint", &it, example));
        let endpoint = endpoint.transpose()?;
        let account = match account {
            "" => endpoint.as_ref().map(account_of).unwrap_or_default(),
            known => known.to_owned(),
        };
        // A token goes nowhere in the clear.
        let is_private = endpoint.as_ref().is_none_or(bucket::is_private);
        let keeper = Keeper::new(Provider::new(environment, connection, is_private));
        let client = Client::new()?;
        Ok(Self::over(Azure { client, account, endpoint, keeper }, spool))
    }
}

/// Returns the account that an address tells: the first label of its host, or the first segment of its path where the
/// host is a number or this machine.
fn account_of(endpoint: &Url) -> String {
    let is_path = endpoint.domain().is_none_or(|domain| !domain.contains('.'));
    let mut segments = endpoint.path_segments().into_iter().flatten();
    let first = match is_path {
        true => segments.next(),
        false => endpoint.domain().and_then(|domain| domain.split('.').next()),
    };
    first.unwrap_or_default().to_owned()
}

impl Azure {
    /// Returns the address of a container, or of a blob in it.
    ///
    /// # Errors
    /// `Invalid` when no account is configured.
    fn address(&self, container: &str, key: Option<&str>) -> Result<Url> {
        let mut url = self.endpoint.clone().ok_or_else(|| {
            let message = "no account of Azure is configured";
            Error::new(ErrorKind::Invalid, message).with_hint(
                "set `azure.account`, or AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING",
            )
        })?;
        let mut path = format!("{}/{container}", url.path().trim_end_matches('/'));
        if let Some(key) = key {
            path.push('/');
            path.extend(utf8_percent_encode(key, PATH));
        }
        url.set_path(&path);
        Ok(url)
    }
}

#[async_trait]
impl Service for Azure {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn canonical<'s>(&self, source: &'s str) -> Result<Cow<'s, str>> {
        let Some(rest) = ABFS.into_iter().find_map(|scheme| source.strip_prefix(scheme)) else {
            return Ok(source.into());
        };
        let (place, key) = rest.split_once('/').unwrap_or((rest, ""));
        let (container, host) = place.split_once('@').unwrap_or((place, ""));
        let account = host.split('.').next().unwrap_or_default();
        if account != self.account {
            let message =
                format!("`{source}` is in the account `{account}`, not in `{}`", self.account);
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint(format!("set `azure.account` to `{account}`")));
        }
        Ok(format!("{SCHEME}{container}/{key}").into())
    }

    fn host(&self) -> &str {
        self.endpoint.as_ref().and_then(Url::host_str).unwrap_or_default()
    }

    fn client(&self) -> &Client {
        &self.client
    }

    fn version_header(&self) -> HeaderName {
        header::ETAG
    }

    async fn send(&self, tries: &mut Tries<'_>, bucket: &str, ask: Ask<'_>) -> Result<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        let url = match ask {
            Ask::Page { prefix, below, token, n } => {
                let mut url = self.address(bucket, None)?;
                url.query_pairs_mut()
                    .append_pair("restype", "container")
                    .append_pair("comp", "list")
                    .append_pair("prefix", prefix)
                    .append_pair("maxresults", &n.to_string())
                    .extend_pairs((below == Below::Folder).then_some(("delimiter", "/")))
                    .extend_pairs(token.map(|token| ("marker", token)));
                url
            }
            Ask::Object { key, range, version } => {
                // Packed on the way, a body would have another length than the object.
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
                if let Some((first, last)) = range {
                    let range = format!("bytes={first}-{last}");
                    let range = HeaderValue::from_str(&range).expect("digits are a header value");
                    headers.insert(header::RANGE, range);
                }
                headers.extend(version.map(|tag| (header::IF_MATCH, tag.clone())));
                self.address(bucket, Some(key))?
            }
        };
        let request = |http: &reqwest::Client, identity: Option<&Identity>| match identity {
            None => http.get(url.clone()).headers(headers.clone()),
            Some(Identity::Token(token)) => {
                http.get(url.clone()).headers(headers.clone()).bearer_auth(token)
            }
            Some(Identity::Signature(query)) => {
                let mut url = url.clone();
                let joined = format!("{}&{query}", url.query().unwrap_or_default());
                url.set_query(Some(joined.trim_start_matches('&')));
                http.get(url).headers(headers.clone())
            }
            Some(Identity::Key(key)) => {
                let now = std::time::SystemTime::now();
                let signed = sign::signed(key, &self.account, &url, headers.clone(), now);
                http.get(url.clone()).headers(signed)
            }
        };
        self.keeper.send(&self.client, tries, request).await
    }

    fn page(&self, text: &str) -> std::result::Result<Page, String> {
        page::read(text)
    }

    fn meaning(&self, refusal: &Refusal, bucket: &str, _key: Option<&str>) -> Option<Error> {
        let code = between(&refusal.body, "<Code>", "</Code>").unwrap_or_default();
        let (host, status) = (self.host(), refusal.status);
        let not_accepted = || {
            let message = format!("{host} does not accept the credentials ({code})");
            Error::new(ErrorKind::Unauthenticated, message)
        };
        Some(match code {
            // What is looked for may exist: a setting is wrong.
            "ContainerNotFound" | "ContainerBeingDeleted" => {
                let message = format!("container `{bucket}` does not exist at {host}");
                Error::new(ErrorKind::Invalid, message)
                    .with_hint("check the spelling of the container, and `azure.account`")
            }
            "InvalidResourceName" | "OutOfRangeInput" => {
                let message = format!("`{bucket}` cannot name a container");
                Error::new(ErrorKind::Invalid, message).with_hint("use az://container/prefix")
            }
            "AuthenticationFailed" if refusal.body.contains("Request date header") => {
                let message = format!("{host} says that this machine's clock is wrong");
                Error::new(ErrorKind::Unauthenticated, message).with_hint("set the clock by NTP")
            }
            "AuthenticationFailed" | "InvalidAuthenticationInfo" => {
                not_accepted().with_hint(credentials::HINT)
            }
            "KeyBasedAuthenticationNotPermitted" => not_accepted()
                .with_hint("the account takes no keys: use a workload or a managed identity"),
            "BlobArchived" => {
                let message = format!("an object of `{bucket}` is in the archive tier");
                Error::new(ErrorKind::Unsupported, message)
                    .with_hint("move it to the hot, cool or cold tier")
            }
            // Azure tells nobody who may not read what there is.
            "ResourceNotFound" | "PublicAccessNotPermitted" | "NoAuthenticationInformation"
                if self.is_anonymous() =>
            {
                let message =
                    format!("without credentials {host} does not allow reading `{bucket}`");
                Error::new(ErrorKind::Forbidden, message).with_hint(credentials::HINT)
            }
            _ if status == StatusCode::UNAUTHORIZED && !self.is_anonymous() => {
                not_accepted().with_hint(credentials::HINT)
            }
            _ => return None,
        })
    }

    fn words(&self, refusal: &Refusal) -> String {
        let part = |name| between(&refusal.body, &format!("<{name}>"), &format!("</{name}>"));
        let words = part("Message").or_else(|| part("Code")).unwrap_or_default();
        words.lines().next().unwrap_or_default().to_owned()
    }

    fn is_anonymous(&self) -> bool {
        self.keeper.is_anonymous()
    }

    fn needs(&self) -> &'static str {
        "it the role `Storage Blob Data Reader` on the container, or a SAS with the rights `r` and `l`; and this network in the account's firewall"
    }

    async fn check(&self) -> Result<()> {
        self.keeper.get(&self.client).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_addresses() {
        for (endpoint, account) in [
            ("https://mine.blob.core.windows.net", "mine"),
            ("https://mine.blob.core.usgovcloudapi.net/", "mine"),
            ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
            ("http://azurite:10000/devstoreaccount1/", "devstoreaccount1"),
            ("http://azurite:10000", ""),
        ] {
            assert_eq!(account_of(&Url::parse(endpoint).unwrap()), account, "{endpoint}");
        }
    }
}
