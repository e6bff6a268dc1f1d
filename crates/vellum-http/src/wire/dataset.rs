//! Datasets of collections, and versions compared on them: `/api/v1/collections/{name}/datasets` and `.../compare`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::ids::{CollectionName, DatasetName};
use vellum_core::{Error, Result};
use vellum_rag::datasets::{Absent, Added, Summary};
use vellum_rag::eval::compare::{Change, Decision};
use vellum_rag::eval::scores::{METRIC, Score};
use vellum_rag::versions::{self, Compared, Step};

/// Queries that are named on either side of a comparison.
const NAMED: usize = 20;

/// The datasets of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetList {
    /// Ascending by name.
    pub datasets: Vec<DatasetInfo>,
}

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetInfo {
    /// Name; `feedback` is what people thought of answers.
    #[schema(value_type = String)]
    pub name: DatasetName,
    /// Questions.
    pub queries: usize,
    /// Those of them to which documents are judged.
    pub judged: usize,
    /// Ranges of characters that are known to be evidence.
    pub evidence: usize,
    /// When it was added, milliseconds since the Unix epoch; null for what grows by itself.
    pub created_ms: Option<i64>,
}

/// An order to keep a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetRequest {
    /// Path of its folder, which the server can read: queries.jsonl, qrels/test.tsv and, where evidence is known, spans.jsonl.
    pub dir: String,
    /// Name; that of the folder when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub name: Option<DatasetName>,
    /// Leave out what is said of documents that the collection does not have.
    #[serde(default)]
    pub lenient: bool,
}

impl DatasetRequest {
    /// Returns what is done about documents that are not there.
    pub fn absent(&self) -> Absent {
        absent(self.lenient)
    }
}

fn absent(lenient: bool) -> Absent {
    if lenient { Absent::Accept } else { Absent::Refuse }
}

/// What became of a dataset that was added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetAdded {
    /// What is kept.
    #[serde(flatten)]
    pub dataset: DatasetInfo,
    /// Judged documents that the collection does not have.
    pub unknown: usize,
    /// Questions that were left out, because nothing that answers them is there.
    pub left_out: usize,
}

/// What a version was worth on a dataset when that was measured last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionScore {
    /// The dataset.
    #[schema(value_type = String)]
    pub dataset: DatasetName,
    /// Name of the metric.
    pub metric: String,
    /// Its mean in hybrid search.
    pub mean: f64,
    /// Lower end of the 95% interval.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// Queries that were asked.
    pub queries: usize,
    /// Id of the experiment; `vellum eval show` has the rest.
    pub experiment: String,
    /// When, milliseconds since the Unix epoch.
    pub measured_ms: i64,
}

/// An order to compare two index versions on the collection's datasets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// Id of the version that may be better or worse, or its first digits; the newest that is ready when absent.
    #[serde(default)]
    pub version: Option<String>,
    /// Id of the version to compare with; the live one when absent.
    #[serde(default)]
    pub against: Option<String>,
    /// The dataset; each that the collection has when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub dataset: Option<DatasetName>,
    /// Metric that decides.
    #[serde(default = "metric")]
    #[schema(default = "ndcg_at_10")]
    pub metric: String,
    /// Count judged documents that a version does not have as not found.
    #[serde(default)]
    pub lenient: bool,
    /// Answer with events.
    #[serde(default)]
    pub stream: bool,
}

fn metric() -> String {
    METRIC.to_owned()
}

impl Default for CompareRequest {
    fn default() -> Self {
        let (version, against, dataset) = (None, None, None);
        Self { version, against, dataset, metric: metric(), lenient: false, stream: false }
    }
}

impl From<CompareRequest> for versions::CompareRequest {
    fn from(request: CompareRequest) -> Self {
        let CompareRequest { version, against, dataset, metric, lenient, .. } = request;
        Self { version, against, dataset, metric, absent: absent(lenient) }
    }
}

/// How far a comparison is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompareStep {
    /// The dataset that is being asked.
    pub dataset: String,
    /// Id of the version that is asked.
    pub version: String,
    /// Queries that were asked, of both versions and all datasets.
    pub done: usize,
    /// All of them.
    pub of: usize,
}

/// Two index versions compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Name of the collection.
    #[schema(value_type = String)]
    pub collection: CollectionName,
    /// Id of the version that was compared with.
    pub against: String,
    /// Id of the version that may be better or worse.
    pub version: String,
    /// What was found on each dataset, ascending by name.
    pub datasets: Vec<DatasetComparison>,
}

