//! Authority as a value: no read or write of a collection without a [`Pass`].
//!
//! A pass names one collection and what may be done with it, and can carry a filter that the vector
//! store applies inside every search leg. Passes have private fields and are made only by the checks
//! of this module, so code that holds one has been through a check.
//!
//! A [`Pass`] says nothing about index versions. Chunks and ledger rows belong to one, so the ports that hold them take a
//! [`VersionPass`], which is made from the version that the caller has looked up: there is no version by default.

use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::ids::{CollectionName, Space};

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The owner of the data directory: the local user, or a holder of the local token.
    Owner,
    /// A caller that has proven nothing.
    Anonymous,
}

/// What a pass allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Search and read.
    Read,
    /// Also change documents, and delete the collection.
    Write,
}

/// The right to use one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    collection: CollectionName,
    verb: Verb,
    filter: Option<Filter>,
}

impl Pass {
    /// Returns the right of `principal` to use `collection`.
    ///
    /// # Errors
    /// `Unauthenticated` for a caller that has proven nothing.
    pub fn grant(principal: &Principal, collection: &CollectionName, verb: Verb) -> Result<Self> {
        match principal {
            Principal::Owner => Ok(Self { collection: collection.clone(), verb, filter: None }),
            Principal::Anonymous => {
                Err(Error::new(ErrorKind::Unauthenticated, "this server needs a token")
                    .with_hint("send `Authorization: Bearer TOKEN`; `vellum up` prints the token"))
            }
        }
    }

    /// Returns the same right, limited to chunks that also pass `filter`.
    #[must_use]
    pub fn narrowed(&self, filter: &Filter) -> Self {
        Self { filter: Filter::both(self.filter.as_ref(), Some(filter)), ..self.clone() }
    }

    /// Returns the same right to one version of the collection: the one through which `seen` is seen.
    ///
    /// # Errors
    /// `Internal` when `seen` is another collection.
    pub fn at(&self, seen: &Collection) -> Result<VersionPass> {
        if seen.name == self.collection {
            return Ok(VersionPass { pass: self.clone(), space: seen.space.clone() });
        }
        let message = format!("a pass for `{}` is used for `{}`", self.collection, seen.name);
        Err(Error::new(ErrorKind::Internal, message))
    }

    /// Returns the collection that the pass is for.
    pub fn collection(&self) -> &CollectionName {
        &self.collection
    }

    /// Returns the condition that every read under this pass must add.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Fails unless the pass allows writing.
    ///
    /// # Errors
    /// `Forbidden` for a read pass.
    pub fn must_write(&self) -> Result<()> {
        if self.verb == Verb::Write {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            format!("no right to change collection `{}`", self.collection),
        ))
    }
}

/// The right to use one index version of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPass {
    pass: Pass,
    space: Space,
}

impl VersionPass {
    /// Returns the same right, limited to chunks that also pass `filter`.
    #[must_use]
    pub fn narrowed(&self, filter: &Filter) -> Self {
        Self { pass: self.pass.narrowed(filter), space: self.space.clone() }
    }

    /// Returns where the version's chunks and ledger are.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Returns the collection that the pass is for.
    pub fn collection(&self) -> &CollectionName {
        self.pass.collection()
    }

    /// Returns the condition that every read under this pass must add.
    pub fn filter(&self) -> Option<&Filter> {
        self.pass.filter()
    }

    /// Fails unless the pass allows writing.
    ///
    /// # Errors
    /// `Forbidden` for a read pass.
    pub fn must_write(&self) -> Result<()> {
        self.pass.must_write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_gets_no_pass_and_read_does_not_write() {
        let name: CollectionName = "c".parse().unwrap();
        assert!(Pass::grant(&Principal::Anonymous, &name, Verb::Read).is_err());
        let read = Pass::grant(&Principal::Owner, &name, Verb::Read).unwrap();
        assert_eq!(read.must_write().unwrap_err().kind(), ErrorKind::Forbidden);
    }
}
