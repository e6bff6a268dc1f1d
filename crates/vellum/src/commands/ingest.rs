//! `vellum ingest`: brings a collection in line with a folder or a file.

use crate::args;
use crate::print::{self, Outcome};
use crate::progress;
use crate::rss;
use crate::session::{self, Session};
use crate::watch;
use std::time::Instant;
use vellum_backends::{absolute, is_remote};
use vellum_core::ids::CollectionName;
use vellum_core::{ErrorKind, Result};
use vellum_http::wire::{Counts, IngestReport, Job, JobRequest, JobState};
use vellum_server::config::Config;

/// Refused documents that are named; the rest are counted.
const NAMED: usize = 20;

pub(crate) async fn ingest(config: &Config, args: args::Ingest) -> Result<Outcome> {
    // A server has another working directory.
    let source = absolute(&args.source).await?;
    let session = session::open(config).await?;
    let name = &args.collection.collection;
    let request = JobRequest { source: source.clone(), prune: args.prune, rejected: false };
    let report = match run(&session, name, &request).await {
        Ok(report) => report,
        // Of a bucket that answers, an empty prefix is an answer.
        Err(error) if is_remote(&source) && error.kind() == ErrorKind::NotFound => {
            print::error(&error);
            return Ok(Outcome::No);
        }
        Err(error) => return Err(error),
    };
    let outcome = outcome(&report.counts);
    if args.json.json {
        print::json(&report)?;
    }
    tell(&report, &args.source, args.json.json)?;
    if args.watch {
        print::note(format_args!("watching {} (Ctrl-C ends)", args.source));
        let mut changes = watch::Changes::of(&source, config.ingest.rescan_s)?;
        while changes.next().await {
            let report = run(&session, name, &request).await?;
            if has_news(&report.counts) {
                tell(&report, &args.source, args.json.json)?;
            }
        }
    }
    Ok(outcome)
}

/// Runs one job with a progress bar.
pub(crate) async fn run(
    session: &Session,
    collection: &CollectionName,
    request: &JobRequest,
) -> Result<IngestReport> {
    with_bar(session, async |show| session.ingest(collection, request, show).await).await
}

/// Shows a bar for as long as a job works; returns its report.
pub(crate) async fn with_bar(
    session: &Session,
    work: impl AsyncFnOnce(&dyn Fn(&Job)) -> Result<Job>,
) -> Result<IngestReport> {
    let started = Instant::now();
    let bar = progress::job_bar();
    let told = std::cell::RefCell::new(None);
    let show = |job: &Job| {
        progress::show_job(&bar, job);
        // A wait can be long, and without a terminal there is no bar.
        let reason = job.error.as_ref().filter(|_| job.state == JobState::Waiting);
        if *told.borrow() != reason.cloned() {
            told.replace(reason.cloned());
            if let Some(reason) = reason {
                let note = format!("the job waits and goes on by itself: {reason}");
                bar.suspend(|| print::warn(&note));
            }
        }
    };
    let job = work(&show).await;
    bar.finish_and_clear();
    let elapsed = started.elapsed().as_secs_f64();
    Ok(IngestReport::new(job?.report, elapsed, rss::peak_mb(session.pid())))
}

/// Whether a job changed anything, or met something that a person should see.
pub(crate) fn has_news(counts: &Counts) -> bool {
    counts.added + counts.updated + counts.removed > 0 || !counts.failed.is_empty()
}

/// Tells a person what became of the documents: the sum on stdout, refusals on stderr.
pub(crate) fn tell(report: &IngestReport, source: &str, json: bool) -> Result<()> {
    let counts = &report.counts;
    for warning in &counts.warnings {
        print::warn(warning);
    }
    for (what, refusals) in [("rejected", &counts.rejected), ("failed", &counts.failed)] {
        for refusal in refusals.iter().take(NAMED) {
            print::warn(format_args!("{what} {}: {}", refusal.uri, refusal.reason));
        }
        if refusals.len() > NAMED {
            print::warn(format_args!("{what} {} more; --json names all", refusals.len() - NAMED));
        }
    }
    if counts.listed == 0 {
        print::note(format_args!("no documents in {source}"));
        print::note("hint: hidden files and symbolic links are left out; check the path");
    }
    if json {
        return Ok(());
    }
    print::line(format_args!(
        "{} documents in {:.1} s: {} added, {} updated, {} unchanged, {} removed, {} rejected, {} failed; {} chunks written",
        counts.listed,
        report.elapsed_s,
        counts.added,
        counts.updated,
        counts.unchanged,
        counts.removed,
        counts.rejected.len(),
        counts.failed.len(),
        counts.chunks,
    ))
}

/// No: something failed, or the source holds nothing that can be searched.
pub(crate) fn outcome(counts: &Counts) -> Outcome {
    let searchable = counts.added + counts.updated + counts.unchanged > 0;
    let emptied = counts.listed == 0 && counts.removed > 0;
    Outcome::of(counts.failed.is_empty() && (searchable || emptied))
}
