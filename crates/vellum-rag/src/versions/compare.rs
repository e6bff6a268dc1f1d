//! Whether another version of a collection would find better: measured on the collection's datasets.
//!
//! ```text
//! two versions, built -> datasets -> each judged document in both -> every query asked of both, by the search of users
//!       -> an experiment of each is kept -> a paired bootstrap decides
//! ```
//!
//! Versions are only read, so nothing is in the way of jobs and of searches, and an interruption leaves at most experiments
//! that are true.

use crate::app::App;
use crate::collections;
use crate::datasets::{self, Absent, Questions};
use crate::eval::compare::Decision;
use crate::eval::dataset::Query;
use crate::eval::experiment::{self, About, Experiment, Plan};
use crate::eval::run::{Names, Target};
use crate::eval::scores::{self, METRIC, Score};
use crate::eval::{metrics, spans};
use crate::search::Mode;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::{IndexVersion, VersionState};
use vellum_core::ids::DatasetName;
use vellum_core::{Error, ErrorKind, Result};

/// Cut-offs of every metric, besides that of the metric that decides.
const CUTOFFS: [usize; 3] = [5, 10, 100];

/// What to compare.
#[derive(Debug, Clone)]
pub struct CompareRequest {
    /// Id of the version that may be better or worse, or its first digits; the newest that is ready when absent.
    pub version: Option<String>,
    /// Id of the one to compare with; the live one when absent.
    pub against: Option<String>,
    /// The dataset; each that the collection has when absent.
    pub dataset: Option<DatasetName>,
    /// Metric that decides, such as `ndcg_at_10`.
    pub metric: String,
    /// What is done about judged documents that a version does not have. Those that are accepted count as not found.
    pub absent: Absent,
}

impl Default for CompareRequest {
    fn default() -> Self {
        let absent = Absent::Refuse;
        Self { version: None, against: None, dataset: None, metric: METRIC.to_owned(), absent }
    }
}

/// How far a comparison is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// The dataset that is being asked.
    pub dataset: String,
    /// Id of the version that is asked.
    pub version: String,
    /// Queries that were asked, of all versions and datasets.
    pub done: usize,
    /// All of them.
    pub of: usize,
}

/// What was compared.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Id of the version that was compared with.
    pub against: String,
    /// Id of the one that may be better or worse.
    pub version: String,
    /// Metric that decides.
    pub metric: String,
    /// The experiments on each dataset, ascending by name.
    pub measured: Vec<Measured>,
}

/// Two versions on a dataset.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The dataset.
    pub dataset: DatasetName,
    /// The version that was compared with.
    pub against: Experiment,
    /// The one that may be better or worse.
    pub version: Experiment,
}

impl Measured {
    /// Returns what sets the two apart.
    ///
    /// # Errors
    /// `Invalid` when they do not have the metric.
    pub fn decision<'a>(&'a self, metric: &'a str) -> Result<Decision<'a>> {
        Decision::between(&self.against, &self.version, metric, Some(scores::PART))
    }
}

/// A dataset as both versions can answer it.
struct Asked {
    questions: Questions,
    of_against: Vec<Query>,
    of_version: Vec<Query>,
}

