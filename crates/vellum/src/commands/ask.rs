//! `vellum ask`: an answer with its proof.

use super::search::excerpt;
use crate::args;
use crate::print::{self, Outcome};
use crate::session;
use vellum_core::Result;
use vellum_http::wire;
use vellum_server::config::Config;

pub(crate) async fn ask(config: &Config, args: args::Ask) -> Result<Outcome> {
    let session = session::open(config).await?;
    let answer = session
        .ask(wire::AskRequest {
            question: args.question,
            collection: args.collection.collection.clone(),
            top_k: args.top_k,
            stream: false,
            filter: super::search::filter(&args.filter, &args.collection.collection)?,
        })
        .await?;
    if args.json.json {
        print::json(&answer)?;
        return Ok(Outcome::of(!answer.refused));
    }
    answer.notes.iter().for_each(print::note);
    print::line(&answer.answer)?;
    if !answer.citations.is_empty() {
        print::line("")?;
    }
    for citation in &answer.citations {
        let page = citation
            .page
            .map(|page| format!(", {} {page}", citation.page_kind))
            .unwrap_or_default();
        print::line(format_args!("[{}] {}{page}", citation.n, citation.source))?;
        print::line(format_args!("    \"{}\"", excerpt(&citation.text)))?;
    }
    Ok(Outcome::of(!answer.refused))
}
