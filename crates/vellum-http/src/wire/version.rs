//! Index versions: `/api/v1/collections/{name}/versions` and `vellum collection versions|build|promote|rollback --json`.

use super::{IngestReport, Splitter, Tuning, VersionScore};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vellum_core::collection;
use vellum_core::ids::CollectionName;
use vellum_core::ports::Missing;
use vellum_rag::versions::{Change, Promoted, VersionSummary};

/// The versions of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Oldest first.
    pub versions: Vec<VersionInfo>,
}

/// Where an index version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// Not, or not again, complete.
    Building,
    /// Complete, and never live.
    Ready,
    /// Searched, and brought in line with sources.
    Live,
    /// Was live.
    Retired,
}

/// An index version: what it is made by, and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// Id: a digest of its settings.
    pub version: String,
    /// State.
    pub state: VersionState,
    /// Indexed documents.
    pub documents: u64,
    /// Stored chunks.
    pub chunks: u64,
    /// Documents that came, changed or went since it was built; building again brings them.
    pub behind: u64,
    /// Documents that the live version has and this one could not read.
    pub missing: u64,
    /// Name of the embedder that makes the vectors.
    pub embedder: String,
    /// Version of the extraction.
    pub converter: String,
    /// How documents are cut.
    pub splitter: Splitter,
    /// Language of the lexical index; null until it is settled, or where it has no analyser.
    pub language: Option<String>,
    /// How it is searched where that differs from the settings: as it says, or, where it says nothing, as the live one.
    #[serde(default)]
    pub retrieval: Tuning,
    /// Creation time, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was complete, milliseconds since the Unix epoch; else null.
    pub built_ms: Option<i64>,
    /// When it was promoted last, milliseconds since the Unix epoch; null when it never was.
    pub live_ms: Option<i64>,
    /// What it was worth on each dataset when that was measured last, ascending by dataset.
    #[serde(default)]
    pub scores: Vec<VersionScore>,
}

/// An order to build a version: that of `version`, or one with the server's settings and these changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// Id of a version that is there, or its first digits: it is built again, or catches up with the live one.
    #[serde(default)]
    pub version: Option<String>,
    /// Name of the splitter.
    #[serde(default)]
    pub splitter: Option<String>,
    /// Largest chunk in tokens.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// Tokens repeated from the previous chunk.
    #[serde(default)]
    pub overlap_tokens: Option<usize>,
    /// Percentile of the differences in meaning above which `semantic` begins a chunk.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 99)]
    pub semantic_percentile: Option<u8>,
    /// Whether title and headings are embedded and indexed with each chunk.
    #[serde(default)]
    pub context: Option<bool>,
    /// Most tokens of the section around a chunk that answers are drawn from; 0 where that is the chunk alone.
    #[serde(default)]
    pub parent_tokens: Option<usize>,
    /// Language of lexical search: an ISO 639-1 code, or `auto`.
    #[serde(default)]
    pub language: Option<String>,
    /// How it is searched once it is live. Absent: a new version takes over what is set for the live one when it is promoted.
    #[serde(default)]
    pub retrieval: Option<Tuning>,
}

impl BuildRequest {
    /// Returns the changes that are asked for.
    pub fn change(&self) -> Change {
        Change {
            splitter: self.splitter.clone(),
            max_tokens: self.max_tokens,
            overlap_tokens: self.overlap_tokens,
            semantic_percentile: self.semantic_percentile,
            context: self.context,
            parent_tokens: self.parent_tokens,
            language: self.language.clone(),
            retrieval: self.retrieval.clone().map(Into::into),
        }
    }
}

/// An order to make a version the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Id of the version, or its first digits.
    pub version: String,
    /// Go on without documents that the version could not read.
    #[serde(default)]
    pub accept_missing: bool,
}

impl PromoteRequest {
    /// Returns what is done about missing documents.
    pub fn missing(&self) -> Missing {
        if self.accept_missing { Missing::Accept } else { Missing::Refuse }
    }
}

/// The version that is live now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromoteReport {
    /// The version.
    #[serde(flatten)]
    pub version: VersionInfo,
    /// What was known against it: datasets on which it was measured worse than the one before, and not by chance.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl From<Promoted> for PromoteReport {
    fn from(promoted: Promoted) -> Self {
        let worse = |doubt| format!("measured worse than the version that was live {doubt}");
        Self {
            version: promoted.summary.into(),
            warnings: promoted.doubts.into_iter().map(worse).collect(),
        }
    }
}

/// An order to make an empty collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionRequest {
    /// Name.
    #[schema(value_type = String)]
    pub name: CollectionName,
}

/// What `vellum collection build --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildReport {
    /// The version that was built.
    #[serde(flatten)]
    pub version: VersionInfo,
    /// What became of each document.
    pub report: IngestReport,
}

impl From<VersionSummary> for VersionInfo {
    fn from(summary: VersionSummary) -> Self {
        let version = summary.version;
        let state = match version.state() {
            collection::VersionState::Building => VersionState::Building,
            collection::VersionState::Ready => VersionState::Ready,
            collection::VersionState::Live => VersionState::Live,
            collection::VersionState::Retired => VersionState::Retired,
        };
        let seen = version.collection;
        Self {
            version: seen.version(),
            state,
            documents: summary.documents,
            chunks: summary.chunks,
            behind: summary.lag.behind,
            missing: summary.lag.missing,
            embedder: seen.settings.embedder,
            converter: seen.settings.converter,
            splitter: (&seen.settings.splitter).into(),
            language: seen.sparse.map_or(seen.language, |sparse| sparse.language),
            retrieval: seen.tuning.into(),
            created_ms: seen.created_ms,
            built_ms: version.built_ms,
            live_ms: version.live_ms,
            scores: summary.scores.into_iter().map(Into::into).collect(),
        }
    }
}

impl VersionState {
    /// Returns the name, in lowercase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }
}
