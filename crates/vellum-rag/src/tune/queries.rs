//! Which queries a search may see, and which are held out to confirm its winner.

use vellum_core::{Error, ErrorKind, Result};

/// Queries that either side needs.
const LEAST: usize = 5;

/// The queries of a study, as indices into those of the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Those that trials are asked, in that order.
    pub seen: Vec<usize>,
    /// Those that only the winner and the settings in force are asked.
    pub held_out: Vec<usize>,
}

/// Splits queries by a seed: `share` of them is held out.
///
/// A query's side and place depend on the seed and its id only, so that they are the same wherever it stands in the file.
///
/// # Errors
/// `Invalid` when a side would have fewer than five queries, which tell nothing.
pub fn split(ids: &[&str], seed: u64, share: f64) -> Result<Split> {
    let place = |id: &str| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(id.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_cached_key(|index| place(ids[*index]));
    let n_held_out = (ids.len() as f64 * share).round() as usize;
    if n_held_out < LEAST || ids.len() - n_held_out < LEAST {
        let message = format!(
            "{} queries with answers are too few: {LEAST} or more are needed to search with, and as many held out",
            ids.len()
        );
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("add queries to the dataset, or change `--held-out`"));
    }
    let seen = order.split_off(n_held_out);
    Ok(Split { seen, held_out: order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_query_is_on_one_side() {
        let names: Vec<String> = (0..100).map(|n| format!("q{n}")).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let one = split(&ids, 1, 0.3).unwrap();
        assert_eq!((one.seen.len(), one.held_out.len()), (70, 30));
        let all: BTreeSet<usize> = one.seen.iter().chain(&one.held_out).copied().collect();
        assert_eq!(all.len(), 100);
        assert_eq!(split(&ids, 1, 0.3).unwrap(), one);
        assert_ne!(split(&ids, 2, 0.3).unwrap(), one);

        let turned: Vec<&str> = ids.iter().rev().copied().collect();
        let names = |ids: &[&str], split: &Split| {
            split.seen.iter().map(|index| ids[*index].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&turned, &split(&turned, 1, 0.3).unwrap()), names(&ids, &one));
    }

    #[test]
    fn too_few_queries_are_refused() {
        for (n, share) in [(9, 0.5), (100, 0.01), (100, 0.99), (0, 0.3)] {
            let ids = vec!["q"; n];
            assert_eq!(
                split(&ids, 1, share).unwrap_err().kind(),
                ErrorKind::Invalid,
                "{n} {share}"
            );
        }
    }
}
