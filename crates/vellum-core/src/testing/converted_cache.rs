//! Conformance suite of the `ConvertedCache` port, and [`MemoryConvertedCache`], its peer without a disk.

use crate::document::{Document, Format};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionName, ContentHash, DocumentId};
use crate::ports::{Conversion, ConvertedCache, Parts};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

type Kept = BTreeMap<(String, DocumentId), (Conversion, Vec<Document>)>;

/// A [`ConvertedCache`] in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryConvertedCache(Arc<Mutex<Kept>>);

impl MemoryConvertedCache {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of documents that are kept.
    pub fn n_kept(&self) -> usize {
        self.kept().len()
    }
}

fn key(of: &Conversion) -> (String, DocumentId) {
    (of.collection.as_str().to_owned(), of.document)
}

impl ConvertedCache for MemoryConvertedCache {
    fn get(&self, of: &Conversion) -> Option<Parts> {
        let kept = self.kept();
        let (_, parts) = kept.get(&key(of)).filter(|(kept, _)| kept == of)?;
        Some(stream::iter(parts.clone()).map(Ok).boxed())
    }

    fn keep(&self, of: Conversion, parts: Parts) -> Parts {
        let state = (self.clone(), of, Some(Vec::new()), parts);
        stream::unfold(state, async |(cache, of, mut seen, mut parts)| match parts.next().await {
            Some(Ok(part)) => {
                if seen.as_ref().is_some_and(Vec::is_empty) {
                    cache.kept().remove(&key(&of));
                }
                if let Some(seen) = &mut seen {
                    seen.push(part.clone());
                }
                Some((Ok(part), (cache, of, seen, parts)))
            }
            Some(Err(error)) => Some((Err(error), (cache, of, None, parts))),
            None => {
                if let Some(seen) = seen {
                    cache.kept().insert(key(&of), (of, seen));
                }
                None
            }
        })
        .boxed()
    }

    fn forget(&self, collection: &CollectionName, documents: &[DocumentId]) -> Result<()> {
        self.kept()
            .retain(|(of, document), _| of != collection.as_str() || !documents.contains(document));
        Ok(())
    }

    fn forget_all(&self, collection: &CollectionName) -> Result<()> {
        self.kept().retain(|(of, _), _| of != collection.as_str());
        Ok(())
    }
}

/// Returns a part as parsers make them.
fn part(text: &str) -> Document {
    let metadata = [("author".to_owned(), "Ada".to_owned())].into();
    Document {
        format: Format::Pdf,
        title: Some("Title".to_owned()),
        metadata,
        ..Document::plain(text)
    }
}

/// Asserts every clause of the port on an empty cache with room for some documents.
///
/// # Panics
/// When a clause is broken.
pub async fn converted_cache_suite(cache: &dyn ConvertedCache) {
    let [a, b]: [CollectionName; 2] = ["a", "b"].map(|name| name.parse().expect("valid"));
    let of = |collection: &CollectionName, uri: &str, content: &str| Conversion {
        collection: collection.clone(),
        document: DocumentId::derive(collection, uri),
        content: ContentHash::of(content.as_bytes()),
        converter: "1".to_owned(),
    };
    let whole = || vec![part("one"), part("two\nümläut"), part("")];
    let keep = async |of: Conversion, parts: Vec<Result<Document>>| {
        cache.keep(of, stream::iter(parts).boxed()).collect::<Vec<_>>().await
    };
    let read = async |of: &Conversion| match cache.get(of) {
        Some(parts) => Some(parts.map(|part| part.expect("whole")).collect::<Vec<_>>().await),
        None => None,
    };
    let first = of(&a, "x", "first");
    assert_eq!(read(&first).await, None, "nothing is kept yet");
    let given = keep(first.clone(), whole().into_iter().map(Ok).collect()).await;
    let given: Vec<Document> = given.into_iter().map(|part| part.expect("as it came")).collect();
    assert_eq!(given, whole(), "parts are handed on");
    for _ in 0..2 {
        assert_eq!(read(&first).await, Some(whole()));
    }

    let others = [
        of(&a, "x", "second"),
        of(&a, "y", "first"),
        of(&b, "x", "first"),
        Conversion { converter: "2".to_owned(), ..first.clone() },
    ];
    for other in &others {
        assert_eq!(read(other).await, None, "{other:?} was never kept");
    }

    let broken = || Error::new(ErrorKind::Rejected, "damaged");
    let given = keep(of(&a, "y", "y"), vec![Ok(part("one")), Err(broken())]).await;
    assert!(given.len() == 2 && given[1].is_err(), "failures are handed on");
    assert_eq!(read(&of(&a, "y", "y")).await, None, "what ends badly is not kept");
    drop(cache.keep(of(&a, "y", "y"), stream::iter([Ok(part("one"))]).boxed()).next().await);
    assert_eq!(read(&of(&a, "y", "y")).await, None, "what is not read to its end is not kept");

    let second = of(&a, "x", "second");
    keep(second.clone(), vec![Ok(part("new"))]).await;
    assert_eq!(read(&second).await, Some(vec![part("new")]));
    assert_eq!(read(&first).await, None, "an older conversion is replaced");
    drop(cache.keep(first.clone(), stream::iter([Ok(part("one"))]).boxed()).next().await);
    assert_eq!(read(&second).await, None, "or gone, when another one began");
    keep(second.clone(), vec![Ok(part("new"))]).await;

    let other = of(&b, "x", "first");
    keep(other.clone(), vec![Ok(part("b"))]).await;
    keep(of(&a, "z", "z"), vec![Ok(part("z"))]).await;
    for _ in 0..2 {
        cache.forget(&a, &[second.document]).expect("removed");
        assert_eq!(read(&second).await, None);
    }
    assert!(read(&of(&a, "z", "z")).await.is_some(), "other documents stay");
    for _ in 0..2 {
        cache.forget_all(&a).expect("removed");
        assert_eq!(read(&of(&a, "z", "z")).await, None);
    }
    assert_eq!(read(&other).await, Some(vec![part("b")]), "other collections stay");
    cache.forget_all(&b).expect("removed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_peer_conforms() {
        converted_cache_suite(&MemoryConvertedCache::default()).await;
    }
}
