//! Conformance suite of the `Embedder` port, and [`HashEmbedder`], its peer without a model.
//!
//! The suite holds for a bag of words as well as for a neural model: order, norm, independence of
//! batch mates (bit for bit), cutting at the limit, and that a text about the same thing is nearer
//! than one about another. Quality is measured elsewhere, on datasets.

use crate::error::Result;
use crate::ports::{Embedder, EmbedderInfo, TextKind};
use crate::vector::Embedding;
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};

/// A deterministic bag-of-words embedder: each word adds 1 to the dimension its hash names.
///
/// A word is a run of alphanumeric characters, lowercased; a text has `words + 2` tokens. Texts that
/// share words are similar, equal bags are equal vectors, and a text without words has a fixed vector.
#[derive(Debug)]
pub struct HashEmbedder {
    info: EmbedderInfo,
    embedded: AtomicU64,
}

impl HashEmbedder {
    /// Dimensions of the vectors.
    pub const DIM: usize = 64;

    /// Returns an embedder that cuts texts off at `max_tokens`, at least 3.
    pub fn new(max_tokens: usize) -> Self {
        assert!(max_tokens >= 3, "two special tokens leave no room for a word");
        let info = EmbedderInfo {
            name: "hash".into(),
            digest: format!("hash-{}-{max_tokens}", Self::DIM),
            languages: Vec::new(),
            dim: Self::DIM,
            max_tokens,
        };
        Self { info, embedded: AtomicU64::new(0) }
    }

    /// Returns the number of texts embedded since creation, to show what was reused.
    pub fn n_embedded(&self) -> u64 {
        self.embedded.load(Ordering::SeqCst)
    }

    fn vector(&self, text: &str) -> Result<Embedding> {
        let mut values = vec![0.0; Self::DIM];
        for word in words(text).take(self.info.max_tokens - 2) {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            values[usize::from(hash.as_bytes()[0]) % Self::DIM] += 1.0;
        }
        if values.iter().all(|v| *v == 0.0) {
            values[0] = 1.0;
        }
        Embedding::normalised(values)
    }
}

impl Default for HashEmbedder {
    /// Returns an embedder with a limit of 256 tokens, as the bundled model has.
    fn default() -> Self {
        Self::new(256)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    async fn embed(&self, texts: &[String], _kind: TextKind) -> Result<Vec<Embedding>> {
        self.embedded.fetch_add(texts.len() as u64, Ordering::SeqCst);
        texts.iter().map(|text| self.vector(text)).collect()
    }

    fn n_tokens(&self, text: &str) -> usize {
        words(text).count() + 2
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Asserts every clause of the [`Embedder`] port.
///
/// # Panics
/// When a clause is broken.
pub async fn embedder_suite(embedder: &dyn Embedder) {
    embedder.check().await.expect("a fresh embedder is ready");
    let info = embedder.info();
    assert!(!info.name.is_empty() && !info.digest.is_empty(), "the embedder has an identity");
    assert!(info.dim > 0 && info.max_tokens > 2, "the embedder has limits");

    shapes(embedder).await;
    independence(embedder).await;
    limits(embedder).await;
    nearness(embedder).await;
}

async fn embed(embedder: &dyn Embedder, texts: &[&str], kind: TextKind) -> Vec<Embedding> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    embedder.embed(&texts, kind).await.expect("well-formed texts are embedded")
}

async fn shapes(embedder: &dyn Embedder) {
    for kind in [TextKind::Query, TextKind::Passage] {
        assert!(embed(embedder, &[], kind).await.is_empty(), "empty in, empty out");
        let odd = ["", " ", "\u{0}", "\n\t", "日本語", "👩‍👩‍👧", "e\u{301}", "a"];
        let vectors = embed(embedder, &odd, kind).await;
        assert_eq!(vectors.len(), odd.len(), "one vector per text");
        for (text, vector) in odd.iter().zip(&vectors) {
            assert_eq!(vector.dim(), embedder.info().dim, "dimensions of {text:?}");
            assert!((vector.cosine(vector) - 1.0).abs() < 1e-3, "unit norm of {text:?}");
        }
    }
}

async fn independence(embedder: &dyn Embedder) {
    let texts = ["one short text", "another, quite a bit longer than the first one", "third"];
    let together = embed(embedder, &texts, TextKind::Passage).await;
    for (text, vector) in texts.iter().zip(&together) {
        let alone = embed(embedder, &[text], TextKind::Passage).await;
        assert_eq!(&alone[0], vector, "the vector of {text:?} does not depend on its batch");
    }
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let (forward, backward) = tokio::join!(
        embed(embedder, &texts, TextKind::Passage),
        embed(embedder, &reversed, TextKind::Passage),
    );
    assert_eq!(forward, together, "concurrent calls do not change vectors");
    assert!(backward.iter().rev().eq(&together), "vectors come in the order of the texts");
}

async fn limits(embedder: &dyn Embedder) {
    let max = embedder.info().max_tokens;
    let long = "water ".repeat(2 * max);
    let tokens = embedder.n_tokens(&long);
    assert!(tokens >= 2 * max, "tokens are counted beyond the limit, got {tokens}");
    assert!(embedder.n_tokens("") <= 2, "an empty text has special tokens only");
    assert!(
        embedder.n_tokens("one two three") > embedder.n_tokens("one two"),
        "longer texts have more tokens"
    );
    let more = format!("{long} volcano invoice");
    let vectors = embed(embedder, &[&long, &more], TextKind::Passage).await;
    assert_eq!(vectors[0], vectors[1], "what is beyond the limit is cut off");
}

async fn nearness(embedder: &dyn Embedder) {
    let query = embed(embedder, &["when do volcanoes erupt"], TextKind::Query).await;
    let passages = ["volcanoes erupt when magma rises", "payment is due within thirty days"];
    let vectors = embed(embedder, &passages, TextKind::Passage).await;
    let [near, far] = [0, 1].map(|i| query[0].cosine(&vectors[i]));
    assert!(near > far, "a text about the same thing is nearer: {near} against {far}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hash_embedder_conforms() {
        embedder_suite(&HashEmbedder::default()).await;
        embedder_suite(&HashEmbedder::new(8)).await;
    }

    #[tokio::test]
    async fn counts_words_and_texts() {
        let embedder = HashEmbedder::new(16);
        assert_eq!(embedder.n_tokens("It's 5 o'clock"), 5 + 2);
        embed(&embedder, &["a", "b"], TextKind::Query).await;
        assert_eq!(embedder.n_embedded(), 2);
    }
}
