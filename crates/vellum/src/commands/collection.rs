//! `vellum collection list|show|set|create|delete`; versions are in [`super::version`] and [`super::compare`], datasets in
//! [`super::dataset`].

use crate::args::Collection;
use crate::commands::{archive, compare, dataset, ingest, version};
use crate::print::{self, Outcome};
use crate::session::{self, Session};
use comfy_table::{Table, presets};
use std::io::{BufRead, IsTerminal, Write};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{self, PromoteRequest, Splitter};
use vellum_server::config::Config;

pub(crate) async fn collection(config: &Config, args: Collection) -> Result<Outcome> {
    let session = session::open(config).await?;
    match args {
        Collection::List { json } => list(&session, json.json).await,
        Collection::Show { name, json } => tell(&session.show(&name).await?, json.json),
        Collection::Set { name, values, json } => {
            tell(&session.change(&name, change(&values)?).await?, json.json)
        }
        Collection::Create { name, split, json } => {
            ingest::must_be_cut_so(&session, &name, config, &split).await?;
            create(&session, &name, json.json).await
        }
        Collection::Versions { name, json } => version::list(&session, &name, json).await,
        Collection::Export(args) => archive::export(&session, args).await,
        Collection::Import(args) => archive::import(&session, args).await,
        Collection::Build(args) => version::build(&session, args).await,
        Collection::Promote { name, version, accept_missing, json } => {
            let request = PromoteRequest { version, accept_missing };
            version::promote(&session, &name, &request, json).await
        }
        Collection::Compare(args) => compare::compare(config, &session, args).await,
        Collection::Dataset(action) => dataset::dataset(&session, action).await,
        Collection::Rollback { name, json } => version::roll_back(&session, &name, json).await,
        Collection::Delete { name, version: Some(version), .. } => {
            session.delete_version(&name, &version).await?;
            print::note(format_args!("deleted version `{version}` of `{name}`"));
            Ok(Outcome::Yes)
        }
        Collection::Delete { name, version: None, yes } => {
            if !yes {
                confirm(&session, &name).await?;
            }
            session.delete(&name).await?;
            print::note(format_args!("deleted collection `{name}`"));
            Ok(Outcome::Yes)
        }
    }
}

async fn create(session: &Session, name: &CollectionName, json: bool) -> Result<Outcome> {
    let made = session.create(name).await?;
    if json {
        print::json(&made)?;
    } else {
        print::note(format_args!(
            "made collection `{name}`; `vellum ingest SOURCE -c {name}` fills it"
        ));
    }
    Ok(Outcome::Yes)
}

async fn list(session: &Session, json: bool) -> Result<Outcome> {
    let list = session.collections().await?;
    if json {
        print::json(&list)?;
        return Ok(Outcome::Yes);
    }
    if list.collections.is_empty() {
        print::note("no collections; `vellum ingest PATH` makes one");
        return Ok(Outcome::Yes);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAME", "DOCUMENTS", "CHUNKS", "EMBEDDER"]);
    for it in list.collections {
        table.add_row([
            it.name.to_string(),
            it.documents.to_string(),
            it.chunks.to_string(),
            it.embedder,
        ]);
    }
    print::line(table.trim_fmt())?;
    Ok(Outcome::Yes)
}

/// Returns the change that `NAME=VALUE`s ask for.
fn change(values: &[String]) -> Result<wire::CollectionChange> {
    let mut change = wire::CollectionChange::default();
    let mut set = serde_json::Map::new();
    for pair in values {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Error::new(ErrorKind::Invalid, format!("`{pair}` is not NAME=VALUE"))
                .with_hint("write it like `dense_weight=0.6`, or `dense_weight=` to undo that"));
        };
        match value {
            "" => change.reset.push(name.to_owned()),
            value => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                set.insert(name.to_owned(), value);
            }
        }
    }
    change.retrieval = serde_json::from_value(set.into())
        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
    Ok(change)
}

/// Returns the values that a collection sets, as they are typed.
pub(super) fn typed(retrieval: &wire::Tuning) -> String {
    let values = serde_json::to_value(retrieval).unwrap_or_default();
    let pairs = values.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| {
        format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned))
    });
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { "as the settings say".to_owned() } else { pairs.join(" ") }
}

fn tell(shown: &wire::CollectionShow, json: bool) -> Result<Outcome> {
    if json {
        print::json(shown)?;
        return Ok(Outcome::Yes);
    }
    for (key, value) in [
        ("name", shown.name.to_string()),
        ("documents", shown.documents.to_string()),
        ("chunks", shown.chunks.to_string()),
        ("digest", shown.digest.clone()),
        ("index version", shown.index_version.clone()),
        ("embedder", shown.embedder.clone()),
        ("splitter", splitter(&shown.splitter)),
        ("languages", languages(shown)),
        ("retrieval", typed(&shown.retrieval)),
    ] {
        print::line(format_args!("{key:<14} {value}"))?;
    }
    Ok(Outcome::Yes)
}

/// Tells how documents are cut, in a line.
fn splitter(cut: &Splitter) -> String {
    let mut line = format!("{}, {} tokens at most", cut.name, cut.max_tokens);
    if let Some(percentile) = cut.semantic_percentile {
        line += &format!(", breaks above percentile {percentile}");
    }
    if cut.overlap_tokens > 0 {
        line += &format!(", overlap of {}", cut.overlap_tokens);
    }
    if cut.context {
        line += ", with title and headings";
    }
    if cut.parent_tokens > 0 {
        line += &format!(", in parents of {}", cut.parent_tokens);
    }
    line
}

/// Returns the main language and the others.
fn languages(shown: &wire::CollectionShow) -> String {
    let main = shown.language.as_deref().unwrap_or("not known yet");
    let others = shown.other_languages.iter().map(String::as_str);
    std::iter::once(main).chain(others).collect::<Vec<_>>().join(", ")
}

/// Asks the person at the terminal; without one, `--yes` is needed.
async fn confirm(session: &Session, name: &CollectionName) -> Result<()> {
    let shown = session.show(name).await?;
    let needs_yes = || {
        Error::new(ErrorKind::Invalid, format!("collection `{name}` was not deleted"))
            .with_hint("add --yes to delete it without being asked")
    };
    if !std::io::stdin().is_terminal() {
        return Err(needs_yes());
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "delete collection `{name}` with {} documents? [y/N] ", shown.documents);
    let _ = err.flush();
    let mut reply = String::new();
    let read = std::io::stdin().lock().read_line(&mut reply);
    match read {
        Ok(_) if matches!(reply.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(needs_yes()),
    }
}
