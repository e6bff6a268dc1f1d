//! The bench of a study over a dataset: one store for each way to index, shared by all trials that index so.
//!
//! ```text
//! settings -> key of the index -> store, ingested once      (the embeddings of chunks are shared by all stores)
//!          -> product over that store, ports that remember  (legs and chunks are shared by all trials of a store)
//! ```
//!
//! Few stores are open at a time; one that is opened again finds its documents unchanged. The latency of a search is
//! measured on ports that remember nothing, one search at a time while no other trial works; it belongs to the index and
//! the settings that change the work of a search, so trials that only change an order share it.

use super::bench::{Bench, Index, Stand};
use super::parameters::{self, Assignment, Touches, Value};
use super::remember::{RememberingEmbedder, RememberingStore};
use crate::app::{App, Settings};
use crate::collections;
use crate::eval::dataset::{Dataset, Query};
use crate::eval::metrics::Values;
use crate::eval::run::{self, Names, Ranking, Target};
use crate::eval::{experiment, stats};
use crate::search::{self, Mode, SearchRequest};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, RwLock};
use vellum_core::access::{Pass, Principal, Verb, VersionPass};
use vellum_core::collection::{Collection, Tuning};
use vellum_core::ports::{Clock, Embedder, VectorStore, WithVectors};
use vellum_core::{Error, ErrorKind, Result};

/// Searches that a latency is measured on, at most, and how many passages each asks for, as `vellum search` does; with a
/// metric of what answers are made from, as many as they take.
const TIMED: usize = 50;
const TIMED_TOP_K: usize = 10;

/// What the composition root does for a study.
#[async_trait]
pub trait Workshop: Send + Sync {
    /// Returns what tells the index of `settings` from those of others: a name that a folder can have.
    ///
    /// # Errors
    /// `Invalid` when the product would refuse the settings.
    fn index_key(&self, settings: &Assignment) -> Result<String>;

    /// Returns a product with `settings` over the store `key`, which is made if there is none.
    ///
    /// # Errors
    /// What opening the store fails with.
    async fn open(&self, settings: &Assignment, key: &str) -> Result<Arc<App>>;

    /// Returns the settings of a product with `settings`.
    ///
    /// # Errors
    /// `Invalid` when the product would refuse them.
    fn settings(&self, settings: &Assignment) -> Result<Settings>;

    /// Returns the bytes that the index in the store `key` takes on disk.
    ///
    /// # Errors
    /// `Io` when they cannot be counted.
    fn index_bytes(&self, key: &str) -> Result<u64>;
}

/// A bench over a dataset.
pub struct Products {
    workshop: Arc<dyn Workshop>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    /// Stores by the key of their index, those used last at the end.
    stores: Mutex<Vec<(String, Slot)>>,
    max_open: usize,
}

/// A store, once it is made.
type Slot = Arc<OnceCell<Arc<Store>>>;

/// What all trials share.
struct Shared {
    queries: Vec<Query>,
    metric: String,
    depth: Depth,
    embedder: RememberingEmbedder,
    pass: Pass,
    /// Held for reading while a trial works, for writing while a latency is measured.
    quiet: RwLock<()>,
    /// By the key of the index and the settings that change the work of a search.
    latencies: Mutex<HashMap<String, Arc<OnceCell<f64>>>>,
    /// What is known of indexes, also of those whose store was closed.
    made: Mutex<HashMap<String, Index>>,
}

/// An open store.
struct Store {
    key: String,
    /// Over ports that remember nothing.
    bare: Arc<App>,
    vectors: Arc<dyn VectorStore>,
    embedder: Arc<dyn Embedder>,
    /// What is searched, looked up once: nothing changes it while the study runs.
    collection: Collection,
    live: VersionPass,
}

/// What a metric is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The first so many of a ranking.
    At(usize),
    /// The passages that an answer is made from, as many as the settings say.
    TopK,
}

impl Depth {
    /// Returns what a metric is of, by the end of its name.
    ///
    /// # Errors
    /// `Invalid` for a name that does not tell.
    fn of(metric: &str) -> Result<Self> {
        if metric.ends_with(experiment::AT_TOP_K) {
            return Ok(Self::TopK);
        }
        let number = metric.rsplit_once("_at_").and_then(|(_, k)| k.parse().ok());
        number.filter(|k| (1..=run::DEPTH).contains(k)).map(Self::At).ok_or_else(|| {
            let message = format!(
                "metric `{metric}` does not end in `_at_` and a number of 1 to {}, or `top_k`",
                run::DEPTH
            );
            Error::new(ErrorKind::Invalid, message).with_hint("use for instance `ndcg_at_10`")
        })
    }
}

