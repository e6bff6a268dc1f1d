//! `vellum search`: passages, best first.

use crate::args;
use crate::print::{self, Outcome};
use crate::session;
use vellum_core::Result;
use vellum_http::wire;
use vellum_server::config::Config;

/// Characters of a passage that are shown.
const EXCERPT: usize = 300;

pub(crate) async fn search(config: &Config, args: args::Search) -> Result<Outcome> {
    let session = session::open(config).await?;
    let response = session
        .search(wire::SearchRequest {
            query: args.query,
            collection: args.collection.collection,
            top_k: args.top_k,
            mode: mode(args.mode),
            filter: None,
        })
        .await?;
    if args.json.json {
        print::json(&response)?;
    } else {
        for hit in &response.hits {
            let page =
                hit.page.map(|page| format!(", {} {page}", hit.page_kind)).unwrap_or_default();
            print::line(format_args!("{}. {}{page}  ({:.4})", hit.rank, hit.source, hit.score))?;
            print::line(format_args!("   {}\n", excerpt(&hit.text)))?;
        }
    }
    if response.hits.is_empty() {
        print::note("nothing found");
    }
    Ok(Outcome::of(!response.hits.is_empty()))
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
