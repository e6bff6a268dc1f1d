//! Sentences of one topic: a chunk begins where the meaning of neighbouring sentences differs most.
//!
//! Kamradt's method (Greg Kamradt, "5 Levels of Text Splitting", 2024): the cosine distance between neighbouring sentences, each
//! smoothed with the ones beside it, and a break wherever it exceeds a percentile of all distances of the text. Two departures: he
//! embeds each group of three sentences, we take the mean of their vectors, so that a sentence is embedded once; and a break is
//! a soft edge, so chunks keep the bound and are a quarter of it long at least, where there is more text.

use super::pack::{Edge, Piece};
use vellum_core::vector::Embedding;

/// Sets a soft edge wherever the distance between neighbours is above the percentile; `vectors` are those of the pieces.
///
/// Edges that are there stay. O(pieces * dim).
pub(super) fn set_edges(pieces: &mut [Piece], vectors: &[Embedding], percentile: u8) {
    let distances = distances(vectors);
    let Some(threshold) = value_at(&distances, percentile) else { return };
    for (piece, distance) in pieces.iter_mut().skip(1).zip(distances) {
        if distance > threshold {
            piece.edge = Edge::Soft;
        }
    }
}

/// Returns the distance of each sentence, but the last, to the next: 1 - cosine, in [0, 2].
fn distances(vectors: &[Embedding]) -> Vec<f32> {
    let smoothed: Vec<Vec<f32>> = (0..vectors.len())
        .map(|at| mean(&vectors[at.saturating_sub(1)..(at + 2).min(vectors.len())]))
        .collect();
    smoothed.windows(2).map(|pair| 1.0 - cosine(&pair[0], &pair[1])).collect()
}

fn mean(vectors: &[Embedding]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Embedding::dim)];
    for vector in vectors {
        sum.iter_mut().zip(vector.as_slice()).for_each(|(total, value)| *total += value);
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
    use vellum_core::document::Span;

    #[test]
    fn the_edge_lies_where_the_topic_changes() {
        let toward = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        let vectors = [
            toward(1.0, 0.1),
            toward(1.0, 0.0),
            toward(1.0, 0.1),
            toward(0.1, 1.0),
            toward(0.0, 1.0),
        ];
        let span = Span { start: 0, end: 1 };
        let mut pieces = [Piece { span, tokens: 1, edge: Edge::Open }; 5];
        set_edges(&mut pieces, &vectors, 75);
        let soft: Vec<usize> = (0..5).filter(|at| pieces[*at].edge == Edge::Soft).collect();
        assert_eq!(soft, [3]);
        set_edges(&mut [], &[], 75);
        set_edges(&mut pieces[..1], &vectors[..1], 75);
    }

    #[test]
    fn percentiles_as_numpy_takes_them() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(value_at(&values, 50), Some(2.5));
        assert_eq!((value_at(&values, 0), value_at(&values, 100)), (Some(1.0), Some(4.0)));
        assert_eq!(value_at(&[], 50), None);
    }
}
