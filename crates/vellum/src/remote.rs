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
    fn problems_become_the_same_errors() {
        let body =
            br#"{"code":"not_found","detail":"collection `x` does not exist","hint":"look"}"#;
        let error = problem(StatusCode::NOT_FOUND, body);
        assert_eq!((error.kind(), error.hint()), (ErrorKind::NotFound, Some("look")));
        assert_eq!(problem(StatusCode::BAD_GATEWAY, b"<html>").kind(), ErrorKind::Unavailable);
    }
}