/// Asks the queries of the collection's datasets to two versions, and keeps what each of them is worth.
///
/// # Errors
/// `NotFound` when there is no such version, dataset, or nothing to compare; `Conflict` when a version is not fully built, or
/// lacks documents that are judged and that is not accepted; `Invalid` for an unknown metric, a dataset without a judged
/// query, or one version on both sides.
pub async fn compare(
    app: &App,
    pass: &Pass,
    request: &CompareRequest,
    show: &(dyn Fn(Step) + Sync),
) -> Result<Compared> {
    collections::get(app, pass).await?;
    let (against, version) = sides(app, pass, request).await?;
    let (at_against, at_version) = (pass.at(&against.collection)?, pass.at(&version.collection)?);
    let mut asked = Vec::new();
    for questions in chosen(app, pass, request).await? {
        let (of_against, lost) = datasets::within(app, &at_against, &questions.queries).await?;
        must_be_there(&questions, &against, &lost, request)?;
        let (of_version, lost) = datasets::within(app, &at_version, &questions.queries).await?;
        must_be_there(&questions, &version, &lost, request)?;
        asked.push(Asked { questions, of_against, of_version });
    }
    let plan = plan(&request.metric, &asked)?;
    let of = 2 * asked.iter().map(|it| it.questions.summary().judged).sum::<usize>();
    let mut done = 0;
    let mut measured = Vec::new();
    for Asked { questions, of_against, of_version } in &asked {
        let mut both = Vec::with_capacity(2);
        for (side, at, queries) in
            [(&against, &at_against, of_against), (&version, &at_version, of_version)]
        {
            let id = side.collection.version();
            let tick = |_: &str, n: usize, _: usize| {
                let (dataset, version) = (questions.name.to_string(), id.clone());
                show(Step { dataset, version, done: done + n, of });
            };
            let made = measure(app, at, side, questions, queries, &plan, &tick).await?;
            done += made.queries.len();
            both.push(made);
        }
        // Kept only together: one alone would be compared with what was measured under other circumstances.
        for made in &both {
            scores::keep(app, &questions.name, made).await?;
        }
        let [against, version]: [Experiment; 2] = both
            .try_into()
            .map_err(|_| Error::new(ErrorKind::Internal, "two versions were not measured"))?;
        measured.push(Measured { dataset: questions.name.clone(), against, version });
    }
    let (against, version) = (against.collection.version(), version.collection.version());
    Ok(Compared { against, version, metric: request.metric.clone(), measured })
}

async fn measure(
    app: &App,
    at: &VersionPass,
    side: &IndexVersion,
    questions: &Questions,
    queries: &[Query],
    plan: &Plan,
    tick: experiment::Progress<'_>,
) -> Result<Experiment> {
    let target = Target { app, at, seen: &side.collection, names: Names::Uri };
    let (documents, _) = app.metastore.totals(at).await?;
    let about = About {
        name: questions.name.to_string(),
        digest: questions.digest.clone(),
        documents: usize::try_from(documents).unwrap_or(usize::MAX),
        queries: questions.summary().judged,
    };
    let (made, _) = experiment::measure_in(target, about, queries, plan, None, tick).await?;
    Ok(made)
}

/// Returns the version to compare with, and the one that may be better or worse.
async fn sides(
    app: &App,
    pass: &Pass,
    request: &CompareRequest,
) -> Result<(IndexVersion, IndexVersion)> {
    let name = pass.collection();
    let all = app.metastore.versions(pass).await?;
    let version = match &request.version {
        Some(id) => super::get(app, pass, id).await?,
        None => {
            let ready = all.iter().filter(|it| it.state() == VersionState::Ready);
            ready.max_by_key(|it| it.built_ms).cloned().ok_or_else(|| {
                let message = format!("collection `{name}` has no version that waits for its promotion");
                Error::new(ErrorKind::NotFound, message).with_hint(format!(
                    "`vellum collection build {name}` makes one; or name two, as `vellum collection versions {name}` shows them"
                ))
            })?
        }
    };
    let against = match &request.against {
        Some(id) => super::get(app, pass, id).await?,
        None => all.into_iter().find(|it| it.is_live).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("collection `{name}` has no live version"))
        })?,
    };
    for side in [&against, &version] {
        let id = side.collection.version();
        if side.state() == VersionState::Building {
            let message = format!("version `{id}` is not fully built");
            return Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
                "`vellum collection build {name} --version {id}` goes on with it"
            )));
        }
        app.embedder_of(&side.collection)?;
    }
    if against.collection.space == version.collection.space {
        let message = format!("version `{}` is on both sides", version.collection.version());
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("name another one with `--against`, or leave it out for the live one"));
    }
    Ok((against, version))
}

