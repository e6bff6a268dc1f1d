//! Settings: the compiled-in reference file, then `vellum.toml`, then the environment, then flags.
//!
//! Layers are merged as TOML values, so that each value's origin is known, and only then read into
//! [`Config`]. The reference file is the single definition of names, types and defaults: a key
//! that it does not have is an error, and the environment variable of a setting follows from its path.
//! Other variables that begin with `VELLUM_` are ignored, because Kubernetes injects such
//! (`VELLUM_SERVICE_HOST`) for a service of that name.

mod model;

pub use model::{
    Azure, Collection, Config, Embedder, Eval, Gcs, Index, Ingest, Log, Mlflow, Reranker,
    Retrieval, S3, Server, Web,
};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use vellum_core::collection::{MAX_CHUNK_TOKENS, SplitMethod};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::versions::MAX_PARENT_TOKENS;

/// Least bound of a chunk: less than a sentence says nothing that could be found.
const MIN_CHUNK_TOKENS: usize = 16;

/// The reference file: every setting with its default and its explanation.
pub const REFERENCE: &str = include_str!("reference.toml");

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The reference file.
    Default,
    /// A `vellum.toml`.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// The settings in force and where each comes from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The settings.
    pub config: Config,
    /// By path (`server.bind`), ascending: value and origin.
    pub values: BTreeMap<String, (Value, Origin)>,
}

/// What the layers above the reference file come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// A configuration file that was asked for; it must exist.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags as `(path, flag, value)`.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Returns the settings in force.
///
/// Without an explicit file, `vellum.toml` in the working directory is read if it is there.
///
/// # Errors
/// `Invalid` naming the file or variable, the setting and what is wrong with it.
pub fn resolve(sources: &Sources) -> Result<Resolved> {
    let reference: Table = REFERENCE.parse().expect("the compiled-in reference file is valid TOML");
    let mut values = BTreeMap::new();
    flatten("", &reference, &mut |path, value| {
        values.insert(path, (value.clone(), Origin::Default));
    });
    if let Some(path) = config_file(sources)? {
        let table = read_table(&path)?;
        let origin = Origin::File(path);
        let mut problem = None;
        flatten("", &table, &mut |key, value| {
            if let Err(error) = put(&mut values, &key, value.clone(), origin.clone()) {
                problem.get_or_insert(error);
            }
        });
        if let Some(problem) = problem {
            return Err(problem);
        }
    }
    for key in values.keys().cloned().collect::<Vec<_>>() {
        let name = variable(&key);
        if let Some((_, text)) = sources.environment.iter().find(|(known, _)| *known == name) {
            put_text(&mut values, &key, text, Origin::Environment(name))?;
        }
    }
    for (key, flag, text) in &sources.flags {
        put_text(&mut values, key, text, Origin::Flag((*flag).to_owned()))?;
    }
    let config = read(&values)?;
    check(&config, &values)?;
    Ok(Resolved { config, values })
}

/// Returns the settings with some replaced, as if `flag` had said so.
///
/// # Errors
/// `Invalid` naming the flag, the setting and what is wrong with it.
pub fn replaced<'a>(
    resolved: &Resolved,
    flag: &str,
    settings: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<Config> {
    let mut values = resolved.values.clone();
    for (path, text) in settings {
        put_text(&mut values, path, &text, Origin::Flag(flag.to_owned()))?;
    }
    let config = read(&values)?;
    check(&config, &values)?;
    Ok(config)
}

/// Returns the environment variable of the setting at `path`.
pub fn variable(path: &str) -> String {
    format!("VELLUM_{}", path.replace('.', "_").to_uppercase())
}

fn config_file(sources: &Sources) -> Result<Option<PathBuf>> {
    if let Some(path) = &sources.file {
        if !path.is_file() {
            return Err(invalid(format!("configuration file `{}` does not exist", path.display())));
        }
        return Ok(Some(path.clone()));
    }
    let local = PathBuf::from("vellum.toml");
    Ok(local.is_file().then_some(local))
}

