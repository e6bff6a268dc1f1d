//! Lets the ingest pipeline read a dataset as its source: objects that are lines of its corpus, and their converter.

use super::corpus::{self, Corpus};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::sync::Arc;
use vellum_core::ports::{
    Content, ConvertInput, Converter, Listed, Listing, ObjectMeta, ObjectStore, Parts,
};
use vellum_core::{Error, ErrorKind, Result};

/// Source uri of every dataset.
pub const SOURCE: &str = "dataset:///";

/// The documents of a dataset as source objects: the content is the line of the corpus, the name its id.
///
/// The line holds the id, so that documents of equal text stay two, as the judgements have them.
pub struct DatasetObjects(pub Arc<Corpus>);

/// Writes an id in hexadecimal, which keeps any id a valid uri, and ids in their order.
fn uri(id: &str) -> String {
    let digits = id.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{SOURCE}{digits}")
}

/// Returns the id of a uri; `None` when it is none of [`uri`].
fn id(uri: &str) -> Option<String> {
    let digits = uri.strip_prefix(SOURCE)?;
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

fn meta(corpus: &Corpus, id: &str) -> ObjectMeta {
    let size = corpus.bytes(id).unwrap_or_default();
    ObjectMeta { uri: uri(id), name: id.to_owned(), size, etag: "1".to_owned() }
}

#[async_trait::async_trait]
impl ObjectStore for DatasetObjects {
    async fn resolve(&self, source: &str) -> Result<String> {
        Ok(source.to_owned())
    }

    async fn list(&self, _source: &str) -> Result<Listing> {
        let corpus = self.0.clone();
        let mut last: Option<String> = None;
        let next = move || {
            let id = corpus.id_after(last.as_deref())?.to_owned();
            let listed = Listed::Object(meta(&corpus, &id));
            last = Some(id);
            Some(Ok(listed))
        };
        Ok(stream::iter(std::iter::from_fn(next)).boxed())
    }

    async fn get(&self, uri: &str, _limit: u64) -> Result<(ObjectMeta, Content)> {
        let id = id(uri).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("`{uri}` is not in the dataset"))
        })?;
        let corpus = self.0.clone();
        let read = move || Ok((meta(&corpus, &id), Bytes::from(corpus.line(&id)?).into()));
        tokio::task::spawn_blocking(read).await.map_err(|error| {
            Error::new(ErrorKind::Internal, "reading a document ended").with_source(error)
        })?
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Reads the documents that [`DatasetObjects`] holds.
pub struct DatasetConverter;

#[async_trait::async_trait]
impl Converter for DatasetConverter {
    fn version(&self) -> &'static str {
        "dataset-2"
    }

    fn parts(&self, input: ConvertInput) -> Parts {
        let bytes = input.content.to_bytes().map_err(|error| Error::io("read a document", error));
        let document = bytes.and_then(|bytes| corpus::document(&bytes));
        stream::iter([document]).boxed()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_makes_a_uri() {
        for text in ["", "a", "d/1 ü?#"] {
            assert_eq!(id(&uri(text)).as_deref(), Some(text));
        }
        assert!(uri("a") < uri("aa") && uri("aa") < uri("b"));
        for wrong in
            ["file:///61", "dataset:///6", "dataset:///zz", "dataset:///ff", "dataset:///ü"]
        {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
