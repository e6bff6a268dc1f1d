//! Models in process: text embeddings and reranking on `rten`, a pure-Rust ONNX runtime.
//!
//! ```text
//! embed(texts, kind) -> lane (queries | passages, both bounded) -> n workers, one per core
//!                                 worker: text -> tokens -> one run on one thread -> pool -> unit norm
//! ```
//!
//! One text per run and one thread per run: int8 models scale activations over whatever shares the
//! run, so a batch would make a text's vector depend on its neighbours, and parallel runs beat
//! parallel loops besides. Workers take queries first.
//!
//! The bundled model runs in a fused pass of its own (`minilm`), a third faster and nearer to fp32; any
//! other model runs in the general runtime.
//!
//! Where a model comes from: [`LocalEmbedder::bundled`] is compiled in, [`LocalEmbedder::from_dir`]
//! reads a folder in sentence-transformers layout, and [`hub::download`] makes such a folder.
//!
//! [`LocalReranker`] reads a cross-encoder from such a folder and scores question and passage together.
//!
//! This is the only crate that links an ML runtime or a tokenizer, and a slim server goes without it.
//! Nothing here retries, caches vectors or knows about documents.

mod bundled;
mod embedder;
mod encoder;
mod folder;
pub mod hub;
mod lanes;
mod minilm;
mod reranker;
mod simd;
mod weights;

pub use embedder::{LocalEmbedder, Options};
pub use reranker::LocalReranker;
