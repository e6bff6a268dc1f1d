//! A listing on its way through the pages, whatever the server makes of them.
//!
//! Keys come in the order of their bytes, which the comparison with the ledger relies on. A key that was given already
//! (a page that comes twice) is left out; a server that lists out of order is refused, because what seems to be missing
//! would be taken for removed.

use super::{Ask, Below, BucketStore, MAX_IDLE_PAGES, Page};
use crate::client::PATIENTLY;
use std::collections::VecDeque;
use vellum_core::ports::Listed;
use vellum_core::{Error, ErrorKind, Result};

/// A listing in progress.
pub(super) struct Walk {
    store: BucketStore,
    bucket: String,
    prefix: String,
    n: usize,
    entries: VecDeque<Listed>,
    next: Next,
    /// The first key of all.
    first: Option<String>,
    is_tree: bool,
    /// Keys of the last page with new ones, ascending.
    known: Vec<String>,
    n_idle_pages: u32,
}

/// The page that comes next.
enum Next {
    First,
    After(String),
    None,
}

impl Walk {
    /// Returns the listing of what begins with `prefix`, by pages of `n` keys.
    pub(super) fn begin(store: BucketStore, bucket: String, prefix: String, n: usize) -> Self {
        let (entries, known) = (VecDeque::new(), Vec::new());
        let (next, first, is_tree, n_idle_pages) = (Next::First, None, false, 0);
        Self { store, bucket, prefix, n, entries, next, first, is_tree, known, n_idle_pages }
    }

    /// Returns the first key of all, if a page was read that has one.
    pub(super) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Returns whether the pages come from a tree, whose order is not ours.
    pub(super) fn is_tree(&self) -> bool {
        self.is_tree
    }

    /// Asks for no more pages.
    pub(super) fn end(&mut self) {
        self.next = Next::None;
    }

    /// Returns the next entry.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub(super) async fn next(&mut self) -> Result<Option<Listed>> {
        self.fill().await?;
        Ok(self.entries.pop_front())
    }

    /// Reads pages until there is a next entry, or none left; of a tree no more than the first.
    ///
    /// # Errors
    /// What asking for a page fails with; `Unavailable` when its keys are out of order.
    pub(super) async fn fill(&mut self) -> Result<()> {
        while self.entries.is_empty() && !self.is_tree {
            let token = match std::mem::replace(&mut self.next, Next::None) {
                Next::First => None,
                Next::After(token) => Some(token),
                Next::None => break,
            };
            let (prefix, token) = (self.prefix.as_str(), token.as_deref());
            let ask = Ask::Page { prefix, below: Below::All, token, n: self.n };
            let page = self.store.page(&self.bucket, prefix, ask, PATIENTLY).await?;
            self.is_tree = page.is_tree;
            if !self.is_tree || self.n == 1 {
                self.take(page)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, page: Page) -> Result<()> {
        let mut new: Vec<String> = Vec::with_capacity(page.items.len());
        for item in page.items {
            let key = &item.key;
            if let Some(last) = new.last().or(self.known.last())
                && key <= last
            {
                let is_known = |keys: &[String]| keys.binary_search(key).is_ok();
                if is_known(&new) || is_known(&self.known) {
                    continue;
                }
                return Err(self.out_of_order(last, key));
            }
            self.entries.extend(self.store.listed(&self.bucket, &item));
            new.push(item.key);
        }
        self.n_idle_pages = if new.is_empty() { self.n_idle_pages + 1 } else { 0 };
        if self.n_idle_pages > MAX_IDLE_PAGES {
            return Err(self.store.stuck(&self.bucket, &self.prefix));
        }
        self.first = self.first.take().or_else(|| new.first().cloned());
        if !new.is_empty() {
            self.known = new;
        }
        self.next = page.next.map_or(Next::None, Next::After);
        Ok(())
    }

    fn out_of_order(&self, last: &str, key: &str) -> Error {
        let uri = |key| self.store.uri(&self.bucket, key);
        let message = format!("the server lists `{}` after `{}`", uri(key), uri(last));
        Error::new(ErrorKind::Unavailable, message).with_hint(
            "keys must be listed in the order of their bytes; name a prefix below which they are",
        )
    }
}
