//! What people think of answers, and the datasets that grow from it.
//!
//! ```text
//! up,   with citations      the cited documents are relevant (grade 1), the cited characters are evidence
//! up,   a refusal           a question that nothing answers
//! down, with citations      the cited documents are judged irrelevant (grade 0), unless somebody thinks otherwise
//! down, a refusal           says nothing about any document, and is left out
//! ```
//!
//! [`crate::datasets`] asks them of versions of the collection, `vellum eval export` writes them to files.
//!
//! Questions that differ only in white space and case are one. Judgements of documents that are gone are left out.

use crate::app::App;
use std::collections::{BTreeMap, BTreeSet};
use vellum_core::access::Pass;
use vellum_core::feedback::{Cited, Feedback, Verdict};
use vellum_core::ids::{DocumentId, FeedbackId};
use vellum_core::{Error, ErrorKind, Result};

/// Longest comment in bytes.
pub const MAX_COMMENT_BYTES: usize = 4 << 10;
/// Most passages that an answer can have cited.
const MAX_CITED: usize = 100;

/// What somebody thinks of an answer.
#[derive(Debug, Clone)]
pub struct Opinion {
    /// The question.
    pub question: String,
    /// Whether the answer was right.
    pub verdict: Verdict,
    /// More about it.
    pub comment: Option<String>,
    /// What the answer cited; empty for a refusal.
    pub cited: Vec<Cited>,
}

/// Stores an opinion on an answer from the pass's collection. The same opinion again changes nothing, another one on
/// the same answer replaces it.
///
/// # Errors
/// `Invalid` for an empty or oversized question or comment, or an empty range; `NotFound` for an unknown collection,
/// or a document that is not in it.
pub async fn give(app: &App, pass: &Pass, opinion: Opinion) -> Result<FeedbackId> {
    let Opinion { question, verdict, comment, cited } = opinion;
    let question = question.trim().to_owned();
    let comment = comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    check(&question, comment.as_deref(), &cited)?;
    crate::collections::get(app, pass).await?;
    for passage in &cited {
        let found = app.metastore.find_document(passage.document).await?;
        if found.is_none_or(|(collection, _)| collection.name != *pass.collection()) {
            let message = format!(
                "document `{}` is not in collection `{}`",
                passage.document,
                pass.collection()
            );
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_hint("it may have been removed from its source; ask again"));
        }
    }
    let feedback = Feedback {
        id: FeedbackId::derive(pass.collection(), &question, &cited),
        question,
        verdict,
        comment,
        cited,
        created_ms: app.clock.unix_ms(),
    };
    app.metastore.put_feedback(pass, &feedback).await?;
    Ok(feedback.id)
}

fn check(question: &str, comment: Option<&str>, cited: &[Cited]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
    let max = crate::search::MAX_QUERY_BYTES;
    if question.is_empty() || question.len() > max {
        return invalid(format!("the question has {} bytes, not 1 to {max}", question.len()));
    }
    if let Some(comment) = comment.filter(|comment| comment.len() > MAX_COMMENT_BYTES) {
        let length = comment.len();
        return invalid(format!(
            "the comment has {length} bytes; at most {MAX_COMMENT_BYTES} are kept"
        ));
    }
    if cited.len() > MAX_CITED {
        return invalid(format!("{} citations are more than {MAX_CITED}", cited.len()));
    }
    match cited.iter().find(|passage| passage.start >= passage.end) {
        None => Ok(()),
        Some(passage) => {
            invalid(format!("citation {} to {} holds no character", passage.start, passage.end))
        }
    }
}

/// Returns up to `limit` opinions with an id above `after`, ascending by id.
///
/// # Errors
/// `NotFound` for an unknown collection.
pub async fn list(
    app: &App,
    pass: &Pass,
    after: Option<FeedbackId>,
    limit: usize,
) -> Result<Vec<Feedback>> {
    crate::collections::get(app, pass).await?;
    app.metastore.feedback(pass, after, limit).await
}

/// A question with what is known of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Id, derived from the words.
    pub id: String,
    /// The words, as they were first asked.
    pub question: String,
    /// Grade by document; empty where nothing answers.
    pub grades: BTreeMap<DocumentId, u32>,
    /// Evidence: document, first character, one past the last.
    pub spans: BTreeSet<(DocumentId, usize, usize)>,
}

