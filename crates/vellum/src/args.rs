//! What can be typed. Meaning is given to it by the commands.

mod eval;

pub(crate) use eval::{
    Algorithm, Compare, Datasets, Eval, EvalFiles, EvalRun, Experiments, Part, Tune,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use vellum_core::ids::{CollectionName, JobId};

/// Answers questions from your own documents and proves every answer.
///
/// Exit status: 0 yes, 1 the answer is no (nothing found, refused, documents failed), 2 could not tell.
#[derive(Debug, Parser)]
#[command(name = "vellum", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file [default: ./vellum.toml if it is there]
    #[arg(long, global = true, env = "VELLUM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where collections, vectors and jobs are kept [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// File with the password of encrypted PDFs [default: they are rejected]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<String>,
    /// error, warn, info, debug, trace or directives
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ingest, keep watching, and serve console and API
    Up(Up),
    /// Serve console and API only
    Serve(Serve),
    /// Bring a collection in line with a folder, a file, a bucket or a web site
    Ingest(Ingest),
    /// Find passages
    Search(Search),
    /// Answer a question with citations
    Ask(Ask),
    /// Show the text that is extracted from a file
    Convert(Convert),
    /// Measure retrieval and answers on a dataset in BEIR layout, and compare what was measured
    Eval(Box<Eval>),
    /// Search the settings that find best on a dataset
    Tune(Tune),
    /// Collections and their index versions
    #[command(subcommand)]
    Collection(Collection),
    /// List, show, cancel or repeat ingest jobs
    #[command(subcommand)]
    Job(Job),
    /// Check that everything that is needed works
    Check(Check),
    /// Show the settings in force
    #[command(subcommand)]
    Config(Config),
    /// Convert documents from stdin; run by vellum itself
    #[command(hide = true)]
    ConvertWorker,
}

#[derive(Debug, Args)]
pub(crate) struct CollectionArg {
    /// Collection
    #[arg(long, short, default_value = "default", value_name = "NAME")]
    pub(crate) collection: CollectionName,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArg {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Folders, files, s3://bucket/prefix (or gs://, az://) or https:// addresses, to ingest and watch
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    #[command(flatten)]
    pub(crate) collection: CollectionArg,
    #[command(flatten)]
    pub(crate) serve: Serve,
    /// Language of a new collection: ISO 639-1 code or `auto`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address of console and API [default: 127.0.0.1:7117]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) bind: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Folder, file, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or https:// address of a page, a sitemap or a list of pages
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) collection: CollectionArg,
    /// Go on following changes until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Remove what is gone from the source even when that is most of it
    #[arg(long)]
    pub(crate) prune: bool,
    /// Language of a new collection: ISO 639-1 code or `auto`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    #[command(flatten)]
    pub(crate) split: Split,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// How documents are cut.
#[derive(Debug, Args)]
pub(crate) struct Split {
    /// sentence, fixed, recursive, markdown, page or semantic
    #[arg(long, value_name = "NAME")]
    pub(crate) splitter: Option<String>,
    /// Largest chunk in tokens of the embedder
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<String>,
    /// Most tokens that are repeated from the previous chunk
    #[arg(long, value_name = "N")]
    pub(crate) overlap_tokens: Option<String>,
}

impl Split {
    /// Returns the setting, the flag and its value of each.
    pub(crate) fn flags(&self) -> [(&'static str, &'static str, &Option<String>); 3] {
        [
            ("collection.splitter", "splitter", &self.splitter),
            ("collection.max_tokens", "max-tokens", &self.max_tokens),
            ("collection.overlap_tokens", "overlap-tokens", &self.overlap_tokens),
        ]
    }
}

/// Which indexes are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Both, fused by rank
    Hybrid,
    /// Embeddings only
    Dense,
    /// BM25 only
    Sparse,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words or a question
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) collection: CollectionArg,
    /// Number of passages
    #[arg(long, short = 'k', default_value_t = 10)]
    pub(crate) top_k: usize,
    /// Which indexes are searched
    #[arg(long, default_value = "hybrid")]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) filter: FilterArg,
    #[command(flatten)]
    pub(crate) options: SearchOptions,
    /// Show what each stage saw, kept and removed
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct FilterArg {
    /// Condition, such as 'format = "pdf" and metadata.date >= 2024-01-01'
    ///
    /// Fields: document, uri, source, format, title, language (text), page, bytes (numbers), metadata.NAME. Operators: =, !=, <, <=,
    /// >, >=, in [..], in A..B, not, and, or, exists(FIELD), uri under "FOLDER".
    #[arg(long, value_name = "CONDITION")]
    pub(crate) filter: Option<String>,
}

