//! A condition on chunks that every leg of a search applies inside the index.

use serde::{Deserialize, Serialize};

/// A stored property of a chunk that can be filtered on. Users never name payload keys.
///
/// A uri is none: it names one document, so a condition on uris is one on [`DocumentId`]s
/// (`DocumentId::derive`), and no store keeps an index of them.
///
/// [`DocumentId`]: crate::ids::DocumentId
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The document's id.
    Document,
    /// The document's file name.
    Source,
    /// The document's format, by its lowercase name.
    Format,
}

/// A boolean condition on chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// All of these hold; an empty list holds always.
    All(Vec<Filter>),
    /// One of these holds; an empty list never holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The field equals one of the values; an empty list never holds.
    In(Field, Vec<String>),
}

impl Filter {
    /// Returns the conjunction of two optional filters.
    pub fn both(first: Option<&Self>, second: Option<&Self>) -> Option<Self> {
        match (first, second) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (Some(a), Some(b)) => Some(Self::All(vec![a.clone(), b.clone()])),
        }
    }
}
