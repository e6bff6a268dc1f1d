//! Where a command's work is done: in this process, or by the process that serves the data directory.
//!
//! One process owns a data directory. A command that finds it served goes through that server and
//! behaves the same; [`Session`] hides which of the two it is.

use crate::interrupt::Interrupts;
use crate::local::local;
use crate::remote::Remote;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::{CollectionName, DatasetName, DocumentId, FeedbackId, JobId};
use vellum_core::ports::WithVectors;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire;
use vellum_rag::app::App;
use vellum_rag::{
    answer, archive, collections, datasets, documents, feedback, jobs, search, versions,
};
use vellum_server::compose::{compose, local_user};
use vellum_server::config::Config;
use vellum_server::data_dir::{self, DataDir, Opened};

/// An open data directory.
pub(crate) enum Session {
    /// This process owns it.
    Local(Local),
    /// Another process serves it.
    Remote(Remote),
}

/// The product in this process.
pub(crate) struct Local {
    pub(crate) app: Arc<App>,
    /// Held for its lock.
    pub(crate) _dir: DataDir,
}

/// Returns the data directory of a configuration.
///
/// # Errors
/// `Invalid` when none is configured and the platform has none.
pub(crate) fn data_path(config: &Config) -> Result<PathBuf> {
    match config.data_dir.as_str() {
        "" => data_dir::platform_dir(),
        path => Ok(PathBuf::from(path)),
    }
}

/// Opens the data directory of a configuration, here or through its server.
///
/// # Errors
/// What [`data_dir::open`] and [`compose`] fail with.
pub(crate) async fn open(config: &Config) -> Result<Session> {
    match data_dir::open(&data_path(config)?)? {
        Opened::Owned(dir) => {
            let app = compose(config, &local(), &dir).await?;
            Ok(Session::Local(Local { app, _dir: dir }))
        }
        Opened::Served(endpoint) => Ok(Session::Remote(Remote::new(&endpoint)?)),
    }
}

/// Opens the data directory of a configuration in this process.
///
/// # Errors
/// `Locked` naming the address when another process serves it.
pub(crate) fn own(config: &Config) -> Result<DataDir> {
    match data_dir::open(&data_path(config)?)? {
        Opened::Owned(dir) => Ok(dir),
        Opened::Served(endpoint) => {
            let message = format!(
                "another vellum (pid {}) serves this data directory at http://{}{}/",
                endpoint.pid, endpoint.address, endpoint.base_path
            );
            Err(Error::new(ErrorKind::Locked, message).with_hint(
                "use that one, end it first, or set VELLUM_DATA_DIR to another directory",
            ))
        }
    }
}

impl Session {
    pub(crate) async fn search(
        &self,
        request: wire::SearchRequest,
    ) -> Result<wire::SearchResponse> {
        match self {
            Self::Remote(remote) => remote.post("search", &request).await,
            Self::Local(Local { app, .. }) => {
                let pass = pass(&request.collection, Verb::Read)?;
                let request = request.try_into()?;
                let found = search::search(app, &pass, &request, WithVectors::No).await?;
                Ok(found.into())
            }
        }
    }

    pub(crate) async fn ask(&self, request: wire::AskRequest) -> Result<wire::AskResponse> {
        match self {
            Self::Remote(remote) => remote.post("ask", &request).await,
            Self::Local(Local { app, .. }) => {
                let pass = pass(&request.collection, Verb::Read)?;
                Ok(answer::ask(app, &pass, &request.try_into()?, None).await?.into())
            }
        }
    }

    pub(crate) async fn collections(&self) -> Result<wire::CollectionList> {
        match self {
            Self::Remote(remote) => remote.get("collections").await,
            Self::Local(Local { app, .. }) => {
                let mut list = Vec::new();
                for collection in app.metastore.collections().await? {
                    let pass = pass(&collection.name, Verb::Read)?;
                    list.push(collections::summary(app, &pass).await?.into());
                }
                Ok(wire::CollectionList { collections: list })
            }
        }
    }

    pub(crate) async fn show(&self, name: &CollectionName) -> Result<wire::CollectionShow> {
        match self {
            Self::Remote(remote) => remote.get(&format!("collections/{name}")).await,
            Self::Local(Local { app, .. }) => {
                let pass = pass(name, Verb::Read)?;
                let summary = collections::summary(app, &pass).await?;
                let digest = collections::digest(app, &pass).await?;
                Ok(wire::CollectionShow::new(summary, digest))
            }
        }
    }

    /// Changes how a collection is searched; returns it as it then is.
    pub(crate) async fn change(
        &self,
        name: &CollectionName,
        change: wire::CollectionChange,
    ) -> Result<wire::CollectionShow> {
        match self {
            Self::Remote(remote) => remote.patch(&format!("collections/{name}"), &change).await,
            Self::Local(Local { app, .. }) => {
                collections::tune(app, &pass(name, Verb::Write)?, &change.into()).await?;
                self.show(name).await
            }
        }
    }

