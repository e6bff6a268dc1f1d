//! One object as one version: ranges that all belong to one entity tag.
//!
//! The first range tells tag and size; a small object is whole with it. Further ranges, and what continues a body that
//! was cut off, ask for the same tag (`If-Match`), so an object that is replaced meanwhile is a conflict and never a
//! mixture. Objects beyond the first range go to an unnamed file.

use super::{S3Store, SIGNED_FOR, changed, key, marker};
use crate::client::{PATIENTLY, told};
use reqwest::{Response, StatusCode, header};
use rusty_s3::Bucket;
use rusty_s3::actions::S3Action;
use std::io::Write;
use std::sync::Arc;
use vellum_core::ports::{Content, ObjectMeta};
use vellum_core::{Error, ErrorKind, Result};

/// Bytes of a range, and of the largest object that is held in memory.
const RANGE: u64 = 8 << 20;

/// Reads the object at `key`.
pub(super) async fn get(
    store: &S3Store,
    bucket: &Bucket,
    key: &str,
    limit: u64,
) -> Result<(ObjectMeta, Content)> {
    let uri = key::uri(bucket.name(), key);
    let operation = format!("read `{uri}`");
    let mut reader = Reader { store, bucket, key, uri: &uri, operation, version: None };
    let mut bytes = Vec::new();
    let size = reader.range(0, limit, &mut bytes).await?;
    let content = if bytes.len() as u64 == size {
        Content::from(bytes)
    } else {
        reader.spool(bytes, size, limit).await?
    };
    let etag = reader.version.map(|version| version.marker).unwrap_or_default();
    Ok((ObjectMeta { name: key::name(key), size, etag, uri }, content))
}

struct Reader<'a> {
    store: &'a S3Store,
    bucket: &'a Bucket,
    key: &'a str,
    uri: &'a str,
    operation: String,
    /// The version that is read, once its first answer came.
    version: Option<Version>,
}

/// What an answer tells of the object.
#[derive(PartialEq)]
struct Version {
    /// The entity tag as the server writes it.
    tag: Option<header::HeaderValue>,
    size: u64,
    marker: String,
}

impl Reader<'_> {
    /// Reads the range that begins at `start` into `bytes`, which is empty; returns the size of the object.
    async fn range(&mut self, start: u64, limit: u64, bytes: &mut Vec<u8>) -> Result<u64> {
        let client = &self.store.0.client;
        let operation = self.operation.clone();
        let mut tries = client.tries(&operation, PATIENTLY);
        loop {
            tries.turn().await?;
            let mut response = self.ask(start + bytes.len() as u64, start + RANGE - 1).await?;
            let size = self.recognise(&response)?;
            if size > limit {
                return Err(crate::too_large(size, limit));
            }
            let wanted = size.saturating_sub(start).min(RANGE) as usize;
            let broken = loop {
                match response.chunk().await {
                    _ if bytes.len() == wanted => return Ok(size),
                    Ok(Some(piece)) => {
                        let room = wanted - bytes.len();
                        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                        tries.got_on();
                    }
                    Ok(None) => {
                        break format!("the body ends after {} of {wanted} bytes", bytes.len());
                    }
                    Err(error) => break told(&error),
                }
            };
            tries.failed(broken, None);
        }
    }

    /// Asks for the bytes `at..=end`; of an empty object there is no range, so it is asked for whole.
    async fn ask(&self, at: u64, end: u64) -> Result<Response> {
        let Self { store, bucket, key, .. } = self;
        let credentials = store.credentials().await?;
        let send = async |is_ranged: bool| {
            let answer = store.0.client.call(&self.operation, PATIENTLY, |http| {
                let action = bucket.get_object(credentials.as_deref(), key);
                let mut get = http.get(action.sign(SIGNED_FOR));
                // Packed on the way, a body would have another length than the object.
                get = get.header(header::ACCEPT_ENCODING, "identity");
                if is_ranged {
                    get = get.header(header::RANGE, format!("bytes={at}-{end}"));
                }
                match self.version.as_ref().and_then(|version| version.tag.clone()) {
                    Some(tag) => get.header(header::IF_MATCH, tag),
                    None => get,
                }
            });
            answer.await
        };
        let mut answer = send(true).await?;
        let is_empty = |refusal: &crate::client::Refusal| {
            refusal.status == StatusCode::RANGE_NOT_SATISFIABLE && at == 0
        };
        if answer.as_ref().is_err_and(is_empty) {
            answer = send(false).await?;
        }
        if answer.as_ref().is_err_and(|refusal| refusal.status == StatusCode::RANGE_NOT_SATISFIABLE)
        {
            return Err(changed(self.uri));
        }
        let response = store.accepted(answer, bucket, Some(key))?;
        if at > 0 && !starts_at(&response, at) {
            let message =
                format!("`{}`: the server sends another range than was asked for", self.uri);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(response)
    }

    /// Checks that an answer belongs to the version that is read; returns the object's size.
    fn recognise(&mut self, response: &Response) -> Result<u64> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(header::CONTENT_RANGE).and_then(|range| range.rsplit_once('/'));
        let whole = || header(header::CONTENT_LENGTH)?.parse().ok();
        let size = range.map_or_else(whole, |(_, size)| size.parse().ok()).ok_or_else(|| {
            let message = format!("`{}`: the server does not tell the size", self.uri);
            Error::new(ErrorKind::Unavailable, message)
        })?;
        let tag = response.headers().get(header::ETAG).cloned();
        let marker = marker(header(header::ETAG), header(header::LAST_MODIFIED), size);
        let version = Version { tag, size, marker };
        match &self.version {
            Some(known) if *known != version => Err(changed(self.uri)),
            Some(_) => Ok(size),
            None => {
                self.version = Some(version);
                Ok(size)
            }
        }
    }

    /// Writes `bytes`, the first range, and all others to an unnamed file.
    async fn spool(&mut self, mut bytes: Vec<u8>, size: u64, limit: u64) -> Result<Content> {
        let folder = self.store.0.spool.clone();
        let mut file = self
            .on_disk(move || {
                std::fs::create_dir_all(&folder)?;
                tempfile::tempfile_in(&folder)
            })
            .await?;
        let mut at = 0;
        loop {
            at += bytes.len() as u64;
            (file, bytes) = self
                .on_disk(move || {
                    file.write_all(&bytes)?;
                    bytes.clear();
                    Ok((file, bytes))
                })
                .await?;
            if at == size {
                return Ok(Content::Spooled { file: Arc::new(file), len: size });
            }
            self.range(at, limit, &mut bytes).await?;
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let spool = self.store.0.spool.display();
        let failed = |error| {
            Error::io(format!("cannot copy `{}` to `{spool}`", self.uri), error)
                .with_hint("make room there: large objects are copied while they are read")
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(failed),
            Err(error) => Err(failed(std::io::Error::other(error))),
        }
    }
}

/// Returns whether an answer holds the bytes from `at` on.
fn starts_at(response: &Response, at: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok())
        == Some(at)
}
