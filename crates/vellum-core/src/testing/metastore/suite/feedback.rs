//! Feedback: of a collection as a whole, whichever of its versions gave the answer.

use super::whole;
use crate::access::Verb;
use crate::error::ErrorKind;
use crate::feedback::{Cited, Feedback, Verdict};
use crate::ids::{DocumentId, FeedbackId};
use crate::ports::Metastore;

pub(super) async fn feedback(store: &dyn Metastore) {
    let opinion = |n: u8, verdict| Feedback {
        id: FeedbackId::from_bytes([n; 16]),
        question: format!("question {n}?"),
        verdict,
        comment: (n == 2).then(|| "it is \"wrong\"".to_owned()),
        cited: (0..n.into())
            .map(|at| Cited { document: DocumentId::from_bytes([n; 16]), start: at, end: at + 1 })
            .collect(),
        created_ms: 7,
    };
    // Whoever may read may judge.
    let read = whole("a", Verb::Read);
    let [low, middle, high] =
        [opinion(0, Verdict::Up), opinion(2, Verdict::Down), opinion(255, Verdict::Up)];
    for one in [&high, &low, &middle] {
        store.put_feedback(&read, one).await.expect("stored");
    }
    let all = store.feedback(&read, None, 10).await.expect("read");
    assert_eq!(all, [low.clone(), middle.clone(), high.clone()], "ascending by id");
    let page = store.feedback(&read, Some(low.id), 1).await.expect("read");
    assert_eq!(page, std::slice::from_ref(&middle));
    assert_eq!(store.feedback(&read, Some(high.id), 10).await.expect("read"), []);
    assert_eq!(store.feedback(&whole("b-2", Verb::Read), None, 10).await.expect("read"), []);

    let changed = Feedback { verdict: Verdict::Up, comment: None, created_ms: 8, ..middle };
    store.put_feedback(&read, &changed).await.expect("replaced");
    let all = store.feedback(&read, None, 10).await.expect("read");
    assert_eq!(all, [low.clone(), changed, high]);

    let unknown = store.put_feedback(&whole("nowhere", Verb::Read), &low).await;
    assert_eq!(unknown.expect_err("no such collection").kind(), ErrorKind::NotFound);
}
