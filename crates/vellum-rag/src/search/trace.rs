//! What each stage of a search saw, kept and removed, and why.
//!
//! A search that is not asked to explain itself records only how long each stage took, and what went wrong.

use crate::app::App;
use std::collections::HashSet;
use std::time::Duration;
use vellum_core::ids::ChunkId;
use vellum_core::ports::ScoredId;

/// Chunks that are named of those that a stage kept, and of those that it removed.
pub const MAX_NAMED: usize = 100;

/// Time spent by stage.
pub type Timings = Vec<(&'static str, Duration)>;

/// A chunk that a stage removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// The chunk.
    pub id: ChunkId,
    /// Its score before the stage.
    pub score: f32,
    /// Why, for people.
    pub reason: String,
}

/// What one stage did.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// `dense`, `sparse`, `fuse`, `fetch`, `rerank`, `group`, `mmr`, `cut`, `neighbours`.
    pub name: &'static str,
    /// Candidates that came in; for a leg the results that were asked for.
    pub seen: usize,
    /// Candidates that went out.
    pub kept: usize,
    /// Those that went out, best first, with the stage's score; the first 100.
    pub scores: Vec<ScoredId>,
    /// Those that did not, best first; the first 100.
    pub removed: Vec<Removed>,
    /// What the stage did, in a few words; empty where its name says all.
    pub note: String,
    /// Time spent. Legs run at the same time.
    pub time: Duration,
}

/// The stages of a search, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// The filter in force, as text; `None` without one.
    pub filter: Option<String>,
    /// Stages.
    pub stages: Vec<Stage>,
}

/// Records a search as it goes.
pub(super) struct Recorder<'a> {
    app: &'a App,
    last: Duration,
    pub(super) timings: Timings,
    pub(super) notes: Vec<String>,
    pub(super) trace: Option<Trace>,
}

impl<'a> Recorder<'a> {
    pub(super) fn start(app: &'a App, explain: bool) -> Self {
        Self {
            app,
            last: app.clock.elapsed(),
            timings: Vec::new(),
            notes: Vec::new(),
            trace: explain.then(Trace::default),
        }
    }

    /// Returns the time since the last lap, which ends here.
    pub(super) fn lap(&mut self) -> Duration {
        let now = self.app.clock.elapsed();
        let since = now.saturating_sub(self.last);
        self.last = now;
        since
    }

    /// Ends a lap of the timings.
    pub(super) fn timed(&mut self, name: &'static str) -> Duration {
        let time = self.lap();
        self.timings.push((name, time));
        time
    }

    /// Notes what a caller should know even without a trace: the search did less than it was asked to.
    pub(super) fn degraded(&mut self, note: String) {
        tracing::warn!(note, "searched with less");
        self.notes.push(note);
    }

    /// Adds a stage, made only where somebody asked for it.
    pub(super) fn stage(&mut self, stage: impl FnOnce() -> Stage) {
        if let Some(trace) = &mut self.trace {
            trace.stages.push(stage());
        }
    }
}

impl Stage {
    /// Returns a stage that took `before` and gave `after`, both best first; `reason` tells why one is gone.
    pub(super) fn between(
        name: &'static str,
        before: &[ScoredId],
        after: &[ScoredId],
        reason: impl Fn(&ScoredId) -> String,
        time: Duration,
    ) -> Self {
        let left: HashSet<ChunkId> = after.iter().map(|candidate| candidate.id).collect();
        let gone = before.iter().filter(|candidate| !left.contains(&candidate.id));
        let removed = gone.take(MAX_NAMED).map(|candidate| Removed {
            id: candidate.id,
            score: candidate.score,
            reason: reason(candidate),
        });
        Self {
            name,
            seen: before.len(),
            kept: after.len(),
            scores: after.iter().take(MAX_NAMED).copied().collect(),
            removed: removed.collect(),
            note: String::new(),
            time,
        }
    }
}
