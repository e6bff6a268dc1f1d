//! Cuts the text of a chunk that is longer than what the model reads into stretches that it reads whole.
//!
//! A model that is given more reads the beginning and says nothing of the rest. So the vector of such a chunk is the mean of
//! the vectors of its windows, each weighing as much as it has tokens, as a semantic chunk's is the mean of its sentences'.

use super::meter::Meter;
use super::pack::{pack, span_of};
use super::{semantic, sentence};
use vellum_core::document::Span;
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// A stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The text.
    pub text: String,
    /// Special tokens left out.
    pub tokens: usize,
}

/// Returns the windows of `text`: whole sentences as far as they fit into `max` tokens, special tokens included. A text that
/// fits, or has nothing to read, is its own window.
pub fn windows(text: &str, max: usize, n_tokens: &dyn Fn(&str) -> usize) -> Vec<Window> {
    let meter = Meter::new(text, max, n_tokens);
    let whole = Span { start: 0, end: text.len() };
    let tokens = meter.tokens(whole);
    let itself = || vec![Window { text: text.to_owned(), tokens }];
    if tokens <= meter.room(0) {
        return itself();
    }
    let pieces = sentence::fitting(&meter, whole);
    let window = |chunk| {
        let span = span_of(&pieces, &chunk);
        Window { text: meter.slice(span).to_owned(), tokens: meter.tokens(span) }
    };
    let windows: Vec<Window> = pack(&meter, &pieces, 0).into_iter().map(window).collect();
    if windows.is_empty() { itself() } else { windows }
}

/// Returns the vector of a text of the vectors of its windows, one each.
///
/// # Errors
/// `Unavailable` when they cancel each other out, which no working model makes.
pub fn joined(windows: &[Window], vectors: &[Embedding]) -> Result<Embedding> {
    if let [vector] = vectors {
        return Ok(vector.clone());
    }
    let weighted = windows.iter().map(|window| window.tokens).zip(vectors);
    semantic::weighted_mean(weighted).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "the vectors of a chunk's windows have no mean")
            .with_hint("check the embedding model; texts of one chunk should not be opposites")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_whole_sentences_and_every_word() {
        let words = |text: &str| text.split_whitespace().count() + 2;
        let found = |text, max| {
            let windows = windows(text, max, &words);
            windows.into_iter().map(|it| (it.text, it.tokens)).collect::<Vec<_>>()
        };
        let own = |windows: &[(&str, usize)]| -> Vec<(String, usize)> {
            windows.iter().map(|(text, tokens)| ((*text).to_owned(), *tokens)).collect()
        };
        let text = "One two three. Four five.\n\nSix seven eight nine ten.";
        assert_eq!(found(text, 12), own(&[(text, 10)]));
        assert_eq!(
            found(text, 8),
            own(&[("One two three. Four five.", 5), ("Six seven eight nine ten.", 5)])
        );
        assert_eq!(
            found(text, 6),
            own(&[
                ("One two three.", 3),
                ("Four five.", 2),
                ("Six seven eight nine", 4),
                ("ten.", 1)
            ])
        );
        assert_eq!(found("", 4), own(&[("", 0)]));
    }

    #[test]
    fn a_vector_is_the_mean_by_tokens() {
        let toward = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        let window = |tokens| Window { text: String::new(), tokens };
        let (east, north) = (toward(1.0, 0.0), toward(0.0, 1.0));
        let one = joined(&[window(3)], std::slice::from_ref(&east)).unwrap();
        assert_eq!(one, east);
        let both = joined(&[window(3), window(1)], &[east, north]).unwrap();
        assert!(both.cosine(&toward(3.0, 1.0)) > 0.9999);
    }
}