    pub(crate) async fn delete(&self, name: &CollectionName) -> Result<()> {
        match self {
            Self::Remote(remote) => remote.delete(&format!("collections/{name}")).await,
            Self::Local(Local { app, .. }) => {
                collections::delete(app, &pass(name, Verb::Write)?).await
            }
        }
    }

    /// Returns a page of a collection's documents, those with a uri above `after`.
    pub(crate) async fn documents(
        &self,
        collection: &CollectionName,
        after: Option<&str>,
    ) -> Result<wire::DocumentList> {
        match self {
            Self::Remote(remote) => {
                let after = after.map(|uri| format!("&after={}", encoded(uri))).unwrap_or_default();
                remote.get(&format!("collections/{collection}/documents?limit={PAGE}{after}")).await
            }
            Self::Local(Local { app, .. }) => {
                let pass = pass(collection, Verb::Read)?;
                let rows = documents::list(app, &pass, after, PAGE).await?;
                let next = rows.last().filter(|_| rows.len() == PAGE).map(|row| row.uri.clone());
                let documents =
                    rows.into_iter().map(|row| wire::Document::new(collection, row)).collect();
                Ok(wire::DocumentList { documents, next })
            }
        }
    }

    pub(crate) async fn create(&self, name: &CollectionName) -> Result<wire::CollectionInfo> {
        match self {
            Self::Remote(remote) => {
                remote.post("collections", &wire::CollectionRequest { name: name.clone() }).await
            }
            Self::Local(Local { app, .. }) => {
                Ok(collections::create(app, &pass(name, Verb::Write)?).await?.into())
            }
        }
    }

    /// Returns the whole text of a document.
    pub(crate) async fn text(&self, id: DocumentId) -> Result<wire::DocumentText> {
        match self {
            Self::Remote(remote) => remote.get(&format!("documents/{id}/text")).await,
            Self::Local(Local { app, .. }) => {
                let (pass, row) = documents::find(app, &local_user(), id).await?;
                Ok(documents::text(app, &pass, &row).await?.into())
            }
        }
    }

    pub(crate) async fn versions(&self, name: &CollectionName) -> Result<wire::VersionList> {
        match self {
            Self::Remote(remote) => remote.get(&format!("collections/{name}/versions")).await,
            Self::Local(Local { app, .. }) => {
                let versions = versions::list(app, &pass(name, Verb::Read)?).await?;
                Ok(wire::VersionList { versions: versions.into_iter().map(Into::into).collect() })
            }
        }
    }

    /// Returns all that people thought of answers from a collection.
    pub(crate) async fn feedback(
        &self,
        collection: &CollectionName,
    ) -> Result<Vec<wire::Feedback>> {
        let mut all = Vec::new();
        let mut after: Option<FeedbackId> = None;
        loop {
            let page: Vec<wire::Feedback> = match self {
                Self::Remote(remote) => {
                    let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
                    let path = format!("collections/{collection}/feedback?limit={PAGE}{after}");
                    remote.get::<wire::FeedbackList>(&path).await?.feedback
                }
                Self::Local(Local { app, .. }) => {
                    let pass = pass(collection, Verb::Read)?;
                    let found = feedback::list(app, &pass, after, PAGE).await?;
                    found.into_iter().map(Into::into).collect()
                }
            };
            after = page.last().map(|one| one.id);
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Returns the version with this whole id.
    pub(crate) async fn version(
        &self,
        name: &CollectionName,
        id: &str,
    ) -> Result<wire::VersionInfo> {
        let list = self.versions(name).await?;
        list.versions.into_iter().find(|it| it.version == id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("`{name}` has no version `{id}` any more"))
        })
    }

