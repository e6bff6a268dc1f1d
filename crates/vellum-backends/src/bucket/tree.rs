//! A listing folder by folder, of a service that keeps a tree of folders and lists it in an order of its own.
//!
//! The hierarchical namespace of Azure gives `a/z` before `a-b`. So each folder is read to its end and put into the order
//! of bytes, in which a folder's name ends with `/`: what is below it then comes in its place. Memory is that of the
//! folders on one path.

use super::{Ask, Below, BucketStore, MAX_IDLE_PAGES, PAGE};
use crate::client::PATIENTLY;
use std::collections::{BTreeMap, VecDeque};
use vellum_core::Result;
use vellum_core::ports::Listed;

/// A listing in progress.
pub(super) struct Tree {
    store: BucketStore,
    bucket: String,
    /// What is left of the folders on the path, the innermost last.
    path: Vec<VecDeque<Node>>,
}

enum Node {
    Entry(Listed),
    Folder(String),
}

impl Tree {
    /// Returns the listing of what is below `prefix`, which is empty or ends with `/`.
    pub(super) fn new(store: BucketStore, bucket: String, prefix: String) -> Self {
        Self { store, bucket, path: vec![VecDeque::from([Node::Folder(prefix)])] }
    }

    /// Returns the next entry.
    ///
    /// # Errors
    /// What asking for a page fails with.
    pub(super) async fn next(&mut self) -> Result<Option<Listed>> {
        while let Some(level) = self.path.last_mut() {
            match level.pop_front() {
                Some(Node::Entry(entry)) => return Ok(Some(entry)),
                Some(Node::Folder(folder)) => {
                    let level = self.level(&folder).await?;
                    self.path.push(level);
                }
                None => drop(self.path.pop()),
            }
        }
        Ok(None)
    }

    /// Reads one folder.
    async fn level(&self, prefix: &str) -> Result<VecDeque<Node>> {
        let mut nodes = BTreeMap::new();
        let (mut token, mut n_idle_pages) = (None::<String>, 0);
        loop {
            let known = token.as_deref();
            let ask = Ask::Page { prefix, below: Below::Folder, token: known, n: PAGE };
            let page = self.store.page(&self.bucket, prefix, ask, PATIENTLY).await?;
            let n_before = nodes.len();
            for folder in page.folders.into_iter().filter(|folder| folder != prefix) {
                nodes.insert(folder.clone(), Node::Folder(folder));
            }
            for item in page.items {
                if let Some(entry) = self.store.listed(&self.bucket, &item) {
                    nodes.insert(item.key, Node::Entry(entry));
                }
            }
            n_idle_pages = if nodes.len() == n_before { n_idle_pages + 1 } else { 0 };
            if n_idle_pages > MAX_IDLE_PAGES {
                return Err(self.store.stuck(&self.bucket, prefix));
            }
            token = page.next;
            if token.is_none() {
                return Ok(nodes.into_values().collect());
            }
        }
    }
}
