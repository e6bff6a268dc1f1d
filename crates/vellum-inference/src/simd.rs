//! The vector loops of [`crate::minilm`], for whatever width the processor has.
//!
//! Each is a [`SimdOp`]: safe code, compiled once per instruction set and chosen at run time. Row widths
//! are multiples of 64, so no loop has a remainder except over the number of tokens.

use crate::minilm::{HEAD, HIDDEN};
use rten_simd::ops::{BitOps, FloatOps, NarrowSaturate, NumOps, ToFloat};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::{Gelu, MinMax, Normalize, NormalizeOptions, Softmax, Sum, SumSquareSub};
use std::array;

/// Added to the variance, as in the published model.
const EPSILON: f32 = 1e-12;
/// Query rows that share one pass over the keys: 6 x 2 sums fit the 16 registers of AVX2.
const TILE: usize = 6;

/// Quantises `row` to `0..=levels` over its range, zero included; returns scale and zero point.
pub(crate) struct Quantize<'a> {
    pub(crate) row: &'a [f32],
    pub(crate) levels: u8,
    pub(crate) out: &'a mut [u8],
}

impl SimdOp for Quantize<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> (f32, f32) {
        let (low, high) = MinMax::new(self.row).eval(isa);
        let (low, high) = (low.min(0.0), high.max(0.0));
        let levels = f32::from(self.levels);
        let scale = if high > low { (high - low) / levels } else { 1.0 };
        let zero = (-low / scale).round_ties_even().clamp(0.0, levels);

        let (floats, ints, shorts, bytes) = (isa.f32(), isa.i32(), isa.i16(), isa.u8());
        let (factor, offset) = (floats.splat(1.0 / scale), ints.splat(zero as i32));
        let lanes = floats.len();
        for (x, out) in self.row.chunks_exact(4 * lanes).zip(self.out.chunks_exact_mut(4 * lanes)) {
            let a = round(isa, x, factor, offset);
            let b = round(isa, &x[lanes..], factor, offset);
            let c = round(isa, &x[2 * lanes..], factor, offset);
            let d = round(isa, &x[3 * lanes..], factor, offset);
            let (low, high) = (ints.narrow_saturate(a, b), ints.narrow_saturate(c, d));
            bytes.store(shorts.narrow_saturate(low, high), out);
        }
        (scale, zero)
    }
}

/// Returns one vector of `x`, as integers.
///
/// Not a closure for `array::map`, which would be compiled without the instruction set and call every
/// operation.
#[inline(always)]
fn round<I: Isa>(isa: I, x: &[f32], factor: I::F32, offset: I::I32) -> I::I32 {
    let (floats, ints) = (isa.f32(), isa.i32());
    ints.add(floats.to_int_round(floats.mul(floats.load(x), factor)), offset)
}

/// What follows the product of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing: the result replaces `out`.
    Plain,
    /// Gelu: the result replaces `out`.
    Gelu,
    /// The result is added to `out`.
    Add,
}

/// `(acc - x_zero * sums) * x_scale * scales + bias`, then [`Finish`], into `out`.
///
/// `x_zero` is the zero point of the row and `sums` are those of the weight columns. The zero points
/// are taken off here because `rten-gemm` 0.27 mixes up those of rows beyond its first tile.
pub(crate) struct Dequantize<'a> {
    pub(crate) acc: &'a [i32],
    pub(crate) x_scale: f32,
    pub(crate) x_zero: f32,
    pub(crate) sums: &'a [f32],
    pub(crate) scales: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) finish: Finish,
    pub(crate) out: &'a mut [f32],
}

impl SimdOp for Dequantize<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let (floats, ints) = (isa.f32(), isa.i32());
        let lanes = floats.len();
        let (x_scale, x_zero) = (floats.splat(self.x_scale), floats.splat(self.x_zero));
        let columns = self.scales.chunks_exact(lanes).zip(self.bias.chunks_exact(lanes));
        let columns = columns.zip(self.sums.chunks_exact(lanes));
        let rows = self.acc.chunks_exact(lanes).zip(self.out.chunks_exact_mut(lanes));
        for ((acc, out), ((scale, bias), sum)) in rows.zip(columns) {
            let scale = floats.mul(floats.load(scale), x_scale);
            let acc = ints.to_float(ints.load(acc));
            let acc = floats.mul_sub_from(x_zero, floats.load(sum), acc);
            let y = floats.mul_add(acc, scale, floats.load(bias));
            let y = match self.finish {
                Finish::Plain => y,
                Finish::Gelu => Gelu {}.eval(isa, y),
                Finish::Add => floats.add(y, floats.load(out)),
            };
            floats.store(y, out);
        }
    }
}