    /// Builds a version until its job stops; as [`Session::ingest`].
    pub(crate) async fn build(
        &self,
        name: &CollectionName,
        request: &wire::BuildRequest,
        show: &dyn Fn(&wire::Job),
    ) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => {
                let job = remote.post(&format!("collections/{name}/versions"), request).await?;
                remote.follow(job, show).await
            }
            Self::Local(Local { app, .. }) => {
                let pass = pass(name, Verb::Write)?;
                let id = request.version.as_deref();
                let (id, watcher) = versions::start(app, &pass, id, &request.change()).await?;
                follow(app, id, watcher, show).await
            }
        }
    }

    pub(crate) async fn promote(
        &self,
        name: &CollectionName,
        request: &wire::PromoteRequest,
    ) -> Result<wire::PromoteReport> {
        match self {
            Self::Remote(remote) => {
                remote.post(&format!("collections/{name}/promote"), request).await
            }
            Self::Local(Local { app, .. }) => {
                let (pass, id) = (pass(name, Verb::Write)?, &request.version);
                Ok(versions::promote(app, &pass, id, request.missing()).await?.into())
            }
        }
    }

    /// Returns the datasets of a collection.
    pub(crate) async fn datasets(&self, name: &CollectionName) -> Result<wire::DatasetList> {
        match self {
            Self::Remote(remote) => remote.get(&format!("collections/{name}/datasets")).await,
            Self::Local(Local { app, .. }) => {
                let list = datasets::list(app, &pass(name, Verb::Read)?).await?;
                Ok(wire::DatasetList { datasets: list.into_iter().map(Into::into).collect() })
            }
        }
    }

    /// Keeps the dataset in a folder, which must be absolute: a server has another working directory.
    pub(crate) async fn add_dataset(
        &self,
        name: &CollectionName,
        request: &wire::DatasetRequest,
    ) -> Result<wire::DatasetAdded> {
        match self {
            Self::Remote(remote) => {
                remote.post(&format!("collections/{name}/datasets"), request).await
            }
            Self::Local(Local { app, .. }) => {
                let (pass, dir) = (pass(name, Verb::Write)?, PathBuf::from(&request.dir));
                let (chosen, absent) = (request.name.clone(), request.absent());
                Ok(datasets::add(app, &pass, &dir, chosen, absent).await?.into())
            }
        }
    }

    pub(crate) async fn remove_dataset(
        &self,
        name: &CollectionName,
        dataset: &DatasetName,
    ) -> Result<()> {
        match self {
            Self::Remote(remote) => {
                remote.delete(&format!("collections/{name}/datasets/{dataset}")).await
            }
            Self::Local(Local { app, .. }) => {
                datasets::remove(app, &pass(name, Verb::Write)?, dataset).await
            }
        }
    }

    /// Compares two versions on the collection's datasets; `show` is called with how far it is.
    pub(crate) async fn compare(
        &self,
        name: &CollectionName,
        request: &wire::CompareRequest,
        show: &(dyn Fn(wire::CompareStep) + Sync),
    ) -> Result<wire::Comparison> {
        match self {
            Self::Remote(remote) => {
                remote.events(&format!("collections/{name}/compare"), request, show).await
            }
            Self::Local(Local { app, .. }) => {
                let pass = pass(name, Verb::Write)?;
                let request = request.clone().into();
                let compared =
                    versions::compare(app, &pass, &request, &|step| show(step.into())).await?;
                wire::Comparison::new(name.clone(), &compared)
            }
        }
    }

    pub(crate) async fn roll_back(&self, name: &CollectionName) -> Result<wire::VersionInfo> {
        match self {
            Self::Remote(remote) => remote.post(&format!("collections/{name}/rollback"), &()).await,
            Self::Local(Local { app, .. }) => {
                Ok(versions::roll_back(app, &pass(name, Verb::Write)?).await?.into())
            }
        }
    }

    pub(crate) async fn delete_version(&self, name: &CollectionName, id: &str) -> Result<()> {
        match self {
            Self::Remote(remote) => {
                remote.delete(&format!("collections/{name}/versions/{id}")).await
            }
            Self::Local(Local { app, .. }) => {
                versions::delete(app, &pass(name, Verb::Write)?, id).await
            }
        }
    }

    /// Writes a collection to an open file, durably.
    pub(crate) async fn export(
        &self,
        name: &CollectionName,
        without_originals: bool,
        mut out: std::fs::File,
        show: &(dyn Fn(archive::Progress) + Sync),
    ) -> Result<()> {
        let out = match self {
            Self::Remote(remote) => {
                let path = format!("collections/{name}/export?originals={}", !without_originals);
                remote.download(&path, &mut out).await?;
                out
            }
            Self::Local(Local { app, .. }) => {
                let originals = match without_originals {
                    true => archive::Originals::Without,
                    false => archive::Originals::With,
                };
                let out = std::io::BufWriter::new(out);
                let out =
                    archive::export(app, &pass(name, Verb::Read)?, originals, out, show).await?;
                out.into_inner()
                    .map_err(|error| Error::io("write the export", error.into_error()))?
            }
        };
        out.sync_all().map_err(|error| Error::io("write the export", error))
    }

    /// Makes a collection of a file; an interrupt ends it, and nothing of it is seen.
    pub(crate) async fn import(
        &self,
        request: &wire::ImportRequest,
        show: &(dyn Fn(archive::Progress) + Sync),
    ) -> Result<wire::ImportReport> {
        match self {
            Self::Remote(remote) => remote.post("import", request).await,
            Self::Local(Local { app, .. }) => {
                let opened = archive::open(PathBuf::from(&request.file)).await?;
                let name = request.collection.as_ref().unwrap_or(&opened.manifest().collection);
                let pass = pass(name, Verb::Write)?;
                Ok(archive::import(app, &pass, opened, show).await?.into())
            }
        }
    }

    pub(crate) async fn jobs(&self, limit: usize) -> Result<wire::JobList> {
        match self {
            Self::Remote(remote) => remote.get(&format!("jobs?limit={limit}")).await,
            Self::Local(Local { app, .. }) => {
                let jobs = jobs::list(app, limit).await?.into_iter().map(Into::into).collect();
                Ok(wire::JobList { jobs })
            }
        }
    }

    pub(crate) async fn job(&self, id: JobId) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => remote.get(&format!("jobs/{id}")).await,
            Self::Local(Local { app, .. }) => Ok(jobs::get(app, id).await?.into()),
        }
    }

    /// Asks a job to end; returns it as it stands.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => remote.post(&format!("jobs/{id}/cancel"), &()).await,
            Self::Local(Local { app, .. }) => {
                jobs::cancel(app, id).await?;
                self.job(id).await
            }
        }
    }

    /// Asks a job to stop until it is resumed; returns it as it stands.
    pub(crate) async fn pause(&self, id: JobId) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => remote.post(&format!("jobs/{id}/pause"), &()).await,
            Self::Local(Local { app, .. }) => {
                jobs::pause(app, id).await?;
                self.job(id).await
            }
        }
    }

    /// Lets a job go on that has stopped, until it stops again; as [`Session::ingest`].
    pub(crate) async fn resume(&self, id: JobId, show: &dyn Fn(&wire::Job)) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => {
                let job = remote.post(&format!("jobs/{id}/resume"), &()).await?;
                remote.follow(job, show).await
            }
            Self::Local(Local { app, .. }) => {
                let pass = pass(&self.job(id).await?.collection, Verb::Write)?;
                let (id, watcher) = jobs::resume(app, &pass, id).await?;
                follow(app, id, watcher, show).await
            }
        }
    }

    /// Runs an ingest job until it stops; `show` is called with where it stands.
    ///
    /// An interrupt (Ctrl-C) ends the job; what it committed stays.
    pub(crate) async fn ingest(
        &self,
        collection: &CollectionName,
        request: &wire::JobRequest,
        show: &dyn Fn(&wire::Job),
    ) -> Result<wire::Job> {
        match self {
            Self::Remote(remote) => remote.ingest(collection, request, show).await,
            Self::Local(Local { app, .. }) => {
                let pass = pass(collection, Verb::Write)?;
                let (id, watcher) = jobs::start(app, &pass, &request.as_request()).await?;
                follow(app, id, watcher, show).await
            }
        }
    }

    /// Returns the process that does the work.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Local(_) => std::process::id(),
            Self::Remote(remote) => remote.pid(),
        }
    }
}

