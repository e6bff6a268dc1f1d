//! Vectors of texts that were embedded before.

use crate::error::Result;
use crate::ids::TextHash;
use crate::vector::Embedding;
use async_trait::async_trait;

/// Remembers embeddings by model and text, so that a document that moved or was cut anew costs only what is new.
///
/// It may forget anything at any time, and never answers with a vector that was not put there under the same model
/// digest and text. Calls are idempotent.
#[async_trait]
pub trait EmbeddingCache: Send + Sync {
    /// Returns the vectors of `texts` under the model with this digest, in their order; `None` for unknown ones.
    async fn get(&self, model: &str, texts: &[TextHash]) -> Result<Vec<Option<Embedding>>>;

    /// Remembers vectors; the first of a text stays.
    async fn put(&self, model: &str, vectors: &[(TextHash, Embedding)]) -> Result<()>;
}
