//! An experiment: what one set of settings is worth on one dataset, with the value of every metric for every query.
//!
//! [`measure`] makes one over an index that is there already, so that trials which change only how is searched need no
//! second ingest; [`crate::versions::compare()`] makes some of versions of a collection. Experiments are kept as JSON files; this is their layout, too.

use super::dataset::{Dataset, Query};
use super::metrics::{self, Values};
use super::run::{self, Names, Ranking, Target};
use super::spans::{self, Passage};
use super::stats::{self, Estimate};
use crate::app::{App, RetrievalSettings};
use crate::collections;
use crate::search::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use vellum_core::access::Pass;
use vellum_core::collection::IndexSettings;
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};

/// Version of the layout that this build reads and writes.
const FORMAT: u32 = 1;
/// Name of the part that holds what answers are worth; the others are modes of retrieval.
pub const ANSWERS: &str = "answers";
/// The parts in the order of reports.
pub const PARTS: [&str; 4] = ["hybrid", "dense", "sparse", ANSWERS];
/// How the name of a metric ends that is of as many passages as an answer is made from.
pub(crate) const AT_TOP_K: &str = "_at_top_k";
/// Documents of each ranking that are kept, for those who look at a difference.
const FIRST: usize = 3;

/// What was measured, with what, on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Version of this structure; 1.
    pub format: u32,
    /// 8 hexadecimal digits of the hash of all the rest.
    pub id: String,
    /// Name that its maker gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of vellum.
    pub version: String,
    /// When, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// On what.
    pub dataset: About,
    /// Of which version of a collection; `None` where the corpus of the dataset was indexed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// With what.
    pub setup: Setup,
    /// 16 hexadecimal digits that identify `setup`.
    pub setup_digest: String,
    /// Chunks that the corpus became.
    pub chunks: u64,
    /// Language of the corpus, where one is known.
    pub language: Option<String>,
    /// Judged queries and, where answers were made, all others, in the order of the dataset.
    pub queries: Vec<Asked>,
    /// By mode of retrieval, and [`ANSWERS`].
    pub parts: BTreeMap<String, Part>,
}

/// A version of a collection that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Name of the collection.
    pub collection: CollectionName,
    /// Id of the index version.
    pub version: String,
}

/// The dataset of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Name of its folder, or that under which the collection has it.
    pub name: String,
    /// Hash of its files, or of its queries where a collection has it.
    pub digest: String,
    /// Number of documents.
    pub documents: usize,
    /// Number of judged queries.
    pub queries: usize,
}

/// The settings that decide what is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// How the corpus was indexed.
    pub index: IndexSettings,
    /// Language that was asked for; `None` means detected.
    pub language: Option<String>,
    /// How the index was searched.
    pub retrieval: RetrievalSettings,
}

/// A query of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Id.
    pub id: String,
    /// The words.
    pub text: String,
}

/// What one mode of retrieval, or answering, is worth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Mean and interval by metric, over the queries that have a value.
    pub means: BTreeMap<String, Estimate>,
    /// Values by metric, one for each query of the experiment; `None` where the metric means nothing.
    pub values: BTreeMap<String, Vec<Option<f64>>>,
    /// First documents of the ranking of each query of the experiment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Vec<String>>,
    /// How long each search took, in milliseconds, ascending. Searches ran one after the other and fetched 300 passages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latencies_ms: Vec<f64>,
}

/// Percentiles of search times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the searches took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Modes of retrieval.
    pub modes: Vec<Mode>,
    /// Cut-offs of metrics, each in 1 to [`run::DEPTH`].
    pub cutoffs: Vec<usize>,
    /// Passages that answers are made from; `None` makes none. Needs a dataset with evidence.
    pub answers: Option<usize>,
}

