//! `GET /`: the question box, and the answer with its citations.

use super::{Layout, Section, error_page};
use crate::api::ask::answer_whole;
use crate::extract::{Caller, Query};
use crate::gate::{accepts, wants_page};
use crate::problem::Problem;
use crate::server::Server;
use crate::wire::{AskResponse, Citation, CitedPassage, Index};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::{ErrorKind, Result};
use vellum_rag::answer::AskRequest;

#[derive(Deserialize)]
pub(crate) struct AskQuery {
    #[serde(default)]
    q: String,
    collection: Option<String>,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    layout: Layout,
    question: String,
    outcome: Option<Outcome>,
}

enum Outcome {
    Answer(AnswerView),
    Failed(Problem),
}

struct AnswerView {
    refused: bool,
    lines: Vec<Vec<Piece>>,
    cards: Vec<Card>,
    /// Body of a `FeedbackRequest` without its verdict.
    feedback: String,
    generator: String,
    took: String,
}

/// A part of the answer's text.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Cited { n: usize, href: String },
}

/// A citation as it is shown.
struct Card {
    href: String,
    score: String,
    citation: Citation,
}

/// `GET /`: the console, or what this server is for a client that asks for JSON.
pub(crate) async fn page(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    headers: HeaderMap,
    Query(query): Query<AskQuery>,
) -> Response {
    if accepts(&headers, "application/json") && !wants_page(&headers) {
        return axum::Json(index(&server)).into_response();
    }
    match ask_page(&server, &principal, query).await {
        Ok((status, template)) => super::page(status, &template),
        Err(error) => error_page("./", error),
    }
}

fn index(server: &Server) -> Index {
    let link = |(name, to): (&str, &str)| (name.to_owned(), to.to_owned());
    let links = [
        ("openapi", "api/v1/openapi.json"),
        ("collections", "api/v1/collections"),
        ("jobs", "api/v1/jobs"),
        ("health", "healthz"),
        ("ready", "readyz"),
        ("metrics", "metrics"),
    ];
    Index {
        name: "vellum".to_owned(),
        version: server.version.clone(),
        links: links.map(link).into(),
    }
}

async fn ask_page(
    server: &Server,
    principal: &Principal,
    query: AskQuery,
) -> Result<(StatusCode, AskPage)> {
    let layout = Layout::new(server, principal, Section::Ask, query.collection.as_deref()).await?;
    let question = query.q.trim().to_owned();
    if question.is_empty() {
        return Ok((StatusCode::OK, AskPage { layout, question, outcome: None }));
    }
    let pass = Pass::grant(principal, &layout.collection, Verb::Read)?;
    let request = AskRequest { question: question.clone(), top_k: None, filter: None };
    let (status, outcome) = match answer_whole(server, &pass, &request).await {
        Ok(answer) => {
            let view = view(answer.into(), &question, layout.collection.as_str());
            (StatusCode::OK, Outcome::Answer(view))
        }
        Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
        // The page stays useful, so that the question can be changed or asked again.
        Err(error) => {
            let problem = Problem::from(error);
            let status = StatusCode::from_u16(problem.status);
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Outcome::Failed(problem))
        }
    };
    Ok((status, AskPage { layout, question, outcome: Some(outcome) }))
}

fn view(response: AskResponse, question: &str, collection: &str) -> AnswerView {
    let cited: Vec<CitedPassage> = response
        .citations
        .iter()
        .map(|it| CitedPassage { document_id: it.document_id, start: it.start, end: it.end })
        .collect();
    let feedback =
        serde_json::json!({ "question": question, "collection": collection, "citations": cited });
    let total = response.timings_ms.get("total").copied().unwrap_or_default();
    AnswerView {
        feedback: feedback.to_string(),
        refused: response.refused,
        lines: response.answer.lines().map(|line| pieces(line, &response.citations)).collect(),
        generator: response.generator,
        took: if total < 1000.0 {
            format!("{total:.0} ms")
        } else {
            format!("{:.1} s", total / 1000.0)
        },
        cards: response.citations.into_iter().map(card).collect(),
    }
}

fn card(citation: Citation) -> Card {
    Card { href: href(&citation), score: format!("{:.2}", citation.score), citation }
}

/// Returns the way from the root to the cited place.
fn href(citation: &Citation) -> String {
    let Citation { document_id, start, end, .. } = citation;
    let page = citation.page.map(|page| format!("page={page}&")).unwrap_or_default();
    format!("documents/{document_id}?{page}start={start}&end={end}#cited")
}

/// Cuts a line of the answer at its citation marks, such as `[2]`; a number without citation is text.
fn pieces(line: &str, citations: &[Citation]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut text_from, mut at) = (0, 0);
    while let Some(open) = line[at..].find('[').map(|found| at + found) {
        at = open + 1;
        let Some(close) = line[at..].find(']').map(|found| at + found) else { break };
        let cited = line[at..close]
            .parse()
            .ok()
            .and_then(|n: usize| citations.iter().find(|citation| citation.n == n));
        let Some(citation) = cited else { continue };
        if open > text_from {
            pieces.push(Piece::Text(line[text_from..open].to_owned()));
        }
        pieces.push(Piece::Cited { n: citation.n, href: href(citation) });
        (text_from, at) = (close + 1, close + 1);
    }
    if text_from < line.len() {
        pieces.push(Piece::Text(line[text_from..].to_owned()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::ids::{ChunkId, DocumentId};

    fn check(line: &str, expected: &str) {
        let citation = |n| Citation {
            n,
            source: "a.pdf".into(),
            also: Vec::new(),
            uri: "mem:///a.pdf".into(),
            page: (n == 1).then_some(3),
            page_kind: "page".into(),
            boxes: Vec::new(),
            text: "t".into(),
            start: 5,
            end: 6,
            score: 1.0,
            support: 1.0,
            chunk_id: ChunkId::from_bytes([0; 16]),
            document_id: DocumentId::from_bytes([0; 16]),
        };
        let shown: Vec<String> = pieces(line, &[citation(1), citation(2)])
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Cited { n, href } => format!("<{n} {}>", href.split_once('?').unwrap().1),
            })
            .collect();
        assert_eq!(shown.join("|"), expected);
    }

    #[test]
    fn marks_become_links_and_other_brackets_stay() {
        check("", "");
        check("plain", "plain");
        check("one [1]", "one |<1 page=3&start=5&end=6#cited>");
        check("[2][1] end", "<2 start=5&end=6#cited>|<1 page=3&start=5&end=6#cited>| end");
        check("a [9] b [x] c [ d", "a [9] b [x] c [ d");
        check("[[1]] ü[1", "[|<1 page=3&start=5&end=6#cited>|] ü[1");
    }
}
