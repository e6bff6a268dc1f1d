//! The port: from texts to vectors by way of the lanes.

use crate::bundled;
use crate::encoder::{Encoder, one_thread};
use crate::folder::Folder;
use crate::lanes::{Lanes, Limits};
use async_trait::async_trait;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use vellum_core::ports::{Embedder, EmbedderInfo, TextKind};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// How much an embedder may take on.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Runs at the same time, one thread each; at least 1.
    pub workers: usize,
    /// Calls that may wait per lane; one more is refused as `Overloaded`.
    pub max_calls: usize,
    /// Texts that may wait per lane; a call with more feeds them as room appears.
    pub max_texts: usize,
}

impl Options {
    /// Returns one worker per core, 256 calls and 256 texts per lane.
    pub fn for_this_machine() -> Self {
        let workers = available_parallelism().map_or(1, usize::from);
        Self { workers, max_calls: 256, max_texts: 256 }
    }
}

/// An embedding model in this process.
///
/// The vector of a text is the same bit for bit whatever else is in flight. A query waits for the
/// text that a worker has in hand, never for the rest of a batch of passages. Dropping the embedder
/// ends its threads after the text in hand.
#[derive(Debug)]
pub struct LocalEmbedder {
    encoder: Arc<Encoder>,
    lanes: Lanes,
}

impl LocalEmbedder {
    /// Returns the model that is compiled in: all-MiniLM-L6-v2, int8, 384 dimensions, 256 tokens.
    ///
    /// # Errors
    /// `Internal` when the build carries a damaged model.
    pub fn bundled(options: Options) -> Result<Self> {
        Self::start(bundled::load()?, options)
    }

    /// Returns the model in `dir`, in sentence-transformers layout.
    ///
    /// Required: `tokenizer.json`, and `model.onnx` or `onnx/model.onnx`. Read when present:
    /// `modules.json`, `1_Pooling/config.json` (mean or cls; mean without it),
    /// `sentence_bert_config.json` and `config.json` (longest text), and
    /// `config_sentence_transformers.json` (prompts of queries and passages).
    ///
    /// Reads and hashes the whole model and runs it once: seconds for a large one.
    ///
    /// # Errors
    /// `NotFound` names the missing file; `Unsupported` a module, pooling or graph input that is not
    /// implemented; `Corrupt` a file that cannot be read as what it should be.
    pub fn from_dir(dir: &Path, options: Options) -> Result<Self> {
        Self::start(Folder::open(dir)?.load()?, options)
    }

    fn start(encoder: Encoder, options: Options) -> Result<Self> {
        let encoder = Arc::new(encoder);
        let work = Arc::clone(&encoder);
        let limits = Limits {
            workers: options.workers.max(1),
            max_calls: options.max_calls,
            max_texts: options.max_texts,
        };
        let lanes = Lanes::start(limits, move || {
            let (encoder, thread) = (Arc::clone(&work), one_thread());
            Box::new(move |text, kind| encoder.embed(&thread, text, kind))
        })?;
        let EmbedderInfo { name, digest, dim, .. } = encoder.info();
        tracing::info!(model = name, digest, dim, workers = limits.workers, "loaded embedder");
        Ok(Self { encoder, lanes })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn info(&self) -> &EmbedderInfo {
        self.encoder.info()
    }

    async fn embed(&self, texts: &[String], kind: TextKind) -> Result<Vec<Embedding>> {
        self.lanes.run(texts, kind).await
    }

    fn n_tokens(&self, text: &str) -> usize {
        self.encoder.n_tokens(text)
    }

    async fn check(&self) -> Result<()> {
        let texts = [String::from("ready")];
        let vectors = self.lanes.run(&texts, TextKind::Query).await?;
        match vectors.first() {
            Some(vector) if vector.dim() == self.info().dim => Ok(()),
            _ => Err(Error::new(ErrorKind::Unavailable, "the embedder answers without a vector")),
        }
    }
}
