//! What people think of answers: from it, datasets grow.

use crate::ids::{DocumentId, FeedbackId};
use serde::{Deserialize, Serialize};

/// Whether an answer was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The answer is right, and so is what it cites. A refusal: the documents do not tell.
    Up,
    /// The answer is wrong. A refusal: the documents do tell.
    Down,
}

impl Verdict {
    /// Returns the lowercase name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Returns the verdict of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Up, Self::Down].into_iter().find(|verdict| verdict.as_str() == name)
    }
}

/// A passage that an answer cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cited {
    /// The document.
    pub document: DocumentId,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// What somebody thinks of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Derived from collection, question and what was cited: who thinks again replaces what was thought.
    pub id: FeedbackId,
    /// The question.
    pub question: String,
    /// Whether the answer was right.
    pub verdict: Verdict,
    /// More about it.
    pub comment: Option<String>,
    /// What the answer cited, in its order; empty for a refusal.
    pub cited: Vec<Cited>,
    /// When, milliseconds since the Unix epoch.
    pub created_ms: i64,
}
