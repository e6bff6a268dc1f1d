//! `vellum collection export|import`.
//!
//! An export is written beside its place, read again to see that it is whole, and only then put in its place by a rename.

use crate::args::{Export, Import};
use crate::print::{self, Outcome};
use crate::progress;
use crate::session::Session;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{ExportReport, ImportRequest};
use vellum_rag::archive;

pub(crate) async fn export(session: &Session, args: Export) -> Result<Outcome> {
    let Export { name, file, without_originals, json } = args;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{name}.vellum")));
    if file.exists() {
        let message = format!("`{}` exists already", file.display());
        return Err(Error::new(ErrorKind::Conflict, message).with_hint("name another file"));
    }
    let partial = beside(&file);
    let failed = |error| Error::io(format!("write `{}`", file.display()), error);
    let out = File::create(&partial).map_err(failed)?;
    let bar = progress::steps_bar(0, "exporting");
    let show = |at: archive::Progress| progress::show_steps(&bar, at);
    session.export(&name, without_originals, out, &show).await?;
    bar.finish_and_clear();
    let (manifest, end) = archive::verify(partial.clone()).await?;
    fs::rename(&partial, &file).map_err(failed)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let report = ExportReport::new(file.display().to_string(), bytes, manifest, end);
    for refusal in &report.left_out {
        print::warn(format_args!("left out the original {}: {}", refusal.uri, refusal.reason));
    }
    let outcome = Outcome::of(report.left_out.is_empty());
    if json.json {
        print::json(&report)?;
    } else {
        print::line(format_args!(
            "exported {name} to {}: {} documents, {} chunks, {} originals, {} datasets, {} opinions, {:.1} MB",
            report.file,
            report.documents,
            report.chunks,
            report.originals,
            report.datasets,
            report.opinions,
            report.bytes as f64 / 1e6
        ))?;
    }
    Ok(outcome)
}

/// Returns where a file is written before it is whole.
fn beside(file: &Path) -> PathBuf {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

pub(crate) async fn import(session: &Session, args: Import) -> Result<Outcome> {
    let Import { file, name, json } = args;
    // A server has another working directory.
    let file = file
        .canonicalize()
        .map_err(|error| Error::io(format!("read `{}`", file.display()), error))?;
    let file = file.into_os_string().into_string().map_err(|file| {
        let message = format!("`{}` is no UTF-8", file.display());
        Error::new(ErrorKind::Invalid, message).with_hint("rename the file")
    })?;
    let request = ImportRequest { file, collection: name };
    let bar = progress::steps_bar(0, "importing");
    let report = session.import(&request, &|at| progress::show_steps(&bar, at)).await;
    bar.finish_and_clear();
    let report = report?;
    if json.json {
        print::json(&report)?;
    } else {
        print::line(format_args!(
            "imported {}: {} documents, {} chunks, {} originals, {} datasets, {} opinions",
            report.collection,
            report.documents,
            report.chunks,
            report.originals,
            report.datasets,
            report.opinions
        ))?;
    }
    Ok(Outcome::Yes)
}
