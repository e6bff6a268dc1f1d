//! Style sheet, script and icon, compiled in.

use crate::extract::Path;
use crate::problem::Problem;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;
use vellum_core::{Error, ErrorKind};

const STYLE: &str = include_str!("../../assets/app.css");
const SCRIPT: &str = include_str!("../../assets/app.js");
const ICON: &str = include_str!("../../assets/icon.svg");
/// Links carry the version, so a copy may be kept for long.
const CACHE: &str = "private, max-age=604800, immutable";

/// Returns digits that change whenever an asset does.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let hash = blake3::hash([STYLE, SCRIPT, ICON].concat().as_bytes());
        hash.to_hex()[..8].to_owned()
    });
    &VERSION
}

/// `GET /assets/{name}`.
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, Problem> {
    let (media_type, content) = match name.as_str() {
        "app.css" => ("text/css; charset=utf-8", STYLE),
        "app.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Error::new(ErrorKind::NotFound, "there is no such asset").into()),
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, CACHE)];
    Ok((headers, content).into_response())
}
