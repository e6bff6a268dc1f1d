//! Dense and sparse vectors whose invariants hold by construction.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A dense vector: f32, finite, unit L2 norm (within 1e-3).
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Returns `values` scaled to unit norm.
    ///
    /// # Errors
    /// `Unavailable` when a value is not finite or the norm is zero: a model that answers so is
    /// broken, and its vectors must never be stored.
    pub fn normalised(mut values: Vec<f32>) -> Result<Self> {
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm < 1e-12 {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the embedder returned a vector of norm {norm}"),
            )
            .with_hint("check the embedding model; its output is zero or not finite"));
        }
        let scale = (1.0 / norm) as f32;
        values.iter_mut().for_each(|v| *v *= scale);
        Ok(Self(values))
    }

    /// Returns the vector that was stored with these values, bit for bit.
    ///
    /// # Errors
    /// `Corrupt` when they are no unit vector.
    pub fn restored(values: Vec<f32>) -> Result<Self> {
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if (norm - 1.0).abs() < 1e-3 {
            return Ok(Self(values));
        }
        Err(Error::new(ErrorKind::Corrupt, format!("a stored vector has norm {norm}")))
    }

    /// Returns the values.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Returns the values, consuming the vector.
    pub fn into_vec(self) -> Vec<f32> {
        self.0
    }

    /// Returns the number of dimensions.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// Returns the cosine similarity in [-1, 1]; both vectors have equal dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// A sparse vector: term ids strictly ascending, weights finite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// Returns the vector of `(term, weight)` pairs; weights of equal terms are added.
    pub fn from_pairs(mut pairs: Vec<(u32, f32)>) -> Self {
        pairs.sort_by_key(|(term, _)| *term);
        let mut vector = Self::default();
        for (term, weight) in pairs {
            if vector.indices.last() == Some(&term) {
                if let Some(last) = vector.values.last_mut() {
                    *last += weight;
                }
            } else {
                vector.indices.push(term);
                vector.values.push(weight);
            }
        }
        vector
    }

    /// Returns the term ids, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Returns the weights, in the order of the term ids.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_vectors_are_refused() {
        for bad in [vec![0.0; 4], vec![f32::NAN, 1.0], vec![f32::INFINITY], vec![]] {
            assert_eq!(Embedding::normalised(bad).unwrap_err().kind(), ErrorKind::Unavailable);
        }
        let unit = Embedding::normalised(vec![3.0, 4.0]).unwrap();
        assert!((unit.cosine(&unit) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn pairs_are_sorted_and_merged() {
        let vector = SparseVector::from_pairs(vec![(7, 1.0), (2, 0.5), (7, 2.0)]);
        assert_eq!((vector.indices(), vector.values()), (&[2, 7][..], &[0.5, 3.0][..]));
    }
}
