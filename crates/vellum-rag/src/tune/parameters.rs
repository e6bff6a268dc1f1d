//! What can be tuned: settings of `vellum.toml` by their path, and what a change of each touches.
//!
//! What it touches decides what a trial can share with the trials before it: see [`Touches`]. A setting that no
//! search looks at (ports, memory, logs) is not here, and a space that names one is refused.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use vellum_core::collection::{MAX_CHUNK_TOKENS, SplitMethod};

/// A setting that can be tuned.
#[derive(Debug, PartialEq)]
pub struct Parameter {
    /// Path in `vellum.toml`, such as `retrieval.dense_weight`.
    pub path: &'static str,
    /// Values that it takes.
    pub kind: Kind,
    /// What a change makes anew.
    pub touches: Touches,
}

/// The values that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Whole numbers in this range, both ends included.
    Whole(i64, i64),
    /// Numbers in this range, both ends included.
    Number(f64, f64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
}

/// What has to be made anew when a setting changes; each includes what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touches {
    /// The chunks: the corpus is ingested again, and only new chunks are embedded.
    Index,
    /// The work of a search, and so its latency.
    Search,
    /// The order of what was found.
    Order,
}

/// Every setting that can be tuned, in the order of the reference file.
pub const PARAMETERS: &[Parameter] = &[
    parameter("collection.splitter", Kind::Word(&SplitMethod::NAMES), Touches::Index),
    parameter("collection.max_tokens", Kind::Whole(16, MAX_CHUNK_TOKENS as i64), Touches::Index),
    parameter("collection.overlap_tokens", Kind::Whole(0, 4_096), Touches::Index),
    parameter("collection.semantic_percentile", Kind::Whole(1, 99), Touches::Index),
    parameter("collection.context", Kind::Flag, Touches::Index),
    parameter("collection.parent_tokens", Kind::Whole(0, 4_096), Touches::Index),
    parameter("retrieval.leg_limit", Kind::Whole(1, 10_000), Touches::Search),
    parameter("retrieval.fusion", Kind::Word(&["score", "rank"]), Touches::Order),
    parameter("retrieval.dense_weight", Kind::Number(0.0, 1_000.0), Touches::Order),
    parameter("retrieval.sparse_weight", Kind::Number(0.0, 1_000.0), Touches::Order),
    parameter("retrieval.top_k", Kind::Whole(1, 1_000), Touches::Search),
    parameter("retrieval.mmr", Kind::Flag, Touches::Search),
    parameter("retrieval.mmr_lambda", Kind::Number(0.0, 1.0), Touches::Order),
    parameter("index.graph_from", Kind::Whole(1, 100_000_000), Touches::Index),
    parameter("index.quantization", Kind::Word(&["none", "scalar", "binary"]), Touches::Index),
    parameter("reranker.depth", Kind::Whole(0, 1_000), Touches::Search),
];

const fn parameter(path: &'static str, kind: Kind, touches: Touches) -> Parameter {
    Parameter { path, kind, touches }
}

/// Returns the parameter at `path`.
pub fn find(path: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.path == path)
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Whole(i64),
    /// A finite number.
    Number(f64),
    /// A word.
    Word(String),
    /// `true` or `false`.
    Flag(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Word(value) => f.write_str(value),
            Self::Flag(value) => write!(f, "{value}"),
        }
    }
}

impl Kind {
    /// Returns why `value` is none of this kind, as the end of a sentence.
    ///
    /// # Errors
    /// What the value must be.
    pub fn check(self, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (Self::Whole(min, max), Value::Whole(value)) => (min..=max).contains(value),
            (Self::Number(min, max), Value::Number(value)) => (min..=max).contains(value),
            (Self::Word(words), Value::Word(value)) => words.contains(&value.as_str()),
            (Self::Flag, Value::Flag(_)) => true,
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("must be {self}")) }
    }

    /// Returns the value that `text` writes.
    ///
    /// # Errors
    /// What the value must be.
    pub fn read(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Whole(..) => text.parse().ok().map(Value::Whole),
            Self::Number(..) => text.parse().ok().map(Value::Number),
            Self::Word(_) => Some(Value::Word(text.to_owned())),
            Self::Flag => text.parse().ok().map(Value::Flag),
        };
        let value = value.ok_or_else(|| format!("must be {self}"))?;
        self.check(&value).map(|()| value)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(min, max) => write!(f, "a whole number in {min} to {max}"),
            Self::Number(min, max) => write!(f, "a number in {min} to {max}"),
            Self::Word(words) => write!(f, "one of `{}`", words.join("`, `")),
            Self::Flag => f.write_str("true or false"),
        }
    }
}

/// Settings of a trial by path; those that are not here keep the value in force.
pub type Assignment = BTreeMap<String, Value>;

/// Returns the part of `assignment` whose change makes anew what `touches` says, or more.
pub fn part(assignment: &Assignment, touches: Touches) -> Assignment {
    let belongs = |path: &str| find(path).is_none_or(|parameter| parameter.touches <= touches);
    let part = assignment.iter().filter(|(path, _)| belongs(path));
    part.map(|(path, value)| (path.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_what_costs_as_much_or_more() {
        let all: Assignment = [
            ("collection.max_tokens", Value::Whole(64)),
            ("retrieval.leg_limit", Value::Whole(50)),
            ("retrieval.dense_weight", Value::Number(0.5)),
        ]
        .map(|(path, value)| (path.to_owned(), value))
        .into();
        let paths = |touches| part(&all, touches).into_keys().collect::<Vec<_>>();
        assert_eq!(paths(Touches::Index), ["collection.max_tokens"]);
        assert_eq!(paths(Touches::Search), ["collection.max_tokens", "retrieval.leg_limit"]);
        assert_eq!(part(&all, Touches::Order), all);
    }

    #[test]
    fn values_are_read_by_kind() {
        let read = |path, text| find(path).unwrap().kind.read(text);
        assert_eq!(read("collection.max_tokens", "64"), Ok(Value::Whole(64)));
        assert_eq!(read("retrieval.dense_weight", "1"), Ok(Value::Number(1.0)));
        assert_eq!(read("retrieval.fusion", "rank"), Ok(Value::Word("rank".to_owned())));
        for (path, text) in [
            ("collection.max_tokens", "6.5"),
            ("collection.max_tokens", "1"),
            ("retrieval.dense_weight", "NaN"),
            ("retrieval.fusion", "best"),
        ] {
            assert!(read(path, text).unwrap_err().starts_with("must be"), "{path} {text}");
        }
    }

    #[test]
    fn numbers_keep_their_kind_in_json() {
        let word = Value::Word("2".to_owned());
        let values = vec![Value::Whole(2), Value::Number(2.0), word, Value::Flag(true)];
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap(), values);
    }
}
