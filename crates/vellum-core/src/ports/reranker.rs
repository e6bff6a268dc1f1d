//! Question and passages to scores, by a model that reads both together.

use crate::error::{Error, ErrorKind, Result};
use async_trait::async_trait;

/// Scores passages against a question. Deterministic and safe to retry.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// Returns the human name of the model.
    fn name(&self) -> &str;

    /// Returns one score for each text, in the order of the texts; finite, higher is better, comparable within one
    /// call. Empty in, empty out. What a model cannot hold of a text is cut off at its end.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full, `Unavailable` when the model does not answer, or answers wrongly (not finite,
    /// another number of scores): all or nothing. Dropping the future drops queued work.
    async fn rerank(&self, query: &str, texts: &[String]) -> Result<Vec<f32>>;

    /// Fails when nothing could be scored now.
    async fn check(&self) -> Result<()>;
}

/// Returns `scores` if they are `n` finite numbers.
///
/// # Errors
/// `Unavailable` naming the model otherwise: a ranking by such scores would look like one.
pub fn must_be_scores(name: &str, scores: Vec<f32>, n: usize) -> Result<Vec<f32>> {
    let wrong = if scores.len() == n {
        scores.iter().find(|score| !score.is_finite()).map(|score| format!("a score of {score}"))
    } else {
        Some(format!("{} scores for {n} texts", scores.len()))
    };
    match wrong {
        None => Ok(scores),
        Some(wrong) => {
            let message = format!("the reranker `{name}` answered with {wrong}");
            Err(Error::new(ErrorKind::Unavailable, message).with_hint("check the reranking model"))
        }
    }
}
