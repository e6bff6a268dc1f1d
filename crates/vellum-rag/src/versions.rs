//! Index versions: built beside the live one, compared, promoted, rolled back, removed.
//!
//! ```text
//! begin -> job `index:VERSION`: what the live version knows -> read again -> convert -> split -> embed -> upsert
//!       -> ready -> promote -> live -> (another is promoted) -> retired -> roll back -> live
//! ```
//!
//! A version has a ledger, leases and a vector store of its own (its [`Space`](vellum_core::ids::Space)), so a build is an
//! ordinary job that can be stopped and killed, and nothing that it does is seen before its promotion. The ledger is kept
//! whole for each version, about 300 bytes a document, rather than shared: a version that was rolled back to then needs no
//! repair, because the next look at a source finds in its own ledger what it lacks.
//!
//! A search looks up the live version once and stays with it. What is promoted is checked in the transaction that promotes it.

use crate::app::{App, cut_for};
use crate::collections;
use crate::ingest::blocking;
use crate::jobs::{self, Exclusive, Progress, Request, Side};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::{
    Collection, IndexVersion, Lag, SplitMethod, SplitterSettings, Tuning, VersionState,
};
use vellum_core::ids::JobId;
use vellum_core::job::source_of_build;
use vellum_core::ports::Missing;
use vellum_core::{Error, ErrorKind, Result};

/// How long a promotion waits for a job that is about to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fewest digits by which a version can be named.
const LEAST_DIGITS: usize = 4;

/// Largest parent: eight of them still leave a language model room for its answer.
pub const MAX_PARENT_TOKENS: usize = 4_096;

/// What a new version differs in from the settings in force; what is `None` is taken from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Name of the splitter.
    pub splitter: Option<String>,
    /// Largest chunk in tokens.
    pub max_tokens: Option<usize>,
    /// Tokens repeated from the previous chunk.
    pub overlap_tokens: Option<usize>,
    /// Percentile of the `semantic` splitter, 1 to 99.
    pub semantic_percentile: Option<u8>,
    /// Whether title and headings are embedded and indexed with each chunk.
    pub context: Option<bool>,
    /// Largest parent in tokens; 0 for none.
    pub parent_tokens: Option<usize>,
    /// Language of lexical search: an ISO 639-1 code, or `auto`.
    pub language: Option<String>,
    /// How the version is searched once it is live; `None` leaves that as it is for a version that is there, and lets a new one
    /// take over what is set for the live one when it is promoted.
    pub retrieval: Option<Tuning>,
}

/// A version with what it holds.
#[derive(Debug, Clone)]
pub struct VersionSummary {
    /// The version.
    pub version: IndexVersion,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// How far it is from the live one.
    pub lag: Lag,
}

/// Returns the version whose id begins with `id`.
///
/// # Errors
/// `NotFound` when there is none; `Invalid` when there are several, or `id` has less than four digits.
pub async fn get(app: &App, pass: &Pass, id: &str) -> Result<IndexVersion> {
    collections::get(app, pass).await?;
    let name = pass.collection();
    if id.len() < LEAST_DIGITS {
        let message = format!("`{id}` is too short for the id of a version");
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint(format!("give its first {LEAST_DIGITS} digits or more")));
    }
    let mut found = app.metastore.versions(pass).await?;
    found.retain(|version| version.collection.version().starts_with(id));
    match (found.pop(), found.is_empty()) {
        (Some(version), true) => Ok(version),
        (Some(_), false) => {
            let message = format!("several versions of `{name}` begin with `{id}`");
            Err(Error::new(ErrorKind::Invalid, message).with_hint("give more digits"))
        }
        (None, _) => {
            Err(Error::new(ErrorKind::NotFound, format!("`{name}` has no version `{id}`"))
                .with_hint(format!("`vellum collection versions {name}` shows what there is")))
        }
    }
}

