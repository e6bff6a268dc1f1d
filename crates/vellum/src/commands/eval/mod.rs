//! `vellum eval`: how well retrieval and answers do on a dataset, and whether a change helped.
//!
//! - [`measure`]: `vellum eval --dataset DIR`. The corpus is ingested into an index of its own ([`index`]): no collection
//!   of the user is touched, and a running server is not in the way.
//! - [`shelf`]: experiments are files in the data directory, `evals/<id>.json`, those on versions of collections too, which `list`, `show`, `compare` and `delete`
//!   work on. Files rather than rows of the metadata store: that belongs to one process, while evaluations run beside a
//!   server; a file is written once and never changed; and it can be kept in a repository as a baseline.
//! - [`export`]: a dataset from what people thought of answers.
//! - [`summary`]: what is printed; [`csv`] and [`report`]: what is written to files.

pub(crate) mod compare;
mod csv;
mod export;
mod index;
mod measure;
mod report;
pub(crate) mod shelf;
mod summary;
mod svg;

use crate::args::{self, EvalFiles, Experiments};
use crate::print::{self, Outcome};
use crate::session;
use shelf::Shelf;
use std::path::Path;
use vellum_core::{Error, Result};
use vellum_rag::eval::compare::Decision;
use vellum_rag::eval::experiment::Experiment;
use vellum_server::config::Config;

pub(crate) async fn eval(config: &Config, args: args::Eval) -> Result<Outcome> {
    let shelf = Shelf::new(&session::data_path(config)?);
    match args.action {
        None => measure::measure(config, &shelf, args.run).await,
        Some(Experiments::List { json }) => {
            summary::list(&shelf.list()?, json.json)?;
            Ok(Outcome::Yes)
        }
        Some(Experiments::Show { experiment, files, json }) => {
            let experiment = shelf.find(&experiment)?;
            write_files(&experiment, None, &files)?;
            summary::show(&experiment, json.json)?;
            Ok(Outcome::Yes)
        }
        Some(Experiments::Compare { a, b, metric, part, report, json }) => {
            let (a, b) = (shelf.find(&a)?, shelf.find(&b)?);
            let decision = Decision::between(&a, &b, &metric, part.map(compare::name))?;
            write_files(&b, Some(&decision), &EvalFiles { report, csv: None })?;
            if json.json {
                print::json(&compare::to_json(&decision))?;
            } else {
                compare::tell(&decision)?;
            }
            Ok(compare::outcome(&decision))
        }
        Some(Experiments::Export { dir, collection }) => {
            let session = session::open(config).await?;
            export::export(&session, &collection.collection, &dir).await
        }
        Some(Experiments::Delete { experiment }) => {
            shelf.delete(&experiment)?;
            Ok(Outcome::Yes)
        }
    }
}

/// Writes the files that were asked for.
pub(crate) fn write_files(
    experiment: &Experiment,
    decision: Option<&Decision<'_>>,
    files: &EvalFiles,
) -> Result<()> {
    if let Some(path) = &files.csv {
        write(path, &csv::table(experiment))?;
    }
    if let Some(path) = &files.report {
        write(path, &report::page(experiment, decision)?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|error| Error::io(format!("write `{}`", path.display()), error))
}
