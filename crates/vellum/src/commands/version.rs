//! `vellum collection versions|build|promote|rollback`, and `delete --version`; [`super::compare`] compares them.

use crate::args::{Build, JsonArg};
use crate::commands::ingest;
use crate::print::{self, Outcome};
use crate::session::Session;
use comfy_table::{Table, presets};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{
    BuildReport, BuildRequest, PromoteReport, PromoteRequest, VersionInfo, VersionScore,
    VersionState,
};

pub(crate) async fn list(
    session: &Session,
    name: &CollectionName,
    json: JsonArg,
) -> Result<Outcome> {
    let list = session.versions(name).await?;
    if json.json {
        print::json(&list)?;
        return Ok(Outcome::Yes);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "VERSION",
        "STATE",
        "DOCUMENTS",
        "CHUNKS",
        "BEHIND",
        "MISSING",
        "SPLITTER",
        "TOKENS",
        "OVERLAP",
        "LANGUAGE",
        "EMBEDDER",
        "SCORES",
    ]);
    for it in list.versions {
        table.add_row([
            it.version,
            it.state.as_str().to_owned(),
            it.documents.to_string(),
            it.chunks.to_string(),
            it.behind.to_string(),
            it.missing.to_string(),
            it.splitter.name,
            it.splitter.max_tokens.to_string(),
            it.splitter.overlap_tokens.to_string(),
            it.language.unwrap_or_default(),
            it.embedder,
            scores(&it.scores),
        ]);
    }
    print::line(table.trim_fmt())?;
    Ok(Outcome::Yes)
}

/// Tells what a version was worth on each dataset.
fn scores(scores: &[VersionScore]) -> String {
    let score = |it: &VersionScore| format!("{} {:.4}", it.dataset, it.mean);
    scores.iter().map(score).collect::<Vec<_>>().join(", ")
}

/// Builds a version with a progress bar.
pub(crate) async fn build(session: &Session, args: Build) -> Result<Outcome> {
    let request = BuildRequest {
        version: args.version,
        splitter: args.split.splitter,
        max_tokens: number("max-tokens", args.split.max_tokens)?,
        overlap_tokens: number("overlap-tokens", args.split.overlap_tokens)?,
        semantic_percentile: args.semantic_percentile,
        context: args.context,
        parent_tokens: args.parent_tokens,
        language: args.language,
        retrieval: None,
    };
    let (name, json) = (&args.name, args.json.json);
    let built = run(session, name, &request, json).await?;
    let outcome = Outcome::of(is_whole(&built.version));
    if json {
        print::json(&built)?;
        return Ok(outcome);
    }
    let id = &built.version.version;
    print::note(format_args!("`vellum collection promote {name} {id}` makes it live"));
    Ok(outcome)
}

/// Builds a version with a progress bar and tells what became of the documents; as a person reads it unless `quiet`.
pub(crate) async fn run(
    session: &Session,
    name: &CollectionName,
    request: &BuildRequest,
    quiet: bool,
) -> Result<BuildReport> {
    let source = std::cell::RefCell::new(String::new());
    let report = ingest::with_bar(session, async |show| {
        let job = session.build(name, request, show).await?;
        source.replace(job.source.clone());
        Ok(job)
    })
    .await?;
    let id = source.borrow().trim_start_matches("index:").to_owned();
    let built = session.version(name, &id).await?;
    ingest::tell(&report, &format!("the live version of {name}"), quiet)?;
    if !quiet {
        print::line(format_args!(
            "version {} is {}: {} documents, {} chunks",
            built.version,
            built.state.as_str(),
            built.documents,
            built.chunks
        ))?;
        tell_lag(&built);
    }
    Ok(BuildReport { version: built, report })
}

/// Whether a version can be promoted, and holds what the live one does.
pub(crate) fn is_whole(built: &VersionInfo) -> bool {
    built.state != VersionState::Building && built.behind + built.missing == 0
}

/// Returns the number that a flag is given.
fn number(flag: &str, value: Option<String>) -> Result<Option<usize>> {
    let Some(value) = value else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("`--{flag}` is `{value}`, not a number"))
            .with_hint(format!("for instance `--{flag} 64`"))
    })
}

pub(crate) async fn promote(
    session: &Session,
    name: &CollectionName,
    request: &PromoteRequest,
    json: JsonArg,
) -> Result<Outcome> {
    let live = session.promote(name, request).await?;
    live.warnings.iter().for_each(print::warn);
    if json.json {
        print::json(&live)?;
        return Ok(Outcome::Yes);
    }
    let PromoteReport { version, .. } = live;
    now_live(name, &version, json)
}

pub(crate) async fn roll_back(
    session: &Session,
    name: &CollectionName,
    json: JsonArg,
) -> Result<Outcome> {
    let live = session.roll_back(name).await?;
    tell_lag(&live);
    now_live(name, &live, json)
}

fn now_live(name: &CollectionName, live: &VersionInfo, json: JsonArg) -> Result<Outcome> {
    if json.json {
        print::json(live)?;
    } else {
        print::line(format_args!(
            "version {} of {name} is live: {} documents, {} chunks",
            live.version, live.documents, live.chunks
        ))?;
    }
    Ok(Outcome::Yes)
}

/// Warns of what a version lacks.
fn tell_lag(version: &VersionInfo) {
    if version.behind > 0 {
        print::warn(format_args!(
            "it is {} documents behind; the next ingest of their sources, or building it again, brings them",
            version.behind
        ));
    }
    if version.missing > 0 {
        print::warn(format_args!("it lacks {} documents that could not be read", version.missing));
    }
}