/// Returns the versions of a collection, oldest first.
///
/// # Errors
/// `NotFound` when there is no such collection.
pub async fn list(app: &App, pass: &Pass) -> Result<Vec<VersionSummary>> {
    collections::get(app, pass).await?;
    let mut summaries = Vec::new();
    for version in app.metastore.versions(pass).await? {
        summaries.push(summary(app, pass, version).await?);
    }
    Ok(summaries)
}

/// Returns what a version holds.
pub async fn summary(app: &App, pass: &Pass, version: IndexVersion) -> Result<VersionSummary> {
    let at = pass.at(&version.collection)?;
    let held = collections::summary_in(app, &at, version.collection.clone()).await?;
    let lag = app.metastore.lag(&at).await?;
    Ok(VersionSummary { version, documents: held.documents, chunks: held.chunks, lag })
}

/// Makes a version with changed settings beside the live one, and starts the job that builds it; goes on with it when
/// there is such a version. Returns the job's id and progress.
///
/// # Errors
/// `NotFound` when there is no such collection; `Invalid` for settings that make no chunks; `Conflict` when the live version
/// has these settings; what [`jobs::start`] fails with.
pub async fn build(
    app: &Arc<App>,
    pass: &Pass,
    change: &Change,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    let live = collections::get(app, pass).await?;
    if let Some(retrieval) = &change.retrieval {
        retrieval.check()?;
    }
    let made = changed(app, pass, &live, change)?;
    let id = made.version();
    let known = app.metastore.versions(pass).await?;
    match known.iter().find(|version| version.collection.version() == id) {
        Some(version) if version.is_live => {
            let message = format!("the live version of `{}` has these settings", live.name);
            return Err(Error::new(ErrorKind::Conflict, message).with_hint(
                "change what it is made by: `--splitter`, `--max-tokens`, `--overlap-tokens`, `--semantic-percentile`, `--context`, \
                 `--parent-tokens`, `--language`, or `vellum.toml`",
            ));
        }
        Some(_) => {}
        None => match app.metastore.create_version(pass, &made).await {
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            created => created?,
        },
    }
    if let Some(retrieval) = &change.retrieval {
        app.metastore.set_tuning(&pass.at(&made)?, retrieval).await?;
    }
    launch(app, pass, &id).await
}

/// Starts building the version `id`, or, without one, that which `change` makes.
///
/// # Errors
/// What [`build`] and [`build_again`] fail with; `Invalid` when both are asked for.
pub async fn start(
    app: &Arc<App>,
    pass: &Pass,
    id: Option<&str>,
    change: &Change,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    match id {
        None => build(app, pass, change).await,
        Some(id) if *change == Change::default() => build_again(app, pass, id).await,
        Some(_) => {
            let message = "a version that is there cannot be changed";
            Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("leave its id out to build another one with these settings"))
        }
    }
}

/// Starts the job that builds a version again, or catches up with the live one.
///
/// # Errors
/// What [`get`] fails with; `Conflict` when the version is live; what [`jobs::start`] fails with.
pub async fn build_again(
    app: &Arc<App>,
    pass: &Pass,
    id: &str,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    pass.must_write()?;
    let version = get(app, pass, id).await?;
    if version.is_live {
        let message = format!("version `{}` is live", version.collection.version());
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("ingest its sources to bring it up to date"));
    }
    launch(app, pass, &version.collection.version()).await
}

async fn launch(
    app: &Arc<App>,
    pass: &Pass,
    id: &str,
) -> Result<(JobId, watch::Receiver<Progress>)> {
    let source = source_of_build(id);
    // What the live version no longer has is no mishap.
    let request = Request { prune: true, ..Request::of(&source) };
    jobs::start_resolved(app, pass, &request).await
}

/// Returns the collection as the changed version will show it.
fn changed(app: &App, pass: &Pass, live: &Collection, change: &Change) -> Result<Collection> {
    let mut settings = app.index_settings();
    let now = &settings.splitter;
    let splitter = SplitterSettings {
        method: method(app, now.method, change)?,
        max_tokens: change.max_tokens.unwrap_or(now.max_tokens),
        overlap_tokens: change.overlap_tokens.unwrap_or(now.overlap_tokens),
        parent_tokens: change.parent_tokens.unwrap_or(now.parent_tokens),
        context: change.context.unwrap_or(now.context),
    };
    settings.splitter = cut_for(app.embedder.info(), splitter);
    must_be_possible(&settings.splitter)?;
    let language = match change.language.as_deref() {
        Some("auto") => None,
        Some(language) => Some(language.to_owned()),
        None => app.settings.language.clone().or_else(|| live.language.clone()),
    };
    Ok(collections::seen_through(app, pass, settings, language))
}

