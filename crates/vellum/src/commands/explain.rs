//! `vellum search --explain`: what each stage saw, kept and removed, for a person.
//!
//! Three tables: the stages, the hits with the score of each stage, and what was removed. `--json` has all of it and more.

use crate::print;
use comfy_table::{Table, presets};
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::ids::ChunkId;
use vellum_http::wire;

/// Removed chunks that are shown of a stage.
const MAX_SHOWN: usize = 10;

pub(crate) fn tell(response: &wire::SearchResponse) -> Result<()> {
    let Some(trace) = &response.explain else { return Ok(()) };
    if let Some(filter) = &trace.filter {
        print::line(format_args!("filter: {filter}\n"))?;
    }
    let mut stages = table(["STAGE", "SEEN", "KEPT", "MS", ""]);
    for stage in &trace.stages {
        stages.add_row([
            stage.name.clone(),
            stage.seen.to_string(),
            stage.kept.to_string(),
            format!("{:.3}", stage.ms),
            stage.note.clone(),
        ]);
    }
    print::line(format_args!("{}\n", stages.trim_fmt()))?;

    let mut hits = table(["RANK", "DENSE", "SPARSE", "FUSED", "RERANK", "SOURCE", "CHUNK"]);
    for hit in &response.hits {
        let scores = [hit.scores.dense, hit.scores.sparse, hit.scores.fused, hit.scores.rerank];
        let scores =
            scores.map(|score| score.map_or("-".to_owned(), |score| format!("{score:.4}")));
        let [dense, sparse, fused, rerank] = scores;
        let (source, chunk) = (hit.source.clone(), hit.chunk_id.to_string());
        hits.add_row([hit.rank.to_string(), dense, sparse, fused, rerank, source, chunk]);
    }
    print::line(format_args!("{}\n", hits.trim_fmt()))?;

    let ranks: HashMap<ChunkId, usize> =
        response.hits.iter().map(|hit| (hit.chunk_id, hit.rank)).collect();
    let mut removed = table(["STAGE", "SCORE", "CHUNK", "REASON"]);
    for stage in &trace.stages {
        for gone in stage.removed.iter().take(MAX_SHOWN) {
            let reason = gone.reason.clone().unwrap_or_default();
            let (score, chunk) = (format!("{:.4}", gone.score), gone.chunk_id.to_string());
            removed.add_row([stage.name.clone(), score, chunk, named(reason, &ranks)]);
        }
        let more = (stage.seen - stage.kept.min(stage.seen)).saturating_sub(MAX_SHOWN);
        if more > 0 && !stage.removed.is_empty() {
            let rest = format!("and {more} more");
            removed.add_row([stage.name.clone(), String::new(), String::new(), rest]);
        }
    }
    if removed.row_count() > 0 {
        print::line(removed.trim_fmt())?;
    }
    Ok(())
}

/// Returns a reason with hits called by their rank, which is easier to find than an id.
fn named(mut reason: String, ranks: &HashMap<ChunkId, usize>) -> String {
    for (id, rank) in ranks {
        reason = reason.replace(&format!("`{id}`"), &format!("hit {rank}"));
    }
    reason
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}
