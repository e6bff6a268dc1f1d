//! Retrieval and answers.

use crate::world::{World, pass, sync};
use tokio::sync::mpsc;
use vellum_core::ErrorKind;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::filter::{Field, Filter};
use vellum_core::ports::WithVectors;
use vellum_rag::answer::{AskEvent, AskRequest, ask};
use vellum_rag::search::{Mode, SearchRequest, search};

fn request(query: &str, mode: Mode) -> SearchRequest {
    SearchRequest::new(query, 5, mode)
}

async fn world() -> World {
    let world = World::new();
    world.put("leave.txt", "Employees get 25 days of annual leave. Ask your manager.");
    world.put("pump.txt", "First page.\u{c}The pump pressure limit is 7 bar. Never exceed it.");
    world.put("alarm.txt", "The alarm rings twice when the door is open.");
    sync(&world.app()).await;
    world
}

#[tokio::test]
async fn every_mode_finds_the_passage() {
    let app = world().await.app();
    for mode in Mode::ALL {
        let found =
            search(&app, &pass(), &request("pump pressure limit", mode), WithVectors::No).await;
        let hits = found.unwrap().hits;
        assert_eq!(hits[0].chunk.source, "pump.txt", "{mode:?}");
        assert_eq!(hits[0].rank, 1);
        assert_eq!(hits[0].scores.fused.is_some(), mode == Mode::Hybrid);
    }
}

#[tokio::test]
async fn filters_hold_in_every_leg() {
    let app = world().await.app();
    let only_leave = Filter::In(Field::Source, vec!["leave.txt".to_owned()]);
    for mode in Mode::ALL {
        let mut request = request("pump pressure limit annual leave", mode);
        request.filter = Some(only_leave.clone());
        let hits = search(&app, &pass(), &request, WithVectors::No).await.unwrap().hits;
        assert!(!hits.is_empty() && hits.iter().all(|hit| hit.chunk.source == "leave.txt"));
        // What a pass excludes no filter brings back.
        request.filter = None;
        let narrowed = pass().narrowed(&only_leave);
        let hits = search(&app, &narrowed, &request, WithVectors::No).await.unwrap().hits;
        assert!(hits.iter().all(|hit| hit.chunk.source == "leave.txt"), "{mode:?}");
    }
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let app = world().await.app();
    for (query, top_k) in [("", 5), ("  ", 5), (&*"x".repeat(20_000), 5), ("x", 0), ("x", 5_000)] {
        let request = SearchRequest { top_k, ..request(query, Mode::Hybrid) };
        let error = search(&app, &pass(), &request, WithVectors::No).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let other = Pass::grant(&Principal::Owner, &"other".parse().unwrap(), Verb::Read).unwrap();
    let error =
        search(&app, &other, &request("x", Mode::Hybrid), WithVectors::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn an_answer_is_verbatim_with_page_and_characters() {
    let app = world().await.app();
    let question = "What is the pump pressure limit?".to_owned();
    let request = AskRequest { question, top_k: Some(3), filter: None };
    let (events, mut received) = mpsc::channel(64);
    let answer = ask(&app, &pass(), &request, Some(&events)).await.unwrap();
    drop(events);
    let first = &answer.citations[0];
    assert_eq!(first.text, "The pump pressure limit is 7 bar.");
    assert_eq!((first.source.as_str(), first.page), ("pump.txt", Some(2)));
    assert_eq!(first.end - first.start, first.text.chars().count());
    assert!(answer.text.starts_with("The pump pressure limit is 7 bar. [1]"));
    let mut streamed = String::new();
    let mut cited = 0;
    while let Some(event) = received.recv().await {
        match event {
            AskEvent::Delta(text) => streamed.push_str(&text),
            AskEvent::Citation(_) => cited += 1,
        }
    }
    assert_eq!((streamed, cited), (answer.text.clone(), answer.citations.len()));
}

#[tokio::test]
async fn nothing_relevant_is_refused_without_citations() {
    let app = world().await.app();
    let question = "Zirconium futures in Kathmandu?".to_owned();
    let answer =
        ask(&app, &pass(), &AskRequest { question, top_k: Some(3), filter: None }, None).await;
    let answer = answer.unwrap();
    assert!(answer.refused && answer.citations.is_empty(), "{}", answer.text);
}

#[tokio::test]
async fn a_reader_that_left_cancels() {
    let app = world().await.app();
    let (events, received) = mpsc::channel(1);
    drop(received);
    let request =
        AskRequest { question: "pump pressure limit".into(), top_k: Some(3), filter: None };
    let error = ask(&app, &pass(), &request, Some(&events)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
