//! `vellum search`: passages, best first.

use super::explain;
use crate::args;
use crate::print::{self, Outcome};
use crate::session;
use vellum_core::Result;
use vellum_core::ids::CollectionName;
use vellum_http::wire;
use vellum_server::config::Config;

/// Characters of a passage that are shown.
const EXCERPT: usize = 300;

pub(crate) async fn search(config: &Config, args: args::Search) -> Result<Outcome> {
    let request = request(&args)?;
    let session = session::open(config).await?;
    let response = session.search(request).await?;
    response.notes.iter().for_each(print::note);
    if args.json.json {
        print::json(&response)?;
    } else {
        for hit in &response.hits {
            let page =
                hit.page.map(|page| format!(", {} {page}", hit.page_kind)).unwrap_or_default();
            print::line(format_args!("{}. {}{page}  ({:.4})", hit.rank, hit.source, hit.score))?;
            for text in &hit.before {
                print::line(format_args!("   . {}", excerpt(text)))?;
            }
            print::line(format_args!("   {}", excerpt(&hit.text)))?;
            for text in &hit.after {
                print::line(format_args!("   . {}", excerpt(text)))?;
            }
            print::line("")?;
        }
        if response.explain.is_some() {
            explain::tell(&response)?;
        }
    }
    if response.hits.is_empty() {
        print::note("nothing found");
    }
    Ok(Outcome::of(!response.hits.is_empty()))
}

fn request(args: &args::Search) -> Result<wire::SearchRequest> {
    let collection = args.collection.collection.clone();
    let options = &args.options;
    Ok(wire::SearchRequest {
        top_k: args.top_k,
        mode: mode(args.mode),
        filter: filter(&args.filter, &collection)?,
        fusion: options.fusion.map(|fusion| match fusion {
            args::Fusion::Score => wire::Fusion::Score,
            args::Fusion::Rank => wire::Fusion::Rank,
        }),
        dense_weight: options.dense_weight,
        sparse_weight: options.sparse_weight,
        leg_limit: options.leg_limit,
        rerank_depth: options.rerank_depth,
        mmr: options.mmr,
        mmr_lambda: options.mmr_lambda,
        group_by_document: options.group_by_document,
        neighbours: options.neighbours,
        exact: options.exact,
        explain: args.explain,
        ..wire::SearchRequest::new(&args.query, collection)
    })
}

/// Returns the condition that was typed, as the API takes it.
pub(crate) fn filter(
    typed: &args::FilterArg,
    collection: &CollectionName,
) -> Result<Option<wire::Filter>> {
    let read = |text: &String| vellum_rag::filter::parse(text, collection);
    Ok(typed.filter.as_ref().map(read).transpose()?.map(Into::into))
}

pub(crate) fn mode(mode: args::Mode) -> wire::Mode {
    match mode {
        args::Mode::Hybrid => wire::Mode::Hybrid,
        args::Mode::Dense => wire::Mode::Dense,
        args::Mode::Sparse => wire::Mode::Sparse,
    }
}

/// Returns the beginning of a text on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{} ...", &line[..at]),
        None => line,
    }
}
