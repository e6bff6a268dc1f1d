//! What can be typed. Meaning is given to it by the commands.

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
    /// Bring a collection in line with a folder, a file or a bucket
    Ingest(Ingest),
    /// Find passages
    Search(Search),
    /// Answer a question with citations
    Ask(Ask),
    /// Show the text that is extracted from a file
    Convert(Convert),
    /// Measure retrieval and answers on a dataset in BEIR layout
    Eval(Eval),
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
    /// Folders, files, s3://bucket/prefix or https:// addresses, to ingest and watch
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
    /// Folder, file, s3://bucket/prefix, or https:// address of a page, a sitemap or a list of pages
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
    pub(crate) json: JsonArg,
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
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The question
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) collection: CollectionArg,
    /// Passages to answer from
    #[arg(long, short = 'k', default_value_t = 8)]
    pub(crate) top_k: usize,
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

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// Folder with corpus.jsonl, queries.jsonl and qrels/test.tsv
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Which indexes are searched [default: each]
    #[arg(long)]
    pub(crate) mode: Option<Mode>,
    /// Write the ranking in TREC run format (of the first mode)
    #[arg(long, value_name = "FILE")]
    pub(crate) run: Option<PathBuf>,
    /// Language of the dataset: ISO 639-1 code or `auto`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
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
    /// Make an empty collection with the present settings
    Create {
        /// Collection
        name: CollectionName,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Write a collection to one file: documents, chunks, vectors, settings
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
    #[arg(long, value_name = "ID", conflicts_with_all = ["max_tokens", "overlap_tokens", "language"])]
    pub(crate) version: Option<String>,
    /// Largest chunk in tokens [default: the present setting]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Tokens repeated from the previous chunk [default: the present setting]
    #[arg(long, value_name = "N")]
    pub(crate) overlap_tokens: Option<usize>,
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
