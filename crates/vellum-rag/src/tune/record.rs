//! What a study writes down: enough to go on after a kill at any moment, and to tell the result again.
//!
//! ```text
//! study      what is searched, on what, how; the first record
//! started    a trial with its settings, before it begins
//! rung       its mean over the first queries
//! ended      what became of it
//! confirmed  the winner beside the settings in force, on queries that the search never saw
//! ```
//!
//! A trial that was started and never ended is run again. Records are kept in the order in which they were made, one
//! JSON document a line; a record is durable before the study acts on it, a rung with the record after it.

use super::parameters::Assignment;
use super::sample::Algorithm;
use super::stop;
use crate::eval::stats::Paired;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vellum_core::{Error, ErrorKind, Result};

/// Version of the records.
const VERSION: u32 = 1;

/// What makes two studies the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    version: u32,
    /// Digest of the dataset.
    pub dataset: String,
    /// Digest of the space.
    pub space: String,
    /// Digest of the settings in force and of the models.
    pub base: String,
    /// How trials are chosen.
    pub algorithm: Algorithm,
    /// Seed of trials and of the split of queries.
    pub seed: u64,
    /// What is measured.
    pub metric: String,
    /// Share of the queries that the search does not see.
    pub held_out: f64,
    /// Whether trials behind the median are stopped; written only where they are not, as in journals from before.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub stopping: bool,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_yes(value: &bool) -> bool {
    *value
}

impl Identity {
    /// Returns the identity of a study; digests first, as in the fields.
    pub fn new(
        [dataset, space, base]: [String; 3],
        (algorithm, seed): (Algorithm, u64),
        metric: &str,
        held_out: f64,
    ) -> Self {
        Self {
            version: VERSION,
            dataset,
            space,
            base,
            algorithm,
            seed,
            metric: metric.to_owned(),
            held_out,
            stopping: true,
        }
    }

    /// Returns the study in which every trial is asked every query.
    #[must_use]
    pub fn without_stopping(self) -> Self {
        Self { stopping: false, ..self }
    }

    /// Returns 16 hexadecimal digits that name the study.
    pub fn id(&self) -> String {
        let text = serde_json::to_vec(self).expect("plain structs always serialise");
        blake3::hash(&text).to_hex()[..16].to_owned()
    }
}

/// A step of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The study begins.
    Study(Identity),
    /// A trial begins.
    Started {
        /// Its number; 0 has the settings in force.
        trial: usize,
        /// What differs from the settings in force.
        settings: Assignment,
    },
    /// A trial was asked some of the queries.
    Rung {
        /// Its number.
        trial: usize,
        /// How many.
        queries: usize,
        /// Mean over them.
        value: f64,
    },
    /// A trial ended.
    Ended {
        /// Its number.
        trial: usize,
        /// How.
        end: End,
    },
    /// The winner was compared with the settings in force on the queries that were held out.
    Confirmed {
        /// The winner.
        trial: usize,
        /// `a` is with the settings in force, `b` with the winner's.
        paired: Paired,
    },
}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum End {
    /// It was asked every query.
    Done(Measured),
    /// It fell behind; `value` is the mean over the `queries` that it was asked.
    Stopped {
        /// Mean.
        value: f64,
        /// Queries asked.
        queries: usize,
        /// What it took.
        cost: Cost,
    },
    /// It could not be measured.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a trial reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Mean of the metric; higher is better.
    pub value: f64,
    /// 95th percentile of the time of a search, in milliseconds.
    pub latency_p95_ms: f64,
    /// Size of the index on disk.
    pub index_bytes: u64,
    /// Chunks in it.
    pub chunks: u64,
    /// What it took.
    pub cost: Cost,
}

/// What a trial took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds to make the index; `None` where a trial before it had made it.
    pub index_s: Option<f64>,
    /// Chunks that were embedded for it; the others were known.
    pub embedded: u64,
    /// Seconds to ask the queries, time waited for the index left out.
    pub queries_s: f64,
    /// Queries asked.
    pub queries: usize,
}

