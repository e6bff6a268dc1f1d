//! The addresses of a source, in the order of their bytes, and what is remembered of them.
//!
//! Sitemaps have no order, so all of them are held: as one text with 24 bytes beside each. Both are bounded.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses of one source.
pub(super) const MAX_ADDRESSES: usize = 1_000_000;
/// Bytes of the addresses of one source, together and each.
pub(super) const MAX_TEXT: usize = 128 << 20;
pub(super) const MAX_ADDRESS: usize = 4_096;
/// Dates that are remembered, 16 bytes each, over all sources.
const MAX_DATES: usize = MAX_ADDRESSES;

/// The addresses of a source.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    text: String,
    entries: Vec<Entry>,
    /// Addresses that are none: how many, and the first.
    pub(super) unusable: Option<(u64, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u32,
    len: u16,
    is_foreign: bool,
    modified: Option<i64>,
}

/// An address of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Listing<'a> {
    pub(super) uri: &'a str,
    /// Whether it is on another host than a sitemap may speak for.
    pub(super) is_foreign: bool,
    /// When it last changed, in milliseconds since 1970, if its sitemap says so.
    pub(super) modified: Option<i64>,
}

impl Catalogue {
    /// Adds an address.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, listing: Listing<'_>) -> io::Result<()> {
        let Listing { uri, is_foreign, modified } = listing;
        if self.entries.len() == MAX_ADDRESSES || self.text.len() + uri.len() > MAX_TEXT {
            let (n, size) = (self.entries.len(), self.text.len() >> 20);
            let message = format!(
                "there are more addresses than {n} of {size} MiB (at most {MAX_ADDRESSES} and {} MiB)",
                MAX_TEXT >> 20
            );
            return Err(io::Error::other(message));
        }
        if uri.len() > MAX_ADDRESS {
            self.add_unusable(uri);
            return Ok(());
        }
        let (at, len) = (self.text.len() as u32, uri.len() as u16);
        self.text.push_str(uri);
        self.entries.push(Entry { at, len, is_foreign, modified });
        Ok(())
    }

    /// Counts what is no address.
    pub(super) fn add_unusable(&mut self, text: &str) {
        let (n, _) = self.unusable.get_or_insert_with(|| (0, text.chars().take(100).collect()));
        *n += 1;
    }

    /// Orders the addresses; of one that is there twice the later date holds.
    pub(super) fn finish(&mut self) {
        let text = &self.text;
        let uri = |entry: &Entry| &text[entry.at as usize..][..usize::from(entry.len)];
        self.entries.sort_unstable_by(|a, b| uri(a).cmp(uri(b)).then(b.modified.cmp(&a.modified)));
        self.entries.dedup_by(|b, a| uri(a) == uri(b));
    }

    /// Returns the addresses.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the address at a place.
    pub(super) fn get(&self, n: usize) -> Listing<'_> {
        let Entry { at, len, is_foreign, modified } = self.entries[n];
        let uri = &self.text[at as usize..][..usize::from(len)];
        Listing { uri, is_foreign, modified }
    }
}

/// The dates that sitemaps gave for pages.
///
/// A page has to have the marker of its listing when it is read, and the date stands in the sitemap only. What was
/// forgotten costs no more than another reading of the page.
#[derive(Debug, Default)]
pub(super) struct Dates {
    hasher: RandomState,
    /// The newest last.
    sources: Mutex<VecDeque<Source>>,
}

#[derive(Debug)]
struct Source {
    uri: String,
    /// Date by hash of the address, ascending.
    dates: Vec<(u64, i64)>,
}

impl Dates {
    /// Remembers those of a source instead of what was known of it.
    pub(super) fn keep(&self, source: &str, catalogue: &Catalogue) {
        let dated = (0..catalogue.len()).map(|n| catalogue.get(n));
        let mut dates: Vec<(u64, i64)> = dated
            .filter_map(|listing| Some((self.hasher.hash_one(listing.uri), listing.modified?)))
            .collect();
        dates.sort_unstable();
        dates.shrink_to_fit();
        let mut sources = self.lock();
        sources.retain(|known| known.uri != source);
        if !dates.is_empty() {
            sources.push_back(Source { uri: source.to_owned(), dates });
        }
        while sources.iter().map(|source| source.dates.len()).sum::<usize>() > MAX_DATES {
            sources.pop_front();
        }
    }

    /// Returns the date of a page.
    pub(super) fn of(&self, uri: &str) -> Option<i64> {
        let hash = self.hasher.hash_one(uri);
        self.lock().iter().rev().find_map(|source| {
            let dates = &source.dates;
            let at = dates.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
            Some(dates[at].1)
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(listings: &[(&str, Option<i64>)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (uri, modified) in listings {
            let listing = Listing { uri, is_foreign: false, modified: *modified };
            catalogue.add(listing).unwrap();
        }
        catalogue.finish();
        catalogue
    }

    #[test]
    fn addresses_are_in_order_and_once() {
        let found =
            catalogue(&[("b", None), ("a/", Some(1)), ("a", None), ("a/", Some(3)), ("a/", None)]);
        let found: Vec<_> =
            (0..found.len()).map(|n| (found.get(n).uri, found.get(n).modified)).collect();
        assert_eq!(found, [("a", None), ("a/", Some(3)), ("b", None)]);
        assert_eq!(size_of::<Entry>(), 24);
    }

    #[test]
    fn catalogues_are_bounded() {
        let mut catalogue = Catalogue::default();
        let listing = |uri| Listing { uri, is_foreign: false, modified: None };
        let long = "x".repeat(MAX_ADDRESS + 1);
        catalogue.add(listing(&long)).unwrap();
        assert_eq!((catalogue.len(), catalogue.unusable.as_ref().unwrap().0), (0, 1));
        let long = &long[1..];
        let error = (0..).find_map(|_| catalogue.add(listing(long)).err()).unwrap();
        assert_eq!(catalogue.len(), MAX_TEXT / MAX_ADDRESS);
        assert!(error.to_string().contains("at most 1000000 and 128 MiB"), "{error}");
    }

    #[test]
    fn dates_are_those_of_the_last_listing() {
        let dates = Dates::default();
        dates.keep("s", &catalogue(&[("a", Some(1)), ("b", None), ("c", Some(3))]));
        assert_eq!((dates.of("a"), dates.of("b"), dates.of("c")), (Some(1), None, Some(3)));
        dates.keep("t", &catalogue(&[("a", Some(2))]));
        assert_eq!((dates.of("a"), dates.of("c")), (Some(2), Some(3)));
        dates.keep("s", &catalogue(&[("c", Some(4))]));
        dates.keep("t", &catalogue(&[]));
        assert_eq!((dates.of("a"), dates.of("c")), (None, Some(4)));
    }
}
