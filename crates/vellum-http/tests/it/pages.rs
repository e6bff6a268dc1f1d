//! The console: whole pages as snapshots, hostile text escaped, citations that lead to their place.

use crate::world::{LEAVE, World, send};
use axum::body::Body;
use insta::assert_snapshot;

/// Returns the page with what changes between builds left out.
fn stable(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(at) = rest.find("?v=") {
        out.push_str(&rest[..at]);
        rest = rest[at + 3..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out + rest
}

#[tokio::test]
async fn the_first_page_of_an_empty_server() {
    let reply = World::empty().open("/").await;
    assert_eq!(reply.status, 200);
    assert_snapshot!(stable(&reply.text));
}

#[tokio::test]
async fn an_answer_and_the_way_to_its_place() {
    let world = World::filled().await;
    let reply = world.open("/?q=How+many+days+of+paid+leave+do+employees+receive%3F").await;
    assert_eq!(reply.status, 200);
    assert_snapshot!(stable(&reply.text));

    let href = reply.text.split("class=\"cite\" href=\"./").nth(1).unwrap();
    let href = href.split('"').next().unwrap().replace("&#38;", "&");
    let (path, fragment) = href.split_once('#').unwrap();
    assert_eq!(fragment, "cited");
    let place = world.open(&format!("/{path}")).await;
    assert_eq!(place.status, 200);
    assert!(place.text.contains(&format!("<mark id=\"cited\">{LEAVE}</mark>")), "{}", place.text);
}

#[tokio::test]
async fn a_refusal_is_shown_as_one() {
    let world = World::filled().await;
    let reply = world.open("/?q=zzz+qqq+xxx").await;
    assert!(reply.text.contains("No answer found"), "{}", reply.text);
    assert!(!reply.text.contains("class=\"card\""));
}

#[tokio::test]
async fn hostile_text_is_text() {
    let world = World::filled().await;
    let id = world.id_of("mem:///docs/evil%3Cb%3E.txt").await;
    let pages = [
        world.open(&format!("/documents/{id}?start=0&end=9")).await,
        world.open("/documents").await,
        world.open("/?q=volcanoes+erupting+owned+quotes+alert+script").await,
        world.open("/?q=%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%3E%3Cb%3E").await,
        world.open("/documents/%3Cscript%3E").await,
        world.open("/?collection=%3Cscript%3E").await,
        world.open("/nowhere/%3Cscript%3E").await,
    ];
    for page in &pages {
        assert!(!page.text.contains("<script>") && !page.text.contains("<b>"), "{}", page.text);
    }
    assert!(pages[0].text.contains("<mark id=\"cited\">&#60;script"), "{}", pages[0].text);
    assert!(pages[2].text.contains("&#60;script&#62;"), "{}", pages[2].text);
    assert_snapshot!(stable(&pages[0].text));
}

#[tokio::test]
async fn a_document_is_read_page_by_page() {
    let world = World::filled().await;
    let id = world.id_of("mem:///docs/pages.txt").await;
    let second = world.open(&format!("/documents/{id}?page=2")).await.text;
    assert!(second.contains("Page 2 of 3") && second.contains("Page 2 speaks"));
    assert!(!second.contains("Page 1 speaks") && !second.contains("Page 3 speaks"));
    assert!(second.contains("?page=1") && second.contains("?page=3"));
    let beyond = world.open(&format!("/documents/{id}?page=99")).await.text;
    assert!(beyond.contains("Page 3 of 3"));

    // Without pages, parts show every sentence once.
    let id = world.id_of("mem:///docs/long%20one.txt").await;
    let mut seen = String::new();
    let mut number = 1;
    loop {
        let page = world.open(&format!("/documents/{id}?page={number}")).await.text;
        let text =
            page.split("<div class=\"text\">").nth(1).unwrap().split("</div>").next().unwrap();
        seen.push_str(text);
        if !page.contains("rel=\"next\"") {
            break;
        }
        number += 1;
    }
    assert!(number > 1);
    for n in 0..80 {
        assert_eq!(seen.matches(&format!("number {n} tell")).count(), 1, "sentence {n}");
    }
}

#[tokio::test]
async fn documents_and_jobs_are_shown() {
    let world = World::filled().await;
    assert_snapshot!("documents", stable(&world.open("/documents").await.text));
    let jobs = world.open("/jobs").await.text;
    assert!(jobs.contains("5 documents: 4 added") && jobs.contains("blank.txt"), "{jobs}");
}

#[tokio::test]
async fn assets_and_the_index() {
    let world = World::empty();
    for (name, media_type) in [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let reply = world.open(&format!("/assets/{name}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, media_type));
    }
    assert_eq!(world.open("/assets/other").await.status, 404);
    let headers = [("host", "localhost"), ("accept", "application/json")];
    let index = send(&world.router, "GET /", &headers, Body::empty()).await.json();
    assert_eq!((&index["name"], &index["version"]), (&"vellum".into(), &"0.0.0-test".into()));
    assert_eq!(index["links"]["openapi"], "api/v1/openapi.json");
}
