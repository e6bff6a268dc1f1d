//! `vellum tune --save COLLECTION`: the winner of a study becomes an index version, or how the live one is searched.
//!
//! ```text
//! before the study   is there such a collection, made with the study's embedder
//! after it           confirmed -> cut otherwise than the live version: build one beside it, searched as the winner is
//!                                 cut the same: set how the live version is searched
//! ```
//!
//! The journal keeps the winner, and a build goes on where it was stopped, so the same command after a kill does the rest.
//! The data directory is held only before and after: a study takes long.

use super::report::{self, fragment};
use super::{journal, workshop};
use crate::args;
use crate::commands::collection::typed;
use crate::commands::version;
use crate::local::local;
use crate::print::{self, Outcome};
use crate::session;
use serde_json::{Value, json};
use std::path::Path;
use vellum_core::collection::SplitMethod;
use vellum_core::ids::CollectionName;
use vellum_core::ports::Embedder;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire;
use vellum_rag::app::cut_for;
use vellum_rag::eval::stats::Paired;
use vellum_rag::tune::parameters::Assignment;
use vellum_rag::tune::record::{Identity, Study};
use vellum_server::compose;
use vellum_server::config::{Config, Resolved};

/// Fewest digits by which a study can be named.
const LEAST_DIGITS: usize = 4;

/// Fails when no winner could be saved to the collection.
///
/// # Errors
/// `NotFound` when there is no such collection; `Conflict` when another embedder made it.
pub(super) async fn check(
    config: &Config,
    name: &CollectionName,
    embedder: &dyn Embedder,
) -> Result<()> {
    let shown = session::open(config).await?.show(name).await?;
    must_be_of(&shown, &embedder.info().name)
}

fn must_be_of(shown: &wire::CollectionShow, studied: &str) -> Result<()> {
    if shown.embedder == studied {
        return Ok(());
    }
    let name = &shown.name;
    let message = format!(
        "collection `{name}` was made with embedder `{}`, and a study measures with `{studied}`",
        shown.embedder
    );
    Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
        "`vellum collection build {name}` makes a version with `{studied}`; save to it once it is live"
    )))
}

/// Saves the winner of a study that is over, by its id, without running anything of it.
pub(super) async fn of_study(
    settings: &Resolved,
    args: &args::Tune,
    name: &CollectionName,
    id: &str,
) -> Result<Outcome> {
    let config = &settings.config;
    let embedder = (local().embedder)(config).await?;
    let home = session::data_path(config)?.join("tune");
    let dir = home.join(find(&home, id)?);
    let (_locked, records) = journal::Journal::open(&dir)?;
    let study = Study::replay(&records)?;
    let Some(identity) = study.identity.clone() else { return Err(not_over(id)) };
    must_be_in_force(&identity, config, embedder.as_ref(), args.force)?;
    if study.confirmed.is_none() {
        return Err(not_over(id));
    }
    let sentence = report::sentence(&study, &identity.metric);
    if !args.json.json {
        print::line(&sentence)?;
    }
    let saved = save(settings, args, name, &study, embedder.as_ref()).await?;
    let outcome = saved.outcome();
    if args.json.json {
        let study = json!({ "study": identity.id(), "metric": identity.metric });
        print::json(&with(study, &saved))?;
    } else {
        saved.tell()?;
    }
    Ok(outcome)
}

/// Returns the folder of the only study whose id begins with `id`.
fn find(home: &Path, id: &str) -> Result<String> {
    let is_id = |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter(|name| id.len() >= LEAST_DIGITS && is_id(name) && name.starts_with(id))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(name), true) => Ok(name),
        (Some(_), false) => {
            Err(Error::new(ErrorKind::Invalid, format!("several studies begin with `{id}`"))
                .with_hint("give more digits"))
        }
        (None, _) => Err(Error::new(ErrorKind::NotFound, format!("there is no study `{id}`"))
            .with_hint("`vellum tune` prints the id of a study with its result")),
    }
}

fn not_over(id: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("study `{id}` has no winner yet"))
        .with_hint("run its command again to go on with it, with `--save` to save what comes of it")
}