/// How one search departs from what the collection and the settings say.
#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// How the indexes are fused
    #[arg(long)]
    pub(crate) fusion: Option<Fusion>,
    /// Weight of the embeddings
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) dense_weight: Option<f32>,
    /// Weight of the words
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) sparse_weight: Option<f32>,
    /// Results asked of each index before fusion
    #[arg(long, value_name = "N")]
    pub(crate) leg_limit: Option<usize>,
    /// Passages that the reranker reads; 0 leaves it out
    #[arg(long, value_name = "N")]
    pub(crate) rerank_depth: Option<usize>,
    /// Choose passages that differ, or, with `--mmr=false`, by relevance alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) mmr: Option<bool>,
    /// Choose passages that differ: 1 is pure relevance, 0 pure diversity
    #[arg(long, value_name = "LAMBDA")]
    pub(crate) mmr_lambda: Option<f32>,
    /// Most passages of one document
    #[arg(long, value_name = "N")]
    pub(crate) group_by_document: Option<usize>,
    /// Chunks before and after each passage that are shown with it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) neighbours: usize,
    /// Compare every chunk, also where there is an approximate index
    #[arg(long)]
    pub(crate) exact: bool,
}

/// How the indexes are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fusion {
    /// Weighted mean of scores
    Score,
    /// Weighted reciprocal ranks
    Rank,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The question
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) collection: CollectionArg,
    /// Passages to answer from [default: as the collection and the settings say]
    #[arg(long, short = 'k')]
    pub(crate) top_k: Option<usize>,
    #[command(flatten)]
    pub(crate) filter: FilterArg,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Collection {
    /// All collections
    List {
        #[command(flatten)]
        json: JsonArg,
    },
    /// One collection with the digest of its content
    Show {
        /// Collection
        #[arg(default_value = "default")]
        name: CollectionName,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Change how a collection is searched
    Set {
        /// Collection
        name: CollectionName,
        /// fusion=rank, dense_weight=0.6, sparse_weight, leg_limit, top_k, mmr, mmr_lambda or rerank_depth; NAME= is as the settings say
        #[arg(required = true, value_name = "NAME=VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Make an empty collection with the present settings
    Create {
        /// Collection
        name: CollectionName,
        #[command(flatten)]
        split: Split,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Write a collection to one file: documents, chunks, vectors, settings, datasets, opinions on answers
    Export(Export),
    /// Make a collection of an exported file
    Import(Import),
    /// The index versions of a collection
    Versions {
        /// Collection
        #[arg(default_value = "default")]
        name: CollectionName,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Build an index version with the present settings beside the live one, from the documents that it knows
    Build(Build),
    /// The datasets that versions are compared on
    #[command(subcommand)]
    Dataset(Datasets),
    /// Ask the collection's datasets of two versions; exit status 1 when the one is worse, and not by chance
    Compare(Compare),
    /// Make a complete version the live one
    Promote {
        /// Collection
        name: CollectionName,
        /// Version, or its first digits
        version: String,
        /// Go on without documents that the version could not read
        #[arg(long)]
        accept_missing: bool,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Make the version live again that was so before
    Rollback {
        /// Collection
        name: CollectionName,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Delete a collection, or one of its versions, with everything in it; sources are never touched
    Delete {
        /// Collection
        name: CollectionName,
        /// Delete this version only
        #[arg(long, value_name = "ID")]
        version: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// The newest jobs
    List {
        /// Number of jobs
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        #[command(flatten)]
        json: JsonArg,
    },
    /// What a job did, with the documents it could not read
    Show {
        /// Job
        id: JobId,
        #[command(flatten)]
        json: JsonArg,
    },
    /// End a job; what it committed stays
    Cancel {
        /// Job
        id: JobId,
    },
    /// Stop a job until it is resumed; what it committed stays
    Pause {
        /// Job
        id: JobId,
    },
    /// Let a job go on that was paused, interrupted or cancelled, or that failed
    Resume {
        /// Job
        id: JobId,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Run a job's source again: what failed is tried again, what is indexed stays
    Retry {
        /// Job
        id: JobId,
        /// Try what was rejected too, for instance after `tesseract` was installed
        #[arg(long)]
        rejected: bool,
        #[command(flatten)]
        json: JsonArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Collection
    pub(crate) name: CollectionName,
    /// The file [default: NAME.vellum]
    pub(crate) file: Option<PathBuf>,
    /// Leave the documents themselves out; their texts are in the chunks
    #[arg(long)]
    pub(crate) without_originals: bool,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file
    pub(crate) file: PathBuf,
    /// Name of the collection [default: the one that it was exported from]
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<CollectionName>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Collection
    pub(crate) name: CollectionName,
    /// Build this version again, or let it catch up with the live one
    #[arg(long, value_name = "ID", conflicts_with_all = [
        "splitter", "max_tokens", "overlap_tokens", "semantic_percentile", "context", "parent_tokens", "language"
    ])]
    pub(crate) version: Option<String>,
    #[command(flatten)]
    pub(crate) split: Split,
    /// Percentile of the differences in meaning above which `semantic` begins a chunk
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) semantic_percentile: Option<u8>,
    /// Embed and index title and headings with each chunk, or, with `--context=false`, the chunk alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) context: Option<bool>,
    /// Most tokens of the section around a chunk that answers are drawn from; 0: the chunk alone
    #[arg(long, value_name = "N")]
    pub(crate) parent_tokens: Option<usize>,
    /// Language of lexical search: ISO 639-1 code or `auto` [default: the present setting]
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// table or json
    #[arg(long, short, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Every setting with its value and where it comes from
    Show {
        #[command(flatten)]
        json: JsonArg,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