fn method(app: &App, now: SplitMethod, change: &Change) -> Result<SplitMethod> {
    let percentile = change.semantic_percentile;
    if percentile.is_some_and(|percentile| !(1..=99).contains(&percentile)) {
        return Err(Error::new(ErrorKind::Invalid, "`semantic_percentile` is not in 1 to 99"));
    }
    let name = change.splitter.as_deref().unwrap_or(now.name());
    let or = percentile.unwrap_or(app.settings.semantic_percentile);
    let method = SplitMethod::from_name(name, or).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("there is no splitter `{name}`"))
            .with_hint(format!("there are {}", SplitMethod::NAMES.join(", ")))
    })?;
    match method {
        SplitMethod::Semantic { .. } => Ok(method),
        _ if percentile.is_none() => Ok(method),
        _ => Err(Error::new(ErrorKind::Invalid, format!("splitter `{name}` has no percentile"))
            .with_hint("`semantic` has one")),
    }
}

fn must_be_possible(splitter: &SplitterSettings) -> Result<()> {
    let SplitterSettings { max_tokens, overlap_tokens, parent_tokens: parent, .. } = *splitter;
    if max_tokens < 8 || overlap_tokens >= max_tokens {
        let message =
            format!("chunks of {max_tokens} tokens with {overlap_tokens} repeated cannot be made");
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("a chunk has 8 tokens or more, and repeats less than it has"));
    }
    if parent != 0 && !(max_tokens..=MAX_PARENT_TOKENS).contains(&parent) {
        let message = format!("chunks of {max_tokens} tokens cannot be in parents of {parent}");
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(format!(
            "a parent has as many tokens as a chunk or more, up to {MAX_PARENT_TOKENS}; 0 is for none"
        )));
    }
    Ok(())
}

/// Makes a version the live one; returns it as it stands then.
///
/// Durable on return. Searches that have begun end in the version that was live.
///
/// # Errors
/// What [`get`] fails with; `Conflict` when the version is not fully built, when a job keeps writing to it or to the live
/// one, when it is behind, or when documents are missing and that is not accepted.
pub async fn promote(app: &App, pass: &Pass, id: &str, missing: Missing) -> Result<VersionSummary> {
    pass.must_write()?;
    let version = get(app, pass, id).await?;
    let at = pass.at(&version.collection)?;
    app.embedder_of(&version.collection)?;
    let _turns = at_rest(app, pass, &at).await?;
    app.metastore.promote(&at, app.clock.unix_ms(), missing).await?;
    retire(app, pass).await?;
    summary(app, pass, get(app, pass, &version.collection.version()).await?).await
}

/// Makes the version live that was so before the live one; returns it as it stands then.
///
/// What came since is not in it: its lag tells, and the next job of each source brings it.
///
/// # Errors
/// `NotFound` when no version was live before; `Conflict` when a job keeps writing to it or to the live one, or when it was
/// being built again.
pub async fn roll_back(app: &App, pass: &Pass) -> Result<VersionSummary> {
    pass.must_write()?;
    let name = pass.collection();
    collections::get(app, pass).await?;
    let versions = app.metastore.versions(pass).await?;
    let now = versions.iter().find(|version| version.is_live).and_then(|version| version.live_ms);
    let before =
        versions.into_iter().filter(|version| version.live_ms.is_some_and(|then| Some(then) < now));
    let Some(target) = before.max_by_key(|version| version.live_ms) else {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("`{name}` had no live version before"),
        )
        .with_hint(format!("`vellum collection versions {name}` shows what there is")));
    };
    let at = pass.at(&target.collection)?;
    app.embedder_of(&target.collection)?;
    let _turns = at_rest(app, pass, &at).await?;
    // What it lacks of the version that is left, as long as that one is live.
    let lag = app.metastore.lag(&at).await?;
    app.metastore.roll_back(&at).await?;
    let rolled = get(app, pass, &target.collection.version()).await?;
    Ok(VersionSummary { lag, ..summary(app, pass, rolled).await? })
}

