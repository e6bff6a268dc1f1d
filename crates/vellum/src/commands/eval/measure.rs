//! `vellum eval --dataset DIR`: read, ingest or reuse, measure, keep, tell.

use super::compare;
use super::index::{self, Index, Reuse};
use super::shelf::Shelf;
use super::{summary, write, write_files};
use crate::args::EvalRun;
use crate::print::{self, Outcome};
use crate::progress;
use indicatif::ProgressBar;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::compare::Decision;
use vellum_rag::eval::dataset::{self, Dataset};
use vellum_rag::eval::experiment::{self, Experiment, Plan};
use vellum_rag::eval::run::{self, Ranking};
use vellum_rag::search::Mode;
use vellum_server::config::Config;

/// Cut-offs that every experiment has.
const CUTOFFS: [usize; 3] = [5, 10, 100];

pub(super) async fn measure(config: &Config, shelf: &Shelf, args: EvalRun) -> Result<Outcome> {
    let dir = args.dataset.clone().unwrap_or_else(|| PathBuf::from("."));
    // What is wrong with the question is said before an hour of work.
    let baseline = args.baseline.as_deref().map(|it| shelf.find(it)).transpose()?;
    check_name(args.name.as_deref())?;
    let dataset = dataset::open(&dir).map_err(|error| error.context(dir.display()))?;
    if let Some(baseline) = &baseline {
        must_fit(baseline, &dataset)?;
    }
    let reuse = if args.fresh { Reuse::Never } else { Reuse::Allowed };
    let index = index::open(config, shelf.dir(), &dataset, reuse).await?;
    if index.is_reused {
        print::note("the index of an earlier evaluation is used; `--fresh` ingests anew");
    }
    let (experiment, rankings) = run_plan(&index, &dataset, &args).await?;
    index.close(config)?;
    let experiment = experiment.named(args.name.clone());
    shelf.put(&experiment)?;
    if let (Some(path), Some(first)) = (&args.run, rankings.first()) {
        let tag = format!("vellum-{}", modes(&args)[0].as_str());
        write(path, &run::trec_run(first, &tag))?;
    }
    let decision = match &baseline {
        Some(baseline) => Some(Decision::between(baseline, &experiment, &args.metric, None)?),
        None => None,
    };
    write_files(&experiment, decision.as_ref(), &args.files)?;
    if args.json.json {
        let mut document = summary::to_json(&experiment);
        if let Some(decision) = &decision {
            document["comparison"] = compare::to_json(decision);
        }
        print::json(&document)?;
    } else {
        summary::tell(&experiment)?;
        if let Some(decision) = &decision {
            print::line("")?;
            compare::tell(decision)?;
        }
    }
    Ok(decision.as_ref().map_or(Outcome::Yes, compare::outcome))
}

async fn run_plan(
    index: &Index,
    dataset: &Dataset,
    args: &EvalRun,
) -> Result<(Experiment, Vec<Vec<Ranking>>)> {
    let cutoffs: BTreeSet<usize> =
        args.cutoffs.iter().map(|k| usize::from(*k)).chain(CUTOFFS).collect();
    let plan = Plan {
        modes: modes(args),
        cutoffs: cutoffs.into_iter().collect(),
        answers: Some(index.app.settings.retrieval.top_k),
    };
    let bar: Mutex<Option<(String, ProgressBar)>> = Mutex::new(None);
    let show = |part: &str, done: usize, of: usize| {
        let Ok(mut shown) = bar.lock() else { return };
        if shown.as_ref().is_none_or(|(name, _)| name != part) {
            if let Some((_, old)) = shown.take() {
                old.finish_and_clear();
            }
            *shown = Some((part.to_owned(), progress::steps_bar(of as u64, part.to_owned())));
        }
        if let Some((_, bar)) = shown.as_ref() {
            bar.set_position(done as u64);
        }
    };
    let retrieval = &index.app.settings.retrieval;
    let measured =
        experiment::measure(&index.app, &index.pass, dataset, retrieval, &plan, &show).await;
    if let Ok(Some((_, bar))) = bar.into_inner() {
        bar.finish_and_clear();
    }
    measured
}

fn modes(args: &EvalRun) -> Vec<Mode> {
    match args.mode {
        None => Mode::ALL.to_vec(),
        Some(mode) => vec![crate::commands::search::mode(mode).into()],
    }
}

/// A name must not look like the path of a file.
fn check_name(name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if name.trim().is_empty() || name.ends_with(".json") => {
            let message = format!("`{name}` cannot name an experiment");
            Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("give a word that does not end with `.json`"))
        }
        _ => Ok(()),
    }
}

fn must_fit(baseline: &Experiment, dataset: &Dataset) -> Result<()> {
    if baseline.dataset.digest == dataset.digest {
        return Ok(());
    }
    let message = format!(
        "experiment `{}` was made on another dataset than `{}`: queries, judgements or documents differ",
        baseline.id, dataset.name
    );
    Err(Error::new(ErrorKind::Conflict, message)
        .with_hint("measure without `--baseline` first, and compare with that"))
}