/// Hears of progress: the part, queries done, queries in all.
pub type Progress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// Measures `retrieval` on the index that the pass's collection holds of the dataset.
///
/// Returns the experiment and the rankings of each mode, in the order of the plan. Everything but times is the same
/// whenever it runs. The collection is only read.
///
/// # Errors
/// `Invalid` for a cut-off out of bounds; what search and answers fail with.
pub async fn measure(
    app: &App,
    pass: &Pass,
    dataset: &Dataset,
    retrieval: &RetrievalSettings,
    plan: &Plan,
    progress: Progress<'_>,
) -> Result<(Experiment, Vec<Vec<Ranking>>)> {
    let app = &app.with_retrieval(*retrieval);
    let (seen, at) = collections::live(app, pass).await?;
    let target = Target { app, at: &at, seen: &seen, names: Names::File };
    let about = About {
        name: dataset.name.clone(),
        digest: dataset.digest.clone(),
        documents: dataset.corpus.len(),
        queries: dataset.judged().count(),
    };
    let answers = plan.answers.filter(|_| dataset.has_evidence()).map(|top_k| (pass, top_k));
    measure_in(target, about, &dataset.queries, plan, answers, progress).await
}

/// As [`measure`], of a target. Answers are made where there is a pass to ask with, from so many passages.
///
/// # Errors
/// As [`measure`].
pub(crate) async fn measure_in(
    target: Target<'_>,
    dataset: About,
    queries: &[Query],
    plan: &Plan,
    answers: Option<(&Pass, usize)>,
    progress: Progress<'_>,
) -> Result<(Experiment, Vec<Vec<Ranking>>)> {
    check_cutoffs(&plan.cutoffs)?;
    let Target { app, at, seen, names } = target;
    let judged: Vec<&Query> = queries.iter().filter(|query| !query.judgements.is_empty()).collect();
    let asked: Vec<&Query> = match answers {
        Some(_) => queries.iter().collect(),
        None => judged.clone(),
    };
    let mut parts = BTreeMap::new();
    let mut rankings = Vec::new();
    for mode in &plan.modes {
        let name = mode.as_str();
        let done = AtomicUsize::new(0);
        let tick = || progress(name, done.fetch_add(1, Ordering::Relaxed) + 1, judged.len());
        let ranked = run::rank(target, &judged, *mode, &tick).await?;
        parts.insert(name.to_owned(), retrieval_part(&asked, &ranked, &plan.cutoffs));
        rankings.push(ranked);
    }
    if let Some((pass, top_k)) = answers {
        let done = AtomicUsize::new(0);
        let tick = || progress(ANSWERS, done.fetch_add(1, Ordering::Relaxed) + 1, asked.len());
        let given = run::ask_all(app, pass, queries, top_k, &tick).await?;
        let scores =
            asked.iter().zip(&given).map(|(query, answer)| run::score_answer(query, answer));
        parts.insert(ANSWERS.to_owned(), part(scores.collect()));
    }
    let summary = collections::summary_in(app, at, seen.clone()).await?;
    let subject = Subject { collection: seen.name.clone(), version: seen.version() };
    let setup = Setup {
        index: summary.collection.settings,
        language: summary.collection.language,
        retrieval: app.settings.retrieval.with(&seen.tuning),
    };
    let experiment = Experiment {
        format: FORMAT,
        id: String::new(),
        name: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_ms: app.clock.unix_ms(),
        dataset,
        subject: (names == Names::Uri).then_some(subject),
        setup_digest: digest(&setup, 16),
        setup,
        chunks: summary.chunks,
        language: summary.collection.sparse.and_then(|sparse| sparse.language),
        queries: asked
            .into_iter()
            .map(|query| Asked { id: query.id.clone(), text: query.text.clone() })
            .collect(),
        parts,
    };
    Ok((experiment.with_id(), rankings))
}

fn check_cutoffs(cutoffs: &[usize]) -> Result<()> {
    match cutoffs.iter().find(|k| !(1..=run::DEPTH).contains(*k)) {
        None => Ok(()),
        Some(k) => {
            let message = format!("cut-off {k} is not in 1 to {}", run::DEPTH);
            Err(Error::new(ErrorKind::Invalid, message))
        }
    }
}

