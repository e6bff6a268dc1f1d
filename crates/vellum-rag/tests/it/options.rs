//! What a search can be asked beyond its words: filters as text, options, reranking, and to explain itself.

use crate::world::{World, pass, sync};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;
use vellum_core::collection::{Fusion, Tuning};
use vellum_core::ports::{Embedder, EmbedderInfo, TextKind, WithVectors};
use vellum_core::testing::{HashEmbedder, WordReranker};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::answer::{AskRequest, ask};
use vellum_rag::app::App;
use vellum_rag::collections::{self, Change};
use vellum_rag::filter;
use vellum_rag::search::{Hit, Mode, SearchRequest, SearchResponse, search};

/// Five sentences of a long document are near copies; another document says something else about pumps.
async fn world() -> World {
    let world = World::new();
    let page = |n: usize| format!("The pump number {n} runs at seven bar in hall {n}.\u{c}");
    world.put("manual.txt", &(1..=5).map(page).collect::<String>());
    world.put("memo/short.txt", "A pump hums.");
    world.put("memo/tea.txt", "Tea is served at four in the canteen.");
    let app = small(&world);
    sync(&Arc::new(app)).await;
    world
}

/// A product that cuts documents into single sentences.
fn small(world: &World) -> App {
    let mut app = world.product("local");
    app.settings.splitter.max_tokens = 14;
    app
}

fn request(query: &str) -> SearchRequest {
    SearchRequest { explain: true, ..SearchRequest::new(query, 4, Mode::Hybrid) }
}

async fn run(app: &App, request: &SearchRequest) -> SearchResponse {
    search(app, &pass(), request, WithVectors::No).await.unwrap()
}

fn sources(found: &SearchResponse) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.chunk.source.as_str()).collect()
}

#[tokio::test]
async fn filters_read_from_text_hold() {
    let app = small(&world().await);
    let found = async |text: &str| {
        let filter = Some(filter::parse(text, pass().collection()).unwrap());
        run(&app, &SearchRequest { filter, ..request("pump tea") }).await
    };
    assert_eq!(sources(&found("page in 2..3").await), ["manual.txt"; 2]);
    let under = found("uri under \"mem:///docs/memo\" and not source = \"tea.txt\"").await;
    assert_eq!(sources(&under), ["short.txt"]);
    let printed = "(uri under \"mem:///docs/memo/\" and not source = \"tea.txt\")";
    assert_eq!(under.trace.unwrap().filter.as_deref(), Some(printed));
    assert_eq!(sources(&found("bytes < 20").await), ["short.txt"]);
    assert!(found("exists(metadata.author)").await.hits.is_empty());
}

