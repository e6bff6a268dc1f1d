//! `vellum job list|show|cancel|pause|resume|retry`.

use crate::args::Job as Args;
use crate::commands::ingest;
use crate::print::{self, Outcome};
use crate::progress;
use crate::session::{self, Session};
use comfy_table::{Table, presets};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vellum_core::Result;
use vellum_core::ids::JobId;
use vellum_http::wire::{Counts, Job, JobRequest, JobState};
use vellum_server::config::Config;

/// Refused documents that are named; `--json` names all.
const NAMED: usize = 20;

pub(crate) async fn job(config: &Config, args: Args) -> Result<Outcome> {
    let session = session::open(config).await?;
    match args {
        Args::List { limit, json } => list(&session, limit.into(), json.json).await,
        Args::Show { id, json } => show(&session, id, json.json).await,
        Args::Cancel { id } => cancel(&session, id).await,
        Args::Pause { id } => pause(&session, id).await,
        Args::Resume { id, json } => resume(&session, id, json.json).await,
        Args::Retry { id, rejected, json } => retry(&session, id, rejected, json.json).await,
    }
}

async fn list(session: &Session, limit: usize, json: bool) -> Result<Outcome> {
    let list = session.jobs(limit).await?;
    if json {
        print::json(&list)?;
        return Ok(Outcome::Yes);
    }
    if list.jobs.is_empty() {
        print::note("no jobs; `vellum ingest SOURCE` starts one");
        return Ok(Outcome::Yes);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ID", "STATE", "STARTED", "COLLECTION", "DOCUMENTS", "REFUSED", "SOURCE"]);
    for job in list.jobs {
        let refused = job.report.rejected.len() + job.report.failed.len();
        table.add_row([
            job.id.to_string(),
            job.state.as_str().to_owned(),
            ago(job.created_ms),
            job.collection.to_string(),
            job.report.listed.to_string(),
            refused.to_string(),
            job.source,
        ]);
    }
    print::line(table.trim_fmt())?;
    Ok(Outcome::Yes)
}

async fn show(session: &Session, id: JobId, json: bool) -> Result<Outcome> {
    let job = session.job(id).await?;
    if json {
        print::json(&job)?;
        return Ok(Outcome::Yes);
    }
    let Counts { listed, added, updated, unchanged, removed, chunks, .. } = job.report;
    for (key, value) in [
        ("id", job.id.to_string()),
        ("state", job.state.as_str().to_owned()),
        ("collection", job.collection.to_string()),
        ("source", job.source.clone()),
        ("started", ago(job.created_ms)),
        (
            "documents",
            format!(
                "{listed} listed, {added} added, {updated} updated, {unchanged} unchanged, {removed} removed"
            ),
        ),
        ("chunks", chunks.to_string()),
    ] {
        print::line(format_args!("{key:<12} {value}"))?;
    }
    if let Some(live) = &job.progress {
        let left = live.remaining_s.map_or_else(|| "not known yet".to_owned(), progress::short);
        print::line(format_args!("{:<12} {:.0} chunks/s, {left} left", "pace", live.chunks_per_s))?;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        print::line(format_args!(
            "{:<12} {:.1} of {:.1} MB that need work",
            "read",
            megabytes(live.finished_bytes),
            megabytes(live.planned_bytes)
        ))?;
        print::line(format_args!("{:<12} {}", "at work on", live.current.join(", ")))?;
    }
    for (what, refusals) in [("rejected", &job.report.rejected), ("failed", &job.report.failed)] {
        for refusal in refusals.iter().take(NAMED) {
            print::line(format_args!("{what:<12} {}: {}", refusal.uri, refusal.reason))?;
        }
        if refusals.len() > NAMED {
            print::line(format_args!(
                "{what:<12} {} more; --json names all",
                refusals.len() - NAMED
            ))?;
        }
    }
    if let Some(error) = &job.error {
        let key = if job.state == JobState::Waiting { "waits for" } else { "error" };
        print::line(format_args!("{key:<12} {error}"))?;
    }
    Ok(Outcome::Yes)
}

async fn cancel(session: &Session, id: JobId) -> Result<Outcome> {
    let job = session.cancel(id).await?;
    if !job.state.is_active() && job.state != JobState::Cancelled {
        print::note(format_args!("job `{id}` has ended: {}", job.state.as_str()));
        return Ok(Outcome::No);
    }
    print::note(format_args!("job `{id}` is asked to end; what it committed stays"));
    Ok(Outcome::Yes)
}

async fn pause(session: &Session, id: JobId) -> Result<Outcome> {
    session.pause(id).await?;
    print::note(format_args!("job `{id}` pauses; `vellum job resume {id}` goes on"));
    Ok(Outcome::Yes)
}

async fn resume(session: &Session, id: JobId, json: bool) -> Result<Outcome> {
    let source = session.job(id).await?.source;
    let report = ingest::with_bar(session, async |show| session.resume(id, show).await).await?;
    if json {
        print::json(&report)?;
    }
    ingest::tell(&report, &source, json)?;
    Ok(ingest::outcome(&report.counts))
}

/// Runs a job's source again: what failed is tried again, what is indexed costs a look.
async fn retry(session: &Session, id: JobId, rejected: bool, json: bool) -> Result<Outcome> {
    let Job { collection, source, prune, .. } = session.job(id).await?;
    let request = JobRequest { source: source.clone(), prune, rejected };
    let report = ingest::run(session, &collection, &request).await?;
    if json {
        print::json(&report)?;
    }
    ingest::tell(&report, &source, json)?;
    Ok(ingest::outcome(&report.counts))
}

/// Returns how long ago a time was, for people.
pub(crate) fn ago(unix_ms: i64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(unix_ms.max(0).unsigned_abs());
    let since = SystemTime::now().duration_since(then).unwrap_or_default();
    match since.as_secs() {
        0..=172_800 => format!("{} ago", progress::short(since.as_secs_f64())),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}