impl Products {
    /// Returns a bench that measures `metric` (`ndcg_at_10`, `evidence_recall_at_5`) on `queries`.
    ///
    /// At most `max_open` stores stay open beside those in use.
    ///
    /// # Errors
    /// `Invalid` for a metric that none of the queries has.
    pub fn new(
        workshop: Arc<dyn Workshop>,
        embedder: Arc<dyn Embedder>,
        clock: Arc<dyn Clock>,
        queries: Vec<Query>,
        metric: &str,
        max_open: usize,
    ) -> Result<Self> {
        let shared = Shared {
            queries,
            metric: metric.to_owned(),
            depth: Depth::of(metric)?,
            embedder: RememberingEmbedder::new(embedder),
            pass: Pass::grant(&Principal::Owner, &"tune".parse()?, Verb::Write)?,
            quiet: RwLock::new(()),
            latencies: Mutex::default(),
            made: Mutex::default(),
        };
        Ok(Self { workshop, clock, shared: Arc::new(shared), stores: Mutex::default(), max_open })
    }

    /// Returns the store of an index, ingested.
    async fn store(&self, settings: &Assignment) -> Result<Arc<Store>> {
        let key = self.workshop.index_key(settings)?;
        let cell = self.slot(&key);
        let store = cell.get_or_try_init(async || self.make(settings, &key).await).await?;
        Ok(Arc::clone(store))
    }

    /// Returns the slot of a store; closes the stores that were not used for longest where too many are open.
    fn slot(&self, key: &str) -> Slot {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let at = stores.iter().position(|(known, _)| known == key);
        let slot = at.map(|at| stores.remove(at).1).unwrap_or_default();
        stores.push((key.to_owned(), Arc::clone(&slot)));
        let is_idle = |(_, slot): &(String, Slot)| {
            Arc::strong_count(slot) == 1
                && slot.get().is_some_and(|store| Arc::strong_count(store) == 1)
        };
        while stores.len() > self.max_open.max(1) {
            let Some(at) = stores.iter().position(is_idle) else { break };
            stores.remove(at);
        }
        slot
    }

    async fn make(&self, settings: &Assignment, key: &str) -> Result<Arc<Store>> {
        let _working = self.shared.quiet.read().await;
        let pass = &self.shared.pass;
        let began = self.clock.elapsed();
        let counting = Arc::new(self.shared.embedder.sharing());
        let bare = self.workshop.open(settings, key).await?;
        let app = Arc::new(App {
            embedder: counting.clone(),
            ..bare.with_retrieval(bare.settings.retrieval)
        });
        // A store that an earlier run left may be whole or half made; its ingest tells nothing about cost.
        let is_new = app.metastore.collection(pass.collection()).await?.is_none();
        run::ingest(&app, pass).await?;
        let (collection, live) = collections::live(&app, pass).await?;
        let chunks = app.vectors.count(&live).await?;
        let bytes = self.workshop.index_bytes(key)?;
        let took = self.clock.elapsed().saturating_sub(began).as_secs_f64();
        let made_s = is_new.then_some(took);
        let index = Index { bytes, chunks, made_s, embedded: counting.passages() };
        let mut made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(key.to_owned()).or_insert(index);
        Ok(Arc::new(Store {
            key: key.to_owned(),
            vectors: Arc::new(RememberingStore::new(Arc::clone(&bare.vectors))),
            bare,
            embedder: counting,
            collection,
            live,
        }))
    }
}

#[async_trait]
impl Bench for Products {
    fn accepts(&self, settings: &Assignment) -> Result<()> {
        self.workshop.index_key(settings).map(drop)
    }

    async fn open(&self, settings: &Assignment) -> Result<Box<dyn Stand>> {
        let retrieval = self.workshop.settings(settings)?.retrieval;
        let store = self.store(settings).await?;
        let bare = store.bare.with_retrieval(retrieval);
        let app = App {
            vectors: Arc::clone(&store.vectors),
            embedder: Arc::clone(&store.embedder),
            ..bare.with_retrieval(bare.settings.retrieval)
        };
        let index = {
            let mut made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner);
            let known = made.get_mut(&store.key).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("index {} was not made", store.key))
            })?;
            // Who comes later finds it made.
            let index = *known;
            (known.made_s, known.embedded) = (None, 0);
            index
        };
        let work = parameters::part(settings, Touches::Search);
        let work = serde_json::to_string(&work).expect("settings always serialise");
        let latency = {
            let mut all = self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(format!("{} {work}", store.key)).or_default())
        };
        // To an answer it makes a difference whether somebody said so.
        let mmr = match settings.get("retrieval.mmr") {
            Some(Value::Flag(mmr)) => Some(*mmr),
            _ => None,
        };
        let tuning = Tuning { mmr, ..store.collection.tuning.clone() };
        Ok(Box::new(Product {
            shared: Arc::clone(&self.shared),
            app,
            bare,
            index,
            latency,
            collection: Collection { tuning, ..store.collection.clone() },
            store,
        }))
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