#[tokio::test]
async fn a_trace_accounts_for_every_candidate() {
    let app = small(&world().await);
    let request = SearchRequest {
        tuning: Tuning { mmr: Some(true), ..Tuning::default() },
        group_by_document: Some(2),
        neighbours: 1,
        top_k: 2,
        ..request("pump number")
    };
    let found = run(&app, &request).await;
    let trace = found.trace.unwrap();
    let names: Vec<&str> = trace.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["dense", "sparse", "fuse", "fetch", "group", "mmr", "neighbours"]);
    for stage in &trace.stages {
        let kept: HashSet<_> = stage.scores.iter().map(|candidate| candidate.id).collect();
        assert_eq!(kept.len(), stage.kept, "{}", stage.name);
        if !matches!(stage.name, "dense" | "sparse") {
            assert_eq!(stage.kept + stage.removed.len(), stage.seen, "{}", stage.name);
        }
        assert!(
            stage.removed.iter().all(|gone| !kept.contains(&gone.id) && !gone.reason.is_empty())
        );
    }
    let group = &trace.stages[4];
    assert_eq!(group.removed.len(), 3, "of five sentences of the manual two stay");
    assert_eq!(group.removed[0].reason, "2 better of `manual.txt`");
    let last: Vec<_> = trace.stages[5].scores.iter().map(|candidate| candidate.id).collect();
    assert_eq!(last, found.hits.iter().map(|hit| hit.chunk.id).collect::<Vec<_>>());
    let quiet = SearchRequest { explain: false, ..request };
    let again = run(&app, &quiet).await;
    assert!(again.trace.is_none());
    assert_eq!(
        sources(&again),
        found.hits.iter().map(|hit| hit.chunk.source.as_str()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn hits_differ_where_the_settings_the_collection_or_the_request_say_so() {
    let mut app = small(&world().await);
    let is_diverse = async |app: &App, mmr: Option<bool>| {
        let tuning = Tuning { mmr, ..Tuning::default() };
        let found = run(app, &SearchRequest { tuning, ..request("pump number") }).await;
        found.trace.unwrap().stages.iter().any(|stage| stage.name == "mmr")
    };
    assert!(!is_diverse(&app, None).await);
    assert!(is_diverse(&app, Some(true)).await);
    app.settings.retrieval.mmr = true;
    assert!(is_diverse(&app, None).await);
    assert!(!is_diverse(&app, Some(false)).await);
    let set = Tuning { mmr: Some(false), ..Tuning::default() };
    collections::tune(&app, &pass(), &Change { set, cleared: Vec::new() }).await.unwrap();
    assert!(!is_diverse(&app, None).await);
    assert!(is_diverse(&app, Some(true)).await);
}

#[tokio::test]
async fn answers_are_made_from_as_many_passages_as_somebody_says() {
    let mut app = small(&world().await);
    let cited = async |app: &App, top_k: Option<usize>| {
        let question = "Which pump runs at seven bar in hall 1, 2, 3, 4 and 5?".to_owned();
        let answer = ask(app, &pass(), &AskRequest { question, top_k, filter: None }, None).await;
        let citations = answer.unwrap().citations;
        citations.into_iter().map(|citation| citation.chunk).collect::<HashSet<_>>().len()
    };
    let many = cited(&app, None).await;
    assert!(many > 1, "{many}");
    assert_eq!(cited(&app, Some(1)).await, 1);
    app.settings.retrieval.top_k = 1;
    assert_eq!(cited(&app, None).await, 1);
    let set = Tuning { top_k: Some(8), ..Tuning::default() };
    collections::tune(&app, &pass(), &Change { set, cleared: Vec::new() }).await.unwrap();
    assert_eq!(cited(&app, None).await, many, "the collection comes before the settings");
    let set = Tuning { top_k: Some(0), ..Tuning::default() };
    let wrong = collections::tune(&app, &pass(), &Change { set, cleared: Vec::new() }).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn groups_and_neighbours() {
    let app = small(&world().await);
    let found =
        run(&app, &SearchRequest { group_by_document: Some(1), ..request("pump seven bar") }).await;
    let distinct: HashSet<&str> = sources(&found).into_iter().collect();
    assert_eq!(distinct.len(), found.hits.len(), "one hit of each document");
    let filter = filter::parse("page = 2", pass().collection()).unwrap();
    let request = SearchRequest { neighbours: 2, filter: Some(filter), ..request("pump number 2") };
    let hit = run(&app, &request).await.hits.remove(0);
    assert!(hit.chunk.text.contains("number 2"));
    assert_eq!(hit.before.len(), 1, "there is one page before the second");
    assert!(hit.before[0].contains("number 1"));
    assert!(hit.after[0].contains("number 3") && hit.after[1].contains("number 4"));
}

#[tokio::test]
async fn a_request_comes_before_the_collection_and_the_collection_before_the_settings() {
    let app = small(&world().await);
    let fused = |found: &SearchResponse| found.hits[0].scores.fused.unwrap();
    let by_settings = run(&app, &request("pump hums")).await;
    assert!(fused(&by_settings) > 0.1, "by score");
    let set = Tuning { fusion: Some(Fusion::Rank), ..Tuning::default() };
    let change = Change { set: set.clone(), cleared: Vec::new() };
    let collection = collections::tune(&app, &pass(), &change).await.unwrap();
    assert_eq!(collection.tuning, set);
    assert!(fused(&run(&app, &request("pump hums")).await) < 0.1, "reciprocal ranks are small");
    let tuning = Tuning { fusion: Some(Fusion::Score), ..Tuning::default() };
    let asked = run(&app, &SearchRequest { tuning, ..request("pump hums") }).await;
    assert_eq!(fused(&asked), fused(&by_settings));
    let change = Change { set: Tuning::default(), cleared: vec!["fusion".to_owned()] };
    assert_eq!(collections::tune(&app, &pass(), &change).await.unwrap().tuning, Tuning::default());

    for (change, part) in [
        (Change { cleared: vec!["color".to_owned()], ..Change::default() }, "color"),
        (
            Change {
                set: Tuning { dense_weight: Some(-1.0), ..Tuning::default() },
                ..Change::default()
            },
            "dense_weight",
        ),
    ] {
        let error = collections::tune(&app, &pass(), &change).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(part), "{error}");
    }
    let wrong = [
        SearchRequest {
            tuning: Tuning { leg_limit: Some(0), ..Tuning::default() },
            ..request("x")
        },
        SearchRequest { neighbours: 11, ..request("x") },
        SearchRequest { group_by_document: Some(0), ..request("x") },
    ];
    for request in wrong {
        let error = search(&app, &pass(), &request, WithVectors::No).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_reranker_orders_and_its_outage_is_told() {
    let world = world().await;
    let reranker = Arc::new(WordReranker::default());
    let mut app = small(&world);
    let before = run(&app, &request("pump hums")).await;
    app.reranker = Some(reranker.clone());
    let found = run(&app, &SearchRequest { top_k: 2, ..request("Tea in the canteen") }).await;
    assert_eq!(found.hits[0].chunk.source, "tea.txt");
    assert!(found.hits.iter().all(|hit| hit.scores.rerank == Some(hit.score)));
    assert!(
        found
            .trace
            .unwrap()
            .stages
            .iter()
            .any(|stage| stage.name == "rerank" && stage.note == "words")
    );

    // R12: one dependency down is less, not nothing.
    reranker.set_down(true);
    let found = run(&app, &request("pump hums")).await;
    assert_eq!(sources(&found), sources(&before));
    assert!(found.notes[0].contains("the reranker did not answer"), "{:?}", found.notes);
    let stages = found.trace.unwrap().stages;
    let stage = stages.iter().find(|stage| stage.name == "rerank").unwrap();
    assert!(stage.note.contains("in the order of fusion"), "{}", stage.note);
    // One that is not asked cannot be missed.
    let tuning = Tuning { rerank_depth: Some(0), ..Tuning::default() };
    assert!(run(&app, &SearchRequest { tuning, ..request("pump") }).await.notes.is_empty());
    let asked =
        AskRequest { question: "Where is tea served?".into(), top_k: Some(3), filter: None };
    let answer = ask(&app, &pass(), &asked, None).await.unwrap();
    assert!(!answer.refused && !answer.notes.is_empty());
}

#[tokio::test]
async fn a_reranker_reads_as_many_as_it_is_told() {
    let world = world().await;
    let mut app = small(&world);
    let wide = |depth| {
        let tuning = Tuning { rerank_depth: Some(depth), ..Tuning::default() };
        SearchRequest { top_k: 20, tuning, ..request("pump hums in hall 3") }
    };
    let fused = run(&app, &wide(2)).await.hits;
    app.reranker = Some(Arc::new(WordReranker::default()));
    let found = run(&app, &wide(2)).await.hits;
    let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.chunk.id).collect::<Vec<_>>();
    assert!(fused.len() > 3 && found.len() == fused.len());
    let read: Vec<bool> = found.iter().map(|hit| hit.scores.rerank.is_some()).collect();
    assert!(read.iter().enumerate().all(|(at, read)| *read == (at < 2)), "{read:?}");
    assert_eq!(ids(&found[2..]), ids(&fused[2..]), "the others follow as they were");
    let scores: Vec<f32> = found.iter().map(|hit| hit.score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[1] > scores[2], "{scores:?}");
    let all = run(&app, &wide(100)).await.hits;
    assert!(all.iter().all(|hit| hit.scores.rerank.is_some()));
}

/// An embedder that fails.
struct Down(HashEmbedder);

#[async_trait]
impl Embedder for Down {
    fn info(&self) -> &EmbedderInfo {
        self.0.info()
    }
    async fn embed(&self, _: &[String], _: TextKind) -> Result<Vec<Embedding>> {
        Err(Error::new(ErrorKind::Unavailable, "the embedder is away"))
    }
    fn n_tokens(&self, text: &str) -> usize {
        self.0.n_tokens(text)
    }
    async fn check(&self) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "the embedder is away"))
    }
}

