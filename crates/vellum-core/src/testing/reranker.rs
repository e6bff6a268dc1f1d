//! Conformance suite of the `Reranker` port, and [`WordReranker`], its peer without a model.
//!
//! The suite holds for counting words as well as for a model: one score for each text, in order, the same whatever
//! stands beside it. Quality is measured elsewhere, on datasets.

use crate::error::{Error, ErrorKind, Result};
use crate::ports::Reranker;
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// A reranker that scores a text by the share of the question's words that it has, 0 to 1.
#[derive(Debug, Default)]
pub struct WordReranker {
    is_down: AtomicBool,
}

impl WordReranker {
    /// Lets every call fail from now on, or succeed again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn must_be_up(&self) -> Result<()> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the reranker does not answer"));
        }
        Ok(())
    }
}

fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[async_trait]
impl Reranker for WordReranker {
    fn name(&self) -> &str {
        "words"
    }

    async fn rerank(&self, query: &str, texts: &[String]) -> Result<Vec<f32>> {
        self.must_be_up()?;
        let asked = words(query);
        let share = |text: &String| {
            words(text).intersection(&asked).count() as f32 / asked.len().max(1) as f32
        };
        Ok(texts.iter().map(share).collect())
    }

    async fn check(&self) -> Result<()> {
        self.must_be_up()
    }
}

/// Asserts every clause of the [`Reranker`] port.
///
/// # Panics
/// When a clause is broken.
pub async fn reranker_suite(reranker: &dyn Reranker) {
    reranker.check().await.expect("a fresh reranker is ready");
    assert!(!reranker.name().is_empty(), "the reranker has a name");
    let query = "when do volcanoes erupt";
    let score = async |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        reranker.rerank(query, &texts).await.expect("well-formed texts are scored")
    };
    assert!(score(&[]).await.is_empty(), "empty in, empty out");
    let long = "water ".repeat(5_000);
    let texts = ["volcanoes erupt when magma rises", "", &long, "日本語 👩‍👩‍👧 \u{0}", "a"];
    let together = score(&texts).await;
    assert_eq!(together.len(), texts.len(), "one score for each text");
    assert!(together.iter().all(|score| score.is_finite()), "finite scores: {together:?}");
    assert_eq!(score(&texts).await, together, "equal calls have equal scores");
    for (text, with_others) in texts.iter().zip(&together) {
        let alone = score(&[text]).await[0];
        let close = (alone - with_others).abs() <= 1e-4 * alone.abs().max(1.0);
        assert!(close, "the score of {text:.20?} depends on what stands beside it");
    }
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let backward = score(&reversed).await;
    for (a, b) in backward.iter().rev().zip(&together) {
        assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "scores come in the order of the texts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::must_be_scores;

    #[tokio::test]
    async fn the_word_reranker_conforms() {
        let reranker = WordReranker::default();
        reranker_suite(&reranker).await;
        reranker.set_down(true);
        assert!(reranker.check().await.is_err());
    }

    #[test]
    fn what_are_no_scores_is_refused() {
        assert!(must_be_scores("m", vec![1.0, -2.0], 2).is_ok());
        for bad in [vec![1.0], vec![1.0, f32::NAN], vec![f32::INFINITY, 0.0], vec![0.0; 3]] {
            assert_eq!(must_be_scores("m", bad, 2).unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }
}
