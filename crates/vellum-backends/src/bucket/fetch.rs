//! One object as one version: ranges that all belong to one version.
//!
//! The first range tells version and size; a small object is whole with it. Further ranges, and what continues a body that
//! was cut off, ask for the same one (`If-Match`), so an object that is replaced meanwhile is a conflict and never a
//! mixture. Objects beyond the first range go to an unnamed file.

use super::{Ask, BucketStore, changed, key, marker};
use crate::client::{Tries, told};
use crate::spool::{HELD, Spool, blocking};
use reqwest::{Response, StatusCode, header};
use vellum_core::ports::{Content, ObjectMeta};
use vellum_core::{Error, ErrorKind, Result};

/// Bytes of a range, and of the largest object that is held in memory.
const RANGE: u64 = HELD as u64;

/// Reads the object at `key`.
pub(super) async fn get(
    store: &BucketStore,
    bucket: &str,
    key: &str,
    limit: u64,
) -> Result<(ObjectMeta, Content)> {
    let uri = store.uri(bucket, key);
    let folder = &store.0.spool;
    let mut reader = Reader { store, bucket, key, uri: &uri, version: None };
    let mut spool = Spool::new(folder);
    let mut size = reader.range(&mut spool, limit).await?;
    while spool.len() < size {
        spool = blocking(&uri, folder, move || spool.flush().map(|()| spool)).await?;
        size = reader.range(&mut spool, limit).await?;
    }
    let content = blocking(&uri, folder, move || spool.finish()).await?;
    let etag = reader.version.map(|version| version.marker).unwrap_or_default();
    Ok((ObjectMeta { name: key::name(key), size, etag, uri }, content))
}

struct Reader<'a> {
    store: &'a BucketStore,
    bucket: &'a str,
    key: &'a str,
    uri: &'a str,
    /// The version that is read, once its first answer came.
    version: Option<Version>,
}

/// What an answer tells of the object.
#[derive(PartialEq)]
struct Version {
    /// What tells the version, as the server writes it.
    tag: Option<header::HeaderValue>,
    size: u64,
    marker: String,
}

impl Reader<'_> {
    /// Reads the range that follows what `spool` has; returns the size of the object.
    async fn range(&mut self, spool: &mut Spool, limit: u64) -> Result<u64> {
        let operation = format!("read `{}`", self.uri);
        let client = self.store.service().client();
        let mut tries = client.tries(&operation, self.store.0.patience);
        let end = spool.len() + RANGE - 1;
        loop {
            let mut response = self.ask(&mut tries, spool.len(), end).await?;
            let size = self.recognise(&response)?;
            if size > limit {
                return Err(crate::too_large(size, limit));
            }
            let wanted = size.min(end + 1);
            let broken = loop {
                let missing = wanted.saturating_sub(spool.len());
                if missing == 0 {
                    return Ok(size);
                }
                match response.chunk().await {
                    Ok(Some(piece)) => {
                        let n = missing.min(piece.len() as u64);
                        spool.hold(&piece[..n as usize]);
                        tries.got_on(n)?;
                    }
                    Ok(None) => break format!("the body ends {missing} bytes early"),
                    Err(error) => break told(&error),
                }
            };
            tries.failed(broken, None);
        }
    }

    /// Asks for the bytes `at..=end`; of an empty object there is no range, so it is asked for whole.
    async fn ask(&self, tries: &mut Tries<'_>, at: u64, end: u64) -> Result<Response> {
        let Self { store, bucket, key, .. } = self;
        let mut send = async |is_ranged: bool| {
            let version = self.version.as_ref().and_then(|version| version.tag.as_ref());
            let range = is_ranged.then_some((at, end));
            store.service().send(tries, bucket, Ask::Object { key, range, version }).await
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
        let name = self.store.service().version_header();
        let tag = response.headers().get(&name).cloned();
        let marker = marker(header(name), header(header::LAST_MODIFIED), size);
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
}

/// Returns whether an answer holds the bytes from `at` on.
fn starts_at(response: &Response, at: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok())
        == Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, S3Settings};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Serves an object of 1,000 bytes: each answer gives `n` of them, one every `pause`, and then breaks off.
    async fn creeping(n: usize, pause: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 8192];
                    let read = socket.read(&mut request).await.unwrap_or_default();
                    let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                    let at = request.split("range: bytes=").nth(1).unwrap_or("0-");
                    let at: usize = at.split('-').next().unwrap().parse().unwrap();
                    let head = format!(
                        "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Length: {}\r\nContent-Range: bytes {at}-999/1000\r\n\r\n",
                        1000 - at
                    );
                    let _ = socket.write_all(head.as_bytes()).await;
                    for _ in 0..n {
                        let _ = socket.write_all(b"x").await;
                        tokio::time::sleep(pause).await;
                    }
                });
            }
        });
        endpoint
    }

    /// R7: whoever gives next to nothing is left within the deadline, and told of.
    #[tokio::test]
    async fn r7_a_body_that_creeps_ends_in_bounded_time() {
        for (n, pause) in [(1, Duration::ZERO), (1_000, Duration::from_millis(100))] {
            let endpoint = creeping(n, pause).await;
            let settings = S3Settings { endpoint, ..S3Settings::default() };
            let environment =
                Environment::read(|name| (name == "AWS_NO_SIGN_REQUEST").then(|| "yes".to_owned()));
            let BucketStore(mut inner) =
                BucketStore::s3(&settings, environment, Path::new("unused").into()).unwrap();
            Arc::get_mut(&mut inner).unwrap().patience = Duration::from_secs(1);
            let store = BucketStore(inner);
            let began = Instant::now();
            let error = get(&store, "b", "a.txt", 1 << 20).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let message = error.message();
            assert!(message.contains("read `s3://b/a.txt`: only"), "{message}");
            assert!(message.contains("bytes arrived in 1 s"), "{message}");
        }
    }
}
