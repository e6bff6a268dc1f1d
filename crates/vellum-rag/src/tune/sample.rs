//! Which settings the next trial has: by grid, at random, or by TPE.
//!
//! A proposal depends on the space, the seed, the trial's number and, for TPE, on the trials that have ended. So the same
//! study proposes the same trials again after it was interrupted, and any order of evaluation of grid and random trials
//! gives the same set. No settings are proposed twice, and none that the product would refuse.
//!
//! TPE is that of the `tpe` crate (Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011): one
//! estimator for each dimension, fed with the trials in which the dimension counted. Here its values are brought onto a
//! line: logarithms for `log`, and cells of equal width around the values of a step.

use super::parameters::{self, Assignment, Touches, Value};
use super::space::{Dimension, Domain, Space};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use tpe::density_estimation::DefaultEstimatorBuilder;
use vellum_core::{Error, ErrorKind, Result};

/// How trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Every combination.
    Grid,
    /// Each trial drawn anew.
    Random,
    /// Tree-structured Parzen estimators.
    Tpe,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Tpe => "tpe",
        })
    }
}

/// A trial that has ended.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Its settings.
    pub settings: Assignment,
    /// What it reached; higher is better.
    pub value: f64,
}

/// Most points of a grid.
pub const MAX_GRID: usize = 10_000;
/// Random trials before TPE begins, as in Katib and Hyperopt's `n_startup_jobs` halved: the spaces here are small.
const STARTUP: usize = 10;
/// Draws for a proposal before the space counts as exhausted.
const ATTEMPTS: usize = 500;
/// Share of the trials that TPE takes for good ones; a quarter of the square root is Hyperopt's rule, a fifth does as
/// well for studies of 20 to 100 trials.
const GOOD: f64 = 0.2;

/// Proposes trials of one study.
#[derive(Debug)]
pub struct Sampler<'a> {
    space: &'a Space,
    algorithm: Algorithm,
    seed: u64,
    grid: Vec<Assignment>,
}

impl<'a> Sampler<'a> {
    /// Returns the sampler of a study.
    ///
    /// # Errors
    /// `Invalid` for a grid over a range without steps, or of more than [`MAX_GRID`] points.
    pub fn new(space: &'a Space, algorithm: Algorithm, seed: u64) -> Result<Self> {
        let grid = match algorithm {
            Algorithm::Grid => grid(space)?,
            Algorithm::Random | Algorithm::Tpe => Vec::new(),
        };
        Ok(Self { space, algorithm, seed, grid })
    }

    /// Returns the number of points of the grid before what is refused is left out; `None` for other algorithms.
    pub fn n_points(&self) -> Option<usize> {
        (self.algorithm == Algorithm::Grid).then_some(self.grid.len())
    }

    /// Returns settings for trial `number` that `is_open` admits: neither refused by the product nor tried before.
    /// `None` when there are none left.
    pub fn propose(
        &self,
        number: usize,
        ended: &[Observation],
        is_open: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        if self.algorithm == Algorithm::Grid {
            return self.grid.iter().find(|point| is_open(point)).cloned();
        }
        // A stream of its own for each trial, so that one does not depend on how often another was drawn.
        let mut rng =
            StdRng::seed_from_u64(self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut estimators = match self.algorithm {
            Algorithm::Tpe if ended.len() >= STARTUP => Some(self.estimators(ended)),
            _ => None,
        };
        for attempt in 0..ATTEMPTS {
            // Where TPE insists on what was tried, chance finds something else.
            let guided = estimators.as_mut().filter(|_| attempt < ATTEMPTS / 2);
            let settings = self.draw(&mut rng, guided);
            if is_open(&settings) {
                return Some(settings);
            }
        }
        None
    }

    fn draw(&self, rng: &mut StdRng, mut guided: Option<&mut Vec<Estimator>>) -> Assignment {
        let mut settings = Assignment::new();
        for (index, dimension) in self.space.dimensions.iter().enumerate() {
            if !dimension.is_active(&settings) {
                continue;
            }
            let line = Line::of(&dimension.domain);
            let at = match guided.as_mut().map(|estimators| estimators[index].ask(rng)) {
                Some(Ok(at)) => at,
                _ => rng.random_range(line.start..line.end),
            };
            settings.insert(dimension.parameter.path.to_owned(), line.value(&dimension.domain, at));
        }
        settings
    }

    fn estimators(&self, ended: &[Observation]) -> Vec<Estimator> {
        self.space.dimensions.iter().map(|dimension| estimator(dimension, ended)).collect()
    }
}

type Estimator = tpe::TpeOptimizer<DefaultEstimatorBuilder>;

/// Returns the estimator of a dimension after the trials that have ended.
fn estimator(dimension: &Dimension, ended: &[Observation]) -> Estimator {
    let line = Line::of(&dimension.domain);
    let builder = match dimension.domain {
        Domain::List(_) => tpe::histogram_estimator(),
        Domain::Whole { .. } | Domain::Number { .. } => tpe::parzen_estimator(),
    };
    let range = tpe::range(line.start, line.end).expect("a line has a length");
    let mut options = tpe::TpeOptimizerBuilder::new();
    let mut estimator =
        options.gamma(GOOD).build(builder, range).expect("the share of good trials is one");
    for observation in ended {
        let value = observation.settings.get(dimension.parameter.path);
        let at = value.and_then(|value| line.place(&dimension.domain, value));
        // What did not count in a trial is told as such, so that it stays on its side of the split.
        let told = estimator.tell(at.unwrap_or(f64::NAN), -observation.value);
        told.expect("a place lies on the line and a value is a number");
    }
    estimator
}

/// A dimension as a line of numbers, the end excluded.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: f64,
    end: f64,
}

