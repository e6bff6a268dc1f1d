//! The route table and the layers around it.
//!
//! [`table`] is the single list of routes: the router, the tests of the guard and the check that OpenAPI
//! names every API route are all made from it.

use crate::api::{
    archive, ask, collections, compare, content, datasets, documents, events, feedback, jobs,
    pages, search, versions,
};
use crate::console::{self, assets, login};
use crate::problem::{HttpOnly, Problem};
use crate::server::{Server, State, below};
use crate::{gate, openapi, status};
use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post};
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;
use vellum_core::{Error, ErrorKind};

type Route = (Method, &'static str, MethodRouter<Arc<Server>>);

const IMPORT: &str = "/api/v1/import";
const COMPARE: &str = "/api/v1/collections/{name}/compare";
/// The routes that answer when their work is done, however long that takes.
pub(crate) const UNTIMED: [&str; 2] = [IMPORT, COMPARE];

fn table() -> Vec<Route> {
    let get_route = |path, handler| (Method::GET, path, handler);
    let post_route = |path, handler| (Method::POST, path, handler);
    vec![
        post_route("/api/v1/search", post(search::search)),
        post_route("/api/v1/ask", post(ask::ask)),
        post_route("/api/v1/feedback", post(feedback::give)),
        get_route("/api/v1/collections", get(collections::list)),
        get_route("/api/v1/collections/{name}", get(collections::show)),
        (Method::PATCH, "/api/v1/collections/{name}", patch(collections::change)),
        post_route("/api/v1/collections", post(collections::create)),
        (Method::DELETE, "/api/v1/collections/{name}", delete(collections::remove)),
        get_route("/api/v1/collections/{name}/export", get(archive::export)),
        post_route(IMPORT, post(archive::import)),
        get_route("/api/v1/collections/{name}/versions", get(versions::list)),
        post_route("/api/v1/collections/{name}/versions", post(versions::build)),
        (Method::DELETE, "/api/v1/collections/{name}/versions/{version}", delete(versions::remove)),
        post_route("/api/v1/collections/{name}/promote", post(versions::promote)),
        post_route("/api/v1/collections/{name}/rollback", post(versions::roll_back)),
        post_route(COMPARE, post(compare::compare)),
        get_route("/api/v1/collections/{name}/datasets", get(datasets::list)),
        post_route("/api/v1/collections/{name}/datasets", post(datasets::add)),
        (Method::DELETE, "/api/v1/collections/{name}/datasets/{dataset}", delete(datasets::remove)),
        get_route("/api/v1/collections/{name}/documents", get(documents::list)),
        post_route("/api/v1/collections/{name}/jobs", post(jobs::start)),
        post_route("/api/v1/collections/{name}/events", post(events::accept)),
        get_route("/api/v1/collections/{name}/events", get(events::probe)),
        get_route("/api/v1/collections/{name}/feedback", get(feedback::list)),
        get_route("/api/v1/jobs", get(jobs::list)),
        get_route("/api/v1/jobs/{id}", get(jobs::show)),
        get_route("/api/v1/jobs/{id}/events", get(jobs::events)),
        post_route("/api/v1/jobs/{id}/cancel", post(jobs::cancel)),
        post_route("/api/v1/jobs/{id}/pause", post(jobs::pause)),
        post_route("/api/v1/jobs/{id}/resume", post(jobs::resume)),
        get_route("/api/v1/documents/{id}", get(documents::show)),
        get_route("/api/v1/documents/{id}/text", get(documents::text)),
        get_route("/api/v1/documents/{id}/content", get(content::original)),
        get_route("/api/v1/documents/{id}/boxes", get(pages::boxes)),
        get_route("/api/v1/documents/{id}/pages/{page}/image", get(pages::image)),
        get_route("/api/v1/openapi.json", get(openapi::serve)),
        get_route("/healthz", get(status::alive)),
        get_route("/health", get(status::alive)),
        get_route("/readyz", get(status::ready)),
        get_route("/metrics", get(status::metrics)),
        get_route("/", get(console::ask::page)),
        get_route("/documents", get(console::documents::list)),
        get_route("/documents/{id}", get(console::documents::show)),
        get_route("/versions", get(console::versions::versions_page)),
        get_route("/jobs", get(console::jobs::jobs_page)),
        post_route("/login", post(login::post)),
        get_route("/assets/{name}", get(assets::serve)),
    ]
}

/// Returns every route as method and path template, in the order of the table.
pub fn routes() -> Vec<(Method, &'static str)> {
    table().into_iter().map(|(method, path, _)| (method, path)).collect()
}

/// Returns the server without a socket.
pub fn router(state: State) -> Router {
    // The sender is dropped: a router without a server is never told to close.
    let (_, closing) = watch::channel(false);
    router_until(state, closing)
}

/// Returns the server without a socket; its streams end when `closing` turns true.
pub(crate) fn router_until(state: State, closing: watch::Receiver<bool>) -> Router {
    let server = Server::new(state, closing);
    let mut routes = Router::new();
    for (_, path, handler) in table() {
        routes = routes.route(path, handler);
    }
    let routes = routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn(gate::limit_time))
        .layer(from_fn_with_state(server.clone(), gate::gate))
        .layer(from_fn_with_state(server.clone(), gate::observe))
        .with_state(server.clone());
    if server.base_path.is_empty() {
        routes
    } else {
        below_prefix(routes, server.base_path.clone())
    }
}

/// Returns `routes` below `base_path`, and also as they are, for proxies that take the prefix off.
fn below_prefix(routes: Router, base_path: String) -> Router {
    let slash = HeaderValue::try_from(format!("{base_path}/"));
    let bare = base_path.clone();
    let stripped = routes.map_request(move |mut request: axum::extract::Request| {
        if let Some(uri) = below(request.uri(), &base_path) {
            *request.uri_mut() = uri;
        }
        request
    });
    let mut outer = Router::new().fallback_service(stripped);
    // Relative links need the slash. A base path that is no header value matches no request either.
    if let Ok(slash) = slash {
        let redirect = move || async move {
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, slash)]).into_response()
        };
        outer = outer.route(&bare, get(redirect));
    }
    outer
}

async fn no_route(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let error = Error::new(ErrorKind::NotFound, format!("there is no route `{path}`"))
        .with_hint("`/api/v1/openapi.json` lists the routes");
    Problem::from(error).into_response()
}

async fn no_method(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("`{path}` does not answer to {method}");
    Problem::http_only(HttpOnly::MethodNotAllowed, detail).into_response()
}
