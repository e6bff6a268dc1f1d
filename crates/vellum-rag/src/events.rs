//! Events of buckets: something happened to an object, so its document is looked at.
//!
//! An event is a hint where to look, never a fact: the job that it starts reads the object as it is then. So events
//! may come twice, late or in any order. The job is stored before the event is acknowledged, and a process that dies
//! goes on with it.

use crate::app::App;
use crate::jobs::{self, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vellum_core::access::Pass;
use vellum_core::ids::JobId;
use vellum_core::{Error, ErrorKind, Result};

/// Objects of a source that are looked at one by one; with more, the source is compared as a whole.
const FEW: usize = 8;

/// An object that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Its bucket.
    pub bucket: String,
    /// Its key, decoded.
    pub key: String,
}

/// Starts jobs that look at the objects; returns their ids once they are stored.
///
/// Objects outside the sources of the collection, and keys that no document can have, are passed over.
///
/// # Errors
/// `NotFound` when all of them are; `Overloaded` when too many jobs are active: send the event again.
pub async fn notify(app: &Arc<App>, pass: &Pass, touched: &[Touched]) -> Result<Vec<JobId>> {
    pass.must_write()?;
    let mut uris: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut foreign = None;
    for object in touched {
        // A marker of a folder, or a key that no listing shows either: asking again would not change it.
        let is_folder = object.key.is_empty() || object.key.ends_with('/');
        let uri = match app.objects.uri_of(&object.bucket, &object.key) {
            Ok(uri) if !is_folder => uri,
            Err(error) if error.kind() != ErrorKind::Invalid => return Err(error),
            _ => continue,
        };
        match source_of(app, pass, &uri).await? {
            Some(source) => drop(uris.entry(source).or_default().insert(uri)),
            None => foreign = Some(uri),
        }
    }
    if let (true, Some(uri)) = (uris.is_empty(), foreign) {
        let name = pass.collection();
        let message = format!("`{uri}` is in no source of collection `{name}`");
        return Err(Error::new(ErrorKind::NotFound, message)
            .with_hint(format!("ingest its bucket or prefix into `{name}` first")));
    }
    let mut ids = Vec::new();
    for (source, uris) in uris {
        if uris.len() > FEW || app.jobs.n_queued(pass.collection()) > FEW {
            ids.push(jobs::start(app, pass, &Request::of(&source)).await?.0);
            continue;
        }
        for uri in uris {
            ids.push(jobs::start_resolved(app, pass, &Request::of(&uri)).await?.0);
        }
    }
    Ok(ids)
}

/// Returns the source of the collection that the object at `uri` belongs to: a folder above it, the nearest, or itself.
async fn source_of(app: &App, pass: &Pass, uri: &str) -> Result<Option<String>> {
    let mut known = app.metastore.known_sources(pass, &candidates(uri)).await?;
    let (folders, itself): (Vec<String>, Vec<String>) =
        known.drain(..).partition(|source| source.ends_with('/'));
    // A job that looked at the object alone had it as its source, so that says least.
    Ok(folders.into_iter().max_by_key(String::len).or(itself.into_iter().next()))
}

/// Returns the sources that an object may belong to: itself, and the folders above it.
fn candidates(uri: &str) -> Vec<String> {
    let folders = uri.match_indices('/').map(|(at, _)| uri[..=at].to_owned());
    folders.chain([uri.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn an_object_belongs_to_the_folders_above_it() {
        let expected =
            ["s3:/", "s3://", "s3://b/", "s3://b/docs/", "s3://b/docs/a.pdf"].map(str::to_owned);
        assert_eq!(candidates("s3://b/docs/a.pdf"), expected);
    }
}
