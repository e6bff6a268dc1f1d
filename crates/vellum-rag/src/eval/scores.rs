//! What each version of a collection was worth on each of its datasets when that was measured last.
//!
//! Small files beside the experiments that they tell of, because a list of versions must not read those: they hold the
//! values of every query. A score whose experiment was deleted counts no longer.

use super::experiment::Experiment;
use super::stats::Estimate;
use crate::app::App;
use crate::ingest::blocking;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use vellum_core::Result;
use vellum_core::ids::{CollectionName, DatasetName};
use vellum_core::ports::{Place, Shelf};

/// The metric that versions are judged by unless another one is asked for.
pub const METRIC: &str = "ndcg_at_10";
/// The mode of retrieval that it is taken from: what users get.
pub(crate) const PART: &str = "hybrid";

/// What a version was worth on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Id of the version.
    pub version: String,
    /// The dataset.
    pub dataset: DatasetName,
    /// Its digest then: opinions grow.
    pub dataset_digest: String,
    /// Id of the experiment.
    pub experiment: String,
    /// When, milliseconds since the Unix epoch.
    pub measured_ms: i64,
    /// Mean of [`METRIC`] in hybrid search, with its interval.
    pub estimate: Estimate,
}

/// Returns the scores of a collection's versions, ascending by version and dataset.
///
/// # Errors
/// What the shelf fails with.
pub async fn list(app: &App, collection: &CollectionName) -> Result<Vec<Score>> {
    let (shelf, collection) = (app.shelf.clone(), collection.clone());
    blocking(move || {
        let mut scores = read(shelf.as_ref(), &collection)?;
        if !scores.is_empty() {
            let known: BTreeSet<String> = shelf.experiments()?.into_iter().collect();
            scores.retain(|score| known.contains(&score.experiment));
        }
        Ok(scores)
    })
    .await?
}

/// Keeps an experiment on a version of a collection, and the score that it gives.
///
/// # Errors
/// What the shelf fails with.
pub(crate) async fn keep(app: &App, dataset: &DatasetName, experiment: &Experiment) -> Result<()> {
    let (shelf, dataset, experiment) = (app.shelf.clone(), dataset.clone(), experiment.clone());
    blocking(move || {
        shelf.put(Place::Experiment(&experiment.id), &experiment.to_json())?;
        let estimate = experiment.parts.get(PART).and_then(|part| part.means.get(METRIC));
        let (Some(subject), Some(estimate)) = (&experiment.subject, estimate) else {
            return Ok(());
        };
        let score = Score {
            version: subject.version.clone(),
            dataset: dataset.clone(),
            dataset_digest: experiment.dataset.digest.clone(),
            experiment: experiment.id.clone(),
            measured_ms: experiment.created_ms,
            estimate: *estimate,
        };
        let at = Place::Score {
            collection: &subject.collection,
            version: &subject.version,
            dataset: &dataset,
        };
        shelf.put(at, &serde_json::to_vec(&score).expect("plain structs always serialise"))
    })
    .await?
}

/// Returns an experiment that is kept; `None` when it is there no more.
pub(crate) async fn experiment(app: &App, id: &str) -> Result<Option<Experiment>> {
    let (shelf, id) = (app.shelf.clone(), id.to_owned());
    blocking(move || {
        let bytes = shelf.get(Place::Experiment(&id))?;
        bytes.map(|bytes| Experiment::from_json(&bytes)).transpose()
    })
    .await?
}

/// Takes scores of a collection away.
pub(crate) fn forget(
    shelf: &dyn Shelf,
    collection: &CollectionName,
    which: impl Fn(&Score) -> bool,
) -> Result<()> {
    for score in read(shelf, collection)?.iter().filter(|score| which(score)) {
        let Score { version, dataset, .. } = score;
        shelf.remove(Place::Score { collection, version, dataset })?;
    }
    Ok(())
}

/// Takes the experiments on versions of a collection away: they hold its questions and the names of its documents.
pub(crate) fn forget_experiments(shelf: &dyn Shelf, collection: &CollectionName) -> Result<()> {
    for id in shelf.experiments()? {
        let Some(bytes) = shelf.get(Place::Experiment(&id))? else { continue };
        let of = Experiment::from_json(&bytes).ok().and_then(|it| it.subject);
        if of.is_some_and(|subject| subject.collection == *collection) {
            shelf.remove(Place::Experiment(&id))?;
        }
    }
    Ok(())
}

fn read(shelf: &dyn Shelf, collection: &CollectionName) -> Result<Vec<Score>> {
    let parsed = |bytes: Vec<u8>| match serde_json::from_slice::<Score>(&bytes) {
        Ok(score) => Some(score),
        // Measuring again writes it anew.
        Err(error) => {
            tracing::warn!(%error, %collection, "a score cannot be read");
            None
        }
    };
    let mut scores: Vec<Score> = shelf.scores(collection)?.into_iter().filter_map(parsed).collect();
    scores.sort_by(|a, b| (&a.version, &a.dataset).cmp(&(&b.version, &b.dataset)));
    Ok(scores)
}
