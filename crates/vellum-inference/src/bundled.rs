//! The model that is compiled in: all-MiniLM-L6-v2 with int8 weights, made by `tools/export-minilm`.
//!
//! Nothing is unpacked or hashed at start; a test compares the bytes with [`DIGEST`]. Tokenizer and
//! weights are read side by side, because each takes about as long as the other.

use crate::encoder::{Encoder, Engine, Parts, Pooling, Prompts};
use crate::folder::read_tokenizer;
use crate::minilm::Minilm;
use std::borrow::Cow;
use std::thread;
use vellum_core::ports::EmbedderInfo;
use vellum_core::{Error, ErrorKind, Result};

pub(crate) const MODEL: &[u8] = include_bytes!("../model/all-MiniLM-L6-v2/model.onnx");
const TOKENIZER: &[u8] = include_bytes!("../model/all-MiniLM-L6-v2/tokenizer.json");

/// What [`crate::folder::Folder::digest`] gives for the folder of the model.
const DIGEST: &str = "6112aa16f9d070318858a072a02f47ef731ca02b3f9bc765c30b47a9f5c84591";

pub(crate) fn load() -> Result<Encoder> {
    let (model, tokenizer) = thread::scope(|scope| {
        let tokenizer = scope.spawn(|| read_tokenizer(TOKENIZER));
        (Minilm::read(Cow::Borrowed(MODEL)), tokenizer.join())
    });
    let tokenizer = tokenizer.map_err(|_| damaged())??;
    Encoder::new(Parts {
        engine: Engine::Minilm(Box::new(model?.ok_or_else(damaged)?)),
        tokenizer,
        pooling: Pooling::Mean,
        prompts: Prompts::default(),
        info: EmbedderInfo {
            name: "all-MiniLM-L6-v2".into(),
            digest: DIGEST.into(),
            dim: 384,
            max_tokens: 256,
            languages: vec!["en".into()],
        },
    })
}

fn damaged() -> Error {
    Error::new(ErrorKind::Internal, "read the bundled embedding model")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{Graph, one_thread};
    use crate::folder::Folder;
    use rten::ModelOptions;
    use std::path::Path;
    use vellum_core::ports::TextKind;

    #[test]
    fn the_bundled_files_have_the_stated_digest() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/all-MiniLM-L6-v2");
        assert_eq!(Folder::open(&dir).unwrap().digest().unwrap(), DIGEST);
    }

    #[test]
    fn the_bundled_settings_are_those_of_the_folder() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/all-MiniLM-L6-v2");
        let folder = Folder::open(&dir).unwrap().load().unwrap();
        assert_eq!(folder.info(), load().unwrap().info());
    }

    #[test]
    fn the_fused_pass_agrees_with_the_general_runtime() {
        let fused = load().unwrap();
        let model = ModelOptions::with_all_ops().load_static_slice(MODEL).unwrap();
        let graph = Encoder::new(Parts {
            engine: Engine::Graph(Box::new(Graph::new(model).unwrap())),
            tokenizer: read_tokenizer(TOKENIZER).unwrap(),
            pooling: Pooling::Mean,
            prompts: Prompts::default(),
            info: fused.info().clone(),
        });
        let (graph, thread) = (graph.unwrap(), one_thread());
        for text in ["", "a pump", "Пример текста", &"the second cooling circuit ".repeat(80)]
        {
            let embed = |with: &Encoder| with.embed(&thread, text, TextKind::Passage).unwrap();
            // They differ in the scales of activations, and the general runtime is the coarser one.
            let cosine = embed(&fused).cosine(&embed(&graph));
            assert!(cosine > 0.98, "{cosine} for `{text}`");
        }
    }
}
