//! One trial by itself: what a Katib trial runs. Prints the metric after each rung of queries, then everything.

use super::{Material, katib, workshop};
use crate::args;
use crate::print::{self, Outcome};
use serde_json::json;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::tune::parameters::{self, Assignment, PARAMETERS};
use vellum_rag::tune::stop;
use vellum_server::config::Resolved;

/// Measures the settings that `text` writes as `path=value,...`, on the queries that a search would see.
///
/// A space that is named decides which of them count: what its conditions leave out keeps the value in force, as in a
/// study. Katib knows no conditions and always sends all.
pub(super) async fn run(
    settings: &Resolved,
    args: &args::Tune,
    material: &Material,
    text: &str,
) -> Result<Outcome> {
    let mut assignment = read(text)?;
    if args.space.is_some() {
        let mut active = Assignment::new();
        for dimension in &super::read_space(args)?.dimensions {
            let path = dimension.parameter.path;
            if let (true, Some(value)) = (dimension.is_active(&active), assignment.get(path)) {
                active.insert(path.to_owned(), value.clone());
            }
        }
        assignment = active;
    }
    // Says what is wrong before anything is made.
    workshop::config(settings, &assignment)?;
    let temp = tempfile::Builder::new()
        .prefix("vellum-trial-")
        .tempdir()
        .map_err(|error| Error::io("make a temporary directory", error))?;
    let bench = material.bench(settings, args, temp.path().to_owned())?;
    let stand = bench.open(&assignment).await?;
    let queries = &material.split.seen;
    let (mut asked, mut sum) = (0, 0.0);
    for upto in stop::rungs(queries.len()) {
        sum += stand.values(&queries[asked..upto]).await?.iter().sum::<f64>();
        asked = upto;
        if !args.json.json {
            katib::print(&args.metric, sum / asked as f64)?;
        }
    }
    let index = stand.index();
    let latency = stand.latency_p95_ms().await?;
    if args.json.json {
        print::json(&json!({
            "settings": assignment,
            "metric": args.metric,
            "value": sum / asked as f64,
            "queries": asked,
            "latency_p95_ms": latency,
            "index_bytes": index.bytes,
            "chunks": index.chunks,
        }))?;
    } else {
        katib::print("latency_p95_ms", latency)?;
        katib::print("index_bytes", index.bytes as f64)?;
        katib::print("chunks", index.chunks as f64)?;
    }
    Ok(Outcome::Yes)
}

/// Reads `path=value,...`.
///
/// # Errors
/// `Invalid` naming the part that cannot be read, the unknown parameter or the value that it cannot have.
fn read(text: &str) -> Result<Assignment> {
    let wrong = |what: &str| Error::new(ErrorKind::Invalid, format!("--trial-settings: {what}"));
    let mut assignment = Assignment::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (path, value) = part
            .split_once('=')
            .ok_or_else(|| wrong(&format!("`{part}` is not of the form path=value")))?;
        let parameter = parameters::find(path.trim()).ok_or_else(|| {
            let known: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.path).collect();
            wrong(&format!("`{}` is no parameter that can be tuned", path.trim()))
                .with_hint(format!("these are: {}", known.join(", ")))
        })?;
        let value = parameter.kind.read(value.trim());
        let value = value.map_err(|why| wrong(&format!("`{}` {why}", parameter.path)))?;
        if assignment.insert(parameter.path.to_owned(), value).is_some() {
            return Err(wrong(&format!("`{}` stands there twice", parameter.path)));
        }
    }
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_rag::tune::parameters::Value;

    #[test]
    fn settings_are_read() {
        let read = read("collection.max_tokens=64, retrieval.fusion=rank,").unwrap();
        assert_eq!(read["collection.max_tokens"], Value::Whole(64));
        assert_eq!(read["retrieval.fusion"], Value::Word("rank".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, expect) in [
            ("fusion", "`fusion` is not of the form"),
            ("server.bind=x", "`server.bind` is no parameter"),
            ("retrieval.fusion=best", "`retrieval.fusion` must be one of"),
            ("retrieval.leg_limit=9,retrieval.leg_limit=9", "twice"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message().contains(expect), "{}", error.message());
        }
    }
}