/// Fails where the settings, the model or the program are others than the study took as given: its winner is a change of those.
fn must_be_in_force(
    identity: &Identity,
    config: &Config,
    embedder: &dyn Embedder,
    force: bool,
) -> Result<()> {
    if force || identity.base == workshop::base_digest(config, embedder) {
        return Ok(());
    }
    let message = "the settings in force, the model or the program changed since the study";
    Err(Error::new(ErrorKind::Conflict, message).with_hint(
        "run the study again, or add `--force`: what the study did not search is then as it is now",
    ))
}

/// What became of a winner.
pub(super) enum Saved {
    /// It is a version that can be promoted, or lacks documents.
    Built {
        name: CollectionName,
        built: wire::BuildReport,
        retrieval: wire::Tuning,
        rest: Assignment,
    },
    /// The live version is searched as it is.
    Set {
        shown: wire::CollectionShow,
        retrieval: wire::Tuning,
        reset: Vec<String>,
        rest: Assignment,
    },
    /// It is not better than the settings in force, as far as can be told.
    Refused,
}

/// Saves the winner of a study that is over.
///
/// # Errors
/// As [`check`]; what building a version fails with. Safe to repeat.
pub(super) async fn save(
    settings: &Resolved,
    args: &args::Tune,
    name: &CollectionName,
    study: &Study,
    embedder: &dyn Embedder,
) -> Result<Saved> {
    let Some((best, paired)) = &study.confirmed else { return Ok(Saved::Refused) };
    if !args.force && (*best == 0 || !Paired::is_better(paired)) {
        return Ok(Saved::Refused);
    }
    let winner = study.trials.get(*best).map(|trial| trial.settings.clone()).unwrap_or_default();
    let (retrieval, rest) = (retrieval(&winner)?, part(&winner, |path| path.starts_with("index.")));
    let config = workshop::config(settings, &winner)?;
    let cut = cut_for(embedder.info(), compose::settings(&config).splitter);
    let session = session::open(&settings.config).await?;
    let shown = session.show(name).await?;
    must_be_of(&shown, &embedder.info().name)?;
    if shown.splitter == wire::Splitter::from(&cut) {
        // What was measured is the winner over the settings: nothing else that the collection sets was in force.
        let reset = others(&shown.retrieval, &retrieval);
        let change = wire::CollectionChange { retrieval: retrieval.clone(), reset: reset.clone() };
        let shown = session.change(name, change).await?;
        return Ok(Saved::Set { shown, retrieval, reset, rest });
    }
    let request = wire::BuildRequest {
        splitter: Some(cut.method.name().to_owned()),
        max_tokens: Some(cut.max_tokens),
        overlap_tokens: Some(cut.overlap_tokens),
        semantic_percentile: match cut.method {
            SplitMethod::Semantic { percentile } => Some(percentile),
            _ => None,
        },
        context: Some(cut.context),
        parent_tokens: Some(cut.parent_tokens),
        retrieval: Some(retrieval.clone()),
        ..wire::BuildRequest::default()
    };
    let built = version::run(&session, name, &request, args.json.json).await?;
    Ok(Saved::Built { name: name.clone(), built, retrieval, rest })
}

/// Returns the settings of a winner that say how is searched.
fn retrieval(winner: &Assignment) -> Result<wire::Tuning> {
    let mut values = serde_json::Map::new();
    for (path, value) in winner {
        let name = match path.as_str() {
            "reranker.depth" => Some("rerank_depth"),
            path => path.strip_prefix("retrieval."),
        };
        if let Some(name) = name {
            values.insert(name.to_owned(), json!(value));
        }
    }
    serde_json::from_value(values.into()).map_err(|error| {
        Error::new(ErrorKind::Internal, "a winner sets what a collection cannot").with_source(error)
    })
}

fn part(winner: &Assignment, belongs: impl Fn(&str) -> bool) -> Assignment {
    let part = winner.iter().filter(|(path, _)| belongs(path));
    part.map(|(path, value)| (path.clone(), value.clone())).collect()
}