/// Waits for jobs that write to the live version or to the one at `at`, and ends the leases that earlier lives of this worker
/// left on them, which would otherwise be taken for jobs at work for a minute.
///
/// What a long job keeps is the metastore's to refuse: it sees the leases of other workers too.
async fn at_rest(app: &App, pass: &Pass, at: &VersionPass) -> Result<[Option<Exclusive>; 2]> {
    let name = pass.collection();
    let live = app.jobs.wait_for(name, Side::Live, PATIENCE).await;
    if live.is_some() {
        let (_, live) = collections::live(app, pass).await?;
        end_own_leases(app, &live).await?;
    }
    let build = app.jobs.wait_for(name, Side::Build, Duration::ZERO).await;
    if build.is_some() {
        end_own_leases(app, at).await?;
    }
    Ok([live, build])
}

/// Ends the leases that this worker has on a version. The caller has the turn of its jobs, so they are of dead ones.
async fn end_own_leases(app: &App, at: &VersionPass) -> Result<()> {
    let nobody = JobId::from_bytes([0; 16]);
    let lease = app.metastore.open_lease(at, &app.worker, nobody, Duration::ZERO).await?;
    app.metastore.close_lease(&lease).await
}

/// Removes a version with everything in it.
///
/// # Errors
/// What [`get`] fails with; `Conflict` when it is live, or a job writes to it.
pub async fn delete(app: &App, pass: &Pass, id: &str) -> Result<()> {
    pass.must_write()?;
    let version = get(app, pass, id).await?;
    if version.is_live {
        let message = format!("version `{}` is live", version.collection.version());
        return Err(Error::new(ErrorKind::Conflict, message).with_hint("promote another one first"));
    }
    let turn = app.jobs.wait_for(pass.collection(), Side::Build, Duration::ZERO).await;
    if turn.is_some() {
        end_own_leases(app, &pass.at(&version.collection)?).await?;
    }
    remove(app, pass, &version).await
}

/// The ledger goes first: without it no build can take chunks for indexed that are about to go. Chunks that an interruption
/// leaves are removed before the next version is written in their place.
async fn remove(app: &App, pass: &Pass, version: &IndexVersion) -> Result<()> {
    let at = pass.at(&version.collection)?;
    if app.metastore.live_leases(&at).await? > 0 {
        let message = format!("a job writes to version `{}`", version.collection.version());
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("cancel it; `vellum job list` shows it"));
    }
    app.metastore.delete_version(&at).await?;
    app.vectors.drop_collection(&at).await
}

/// Removes the oldest retired versions beyond those that are kept.
async fn retire(app: &App, pass: &Pass) -> Result<()> {
    let mut retired = app.metastore.versions(pass).await?;
    retired.retain(|version| version.state() == VersionState::Retired);
    retired.sort_by_key(|version| std::cmp::Reverse(version.live_ms));
    for version in retired.iter().skip(app.settings.keep_versions) {
        if let Err(error) = remove(app, pass, version).await {
            // It is tried again at the next promotion; this one has been made.
            tracing::warn!(error = error.full_message(), "a retired version was not removed");
        }
    }
    Ok(())
}

/// Removes versions under a name that has no collection: what an interrupted import left.
pub(crate) async fn clear_unpublished(app: &App, pass: &Pass) -> Result<()> {
    for version in app.metastore.versions(pass).await? {
        let at = pass.at(&version.collection)?;
        app.vectors.drop_collection(&at).await?;
        let (kept, name) = (app.kept.clone(), pass.collection().clone());
        blocking(move || kept.forget(&name)).await??;
        app.metastore.delete_version(&at).await?;
    }
    Ok(())
}