#[tokio::test]
async fn without_the_embedder_words_still_find() {
    let world = world().await;
    let mut app = small(&world);
    app.embedder = Arc::new(Down(HashEmbedder::default()));
    let found = run(&app, &request("tea canteen")).await;
    assert_eq!(found.hits[0].chunk.source, "tea.txt");
    assert!(found.notes[0].contains("only words were compared"), "{:?}", found.notes);
    let dense = SearchRequest { mode: Mode::Dense, ..request("tea") };
    let error = search(&app, &pass(), &dense, WithVectors::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "nothing is left of a dense search");
    let asked =
        AskRequest { question: "Where is tea served?".into(), top_k: Some(3), filter: None };
    let error = ask(&app, &pass(), &asked, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "no refusal that is none");
}

#[tokio::test]
async fn documents_are_analysed_by_their_own_language() {
    let world = World::new();
    let english =
        "The houses of the cities were sold to people who had been living in them for many years";
    let german = "Die Häuser der Städte wurden an Menschen verkauft, die seit vielen Jahren darin gewohnt hatten";
    for n in 0..3 {
        world.put(&format!("en{n}.txt"), &format!("{english}, number {n}."));
    }
    for n in 0..2 {
        world.put(&format!("de{n}.txt"), &format!("{german}, Nummer {n}."));
    }
    let app = Arc::new(world.product("local"));
    sync(&app).await;
    let sparse = collections::get(&app, &pass()).await.unwrap().sparse.unwrap();
    assert_eq!((sparse.language.as_deref(), &*sparse.others), (Some("en"), &["de".to_owned()][..]));
    // Each is found by another form of its word, which only its own stemmer knows.
    for (query, expect) in [("house city", "en"), ("Haus Stadt", "de")] {
        let request = SearchRequest { mode: Mode::Sparse, ..request(query) };
        let found = run(&app, &request).await;
        assert!(found.hits[0].chunk.source.starts_with(expect), "{query}: {:?}", sources(&found));
    }
    let filter = filter::parse("language = \"de\"", pass().collection()).unwrap();
    let found =
        run(&app, &SearchRequest { filter: Some(filter), ..request("Nummer number") }).await;
    assert_eq!(found.hits.len(), 2);
}
