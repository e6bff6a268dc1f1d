//! The same space as an experiment of Katib (v1beta1, Katib 0.19), and metrics as Katib collects them.
//!
//! Each trial is a Job that runs `vellum tune --trial-settings ...` and prints `name=value` lines, which Katib's sidecar
//! reads by its default filter. Two things are Katib's own: it writes all numbers as text, and it knows no conditions, so
//! all parameters are always sent and the trial leaves out those that do not count.

use super::read_space;
use crate::args;
use crate::print::{self, Outcome};
use serde_json::{Value, json};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::tune::parameters::Kind;
use vellum_rag::tune::record::{End, Measured, Trial};
use vellum_rag::tune::space::{Dimension, Domain, Space};
use vellum_server::config::Resolved;

/// Tables of the settings that decide what is found.
const TUNED: [&str; 4] = ["collection.", "retrieval.", "index.", "reranker."];

/// Name of the container whose output is read.
const CONTAINER: &str = "trial";
/// Where the data set and the space are in the container.
const DATASET: &str = "/tuning/dataset";
const SPACE: &str = "/tuning/space/space.toml";

/// Prints a metric as Katib reads it. The value is finite: Katib takes `NaN` for an empty value.
pub(super) fn print(metric: &str, value: f64) -> Result<()> {
    print::line(format_args!("{metric}={value}"))
}

/// Prints what a trial of a study ended with. A reader who is gone is noticed at the end.
pub(super) fn print_end(metric: &str, trial: &Trial) {
    match &trial.end {
        Some(End::Done(Measured { value, latency_p95_ms, index_bytes, .. })) => {
            let _ = print(metric, *value)
                .and_then(|()| print("latency_p95_ms", *latency_p95_ms))
                .and_then(|()| print("index_bytes", *index_bytes as f64));
        }
        Some(End::Stopped { value, .. }) => drop(print(metric, *value)),
        Some(End::Failed { .. }) | None => {}
    }
}

/// Prints the experiment as YAML.
pub(super) fn render(settings: &Resolved, args: &args::Tune) -> Result<Outcome> {
    let space = read_space(args)?;
    let experiment = experiment(settings, args, &space)?;
    print::line(yaml(&experiment).trim_end())?;
    Ok(Outcome::Yes)
}

fn experiment(settings: &Resolved, args: &args::Tune, space: &Space) -> Result<Value> {
    let parameters: Vec<Value> = space.dimensions.iter().map(parameter).collect::<Result<_>>()?;
    let references: Vec<Value> = space
        .dimensions
        .iter()
        .map(|dimension| {
            let path = dimension.parameter.path;
            json!({ "name": name(path), "reference": path, "description": "a setting of vellum.toml" })
        })
        .collect();
    let trials = args.trials.map_or(super::TRIALS, usize::from);
    let jobs = super::jobs(args).min(trials);
    Ok(json!({
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": { "name": "vellum-tune" },
        "spec": {
            "objective": {
                "type": "maximize",
                "objectiveMetricName": args.metric,
                "additionalMetricNames": ["latency_p95_ms", "index_bytes", "chunks"],
                // The last line of a trial is over all queries; a larger one before it is chance.
                "metricStrategies": [{ "name": args.metric, "value": "latest" }],
            },
            "algorithm": {
                "algorithmName": vellum_rag::tune::sample::Algorithm::from(args.algorithm).to_string(),
                "algorithmSettings": match args.algorithm {
                    args::Algorithm::Grid => json!([]),
                    _ => json!([{ "name": "random_state", "value": args.seed.to_string() }]),
                },
            },
            "parallelTrialCount": jobs,
            "maxTrialCount": trials,
            "maxFailedTrialCount": trials.min(3),
            "metricsCollectorSpec": { "collector": { "kind": "StdOut" } },
            "parameters": parameters,
            "trialTemplate": {
                "primaryContainerName": CONTAINER,
                "trialParameters": references,
                "trialSpec": job(settings, args, space),
            },
        },
    }))
}

/// Returns the name of a parameter as it may stand in a placeholder.
fn name(path: &str) -> String {
    path.replace('.', "_")
}

