//! Conformance suite of the `EmbeddingCache` port, and [`MemoryEmbeddingCache`], its peer without a disk.

use crate::error::Result;
use crate::ids::TextHash;
use crate::ports::EmbeddingCache;
use crate::vector::Embedding;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// An [`EmbeddingCache`] in memory that forgets nothing.
#[derive(Debug, Default)]
pub struct MemoryEmbeddingCache(Mutex<HashMap<(String, TextHash), Embedding>>);

#[async_trait]
impl EmbeddingCache for MemoryEmbeddingCache {
    async fn get(&self, model: &str, texts: &[TextHash]) -> Result<Vec<Option<Embedding>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(texts.iter().map(|text| known.get(&(model.to_owned(), *text)).cloned()).collect())
    }

    async fn put(&self, model: &str, vectors: &[(TextHash, Embedding)]) -> Result<()> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (text, vector) in vectors {
            known.entry((model.to_owned(), *text)).or_insert_with(|| vector.clone());
        }
        Ok(())
    }
}

/// Asserts every clause of the [`EmbeddingCache`] port on an empty cache with room for a few vectors.
///
/// # Panics
/// When a clause is broken.
pub async fn embedding_cache_suite(cache: &dyn EmbeddingCache) {
    let vector = |values: Vec<f32>| Embedding::normalised(values).expect("a direction");
    let (a, b) = (TextHash::of("a"), TextHash::of("b"));
    assert_eq!(cache.get("m", &[a, b]).await.expect("read"), [None, None]);
    assert_eq!(cache.get("m", &[]).await.expect("read"), []);
    // Values without a short decimal form show that a vector comes back bit for bit.
    let (first, second) = (vector(vec![0.1, -0.7, 1.0 / 3.0]), vector(vec![1.0, 2.0, -3.0]));
    cache.put("m", &[(a, first.clone()), (b, second.clone())]).await.expect("stored");
    cache.put("m", &[(a, second.clone())]).await.expect("stored again");
    cache.put("m", &[]).await.expect("nothing to do");
    let unknown = TextHash::of("");
    let found = cache.get("m", &[b, unknown, a, b]).await.expect("read");
    assert_eq!(found, [Some(second.clone()), None, Some(first), Some(second)], "in order, whole");
    assert_eq!(cache.get("n", &[a]).await.expect("read"), [None], "another model knows nothing");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_cache_conforms() {
        embedding_cache_suite(&MemoryEmbeddingCache::default()).await;
    }
}
