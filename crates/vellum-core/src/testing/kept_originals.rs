//! Conformance suite of the `KeptOriginals` port, and [`MemoryKeptOriginals`], its peer without a disk.

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionName, ContentHash};
use crate::ports::{Content, KeptOriginals};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

type Kept = BTreeMap<(CollectionName, String), Vec<u8>>;

/// A [`KeptOriginals`] in memory.
#[derive(Debug, Default)]
pub struct MemoryKeptOriginals(Mutex<Kept>);

impl MemoryKeptOriginals {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptOriginals for MemoryKeptOriginals {
    fn put(
        &self,
        collection: &CollectionName,
        hash: &ContentHash,
        bytes: &mut dyn Read,
    ) -> Result<()> {
        let mut content = Vec::new();
        bytes.read_to_end(&mut content).map_err(|error| Error::io("read an original", error))?;
        if ContentHash::of(&content) != *hash {
            return Err(Error::new(ErrorKind::Corrupt, "an original has another hash"));
        }
        self.kept().insert((collection.clone(), hash.as_str().to_owned()), content);
        Ok(())
    }

    fn get(&self, collection: &CollectionName, hash: &ContentHash) -> Result<Option<Content>> {
        let key = (collection.clone(), hash.as_str().to_owned());
        Ok(self.kept().get(&key).cloned().map(Content::from))
    }

    fn forget(&self, collection: &CollectionName) -> Result<()> {
        self.kept().retain(|(of, _), _| of != collection);
        Ok(())
    }
}

/// Asserts every clause of the port on an empty store.
///
/// # Panics
/// When a clause is broken.
pub fn kept_originals_suite(store: &dyn KeptOriginals) {
    let [a, b]: [CollectionName; 2] = ["a", "b"].map(|name| name.parse().expect("valid"));
    let bytes = vec![7; 300_000];
    let hash = ContentHash::of(&bytes);
    let read = |collection: &CollectionName, hash: &ContentHash| {
        let kept = store.get(collection, hash).expect("read");
        kept.map(|content| content.to_bytes().expect("read").to_vec())
    };
    assert_eq!(read(&a, &hash), None, "nothing is kept yet");
    let wrong = store.put(&a, &hash, &mut &bytes[1..]).expect_err("other bytes");
    assert_eq!(wrong.kind(), ErrorKind::Corrupt);
    assert_eq!(read(&a, &hash), None, "what is wrong is not kept");
    for _ in 0..2 {
        store.put(&a, &hash, &mut &bytes[..]).expect("kept");
        assert_eq!(read(&a, &hash).as_deref(), Some(&bytes[..]));
    }
    let empty = ContentHash::of(b"");
    store.put(&a, &empty, &mut &b""[..]).expect("kept");
    assert_eq!(read(&a, &empty), Some(Vec::new()));
    assert_eq!(read(&b, &hash), None, "of another collection");
    store.put(&b, &hash, &mut &bytes[..]).expect("kept");
    for _ in 0..2 {
        store.forget(&a).expect("removed");
        assert_eq!(read(&a, &hash), None);
    }
    assert_eq!(read(&b, &hash).as_deref(), Some(&bytes[..]), "others stay");
    store.forget(&b).expect("removed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_peer_conforms() {
        kept_originals_suite(&MemoryKeptOriginals::default());
    }
}