/// Normalises `row` in place.
pub(crate) struct LayerNorm<'a> {
    pub(crate) row: &'a mut [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

impl SimdOp for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let n = self.row.len() as f32;
        let mean = Sum::new(self.row).eval(isa) / n;
        let variance = SumSquareSub::new(self.row, mean).eval(isa) / n;
        let options = NormalizeOptions {
            pre_scale_bias: mean,
            scale: 1.0 / (variance + EPSILON).sqrt(),
            element_scale: Some(self.gamma),
            bias: 0.0,
            element_bias: Some(self.beta),
        };
        Normalize::new_mut(self.row, options).eval(isa);
    }
}

/// Softmax attention of every head: `qkv` `[n, 3 * HIDDEN]` to `out` `[n, HIDDEN]`.
///
/// The factor before the softmax is part of the query weights. Keys are laid out in blocks of two
/// vectors of tokens; [`TILE`] rows of scores at a time stay in the first-level cache.
pub(crate) struct Attention<'a> {
    pub(crate) qkv: &'a [f32],
    pub(crate) scratch: &'a mut Vec<f32>,
    pub(crate) out: &'a mut [f32],
}

impl SimdOp for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let width = 2 * ops.len();
        let n = self.qkv.len() / (3 * HIDDEN);
        let padded = n.next_multiple_of(width);
        self.scratch.resize(padded * HEAD + n * HEAD + TILE * padded, 0.0);
        let (keys, rest) = self.scratch.split_at_mut(padded * HEAD);
        let (values, scores) = rest.split_at_mut(n * HEAD);

        for head in (0..HIDDEN).step_by(HEAD) {
            for (j, row) in self.qkv.chunks_exact(3 * HIDDEN).enumerate() {
                let block = &mut keys[j / width * width * HEAD..][..width * HEAD];
                let lane = block[j % width..].iter_mut().step_by(width);
                lane.zip(&row[HIDDEN + head..]).for_each(|(to, from)| *to = *from);
                let value = &row[2 * HIDDEN + head..][..HEAD];
                values[j * HEAD..][..HEAD].copy_from_slice(value);
            }
            for first in (0..n).step_by(TILE) {
                // The last tile repeats its last row, and drops the copies at the end.
                let queries: [&[f32; HEAD]; TILE] = array::from_fn(|r| {
                    let at = (first + r).min(n - 1) * 3 * HIDDEN + head;
                    self.qkv[at..].first_chunk().expect("a row holds whole heads")
                });
                for (b, block) in keys.chunks_exact(width * HEAD).enumerate() {
                    let mut sums = [[ops.zero(); 2]; TILE];
                    for d in 0..HEAD {
                        let [k0, k1] = ops.load_many::<2>(&block[d * width..]);
                        for r in 0..TILE {
                            let q = ops.splat(queries[r][d]);
                            sums[r] =
                                [ops.mul_add(q, k0, sums[r][0]), ops.mul_add(q, k1, sums[r][1])];
                        }
                    }
                    for (r, [s0, s1]) in sums.into_iter().enumerate() {
                        let to = &mut scores[r * padded + b * width..][..width];
                        let (to0, to1) = to.split_at_mut(width / 2);
                        ops.store(s0, to0);
                        ops.store(s1, to1);
                    }
                }
                for row in scores.chunks_exact_mut(padded) {
                    Softmax::new_mut(&mut row[..n]).eval(isa);
                }
                let weights: [&[f32]; TILE] = array::from_fn(|r| &scores[r * padded..][..n]);
                for column in (0..HEAD).step_by(width) {
                    let mut sums = [[ops.zero(); 2]; TILE];
                    for j in 0..n {
                        let [v0, v1] = ops.load_many::<2>(&values[j * HEAD + column..]);
                        for r in 0..TILE {
                            let w = ops.splat(weights[r][j]);
                            sums[r] =
                                [ops.mul_add(w, v0, sums[r][0]), ops.mul_add(w, v1, sums[r][1])];
                        }
                    }
                    for (r, [s0, s1]) in sums.into_iter().enumerate().take(n - first) {
                        let to = &mut self.out[(first + r) * HIDDEN + head + column..][..width];
                        let (to0, to1) = to.split_at_mut(width / 2);
                        ops.store(s0, to0);
                        ops.store(s1, to1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` values in [-2, 2) that repeat no pattern of the loops.
    fn values(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn close(ours: &[f32], expect: impl IntoIterator<Item = f32>) {
        let expect: Vec<f32> = expect.into_iter().collect();
        assert_eq!(ours.len(), expect.len());
        for (i, (ours, expect)) in ours.iter().zip(&expect).enumerate() {
            assert!((ours - expect).abs() < 1e-4, "{ours} for {expect} at {i}");
        }
    }

    #[test]
    fn quantised_rows_come_back() {
        for levels in [127, 255] {
            for row in [values(HIDDEN, 1), vec![0.0; HIDDEN], vec![3.0; HIDDEN], vec![-0.5; HIDDEN]]
            {
                let mut out = vec![0; HIDDEN];
                let (scale, zero) = Quantize { row: &row, levels, out: &mut out }.dispatch();
                for (x, q) in row.iter().zip(&out) {
                    assert!(*q <= levels);
                    let back = (f32::from(*q) - zero) * scale;
                    assert!((back - x).abs() <= scale * 1.01, "{back} for {x}");
                }
            }
        }
    }

    #[test]
    fn products_are_finished_as_asked() {
        let acc: Vec<i32> = (0..HIDDEN as i32).map(|i| i * 37 - 7000).collect();
        let [scales, bias, old, sums] = [2, 3, 4, 8].map(|seed| values(HIDDEN, seed));
        let plain = |i: usize| (acc[i] as f32 - 3.0 * sums[i]) * 1e-4 * scales[i] + bias[i];
        for finish in [Finish::Plain, Finish::Gelu, Finish::Add] {
            let mut out = old.clone();
            let (sums, scales, bias) = (&sums, &scales, &bias);
            let (x_scale, x_zero, out_) = (1e-4, 3.0, &mut out);
            Dequantize { acc: &acc, x_scale, x_zero, sums, scales, bias, finish, out: out_ }
                .dispatch();
            close(
                &out,
                (0..HIDDEN).map(|i| match finish {
                    Finish::Plain => plain(i),
                    Finish::Add => plain(i) + old[i],
                    // The tanh form, within 1e-3 of the exact one; enough to know one from the other.
                    Finish::Gelu => {
                        let exact = out[i];
                        let x = plain(i);
                        let tanh =
                            0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh());
                        assert!((exact - tanh).abs() < 1e-3, "{exact} for {tanh}");
                        exact
                    }
                }),
            );
        }
    }

    #[test]
    fn rows_are_normalised() {
        let (mut row, gamma, beta) = (values(HIDDEN, 5), values(HIDDEN, 6), values(HIDDEN, 7));
        let mean = row.iter().sum::<f32>() / HIDDEN as f32;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / HIDDEN as f32;
        let expect: Vec<f32> =
            (0..HIDDEN).map(|i| (row[i] - mean) / variance.sqrt() * gamma[i] + beta[i]).collect();
        LayerNorm { row: &mut row, gamma: &gamma, beta: &beta }.dispatch();
        close(&row, expect);
    }

    #[test]
    fn attention_is_the_textbook_one_for_any_length() {
        let mut scratch = Vec::new();
        for n in [2, 1, 5, 6, 7, 31, 32, 33, 70] {
            let qkv = values(n * 3 * HIDDEN, n as u32);
            let part =
                |row: usize, part: usize, column: usize| qkv[(row * 3 + part) * HIDDEN + column];
            let mut out = vec![0.0; n * HIDDEN];
            Attention { qkv: &qkv, scratch: &mut scratch, out: &mut out }.dispatch();
            for (i, c) in (0..n).flat_map(|i| [0, 33, 383].map(|c| (i, c))) {
                let head = c / HEAD * HEAD;
                let scores: Vec<f32> = (0..n)
                    .map(|j| {
                        (head..head + HEAD)
                            .map(|d| part(i, 0, d) * part(j, 1, d))
                            .sum::<f32>()
                            .exp()
                    })
                    .collect();
                let total: f32 = scores.iter().sum();
                let expect: f32 = (0..n).map(|j| scores[j] / total * part(j, 2, c)).sum();
                close(&out[i * HIDDEN + c..][..1], [expect]);
            }
        }
    }
}
