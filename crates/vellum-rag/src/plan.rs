//! Compares a listing with the ledger: what is new, changed, unchanged, gone. Pure.
//!
//! Both sides arrive in ascending order of the uri's bytes, so one merge suffices and memory does not
//! grow with the source. [`Merge`] is fed one side at a time by the ingesting loop.

use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::ObjectMeta;

/// What is to be done about one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Not in the ledger.
    Add(ObjectMeta),
    /// In the ledger with other content, other settings, or a failure that may have passed.
    Update(ObjectMeta, LedgerRow),
    /// As the ledger has it.
    Keep(LedgerRow),
    /// Still unreadable, for the reason in the ledger.
    StillRejected(LedgerRow),
    /// In the ledger, no longer in the source.
    Remove(LedgerRow),
}

/// Returns what to do about a listed object that has `row` in the ledger.
///
/// `settings` is the digest of the collection's index settings; `rejected` asks for rejected documents again.
pub fn compare(object: ObjectMeta, row: Option<LedgerRow>, settings: &str, rejected: bool) -> Step {
    let Some(row) = row else { return Step::Add(object) };
    // A claim is the mark of a worker that is at it, or that died over it.
    if row.etag != object.etag || row.settings != settings || row.claim.is_some() {
        return Step::Update(object, row);
    }
    match row.state {
        DocumentState::Indexed => Step::Keep(row),
        DocumentState::Rejected(_) if !rejected => Step::StillRejected(row),
        DocumentState::Rejected(_) | DocumentState::Queued | DocumentState::Failed(_) => {
            Step::Update(object, row)
        }
    }
}

/// Which side of the merge comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The listed object is not in the ledger.
    Listed,
    /// Both sides show the same document.
    Both,
    /// The ledger row is not in the listing.
    Ledger,
    /// Both sides are used up.
    Done,
}

/// Returns which side comes next, given the next uri of each.
pub fn merge(listed: Option<&str>, ledger: Option<&str>) -> Merge {
    match (listed, ledger) {
        (None, None) => Merge::Done,
        (Some(_), None) => Merge::Listed,
        (None, Some(_)) => Merge::Ledger,
        (Some(a), Some(b)) => match a.as_bytes().cmp(b.as_bytes()) {
            std::cmp::Ordering::Less => Merge::Listed,
            std::cmp::Ordering::Equal => Merge::Both,
            std::cmp::Ordering::Greater => Merge::Ledger,
        },
    }
}

/// Least number of removals that can look like a mishap.
const SUSPICIOUS_REMOVALS: u64 = 20;

/// Whether removals look like an unmounted disk or a wrong prefix rather than like work: at least
/// 20, and more than half of what the ledger had.
pub fn removals_are_suspicious(removed: u64, known: u64) -> bool {
    removed >= SUSPICIOUS_REMOVALS && removed * 2 > known
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::ids::{CollectionName, DocumentId};

    fn object(etag: &str) -> ObjectMeta {
        ObjectMeta { uri: "mem:///a".into(), name: "a".into(), size: 1, etag: etag.into() }
    }

    fn row(etag: &str, state: DocumentState) -> LedgerRow {
        let name: CollectionName = "c".parse().unwrap();
        LedgerRow {
            document: DocumentId::derive(&name, "mem:///a"),
            uri: "mem:///a".into(),
            etag: etag.into(),
            content: None,
            settings: "s".into(),
            state,
            format: None,
            title: None,
            chunks: 0,
            pages: 0,
            bytes: 1,
            source: "mem:///".into(),
            job: None,
            version: 1,
            attempts: 0,
            is_copy: false,
            claim: None,
            updated_ms: 0,
        }
    }

    #[test]
    fn each_case() {
        let rejected = || DocumentState::Rejected("r".into());
        let failed = || DocumentState::Failed("f".into());
        let is = |step: Step| match step {
            Step::Add(_) => "add",
            Step::Update(..) => "update",
            Step::Keep(_) => "keep",
            Step::StillRejected(_) => "rejected",
            Step::Remove(_) => "remove",
        };
        for (row, settings, expect) in [
            (None, "s", "add"),
            (Some(row("1", DocumentState::Indexed)), "s", "keep"),
            (Some(row("0", DocumentState::Indexed)), "s", "update"),
            (Some(row("1", DocumentState::Indexed)), "other", "update"),
            (Some(row("1", rejected())), "s", "rejected"),
            (Some(row("0", rejected())), "s", "update"),
            (Some(row("1", failed())), "s", "update"),
        ] {
            assert_eq!(is(compare(object("1"), row, settings, false)), expect);
        }
        let again = |row| is(compare(object("1"), Some(row), "s", true));
        assert_eq!(again(row("1", rejected())), "update");
        assert_eq!(again(row("1", DocumentState::Indexed)), "keep");
        assert_eq!(again(row("1", DocumentState::Queued)), "update");
        let claimed = LedgerRow { claim: Some(1), ..row("1", DocumentState::Indexed) };
        assert_eq!(again(claimed), "update", "whose chunks may be of any version");
    }

    #[test]
    fn merge_order_is_bytewise() {
        assert_eq!(merge(Some("a"), Some("b")), Merge::Listed);
        assert_eq!(merge(Some("b"), Some("a")), Merge::Ledger);
        assert_eq!(merge(Some("a"), Some("a")), Merge::Both);
        assert_eq!(merge(None, Some("a")), Merge::Ledger);
        assert_eq!(merge(None, None), Merge::Done);
        assert!(removals_are_suspicious(20, 30) && !removals_are_suspicious(19, 19));
        assert!(!removals_are_suspicious(20, 100));
    }
}
