//! One object as one version, by ranges that all belong to it.
//!
//! The first range tells version and size; a small object is whole with it. Of a large one the others come [`LANES`] at
//! a time, each to its place in an unnamed file, because one connection seldom fills a network. They ask for the same
//! version (`If-Match`), and so does what continues a body that was cut off: an object that is replaced meanwhile is a
//! conflict and never a mixture.
//!
//! An object takes as much memory as its first range, and once that is written a piece for each lane. All objects of a
//! store share [`MOST_LANES`].

use super::{Ask, BucketStore, changed, key, marker};
use crate::client::{Answer, Tries, told};
use crate::spool::{HELD, blocking, unnamed};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{self, HeaderValue};
use reqwest::{Response, StatusCode};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use vellum_core::ports::{Content, ObjectMeta};
use vellum_core::{Error, ErrorKind, Result};

/// Bytes of a range, and of the largest object that is held in memory.
const RANGE: u64 = HELD as u64;
/// Ranges of an object, and of all objects of a store, that are read at a time beside the first ones.
const LANES: usize = 8;
pub(super) const MOST_LANES: usize = 16;
/// Bytes that a lane holds before they are written.
const PIECE: usize = 1 << 20;

/// Reads the object at `key`.
pub(super) async fn get(
    store: &BucketStore,
    bucket: &str,
    key: &str,
    limit: u64,
) -> Result<(ObjectMeta, Content)> {
    let uri = store.uri(bucket, key);
    let reader = Reader { store, bucket, key, uri: &uri, limit };
    let mut start = Lane { file: None, at: 0, held: Vec::new() };
    let version = reader.read(&mut start, None).await?;
    let size = version.size;
    let content = match size <= RANGE {
        true => Content::from(start.held),
        false => Content::Spooled { file: reader.copied(start, &version).await?, len: size },
    };
    Ok((ObjectMeta { name: key::name(key), size, etag: version.marker, uri }, content))
}

struct Reader<'a> {
    store: &'a BucketStore,
    bucket: &'a str,
    key: &'a str,
    uri: &'a str,
    /// Most bytes of the object.
    limit: u64,
}

/// What an answer tells of the object.
#[derive(Clone, PartialEq)]
struct Version {
    /// What tells the version, as the server writes it.
    tag: Option<HeaderValue>,
    size: u64,
    marker: String,
}

/// A range on its way to its place in a file; without one it stays in memory.
struct Lane {
    file: Option<Arc<File>>,
    /// Where the first byte that is held belongs.
    at: u64,
    held: Vec<u8>,
}

impl Lane {
    /// Returns where the next byte belongs.
    fn end(&self) -> u64 {
        self.at + self.held.len() as u64
    }
}

impl Reader<'_> {
    /// Puts the whole object into a file, given its first range.
    async fn copied(&self, mut start: Lane, version: &Version) -> Result<Arc<File>> {
        let folder = self.store.0.spool.clone();
        let file =
            Arc::new(blocking(self.uri, &self.store.0.spool, move || unnamed(&folder)).await?);
        start.file = Some(Arc::clone(&file));
        self.write(&mut start).await?;
        drop(start);
        let starts = (RANGE..version.size).step_by(HELD);
        let ranges = starts.map(|at| self.part(Arc::clone(&file), at, version));
        stream::iter(ranges).buffer_unordered(LANES).try_collect::<()>().await?;
        Ok(file)
    }

    /// Reads the range at `at` into its place.
    async fn part(&self, file: Arc<File>, at: u64, version: &Version) -> Result<()> {
        let _permit = self.store.0.lanes.acquire().await.expect("nobody closes it");
        let mut lane = Lane { file: Some(file), at, held: Vec::new() };
        self.read(&mut lane, Some(version.clone())).await.map(drop)
    }

    /// Reads the range that begins where `lane` is, of the version that is known or the one that there is; returns which
    /// that was.
    async fn read(&self, lane: &mut Lane, mut known: Option<Version>) -> Result<Version> {
        let operation = format!("read `{}`", self.uri);
        let client = self.store.service().client();
        let mut tries = client.tries(&operation, self.store.0.patience);
        let end = lane.at + RANGE;
        loop {
            let mut response = self.ask(&mut tries, lane.end(), end - 1, known.as_ref()).await?;
            let version = self.recognise(&response)?;
            if known.as_ref().is_some_and(|known| *known != version) {
                return Err(changed(self.uri));
            }
            if version.size > self.limit {
                return Err(crate::too_large(version.size, self.limit));
            }
            let wanted = version.size.min(end);
            known = Some(version);
            let room =
                if lane.file.is_some() { PIECE as u64 } else { wanted.saturating_sub(lane.end()) };
            lane.held.reserve_exact(room as usize);
            let broken = loop {
                let missing = wanted.saturating_sub(lane.end());
                if let (0, Some(version)) = (missing, &known) {
                    self.write(lane).await?;
                    return Ok(version.clone());
                }
                match response.chunk().await {
                    Ok(Some(piece)) => {
                        let n = missing.min(piece.len() as u64);
                        lane.held.extend_from_slice(&piece[..n as usize]);
                        tries.got_on(n)?;
                        if lane.held.len() >= PIECE {
                            self.write(lane).await?;
                        }
                    }
                    Ok(None) => break format!("the body ends {missing} bytes early"),
                    Err(error) => break told(&error),
                }
            };
            tries.failed(broken, None);
        }
    }

    /// Writes what is held, where there is a file.
    async fn write(&self, lane: &mut Lane) -> Result<()> {
        let Some(file) = lane.file.clone() else { return Ok(()) };
        let (at, mut held) = (lane.at, std::mem::take(&mut lane.held));
        lane.at += held.len() as u64;
        let write = move || {
            file.write_all_at(&held, at)?;
            held.clear();
            Ok(held)
        };
        lane.held = blocking(self.uri, &self.store.0.spool, write).await?;
        Ok(())
    }

    /// Asks for the bytes `at..=last`; of an empty object there is no range, so it is asked for whole.
    async fn ask(
        &self,
        tries: &mut Tries<'_>,
        at: u64,
        last: u64,
        known: Option<&Version>,
    ) -> Result<Response> {
        let Self { store, bucket, key, .. } = self;
        let version = known.and_then(|known| known.tag.as_ref());
        let ask = |range| Ask::Object { key, range, version };
        let is_unsatisfiable = |answer: &Answer| {
            answer.as_ref().is_err_and(|it| it.status == StatusCode::RANGE_NOT_SATISFIABLE)
        };
        let mut answer = store.service().send(tries, bucket, ask(Some((at, last)))).await?;
        if is_unsatisfiable(&answer) && at == 0 {
            answer = store.service().send(tries, bucket, ask(None)).await?;
        }
        if is_unsatisfiable(&answer) {
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

    /// Returns the version that an answer belongs to.
    fn recognise(&self, response: &Response) -> Result<Version> {
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
        Ok(Version { tag, size, marker })
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
