//! What can be typed of measuring and tuning.

use super::{CollectionArg, JsonArg, Mode, Split};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use vellum_core::ids::{CollectionName, DatasetName};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Eval {
    #[command(subcommand)]
    pub(crate) action: Option<Experiments>,
    #[command(flatten)]
    pub(crate) run: EvalRun,
}

#[derive(Debug, Args)]
pub(crate) struct EvalRun {
    /// Folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, and spans.jsonl where evidence is known
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) dataset: Option<PathBuf>,
    /// Which indexes are searched [default: each]
    #[arg(long)]
    pub(crate) mode: Option<Mode>,
    /// Cut-offs of the metrics, 1 to 100; 5, 10 and 100 are always among them
    #[arg(
        long = "k",
        value_name = "K,...",
        value_delimiter = ',',
        default_value = "1,3,5,10,100",
        value_parser = clap::value_parser!(u16).range(1..=100)
    )]
    pub(crate) cutoffs: Vec<u16>,
    /// Name to find the experiment by later
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Compare with an earlier experiment (id, name or file); exit status 1 when this one is worse
    #[arg(long, value_name = "EXPERIMENT")]
    pub(crate) baseline: Option<String>,
    /// Metric that the comparison is decided by
    #[arg(long, value_name = "METRIC", default_value = DECIDING)]
    pub(crate) metric: String,
    /// Write the ranking in TREC run format (of the first mode)
    #[arg(long, value_name = "FILE")]
    pub(crate) run: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: EvalFiles,
    /// Language of the dataset: ISO 639-1 code or `auto`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    /// Ingest anew, also where the same dataset was ingested with the same settings before
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) split: Split,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// Metric that a comparison is decided by.
const DECIDING: &str = "ndcg_at_10";

