//! Metrics of passages beside the characters that hold the evidence.
//!
//! With `E` the characters of all evidence of a query, `R` those of the first `k` passages, and `H` those of the passages among
//! them that hold some of it:
//!
//! ```text
//! evidence_recall     |E and R| / |E|
//! evidence_precision  |E and R| / |R|
//! evidence_iou        |E and R| / (|E| + |R| - |E and R|)
//! evidence_fit        |E and H| / |E or H|
//! page_hit_rate       1 when a passage stands on a page of the evidence
//! ```
//!
//! Evidence and what was found of it are sets; what passages retrieve is counted as often as it is retrieved, so that
//! text which overlapping passages repeat costs what it costs a reader. The fit tells how tightly passages are cut around what is
//! found, however many others came with it.
//! Source: Smith and Troynikov, Evaluating Chunking Strategies for Retrieval, Chroma 2024, there in tokens. The fit is what the program
//! of that evaluation called IoU before it changed its metrics on 21 June 2024, and what its README still shows.

use super::dataset::Evidence;
use super::metrics::Values;

/// A passage that was retrieved: characters of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The document.
    pub document: String,
    /// First character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// Pages that it stands on; empty where the document has none.
    pub pages: Vec<u32>,
}

/// Returns every metric at every cut-off, for passages in order, best first; none without evidence, and none of pages
/// where the evidence has no page.
pub fn score(passages: &[Passage], evidence: &[Evidence], cutoffs: &[usize]) -> Values {
    let mut values = Values::new();
    let wanted = union(evidence.iter().map(|e| (e.document.as_str(), e.start, e.end)).collect());
    let total = length(&wanted);
    if total == 0 {
        return values;
    }
    let has_pages = evidence.iter().any(|evidence| !evidence.pages.is_empty());
    for k in cutoffs {
        let first = &passages[..passages.len().min(*k)];
        let retrieved: usize = first.iter().map(|passage| passage.end - passage.start).sum();
        let found = shared(&wanted, first);
        let mut put = |name: &str, part: usize, whole: usize| {
            let value = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
            values.insert(format!("{name}_at_{k}"), value);
        };
        put("evidence_recall", found, total);
        put("evidence_precision", found, retrieved);
        put("evidence_iou", found, total + retrieved - found);
        put("evidence_fit", found, covered(&wanted, first));
        if has_pages {
            put("page_hit_rate", usize::from(is_page_hit(first, evidence)), 1);
        }
    }
    values
}

type Range<'a> = (&'a str, usize, usize);

