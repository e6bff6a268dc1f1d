//! Progress bars on stderr; silent where stderr is not a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::time::Duration;
use vellum_http::wire::{Job, JobState};

/// Returns a bar for a download.
pub(crate) fn bytes_bar() -> ProgressBar {
    styled("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// Returns a bar for `length` steps of one kind.
pub(crate) fn steps_bar(length: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = styled("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_length(length);
    bar.set_message(what);
    bar
}

/// Shows how far an export or an import is.
pub(crate) fn show_steps(bar: &ProgressBar, at: vellum_rag::archive::Progress) {
    bar.set_length(at.of);
    bar.set_position(at.done);
}

/// Returns a bar for an ingest job.
pub(crate) fn job_bar() -> ProgressBar {
    let bar = styled("{spinner} {pos}/{len} documents {wide_bar} {msg}");
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Shows where an ingest job stands.
pub(crate) fn show_job(bar: &ProgressBar, job: &Job) {
    let Some(progress) = &job.progress else { return };
    if let (JobState::Waiting, Some(reason)) = (job.state, &job.error) {
        bar.set_message(format!("waiting: {reason}"));
        return;
    }
    if job.state == JobState::Queued {
        bar.set_message("waiting for another job of the collection");
        return;
    }
    bar.set_length(progress.listed.max(1));
    bar.set_position(progress.settled);
    let left = match progress.remaining_s {
        Some(seconds) => format!(", {} left", short(seconds)),
        None => String::new(),
    };
    let current = progress.current.first().map(|name| format!("  {name}")).unwrap_or_default();
    bar.set_message(format!("{:.0} chunks/s{left}{current}", progress.chunks_per_s));
}

/// Returns a duration for people: `42 s`, `3 min`, `2 h 05 min`.
pub(crate) fn short(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=90 => format!("{whole} s"),
        91..=5_400 => format!("{} min", whole.div_ceil(60)),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

fn styled(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_for_people() {
        for (seconds, expect) in
            [(0.4, "0 s"), (89.6, "90 s"), (150.0, "3 min"), (7_500.0, "2 h 05 min")]
        {
            assert_eq!(super::short(seconds), expect);
        }
    }
}
