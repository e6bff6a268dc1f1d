//! Runs with their parameters and metrics in an MLflow tracking server, over its REST API (2.0).
//!
//! MLflow has no idempotent way to make a run: a call whose answer was lost may leave a second one behind. So a run bears
//! tags by which its caller finds it again ([`Mlflow::find`]), and is marked `FINISHED` last; what was cut off stays
//! `RUNNING` and is not found.

use crate::client::{Answer, Client, PROMPTLY, Refusal};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vellum_core::{Error, ErrorKind, Result};

/// Most parameters, metrics and tags that one call may carry.
const MAX_PARAMS: usize = 100;
const MAX_METRICS: usize = 1_000;
/// Most characters of a parameter's value.
const MAX_VALUE: usize = 6_000;
/// Runs asked for at a time.
const PAGE: usize = 1_000;
/// Pages read at most.
const MAX_PAGES: usize = 100;

/// How the server is reached, as MLflow's own clients name it.
#[derive(Clone, Default)]
pub struct MlflowSettings {
    /// Address, such as `http://mlflow:5000`.
    pub tracking_uri: String,
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    pub login: Option<(String, String)>,
    /// `MLFLOW_TRACKING_TOKEN`, which goes before the login.
    pub token: Option<String>,
}

impl std::fmt::Debug for MlflowSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MlflowSettings").finish_non_exhaustive()
    }
}

impl MlflowSettings {
    /// Returns the settings for a tracking server, credentials from what `variable` knows. An empty address means that of
    /// `MLFLOW_TRACKING_URI`; `None` where that is empty too.
    pub fn read(address: &str, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let known = |name: &str| variable(name).filter(|value| !value.is_empty());
        let tracking_uri = match address {
            "" => known("MLFLOW_TRACKING_URI")?,
            address => address.to_owned(),
        };
        let login = known("MLFLOW_TRACKING_USERNAME").zip(known("MLFLOW_TRACKING_PASSWORD"));
        Some(Self { tracking_uri, login, token: known("MLFLOW_TRACKING_TOKEN") })
    }
}

/// A run that is over.
#[derive(Debug, Clone, Default)]
pub struct MlflowRun {
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Parameters.
    pub params: BTreeMap<String, String>,
    /// Metrics, all finite.
    pub metrics: BTreeMap<String, f64>,
    /// Whether it reached its end.
    pub succeeded: bool,
    /// Begin and end, milliseconds since the Unix epoch.
    pub span_ms: (i64, i64),
}

/// An MLflow tracking server.
#[derive(Debug)]
pub struct Mlflow {
    client: Client,
    settings: MlflowSettings,
    base: Url,
}