/// Returns the datasets that are asked for, each with something to ask.
async fn chosen(app: &App, pass: &Pass, request: &CompareRequest) -> Result<Vec<Questions>> {
    let chosen = match &request.dataset {
        Some(name) => vec![datasets::open(app, pass, name).await?],
        None => datasets::open_all(app, pass).await?,
    };
    match chosen.iter().find(|questions| questions.summary().judged == 0) {
        None => Ok(chosen),
        Some(Questions { name, .. }) => {
            let message = format!("dataset `{name}` has no query to which a document is judged");
            Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("judge some in its qrels/test.tsv, or name another with `--dataset`"))
        }
    }
}

fn must_be_there(
    questions: &Questions,
    side: &IndexVersion,
    missing: &[String],
    request: &CompareRequest,
) -> Result<()> {
    if missing.is_empty() || request.absent == Absent::Accept {
        return Ok(());
    }
    let (id, name) = (side.collection.version(), &side.collection.name);
    let message = format!(
        "version `{id}` does not have {} of the documents that dataset `{}` judges: {}",
        missing.len(),
        questions.name,
        datasets::some_of(missing)
    );
    let bring = match side.is_live {
        true => "ingest their sources".to_owned(),
        false => {
            format!("bring it up to date with `vellum collection build {name} --version {id}`")
        }
    };
    Err(Error::new(ErrorKind::Conflict, message)
        .with_hint(format!("{bring}, or count them as not found with `--lenient`")))
}

/// Returns what is measured, so that the metric that decides is among it.
fn plan(metric: &str, asked: &[Asked]) -> Result<Plan> {
    let own = metric.rsplit_once("_at_").and_then(|(_, k)| k.parse().ok());
    let mut cutoffs: Vec<usize> = CUTOFFS.into_iter().chain(own).collect();
    cutoffs.sort_unstable();
    cutoffs.dedup();
    for Asked { questions, .. } in asked {
        // Said before an hour of work, and not after it.
        let mut known = metrics::Values::new();
        for query in questions.queries.iter().filter(|query| !query.judgements.is_empty()) {
            known.extend(metrics::score(&[], &query.judgements, &cutoffs));
            known.extend(spans::score(&[], &query.evidence, &cutoffs));
        }
        if !known.contains_key(metric) {
            let message = format!("dataset `{}` knows no metric `{metric}`", questions.name);
            let known: Vec<String> = known.into_keys().collect();
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint(format!("there are {}", known.join(", "))));
        }
    }
    Ok(Plan { modes: vec![Mode::Hybrid], cutoffs, answers: None })
}

/// Returns, in words, on which datasets a version was measured worse than the live one, and not by chance.
///
/// # Errors
/// What the stores fail with.
pub async fn doubts(app: &App, pass: &Pass, version: &IndexVersion) -> Result<Vec<String>> {
    let mut doubts = Vec::new();
    for measured in beside_live(app, pass, version).await? {
        let decision = measured.decision(METRIC)?;
        if decision.paired.is_worse() {
            doubts.push(format!("on dataset `{}`: {}", measured.dataset, decision.sentence()));
        }
    }
    Ok(doubts)
}

/// Returns what was measured last of a version and of the live one, on each dataset where both were asked the same questions.
/// Nothing for the live one itself.
///
/// # Errors
/// What the stores fail with.
pub async fn beside_live(app: &App, pass: &Pass, version: &IndexVersion) -> Result<Vec<Measured>> {
    let live = collections::get(app, pass).await?.version();
    let id = version.collection.version();
    if id == live {
        return Ok(Vec::new());
    }
    let all = scores::list(app, pass.collection()).await?;
    let of = |id: &str| all.iter().filter(|score| score.version == id).collect::<Vec<&Score>>();
    let lives = of(&live);
    let mut measured = Vec::new();
    for score in of(&id) {
        let same = |it: &&&Score| {
            (&it.dataset, &it.dataset_digest) == (&score.dataset, &score.dataset_digest)
        };
        let Some(before) = lives.iter().find(same) else { continue };
        let against = scores::experiment(app, &before.experiment).await?;
        let version = scores::experiment(app, &score.experiment).await?;
        if let (Some(against), Some(version)) = (against, version) {
            measured.push(Measured { dataset: score.dataset.clone(), against, version });
        }
    }
    Ok(measured)
}
