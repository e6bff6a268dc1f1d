//! One text to one vector: tokens, a run of the graph, pooling, unit norm.
//!
//! An [`Encoder`] is immutable and shared by all workers; each brings the one thread on which its runs
//! are computed. Tokens beyond the limit are cut from the end of the text, before the closing special
//! tokens, as sentence-transformers does.

use crate::minilm::Minilm;
use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use tokenizers::{Encoding, Tokenizer};
use vellum_core::ports::{EmbedderInfo, TextKind};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// How the token vectors `[n_tokens, dim]` become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, special ones included.
    Mean,
    /// The first token's vector.
    Cls,
}

/// What some models want before the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub(crate) query: String,
    pub(crate) passage: String,
}

/// What a graph input stands for.
#[derive(Debug, Clone, Copy)]
enum Input {
    Ids,
    Mask,
    Types,
    Positions,
}

/// What turns token ids into token vectors.
pub(crate) enum Engine {
    /// The general runtime.
    Graph(Box<Graph>),
    /// The fused pass for the bundled graph.
    Minilm(Box<Minilm>),
}

/// A graph of the general runtime and what its inputs stand for.
pub(crate) struct Graph {
    model: Model,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
}

/// The tokens of one text, cut to the limit.
pub(crate) struct Tokens {
    pub(crate) ids: Vec<i32>,
    pub(crate) types: Vec<i32>,
}

pub(crate) struct Encoder {
    engine: Engine,
    tokenizer: Tokenizer,
    pooling: Pooling,
    prompts: Prompts,
    info: EmbedderInfo,
}

/// What an encoder is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) pooling: Pooling,
    pub(crate) prompts: Prompts,
    pub(crate) info: EmbedderInfo,
}

impl Encoder {
    /// Returns the encoder; `info.dim` is believed.
    ///
    /// # Errors
    /// `Corrupt` when the tokenizer refuses its settings.
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let Parts { engine, mut tokenizer, pooling, prompts, info } = parts;
        // Some published tokenizers pad or cut to lengths of their own.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| Error::new(ErrorKind::Corrupt, "set up the tokenizer").with_source(e))?;
        Ok(Self { engine, tokenizer, pooling, prompts, info })
    }

    /// Returns the encoder with `info.dim` set from a run on a short text.
    pub(crate) fn measured(mut self) -> Result<Self> {
        self.info.dim = self.embed(&one_thread(), "dimension", TextKind::Passage)?.dim();
        Ok(self)
    }

    pub(crate) fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    /// Returns the tokens of a passage, prompt and special tokens included, without cutting.
    ///
    /// A text that cannot be split counts its bytes, which no tokenizer exceeds by more than the
    /// special tokens.
    pub(crate) fn n_tokens(&self, text: &str) -> usize {
        self.tokens(text, TextKind::Passage).map_or(text.len(), |encoding| encoding.len())
    }

    /// Returns the unit-norm vector of `text`, computed on `thread`.
    ///
    /// # Errors
    /// `Rejected` when the text has no tokens, `Unavailable` when the model fails or answers with a
    /// vector that is zero or not finite.
    pub(crate) fn embed(
        &self,
        thread: &Arc<ThreadPool>,
        text: &str,
        kind: TextKind,
    ) -> Result<Embedding> {
        let tokens = self.cut(&self.tokens(text, kind)?);
        let n = tokens.ids.len();
        if n == 0 {
            return Err(Error::new(ErrorKind::Rejected, "the text has no tokens"));
        }
        let (values, rows) = match &self.engine {
            Engine::Graph(graph) => graph.run(thread, &tokens)?,
            Engine::Minilm(minilm) => (thread.run(|| minilm.run(&tokens.ids))?, n),
        };
        Embedding::normalised(pool(&values, rows, self.pooling))
    }

    fn cut(&self, encoding: &Encoding) -> Tokens {
        let kept = kept(encoding.get_special_tokens_mask(), self.info.max_tokens);
        let pick = |values: &[u32]| {
            kept.iter().flat_map(|range| &values[range.clone()]).map(|id| *id as i32).collect()
        };
        Tokens { ids: pick(encoding.get_ids()), types: pick(encoding.get_type_ids()) }
    }

    fn tokens(&self, text: &str, kind: TextKind) -> Result<Encoding> {
        let prompt = match kind {
            TextKind::Query => &self.prompts.query,
            TextKind::Passage => &self.prompts.passage,
        };
        let encoding = if prompt.is_empty() {
            self.tokenizer.encode_fast(text, true)
        } else {
            self.tokenizer.encode_fast(format!("{prompt}{text}"), true)
        };
        encoding
            .map_err(|e| Error::new(ErrorKind::Rejected, "split a text into tokens").with_source(e))
    }
}

impl Graph {
    /// Returns the graph of `model`.
    ///
    /// # Errors
    /// `Unsupported` when it wants an input that a text encoder does not have.
    pub(crate) fn new(model: Model) -> Result<Self> {
        let ids = model.input_ids().iter();
        let inputs = ids.map(|id| Ok((*id, input(&model, *id)?))).collect::<Result<_>>()?;
        let output = output(&model)?;
        Ok(Self { model, inputs, output })
    }

