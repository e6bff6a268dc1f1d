//! A reranker served by text-embeddings-inference (TEI 1.9): `POST /rerank`, limits from `GET /info`.
//!
//! Texts go in batches of what the server takes at a time; a cross-encoder scores each text by itself, so batches do not change
//! scores. A batch whose body is too long for the server is sent in halves. An answer that does not score every text once is
//! refused as a whole. Trying again is the client's matter; a search waits for it no longer than [`PATIENCE`].

use crate::client::{Client, Refusal};
use async_trait::async_trait;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;
use vellum_core::ports::{Reranker, must_be_scores};
use vellum_core::{Error, ErrorKind, Result};

/// How long a search waits for its scores: a person waits with it, and it goes on without them.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time for one call of [`Reranker::rerank`], retries and batches included: also a server that takes a request and
/// says nothing ends there.
const DEADLINE: Duration = Duration::from_secs(10);
/// Texts of a batch where the server does not tell: TEI's own default.
const DEFAULT_BATCH: usize = 32;
/// Longest answer about one text in bytes, and what an answer may have besides.
const BYTES_PER_TEXT: usize = 256;
const BYTES_BESIDES: usize = 64 << 10;

/// A reranking model behind a TEI server.
#[derive(Debug)]
pub struct TeiReranker {
    client: Client,
    base: Url,
    key: Option<String>,
    name: String,
    batch: OnceCell<usize>,
}

impl TeiReranker {
    /// Returns the reranker at `address`; `key` is sent as a bearer token.
    ///
    /// # Errors
    /// `Invalid` when the address is none.
    pub fn new(address: &str, key: Option<String>) -> Result<Self> {
        let mut base = Url::parse(address).map_err(|error| {
            Error::new(ErrorKind::Invalid, "`reranker.model` is no address").with_source(error)
        })?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let host = base.host_str().unwrap_or_default();
        let name =
            format!("{host}{}", base.port().map(|port| format!(":{port}")).unwrap_or_default());
        Ok(Self { client: Client::new()?, base, key, name, batch: OnceCell::new() })
    }

    fn request(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn address(&self, path: &str) -> Result<Url> {
        self.base.join(path).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("join `{path}`")).with_source(error)
        })
    }

    /// Returns the number of texts that the server takes at a time, asked for once.
    async fn batch(&self) -> Result<usize> {
        let ask = || async {
            let url = self.address("info")?;
            let operation = format!("ask `{}` for its limits", self.name);
            let call =
                self.client.call(&operation, PATIENCE, |http| self.request(http.get(url.clone())));
            let answer = call.await?.map_err(|refusal| self.refused(&operation, &refusal))?;
            let info = read(answer, BYTES_BESIDES, &operation).await?;
            let size = info["max_client_batch_size"].as_u64().and_then(|n| usize::try_from(n).ok());
            Ok(size.filter(|size| *size > 0).unwrap_or(DEFAULT_BATCH))
        };
        self.batch.get_or_try_init(ask).await.copied()
    }

    async fn score(&self, query: &str, texts: &[String]) -> Result<Vec<f32>> {
        let mut size = self.batch().await?;
        let mut scores = Vec::with_capacity(texts.len());
        while scores.len() < texts.len() {
            let rest = &texts[scores.len()..];
            let batch = &rest[..size.min(rest.len())];
            match self.score_batch(query, batch).await? {
                Some(more) => scores.extend(more),
                None => size = batch.len().div_ceil(2),
            }
        }
        Ok(scores)
    }

    /// Returns the scores of a batch; `None` when the server finds it too long and it can be halved.
    async fn score_batch(&self, query: &str, texts: &[String]) -> Result<Option<Vec<f32>>> {
        let url = self.address("rerank")?;
        let operation = format!("rerank with `{}`", self.name);
        let body = json!({ "query": query, "texts": texts, "raw_scores": false, "return_text": false, "truncate": true });
        let call = self
            .client
            .call(&operation, PATIENCE, |http| self.request(http.post(url.clone()).json(&body)));
        let answer = match call.await? {
            Ok(answer) => answer,
            Err(refusal) if refusal.status == StatusCode::PAYLOAD_TOO_LARGE && texts.len() > 1 => {
                return Ok(None);
            }
            Err(refusal) => return Err(self.refused(&operation, &refusal)),
        };
        let limit = BYTES_BESIDES + BYTES_PER_TEXT * texts.len();
        let ranks = read(answer, limit, &operation).await?;
        let scores = in_order(&ranks, texts.len()).ok_or_else(|| {
            let message =
                format!("{operation}: the answer does not score {} texts once each", texts.len());
            Error::new(ErrorKind::Unavailable, message)
                .with_hint("check that the server is TEI with a reranker")
        })?;
        must_be_scores(&self.name, scores, texts.len()).map(Some)
    }

    /// Returns the error of a refused call. Whatever the reason, a search can go on without.
    fn refused(&self, operation: &str, refusal: &Refusal) -> Error {
        let body: Value = serde_json::from_str(&refusal.body).unwrap_or_default();
        let said: String = body["error"].as_str().unwrap_or_default().chars().take(200).collect();
        let kind = body["error_type"].as_str().unwrap_or("no reason");
        let kind: String = kind.chars().take(40).collect();
        let message = format!("{operation}: {} ({kind}) {said}", refusal.status);
        let hint = match refusal.status.as_u16() {
            401 | 403 => "set TEI_API_KEY to the key of the server",
            424 => {
                "serve a reranking model: `text-embeddings-router --model-id BAAI/bge-reranker-base`"
            }
            404 => "check the address: `/rerank` has to be below it",
            _ => "see the log of the server",
        };
        Error::new(ErrorKind::Unavailable, message.trim_end()).with_hint(hint)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(DEADLINE, work).await.unwrap_or_else(|_| {
            let (name, seconds) = (&self.name, DEADLINE.as_secs());
            let message = format!("rerank with `{name}`: no answer in {seconds} s");
            Err(Error::new(ErrorKind::Timeout, message).with_hint("see the log of the server"))
        })
    }
}

/// Returns the JSON of an answer of at most `limit` bytes.
async fn read(mut answer: Response, limit: usize, operation: &str) -> Result<Value> {
    let odd = |what: &str| Error::new(ErrorKind::Unavailable, format!("{operation}: {what}"));
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| odd("the connection broke"))? {
        body.extend_from_slice(&piece);
        if body.len() > limit {
            return Err(odd("the answer is too long"));
        }
    }
    serde_json::from_slice(&body).map_err(|error| odd("the answer is no JSON").with_source(error))
}

/// Returns the scores of `[{"index", "score"}]` by index; `None` unless each of `n` texts has one.
fn in_order(ranks: &Value, n: usize) -> Option<Vec<f32>> {
    let ranks = ranks.as_array()?;
    let mut scores = vec![None; n];
    for rank in ranks {
        let index = usize::try_from(rank["index"].as_u64()?).ok()?;
        let score = scores.get_mut(index)?;
        if score.replace(rank["score"].as_f64()? as f32).is_some() {
            return None;
        }
    }
    scores.into_iter().collect()
}

#[async_trait]
impl Reranker for TeiReranker {
    fn name(&self) -> &str {
        &self.name
    }

    async fn rerank(&self, query: &str, texts: &[String]) -> Result<Vec<f32>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.in_time(self.score(query, texts)).await
    }

    async fn check(&self) -> Result<()> {
        let texts = ["ready".to_owned()];
        self.in_time(self.score("ready", &texts)).await.map(drop)
    }
}
