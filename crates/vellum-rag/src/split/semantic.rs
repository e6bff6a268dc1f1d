//! Sentences of one topic: a chunk begins where the meaning of neighbouring sentences differs most.
//!
//! Kamradt's method (Greg Kamradt, "5 Levels of Text Splitting", 2024): the cosine distance between neighbouring sentences, each
//! smoothed with the ones beside it, and a break wherever it exceeds a percentile of all distances of the text. Two departures: he
//! embeds each group of three sentences, we take the mean of their vectors, so that a sentence is embedded once; and a break is
//! a soft edge, so chunks keep the bound and are a quarter of it long at least, where there is more text.
//!
//! A chunk's vector is the mean of its sentences': on Chroma's chunking evaluation it finds as much as one that is embedded
//! anew (`bench/README.md`) and costs nothing.

use super::Sentence;
use super::pack::{Edge, Piece};
use super::sentence::soften;
use vellum_core::vector::Embedding;

/// Returns the sentences as pieces, with soft edges at `headings`, which ascend, and wherever the distance between neighbours is
/// above the percentile. O(sentences * dim).
pub(super) fn pieces(
    sentences: &[(Sentence, Embedding)],
    percentile: u8,
    headings: &[usize],
) -> Vec<Piece> {
    let piece = |it: &Sentence| Piece { span: it.span, tokens: it.tokens, edge: Edge::Open };
    let mut pieces: Vec<Piece> = sentences.iter().map(|(it, _)| piece(it)).collect();
    soften(&mut pieces, headings);
    let vectors: Vec<&Embedding> = sentences.iter().map(|(_, vector)| vector).collect();
    for at in breaks(&vectors, percentile) {
        pieces[at].edge = Edge::Soft;
    }
    pieces
}

/// Returns the mean of vectors, scaled to unit norm, each weighing as much as it has tokens; `None` of nothing.
pub(super) fn weighted_mean<'a>(
    vectors: impl Iterator<Item = (usize, &'a Embedding)>,
) -> Option<Embedding> {
    Embedding::normalised(sum(vectors.map(|(tokens, vector)| (tokens as f32, vector)))).ok()
}

/// Returns the indices of the sentences that differ more from the one before than the percentile.
fn breaks(vectors: &[&Embedding], percentile: u8) -> Vec<usize> {
    let distances = distances(vectors);
    let Some(threshold) = value_at(&distances, percentile) else { return Vec::new() };
    (1..vectors.len()).filter(|at| distances[at - 1] > threshold).collect()
}

/// Returns the distance of each sentence, but the last, to the next: 1 - cosine, in [0, 2].
fn distances(vectors: &[&Embedding]) -> Vec<f32> {
    let around = |at: usize| &vectors[at.saturating_sub(1)..(at + 2).min(vectors.len())];
    let smooth = |at: usize| sum(around(at).iter().map(|vector| (1.0, *vector)));
    let smoothed: Vec<Vec<f32>> = (0..vectors.len()).map(smooth).collect();
    smoothed.windows(2).map(|pair| 1.0 - cosine(&pair[0], &pair[1])).collect()
}

/// Returns the sum of weighted vectors; empty of nothing.
fn sum<'a>(vectors: impl Iterator<Item = (f32, &'a Embedding)>) -> Vec<f32> {
    let mut sum = Vec::new();
    for (weight, vector) in vectors {
        sum.resize(vector.dim(), 0.0);
        sum.iter_mut().zip(vector.as_slice()).for_each(|(total, value)| *total += weight * value);
    }
    sum
}

/// Returns the cosine of vectors of any norm; 0 where one has none.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// Returns the percentile of the values, between the two nearest in proportion; `None` of nothing.
fn value_at(values: &[f32], percentile: u8) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = f32::from(percentile.min(100)) / 100.0 * sorted.len().checked_sub(1)? as f32;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_lie_where_the_topic_changes() {
        let toward = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        let vectors =
            [(1.0, 0.1), (1.0, 0.0), (1.0, 0.1), (0.1, 1.0), (0.0, 1.0)].map(|(x, y)| toward(x, y));
        let vectors: Vec<&Embedding> = vectors.iter().collect();
        assert_eq!(breaks(&vectors, 75), [3]);
        assert!(breaks(&vectors[..1], 75).is_empty() && breaks(&[], 75).is_empty());
    }

    #[test]
    fn long_sentences_weigh_more() {
        let toward = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        let (east, north) = (toward(1.0, 0.0), toward(0.0, 1.0));
        let mean = weighted_mean([(3, &east), (1, &north)].into_iter()).unwrap();
        assert!(mean.cosine(&toward(3.0, 1.0)) > 0.9999);
        assert_eq!(weighted_mean(std::iter::empty()), None);
    }

    #[test]
    fn percentiles_as_numpy_takes_them() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(value_at(&values, 50), Some(2.5));
        assert_eq!((value_at(&values, 0), value_at(&values, 100)), (Some(1.0), Some(4.0)));
        assert_eq!(value_at(&[], 50), None);
    }
}
