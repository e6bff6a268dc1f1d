//! A question's way out: retrieve, diversify, widen to parents, answer, cite, verify.
//!
//! [`ask`] reads as that list. Without a language model the answer is extractive (see `extract`). When nothing
//! relevant is found the answer says so and cites nothing.

use crate::app::App;
use crate::bm25::Analyser;
use crate::extract::{self, Choice};
use crate::parents;
use crate::search::{self, Hit, Mode, SearchRequest, SearchResponse, Stopwatch, Timings};
use tokio::sync::mpsc;
use vellum_core::access::{Pass, VersionPass};
use vellum_core::collection::{Collection, Tuning};
use vellum_core::document::{Format, PageBox};
use vellum_core::filter::Filter;
use vellum_core::ids::{ChunkId, DocumentId};
use vellum_core::ports::{TextKind, WithVectors};
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// What a refusal says.
const REFUSAL: &str = "The documents do not answer this question.";

/// A question.
#[derive(Debug, Clone)]
pub struct AskRequest {
    /// The words.
    pub question: String,
    /// Passages to answer from, >= 1; `None` for as many as the collection and the settings say.
    pub top_k: Option<usize>,
    /// Condition on the passages.
    pub filter: Option<Filter>,
}

/// Where a part of an answer comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Citation {
    /// Number in the answer's text, from 1.
    pub n: usize,
    /// The cited chunk.
    pub chunk: ChunkId,
    /// The cited document.
    pub document: DocumentId,
    /// File name.
    pub source: String,
    /// Uri of the document.
    pub uri: String,
    /// Uris of other documents with the same content, ascending, at most 20.
    pub also: Vec<String>,
    /// Format of the document.
    pub format: Format,
    /// 1-based page; `None` where the format has none.
    pub page: Option<u32>,
    /// Where on pages the cited text stands; empty where the format does not tell.
    pub boxes: Vec<PageBox>,
    /// The cited text, verbatim.
    pub text: String,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// How well the text answers, about 0 to 1.
    pub score: f32,
    /// Share of the answer's sentence that the cited text supports, 0 to 1; 1 is verbatim.
    pub support: f32,
}

/// An answer with its proof.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The text, with `[n]` where citation `n` applies.
    pub text: String,
    /// Whether the documents do not answer the question; then there are no citations.
    pub refused: bool,
    /// What wrote the text.
    pub generator: &'static str,
    /// Citations, by number.
    pub citations: Vec<Citation>,
    /// Time spent by stage.
    pub timings: Timings,
    /// What did not work as it should, so that less was done; for people.
    pub notes: Vec<String>,
}

/// A part of an answer, as it becomes known.
#[derive(Debug, Clone)]
pub enum AskEvent {
    /// More text.
    Delta(String),
    /// A citation, after the text that it supports.
    Citation(Citation),
}

/// Answers a question from the pass's collection; sends parts to `events` as they become known.
///
/// # Errors
/// What [`search::search`] fails with; `Cancelled` when the receiver of `events` is gone.
pub async fn ask(
    app: &App,
    pass: &Pass,
    request: &AskRequest,
    events: Option<&mpsc::Sender<AskEvent>>,
) -> Result<Answer> {
    // One version from the first look to the last, whatever is promoted meanwhile.
    let (collection, live) = crate::collections::live(app, pass).await?;
    let SearchResponse { hits, query_vector: question, mut timings, notes, .. } =
        passages(app, &live, &collection, request).await?;
    let mut watch = Stopwatch::start(app);
    let choices = choose_sentences(app, &collection, request, &hits, question.as_ref()).await?;
    let citations = cite(&hits, &choices);
    verify(&hits, &choices, &citations)?;
    watch.lap("generate");
    timings.append(&mut watch.laps);
    let answer = Answer { notes, ..compose_answer(&hits, &choices, citations, timings) };
    if let Some(events) = events {
        stream(&answer, events).await?;
    }
    Ok(answer)
}