/// Two index versions compared on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetComparison {
    /// The dataset.
    #[schema(value_type = String)]
    pub dataset: DatasetName,
    /// `better`, `worse`, or `undecided` where the difference may be chance.
    pub verdict: String,
    /// The verdict with its figures, in words.
    pub sentence: String,
    /// Metric that decides.
    pub metric: String,
    /// Its mean in the version that was compared with.
    pub was: f64,
    /// Its mean in the other one.
    pub is: f64,
    /// Difference of the means; above 0 when the version is better.
    pub difference: f64,
    /// Lower end of the difference's 95% interval.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// How often chance alone makes such a difference.
    pub p: f64,
    /// Queries that were asked.
    pub queries: usize,
    /// Queries on which the version is better.
    pub won: usize,
    /// Queries on which it is worse.
    pub lost: usize,
    /// Id of the experiment on the version that was compared with.
    pub experiment_against: String,
    /// Id of the experiment on the version.
    pub experiment: String,
    /// The first 20 queries that gained, the most first.
    pub gained_most: Vec<QueryChange>,
    /// The first 20 queries that lost, the most first.
    pub lost_most: Vec<QueryChange>,
}

/// A query on which two versions differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryChange {
    /// Id.
    pub query: String,
    /// The words.
    pub text: String,
    /// Value of the metric in the version that was compared with.
    pub was: f64,
    /// Its value in the other one.
    pub is: f64,
}

impl From<Summary> for DatasetInfo {
    fn from(summary: Summary) -> Self {
        let Summary { name, queries, judged, evidence, created_ms } = summary;
        Self { name, queries, judged, evidence, created_ms }
    }
}

impl From<Added> for DatasetAdded {
    fn from(added: Added) -> Self {
        let Added { summary, unknown, left_out } = added;
        Self { dataset: summary.into(), unknown, left_out }
    }
}

impl From<Score> for VersionScore {
    fn from(score: Score) -> Self {
        Self {
            dataset: score.dataset,
            metric: metric(),
            mean: score.estimate.mean,
            low: score.estimate.low,
            high: score.estimate.high,
            queries: score.estimate.n,
            experiment: score.experiment,
            measured_ms: score.measured_ms,
        }
    }
}

impl From<Step> for CompareStep {
    fn from(step: Step) -> Self {
        let Step { dataset, version, done, of } = step;
        Self { dataset, version, done, of }
    }
}

impl Comparison {
    /// Returns what was found of a collection's versions.
    ///
    /// # Errors
    /// `Invalid` when they do not have the metric.
    pub fn new(collection: CollectionName, compared: &Compared) -> Result<Self> {
        let on = |measured: &versions::Measured| {
            let decision = measured.decision(&compared.metric)?;
            Ok::<_, Error>(DatasetComparison::new(measured.dataset.clone(), &decision))
        };
        Ok(Self {
            collection,
            against: compared.against.clone(),
            version: compared.version.clone(),
            datasets: compared.measured.iter().map(on).collect::<Result<_>>()?,
        })
    }
}

impl DatasetComparison {
    /// Returns what was found on a dataset.
    pub fn new(dataset: DatasetName, decision: &Decision<'_>) -> Self {
        let it = &decision.paired;
        let changes = |changes: &mut dyn Iterator<Item = &Change>| {
            changes.take(NAMED).map(QueryChange::from).collect()
        };
        Self {
            dataset,
            verdict: decision.verdict().to_owned(),
            sentence: decision.sentence(),
            metric: decision.metric.to_owned(),
            was: it.a,
            is: it.b,
            difference: it.difference,
            low: it.low,
            high: it.high,
            p: it.p,
            queries: it.n,
            won: it.wins,
            lost: it.losses,
            experiment_against: decision.a.id.clone(),
            experiment: decision.b.id.clone(),
            gained_most: changes(&mut decision.gained()),
            lost_most: changes(&mut decision.lost()),
        }
    }
}

impl QueryChange {
    /// Returns how much the query gained.
    pub fn gain(&self) -> f64 {
        self.is - self.was
    }
}

impl From<&Change> for QueryChange {
    fn from(change: &Change) -> Self {
        Self { query: change.query.clone(), text: change.text.clone(), was: change.a, is: change.b }
    }
}
