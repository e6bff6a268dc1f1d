//! Lexical search of one language and of several, on XQuAD: the same paragraphs and questions in each language.
//!
//! Needs `../shared/eval`; without it there is nothing to measure and the test passes.

use crate::world::{World, pass};
use std::path::Path;
use std::sync::Arc;
use vellum_rag::app::App;
use vellum_rag::eval::dataset::{self, Dataset, Files};
use vellum_rag::eval::run;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::search::Mode;

/// Questions of each language: every eighth of 1,190.
const EVERY: usize = 8;
/// Most that a question may lose to the other languages in its collection, in nDCG@10. A translation of the right paragraph has its
/// names and numbers, and counts as wrong.
const MAX_LOSS: f64 = 0.02;

fn read(language: &str) -> Option<Dataset> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/eval");
    let folder = folder.join(format!("xquad-{language}"));
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let files = Files {
        corpus: text("corpus.jsonl")?,
        queries: text("queries.jsonl")?,
        qrels: text("qrels/test.tsv")?,
        spans: String::new(),
    };
    let mut dataset = dataset::parse(language, &files).unwrap();
    let all = std::mem::take(&mut dataset.queries);
    dataset.queries = all.into_iter().step_by(EVERY).collect();
    Some(dataset)
}

/// Returns the dataset with documents called by their language.
fn named(dataset: &Dataset, language: &str) -> Dataset {
    let own = |id: &String| format!("{language}-{id}");
    let mut named = dataset.clone();
    named.corpus = dataset.corpus.iter().map(|(id, it)| (own(id), it.clone())).collect();
    for query in &mut named.queries {
        query.id = own(&query.id);
        query.judgements = query.judgements.iter().map(|(id, grade)| (own(id), *grade)).collect();
    }
    named
}

async fn app(corpus: &Dataset, language: Option<&str>) -> Arc<App> {
    let mut app = World::new().product("local");
    app.settings.language = language.map(str::to_owned);
    app.objects = DatasetObjects::new(corpus);
    app.converter = Arc::new(DatasetConverter);
    let app = Arc::new(app);
    run::ingest(&app, &pass()).await.unwrap();
    app
}

async fn ndcg(app: &App, dataset: &Dataset) -> f64 {
    let rankings = run::rank(app, &pass(), dataset, Mode::Sparse, &|| {}).await.unwrap();
    run::score(dataset, &rankings).ndcg_at_10
}

#[tokio::test]
async fn several_languages_cost_little() {
    let languages = ["en", "de", "es"];
    let Some(sets) = languages.iter().map(|code| read(code)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let sets: Vec<Dataset> =
        sets.iter().zip(languages).map(|(set, code)| named(set, code)).collect();
    let mut mixed = sets[0].clone();
    for set in &sets[1..] {
        mixed.corpus.extend(set.corpus.clone());
    }
    let together = app(&mixed, None).await;
    let as_english = app(&mixed, Some("en")).await;
    let settled = vellum_rag::collections::get(&together, &pass()).await.unwrap().sparse.unwrap();
    assert_eq!(settled.others.len(), 2, "{settled:?}");
    let (mut losses, mut gain) = (Vec::new(), 0.0);
    for (set, code) in sets.iter().zip(languages) {
        let alone = app(set, None).await;
        let alone = ndcg(&alone, set).await;
        let (mixed, by_one) = (ndcg(&together, set).await, ndcg(&as_english, set).await);
        println!(
            "{code}: {alone:.4} alone, {mixed:.4} among three languages, {by_one:.4} by one analyser"
        );
        losses.push((code, alone - mixed));
        gain += mixed - by_one;
    }
    assert!(losses.iter().all(|(_, loss)| *loss <= MAX_LOSS), "{losses:?}");
    assert!(gain > 0.0, "one analyser for all languages would do");
}