fn read_table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::io(format!("read `{}`", path.display()), error))?;
    text.parse().map_err(|error: toml::de::Error| {
        let (line, _) = position(&text, error.span().map_or(0, |span| span.start));
        invalid(format!("`{}` line {line} is not valid TOML: {}", path.display(), error.message()))
    })
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    (before.matches('\n').count() + 1, before.len())
}

fn flatten(prefix: &str, table: &Table, each: &mut dyn FnMut(String, &Value)) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&path, inner, each),
            value => each(path, value),
        }
    }
}

type Values = BTreeMap<String, (Value, Origin)>;

/// Replaces a value by one of the same type.
fn put(values: &mut Values, path: &str, value: Value, origin: Origin) -> Result<()> {
    let Some(slot) = values.get_mut(path) else {
        let known = values.keys().min_by_key(|known| distance(known, path)).cloned();
        return Err(invalid(format!("{origin}: unknown setting `{path}`")).with_hint(format!(
            "did you mean `{}`? `vellum config show` lists all",
            known.unwrap_or_default()
        )));
    };
    let value = match (&slot.0, value) {
        (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, value) => value,
    };
    if slot.0.type_str() != value.type_str() {
        return Err(invalid(format!(
            "{origin}: `{path}` is a {}, not a {}",
            slot.0.type_str(),
            value.type_str()
        )));
    }
    *slot = (value, origin);
    Ok(())
}

