//! A model folder in sentence-transformers layout, read into an [`Encoder`].
//!
//! ```text
//! model.onnx | onnx/model.onnx        the graph; weights beside it if it says so
//! tokenizer.json                      tokens
//! modules.json                        optional; only Transformer, Pooling and Normalize are known
//! 1_Pooling/config.json               optional; mean (also without the file) or cls
//! sentence_bert_config.json           optional; `max_seq_length`
//! config.json                         optional; `max_position_embeddings`
//! config_sentence_transformers.json   optional; `prompts` for `query` and `passage` or `document`
//! ```
//!
//! The digest covers exactly the files above that exist, and the data files beside the graph. It does
//! not cover the runtime: a release that changes vectors must say so.

use crate::bundled;
use crate::encoder::{Encoder, Engine, Graph, Parts, Pooling, Prompts};
use crate::minilm::Minilm;
use rten::ModelOptions;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;
use vellum_core::ports::EmbedderInfo;
use vellum_core::{Error, ErrorKind, Result};

/// Where the graph may lie, in order of preference.
pub(crate) const GRAPHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// Files that are read when they exist.
pub(crate) const SETTINGS: [&str; 5] = [
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config.json",
    "config_sentence_transformers.json",
];
/// The longest text where no file names one: the limit of BERT.
const DEFAULT_MAX_TOKENS: usize = 512;

#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    graph: &'static str,
}

impl Folder {
    /// Returns the folder after checking that the required files are there.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let graph = GRAPHS.into_iter().find(|name| dir.join(name).is_file());
        let missing = match graph {
            None => GRAPHS.join("` or `"),
            Some(_) if !dir.join(TOKENIZER).is_file() => TOKENIZER.into(),
            Some(graph) => {
                return Ok(Self { dir: dir.into(), graph });
            }
        };
        let hint = "put a model exported to ONNX there, for instance with \
                    `optimum-cli export onnx --model MODEL --library sentence_transformers DIR`";
        let message = format!("the model folder `{}` has no `{missing}`", dir.display());
        Err(Error::new(ErrorKind::NotFound, message).with_hint(hint))
    }

    /// Returns the SHA-256, in hex, over the lines `<sha256>  <path>\n` of the files that decide
    /// the vectors, sorted by path: `sha256sum FILES | sha256sum`.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut names = BTreeSet::from([self.graph.to_owned(), TOKENIZER.to_owned()]);
        names.extend(
            SETTINGS.into_iter().filter(|name| self.dir.join(name).is_file()).map(Into::into),
        );
        names.extend(self.data_files()?);
        let mut lines = Sha256::new();
        for name in names {
            let path = self.dir.join(&name);
            let mut sum = Sha256::new();
            File::open(&path)
                .and_then(|mut file| io::copy(&mut file, &mut sum))
                .map_err(|e| Error::io(format!("read `{}`", path.display()), e))?;
            lines.update(format!("{:x}  {name}\n", sum.finalize()));
        }
        Ok(format!("{:x}", lines.finalize()))
    }

    /// Returns the languages that the model card names (`language` in the front matter of `README.md`);
    /// empty when it names none or says `multilingual`.
    fn languages(&self) -> Vec<String> {
        let card = fs::read_to_string(self.dir.join("README.md")).unwrap_or_default();
        languages_of(&card)
    }

    /// Returns the encoder.
    pub(crate) fn load(&self) -> Result<Encoder> {
        self.check_modules()?;
        let info = EmbedderInfo {
            name: self.name(),
            digest: self.digest()?,
            dim: 0,
            max_tokens: self.max_tokens()?,
            languages: self.languages(),
        };
        Encoder::new(Parts {
            engine: self.engine()?,
            tokenizer: self.tokenizer()?,
            pooling: self.pooling()?,
            prompts: self.prompts()?,
            info,
        })?
        .measured()
        .map_err(|e| e.context(format!("try the model `{}`", self.dir.display())))
    }

    /// Returns the fused engine for the graph that is bundled, and the general one for others.
    fn engine(&self) -> Result<Engine> {
        let path = self.dir.join(self.graph);
        if path.metadata().is_ok_and(|file| file.len() == bundled::MODEL.len() as u64) {
            let file =
                fs::read(&path).map_err(|e| Error::io(format!("read `{}`", path.display()), e))?;
            if let Some(minilm) = Minilm::read(Cow::Owned(file))? {
                return Ok(Engine::Minilm(Box::new(minilm)));
            }
        }
        Ok(Engine::Graph(Box::new(self.graph()?)))
    }

    /// Returns the graph, for the general runtime.
    pub(crate) fn graph(&self) -> Result<Graph> {
        let path = self.dir.join(self.graph);
        let model =
            ModelOptions::with_all_ops().prepack_weights(true).load_file(&path).map_err(|e| {
                Error::new(ErrorKind::Corrupt, format!("read the model `{}`", path.display()))
                    .with_hint("export it to ONNX again; int8, f16 and f32 weights are read")
                    .with_source(e)
            })?;
        Graph::new(model)
    }

    /// Returns the tokenizer as it is stored.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        let path = self.dir.join(TOKENIZER);
        let bytes =
            fs::read(&path).map_err(|e| Error::io(format!("read `{}`", path.display()), e))?;
        read_tokenizer(&bytes).map_err(|e| e.context(path.display()))
    }

    /// Returns the human name.
    pub(crate) fn name(&self) -> String {
        self.dir.file_name().unwrap_or(self.dir.as_os_str()).to_string_lossy().into_owned()
    }

    /// Returns the files beside the graph that hold its weights: `model.onnx_data`, `model.onnx.data`.
    fn data_files(&self) -> Result<Vec<String>> {
        let folder = Path::new(self.graph).parent().unwrap_or(Path::new(""));
        let path = self.dir.join(folder);
        let failed = |e| Error::io(format!("list `{}`", path.display()), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if name.starts_with("model.onnx_data") || name.starts_with("model.onnx.data") {
                names.push(folder.join(name).to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn check_modules(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Module {
            #[serde(rename = "type")]
            kind: String,
        }
        let modules: Vec<Module> = self.json("modules.json")?.unwrap_or_default();
        for Module { kind } in modules {
            let name = kind.rsplit('.').next().unwrap_or_default();
            if !["Transformer", "Pooling", "Normalize"].contains(&name) {
                let message = format!("the model `{}` has a module `{kind}`", self.dir.display());
                return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
                    "take a model that ends with pooling, or serve it with an embedding server",
                ));
            }
        }
        Ok(())
    }

    fn pooling(&self) -> Result<Pooling> {
        let config: BTreeMap<String, serde_json::Value> =
            self.json("1_Pooling/config.json")?.unwrap_or_default();
        let modes: Vec<&str> = config
            .iter()
            .filter(|(key, on)| {
                key.starts_with("pooling_mode_") && **on == serde_json::Value::Bool(true)
            })
            .map(|(key, _)| key.trim_start_matches("pooling_mode_"))
            .collect();
        match *modes {
            [] | ["mean_tokens"] => Ok(Pooling::Mean),
            ["cls_token"] => Ok(Pooling::Cls),
            _ => {
                let message = format!("the model `{}` pools by {modes:?}", self.dir.display());
                Err(Error::new(ErrorKind::Unsupported, message)
                    .with_hint("take a model with mean or cls pooling"))
            }
        }
    }

    pub(crate) fn max_tokens(&self) -> Result<usize> {
        #[derive(Deserialize, Default)]
        struct Limit {
            max_seq_length: Option<usize>,
            max_position_embeddings: Option<usize>,
            model_type: Option<String>,
        }
        let sentence: Limit = self.json("sentence_bert_config.json")?.unwrap_or_default();
        let model: Limit = self.json("config.json")?.unwrap_or_default();
        // RoBERTa counts positions from 2.
        let first = match model.model_type.as_deref() {
            Some("roberta" | "xlm-roberta" | "camembert") => 2,
            _ => 0,
        };
        let positions = model.max_position_embeddings.map(|n| n.saturating_sub(first));
        Ok(sentence.max_seq_length.or(positions).unwrap_or(DEFAULT_MAX_TOKENS).max(3))
    }

    fn prompts(&self) -> Result<Prompts> {
        #[derive(Deserialize, Default)]
        struct Config {
            #[serde(default)]
            prompts: BTreeMap<String, String>,
        }
        let Config { mut prompts } =
            self.json("config_sentence_transformers.json")?.unwrap_or_default();
        let query = prompts.remove("query").unwrap_or_default();
        let passage = prompts.remove("passage").or_else(|| prompts.remove("document"));
        Ok(Prompts { query, passage: passage.unwrap_or_default() })
    }

    /// Returns the parsed file; `None` when there is none.
    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(format!("read `{}`", path.display()), e)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Error::new(ErrorKind::Corrupt, format!("read `{}`", path.display())).with_source(e)
        })
    }
}

