//! Lets the ingest pipeline read a dataset as its source: in-memory objects and their converter.

use super::dataset::Dataset;
use bytes::Bytes;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use vellum_core::document::Document;
use vellum_core::ports::{
    Content, ConvertInput, Converter, Listed, Listing, ObjectMeta, ObjectStore, Parts,
};
use vellum_core::{Error, ErrorKind, Result};

/// Source uri of every dataset.
pub const SOURCE: &str = "dataset:///";

/// The documents of a dataset as source objects: the content is the document as JSON, the name its id.
pub struct DatasetObjects(BTreeMap<String, (ObjectMeta, Bytes)>);

impl DatasetObjects {
    /// Returns the corpus of `dataset` as objects.
    pub fn new(dataset: &Dataset) -> Arc<Self> {
        let objects = dataset.corpus.iter().map(|(id, document)| {
            // With its id, so that documents of equal text stay two, as the judgements have them.
            let bytes =
                serde_json::to_vec(&(id, document)).expect("plain structs always serialise");
            let uri = format!("{SOURCE}{}", hex(id));
            let size = bytes.len() as u64;
            let meta =
                ObjectMeta { uri: uri.clone(), name: id.clone(), size, etag: "1".to_owned() };
            (uri, (meta, Bytes::from(bytes)))
        });
        Arc::new(Self(objects.collect()))
    }
}

/// Writes an id in hexadecimal, which keeps any id a valid uri.
fn hex(id: &str) -> String {
    id.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[async_trait::async_trait]
impl ObjectStore for DatasetObjects {
    async fn resolve(&self, source: &str) -> Result<String> {
        Ok(source.to_owned())
    }

    async fn list(&self, _source: &str) -> Result<Listing> {
        let entries: Vec<Result<Listed>> =
            self.0.values().map(|(meta, _)| Ok(Listed::Object(meta.clone()))).collect();
        Ok(futures::stream::iter(entries).boxed())
    }

    async fn get(&self, uri: &str, _limit: u64) -> Result<(ObjectMeta, Content)> {
        let missing = || Error::new(ErrorKind::NotFound, format!("`{uri}` is not in the dataset"));
        let (meta, bytes) = self.0.get(uri).ok_or_else(missing)?;
        Ok((meta.clone(), bytes.clone().into()))
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
        "dataset-1"
    }

    fn parts(&self, input: ConvertInput) -> Parts {
        let bytes = input.content.to_bytes().map_err(|error| Error::io("read a document", error));
        let document = bytes.and_then(|bytes| {
            let read = serde_json::from_slice::<(String, Document)>(&bytes);
            read.map(|(_, document)| document).map_err(|error| {
                Error::new(ErrorKind::Rejected, "not a document of a dataset").with_source(error)
            })
        });
        futures::stream::iter([document]).boxed()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