/// Replaces a value by text, read as the type that the setting has.
fn put_text(values: &mut Values, path: &str, text: &str, origin: Origin) -> Result<()> {
    let wrong = |kind: &str| invalid(format!("{origin}: `{path}` must be {kind}, not `{text}`"));
    let value = match values.get(path).map(|(value, _)| value) {
        Some(Value::Integer(_)) => {
            Value::Integer(text.replace('_', "").parse().map_err(|_| wrong("a whole number"))?)
        }
        Some(Value::Float(_)) => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
        Some(Value::Boolean(_)) => {
            Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?)
        }
        Some(Value::Array(_)) => {
            let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            Value::Array(entries.map(|entry| Value::String(entry.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    };
    put(values, path, value, origin)
}

fn read(values: &Values) -> Result<Config> {
    let mut root = Table::new();
    for (path, (value, origin)) in values {
        if let Value::Integer(whole) = value
            && *whole < 0
        {
            return Err(invalid(format!("{origin}: `{path}` must not be negative")));
        }
        match path.split_once('.') {
            None => {
                root.insert(path.clone(), value.clone());
            }
            Some((section, key)) => {
                let section = root.entry(section).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(key.to_owned(), value.clone());
                }
            }
        }
    }
    Config::deserialize(Value::Table(root))
        .map_err(|error| invalid(format!("settings: {}", error.message())))
}

/// Checks what types alone cannot say.
fn check(config: &Config, values: &Values) -> Result<()> {
    let wrong = |path: &str, why: &str| {
        let (value, origin) = &values[path];
        Err(invalid(format!("{origin}: `{path}` {why}, not {value}")))
    };
    if config.server.bind.parse::<std::net::SocketAddr>().is_err() {
        return wrong("server.bind", "must be ADDRESS:PORT, such as 127.0.0.1:7117");
    }
    let base = &config.server.base_path;
    if !base.is_empty() && (!base.starts_with('/') || base.ends_with('/')) {
        return wrong("server.base_path", "must begin with `/` and not end with it");
    }
    let language = config.collection.language.as_str();
    if language != "auto" && !is_language(language) {
        return wrong("collection.language", "must be `auto` or an ISO 639-1 code such as `en`");
    }
    check_splitter(&config.collection, &wrong)?;
    let budget = config.ingest.memory_budget;
    if budget != 0 && budget < crate::memory::MIN_BUDGET {
        return wrong("ingest.memory_budget", "must be 0 or at least 536870912 bytes");
    }
    if config.retrieval.leg_limit == 0 || config.retrieval.leg_limit > 10_000 {
        return wrong("retrieval.leg_limit", "must be in 1 to 10000");
    }
    if !(1..=1_000).contains(&config.retrieval.top_k) {
        return wrong("retrieval.top_k", "must be in 1 to 1000");
    }
    if !(0.0..=1.0).contains(&config.retrieval.mmr_lambda) {
        return wrong("retrieval.mmr_lambda", "must be in 0 to 1");
    }
    for (path, weight) in [
        ("retrieval.dense_weight", config.retrieval.dense_weight),
        ("retrieval.sparse_weight", config.retrieval.sparse_weight),
    ] {
        if !weight.is_finite() || weight < 0.0 {
            return wrong(path, "must be 0 or more");
        }
    }
    if !(1_000..=1_000_000_000).contains(&config.index.graph_from) {
        return wrong("index.graph_from", "must be in 1000 to 1000000000");
    }
    if !(16..=10_000).contains(&config.index.graph_search_beam) {
        return wrong("index.graph_search_beam", "must be in 16 to 10000");
    }
    if !matches!(config.index.quantization.as_str(), "none" | "scalar" | "binary") {
        return wrong("index.quantization", "must be `none`, `scalar` or `binary`");
    }
    if config.reranker.depth > 1_000 {
        return wrong("reranker.depth", "must be in 0 to 1000");
    }
    if !matches!(config.s3.addressing_style.as_str(), "auto" | "path" | "virtual") {
        return wrong("s3.addressing_style", "must be `auto`, `path` or `virtual`");
    }
    if !matches!(config.log.format.as_str(), "text" | "json") {
        return wrong("log.format", "must be `text` or `json`");
    }
    Ok(())
}

/// Checks how new collections are cut.
fn check_splitter(collection: &Collection, wrong: &dyn Fn(&str, &str) -> Result<()>) -> Result<()> {
    if !SplitMethod::NAMES.contains(&collection.splitter.as_str()) {
        let names = SplitMethod::NAMES.map(|name| format!("`{name}`")).join(", ");
        return wrong("collection.splitter", &format!("must be one of {names}"));
    }
    if !(MIN_CHUNK_TOKENS..=MAX_CHUNK_TOKENS).contains(&collection.max_tokens) {
        let why = format!("must be in {MIN_CHUNK_TOKENS} to {MAX_CHUNK_TOKENS}");
        return wrong("collection.max_tokens", &why);
    }
    let most = collection.max_tokens - MIN_CHUNK_TOKENS;
    if collection.overlap_tokens > most {
        let why = format!(
            "must be at most {most}: {MIN_CHUNK_TOKENS} of `collection.max_tokens` are for new text"
        );
        return wrong("collection.overlap_tokens", &why);
    }
    if !(1..=99).contains(&collection.semantic_percentile) {
        return wrong("collection.semantic_percentile", "must be in 1 to 99");
    }
    let parent = collection.parent_tokens;
    if parent != 0 && !(collection.max_tokens..=MAX_PARENT_TOKENS).contains(&parent) {
        let least = collection.max_tokens;
        let why = format!(
            "must be 0 (no parents) or from {least}, which is `collection.max_tokens`, to {MAX_PARENT_TOKENS}"
        );
        return wrong("collection.parent_tokens", &why);
    }
    Ok(())
}

/// Whether a text has the form of an ISO 639-1 code. Languages without an analyser are folded only.
pub fn is_language(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Returns the edit distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_rag::tune::parameters::{Kind, PARAMETERS};

    #[test]
    fn what_can_be_tuned_is_a_setting_of_its_kind() {
        let resolved = resolve(&Sources::default()).unwrap();
        for parameter in PARAMETERS {
            let path = parameter.path;
            let (value, _) = resolved.values.get(path).unwrap_or_else(|| panic!("{path}"));
            let fits = match parameter.kind {
                Kind::Whole(..) => value.is_integer(),
                Kind::Number(..) => value.is_float(),
                Kind::Word(_) => value.is_str(),
                Kind::Flag => value.is_bool(),
            };
            assert!(fits, "{path} is a {}", value.type_str());
            // Every word that a space may name is one that the setting takes.
            if let Kind::Word(words) = parameter.kind {
                for word in words {
                    replaced(&resolved, "x", [(path, (*word).to_owned())]).unwrap();
                }
            }
        }
    }

    #[test]
    fn replaced_settings_are_checked_together() {
        let resolved = resolve(&Sources::default()).unwrap();
        let set = |tokens: &str, overlap: &str| {
            let settings =
                [("collection.max_tokens", tokens), ("collection.overlap_tokens", overlap)];
            replaced(&resolved, "trial-settings", settings.map(|(k, v)| (k, v.to_owned())))
        };
        assert_eq!(set("64", "32").unwrap().collection.max_tokens, 64);
        let error = set("64", "50").unwrap_err();
        assert!(error.message().contains("flag --trial-settings"), "{}", error.message());
    }

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    #[test]
    fn layers_and_origins() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my.toml");
        std::fs::write(&file, "[server]\nbind = \"127.0.0.1:1\"\n[retrieval]\nmmr_lambda = 1\n")
            .unwrap();
        let mut sources =
            environment(&[("VELLUM_SERVER_BIND", "127.0.0.1:2"), ("VELLUM_SERVICE_HOST", "x")]);
        sources.file = Some(file.clone());
        let resolved = resolve(&sources).unwrap();
        assert_eq!(resolved.config.server.bind, "127.0.0.1:2");
        assert_eq!(resolved.values["retrieval.mmr_lambda"].1, Origin::File(file));
        sources.flags.push(("server.bind", "bind", "127.0.0.1:3".to_owned()));
        assert_eq!(resolve(&sources).unwrap().config.server.bind, "127.0.0.1:3");
    }

    #[test]
    fn lists_are_written_with_commas_in_the_environment() {
        for (text, expect) in
            [("a.example, 10.0.0.7:80,", &["a.example", "10.0.0.7:80"][..]), ("", &[])]
        {
            let sources = environment(&[("VELLUM_WEB_ALLOWED_HOSTS", text)]);
            assert_eq!(resolve(&sources).unwrap().config.web.allowed_hosts, expect);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("v.toml");
        std::fs::write(&file, "[web]\nallowed_hosts = [\"a.example\"]\n").unwrap();
        let resolved = resolve(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        assert_eq!(resolved.config.web.allowed_hosts, ["a.example"]);
    }

    #[test]
    fn wrong_settings_name_place_and_cure() {
        let check = |pairs: &[(&str, &str)], expect: &str| {
            let error = resolve(&environment(pairs)).unwrap_err();
            assert!(error.message().contains(expect), "{}", error.message());
        };
        check(
            &[("VELLUM_SERVER_BIND", "nonsense")],
            "environment VELLUM_SERVER_BIND: `server.bind` must be",
        );
        check(&[("VELLUM_INGEST_CONCURRENCY", "many")], "must be a whole number, not `many`");
        check(&[("VELLUM_INGEST_CONCURRENCY", "-1")], "must not be negative");
        check(&[("VELLUM_COLLECTION_LANGUAGE", "klingon")], "ISO 639-1");
        check(
            &[("VELLUM_COLLECTION_SPLITTER", "words")],
            "environment VELLUM_COLLECTION_SPLITTER: `collection.splitter` must be one of `sentence`, `fixed`",
        );
        check(&[("VELLUM_COLLECTION_MAX_TOKENS", "15")], "must be in 16 to 8192, not 15");
        check(&[("VELLUM_COLLECTION_OVERLAP_TOKENS", "256")], "must be at most 240: 16 of");
        check(&[("VELLUM_COLLECTION_PARENT_TOKENS", "255")], "0 (no parents) or from 256");
        check(&[("VELLUM_COLLECTION_PARENT_TOKENS", "5000")], "to 4096");
        check(&[("VELLUM_COLLECTION_SEMANTIC_PERCENTILE", "100")], "must be in 1 to 99");
        check(&[("VELLUM_COLLECTION_CONTEXT", "maybe")], "must be true or false");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("v.toml");
        std::fs::write(&file, "[server]\nbnid = \"x\"\n").unwrap();
        let error = resolve(&Sources { file: Some(file), ..Sources::default() }).unwrap_err();
        assert!(error.message().contains("unknown setting `server.bnid`"), "{}", error.message());
        assert!(error.hint().unwrap().contains("`server.bind`"));
    }
}