/// Follows a job of this process until it stops.
///
/// # Errors
/// Why the job stopped before it was done.
pub(crate) async fn follow(
    app: &App,
    id: JobId,
    mut watcher: watch::Receiver<jobs::Progress>,
    show: &dyn Fn(&wire::Job),
) -> Result<wire::Job> {
    let interrupts = Interrupts::listen();
    loop {
        let job: wire::Job = watcher.borrow_and_update().clone().into();
        show(&job);
        if !job.state.is_active() {
            return ended(job);
        }
        tokio::select! {
            changed = watcher.changed() => {
                changed.map_err(|_| Error::new(ErrorKind::Internal, "the job ended without a word"))?;
            }
            () = interrupts.next() => jobs::cancel(app, id).await?,
        }
        // Progress can change thousands of times a second.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns a job that is done, or why another one stopped.
pub(crate) fn ended(job: wire::Job) -> Result<wire::Job> {
    let (kind, hint) = match job.state {
        wire::JobState::Done => return Ok(job),
        wire::JobState::Cancelled => {
            (ErrorKind::Cancelled, "run the same command again to go on".to_owned())
        }
        wire::JobState::Paused => {
            (ErrorKind::Cancelled, format!("`vellum job resume {}` goes on", job.id))
        }
        _ => (ErrorKind::Unavailable, "run the same command again to go on".to_owned()),
    };
    let message = job.error.unwrap_or_else(|| format!("the job is {}", job.state.as_str()));
    Err(Error::new(kind, message).with_hint(format!("what was committed stays; {hint}")))
}

/// Rows that are asked for at a time.
const PAGE: usize = 500;

/// Returns a text so that it can stand in a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns the local user's right to a collection.
pub(crate) fn pass(name: &CollectionName, verb: Verb) -> Result<Pass> {
    Pass::grant(&local_user(), name, verb)
}