/// Files that an experiment is written to.
#[derive(Debug, Args)]
pub(crate) struct EvalFiles {
    /// Write a report as one page of HTML with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write the values of each query as a table
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Experiments {
    /// What was measured before
    List {
        #[command(flatten)]
        json: JsonArg,
    },
    /// One experiment
    Show {
        /// Id, first digits of it, name, or file
        experiment: String,
        #[command(flatten)]
        files: EvalFiles,
        #[command(flatten)]
        json: JsonArg,
    },
    /// What the second experiment changed; exit status 1 when it is worse, and not by chance
    Compare {
        /// The one to compare with: id, first digits of it, name, or file
        a: String,
        /// The one that may be better or worse
        b: String,
        /// Metric that decides
        #[arg(long, value_name = "METRIC", default_value = DECIDING)]
        metric: String,
        /// Part that decides [default: hybrid, or the first that both have]
        #[arg(long)]
        part: Option<Part>,
        /// Write a report as one page of HTML with plots
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Write what people thought of answers as a dataset
    Export {
        /// A new folder
        dir: PathBuf,
        #[command(flatten)]
        collection: CollectionArg,
    },
    /// Remove an experiment
    Delete {
        /// Id, first digits of it, or name
        experiment: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Datasets {
    /// Keep a dataset for a collection: its queries.jsonl, qrels/test.tsv and spans.jsonl; documents by uri or file name
    Add {
        /// Collection
        collection: CollectionName,
        /// Folder of the dataset; a corpus.jsonl in it is not looked at
        dir: PathBuf,
        /// Name of the dataset [default: that of the folder]
        #[arg(long, value_name = "NAME")]
        name: Option<DatasetName>,
        /// Leave out what is said of documents that the collection does not have
        #[arg(long)]
        lenient: bool,
        #[command(flatten)]
        json: JsonArg,
    },
    /// The datasets of a collection; `feedback` is what people thought of answers
    List {
        /// Collection
        #[arg(default_value = "default")]
        collection: CollectionName,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Remove a dataset, and what versions were worth on it
    Remove {
        /// Collection
        collection: CollectionName,
        /// Dataset
        name: DatasetName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Collection
    pub(crate) name: CollectionName,
    /// The version that may be better or worse, or its first digits [default: the newest that is ready]
    pub(crate) version: Option<String>,
    /// The version to compare with [default: the live one]
    #[arg(long, value_name = "VERSION")]
    pub(crate) against: Option<String>,
    /// Ask this dataset only
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// Metric that decides, such as ndcg_at_10, recall_at_5 or evidence_recall_at_5
    #[arg(long, value_name = "METRIC", default_value = DECIDING)]
    pub(crate) metric: String,
    /// Count judged documents that a version does not have as not found
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Write a report as one page of HTML with plots; needs a single dataset
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// What is measured of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Hybrid,
    Dense,
    Sparse,
    Answers,
}

/// How trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// Every combination
    Grid,
    /// Each drawn anew
    Random,
    /// Where trials so far were good (tree-structured Parzen estimators)
    Tpe,
}

impl From<Algorithm> for vellum_rag::tune::sample::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Grid => Self::Grid,
            Algorithm::Random => Self::Random,
            Algorithm::Tpe => Self::Tpe,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// Folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, and spans.jsonl where evidence is known
    #[arg(long, value_name = "DIR", required_unless_present_any = ["render_katib", "study"])]
    pub(crate) dataset: Option<PathBuf>,
    /// TOML file with the settings to search, each as { min, max, step, log } or { list }
    #[arg(long, value_name = "FILE", required_unless_present_any = ["trial_settings", "study"])]
    pub(crate) space: Option<PathBuf>,
    /// How trials are chosen
    #[arg(long, default_value = "tpe")]
    pub(crate) algorithm: Algorithm,
    /// Trials besides that of the settings in force [default: 30, or all of a grid]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) trials: Option<u16>,
    /// Seed of the trials and of the choice of queries; the same gives the same study
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Trials at a time; 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(crate) jobs: u16,
    /// Metric to raise, such as ndcg_at_10, evidence_recall_at_5 or, of what an answer is made from, evidence_iou_at_top_k
    #[arg(long, value_name = "METRIC", default_value = "ndcg_at_10")]
    pub(crate) metric: String,
    /// Share of the queries that only the winner is asked
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    pub(crate) held_out: f64,
    /// Ask every query in every trial, also where it is behind the median of the others
    #[arg(long, conflicts_with_all = ["trial_settings", "render_katib"])]
    pub(crate) no_stopping: bool,
    /// Write a report as one page of HTML with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Save the winner to a collection: as a new index version, or, where it cuts as the live one does, as how that is searched
    #[arg(long, value_name = "COLLECTION", conflicts_with_all = ["trial_settings", "render_katib", "katib"])]
    pub(crate) save: Option<CollectionName>,
    /// Save the winner of this study, which is over, without running anything
    #[arg(long, value_name = "ID", requires = "save", conflicts_with_all = ["dataset", "space", "trials", "report"])]
    pub(crate) study: Option<String>,
    /// Save a winner that is not known to be better, or that was measured with other settings in force
    #[arg(long, requires = "save")]
    pub(crate) force: bool,
    /// Print metrics as `name=value` lines, as Katib collects them
    #[arg(long, conflicts_with = "json")]
    pub(crate) katib: bool,
    /// Measure these settings only, as a trial of Katib does: path=value,...
    #[arg(long, value_name = "SETTINGS", conflicts_with_all = ["trials", "jobs", "report"])]
    pub(crate) trial_settings: Option<String>,
    /// Print the study as a Katib experiment in YAML instead of running it
    #[arg(long, conflicts_with_all = ["trial_settings", "json", "katib", "report"])]
    pub(crate) render_katib: bool,
    /// Image that trials of Katib run
    #[arg(long, value_name = "IMAGE", default_value = "vellum:latest", requires = "render_katib")]
    pub(crate) image: String,
    /// Volume claim that holds the dataset for trials of Katib
    #[arg(long, value_name = "CLAIM", default_value = "vellum-dataset", requires = "render_katib")]
    pub(crate) dataset_claim: String,
    /// Language of the dataset: ISO 639-1 code or `auto`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// Reads a share of the queries.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.05..=0.95).contains(share));
    share.ok_or_else(|| "must be in 0.05 to 0.95".to_owned())
}
