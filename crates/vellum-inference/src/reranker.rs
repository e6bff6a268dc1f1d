//! A cross-encoder in a folder: question and passage in, one score out.
//!
//! The layout is that of sentence-transformers' `CrossEncoder` exported to ONNX: `model.onnx` (or `onnx/model.onnx`),
//! `tokenizer.json`, and `config.json` for the longest pair. The graph ends in one logit, which a sigmoid brings to 0 to 1. A pair
//! that is too long loses tokens at the end of its longer side, as in that library.
//!
//! One pair per run and one thread per run, as many runs as there are workers: the same rule as for embeddings, for the same
//! reason. Calls beyond [`Options::max_calls`] are refused. A caller that leaves ends its call after the pairs in hand.

use crate::embedder::Options;
use crate::encoder::{Graph, Tokens, one_thread};
use crate::folder::Folder;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use rten::ThreadPool;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};
use tokio::sync::Semaphore;
use vellum_core::ports::{Reranker, must_be_scores};
use vellum_core::{Error, ErrorKind, Result};

/// A reranking model in this process.
#[derive(Debug)]
pub struct LocalReranker {
    model: Arc<CrossEncoder>,
    calls: Semaphore,
    max_calls: usize,
    runs: Arc<Semaphore>,
    workers: usize,
    /// One for each worker, taken for a run and put back.
    threads: Arc<Mutex<Vec<Arc<ThreadPool>>>>,
}

struct CrossEncoder {
    name: String,
    graph: Graph,
    tokenizer: Tokenizer,
}

impl LocalReranker {
    /// Returns the model in `dir`; `options.max_texts` has no meaning here, because texts wait in their call.
    ///
    /// # Errors
    /// `NotFound` names the missing file; `Unsupported` a graph with other inputs than a text encoder has, or that ends in
    /// more than one number; `Corrupt` a file that cannot be read as what it should be.
    pub fn from_dir(dir: &Path, options: Options) -> Result<Self> {
        let folder = Folder::open(dir)?;
        let mut tokenizer = folder.tokenizer()?;
        let truncation = TruncationParams {
            max_length: folder.max_tokens()?,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
            direction: TruncationDirection::Right,
        };
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| Error::new(ErrorKind::Corrupt, "set up the tokenizer").with_source(e))?;
        let model = CrossEncoder { name: folder.name(), graph: folder.graph()?, tokenizer };
        let thread = one_thread();
        model
            .score(&thread, "question", "passage")
            .map_err(|e| e.context(format!("try the model `{}`", dir.display())))?;
        let workers = options.workers.max(1);
        tracing::info!(model = model.name, workers, "loaded reranker");
        Ok(Self {
            model: Arc::new(model),
            calls: Semaphore::new(options.max_calls),
            max_calls: options.max_calls,
            runs: Arc::new(Semaphore::new(workers)),
            workers,
            threads: Arc::new(Mutex::new(vec![thread])),
        })
    }

    async fn score(&self, query: Arc<str>, text: String) -> Result<f32> {
        let stopped = |_| Error::new(ErrorKind::Unavailable, "the reranker has stopped");
        let run = Arc::clone(&self.runs).acquire_owned().await.map_err(stopped)?;
        let (model, threads) = (Arc::clone(&self.model), Arc::clone(&self.threads));
        let scored = tokio::task::spawn_blocking(move || {
            let _run = run;
            let idle = || threads.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = idle().pop();
            let thread = taken.unwrap_or_else(one_thread);
            let score = model.score(&thread, &query, &text);
            idle().push(thread);
            score
        });
        scored.await.unwrap_or_else(|error| {
            let message = "the reranking model panicked on a text";
            Err(Error::new(ErrorKind::Internal, message).with_source(error))
        })
    }
}

impl CrossEncoder {
    /// Returns the score of a pair, 0 to 1, computed on `thread`.
    fn score(&self, thread: &Arc<ThreadPool>, query: &str, text: &str) -> Result<f32> {
        let encoding = self.tokenizer.encode_fast((query, text), true).map_err(|e| {
            Error::new(ErrorKind::Unavailable, "split a pair of texts into tokens").with_source(e)
        })?;
        let pick = |values: &[u32]| values.iter().map(|id| *id as i32).collect();
        let tokens = Tokens { ids: pick(encoding.get_ids()), types: pick(encoding.get_type_ids()) };
        let (values, _) = self.graph.run(thread, &tokens)?;
        match values[..] {
            [logit] => Ok(1.0 / (1.0 + (-logit).exp())),
            ref more => {
                let message = format!("the model answers a pair with {} numbers", more.len());
                Err(Error::new(ErrorKind::Unsupported, message)
                    .with_hint("take a cross-encoder with one label, such as those of MS MARCO"))
            }
        }
    }
}

impl fmt::Debug for CrossEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossEncoder").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Reranker for LocalReranker {
    fn name(&self) -> &str {
        &self.model.name
    }

    async fn rerank(&self, query: &str, texts: &[String]) -> Result<Vec<f32>> {
        let _call = self.calls.try_acquire().map_err(|_| {
            let n = self.max_calls;
            Error::new(ErrorKind::Overloaded, format!("{n} calls wait for the reranker already"))
                .with_hint("send fewer requests at the same time, or try again in a moment")
        })?;
        let query: Arc<str> = query.into();
        let runs = texts.iter().map(|text| self.score(Arc::clone(&query), text.clone()));
        let runs: Vec<_> = runs.collect();
        let scores: Vec<f32> = stream::iter(runs).buffered(self.workers).try_collect().await?;
        must_be_scores(self.name(), scores, texts.len())
    }

    async fn check(&self) -> Result<()> {
        self.rerank("ready", &["ready".to_owned()]).await.map(drop)
    }
}
