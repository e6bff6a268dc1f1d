//! Pages of the ledger: ranges of its primary key.

use super::rows::Query;
use vellum_core::access::VersionPass;
use vellum_core::ledger::Scope;

/// Returns the query for the rows of `scope` above `after`, which lacks its limit.
///
/// A range of the primary key in each case, with both ends; `LIKE` would read the whole collection and take `%` and
/// `_` for wildcards. Rows of a source are picked from the range: a collection is fed by few lists.
pub(super) fn query(pass: &VersionPass, scope: Scope<'_>, after: Option<&str>) -> Query {
    let space = pass.space().to_string();
    let prefix = match scope {
        Scope::Prefix(prefix) => prefix,
        Scope::Source(source) => {
            return sqlx::query(
                "SELECT * FROM document WHERE space = ? AND uri > ? AND source = ? ORDER BY uri LIMIT ?",
            )
            .bind(space)
            .bind(after.unwrap_or_default().to_owned())
            .bind(source.to_owned());
        }
    };
    match (after.filter(|after| *after >= prefix), after_prefix(prefix)) {
        (None, None) => {
            sqlx::query("SELECT * FROM document WHERE space = ? AND uri >= ? ORDER BY uri LIMIT ?")
                .bind(space)
                .bind(prefix.to_owned())
        }
        (None, Some(end)) => sqlx::query(
            "SELECT * FROM document WHERE space = ? AND uri >= ? AND uri < ? ORDER BY uri LIMIT ?",
        )
        .bind(space)
        .bind(prefix.to_owned())
        .bind(end),
        (Some(after), None) => {
            sqlx::query("SELECT * FROM document WHERE space = ? AND uri > ? ORDER BY uri LIMIT ?")
                .bind(space)
                .bind(after.to_owned())
        }
        (Some(after), Some(end)) => sqlx::query(
            "SELECT * FROM document WHERE space = ? AND uri > ? AND uri < ? ORDER BY uri LIMIT ?",
        )
        .bind(space)
        .bind(after.to_owned())
        .bind(end),
    }
}

/// Returns the least text above every text that starts with `prefix`; `None` when there is none.
///
/// UTF-8 sorts as its characters do, so the last character that has a successor is raised.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut prefix = prefix.to_owned();
    while let Some(last) = prefix.pop() {
        let mut above = last..=char::MAX;
        above.next();
        if let Some(successor) = above.next() {
            prefix.push(successor);
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::after_prefix;
    use proptest::prelude::*;

    #[test]
    fn ends_of_prefixes() {
        for (prefix, end) in [
            ("", None),
            ("a", Some("b")),
            ("file:///d/", Some("file:///d0")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("\u{d7ff}", Some("\u{e000}")),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_a_prefix(prefix in "[a-c/\u{d7ff}\u{10ffff}]{0,3}", text in "[a-c/\u{d7ff}\u{10ffff}]{0,5}") {
            let end = after_prefix(&prefix);
            let in_range = text >= prefix && end.is_none_or(|end| text < end);
            prop_assert_eq!(in_range, text.starts_with(&prefix));
        }
    }
}
