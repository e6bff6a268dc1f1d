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
/// Jobs in which the sources of a collection are looked for.
const RECENT_JOBS: usize = 500;

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
/// Objects outside the sources of the collection are passed over.
///
/// # Errors
/// `NotFound` when all of them are; `Overloaded` when too many jobs are active: send the event again.
pub async fn notify(app: &Arc<App>, pass: &Pass, touched: &[Touched]) -> Result<Vec<JobId>> {
    pass.must_write()?;
    let sources = sources(app, pass).await?;
    let mut uris: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut foreign = None;
    for object in touched {
        let uri = app.objects.uri_of(&object.bucket, &object.key)?;
        match sources.iter().filter(|source| holds(source, &uri)).max_by_key(|it| it.len()) {
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
            ids.push(jobs::start(app, pass, &Request::of(source)).await?.0);
            continue;
        }
        for uri in uris {
            ids.push(jobs::start_resolved(app, pass, &Request::of(&uri)).await?.0);
        }
    }
    Ok(ids)
}

/// Whether a source is, or is a folder above, the object at `uri`.
fn holds(source: &str, uri: &str) -> bool {
    source == uri || (source.ends_with('/') && uri.starts_with(source))
}

/// Returns the sources that were ingested into the collection.
async fn sources(app: &App, pass: &Pass) -> Result<BTreeSet<String>> {
    let jobs = app.metastore.jobs(RECENT_JOBS).await?.into_iter();
    let own = jobs.filter(|job| job.spec.collection == *pass.collection());
    Ok(own.map(|job| job.spec.source).collect())
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_source_holds_what_is_below_it() {
        assert!(holds("s3://b/docs/", "s3://b/docs/a.pdf"));
        assert!(holds("s3://b/docs/a.pdf", "s3://b/docs/a.pdf"));
        assert!(!holds("s3://b/docs/a", "s3://b/docs/a.pdf"));
        assert!(!holds("s3://b/docs/", "s3://c/docs/a.pdf"));
    }
}
