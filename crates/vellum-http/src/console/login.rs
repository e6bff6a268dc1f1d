//! How a browser proves the token: `GET /?token=...` or the login form set a cookie.
//!
//! The cookie is derived from the token, is not readable by scripts and is never sent by other sites; a
//! new token makes it void. The token leaves the address bar by a redirect. The login page is the only
//! one that is shown without proof, so it carries its own style and loads nothing.

use crate::gate::wants_page;
use crate::guard::{COOKIE, wrong_token};
use crate::problem::Problem;
use crate::server::Server;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// Days until a browser must log in again.
const COOKIE_DAYS: u32 = 30;
const STYLE: &str = include_str!("../../assets/login.css");
/// Lets only that style in; a test compares the hash with the file.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-lngBGRlb79xjVKZShwI/MkojsPYHDt2A8g21cSePojQ='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    root: String,
    style: &'static str,
    message: Option<&'static str>,
}

/// What a request has to do with logging in.
pub(crate) enum Attempt {
    /// It carried a token in the uri and is answered.
    Answered(Response),
    /// It is the login form, whose handler checks the token.
    Posted,
    /// Nothing.
    No,
}

/// Handles a token in the uri.
pub(crate) fn attempt(server: &Server, parts: &Parts) -> Attempt {
    let is_form = parts.method == Method::POST && parts.uri.path() == "/login";
    let token = if is_form { None } else { token_in_uri(server, parts) };
    if !is_form && token.is_none() {
        return Attempt::No;
    }
    if let Err(error) = server.guard.admit_host(parts) {
        return Attempt::Answered(Problem::from(error).into_response());
    }
    let Some((token, rest)) = token else { return Attempt::Posted };
    if server.guard.is_token(&token) {
        let target = if rest.is_empty() { "./".to_owned() } else { format!("./?{rest}") };
        return Attempt::Answered(enter(server, &parts.headers, &target));
    }
    Attempt::Answered(if wants_page(&parts.headers) {
        page("/", Some("That token is not valid."))
    } else {
        Problem::from(wrong_token()).into_response()
    })
}

/// Returns the token of `GET /?token=...` and the rest of the query; `None` where the server has no token.
fn token_in_uri(server: &Server, parts: &Parts) -> Option<(String, String)> {
    server.guard.session()?;
    if parts.method != Method::GET || parts.uri.path() != "/" {
        return None;
    }
    let is_token = |pair: &&str| pair.starts_with("token=");
    let (tokens, rest): (Vec<&str>, Vec<&str>) = parts.uri.query()?.split('&').partition(is_token);
    let raw = tokens.first()?.strip_prefix("token=")?;
    let token = percent_encoding::percent_decode_str(raw).decode_utf8().ok()?.into_owned();
    Some((token, rest.join("&")))
}

/// The login form.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    token: String,
}

/// `POST /login`.
pub(crate) async fn post(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, axum::extract::rejection::FormRejection>,
) -> Response {
    let given = form.map(|Form(form)| form.token.trim().to_owned()).unwrap_or_default();
    if server.guard.is_token(&given) {
        return enter(&server, &headers, "./");
    }
    page("/login", Some("That token is not valid."))
}

/// Returns a redirect that sets the cookie.
fn enter(server: &Server, headers: &HeaderMap, target: &str) -> Response {
    let session = server.guard.session().unwrap_or_default();
    let path = if server.base_path.is_empty() { "/" } else { &server.base_path };
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    // A browser drops a cookie that is marked secure on a plain connection.
    let secure = if forwarded == Some("https") { "; Secure" } else { "" };
    let max_age = COOKIE_DAYS * 24 * 60 * 60;
    let cookie = format!(
        "{COOKIE}={session}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"
    );
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in [(header::SET_COOKIE, cookie.as_str()), (header::LOCATION, target)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Returns the page that asks for the token, for a browser at `path`.
pub(crate) fn page(path: &str, message: Option<&'static str>) -> Response {
    let depth = path.matches('/').count().saturating_sub(1);
    let root = if depth == 0 { "./".to_owned() } else { "../".repeat(depth) };
    let template = LoginPage { root, style: STYLE, message };
    let mut response = super::page(StatusCode::UNAUTHORIZED, &template);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let word = byte(0) << 16 | byte(1) << 8 | byte(2);
            for digit in 0..4 {
                let index = (word >> (18 - 6 * digit)) & 63;
                text.push(if digit <= group.len() { DIGITS[index as usize] as char } else { '=' });
            }
        }
        text
    }

    #[test]
    fn the_policy_lets_the_style_in() {
        let hash = base64(&Sha256::digest(STYLE.as_bytes()));
        assert!(CONTENT_SECURITY_POLICY.contains(&hash), "the hash is {hash}");
    }
}