impl Line {
    fn of(domain: &Domain) -> Self {
        let (start, end) = match domain {
            Domain::Whole { min, max, log: true, .. } => {
                ((*min as f64 - 0.5).ln(), (*max as f64 + 0.5).ln())
            }
            Domain::Whole { min, max, step, log: false } => {
                (-0.5, ((max - min) / step) as f64 + 0.5)
            }
            Domain::Number { min, max, log: true, .. } => (min.ln(), max.ln()),
            Domain::Number { min, max, step: Some(step), .. } => {
                (-0.5, n_steps(*min, *max, *step) + 0.5)
            }
            Domain::Number { min, max, .. } => (*min, *max),
            Domain::List(values) => (0.0, values.len() as f64),
        };
        Self { start, end }
    }

    /// Returns the value at a place of the line.
    fn value(self, domain: &Domain, at: f64) -> Value {
        match domain {
            Domain::Whole { min, max, log: true, .. } => {
                Value::Whole((at.exp().round() as i64).clamp(*min, *max))
            }
            Domain::Whole { min, max, step, log: false } => {
                let index = (at.round() as i64).clamp(0, (max - min) / step);
                Value::Whole(min + index * step)
            }
            Domain::Number { min, max, log: true, .. } => Value::Number(tidy(at.exp(), *min, *max)),
            Domain::Number { min, max, step: Some(step), .. } => {
                let index = at.round().clamp(0.0, n_steps(*min, *max, *step));
                Value::Number(tidy(min + index * step, *min, *max))
            }
            Domain::Number { min, max, .. } => Value::Number(tidy(at, *min, *max)),
            Domain::List(values) => values[(at as usize).min(values.len() - 1)].clone(),
        }
    }

    /// Returns the place of a value; `None` for one that the domain lacks.
    fn place(self, domain: &Domain, value: &Value) -> Option<f64> {
        let at = match (domain, value) {
            (Domain::List(values), value) => values.iter().position(|v| v == value)? as f64,
            (Domain::Whole { log: true, .. }, Value::Whole(value)) => (*value as f64).ln(),
            (Domain::Whole { min, step, .. }, Value::Whole(value)) => {
                (value - min) as f64 / *step as f64
            }
            (Domain::Number { log: true, .. }, Value::Number(value)) => value.ln(),
            (Domain::Number { min, step: Some(step), .. }, Value::Number(value)) => {
                (value - min) / step
            }
            (Domain::Number { .. }, Value::Number(value)) => *value,
            _ => return None,
        };
        // The end is no part of the line, and rounding may lead beyond it.
        at.is_finite().then(|| at.clamp(self.start, self.end.next_down()))
    }
}

/// Returns the number of whole steps between `min` and `max`.
fn n_steps(min: f64, max: f64, step: f64) -> f64 {
    ((max - min) / step + 1e-9).floor()
}

