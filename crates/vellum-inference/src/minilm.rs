//! all-MiniLM-L6-v2 as one fused pass over the weights of the bundled ONNX file.
//!
//! ```text
//! token ids -> embeddings -> LayerNorm -> x [n, 384]
//! 6 times:  x -> uint8 -> qkv -> heads -> uint8 -> out -> + x -> LayerNorm
//!             -> uint8 -> up -> Gelu -> uint8 -> down -> + x -> LayerNorm
//! ```
//!
//! The general runtime computes the same graph operator by operator, and spends a third of its time on
//! moving attention scores and intermediate rows through memory. Here rows go through whole layers in
//! blocks that stay in the cache, scores live in the first-level cache, and activations are scaled per
//! token instead of per text, which is also nearer to fp32.
//!
//! Products are `uint8 x int8 -> int32` of `rten-gemm`. On processors whose instructions saturate
//! (x86-64 without VNNI) activations take 7 bits, which cannot. No `unsafe`, one path for all processors;
//! everything runs on the calling thread, within a pool of one thread.

use crate::simd::{Attention, Dequantize, Finish, LayerNorm, Quantize};
use crate::weights::Weights;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;
use std::borrow::Cow;
use std::ops::Range;
use std::slice::ChunksExact;
use vellum_core::{Error, ErrorKind, Result};

pub(crate) const HIDDEN: usize = 384;
pub(crate) const HEAD: usize = 32;
const INNER: usize = 1536;
const LAYERS: usize = 6;
const VOCABULARY: usize = 30522;
const POSITIONS: usize = 512;
/// Rows that go through a layer together: their widest products (`64 x 1536` i32) fit the
/// second-level cache, and the packed weights are read once per block.
const BLOCK: usize = 64;

type Gemm = GemmExecutor<u8, i8, i32>;

pub(crate) struct Minilm {
    file: Cow<'static, [u8]>,
    /// Where the token table lies in the file, int8 `[VOCABULARY, HIDDEN]`; rows are read in place.
    tokens: Range<usize>,
    token_scales: Vec<f32>,
    /// Position and type embeddings added up, `[POSITIONS, HIDDEN]`.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    /// The largest quantised activation.
    levels: u8,
}

struct Layer {
    qkv: Linear,
    out: Linear,
    out_norm: Norm,
    up: Linear,
    down: Linear,
    down_norm: Norm,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

/// `x @ weights * scales + bias`.
struct Linear {
    weights: PackedBMatrix<i8>,
    /// The sum of each column of weights, for the zero points of `x`.
    sums: Vec<f32>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

/// Rows of uint8 with the scale and the zero point of each.
struct Rows {
    values: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<f32>,
}

impl Minilm {
    /// Returns the model of an ONNX file that `tools/export-minilm` wrote; `None` for any other.
    ///
    /// # Errors
    /// `Corrupt` when the file says that it is one but lacks weights.
    pub(crate) fn read(file: Cow<'static, [u8]>) -> Result<Option<Self>> {
        let Some(weights) = Weights::read(&file) else { return Ok(None) };
        let gemm = Gemm::default();
        let levels = if gemm.may_saturate() { 127 } else { 255 };
        let layers = (0..LAYERS).map(|i| Layer::read(&weights, &gemm, i)).collect::<Result<_>>()?;
        let mut positions = weights.f32s("embeddings.position", POSITIONS * HIDDEN)?;
        let types = weights.f32s("embeddings.type", 2 * HIDDEN)?;
        for row in positions.chunks_exact_mut(HIDDEN) {
            row.iter_mut().zip(&types).for_each(|(value, kind)| *value += kind);
        }
        let tokens = weights.range("embeddings.token.weight", VOCABULARY * HIDDEN)?;
        let token_scales = weights.f32s("embeddings.token.scale", VOCABULARY)?;
        let norm = Norm::read(&weights, "embeddings.LayerNorm")?;
        drop(weights);
        Ok(Some(Self { file, tokens, token_scales, positions, norm, layers, levels }))
    }

