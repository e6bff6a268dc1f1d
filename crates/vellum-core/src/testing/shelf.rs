//! Conformance suite of the `Shelf` port, and [`MemoryShelf`], its peer without a disk.

use crate::error::Result;
use crate::ids::{CollectionName, DatasetName};
use crate::ports::{Place, Shelf};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A place that owns its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Experiment(String),
    Dataset(CollectionName, DatasetName),
    Score(CollectionName, String, DatasetName),
    Opinions(CollectionName),
}

impl Key {
    fn of(at: Place<'_>) -> Self {
        match at {
            Place::Experiment(id) => Self::Experiment(id.to_owned()),
            Place::Dataset(collection, name) => Self::Dataset(collection.clone(), name.clone()),
            Place::Score { collection, version, dataset } => {
                Self::Score(collection.clone(), version.to_owned(), dataset.clone())
            }
            Place::Opinions(collection) => Self::Opinions(collection.clone()),
        }
    }

    fn collection(&self) -> Option<&CollectionName> {
        match self {
            Self::Experiment(_) => None,
            Self::Dataset(of, _) | Self::Score(of, ..) | Self::Opinions(of) => Some(of),
        }
    }
}

/// A [`Shelf`] in memory.
#[derive(Debug, Default)]
pub struct MemoryShelf(Mutex<BTreeMap<Key, Vec<u8>>>);

impl MemoryShelf {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for MemoryShelf {
    fn put(&self, at: Place<'_>, bytes: &[u8]) -> Result<()> {
        self.all().insert(Key::of(at), bytes.to_vec());
        Ok(())
    }

    fn get(&self, at: Place<'_>) -> Result<Option<Vec<u8>>> {
        Ok(self.all().get(&Key::of(at)).cloned())
    }

    fn remove(&self, at: Place<'_>) -> Result<()> {
        self.all().remove(&Key::of(at));
        Ok(())
    }

    fn experiments(&self) -> Result<Vec<String>> {
        let id = |key: &Key| match key {
            Key::Experiment(id) => Some(id.clone()),
            _ => None,
        };
        Ok(self.all().keys().filter_map(id).collect())
    }

    fn datasets(&self, collection: &CollectionName) -> Result<Vec<DatasetName>> {
        let name = |key: &Key| match key {
            Key::Dataset(of, name) if of == collection => Some(name.clone()),
            _ => None,
        };
        Ok(self.all().keys().filter_map(name).collect())
    }

    fn scores(&self, collection: &CollectionName) -> Result<Vec<Vec<u8>>> {
        let all = self.all();
        let of = |(key, bytes): (&Key, &Vec<u8>)| match key {
            Key::Score(of, ..) if of == collection => Some(bytes.clone()),
            _ => None,
        };
        Ok(all.iter().filter_map(of).collect())
    }

    fn forget(&self, collection: &CollectionName) -> Result<()> {
        self.all().retain(|key, _| key.collection() != Some(collection));
        Ok(())
    }
}

/// Asserts every clause of the port on an empty shelf.
///
/// # Panics
/// When a clause is broken.
pub fn shelf_suite(shelf: &dyn Shelf) {
    let [a, b]: [CollectionName; 2] = ["a", "b"].map(|name| name.parse().expect("valid"));
    let [one, scores]: [DatasetName; 2] =
        ["one", "scores"].map(|name| name.parse().expect("valid"));
    let only = [one.clone()];
    let version = "0123456789abcdef";
    let score = |collection, dataset| Place::Score { collection, version, dataset };
    let places = [
        Place::Experiment("01234567"),
        Place::Dataset(&a, &one),
        Place::Dataset(&a, &scores),
        Place::Dataset(&b, &one),
        score(&a, &one),
        score(&b, &one),
        Place::Opinions(&a),
        Place::Opinions(&b),
    ];
    assert_eq!(shelf.experiments().expect("listed"), Vec::<String>::new());
    assert_eq!(shelf.datasets(&a).expect("listed"), Vec::new());
    assert_eq!(shelf.scores(&a).expect("listed"), Vec::<Vec<u8>>::new());
    for (n, place) in (0_u8..).zip(places) {
        assert_eq!(shelf.get(place).expect("read"), None, "{place:?} is empty");
        shelf.remove(place).expect("nothing to be removed");
        for bytes in [[9; 3].as_slice(), &[n]] {
            shelf.put(place, bytes).expect("put");
            assert_eq!(shelf.get(place).expect("read").as_deref(), Some(bytes), "{place:?}");
        }
    }
    for (n, place) in (0_u8..).zip(places) {
        assert_eq!(shelf.get(place).expect("read"), Some(vec![n]), "{place:?} is its own");
    }
    assert_eq!(shelf.experiments().expect("listed"), ["01234567"]);
    assert_eq!(shelf.datasets(&a).expect("listed"), [one.clone(), scores.clone()]);
    assert_eq!(shelf.scores(&a).expect("listed"), [vec![4]]);
    shelf.remove(Place::Dataset(&a, &scores)).expect("removed");
    assert_eq!(shelf.datasets(&a).expect("listed"), only);
    for _ in 0..2 {
        shelf.forget(&a).expect("forgotten");
        assert_eq!(shelf.datasets(&a).expect("listed"), Vec::new());
        assert_eq!(shelf.scores(&a).expect("listed"), Vec::<Vec<u8>>::new());
        assert_eq!(shelf.get(Place::Opinions(&a)).expect("read"), None);
    }
    assert_eq!(shelf.datasets(&b).expect("listed"), only, "others stay");
    assert_eq!(shelf.get(Place::Opinions(&b)).expect("read"), Some(vec![7]));
    assert_eq!(shelf.experiments().expect("listed"), ["01234567"]);
    shelf.remove(Place::Experiment("01234567")).expect("removed");
    assert_eq!(shelf.experiments().expect("listed"), Vec::<String>::new());
    shelf.forget(&b).expect("forgotten");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_peer_conforms() {
        shelf_suite(&MemoryShelf::default());
    }
}
