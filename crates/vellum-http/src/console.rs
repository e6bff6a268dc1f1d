//! The console: server-rendered pages, one style sheet, a little script that is not needed to ask.
//!
//! Pages call the same functions of `vellum-rag` as the API. Every value goes through a template, which
//! escapes it; nothing from a document is ever markup. Links are relative to `root`, the way from the page
//! to the console's root, so that everything works below a prefix.

pub(crate) mod ask;
pub(crate) mod assets;
pub(crate) mod documents;
pub(crate) mod jobs;
pub(crate) mod login;
pub(crate) mod versions;

use crate::problem::Problem;
use crate::server::Server;
use crate::wire::CollectionInfo;
use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use vellum_core::access::Principal;
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};

/// Which entry of the navigation is the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Ask,
    Documents,
    Versions,
    Jobs,
}

/// What every page shows around its content.
struct Layout {
    /// Relative path to the console's root, ends with `/`.
    root: &'static str,
    /// Changes whenever an asset does.
    assets: &'static str,
    section: Section,
    /// Where the collection selector leads, relative to the root.
    here: &'static str,
    collections: Vec<CollectionInfo>,
    collection: CollectionName,
    version: String,
}

impl Layout {
    /// Returns the frame of a page about `wanted`, or about the collection that fits best.
    ///
    /// # Errors
    /// `Invalid` for a wrong name; what listing the collections fails with.
    async fn new(
        server: &Server,
        principal: &Principal,
        section: Section,
        wanted: Option<&str>,
    ) -> Result<Self> {
        let summaries = vellum_rag::documents::collections(&server.app, principal).await?;
        let collections: Vec<CollectionInfo> = summaries.into_iter().map(Into::into).collect();
        let collection = match wanted.filter(|name| !name.is_empty()) {
            Some(name) => name.parse()?,
            None => preferred(&collections)?,
        };
        Ok(Self {
            root: "./",
            assets: assets::version(),
            section,
            here: match section {
                Section::Ask => "",
                Section::Documents => "documents",
                Section::Versions => "versions",
                Section::Jobs => "jobs",
            },
            collections,
            collection,
            version: server.version.clone(),
        })
    }

    fn has_collection(&self) -> bool {
        self.collections.iter().any(|it| it.name == self.collection)
    }

    fn is_current(&self, section: Section) -> bool {
        self.section == section
    }
}

/// Returns `default`, or the first collection where there is none of that name.
fn preferred(collections: &[CollectionInfo]) -> Result<CollectionName> {
    let default: CollectionName = "default".parse()?;
    let first = collections.iter().find(|it| it.name == default).or(collections.first());
    Ok(first.map_or(default, |it| it.name.clone()))
}

/// Returns a rendered page.
fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
        }
        // Only a value that fails to format itself can cause this.
        Err(error) => {
            let error = Error::new(ErrorKind::Internal, "render a page").with_source(error);
            Problem::from(error).into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    root: &'static str,
    assets: &'static str,
    problem: Problem,
}

/// Returns an error as a page; `root` leads from the page that failed to the console's root.
fn error_page(root: &'static str, error: Error) -> Response {
    let problem = Problem::from(error);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page(status, &ErrorPage { root, assets: assets::version(), problem })
}

/// Returns `text` so that it can stand in the query of a link.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns a time as `2026-01-31 12:00` in UTC.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
pub fn utc(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440) + 719_468, minutes.rem_euclid(1440));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

/// Returns a number of bytes for people.
fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_for_people() {
        for (ms, text) in [
            (0, "1970-01-01 00:00"),
            (1_767_225_600_000, "2026-01-01 00:00"),
            (1_709_251_199_000, "2024-02-29 23:59"),
            (-60_000, "1969-12-31 23:59"),
        ] {
            assert_eq!(utc(ms), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1500, "1.5 kB"),
            (12_345, "12 kB"),
            (999_600, "1.0 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
