//! `vellum collection dataset add|list|remove`.

use crate::args::Datasets;
use crate::commands::job::ago;
use crate::print::{self, Outcome};
use crate::session::Session;
use comfy_table::{Table, presets};
use std::path::Path;
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{DatasetAdded, DatasetRequest};

pub(crate) async fn dataset(session: &Session, action: Datasets) -> Result<Outcome> {
    match action {
        Datasets::Add { collection, dir, name, lenient, json } => {
            let request = DatasetRequest { dir: absolute(&dir)?, name, lenient };
            let added = session.add_dataset(&collection, &request).await?;
            if json.json {
                print::json(&added)?;
                return Ok(Outcome::Yes);
            }
            tell(&collection, &added)
        }
        Datasets::List { collection, json } => list(session, &collection, json.json).await,
        Datasets::Remove { collection, name } => {
            session.remove_dataset(&collection, &name).await?;
            print::note(format_args!("removed dataset `{name}` of `{collection}`"));
            Ok(Outcome::Yes)
        }
    }
}

/// Returns the whole path of a folder: a server has another working directory.
fn absolute(dir: &Path) -> Result<String> {
    let whole = dir
        .canonicalize()
        .map_err(|error| Error::io(format!("read `{}`", dir.display()), error))?;
    whole.into_os_string().into_string().map_err(|dir| {
        let message = format!("`{}` is no UTF-8", dir.display());
        Error::new(ErrorKind::Invalid, message).with_hint("rename the folder")
    })
}

fn tell(collection: &CollectionName, added: &DatasetAdded) -> Result<Outcome> {
    let it = &added.dataset;
    if added.unknown > 0 {
        print::warn(format_args!(
            "{} judged documents are not in the collection; {} queries were left out",
            added.unknown, added.left_out
        ));
    }
    print::line(format_args!(
        "dataset {} of {collection}: {} queries, {} of them judged, {} passages of evidence",
        it.name, it.queries, it.judged, it.evidence
    ))?;
    print::note(format_args!("`vellum collection compare {collection}` measures versions on it"));
    Ok(Outcome::Yes)
}

async fn list(session: &Session, collection: &CollectionName, json: bool) -> Result<Outcome> {
    let list = session.datasets(collection).await?;
    if json {
        print::json(&list)?;
        return Ok(Outcome::Yes);
    }
    if list.datasets.is_empty() {
        print::note(format_args!(
            "no datasets; `vellum collection dataset add {collection} DIR` adds one, thumbs on answers become one"
        ));
        return Ok(Outcome::Yes);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["DATASET", "QUERIES", "JUDGED", "EVIDENCE", "ADDED"]);
    for it in list.datasets {
        table.add_row([
            it.name.to_string(),
            it.queries.to_string(),
            it.judged.to_string(),
            it.evidence.to_string(),
            it.created_ms.map(ago).unwrap_or_default(),
        ]);
    }
    print::line(table.trim_fmt())?;
    Ok(Outcome::Yes)
}