    /// Returns the vectors of the tokens, `[n, HIDDEN]`.
    ///
    /// # Errors
    /// `Internal` for more than 512 tokens or an id beyond the vocabulary.
    pub(crate) fn run(&self, ids: &[i32]) -> Result<Vec<f32>> {
        // Not `Send`, and cheap: it looks up the processor's features.
        let gemm = Gemm::default();
        let mut x = self.embed(ids)?;
        let mut qkv = vec![0.0; ids.len() * 3 * HIDDEN];
        let mut mixed = vec![0.0; ids.len() * HIDDEN];
        let mut scratch = Vec::new();
        let mut products = vec![0; BLOCK * INNER];
        let mut inner = vec![0.0; INNER];
        let mut rows = Rows::new(HIDDEN);
        let mut wide = Rows::new(INNER);
        for layer in &self.layers {
            for (x, qkv) in x.chunks(BLOCK * HIDDEN).zip(qkv.chunks_mut(BLOCK * 3 * HIDDEN)) {
                rows.fill(x, HIDDEN, self.levels);
                let n = layer.qkv.product(&gemm, &rows, &mut products)?;
                for (i, (acc, out)) in n.zip(qkv.chunks_exact_mut(3 * HIDDEN)).enumerate() {
                    layer.qkv.finish(acc, rows.scale(i), Finish::Plain, out);
                }
            }
            Attention { qkv: &qkv, scratch: &mut scratch, out: &mut mixed }.dispatch();
            for (x, mixed) in x.chunks_mut(BLOCK * HIDDEN).zip(mixed.chunks(BLOCK * HIDDEN)) {
                rows.fill(mixed, HIDDEN, self.levels);
                let n = layer.out.product(&gemm, &rows, &mut products)?;
                for (i, (acc, x)) in n.zip(x.chunks_exact_mut(HIDDEN)).enumerate() {
                    layer.out.finish(acc, rows.scale(i), Finish::Add, x);
                    layer.out_norm.apply(x);
                }
                rows.fill(x, HIDDEN, self.levels);
                wide.clear();
                let n = layer.up.product(&gemm, &rows, &mut products)?;
                for (i, acc) in n.enumerate() {
                    layer.up.finish(acc, rows.scale(i), Finish::Gelu, &mut inner);
                    wide.push(&inner, self.levels);
                }
                let n = layer.down.product(&gemm, &wide, &mut products)?;
                for (i, (acc, x)) in n.zip(x.chunks_exact_mut(HIDDEN)).enumerate() {
                    layer.down.finish(acc, wide.scale(i), Finish::Add, x);
                    layer.down_norm.apply(x);
                }
            }
        }
        Ok(x)
    }

    fn embed(&self, ids: &[i32]) -> Result<Vec<f32>> {
        let table = &self.file[self.tokens.clone()];
        let mut x = vec![0.0; ids.len() * HIDDEN];
        let positions = self.positions.chunks_exact(HIDDEN);
        if ids.len() > positions.len() {
            return Err(Error::new(
                ErrorKind::Internal,
                "more tokens than the model has positions",
            ));
        }
        for ((x, id), position) in x.chunks_exact_mut(HIDDEN).zip(ids).zip(positions) {
            let id = usize::try_from(*id).ok().filter(|id| *id < VOCABULARY);
            let id = id.ok_or_else(|| Error::new(ErrorKind::Internal, "unknown token id"))?;
            let scale = self.token_scales[id];
            let row = &table[id * HIDDEN..][..HIDDEN];
            for ((x, value), position) in x.iter_mut().zip(row).zip(position) {
                *x = f32::from(value.cast_signed()) * scale + position;
            }
            self.norm.apply(x);
        }
        Ok(x)
    }
}

impl Layer {
    fn read(weights: &Weights<'_>, gemm: &Gemm, i: usize) -> Result<Self> {
        let linear = |name: &str, shape| {
            Linear::read(weights, gemm, &format!("encoder.layer.{i}.{name}"), shape)
        };
        let norm = |name: &str| Norm::read(weights, &format!("encoder.layer.{i}.{name}.LayerNorm"));
        Ok(Self {
            qkv: linear("qkv", [HIDDEN, 3 * HIDDEN])?,
            out: linear("attention.output.dense", [HIDDEN, HIDDEN])?,
            out_norm: norm("attention.output")?,
            up: linear("intermediate.dense", [HIDDEN, INNER])?,
            down: linear("output.dense", [INNER, HIDDEN])?,
            down_norm: norm("output")?,
        })
    }
}

impl Norm {
    fn read(weights: &Weights<'_>, name: &str) -> Result<Self> {
        let gamma = weights.f32s(&format!("{name}.weight"), HIDDEN)?;
        let beta = weights.f32s(&format!("{name}.bias"), HIDDEN)?;
        Ok(Self { gamma, beta })
    }

    fn apply(&self, row: &mut [f32]) {
        LayerNorm { row, gamma: &self.gamma, beta: &self.beta }.dispatch();
    }
}

impl Linear {
    fn read(weights: &Weights<'_>, gemm: &Gemm, name: &str, shape: [usize; 2]) -> Result<Self> {
        let values = weights.i8s(&format!("{name}.weight"), shape[0] * shape[1])?;
        let mut sums = vec![0.0; shape[1]];
        for row in values.chunks_exact(shape[1]) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f32::from(*value));
        }
        Ok(Self {
            weights: gemm.prepack_b(NdTensorView::from_data(shape, values.as_slice())),
            sums,
            scales: weights.f32s(&format!("{name}.scale"), shape[1])?,
            bias: weights.f32s(&format!("{name}.bias"), shape[1])?,
        })
    }