fn parameter(dimension: &Dimension) -> Result<Value> {
    let path = dimension.parameter.path;
    let range = |kind: &str, min: String, max: String, step: Option<String>, log: bool| {
        let mut space = json!({ "min": min, "max": max });
        if let Some(step) = step {
            space["step"] = json!(step);
        }
        if log {
            space["distribution"] = json!("logUniform");
        }
        json!({ "name": path, "parameterType": kind, "feasibleSpace": space })
    };
    Ok(match &dimension.domain {
        Domain::Whole { min, max, step, log } => {
            let step = (*step != 1).then(|| step.to_string());
            range("int", min.to_string(), max.to_string(), step, *log)
        }
        Domain::Number { min, max, step, log } => {
            let step = step.map(|step| step.to_string());
            range("double", min.to_string(), max.to_string(), step, *log)
        }
        Domain::List(values) => {
            let kind = match dimension.parameter.kind {
                Kind::Whole(..) | Kind::Number(..) => "discrete",
                Kind::Word(_) | Kind::Flag => "categorical",
            };
            let list: Vec<String> = values.iter().map(ToString::to_string).collect();
            if let Some(word) = list.iter().find(|word| word.contains([',', '=', '\'', '"'])) {
                let message = format!("`{path}` = {word} cannot be handed to a trial");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            json!({ "name": path, "parameterType": kind, "feasibleSpace": { "list": list } })
        }
    })
}

/// Returns the Job of a trial. Katib wraps its command in a shell, so the image must have `sh`.
fn job(settings: &Resolved, args: &args::Tune, space: &Space) -> Value {
    let paths = space.dimensions.iter().map(|dimension| dimension.parameter.path);
    let assigned: Vec<String> =
        paths.map(|path| format!("{path}=${{trialParameters.{}}}", name(path))).collect();
    let seed = args.seed.to_string();
    let held_out = args.held_out.to_string();
    let command = [
        "vellum",
        "tune",
        "--dataset",
        DATASET,
        "--space",
        SPACE,
        "--metric",
        &args.metric,
        "--seed",
        &seed,
        "--held-out",
        &held_out,
        "--trial-settings",
    ];
    let mut command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    command.push(assigned.join(","));
    // What the study takes as given goes along, so that trials differ in their parameters only.
    let environment: Vec<Value> = settings
        .values
        .iter()
        .filter(|(path, _)| TUNED.iter().any(|table| path.starts_with(table)))
        .filter(|(_, (_, origin))| *origin != vellum_server::config::Origin::Default)
        .map(|(path, (value, _))| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            json!({ "name": vellum_server::config::variable(path), "value": text })
        })
        .collect();
    let mounts = json!([
        { "name": "dataset", "mountPath": DATASET, "readOnly": true },
        { "name": "space", "mountPath": "/tuning/space", "readOnly": true },
    ]);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {
            "backoffLimit": 1,
            "template": {
                "metadata": {
                    // With a sidecar of the mesh the Job would never be complete.
                    "labels": { "sidecar.istio.io/inject": "false" },
                    "annotations": { "sidecar.istio.io/inject": "false" },
                },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": CONTAINER,
                        "image": args.image,
                        "command": command,
                        "env": environment,
                        "volumeMounts": mounts,
                    }],
                    "volumes": [
                        { "name": "dataset", "persistentVolumeClaim": { "claimName": args.dataset_claim, "readOnly": true } },
                        { "name": "space", "configMap": { "name": "vellum-tune-space" } },
                    ],
                },
            },
        },
    })
}

/// Returns a document as YAML in block style; texts are quoted as JSON quotes them, which is YAML.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                text.push_str(&format!("{indent}{}:", scalar(&json!(key))));
                below(field, depth, text);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for entry in entries {
                text.push_str(&format!("{indent}-"));
                below(entry, depth, text);
            }
        }
        flat => text.push_str(&format!("{indent}{}\n", scalar(flat))),
    }
}

/// Writes what stands behind a key or a dash: on the same line if it is flat.
fn below(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            write(value, depth + 1, text);
        }
        Value::Array(entries) if !entries.is_empty() => {
            text.push('\n');
            write(value, depth + 1, text);
        }
        flat => text.push_str(&format!(" {}\n", scalar(flat))),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        // Words that YAML takes for nothing else need no quotes.
        Value::String(word)
            if word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
                && !matches!(
                    word.to_ascii_lowercase().as_str(),
                    "y" | "n"
                        | "yes"
                        | "no"
                        | "on"
                        | "off"
                        | "true"
                        | "false"
                        | "null"
                        | "nan"
                        | "inf"
                ) =>
        {
            word.clone()
        }
        other => other.to_string(),
    }
}