/// Returns the passages that an answer is made from: diverse unless the collection says otherwise, best first, each within
/// its parent, with the question's vector.
///
/// # Errors
/// `Unavailable` when the embedder does not answer: sentences are chosen by their vectors.
pub(crate) async fn passages(
    app: &App,
    pass: &VersionPass,
    collection: &Collection,
    request: &AskRequest,
) -> Result<SearchResponse> {
    let top_k = request
        .top_k
        .or(collection.tuning.top_k)
        .unwrap_or(app.settings.retrieval.top_k)
        .clamp(1, search::MAX_TOP_K);
    let mmr = Some(collection.tuning.mmr.unwrap_or(true));
    let search = SearchRequest {
        filter: request.filter.clone(),
        tuning: Tuning { mmr, ..Tuning::default() },
        ..SearchRequest::new(&request.question, top_k, Mode::Hybrid)
    };
    let found = search::search_in(app, pass, collection, &search, WithVectors::Yes).await?;
    if found.query_vector.is_none() {
        return Err(Error::new(ErrorKind::Unavailable, found.notes.join("; "))
            .with_hint("search goes on by words; answers need the embedder"));
    }
    let hits = parents::expand(app, pass, found.hits).await?;
    Ok(SearchResponse { hits, ..found })
}

async fn choose_sentences(
    app: &App,
    collection: &Collection,
    request: &AskRequest,
    hits: &[Hit],
    question: Option<&Embedding>,
) -> Result<Vec<Choice>> {
    let Some(question) = question else { return Ok(Vec::new()) };
    let embedder = app.embedder_of(collection)?;
    let analyser = Analyser::new(search::analyser_language(collection));
    let candidates = extract::candidates(&request.question, hits, &analyser);
    let texts = extract::texts(hits, &candidates);
    let embeddings = embedder.embed(&texts, TextKind::Query).await?;
    let by_text = texts.iter().map(String::as_str).zip(&embeddings).collect();
    // Vectors of a language that the model does not know say nothing about an answer.
    let knows = embedder.info().knows(search::known_language(collection));
    Ok(extract::choose(knows.then_some(question), hits, &candidates, &by_text))
}

fn cite(hits: &[Hit], choices: &[Choice]) -> Vec<Citation> {
    let citation = |(index, choice): (usize, &Choice)| {
        let chunk = &hits[choice.candidate.hit].chunk;
        let span = choice.candidate.span;
        let (start, end) = chunk.char_range(span);
        Citation {
            n: index + 1,
            chunk: chunk.id,
            document: chunk.document,
            source: chunk.source.clone(),
            uri: chunk.uri.clone(),
            also: hits[choice.candidate.hit].also.clone(),
            format: chunk.format,
            page: chunk.page_at(span.start),
            boxes: chunk.boxes_of(span),
            text: chunk.text[span.start..span.end].to_owned(),
            start,
            end,
            score: choice.score,
            support: 1.0,
        }
    };
    choices.iter().enumerate().map(citation).collect()
}

/// Fails unless every citation is verbatim text of its chunk, at the place it names.
fn verify(hits: &[Hit], choices: &[Choice], citations: &[Citation]) -> Result<()> {
    for (choice, citation) in choices.iter().zip(citations) {
        let chunk = &hits[choice.candidate.hit].chunk;
        let cited: String = chunk
            .text
            .chars()
            .skip(citation.start - chunk.char_start)
            .take(citation.end - citation.start)
            .collect();
        if cited != citation.text {
            let message = format!("citation {} does not match `{}`", citation.n, citation.uri);
            return Err(Error::new(ErrorKind::Internal, message));
        }
    }
    Ok(())
}

fn compose_answer(
    hits: &[Hit],
    choices: &[Choice],
    citations: Vec<Citation>,
    timings: Timings,
) -> Answer {
    let sentence = |(choice, citation): (&Choice, &Citation)| {
        let text = &hits[choice.candidate.hit].chunk.text;
        format!("{} [{}]", extract::readable(text, &choice.candidate), citation.n)
    };
    let refused = citations.is_empty();
    let text = if refused {
        REFUSAL.to_owned()
    } else {
        choices.iter().zip(&citations).map(sentence).collect::<Vec<_>>().join("\n")
    };
    let notes = Vec::new();
    Answer { text, refused, generator: "extractive", citations, timings, notes }
}

/// Sends the answer line by line, each with the citation it ends with.
async fn stream(answer: &Answer, events: &mpsc::Sender<AskEvent>) -> Result<()> {
    let gone = |_| Error::new(ErrorKind::Cancelled, "the reader of the answer is gone");
    let mut citations = answer.citations.iter();
    for (index, line) in answer.text.split('\n').enumerate() {
        let lead = if index == 0 { "" } else { "\n" };
        events.send(AskEvent::Delta(format!("{lead}{line}"))).await.map_err(gone)?;
        if let Some(citation) = citations.next() {
            events.send(AskEvent::Citation(citation.clone())).await.map_err(gone)?;
        }
    }
    Ok(())
}