/// A trial as far as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// What differs from the settings in force.
    pub settings: Assignment,
    /// Means by the number of queries they are over.
    pub rungs: BTreeMap<usize, f64>,
    /// What became of it; `None` while it runs.
    pub end: Option<End>,
}

impl Trial {
    /// Returns what it reached, if it was asked every query.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.end {
            Some(End::Done(measured)) => Some(measured),
            Some(End::Stopped { .. } | End::Failed { .. }) | None => None,
        }
    }

    /// Returns what it took, if it ended and did not fail.
    pub fn cost(&self) -> Option<&Cost> {
        match &self.end {
            Some(End::Done(Measured { cost, .. }) | End::Stopped { cost, .. }) => Some(cost),
            Some(End::Failed { .. }) | None => None,
        }
    }
}

/// A study as far as its records tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Study {
    /// What it is.
    pub identity: Option<Identity>,
    /// Trials by number.
    pub trials: Vec<Trial>,
    /// The winner's number with its comparison; `None` until the search is over.
    pub confirmed: Option<(usize, Paired)>,
}

impl Study {
    /// Returns the study that `records` tell of.
    ///
    /// # Errors
    /// What [`Study::apply`] fails with.
    pub fn replay(records: &[Record]) -> Result<Self> {
        let mut study = Self::default();
        for record in records {
            study.apply(record)?;
        }
        Ok(study)
    }

    /// Takes a record in.
    ///
    /// # Errors
    /// `Corrupt` for a record of a trial that was not started or of a second study.
    pub fn apply(&mut self, record: &Record) -> Result<()> {
        let corrupt = |what: String| Err(Error::new(ErrorKind::Corrupt, what));
        match record {
            Record::Study(identity) => match &self.identity {
                Some(known) if known != identity => {
                    return corrupt("the journal holds two studies".to_owned());
                }
                _ => self.identity = Some(identity.clone()),
            },
            Record::Started { trial, settings } => {
                if *trial > self.trials.len() {
                    return corrupt(format!(
                        "trial {trial} began before trial {}",
                        self.trials.len()
                    ));
                }
                if *trial == self.trials.len() {
                    self.trials.push(Trial::default());
                }
                self.trials[*trial] = Trial { settings: settings.clone(), ..Trial::default() };
                // A winner was the best of fewer trials.
                self.confirmed = None;
            }
            Record::Rung { trial, queries, value } => {
                self.trial(*trial)?.rungs.insert(*queries, *value);
            }
            Record::Ended { trial, end } => self.trial(*trial)?.end = Some(end.clone()),
            Record::Confirmed { trial, paired } => {
                self.trial(*trial)?;
                self.confirmed = Some((*trial, *paired));
            }
        }
        Ok(())
    }

    fn trial(&mut self, number: usize) -> Result<&mut Trial> {
        let missing = || Error::new(ErrorKind::Corrupt, format!("trial {number} never began"));
        self.trials.get_mut(number).ok_or_else(missing)
    }

    /// Returns the trials that were asked every query, with their numbers.
    pub fn finished(&self) -> impl Iterator<Item = (usize, &Trial, &Measured)> {
        let numbered = self.trials.iter().enumerate();
        numbered.filter_map(|(number, trial)| Some((number, trial, trial.measured()?)))
    }

    /// Returns the number of the best finished trial; of equal ones the first.
    pub fn best(&self) -> Option<usize> {
        let better = |a: (usize, f64), b: (usize, f64)| if b.1 > a.1 { b } else { a };
        let values = self.finished().map(|(number, _, measured)| (number, measured.value));
        values.reduce(better).map(|(number, _)| number)
    }

    /// Returns whether a trial with mean `value` over the first `queries` falls behind the finished ones.
    pub fn is_behind(&self, queries: usize, value: f64) -> bool {
        let at_rung =
            |(_, trial, _): (usize, &Trial, &Measured)| trial.rungs.get(&queries).copied();
        let finished: Vec<f64> = self.finished().filter_map(at_rung).collect();
        stop::is_behind(value, &finished)
    }
}
