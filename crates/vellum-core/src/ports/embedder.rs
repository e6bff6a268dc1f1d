//! Texts to dense vectors.

use crate::error::Result;
use crate::vector::Embedding;
use async_trait::async_trait;

/// Identity and limits of an embedding model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// Human name, such as `all-MiniLM-L6-v2`.
    pub name: String,
    /// Digest of everything that decides the vectors.
    pub digest: String,
    /// Dimensions of a vector.
    pub dim: usize,
    /// Longest text in tokens, special tokens included; what is beyond is cut off.
    pub max_tokens: usize,
    /// ISO 639-1 codes of the languages it was trained on; empty when that is not known.
    pub languages: Vec<String>,
}

impl EmbedderInfo {
    /// Returns whether its vectors mean something for text in `language`; yes when either is unknown.
    pub fn knows(&self, language: Option<&str>) -> bool {
        let known = |language: &str| self.languages.iter().any(|known| known == language);
        self.languages.is_empty() || language.is_none_or(known)
    }
}

/// Which side of a search a text stands on. Decides prefixes of some models, and the lane: queries
/// are never made to wait behind a batch of passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// A question.
    Query,
    /// A piece of a document.
    Passage,
}

/// Turns texts into unit-norm vectors.
///
/// Deterministic: the vector of a text does not depend on what else is in flight. Safe to retry.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Returns identity and limits.
    fn info(&self) -> &EmbedderInfo;

    /// Returns one vector `[dim]` per text, in the order of the texts; empty in, empty out.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full, `Unavailable` when the model answers wrongly (zero, not
    /// finite, wrong dimension, short batch): all or nothing. Dropping the future drops queued work.
    async fn embed(&self, texts: &[String], kind: TextKind) -> Result<Vec<Embedding>>;

    /// Returns the number of tokens of `text`, special tokens included, without cutting it off.
    fn n_tokens(&self, text: &str) -> usize;

    /// Fails when no text could be embedded now.
    async fn check(&self) -> Result<()>;
}
