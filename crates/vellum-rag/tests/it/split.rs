//! How the settings of the splitter show in what is stored, found and cited.

use crate::world::{World, pass};
use std::sync::Arc;
use vellum_core::chunk::Chunk;
use vellum_core::collection::{SplitMethod, SplitterSettings};
use vellum_core::ports::{Embedder, TextKind, WithVectors};
use vellum_core::testing::HashEmbedder;
use vellum_rag::answer::{AskRequest, ask};
use vellum_rag::app::App;
use vellum_rag::collections;
use vellum_rag::eval::dataset;
use vellum_rag::eval::run;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::search::{Mode, SearchRequest, search};

/// Returns a product over one document, cut as `splitter` says: two sections of the title `Handbook`.
async fn handbook(world: &World, splitter: SplitterSettings) -> Arc<App> {
    let leave = "Paid leave\n\nEverybody gets 25 days of it. Managers answer within a week.\n\n";
    let pumps = "Pumps in the winter\n\nTurn the valve first. Then press the green button. Never exceed 7 bar.";
    let text = format!("{leave}{pumps}");
    let section = |title: &str, start: usize, end: usize| serde_json::json!({"kind": {"heading": {"level": 1, "title": title}}, "span": {"start": start, "end": end}});
    let sections = [
        section("Paid leave", 0, leave.len()),
        section("Pumps in the winter", leave.len(), text.len()),
    ];
    let line =
        serde_json::json!({"_id": "h", "title": "Handbook", "text": text, "sections": sections});
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: String| std::fs::write(dir.path().join(file), text).unwrap();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    write("corpus.jsonl", line.to_string());
    write("queries.jsonl", r#"{"_id": "q", "text": "?"}"#.to_owned());
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\th\t1\n".to_owned());
    let dataset = dataset::open(dir.path()).unwrap();
    let mut product = world.product("local");
    product.objects = Arc::new(DatasetObjects(dataset.corpus.clone()));
    product.converter = Arc::new(DatasetConverter);
    product.settings.splitter = splitter;
    let app = Arc::new(product);
    run::ingest(&app, &pass()).await.unwrap();
    app
}

async fn stored(app: &App) -> Vec<Chunk> {
    let (_, live) = collections::live(app, &pass()).await.unwrap();
    let mut chunks = app.vectors.scan(&live, None, 1_000, None).await.unwrap();
    chunks.sort_by_key(|chunk| chunk.ordinal);
    chunks
}

#[tokio::test]
async fn title_and_headings_are_found_and_not_cited() {
    let found = async |context| {
        let settings = SplitterSettings { context, ..SplitterSettings::new(24, 0) };
        let app = handbook(&World::new(), settings).await;
        let request = SearchRequest::new("handbook pumps winter bar", 1, Mode::Sparse);
        search(&app, &pass(), &request, WithVectors::No).await.unwrap().hits.remove(0)
    };
    let with = found(true).await;
    assert!(with.chunk.text.ends_with("Never exceed 7 bar."));
    assert_eq!(with.chunk.context, "Handbook > Pumps in the winter");
    assert!(!with.chunk.text.contains("Handbook"), "the text is the document's alone");
    // The same chunk tells more terms of the query.
    let without = found(false).await;
    assert!(without.chunk.context.is_empty());
    assert!(with.score > without.score, "{} against {}", with.score, without.score);
}

#[tokio::test]
async fn an_answer_is_drawn_from_the_parent_and_cites_stored_text() {
    let settings = SplitterSettings { parent_tokens: 64, ..SplitterSettings::new(8, 0) };
    let app = handbook(&World::new(), settings).await;
    let chunks = stored(&app).await;
    let pumps: Vec<&Chunk> =
        chunks.iter().filter(|chunk| chunk.headings == ["Pumps in the winter"]).collect();
    assert!(pumps.len() > 2 && pumps.iter().all(|chunk| chunk.parent == pumps[0].parent));
    // What is found is the heading's chunk, which answers nothing itself.
    let question = "What about pumps in the winter?".to_owned();
    let request = AskRequest { question, top_k: Some(1), filter: None };
    let answer = ask(&app, &pass(), &request, None).await.unwrap();
    assert!(!answer.refused);
    for citation in &answer.citations {
        let chunk = chunks.iter().find(|chunk| chunk.id == citation.chunk).unwrap();
        assert!(chunk.text.contains(&citation.text));
        assert_eq!(chunk.parent, pumps[0].parent, "another section is another parent");
        assert_ne!(chunk.ordinal, pumps[0].ordinal);
    }
    // Without parents the same chunk is all there is.
    let alone = handbook(&World::new(), SplitterSettings::new(8, 0)).await;
    assert!(ask(&alone, &pass(), &request, None).await.unwrap().refused);
}

#[tokio::test]
async fn sentences_are_embedded_once() {
    let world = World::new();
    let method = SplitMethod::Semantic { percentile: 50 };
    let settings = SplitterSettings { method, ..SplitterSettings::new(40, 0) };
    let app = handbook(&world, settings.clone()).await;
    let chunks = stored(&app).await;
    let units = |text: &str| vellum_rag::units::units(text).len() as u64;
    let sentences: u64 = chunks.iter().map(|chunk| units(&chunk.text)).sum();
    assert!(sentences > chunks.len() as u64);
    let embedded = world.embedder.n_embedded();
    assert_eq!(embedded, sentences, "a chunk's vector is made of those of its sentences");
    // Which is near what the chunk itself would have.
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    let (_, live) = collections::live(&app, &pass()).await.unwrap();
    for stored in app.vectors.fetch(&live, &ids, WithVectors::Yes).await.unwrap() {
        let text = &stored.chunk.text;
        let anew =
            world.embedder.embed(std::slice::from_ref(text), TextKind::Passage).await.unwrap();
        assert!(stored.dense.unwrap().cosine(&anew[0]) > 0.9);
    }
    let embedded = world.embedder.n_embedded();
    // Into another collection: every vector is known by then.
    let (embedder, embeddings) = (world.embedder.clone(), world.embeddings.clone());
    handbook(&World { embedder, embeddings, ..World::new() }, settings).await;
    assert_eq!(world.embedder.n_embedded(), embedded);
}

#[tokio::test]
async fn what_the_model_cannot_read_at_once_is_read_in_windows() {
    let reads = 12;
    let vector_of = async |max_tokens, reads| {
        let embedder = Arc::new(HashEmbedder::new(reads));
        let world = World { embedder: embedder.clone(), ..World::new() };
        let app = handbook(&world, SplitterSettings::new(max_tokens, 0)).await;
        let last = stored(&app).await.pop().unwrap();
        let (_, live) = collections::live(&app, &pass()).await.unwrap();
        let found = app.vectors.fetch(&live, &[last.id], WithVectors::Yes).await.unwrap();
        (last.text, found[0].dense.clone().unwrap(), embedder.n_embedded())
    };
    let (text, vector, embedded) = vector_of(40, reads).await;
    assert!(text.starts_with("Pumps in the winter") && text.ends_with("Never exceed 7 bar."));
    assert_eq!(embedded, 4, "two windows for each of two chunks");
    // A bag of words that reads all of it has the same vector, nearly: windows are of unit norm each.
    let (same, whole, _) = vector_of(40, 256).await;
    assert_eq!(same, text);
    assert!(vector.cosine(&whole) > 0.95, "{}", vector.cosine(&whole));
    let cut_off = &HashEmbedder::new(reads).embed(&[text], TextKind::Passage).await.unwrap()[0];
    assert!(cut_off.cosine(&whole) < 0.9, "{}", cut_off.cosine(&whole));
}
