//! The services that hold buckets, as a test sees them: how a store of one is made, and how one answers.

use std::path::Path;
use vellum_backends::{AzureSettings, BucketStore, Environment, GcsSettings, S3Settings};

/// Key and secret of S3, and the account of Azurite with its key, which everybody knows.
pub(crate) const KEY: &str = "testing";
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    S3,
    Gcs,
    Azure,
}

/// What is asked of a server.
pub(crate) enum Question {
    /// Keys that begin with a prefix and follow another one.
    Page { prefix: String, after: String, most: Option<usize> },
    /// An object, of any version or of one.
    Object { key: String, version: Option<String> },
}

impl Dialect {
    pub(crate) const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Gcs => "gs://",
            Self::Azure => "az://",
        }
    }

    /// Returns a store on the service at `address`, such as `127.0.0.1:80`.
    pub(crate) fn store(self, address: &str, spool: &Path) -> BucketStore {
        let spool = spool.to_owned();
        let endpoint = format!("http://{address}");
        let only = |name: &'static str, value: String| {
            Environment::read(|asked| (asked == name).then(|| value.clone()))
        };
        let made = match self {
            Self::S3 => {
                let settings = S3Settings { endpoint, ..S3Settings::default() };
                let environment = Environment::read(|name| {
                    matches!(name, "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY")
                        .then(|| KEY.to_owned())
                });
                BucketStore::s3(&settings, environment, spool)
            }
            Self::Gcs => {
                let environment = only("STORAGE_EMULATOR_HOST", address.to_owned());
                BucketStore::gcs(&GcsSettings::default(), environment, spool)
            }
            Self::Azure => {
                let connection = format!(
                    "AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint}/{ACCOUNT};"
                );
                let environment = only("AZURE_STORAGE_CONNECTION_STRING", connection);
                BucketStore::azure(&AzureSettings::default(), environment, spool)
            }
        };
        made.unwrap()
    }

    /// Reads a request for bucket `b`.
    pub(crate) fn question(self, target: &str, if_match: Option<&str>) -> Question {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let value = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        let root = match self {
            Self::S3 => "/b",
            Self::Gcs => "/storage/v1/b/b/o",
            Self::Azure => "/devstoreaccount1/b",
        };
        let [token, most] = match self {
            Self::S3 => ["continuation-token", "max-keys"],
            Self::Gcs => ["pageToken", "maxResults"],
            Self::Azure => ["marker", "maxresults"],
        };
        let key = path.strip_prefix(root).unwrap_or_default().trim_start_matches('/');
        if key.is_empty() {
            return Question::Page {
                prefix: value("prefix").unwrap_or_default(),
                after: value(token).unwrap_or_default(),
                most: value(most).and_then(|most| most.parse().ok()),
            };
        }
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        let version = match self {
            Self::Gcs => value("ifGenerationMatch"),
            Self::S3 | Self::Azure => if_match.map(str::to_owned),
        };
        Question::Object { key, version }
    }

    /// Returns the version of content: another one where the first byte or the length differs.
    pub(crate) fn version(self, content: &[u8]) -> String {
        let first = content.first().copied().unwrap_or_default();
        match self {
            Self::Gcs => format!("{}", u64::from(first) << 32 | content.len() as u64),
            Self::S3 | Self::Azure => format!("\"{first:x}-{}\"", content.len()),
        }
    }

    pub(crate) fn version_header(self) -> &'static str {
        if self == Self::Gcs { "X-Goog-Generation" } else { "ETag" }
    }

    /// Returns a page of keys, each with its content.
    pub(crate) fn page(self, items: &[(&String, &Vec<u8>)], next: Option<&str>) -> String {
        let each = |item: &dyn Fn(&str, String, usize) -> String| -> Vec<String> {
            let item = |(key, content): &(&String, &Vec<u8>)| {
                item(key, self.version(content), content.len())
            };
            items.iter().map(item).collect()
        };
        match self {
            Self::S3 => {
                let contents = each(&|key, version, size| {
                    let tag = version.replace('"', "&quot;");
                    format!(
                        "<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size></Contents>"
                    )
                });
                let end = match next {
                    Some(next) => format!(
                        "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
                    ),
                    None => "<IsTruncated>false</IsTruncated>".to_owned(),
                };
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}{end}</ListBucketResult>",
                    contents.concat()
                )
            }
            Self::Gcs => {
                let items = each(&|key, generation, size| {
                    format!(
                        "{{\"name\":{key:?},\"generation\":\"{generation}\",\"size\":\"{size}\"}}"
                    )
                });
                let next = next.map(|next| format!(",\"nextPageToken\":{next:?}"));
                format!("{{\"items\":[{}]{}}}", items.join(","), next.unwrap_or_default())
            }
            Self::Azure => {
                let blobs = each(&|key, version, size| {
                    let tag = version.replace('"', "");
                    format!(
                        "<Blob><Name>{key}</Name><Properties><Etag>{tag}</Etag><Content-Length>{size}</Content-Length></Properties></Blob>"
                    )
                });
                format!(
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>{}</Blobs><NextMarker>{}</NextMarker></EnumerationResults>",
                    blobs.concat(),
                    next.unwrap_or_default()
                )
            }
        }
    }
}