/// Scores the rankings of judged queries, at the places of those queries among all that are asked.
fn retrieval_part(asked: &[&Query], rankings: &[Ranking], cutoffs: &[usize]) -> Part {
    let mut left = rankings.iter().peekable();
    let mut scores = Vec::with_capacity(asked.len());
    let mut first = Vec::with_capacity(asked.len());
    for query in asked {
        let Some(ranking) = left.next_if(|ranking| ranking.query == query.id) else {
            scores.push(Values::new());
            first.push(Vec::new());
            continue;
        };
        scores.push(score(query, ranking, cutoffs));
        first.push(ranking.documents.iter().take(FIRST).map(|(id, _)| id.clone()).collect());
    }
    let mut latencies_ms: Vec<f64> =
        rankings.iter().map(|ranking| (ranking.took.as_secs_f64() * 1e6).round() / 1e3).collect();
    latencies_ms.sort_unstable_by(f64::total_cmp);
    Part { first, latencies_ms, ..part(scores) }
}

/// Returns every metric of a ranking at every cut-off; those of evidence where there is some.
pub(crate) fn score(query: &Query, ranking: &Ranking, cutoffs: &[usize]) -> Values {
    let ids: Vec<String> = ranking.documents.iter().map(|(id, _)| id.clone()).collect();
    let mut values = metrics::score(&ids, &query.judgements, cutoffs);
    values.extend(spans::score(&ranking.passages, &query.evidence, cutoffs));
    values
}

/// Returns the metrics of the passages that an answer is made from, all of them: `evidence_recall_at_top_k` and the like.
pub(crate) fn score_handed(query: &Query, passages: &[Passage]) -> Values {
    let all = passages.len();
    let values = spans::score(passages, &query.evidence, &[all]);
    let number = format!("_at_{all}");
    let named = |name: &str| format!("{}{AT_TOP_K}", name.trim_end_matches(&number));
    values.into_iter().map(|(name, value)| (named(&name), value)).collect()
}

/// Turns the values of each query into those of each metric, with their means.
fn part(scores: Vec<Values>) -> Part {
    let n = scores.len();
    let mut values: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for (index, score) in scores.into_iter().enumerate() {
        for (metric, value) in score {
            values.entry(metric).or_insert_with(|| vec![None; n])[index] = Some(rounded(value));
        }
    }
    let mean = |values: &Vec<Option<f64>>| {
        let known: Vec<f64> = values.iter().copied().flatten().collect();
        let Estimate { mean, low, high, n } = stats::estimate(&known);
        Estimate { mean: rounded(mean), low: rounded(low), high: rounded(high), n }
    };
    let means = values.iter().map(|(metric, values)| (metric.clone(), mean(values))).collect();
    Part { means, values, ..Part::default() }
}

/// Rounds to six decimals: differences below are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn digest(value: &impl Serialize, digits: usize) -> String {
    let canonical = serde_json::to_vec(value).expect("plain structs always serialise");
    blake3::hash(&canonical).to_hex()[..digits].to_owned()
}

impl Part {
    /// Returns percentiles of the search times; `None` where none were kept.
    pub fn latency(&self) -> Option<Latency> {
        let at = |q| rounded(stats::percentile(&self.latencies_ms, q));
        (!self.latencies_ms.is_empty()).then(|| Latency {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        })
    }
}

impl Experiment {
    /// Returns the experiment with a name and the id that follows from it.
    #[must_use]
    pub fn named(self, name: Option<String>) -> Self {
        Self { name, ..self }.with_id()
    }

    fn with_id(self) -> Self {
        let bare = Self { id: String::new(), ..self };
        Self { id: digest(&bare, 8), ..bare }
    }

    /// Returns the experiment as a JSON document.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain structs always serialise")
    }

    /// Reads an experiment.
    ///
    /// # Errors
    /// `TooNew` when a newer version wrote it; `Corrupt` when it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let corrupt =
            |error| Error::new(ErrorKind::Corrupt, "this is not an experiment").with_source(error);
        let Format { format } = serde_json::from_slice(bytes).map_err(corrupt)?;
        if format > FORMAT {
            let message = format!("the experiment has format {format}; up to {FORMAT} is read");
            return Err(Error::new(ErrorKind::TooNew, message).with_hint("upgrade vellum"));
        }
        serde_json::from_slice(bytes).map_err(corrupt)
    }

    /// Returns the parts, in the order of reports.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Part)> {
        PARTS.into_iter().filter_map(|name| Some((name, self.parts.get(name)?)))
    }
}
