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
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{Counts, IngestReport, Job, JobRequest, JobState};
use vellum_server::config::Config;

/// Refused documents that are named; the rest are counted.
const NAMED: usize = 20;

pub(crate) async fn ingest(config: &Config, args: args::Ingest) -> Result<Outcome> {
    // A server has another working directory.
    let source = absolute(&args.source).await?;
    let session = session::open(config).await?;
    let name = &args.collection.collection;
    must_be_cut_so(&session, name, config, &args.split).await?;
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

/// Fails where flags ask for another cut than documents of the collection will get: they hold for collections that this
/// process makes.
pub(crate) async fn must_be_cut_so(
    session: &Session,
    name: &CollectionName,
    config: &Config,
    asked: &args::Split,
) -> Result<()> {
    let flags = asked.flags().into_iter().filter(|(_, _, value)| value.is_some());
    let flags: Vec<String> = flags.map(|(_, flag, _)| format!("--{flag}")).collect();
    if flags.is_empty() {
        return Ok(());
    }
    let list = session.collections().await?.collections;
    let Some(existing) = list.into_iter().find(|collection| collection.name == *name) else {
        return match session {
            Session::Local(_) => Ok(()),
            Session::Remote(_) => {
                let message = format!("{} cannot reach the server at work", flags.join(", "));
                Err(Error::new(ErrorKind::Conflict, message).with_hint(
                    "it makes collections by its own settings (`[collection]`); set them there, or end it first",
                ))
            }
        };
    };
    let (cut, wanted) = (&existing.splitter, &config.collection);
    let differs = asked.splitter.is_some() && cut.name != wanted.splitter
        || asked.max_tokens.is_some() && cut.max_tokens != wanted.max_tokens
        || asked.overlap_tokens.is_some() && cut.overlap_tokens != wanted.overlap_tokens;
    if !differs {
        return Ok(());
    }
    let message = format!(
        "collection `{name}` is cut by `{}` with {} tokens at most and an overlap of {}",
        cut.name, cut.max_tokens, cut.overlap_tokens
    );
    Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
        "leave {} out, or ingest into a new collection with --collection",
        flags.join(", ")
    )))
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
