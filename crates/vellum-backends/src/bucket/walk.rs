//! A listing on its way through the pages, whatever the server makes of them.
//!
//! Keys come in the order of their bytes, which the comparison with the ledger relies on. A key that was given already
//! (a page that comes twice) is left out; a server that lists out of order is refused, because what seems to be missing
//! would be taken for removed.

use super::{BucketStore, PAGE, Page, key, marker};
use crate::client::PATIENTLY;
use std::collections::VecDeque;
use vellum_core::ports::{Listed, ObjectMeta};
use vellum_core::{Error, ErrorKind, Result};

/// Pages in a row that may hold no new key.
const MAX_IDLE_PAGES: u32 = 100;

/// A listing in progress.
pub(super) struct Walk {
    store: BucketStore,
    bucket: String,
    prefix: String,
    entries: VecDeque<Listed>,
    token: Option<String>,
    /// Keys of the last page with new ones, ascending.
    known: Vec<String>,
    n_idle_pages: u32,
}

impl Walk {
    /// Returns the listing of what begins with `prefix`, whose first page is `first`.
    ///
    /// # Errors
    /// `Unavailable` when its keys are out of order.
    pub(super) fn begin(
        store: BucketStore,
        bucket: String,
        prefix: String,
        first: Page,
    ) -> Result<Self> {
        let (entries, known) = (VecDeque::new(), Vec::new());
        let mut walk = Self { store, bucket, prefix, entries, token: None, known, n_idle_pages: 0 };
        walk.take(first)?;
        Ok(walk)
    }

    /// Asks for no more pages.
    pub(super) fn end(&mut self) {
        self.token = None;
    }

    /// Returns the next entry.
    ///
    /// # Errors
    /// What asking for a page fails with, or as [`Self::begin`].
    pub(super) async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return Ok(Some(entry));
            }
            let Some(token) = self.token.take() else { return Ok(None) };
            let page =
                self.store.page(&self.bucket, &self.prefix, Some(&token), PAGE, PATIENTLY).await?;
            self.take(page)?;
        }
    }

    fn take(&mut self, page: Page) -> Result<()> {
        let mut new: Vec<String> = Vec::with_capacity(page.items.len());
        for item in page.items {
            let key = item.key;
            if let Some(last) = new.last().or(self.known.last())
                && key <= *last
            {
                let is_known = |keys: &[String]| keys.binary_search(&key).is_ok();
                if is_known(&new) || is_known(&self.known) {
                    continue;
                }
                return Err(self.out_of_order(last, &key));
            }
            let etag = marker(item.version.as_deref(), item.modified.as_deref(), item.size);
            self.entries.extend(self.entry(&key, etag, item.size));
            new.push(key);
        }
        self.n_idle_pages = if new.is_empty() { self.n_idle_pages + 1 } else { 0 };
        if self.n_idle_pages > MAX_IDLE_PAGES {
            let place = self.store.uri(&self.bucket, &self.prefix);
            let message =
                format!("list `{place}`: {MAX_IDLE_PAGES} pages in a row hold nothing new");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .with_hint("look at the server: it does not get on in its listing"));
        }
        if !new.is_empty() {
            self.known = new;
        }
        self.token = page.next;
        Ok(())
    }

    /// Returns what a key is listed as; nothing for the empty objects that consoles make folders of.
    fn entry(&self, key: &str, etag: String, size: u64) -> Option<Listed> {
        if key.ends_with('/') {
            return None;
        }
        let uri = self.store.uri(&self.bucket, key);
        Some(match self.store.service().unfit(key) {
            Some(why) => Listed::Unreadable { uri, reason: why.to_owned() },
            None => Listed::Object(ObjectMeta { uri, name: key::name(key), size, etag }),
        })
    }

    fn out_of_order(&self, last: &str, key: &str) -> Error {
        let uri = |key| self.store.uri(&self.bucket, key);
        let message = format!("the server lists `{}` after `{}`", uri(key), uri(last));
        Error::new(ErrorKind::Unavailable, message).with_hint(
            "keys must be listed in the order of their bytes; name a prefix below which they are",
        )
    }
}
