//! `vellum collection compare`: two index versions on the collection's datasets.
//!
//! What was measured is kept as experiments, wherever the work was done; what is told is read from there, as
//! `vellum eval compare` does.

use crate::args::{Compare, EvalFiles};
use crate::commands::eval::compare::{outcome, tell, to_json};
use crate::commands::eval::shelf::Shelf;
use crate::commands::eval::write_files;
use crate::print::{self, Outcome};
use crate::progress;
use crate::session::{self, Session};
use serde_json::json;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{CompareRequest, CompareStep};
use vellum_rag::eval::compare::Decision;
use vellum_server::config::Config;

pub(crate) async fn compare(config: &Config, session: &Session, args: Compare) -> Result<Outcome> {
    let Compare { name, version, against, dataset, metric, lenient, report, json } = args;
    if report.is_some() && dataset.is_none() && session.datasets(&name).await?.datasets.len() > 1 {
        let message =
            format!("collection `{name}` has several datasets, and a report is about one");
        return Err(Error::new(ErrorKind::Invalid, message).with_hint("name it with `--dataset`"));
    }
    let metric_asked = metric.clone();
    let request = CompareRequest { version, against, dataset, metric, lenient, stream: true };
    let bar = progress::steps_bar(0, "measuring");
    let show = |step: CompareStep| {
        bar.set_length(step.of as u64);
        bar.set_position(step.done as u64);
        bar.set_message(format!("{} of version {}", step.dataset, &step.version));
    };
    let compared = session.compare(&name, &request, &show).await;
    bar.finish_and_clear();
    let compared = compared?;
    let shelf = Shelf::new(&session::data_path(config)?);
    let (mut documents, mut worst) = (Vec::new(), Outcome::Yes);
    for on in &compared.datasets {
        let (a, b) = (shelf.get(&on.experiment_against)?, shelf.get(&on.experiment)?);
        let decision = Decision::between(&a, &b, &metric_asked, None)?;
        write_files(&b, Some(&decision), &EvalFiles { report: report.clone(), csv: None })?;
        if outcome(&decision) == Outcome::No {
            worst = Outcome::No;
        }
        if json.json {
            documents.push(to_json(&decision));
            continue;
        }
        print::line(format_args!(
            "dataset {}: version {} beside version {}",
            on.dataset, compared.version, compared.against
        ))?;
        tell(&decision)?;
    }
    if json.json {
        print::json(&json!({
            "collection": compared.collection,
            "version": compared.version,
            "against": compared.against,
            "datasets": documents,
        }))?;
    }
    Ok(worst)
}