/// A product with the settings of a trial.
struct Product {
    shared: Arc<Shared>,
    /// Over ports that remember.
    app: App,
    /// Over ports that do not.
    bare: App,
    index: Index,
    latency: Arc<OnceCell<f64>>,
    /// What is searched, with what the trial sets for it.
    collection: Collection,
    /// Open as long as the product is.
    store: Arc<Store>,
}

#[async_trait]
impl Stand for Product {
    fn index(&self) -> Index {
        self.index
    }

    async fn values(&self, queries: &[usize]) -> Result<Vec<f64>> {
        let _working = self.shared.quiet.read().await;
        let Shared { queries: all, metric, .. } = &*self.shared;
        let mut values = Vec::with_capacity(queries.len());
        for index in queries {
            let query = &all[*index];
            let scores = self.scores(query).await?;
            values.push(*scores.get(metric).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("query `{}` has no `{metric}`", query.id))
            })?);
        }
        Ok(values)
    }

    async fn latency_p95_ms(&self) -> Result<f64> {
        self.latency.get_or_try_init(async || self.time().await).await.copied()
    }
}

impl Product {
    /// Returns what is asked, over the ports of `app`.
    fn target<'a>(&'a self, app: &'a App) -> Target<'a> {
        let (at, seen) = (&self.store.live, &self.collection);
        Target { app, at, seen, names: Names::File }
    }

    async fn scores(&self, query: &Query) -> Result<Values> {
        let target = self.target(&self.app);
        Ok(match self.shared.depth {
            Depth::At(k) => {
                let found = run::find(target, query, Mode::Hybrid).await?;
                experiment::score(query, &found, &[k])
            }
            Depth::TopK => {
                let passages = run::handed(target, query).await?;
                experiment::score_handed(query, &passages)
            }
        })
    }

    /// Times searches one after the other, after one that counts for nothing.
    async fn time(&self) -> Result<f64> {
        let _quiet = self.shared.quiet.write().await;
        let mut times = Vec::new();
        let timed = self.shared.queries.iter().take(TIMED);
        for query in self.shared.queries.first().into_iter().chain(timed) {
            let began = self.bare.clock.elapsed();
            match self.shared.depth {
                Depth::At(_) => {
                    let request = SearchRequest::new(&query.text, TIMED_TOP_K, Mode::Hybrid);
                    search::search(&self.bare, &self.shared.pass, &request, WithVectors::No)
                        .await?;
                }
                Depth::TopK => {
                    run::handed(self.target(&self.bare), query).await?;
                }
            }
            times.push(self.bare.clock.elapsed().saturating_sub(began).as_secs_f64() * 1e3);
        }
        let timed = &mut times[1..];
        timed.sort_by(f64::total_cmp);
        Ok(stats::percentile(timed, 0.95))
    }
}

/// Returns the queries of `dataset` that `metric` can be measured on.
///
/// # Errors
/// `Invalid` when there are none, or when there is no such metric.
pub fn measurable(dataset: &Dataset, metric: &str) -> Result<Vec<Query>> {
    let depth = Depth::of(metric)?;
    let nothing = Ranking {
        query: String::new(),
        documents: Vec::new(),
        passages: Vec::new(),
        took: Duration::ZERO,
    };
    let has = |query: &&Query| {
        let scores = match depth {
            Depth::At(k) => experiment::score(query, &nothing, &[k]),
            Depth::TopK => experiment::score_handed(query, &[]),
        };
        scores.contains_key(metric)
    };
    let queries: Vec<Query> = dataset.judged().filter(has).cloned().collect();
    if queries.is_empty() {
        let message = format!("no query of dataset `{}` has the metric `{metric}`", dataset.name);
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "metrics are ndcg, recall, precision, map, mrr and hit_rate, and with spans.jsonl evidence_recall, \
             evidence_precision, evidence_iou and evidence_fit, each with `_at_K`; those of evidence also with \
             `_at_top_k`, for the passages that an answer is made from",
        ));
    }
    Ok(queries)
}
