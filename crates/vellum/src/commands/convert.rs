//! `vellum convert`: the text that is extracted from a file; and the worker that extracts it.

use crate::args;
use crate::local::local;
use crate::print::{self, Outcome};
use serde::Serialize;
use vellum_backends::FolderStore;
use vellum_core::document::{Document, Edge, Format};
use vellum_core::ports::{ConvertInput, ObjectStore};
use vellum_core::{Error, ErrorKind, Result};
use vellum_server::config::Config;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Converted {
    format: Option<&'static str>,
    title: Option<String>,
    pages: Vec<Page>,
    rejected: Option<String>,
}

/// A page; formats without pages have one, numbered null.
#[derive(Debug, Serialize)]
struct Page {
    page: Option<u32>,
    text: String,
    /// Running header, as far as it was left out of the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    footer: Vec<String>,
    /// Links whose address the text does not show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    text: String,
    target: String,
}

/// Runs as a child of the converter pool until its stdin ends.
pub(crate) fn worker() -> Result<Outcome> {
    vellum_convert::worker_main()?;
    Ok(Outcome::Yes)
}

pub(crate) async fn convert(config: &Config, args: args::Convert) -> Result<Outcome> {
    let shown = args.file.display();
    let store = FolderStore::default();
    let uri = store.resolve(&args.file.to_string_lossy()).await?;
    if uri.ends_with('/') {
        return Err(Error::new(ErrorKind::Invalid, format!("`{shown}` is a folder"))
            .with_hint("name a file; `vellum ingest` reads folders"));
    }
    let converter = (local().converter)(config)?;
    let converted = match store.get(&uri, config.ingest.max_document_bytes).await {
        Ok((meta, content)) => converter.convert(ConvertInput { name: meta.name, content }).await,
        Err(error) => Err(error),
    };
    match converted {
        Ok(document) => {
            let converted = Converted {
                format: Some(document.format.as_str()),
                title: document.title.clone(),
                pages: pages(&document),
                rejected: None,
            };
            show(&converted, args.json.json)?;
            Ok(Outcome::Yes)
        }
        Err(error) if error.kind() == ErrorKind::Rejected => {
            let reason = error.full_message();
            if args.json.json {
                let rejected = Some(reason);
                print::json(&Converted { format: None, title: None, pages: Vec::new(), rejected })?;
            } else {
                print::note(format_args!("rejected {shown}: {reason}"));
            }
            Ok(Outcome::No)
        }
        Err(error) => Err(error),
    }
}

fn pages(document: &Document) -> Vec<Page> {
    let text = &document.text;
    let mut pages: Vec<Page> = document
        .pages()
        .map(|(page, span)| {
            let at = |edge| {
                let furniture = document.layout.furniture.iter();
                let here = furniture.filter(|line| line.page == page && line.edge == edge);
                here.map(|line| line.text.clone()).collect()
            };
            let links = document.layout.links.iter().filter(|link| span.contains(link.span));
            let links = links.map(|link| Link {
                text: text[link.span.start..link.span.end].to_owned(),
                target: link.target.clone(),
            });
            Page {
                page: Some(page),
                text: text[span.start..span.end].to_owned(),
                header: at(Edge::Top),
                footer: at(Edge::Bottom),
                links: links.collect(),
            }
        })
        .collect();
    if pages.is_empty() {
        let (header, footer, links) = (Vec::new(), Vec::new(), Vec::new());
        pages.push(Page { page: None, text: text.clone(), header, footer, links });
    }
    pages
}

fn show(converted: &Converted, json: bool) -> Result<()> {
    if json {
        return print::json(converted);
    }
    let format = converted.format.and_then(Format::from_name);
    let noun = format.map_or("page", Format::page_noun);
    for page in &converted.pages {
        if let Some(number) = page.page {
            print::line(format_args!("--- {noun} {number} ---"))?;
        }
        print::line(page.text.trim_end())?;
    }
    Ok(())
}