/// Makes judgements of opinions: questions in order of their ids, which does not depend on the order of the opinions.
///
/// `length` tells the characters of a document; `None` for one that is gone.
pub fn judge(feedback: &[Feedback], length: &dyn Fn(DocumentId) -> Option<usize>) -> Vec<Judged> {
    let mut sorted: Vec<&Feedback> = feedback.iter().collect();
    sorted.sort_by_key(|one| (one.created_ms, one.id));
    let mut questions: BTreeMap<String, Judged> = BTreeMap::new();
    for one in sorted {
        let known: Vec<&Cited> = one
            .cited
            .iter()
            .filter(|at| length(at.document).is_some_and(|n| at.end <= n))
            .collect();
        // What was cited is gone, or a refusal was wrong: nothing is known of any document.
        if known.is_empty() && !(one.cited.is_empty() && one.verdict == Verdict::Up) {
            continue;
        }
        let folded = one.question.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let id = blake3::hash(folded.as_bytes()).to_hex()[..12].to_owned();
        let judged = questions.entry(id.clone()).or_insert_with(|| Judged {
            id,
            question: one.question.clone(),
            grades: BTreeMap::new(),
            spans: BTreeSet::new(),
        });
        for at in known {
            let grade = judged.grades.entry(at.document).or_default();
            if one.verdict == Verdict::Up {
                *grade = 1;
                judged.spans.insert((at.document, at.start, at.end));
            }
        }
    }
    questions.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(n: u8) -> DocumentId {
        DocumentId::from_bytes([n; 16])
    }

    fn feedback(question: &str, verdict: Verdict, cited: &[(u8, usize, usize)]) -> Feedback {
        let cited: Vec<Cited> = cited
            .iter()
            .map(|(n, start, end)| Cited { document: document(*n), start: *start, end: *end })
            .collect();
        let collection = "c".parse().unwrap();
        Feedback {
            id: FeedbackId::derive(&collection, question, &cited),
            question: question.to_owned(),
            verdict,
            comment: None,
            cited,
            created_ms: 0,
        }
    }

    /// Returns each question with `document=grade` and the number of its spans; document 9 is gone.
    fn judged(feedback: &[Feedback]) -> Vec<String> {
        let length = |id: DocumentId| (id != document(9)).then_some(100);
        let show = |Judged { question, grades, spans, .. }: Judged| {
            let grades = grades.iter().map(|(id, grade)| {
                let number = id.as_uuid().as_bytes()[0];
                format!(" {number}={grade}")
            });
            format!("{question}:{} {}", grades.collect::<String>(), spans.len())
        };
        judge(feedback, &length).into_iter().map(show).collect()
    }

    #[test]
    fn verdicts_become_judgements() {
        use Verdict::{Down, Up};
        let check = |feedback: &[Feedback], expect: &[&str]| {
            assert_eq!(judged(feedback), expect);
        };
        check(&[feedback("a", Up, &[(1, 0, 5), (1, 7, 9), (2, 0, 3)])], &["a: 1=1 2=1 3"]);
        check(&[feedback("a", Down, &[(1, 0, 5)])], &["a: 1=0 0"]);
        check(&[feedback("a", Up, &[])], &["a: 0"]);
        check(&[feedback("a", Down, &[])], &[]);
        // Another answer to the same question cited something else.
        let down = feedback("a b", Down, &[(1, 0, 5), (2, 0, 5)]);
        let up = Feedback { created_ms: 1, ..feedback(" A  b", Up, &[(2, 1, 4)]) };
        check(&[down.clone(), up.clone()], &["a b: 1=0 2=1 1"]);
        check(&[up, down], &["a b: 1=0 2=1 1"]);
        // Gone, or shorter than it was.
        check(&[feedback("a", Up, &[(9, 0, 5)])], &[]);
        check(&[feedback("a", Up, &[(1, 90, 101), (2, 0, 1)])], &["a: 2=1 1"]);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let cited = |start, end| Cited { document: document(1), start, end };
        for (question, comment, passages) in [
            ("", None, vec![]),
            ("a", Some("x".repeat(MAX_COMMENT_BYTES + 1)), vec![]),
            ("a", None, vec![cited(3, 3)]),
            ("a", None, vec![cited(0, 1); MAX_CITED + 1]),
        ] {
            let error = check(question, comment.as_deref(), &passages).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        check("a", Some("x"), &[cited(0, 1)]).unwrap();
    }
}