/// Returns the number of characters of `wanted` that a passage holds.
fn shared(wanted: &[Range<'_>], passages: &[Passage]) -> usize {
    let mut parts = Vec::new();
    for passage in passages {
        for (document, start, end) in wanted {
            let (from, to) = (passage.start.max(*start), passage.end.min(*end));
            if *document == passage.document && from < to {
                parts.push((*document, from, to));
            }
        }
    }
    length(&union(parts))
}

/// Returns the number of characters of `wanted` and of the passages that hold some of it, each once.
fn covered(wanted: &[Range<'_>], passages: &[Passage]) -> usize {
    let holds = |passage: &&Passage| {
        wanted.iter().any(|(document, start, end)| {
            *document == passage.document && passage.start < *end && *start < passage.end
        })
    };
    let holders = passages.iter().filter(holds).map(|it| (it.document.as_str(), it.start, it.end));
    length(&union(holders.chain(wanted.iter().copied()).collect()))
}

/// Returns ranges that cover the same characters, each once, in order.
fn union(mut ranges: Vec<Range<'_>>) -> Vec<Range<'_>> {
    ranges.sort_unstable();
    let mut joined: Vec<Range<'_>> = Vec::with_capacity(ranges.len());
    for (document, start, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.0 == document && start <= last.2 => last.2 = last.2.max(end),
            _ => joined.push((document, start, end)),
        }
    }
    joined
}

fn length(ranges: &[Range<'_>]) -> usize {
    ranges.iter().map(|(_, start, end)| end - start).sum()
}

fn is_page_hit(passages: &[Passage], evidence: &[Evidence]) -> bool {
    passages.iter().any(|passage| {
        evidence.iter().any(|evidence| {
            evidence.document == passage.document
                && evidence.pages.iter().any(|page| passage.pages.contains(page))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn evidence(document: &str, start: usize, end: usize, pages: &[u32]) -> Evidence {
        Evidence { document: document.to_owned(), start, end, pages: pages.to_vec() }
    }

    fn passage(document: &str, start: usize, end: usize, pages: &[u32]) -> Passage {
        Passage { document: document.to_owned(), start, end, pages: pages.to_vec() }
    }

    #[test]
    fn hand_computed_values() {
        let evidence = [evidence("a", 10, 20, &[2]), evidence("b", 0, 10, &[])];
        let passages =
            [passage("c", 0, 50, &[2]), passage("a", 15, 40, &[1, 2]), passage("a", 0, 20, &[1])];
        let values = score(&passages, &evidence, &[1, 2, 3]);
        let check = |name: &str, expect: f64| {
            assert!((values[name] - expect).abs() < 1e-12, "{name}: {}", values[name]);
        };
        check("evidence_recall_at_1", 0.0);
        check("page_hit_rate_at_1", 0.0);
        check("evidence_recall_at_2", 5.0 / 20.0);
        check("evidence_precision_at_2", 5.0 / 75.0);
        check("evidence_iou_at_2", 5.0 / 90.0);
        check("evidence_fit_at_2", 5.0 / 40.0);
        check("page_hit_rate_at_2", 1.0);
        // The last passage repeats five characters: they are retrieved twice and found once.
        check("evidence_recall_at_3", 10.0 / 20.0);
        check("evidence_precision_at_3", 10.0 / 95.0);
        check("evidence_iou_at_3", 10.0 / 105.0);
        check("evidence_fit_at_3", 10.0 / 50.0);
        assert_eq!(score(&[], &evidence, &[3])["evidence_precision_at_3"], 0.0);
        assert!(score(&passages, &[], &[3]).is_empty());
        assert_eq!(score(&passages, &evidence[1..], &[3]).len(), 4, "no page, no hit of a page");
    }

    proptest! {
        #[test]
        fn ranges_count_as_sets_of_characters(
            wanted in prop::collection::vec((0usize..2, 0usize..30, 1usize..9), 1..6),
            got in prop::collection::vec((0usize..2, 0usize..30, 1usize..9), 0..6),
        ) {
            let name = |n: usize| ["a", "b"][n];
            let evidence: Vec<_> =
                wanted.iter().map(|(d, s, n)| evidence(name(*d), *s, s + n, &[])).collect();
            let passages: Vec<_> =
                got.iter().map(|(d, s, n)| passage(name(*d), *s, s + n, &[])).collect();
            let set = |ranges: &[(usize, usize, usize)]| -> HashSet<(usize, usize)> {
                ranges.iter().flat_map(|(d, s, n)| (*s..s + n).map(|at| (*d, at))).collect()
            };
            let (e, r) = (set(&wanted), set(&got));
            let found = e.intersection(&r).count() as f64;
            let retrieved: usize = got.iter().map(|(_, _, n)| n).sum();
            let values = score(&passages, &evidence, &[10]);
            prop_assert_eq!(values["evidence_recall_at_10"], found / e.len() as f64);
            let union = e.len() as f64 + retrieved as f64 - found;
            prop_assert_eq!(values["evidence_iou_at_10"], found / union);
            let hits = |(d, s, n): &&(usize, usize, usize)| (*s..s + n).any(|at| e.contains(&(*d, at)));
            let holders: Vec<_> = got.iter().filter(hits).copied().collect();
            let either = e.union(&set(&holders)).count() as f64;
            prop_assert_eq!(values["evidence_fit_at_10"], found / either);
        }
    }
}