impl Mlflow {
    /// Returns the server; nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` when the address is not one over HTTP.
    pub fn new(settings: MlflowSettings) -> Result<Self> {
        let base = Url::parse(&settings.tracking_uri).ok();
        let base = base.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "the address of MLflow is not one over HTTP")
                .with_hint("set mlflow.tracking_uri or MLFLOW_TRACKING_URI to http://HOST:PORT")
        })?;
        Ok(Self { client: Client::new()?, settings, base })
    }

    /// Returns the id of the experiment called `name`, made now if there is none.
    ///
    /// # Errors
    /// `Conflict` when it was deleted; what [`Mlflow::find`] fails with.
    pub async fn experiment(&self, name: &str) -> Result<String> {
        let operation = format!("find MLflow experiment `{name}`");
        let query = [("experiment_name", name)];
        let found = self
            .send(&operation, |http| http.get(self.url("experiments/get-by-name")).query(&query))
            .await?;
        match found {
            Ok(answer) => {
                if answer["experiment"]["lifecycle_stage"] == "deleted" {
                    let message = format!("MLflow experiment `{name}` was deleted");
                    return Err(Error::new(ErrorKind::Conflict, message)
                        .with_hint("restore it, or set mlflow.experiment to another name"));
                }
                text(&operation, &answer["experiment"]["experiment_id"])
            }
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
                let operation = format!("make MLflow experiment `{name}`");
                let body = json!({ "name": name });
                let answer = self.post(&operation, "experiments/create", &body).await?;
                text(&operation, &answer["experiment_id"])
            }
            Err(refusal) => Err(refused(&operation, &refusal)),
        }
    }

    /// Returns the values of tag `wanted` over all finished runs that have `tag` = `value`.
    ///
    /// # Errors
    /// `Unavailable` when there is no answer in time, `Unauthenticated` or `Forbidden` when the server wants other
    /// credentials, `Invalid` for what it does not take.
    pub async fn find(
        &self,
        experiment: &str,
        (tag, value): (&str, &str),
        wanted: &str,
    ) -> Result<Vec<String>> {
        let operation = "find MLflow runs";
        let mut found = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let body = json!({
                "experiment_ids": [experiment],
                "filter": format!("tags.`{tag}` = '{}' and attributes.status != 'RUNNING'", value.replace('\'', "")),
                "max_results": PAGE,
                "page_token": page_token,
            });
            let answer = self.post(operation, "runs/search", &body).await?;
            for run in answer["runs"].as_array().into_iter().flatten() {
                let tags = run["data"]["tags"].as_array().into_iter().flatten();
                let tag = tags.filter(|tag| tag["key"] == wanted).find_map(|t| t["value"].as_str());
                found.extend(tag.map(str::to_owned));
            }
            match answer["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => page_token = next.to_owned(),
                _ => break,
            }
        }
        Ok(found)
    }

    /// Stores a run and returns its id.
    ///
    /// # Errors
    /// As [`Mlflow::find`].
    pub async fn log(&self, experiment: &str, run: &MlflowRun) -> Result<String> {
        let operation = format!("log MLflow run `{}`", run.name);
        let (begin, end) = run.span_ms;
        let tags = pairs(&run.tags, |value| json!(value));
        let body = json!({
            "experiment_id": experiment, "run_name": run.name, "start_time": begin, "tags": tags,
        });
        let made = self.post(&operation, "runs/create", &body).await?;
        let id = text(&operation, &made["run"]["info"]["run_id"])?;
        let params =
            pairs(&run.params, |value| json!(value.chars().take(MAX_VALUE).collect::<String>()));
        for part in params.chunks(MAX_PARAMS) {
            let body = json!({ "run_id": id, "params": part });
            self.post(&operation, "runs/log-batch", &body).await?;
        }
        let metrics: Vec<Value> = run
            .metrics
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value, "timestamp": end, "step": 0 }))
            .collect();
        for part in metrics.chunks(MAX_METRICS) {
            let body = json!({ "run_id": id, "metrics": part });
            self.post(&operation, "runs/log-batch", &body).await?;
        }
        let status = if run.succeeded { "FINISHED" } else { "FAILED" };
        let body = json!({ "run_id": id, "status": status, "end_time": end });
        self.post(&operation, "runs/update", &body).await?;
        Ok(id)
    }

    async fn post(&self, operation: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(operation, |http| http.post(self.url(path)).json(body)).await?;
        answer.map_err(|refusal| refused(operation, &refusal))
    }

    async fn send(
        &self,
        operation: &str,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<std::result::Result<Value, Refusal>> {
        let authorised = |http: &reqwest::Client| {
            let request = request(http);
            match (&self.settings.token, &self.settings.login) {
                (Some(token), _) => request.bearer_auth(token),
                (None, Some((name, password))) => request.basic_auth(name, Some(password)),
                (None, None) => request,
            }
        };
        let answer: Answer = self.client.call(operation, PROMPTLY, authorised).await?;
        match answer {
            Ok(response) => response.json().await.map(Ok).map_err(|error| {
                let message = format!("{operation}: the answer is not that of MLflow");
                Error::new(ErrorKind::Unavailable, message).with_source(error.without_url())
            }),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let root = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{root}/api/2.0/mlflow/{path}"));
        url
    }
}

/// Returns entries in the form of MLflow.
fn pairs<T>(entries: &BTreeMap<String, T>, value: impl Fn(&T) -> Value) -> Vec<Value> {
    entries.iter().map(|(key, entry)| json!({ "key": key, "value": value(entry) })).collect()
}

fn text(operation: &str, value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, format!("{operation}: the answer is not that of MLflow"))
    })
}

fn refused(operation: &str, refusal: &Refusal) -> Error {
    let kind = match refusal.status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    let body: Value = serde_json::from_str(&refusal.body).unwrap_or_default();
    let why = body["message"].as_str().unwrap_or_default();
    let error = Error::new(kind, format!("{operation}: the answer was {} {why}", refusal.status));
    match kind {
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => {
            error.with_hint("set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD")
        }
        _ => error.with_hint("check that mlflow.tracking_uri names an MLflow tracking server"),
    }
}
