//! `GET /documents`: what is in a collection; `GET /documents/{id}`: the text around a citation.

use super::{Layout, Section, error_page, escaped, human_bytes, page};
use crate::api::documents::page_of;
use crate::extract::{Caller, Path, Query};
use crate::server::Server;
use crate::wire::{Document, DocumentList};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::document::Rect;
use vellum_core::ledger::LedgerRow;
use vellum_rag::documents::{self, Part, Place};
use vellum_rag::pictures;

/// Documents of a page of the table.
const PAGE: usize = 100;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    collection: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "documents.html")]
struct DocumentsPage {
    layout: Layout,
    list: DocumentList,
    is_first: bool,
    next: Option<String>,
}

/// `GET /documents`.
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Query(query): Query<ListQuery>,
) -> Response {
    match list_page(&server, &principal, query).await {
        Ok(template) => page(StatusCode::OK, &template),
        Err(error) => error_page("./", error),
    }
}

async fn list_page(
    server: &Server,
    principal: &Principal,
    query: ListQuery,
) -> Result<DocumentsPage> {
    let wanted = query.collection.as_deref();
    let layout = Layout::new(server, principal, Section::Documents, wanted).await?;
    let list = if layout.has_collection() || wanted.is_some_and(|name| !name.is_empty()) {
        let pass = Pass::grant(principal, &layout.collection, Verb::Read)?;
        page_of(server, &pass, query.after.as_deref(), PAGE).await?
    } else {
        DocumentList { documents: Vec::new(), next: None }
    };
    let next = list.next.as_deref().map(escaped);
    Ok(DocumentsPage { layout, is_first: query.after.is_none(), next, list })
}

#[derive(Deserialize)]
pub(crate) struct ShowQuery {
    page: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
}

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage {
    layout: Layout,
    document: Document,
    /// Whether parts are pages of the original.
    has_pages: bool,
    number: usize,
    of: usize,
    pieces: Vec<Piece>,
    picture: Option<Picture>,
}

/// A page as it looks, with the cited places on it.
struct Picture {
    /// Width and height of the page in points, where they are known.
    size: Option<(f32, f32)>,
    marks: Vec<Mark>,
}

/// A rectangle in points from the page's top left.
struct Mark {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

/// Text of a document, cited or not.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    /// The first cited piece is the target of `#cited`.
    Cited {
        text: String,
        is_first: bool,
    },
}

/// `GET /documents/{id}`.
pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Response {
    match show_page(&server, &principal, &id, &query).await {
        Ok(template) => page(StatusCode::OK, &template),
        Err(error) => error_page("../", error),
    }
}

async fn show_page(
    server: &Server,
    principal: &Principal,
    id: &str,
    query: &ShowQuery,
) -> Result<DocumentPage> {
    let (pass, row) = documents::find(&server.app, principal, id.parse()?).await?;
    let place = match (query.page, query.start) {
        (Some(page), _) => Place::Number(page),
        (None, Some(start)) => Place::Char(start),
        (None, None) => Place::Number(1),
    };
    let start = query.start.unwrap_or(0);
    let cited = start..query.end.unwrap_or(start);
    let part = documents::part(&server.app, &pass, &row, place, &cited).await?;
    let collection = pass.collection().as_str();
    let layout = Layout::new(server, principal, Section::Documents, Some(collection)).await?;
    let picture = picture(&row, &part);
    let document = Document::new(pass.collection(), row);
    Ok(DocumentPage {
        layout: Layout { root: "../", ..layout },
        has_pages: document.pages > 0,
        document,
        number: part.number,
        of: part.of,
        pieces: pieces(&part, &cited),
        picture,
    })
}

/// Returns how the part looks, if it is a page that can be drawn.
fn picture(row: &LedgerRow, part: &Part) -> Option<Picture> {
    if !row.format.is_some_and(pictures::has_pictures) || row.pages == 0 {
        return None;
    }
    // A little air around the letters.
    let mark = |Rect { x0, y0, x1, y1 }: Rect| Mark {
        x: x0 - 1.5,
        y: y0 - 1.0,
        width: x1 - x0 + 3.0,
        height: y1 - y0 + 2.0,
    };
    Some(Picture {
        size: part.size.map(|size| (size.width, size.height)),
        marks: part.boxes.iter().map(|place| mark(place.rect)).collect(),
    })
}

/// Cuts the text of a part at the ends of the cited characters.
fn pieces(part: &Part, cited: &Range<usize>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut marked = false;
    let mut end_of_last = None;
    for run in &part.runs {
        let n_chars = run.text.chars().count();
        if let Some(end) = end_of_last {
            // One left-out character was a space or a line end; more were a paragraph's.
            let gap = if run.char_start <= end + 1 { " " } else { "\n\n" };
            pieces.push(Piece::Text(gap.to_owned()));
        }
        end_of_last = Some(run.char_start + n_chars);
        let byte_of = |at: usize| {
            let inside = at.saturating_sub(run.char_start);
            run.text.char_indices().nth(inside).map_or(run.text.len(), |(byte, _)| byte)
        };
        let from = byte_of(cited.start);
        let to = byte_of(cited.end).max(from);
        for (text, is_cited) in
            [(&run.text[..from], false), (&run.text[from..to], true), (&run.text[to..], false)]
        {
            match (text.is_empty(), is_cited) {
                (true, _) => {}
                (false, false) => pieces.push(Piece::Text(text.to_owned())),
                (false, true) => {
                    pieces.push(Piece::Cited { text: text.to_owned(), is_first: !marked });
                    marked = true;
                }
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_rag::documents::Run;

    fn check(cited: Range<usize>, expected: &str) {
        let run = |char_start, text: &str| Run { char_start, text: text.to_owned() };
        let part = Part {
            number: 1,
            of: 1,
            runs: vec![run(10, "über alles"), run(21, "wide 日本")],
            size: None,
            boxes: Vec::new(),
        };
        let shown: Vec<String> = pieces(&part, &cited)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Cited { text, is_first: true } => format!("<{text}>"),
                Piece::Cited { text, is_first: false } => format!("({text})"),
            })
            .collect();
        assert_eq!(shown.join("|"), expected);
    }

    #[test]
    fn the_cited_characters_are_marked() {
        check(0..0, "über alles| |wide 日本");
        check(10..14, "<über>| alles| |wide 日本");
        check(11..14, "ü|<ber>| alles| |wide 日本");
        check(26..28, "über alles| |wide |<日本>");
        check(15..25, "über |<alles>| |(wide)| 日本");
        check(0..99, "<über alles>| |(wide 日本)");
        check(90..99, "über alles| |wide 日本");
        check(Range { start: 14, end: 11 }, "über| alles| |wide 日本");
    }
}
