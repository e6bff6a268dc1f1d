//! The description of `/api/v1`, generated from the handlers and the wire types.

use crate::problem::Problem;
use crate::server::Server;
use crate::{api, wire};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::Server as Base;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vellum",
        version = "1",
        description = "Answers questions from documents and proves every answer. Errors are \
            problem+json (RFC 9457) with a stable `code`; answers may gain fields.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        api::search::search,
        api::ask::ask,
        api::feedback::give,
        api::feedback::list,
        api::collections::list,
        api::collections::show,
        api::collections::change,
        api::collections::create,
        api::collections::remove,
        api::archive::export,
        api::archive::import,
        api::versions::list,
        api::versions::build,
        api::versions::remove,
        api::versions::promote,
        api::versions::roll_back,
        api::compare::compare,
        api::datasets::list,
        api::datasets::add,
        api::datasets::remove,
        api::documents::list,
        api::documents::show,
        api::documents::text,
        api::content::original,
        api::pages::boxes,
        api::pages::image,
        api::jobs::start,
        api::events::accept,
        api::events::probe,
        api::jobs::list,
        api::jobs::show,
        api::jobs::events,
        api::jobs::cancel,
        api::jobs::pause,
        api::jobs::resume,
        serve
    ),
    components(schemas(
        Problem,
        wire::Citation,
        wire::Delta,
        wire::IngestReport,
        wire::BuildReport,
        wire::ExportReport,
        wire::Index,
        wire::Readiness
    ))
)]
struct Description;

/// Returns the OpenAPI description of the API as pretty JSON with a line end.
pub fn openapi_json() -> String {
    pretty(&Description::openapi())
}

fn pretty(description: &utoipa::openapi::OpenApi) -> String {
    let mut text = description.to_pretty_json().expect("the description always serialises");
    text.push('\n');
    text
}

/// Describes the API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "meta",
    responses((status = 200, description = "This description", content_type = "application/json"))
)]
pub(crate) async fn serve(State(server): State<Arc<Server>>) -> Response {
    let mut description = Description::openapi();
    if !server.base_path.is_empty() {
        description.servers = Some(vec![Base::new(server.base_path.clone())]);
    }
    ([(header::CONTENT_TYPE, "application/json")], pretty(&description)).into_response()
}