    /// Computes the raw `rows @ weights`, zero points not yet taken off, into `products` and returns an iterator over its rows.
    fn product<'a>(
        &self,
        gemm: &Gemm,
        rows: &Rows,
        products: &'a mut [i32],
    ) -> Result<ChunksExact<'a, i32>> {
        let (n, columns) = (rows.scales.len(), self.bias.len());
        let out = &mut products[..n * columns];
        let shape = [n, self.weights.rows()];
        let a = GemmInputA::Unpacked(NdTensorView::from_data(shape, rows.values.as_slice()));
        let b = GemmInputB::Packed(&self.weights);
        gemm.gemm(out, a, b, GemmOptions::default()).map_err(|e| {
            Error::new(ErrorKind::Internal, "multiply by a weight matrix").with_source(e)
        })?;
        Ok(out.chunks_exact(columns))
    }

    fn finish(&self, acc: &[i32], (x_scale, x_zero): (f32, f32), finish: Finish, out: &mut [f32]) {
        let Self { sums, scales, bias, .. } = self;
        Dequantize { acc, x_scale, x_zero, sums, scales, bias, finish, out }.dispatch();
    }
}

impl Rows {
    fn new(width: usize) -> Self {
        Self {
            values: Vec::with_capacity(BLOCK * width),
            scales: Vec::with_capacity(BLOCK),
            zeros: Vec::with_capacity(BLOCK),
        }
    }

    /// Returns the scale and the zero point of a row.
    fn scale(&self, i: usize) -> (f32, f32) {
        (self.scales[i], self.zeros[i])
    }

    fn clear(&mut self) {
        self.values.clear();
        self.scales.clear();
        self.zeros.clear();
    }

    fn push(&mut self, row: &[f32], levels: u8) {
        let at = self.values.len();
        self.values.resize(at + row.len(), 0);
        let (scale, zero) = Quantize { row, levels, out: &mut self.values[at..] }.dispatch();
        self.scales.push(scale);
        self.zeros.push(zero);
    }

    fn fill(&mut self, rows: &[f32], width: usize, levels: u8) {
        self.clear();
        rows.chunks_exact(width).for_each(|row| self.push(row, levels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_dequantised_rows() {
        let gemm = Gemm::default();
        for (n, width, columns) in [(1, HIDDEN, HIDDEN), (2, INNER, HIDDEN), (64, HIDDEN, INNER)] {
            let value = |i: usize| ((i * 7919) % 251) as i32 - 125;
            let weights: Vec<i8> = (0..width * columns).map(|i| value(i) as i8).collect();
            let sum = |j: usize| (0..width).map(|k| value(k * columns + j)).sum::<i32>() as f32;
            let linear = Linear {
                weights: gemm.prepack_b(NdTensorView::from_data([width, columns], &weights[..])),
                sums: (0..columns).map(sum).collect(),
                scales: vec![1.0; columns],
                bias: vec![0.0; columns],
            };
            let rows = Rows {
                values: (0..n * width).map(|i| (i * 31 % 256) as u8).collect(),
                scales: vec![1.0; n],
                zeros: (0..n).map(|i| (100 + i) as f32).collect(),
            };
            let mut products = vec![7; BLOCK * INNER];
            let out = linear.product(&gemm, &rows, &mut products).unwrap();
            assert_eq!(out.len(), n);
            for (i, acc) in out.enumerate() {
                let mut row = vec![0.0; columns];
                linear.finish(acc, rows.scale(i), Finish::Plain, &mut row);
                for j in [0, 1, 33, columns - 1] {
                    let x = |k: usize| i32::from(rows.values[i * width + k]) - 100 - i as i32;
                    let expect: i32 = (0..width).map(|k| x(k) * value(k * columns + j)).sum();
                    let gap = (row[j] - expect as f32).abs();
                    assert!(gap <= 1.0, "{n} x {width} x {columns} at {i}, {j}: off by {gap}");
                }
            }
        }
    }

    #[test]
    fn seven_bits_of_activation_are_enough() {
        let model = |levels| {
            let file = Cow::Borrowed(crate::bundled::MODEL);
            Minilm { levels, ..Minilm::read(file).unwrap().unwrap() }
        };
        let ids: Vec<i32> = (0..130).map(|i| 2000 + i * 97 % 20000).collect();
        let [full, seven] = [255, 127].map(|levels| model(levels).run(&ids).unwrap());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let cosine = dot(&full, &seven) / (dot(&full, &full) * dot(&seven, &seven)).sqrt();
        assert!(cosine > 0.99, "{cosine}");
    }

    #[test]
    fn what_cannot_be_run_is_an_error() {
        let file = Cow::Borrowed(crate::bundled::MODEL);
        let model = Minilm::read(file).unwrap().unwrap();
        for ids in [&[-1][..], &[30522], &[1; 513]] {
            assert_eq!(model.run(ids).unwrap_err().kind(), ErrorKind::Internal);
        }
    }
}
