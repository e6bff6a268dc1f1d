//! `GET /versions`: the index versions of a collection, what they were worth, and which one is live.
//!
//! The script sends the orders (build, compare, promote, roll back) to the API and follows a build at work; without it the page
//! shows how things stood when it was loaded.

use super::{Layout, Section, error_page, page, utc};
use crate::api::jobs::newest;
use crate::extract::{Caller, Query};
use crate::server::Server;
use crate::wire::{DatasetComparison, DatasetInfo, Job, Splitter, VersionInfo, VersionState};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use vellum_core::Result;
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::collection::SplitMethod;
use vellum_core::job::source_of_build;
use vellum_rag::eval::scores::METRIC;
use vellum_rag::{datasets, versions};

/// Jobs among which those that build are looked for.
const N_JOBS: usize = 100;
/// Digits of an id on a button.
const SHORT: usize = 8;

#[derive(Deserialize)]
pub(crate) struct VersionsQuery {
    collection: Option<String>,
}

#[derive(Template)]
#[template(path = "versions.html")]
struct VersionsPage {
    layout: Layout,
    /// Newest first, after the live one.
    versions: Vec<VersionView>,
    datasets: Vec<DatasetInfo>,
    splitters: [&'static str; 6],
}

/// A version as it is shown.
struct VersionView {
    info: VersionInfo,
    /// How documents are cut.
    cut: String,
    made: String,
    /// First digits of its id.
    short: String,
    /// Names it in the body of a request.
    order: String,
    /// The job that builds it now.
    job: Option<Job>,
    settled: u64,
    listed: u64,
    /// How it was measured beside the live one.
    standings: Vec<DatasetComparison>,
    can_compare: bool,
    can_promote: bool,
    can_build: bool,
    /// First digits of the id that a way back from it leads to.
    before: Option<String>,
}

impl VersionView {
    fn is_worse(&self) -> bool {
        self.standings.iter().any(|on| on.verdict == "worse")
    }
}

/// `GET /versions`.
pub(crate) async fn versions_page(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Query(query): Query<VersionsQuery>,
) -> Response {
    match render(&server, &principal, query).await {
        Ok(template) => page(StatusCode::OK, &template),
        Err(error) => error_page("./", error),
    }
}

async fn render(
    server: &Server,
    principal: &Principal,
    query: VersionsQuery,
) -> Result<VersionsPage> {
    let wanted = query.collection.as_deref();
    let layout = Layout::new(server, principal, Section::Versions, wanted).await?;
    let splitters = SplitMethod::NAMES;
    if !layout.has_collection() {
        return Ok(VersionsPage { layout, versions: Vec::new(), datasets: Vec::new(), splitters });
    }
    let pass = Pass::grant(principal, &layout.collection, Verb::Read)?;
    let app = &server.app;
    let list = versions::list(app, &pass).await?;
    let mut jobs = newest(server, principal, N_JOBS).await?;
    jobs.retain(|job| job.collection == layout.collection && job.state.is_active());
    let before = before(&list);
    let mut views = Vec::new();
    for summary in list {
        let standings = standings(server, &pass, &summary).await?;
        let info = VersionInfo::from(summary);
        let source = source_of_build(&info.version);
        let job = jobs.iter().position(|job| job.source == source).map(|at| jobs.swap_remove(at));
        views.push(view(info, job, standings, before.as_deref()));
    }
    views.sort_by_key(|view| {
        (view.info.state != VersionState::Live, std::cmp::Reverse(view.info.created_ms))
    });
    let datasets = datasets::list(app, &pass).await?.into_iter().map(Into::into).collect();
    Ok(VersionsPage { layout, versions: views, datasets, splitters })
}

/// Returns the id of the version that was live before the live one.
fn before(list: &[versions::VersionSummary]) -> Option<String> {
    let now = list.iter().find(|it| it.version.is_live)?.version.live_ms;
    let earlier = list.iter().filter(|it| it.version.live_ms.is_some_and(|then| Some(then) < now));
    let target = earlier.max_by_key(|it| it.version.live_ms)?;
    Some(target.version.collection.version())
}

async fn standings(
    server: &Server,
    pass: &Pass,
    summary: &versions::VersionSummary,
) -> Result<Vec<DatasetComparison>> {
    let measured = versions::beside_live(&server.app, pass, &summary.version).await?;
    let told = |it: &versions::Measured| {
        Ok(DatasetComparison::new(it.dataset.clone(), &it.decision(METRIC)?))
    };
    measured.iter().map(told).collect()
}

fn view(
    info: VersionInfo,
    job: Option<Job>,
    standings: Vec<DatasetComparison>,
    before: Option<&str>,
) -> VersionView {
    let is_live = info.state == VersionState::Live;
    let is_built = info.state != VersionState::Building;
    let live = job.as_ref().and_then(|job| job.progress.as_ref());
    VersionView {
        cut: cut(&info.splitter),
        made: utc(info.created_ms),
        short: short(&info.version),
        order: serde_json::json!({ "version": info.version }).to_string(),
        settled: live.map_or(0, |live| live.settled),
        listed: live.map_or(0, |live| live.listed),
        can_compare: is_built && !is_live,
        can_promote: is_built && !is_live && info.behind == 0,
        can_build: !is_live && job.is_none() && (!is_built || info.behind + info.missing > 0),
        before: before.filter(|_| is_live).map(short),
        job,
        standings,
        info,
    }
}

fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

fn cut(splitter: &Splitter) -> String {
    let overlap = match splitter.overlap_tokens {
        0 => String::new(),
        n => format!(", {n} repeated"),
    };
    format!("{}, up to {} tokens{overlap}", splitter.name, splitter.max_tokens)
}