/// Returns the names of what `set` has and `kept` has not.
fn others(set: &wire::Tuning, kept: &wire::Tuning) -> Vec<String> {
    let names = |tuning: &wire::Tuning| -> Vec<String> {
        let values = serde_json::to_value(tuning).unwrap_or_default();
        values.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let kept = names(kept);
    names(set).into_iter().filter(|name| !kept.contains(name)).collect()
}

/// Returns a document of a study with what became of its winner.
pub(super) fn with(mut document: Value, saved: &Saved) -> Value {
    document["saved"] = saved.to_json();
    document
}

impl Saved {
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of(match self {
            Self::Built { built, .. } => version::is_whole(&built.version),
            Self::Set { .. } => true,
            Self::Refused => false,
        })
    }

    /// Prints what became of the winner and what comes next, for people.
    pub(super) fn tell(&self) -> Result<()> {
        match self {
            Self::Refused => {
                print::warn("the winner is not known to be better, so it was not saved");
                print::note("hint: `--force` saves it all the same");
            }
            Self::Built { retrieval, .. } => {
                print::line(format_args!(
                    "saved; once it is live it is searched with: {}",
                    typed(retrieval)
                ))?;
                print::line("\n# what comes next")?;
                self.next().iter().try_for_each(print::line)?;
            }
            Self::Set { shown, retrieval, reset, .. } => {
                print::line(format_args!(
                    "saved; the live version of {} is cut so already, and is searched from now on with: {}",
                    shown.name,
                    typed(retrieval)
                ))?;
                if !reset.is_empty() {
                    print::line(format_args!("again as the settings say: {}", reset.join(", ")))?;
                }
            }
        }
        match self {
            Self::Built { rest, .. } | Self::Set { rest, .. } if !rest.is_empty() => {
                print::line(format_args!(
                    "\n# of the whole installation, for vellum.toml\n{}",
                    fragment(rest).trim_end()
                ))
            }
            _ => Ok(()),
        }
    }

    /// Returns the commands that come next.
    fn next(&self) -> Vec<String> {
        let Self::Built { name, built, .. } = self else { return Vec::new() };
        let id = &built.version.version;
        let promote = format!("vellum collection promote {name} {id}");
        if version::is_whole(&built.version) {
            return vec![promote, format!("vellum collection rollback {name}    # the way back")];
        }
        vec![format!("vellum collection build {name} --version {id}"), promote]
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Refused => Value::Null,
            Self::Built { name, built, retrieval, rest } => json!({
                "collection": name,
                "version": built.version,
                "retrieval": retrieval,
                "reset": [],
                "toml": fragment(rest),
                "next": self.next(),
            }),
            Self::Set { shown, retrieval, reset, rest } => json!({
                "collection": shown.name,
                "version": null,
                "retrieval": retrieval,
                "reset": reset,
                "toml": fragment(rest),
                "next": [],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_rag::tune::parameters::{Kind, PARAMETERS, Value as Setting};

    #[test]
    fn every_parameter_has_its_place() {
        for parameter in PARAMETERS {
            let value = match parameter.kind {
                Kind::Whole(min, _) => Setting::Whole(min),
                Kind::Number(min, _) => Setting::Number(min),
                Kind::Word(words) => Setting::Word(words[0].to_owned()),
                Kind::Flag => Setting::Flag(true),
            };
            let winner = Assignment::from([(parameter.path.to_owned(), value)]);
            let set = retrieval(&winner).unwrap();
            let is_retrieval = set != wire::Tuning::default();
            let is_cut = parameter.path.starts_with("collection.");
            let is_rest = !part(&winner, |path| path.starts_with("index.")).is_empty();
            let places = [is_retrieval, is_cut, is_rest].into_iter().filter(|is| *is).count();
            assert_eq!(places, 1, "{}", parameter.path);
        }
    }

    #[test]
    fn a_collection_of_another_embedder_is_refused() {
        let shown: wire::CollectionShow = serde_json::from_value(json!({
            "name": "c", "documents": 1, "chunks": 1, "digest": "", "index_version": "",
            "embedder": "first", "language": null, "created_ms": 1,
            "splitter": {
                "name": "sentence", "max_tokens": 9, "overlap_tokens": 0, "context": false, "parent_tokens": 0
            },
        }))
        .unwrap();
        assert!(must_be_of(&shown, "first").is_ok());
        let error = must_be_of(&shown, "second").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.hint().unwrap().contains("`vellum collection build c`"), "{error:?}");
    }

    #[test]
    fn what_was_set_beside_the_winner_is_named() {
        let set = wire::Tuning { leg_limit: Some(9), mmr: Some(true), ..wire::Tuning::default() };
        let kept = wire::Tuning { leg_limit: Some(5), ..wire::Tuning::default() };
        assert_eq!(others(&set, &kept), ["mmr"]);
    }
}
