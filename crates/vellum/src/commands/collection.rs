//! `vellum collection list|show|create|delete`; versions are in [`super::version`].

use crate::args::Collection;
use crate::commands::{archive, version};
use crate::print::{self, Outcome};
use crate::session::{self, Session};
use comfy_table::{Table, presets};
use std::io::{BufRead, IsTerminal, Write};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::PromoteRequest;
use vellum_server::config::Config;

pub(crate) async fn collection(config: &Config, args: Collection) -> Result<Outcome> {
    let session = session::open(config).await?;
    match args {
        Collection::List { json } => list(&session, json.json).await,
        Collection::Show { name, json } => show(&session, &name, json.json).await,
        Collection::Create { name, json } => create(&session, &name, json.json).await,
        Collection::Versions { name, json } => version::list(&session, &name, json).await,
        Collection::Export(args) => archive::export(&session, args).await,
        Collection::Import(args) => archive::import(&session, args).await,
        Collection::Build(args) => version::build(&session, args).await,
        Collection::Promote { name, version, accept_missing, json } => {
            let request = PromoteRequest { version, accept_missing };
            version::promote(&session, &name, &request, json).await
        }
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

async fn show(session: &Session, name: &CollectionName, json: bool) -> Result<Outcome> {
    let shown = session.show(name).await?;
    if json {
        print::json(&shown)?;
        return Ok(Outcome::Yes);
    }
    for (key, value) in [
        ("name", shown.name.to_string()),
        ("documents", shown.documents.to_string()),
        ("chunks", shown.chunks.to_string()),
        ("digest", shown.digest),
        ("index version", shown.index_version),
        ("embedder", shown.embedder),
        ("language", shown.language.unwrap_or_else(|| "not known yet".to_owned())),
    ] {
        print::line(format_args!("{key:<14} {value}"))?;
    }
    Ok(Outcome::Yes)
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