/// Rounds to nine significant places behind the point, within the range: nobody wants to read 0.30000000000000004.
fn tidy(value: f64, min: f64, max: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    if (min..=max).contains(&rounded) { rounded } else { value.clamp(min, max) }
}

/// Returns every combination; those that need the same index stand together, so that its cost is paid in a row.
fn grid(space: &Space) -> Result<Vec<Assignment>> {
    let mut points = vec![Assignment::new()];
    for dimension in &space.dimensions {
        let values = grid_values(dimension)?;
        let mut grown = Vec::new();
        for point in points {
            if !dimension.is_active(&point) {
                grown.push(point);
                continue;
            }
            for value in &values {
                let mut point = point.clone();
                point.insert(dimension.parameter.path.to_owned(), value.clone());
                grown.push(point);
            }
            if grown.len() > MAX_GRID {
                let message = format!("the grid has more than {MAX_GRID} points");
                return Err(Error::new(ErrorKind::Invalid, message)
                    .with_hint("use wider steps, or `--algorithm tpe`"));
            }
        }
        points = grown;
    }
    let index = |point: &Assignment| format!("{:?}", parameters::part(point, Touches::Index));
    points.sort_by_cached_key(index);
    Ok(points)
}

fn grid_values(dimension: &Dimension) -> Result<Vec<Value>> {
    let path = dimension.parameter.path;
    let endless = |what: &str| {
        Err(Error::new(ErrorKind::Invalid, format!("a grid cannot hold `{path}`, {what}"))
            .with_hint("give it a `step` or a `list`, or use `--algorithm tpe`"))
    };
    match &dimension.domain {
        Domain::List(values) => Ok(values.clone()),
        Domain::Whole { log: true, .. } | Domain::Number { log: true, .. } => {
            endless("whose values are spread by orders of magnitude")
        }
        Domain::Whole { min, max, step, .. } => {
            let indices = 0..=((max - min) / step).min(MAX_GRID as i64);
            Ok(indices.map(|index| Value::Whole(min + index * step)).collect())
        }
        Domain::Number { min, max, step: Some(step), .. } => {
            let indices = 0..=(n_steps(*min, *max, *step) as usize).min(MAX_GRID);
            let value = |index| tidy(min + index as f64 * step, *min, *max);
            Ok(indices.map(|index| Value::Number(value(index))).collect())
        }
        Domain::Number { .. } => endless("which has no step"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::parse;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SPACE: &str = r#"
        [retrieval]
        fusion = { list = ["score", "rank"] }
        dense_weight = { min = 0.1, max = 0.9, when = { "retrieval.fusion" = "score" } }
        sparse_weight = { min = 0, max = 1, step = 0.1 }
        leg_limit = { min = 1, max = 10000, log = true }
        [collection]
        max_tokens = { min = 64, max = 250, step = 32 }
        overlap_tokens = { list = [0, 16, 64] }
    "#;

    fn any(_: &Assignment) -> bool {
        true
    }

    fn text(settings: &Assignment) -> String {
        serde_json::to_string(settings).unwrap()
    }

    proptest! {
        #[test]
        fn proposals_lie_in_the_space(seed: u64, tpe: bool, values in proptest::collection::vec(-1.0..1.0, 0..40)) {
            let space = parse("s", SPACE).unwrap();
            let algorithm = if tpe { Algorithm::Tpe } else { Algorithm::Random };
            let sampler = Sampler::new(&space, algorithm, seed).unwrap();
            let mut ended = Vec::new();
            for (number, value) in values.into_iter().enumerate() {
                let settings = sampler.propose(number, &ended, &any).unwrap();
                prop_assert!(space.contains(&settings), "{settings:?}");
                let again = sampler.propose(number, &ended, &any).unwrap();
                prop_assert_eq!(&again, &settings);
                ended.push(Observation { settings, value });
            }
        }

        #[test]
        fn a_line_leads_back(at in 0.0..1.0_f64) {
            let space = parse("s", SPACE).unwrap();
            for dimension in &space.dimensions {
                let line = Line::of(&dimension.domain);
                let value = line.value(&dimension.domain, line.start + at * (line.end - line.start));
                prop_assert!(dimension.domain.contains(&value), "{value}");
                let place = line.place(&dimension.domain, &value).unwrap();
                prop_assert!((line.start..line.end).contains(&place));
                prop_assert_eq!(line.value(&dimension.domain, place), value);
            }
        }
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let space = parse(
            "s",
            r#"
            [retrieval]
            fusion = { list = ["score", "rank"] }
            dense_weight = { min = 0.1, max = 0.3, step = 0.1, when = { "retrieval.fusion" = "score" } }
            [collection]
            max_tokens = { min = 64, max = 128, step = 64 }
            "#,
        )
        .unwrap();
        let sampler = Sampler::new(&space, Algorithm::Grid, 0).unwrap();
        assert_eq!(sampler.n_points(), Some(2 * (3 + 1)));
        let mut seen: Vec<Assignment> = Vec::new();
        while let Some(point) = sampler.propose(seen.len(), &[], &|point| !seen.contains(point)) {
            assert!(space.contains(&point));
            seen.push(point);
        }
        assert_eq!(seen.len(), 8);
        let sizes: Vec<_> =
            seen.iter().map(|point| point["collection.max_tokens"].clone()).collect();
        assert!(
            sizes.is_sorted_by(|a, b| a <= b) || sizes.is_sorted_by(|a, b| a >= b),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_grid_without_an_end_is_refused() {
        let check = |line: &str, expect: &str| {
            let space = parse("s", &format!("[retrieval]\n{line}")).unwrap();
            let error = Sampler::new(&space, Algorithm::Grid, 0).unwrap_err();
            assert!(error.message().contains(expect), "{}", error.message());
        };
        check("dense_weight = { min = 0, max = 1 }", "`retrieval.dense_weight`, which has no step");
        check("leg_limit = { min = 1, max = 9, log = true }", "orders of magnitude");
        check(
            "leg_limit = { min = 1, max = 9999 }\nfusion = { list = [\"rank\", \"score\"] }",
            "more than 10000 points",
        );
    }

    #[test]
    fn a_small_space_is_exhausted() {
        let space = parse("s", "[retrieval]\nleg_limit = { list = [1, 2, 3] }").unwrap();
        for algorithm in [Algorithm::Random, Algorithm::Tpe, Algorithm::Grid] {
            let sampler = Sampler::new(&space, algorithm, 7).unwrap();
            let mut seen: BTreeSet<String> = BTreeSet::new();
            while let Some(settings) =
                sampler.propose(seen.len(), &[], &|settings| !seen.contains(&text(settings)))
            {
                seen.insert(text(&settings));
            }
            assert_eq!(seen.len(), 3, "{algorithm}");
        }
    }

    /// Quality with one summit off the middle, a condition and a parameter that does not matter.
    fn quality(settings: &Assignment) -> f64 {
        let number = |path: &str| match settings.get(path) {
            Some(Value::Whole(value)) => *value as f64,
            Some(Value::Number(value)) => *value,
            _ => 0.0,
        };
        let tokens = (number("collection.max_tokens") - 160.0) / 100.0;
        let limit = (number("retrieval.leg_limit").ln() - 6.0) / 4.0;
        let weight = match settings.get("retrieval.dense_weight") {
            Some(_) => (number("retrieval.dense_weight") - 0.7) * 2.0,
            None => 1.0,
        };
        -(tokens * tokens + limit * limit + weight * weight)
    }

    #[test]
    fn tpe_beats_chance() {
        const SEEDS: u64 = 60;
        const TRIALS: usize = 40;
        let space = parse("s", SPACE).unwrap();
        let best = |algorithm, seed| {
            let sampler = Sampler::new(&space, algorithm, seed).unwrap();
            let mut ended: Vec<Observation> = Vec::new();
            for number in 0..TRIALS {
                let settings = sampler.propose(number, &ended, &any).unwrap();
                let value = quality(&settings);
                ended.push(Observation { settings, value });
            }
            ended.iter().map(|o| o.value).fold(f64::NEG_INFINITY, f64::max)
        };
        let (mut won, mut tpe, mut random) = (0, Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let (a, b) = (best(Algorithm::Tpe, seed), best(Algorithm::Random, seed));
            won += u64::from(a > b);
            tpe.push(a);
            random.push(b);
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (tpe, random) = (median(tpe), median(random));
        // A fair coin wins 42 or more of 60 with a probability of 0.0013.
        assert!(won >= 42 && tpe > random / 2.0, "won {won} of {SEEDS}: {tpe} against {random}");
    }
}
