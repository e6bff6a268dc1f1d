//! Client of the server that owns the data directory.

use crate::interrupt::Interrupts;
use crate::session::ended;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire;
use vellum_server::data_dir::Endpoint;

/// How often a job is looked at.
const POLL: Duration = Duration::from_millis(150);

/// A server on this machine, with the token of the local user.
pub(crate) struct Remote {
    client: Client,
    base: String,
    token: String,
    pid: u32,
}

impl Remote {
    /// Returns a client for a server that announced itself.
    ///
    /// # Errors
    /// `Internal` when the HTTP client cannot be made.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self> {
        let client =
            Client::builder().connect_timeout(Duration::from_secs(2)).no_proxy().build().map_err(
                |error| Error::new(ErrorKind::Internal, "make an HTTP client").with_source(error),
            )?;
        let mut address = endpoint.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        Ok(Self {
            client,
            base: format!("http://{address}{}/api/v1", endpoint.base_path),
            token: endpoint.token.clone(),
            pid: endpoint.pid,
        })
    }

    /// Returns the server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.json(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)).await.map(|_| ())
    }

    /// Returns what the server says about its readiness, which it also does when it is not ready.
    pub(crate) async fn readiness(&self) -> Result<wire::Readiness> {
        let failed = |error: reqwest::Error| self.silent(error);
        let root = self.base.trim_end_matches("/api/v1");
        let request = self.client.get(format!("{root}/readyz")).bearer_auth(&self.token);
        let response = request.send().await.map_err(failed)?;
        self.parsed(&response.bytes().await.map_err(failed)?)
    }

    /// Writes what the server answers to a file, as it comes.
    pub(crate) async fn download(&self, path: &str, out: &mut std::fs::File) -> Result<()> {
        let broken = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, format!("the answer of {} broke off", self.base))
                .with_source(error.without_url())
                .with_hint("run the same command again")
        };
        let mut response = self.request(Method::GET, path).send().await.map_err(broken)?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(problem(status, &response.bytes().await.map_err(broken)?));
        }
        while let Some(bytes) = response.chunk().await.map_err(broken)? {
            std::io::Write::write_all(out, &bytes)
                .map_err(|error| Error::io("write the export", error))?;
        }
        Ok(())
    }

    /// Asks for work that tells of its progress by events; returns what it ends with.
    pub(crate) async fn events<S: DeserializeOwned, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        show: &(dyn Fn(S) + Sync),
    ) -> Result<T> {
        let broken = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, format!("the answer of {} broke off", self.base))
                .with_source(error.without_url())
                .with_hint("run the same command again")
        };
        let request = self.request(Method::POST, path).header("accept", "text/event-stream");
        let mut response = request.json(body).send().await.map_err(broken)?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(problem(status, &response.bytes().await.map_err(broken)?));
        }
        let mut read = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(broken)? {
            read.extend_from_slice(&bytes);
            while let Some((name, data)) = next_event(&mut read) {
                match name.as_str() {
                    "progress" => show(self.parsed(data.as_bytes())?),
                    "error" => return Err(problem(StatusCode::OK, data.as_bytes())),
                    _ => return self.parsed(data.as_bytes()),
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the server ended before its work was done")
            .with_hint("start it and run the same command again"))
    }

    /// Runs an ingest job until it stops; an interrupt cancels it.
    pub(crate) async fn ingest(
        &self,
        collection: &CollectionName,
        request: &wire::JobRequest,
        show: &dyn Fn(&wire::Job),
    ) -> Result<wire::Job> {
        let job = self.post(&format!("collections/{collection}/jobs"), request).await?;
        self.follow(job, show).await
    }

    /// Follows a job until it stops; an interrupt cancels it.
    pub(crate) async fn follow(
        &self,
        mut job: wire::Job,
        show: &dyn Fn(&wire::Job),
    ) -> Result<wire::Job> {
        let interrupts = Interrupts::listen();
        while job.state.is_active() {
            show(&job);
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = interrupts.next() => {
                    let path = format!("jobs/{}/cancel", job.id);
                    self.send(self.request(Method::POST, &path)).await?;
                }
            }
            job = self.get(&format!("jobs/{}", job.id)).await?;
        }
        show(&job);
        ended(job)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/{path}", self.base)).bearer_auth(&self.token)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.parsed(&self.send(request).await?)
    }

    fn parsed<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "the server that owns the data directory answered oddly",
            )
            .with_source(error)
            .with_hint("it may be another version of vellum; restart it")
        })
    }

    fn silent(&self, error: reqwest::Error) -> Error {
        Error::new(ErrorKind::Unavailable, format!("no answer from vellum at {}", self.base))
            .with_source(error.without_url())
            .with_hint(format!("it runs as process {}; end it and try again", self.pid))
    }

    async fn send(&self, request: RequestBuilder) -> Result<bytes::Bytes> {
        let failed = |error: reqwest::Error| self.silent(error);
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let body = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(problem(status, &body))
    }
}

/// Takes the first whole event off what was read; returns its name and data. Comments, which keep the connection, are
/// passed over.
fn next_event(read: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let end = read.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = read.drain(..end + 2).collect();
        let event = String::from_utf8_lossy(&event);
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
            return Some((name.to_owned(), data.to_owned()));
        }
    }
}

/// Returns the error that a problem document tells of.
fn problem(status: StatusCode, body: &[u8]) -> Error {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let kind = text("code").and_then(|code| ErrorKind::from_code(&code));
    let detail = text("detail").unwrap_or_else(|| format!("the server answered {status}"));
    let error = Error::new(kind.unwrap_or(ErrorKind::Unavailable), detail);
    match text("hint") {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_one_by_one() {
        let mut read = b": quiet\n\nevent: progress\ndata: {\"done\":1}\n\nevent: do".to_vec();
        assert_eq!(next_event(&mut read), Some(("progress".into(), "{\"done\":1}".into())));
        assert_eq!(next_event(&mut read), None);
        read.extend_from_slice(b"ne\ndata: {}\n\n");
        assert_eq!(next_event(&mut read), Some(("done".into(), "{}".into())));
        assert!(read.is_empty());
    }

    #[test]
    fn problems_become_the_same_errors() {
        let body =
            br#"{"code":"not_found","detail":"collection `x` does not exist","hint":"look"}"#;
        let error = problem(StatusCode::NOT_FOUND, body);
        assert_eq!((error.kind(), error.hint()), (ErrorKind::NotFound, Some("look")));
        assert_eq!(problem(StatusCode::BAD_GATEWAY, b"<html>").kind(), ErrorKind::Unavailable);
    }
}