    /// Returns the values of the output and its number of rows: one per token, or 1 if pooled.
    pub(crate) fn run(
        &self,
        thread: &Arc<ThreadPool>,
        tokens: &Tokens,
    ) -> Result<(Vec<f32>, usize)> {
        let n = tokens.ids.len();
        let inputs = self.inputs.iter().map(|(node, input)| {
            let values = match input {
                Input::Ids => tokens.ids.clone(),
                Input::Types => tokens.types.clone(),
                Input::Mask => vec![1; n],
                Input::Positions => (0..n as i32).collect(),
            };
            (*node, ValueOrView::from(Value::from(Tensor::from_data(&[1, n], values))))
        });
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(thread)));
        let output = self
            .model
            .run(inputs.collect(), &[self.output], Some(options))
            .map_err(|e| Error::new(ErrorKind::Unavailable, "run the model").with_source(e))?;
        rows(output, n)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Returns a pool of one thread, for the runs of one worker.
pub(crate) fn one_thread() -> Arc<ThreadPool> {
    Arc::new(ThreadPool::with_num_threads(1))
}

fn input(model: &Model, id: NodeId) -> Result<Input> {
    let name = model.node_info(id).and_then(|node| node.name()).unwrap_or_default();
    match name {
        "input_ids" => Ok(Input::Ids),
        "attention_mask" => Ok(Input::Mask),
        "token_type_ids" => Ok(Input::Types),
        "position_ids" => Ok(Input::Positions),
        other => {
            let message = format!("the model wants the input `{other}`");
            Err(Error::new(ErrorKind::Unsupported, message).with_hint(
                "export the model as a text encoder with `input_ids` and `attention_mask`",
            ))
        }
    }
}

/// Returns the token vectors by one of their usual names, or else the first output.
fn output(model: &Model) -> Result<NodeId> {
    let named = ["last_hidden_state", "token_embeddings"].iter().find_map(|name| {
        model
            .output_ids()
            .iter()
            .find(|id| model.node_info(**id).is_some_and(|node| node.name() == Some(name)))
    });
    named
        .or(model.output_ids().first())
        .copied()
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "the model has no output"))
}

/// Returns the ranges of token positions to keep, at most `max` tokens in all.
///
/// The tail of special tokens stays; what is cut comes right before it.
fn kept(special: &[u32], max: usize) -> [Range<usize>; 2] {
    let len = special.len();
    if len <= max {
        return [0..len, len..len];
    }
    let tail = special.iter().rev().take_while(|mask| **mask == 1).count().min(max);
    [0..max - tail, len - tail..len]
}

/// Returns the values of an output `[1, n, dim]`, or `[1, dim]` that the graph pooled itself, and the
/// number of rows.
fn rows(output: Vec<Value>, n: usize) -> Result<(Vec<f32>, usize)> {
    let tensor: Tensor<f32> =
        output.into_iter().next().and_then(|value| value.try_into().ok()).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the model answers without f32 values")
        })?;
    let rows = match *tensor.shape() {
        [1, dim] if dim > 0 => 1,
        [1, rows, dim] if rows == n && dim > 0 => n,
        ref shape => {
            let message = format!("the model answers {n} tokens with shape {shape:?}");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
    };
    Ok((tensor.into_data(), rows))
}

/// Returns the vector of a text from those of its tokens, `[rows, dim]`, not normalised.
fn pool(values: &[f32], rows: usize, pooling: Pooling) -> Vec<f32> {
    let dim = values.len() / rows;
    match pooling {
        Pooling::Cls => values[..dim].to_vec(),
        Pooling::Mean => sum(values, dim),
    }
}

/// Returns the sum of the rows of `values`, `[rows, dim]`: the mean, since unit norm follows.
fn sum(values: &[f32], dim: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dim];
    for row in values.chunks_exact(dim) {
        sum.iter_mut().zip(row).for_each(|(total, value)| *total += value);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_the_closing_special_token() {
        let check = |special: &[u32], max, expect: [Range<usize>; 2]| {
            assert_eq!(kept(special, max), expect, "{special:?} to {max}");
        };
        check(&[1, 0, 0, 1], 4, [0..4, 4..4]);
        check(&[1, 0, 0, 0, 1], 4, [0..3, 4..5]);
        check(&[1, 0, 0, 0, 0], 3, [0..3, 5..5]);
        check(&[1, 1, 1], 2, [0..0, 1..3]);
        check(&[], 2, [0..0, 0..0]);
    }

    #[test]
    fn pooling_reads_the_shapes_of_encoders() {
        let output = |shape: &[usize]| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|v: usize| v as f32).collect();
            vec![Value::from(Tensor::<f32>::from_data(shape, values))]
        };
        let check = |shape: &[usize], pooling, expect: [f32; 3]| {
            let (values, n) = rows(output(shape), 2).unwrap();
            assert_eq!(pool(&values, n, pooling), expect, "{shape:?}");
        };
        check(&[1, 2, 3], Pooling::Mean, [3.0, 5.0, 7.0]);
        check(&[1, 2, 3], Pooling::Cls, [0.0, 1.0, 2.0]);
        check(&[1, 3], Pooling::Mean, [0.0, 1.0, 2.0]);
        for wrong in [&[1, 3, 3][..], &[2, 2, 3], &[1, 2, 0], &[6]] {
            let error = rows(output(wrong), 2).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{wrong:?}");
        }
        let none = rows(Vec::new(), 1).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Unavailable);
    }
}
