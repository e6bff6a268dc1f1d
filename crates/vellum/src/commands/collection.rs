//! `vellum collection list|show|delete`.

use crate::args::Collection;
use crate::print::{self, Outcome};
use crate::session::{self, Session};
use comfy_table::{Table, presets};
use std::io::{BufRead, IsTerminal, Write};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::Splitter;
use vellum_server::config::Config;

pub(crate) async fn collection(config: &Config, args: Collection) -> Result<Outcome> {
    let session = session::open(config).await?;
    match args {
        Collection::List { json } => list(&session, json.json).await,
        Collection::Show { name, json } => show(&session, &name, json.json).await,
        Collection::Delete { name, yes } => {
            if !yes {
                confirm(&session, &name).await?;
            }
            session.delete(&name).await?;
            print::note(format_args!("deleted collection `{name}`"));
            Ok(Outcome::Yes)
        }
    }
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
        ("splitter", splitter(&shown.splitter)),
        ("language", shown.language.unwrap_or_else(|| "not known yet".to_owned())),
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