pub(crate) fn read_tokenizer(json: &[u8]) -> Result<Tokenizer> {
    Tokenizer::from_bytes(json)
        .map_err(|e| Error::new(ErrorKind::Corrupt, "read the tokenizer").with_source(e))
}
/// Reads `language: en`, `language: [en, de]` or a list below `language:` in YAML front matter.
fn languages_of(card: &str) -> Vec<String> {
    let Some(body) = card.strip_prefix("---") else { return Vec::new() };
    let matter = body.split("\n---").next().unwrap_or_default();
    let mut lines = matter.lines().skip_while(|line| !line.starts_with("language:"));
    let inline = lines.next().unwrap_or_default().trim_start_matches("language:");
    let below = lines.map_while(|line| line.trim_start().strip_prefix("- "));
    let codes: Vec<String> = inline
        .split([',', '[', ']'])
        .chain(below)
        .map(|code| code.trim().trim_matches(['"', '\'']).to_lowercase())
        .filter(|code| !code.is_empty())
        .collect();
    // Anything but a code, such as `multilingual`, says that the list is not the whole truth.
    if codes.iter().all(|code| code.len() == 2) { codes } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::languages_of;

    #[test]
    fn languages_of_a_model_card() {
        let cases: [(&str, &[&str]); 6] = [
            ("---\nlanguage: en\nlicense: x\n---\n# Model", &["en"]),
            ("---\nlanguage: [en, \"de\"]\n---", &["en", "de"]),
            ("---\nlanguage:\n- en\n- zh\ntags:\n- fr\n---", &["en", "zh"]),
            ("---\nlanguage: multilingual\n---", &[]),
            ("---\nlicense: x\n---\nlanguage: en", &[]),
            ("# Model\nlanguage: en", &[]),
        ];
        for (card, expect) in cases {
            assert_eq!(languages_of(card), expect, "{card}");
        }
    }
}
