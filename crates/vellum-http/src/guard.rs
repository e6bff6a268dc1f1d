//! Who may call what: the pure decision about a request's headers.
//!
//! Two situations, told by the bind address. On loopback the danger is the browser of the same user:
//! a hostile page may send requests here, or rebind its own name to 127.0.0.1. So the `Host` must be a
//! loopback name, reads must not come from another site, and changes need the token or a request that the
//! browser says our own pages made. On any other address everything needs the token, as `Bearer` or as
//! the cookie of the console's login.
//!
//! A valid `Bearer` token proves that no foreign page is behind the request: a browser sends that header
//! across origins only after a preflight, which this server never answers. A cookie proves less, so
//! requests with a cookie are held to the rules about origins as well.
//!
//! Not here: what the answer to a refusal looks like (see `gate`).

use axum::http::{HeaderMap, Method, header, request::Parts};
use std::fmt;
use vellum_core::{Error, ErrorKind, Result};

/// Name of the console's cookie.
pub(crate) const COOKIE: &str = "vellum_session";
/// Domain of the cookie's derivation, so that the cookie is not itself a token.
const COOKIE_CONTEXT: &str = "vellum 2026 console session cookie";
/// Names under which a loopback address is reached.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Returns `text` as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns whether `given` is the secret; the time does not tell where they differ.
    fn is(&self, given: &str) -> bool {
        // Comparison of BLAKE3 hashes is constant-time.
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }

    /// Returns the value of the console's cookie, which proves the secret without holding it.
    fn session(&self) -> String {
        blake3::Hash::from(blake3::derive_key(COOKIE_CONTEXT, self.0.as_bytes()))
            .to_hex()
            .to_string()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The rules of one server. Given by the composition root.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<Secret>,
    loopback: bool,
    allowed_hosts: Vec<String>,
}

/// How much a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Tells only that the server lives.
    Probe,
    /// Reads.
    Read,
    /// Changes something; also what is not known to be a read.
    Change,
}

/// What a request has proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Bearer,
    Cookie,
    Wrong,
    None,
}

impl Guard {
    /// Returns the guard of a server on a loopback address; without a token only its own console may
    /// change things.
    pub fn loopback(token: Option<Secret>) -> Self {
        Self { token, loopback: true, allowed_hosts: Vec::new() }
    }

    /// Returns the guard of a server that others can reach.
    ///
    /// # Errors
    /// `Invalid` for an empty token.
    pub fn network(token: Secret) -> Result<Self> {
        if token.0.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the token is empty")
                .with_hint("set a token, or bind a loopback address"));
        }
        Ok(Self { token: Some(token), loopback: false, allowed_hosts: Vec::new() })
    }

    /// Limits the `Host` to these names, without ports; on loopback they are allowed besides its own.
    #[must_use]
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.allowed_hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        self
    }

    /// Returns whether `given` is the token.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| token.is(given))
    }

    /// Returns the value of the console's cookie; `None` when there is no token.
    pub(crate) fn session(&self) -> Option<String> {
        self.token.as_ref().map(Secret::session)
    }

    /// Returns whether the request may proceed; the caller is then the owner.
    ///
    /// # Errors
    /// `Forbidden` for a wrong host or a foreign page; `Unauthenticated` without the proof that is
    /// needed, and always with a wrong token.
    pub(crate) fn admit(&self, parts: &Parts) -> Result<()> {
        let effect = effect(&parts.method, parts.uri.path());
        if effect == Effect::Probe {
            return Ok(());
        }
        let host = host(parts)?;
        self.check_host(&host)?;
        let proof = self.proof(&parts.headers);
        match proof {
            Proof::Bearer => return Ok(()),
            Proof::Wrong => return Err(wrong_token()),
            Proof::Cookie | Proof::None => {}
        }
        if !self.loopback && proof == Proof::None {
            return Err(token_needed());
        }
        let origin = Origin::of(&parts.headers, &host);
        match (effect, origin) {
            (_, Origin::Foreign) => Err(foreign_page()),
            (Effect::Change, Origin::Unknown) => Err(token_needed()),
            _ => Ok(()),
        }
    }

    /// Returns whether the request names a host that is served here.
    ///
    /// # Errors
    /// `Forbidden` when it does not.
    pub(crate) fn admit_host(&self, parts: &Parts) -> Result<()> {
        self.check_host(&host(parts)?)
    }

    fn check_host(&self, host: &str) -> Result<()> {
        let name = without_port(host);
        let known = self.allowed_hosts.iter().any(|allowed| allowed == name)
            || if self.loopback { LOOPBACK.contains(&name) } else { self.allowed_hosts.is_empty() };
        if known {
            return Ok(());
        }
        let shown: String = name.chars().take(80).collect();
        Err(Error::new(ErrorKind::Forbidden, format!("host `{shown}` is not served here"))
            .with_hint(
                "use the address that the server printed, or add the name to its allowed hosts",
            ))
    }

    fn proof(&self, headers: &HeaderMap) -> Proof {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let given = value.to_str().ok().and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            return match given {
                Some(token) if self.is_token(token) => Proof::Bearer,
                _ => Proof::Wrong,
            };
        }
        // A stale cookie is no attack: the browser of a user whose token changed still sends it.
        let session = self.session().map(Secret::new);
        match (cookie(headers), session) {
            (Some(given), Some(session)) if session.is(given) => Proof::Cookie,
            _ => Proof::None,
        }
    }
}

/// Returns how much a request does. What is not listed as a read is a change.
fn effect(method: &Method, path: &str) -> Effect {
    const PROBES: [&str; 3] = ["/healthz", "/health", "/readyz"];
    // These read, though their input is too large for a uri. The login checks the token by itself.
    const READING_POSTS: [&str; 3] = ["/api/v1/search", "/api/v1/ask", "/login"];
    let safe = method.is_safe();
    if safe && PROBES.contains(&path) {
        return Effect::Probe;
    }
    if safe || READING_POSTS.contains(&path) { Effect::Read } else { Effect::Change }
}

/// Who a browser says is behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Our own page.
    Own,
    /// Another site.
    Foreign,
    /// Not told: no browser, an old one, or the user, who typed the address or followed a link.
    Unknown,
}

impl Origin {
    fn of(headers: &HeaderMap, host: &str) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match text("sec-fetch-site") {
            Some("same-origin") => return Self::Own,
            Some("none") => return Self::Unknown,
            // Following a link is the user's act and shows the page to the user alone. An origin is sent
            // with posted forms, which are never just links.
            Some(_)
                if text("sec-fetch-mode") == Some("navigate")
                    && text("sec-fetch-dest") == Some("document")
                    && text("origin").is_none() =>
            {
                return Self::Unknown;
            }
            Some(_) => return Self::Foreign,
            None => {}
        }
        match headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("null")) {
            None => Self::Unknown,
            Some(origin) => match origin.split_once("://") {
                Some((_, authority)) if authority.eq_ignore_ascii_case(host) => Self::Own,
                _ => Self::Foreign,
            },
        }
    }
}

/// Returns the one host that the request names, lowercase, with its port if it has one.
fn host(parts: &Parts) -> Result<String> {
    let mut named = parts.headers.get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().map(str::to_ascii_lowercase),
        // HTTP/2 carries it in the uri.
        (None, None) => parts.uri.authority().map(|host| host.as_str().to_ascii_lowercase()),
        _ => None,
    };
    host.filter(|host| !host.contains('@')).ok_or_else(|| {
        Error::new(ErrorKind::Forbidden, "the request does not name one host")
            .with_hint("send one `Host` header")
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns the value of the console's cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn token_needed() -> Error {
    Error::new(ErrorKind::Unauthenticated, "this request needs a token")
        .with_hint("send `Authorization: Bearer TOKEN`; the server prints the token when it starts")
}

pub(crate) fn wrong_token() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the token is not valid")
        .with_hint("the server prints the token when it starts")
}

fn foreign_page() -> Error {
    Error::new(ErrorKind::Forbidden, "the request comes from a page of another site")
        .with_hint("open the console itself, or send `Authorization: Bearer TOKEN`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    /// Returns the code of the decision about `request`, `ok` if it is admitted.
    fn check(guard: &Guard, request: &str, headers: &[(&str, &str)]) -> &'static str {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        guard.admit(&parts).map_or_else(|error| error.kind().code(), |()| "ok")
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:7117");
    const BEARER: (&str, &str) = ("authorization", "Bearer t0ken");
    const READS: [&str; 4] =
        ["GET /", "GET /api/v1/jobs", "POST /api/v1/search", "POST /api/v1/ask"];
    const CHANGES: [&str; 4] = [
        "POST /api/v1/collections/c/jobs",
        "DELETE /api/v1/collections/c",
        "POST /api/v1/jobs/x/cancel",
        "POST /api/v1/added/later",
    ];

    fn site(value: &str) -> (&str, &str) {
        ("sec-fetch-site", value)
    }

    #[test]
    fn loopback_serves_loopback_names_only() {
        let guard = Guard::loopback(Some(Secret::new("t0ken")));
        for good in ["localhost", "LOCALHOST:80", "127.0.0.1:7117", "[::1]:7117", "[::1]"] {
            assert_eq!(check(&guard, "GET /", &[("host", good)]), "ok", "{good}");
        }
        for bad in
            ["evil.example", "localhost.evil.example:7117", "evil@localhost", "127.0.0.1.x", ""]
        {
            assert_eq!(check(&guard, "GET /", &[("host", bad)]), "forbidden", "{bad}");
            assert_eq!(check(&guard, "GET /", &[("host", bad), BEARER]), "forbidden", "{bad}");
        }
        assert_eq!(check(&guard, "GET /", &[]), "forbidden");
        assert_eq!(check(&guard, "GET /", &[HOST, ("host", "localhost")]), "forbidden");
        let guard = guard.with_hosts(["Docs.Example".to_owned()]);
        assert_eq!(check(&guard, "GET /", &[("host", "docs.example:80")]), "ok");
    }

    #[test]
    fn loopback_reads_are_open_but_not_to_other_sites() {
        let guard = Guard::loopback(None);
        for request in READS {
            assert_eq!(check(&guard, request, &[HOST]), "ok");
            assert_eq!(check(&guard, request, &[HOST, site("same-origin")]), "ok");
            assert_eq!(check(&guard, request, &[HOST, site("none")]), "ok");
            for foreign in
                [site("cross-site"), site("same-site"), ("origin", "http://evil.example")]
            {
                assert_eq!(check(&guard, request, &[HOST, foreign]), "forbidden", "{request}");
            }
            assert_eq!(check(&guard, request, &[HOST, ("origin", "null")]), "forbidden");
        }
    }

    #[test]
    fn a_link_from_another_site_opens_the_console_but_posts_nothing() {
        let guard = Guard::loopback(None);
        let followed = [HOST, site("cross-site"), ("sec-fetch-mode", "navigate")];
        let whole = [followed[0], followed[1], followed[2], ("sec-fetch-dest", "document")];
        let framed = [followed[0], followed[1], followed[2], ("sec-fetch-dest", "iframe")];
        assert_eq!(check(&guard, "GET /", &whole), "ok");
        assert_eq!(check(&guard, "GET /", &framed), "forbidden");
        let form = [whole[0], whole[1], whole[2], whole[3], ("origin", "null")];
        assert_eq!(check(&guard, "POST /api/v1/search", &form), "forbidden");
        assert_ne!(check(&guard, CHANGES[0], &whole), "ok");
    }

    #[test]
    fn loopback_changes_need_the_token_or_our_own_page() {
        let guard = Guard::loopback(Some(Secret::new("t0ken")));
        for request in CHANGES {
            assert_eq!(check(&guard, request, &[HOST]), "unauthenticated");
            assert_eq!(check(&guard, request, &[HOST, site("none")]), "unauthenticated");
            assert_eq!(check(&guard, request, &[HOST, BEARER]), "ok");
            assert_eq!(check(&guard, request, &[HOST, site("same-origin")]), "ok");
            assert_eq!(check(&guard, request, &[HOST, ("origin", "http://127.0.0.1:7117")]), "ok");
            // Another port of this machine is another site.
            assert_eq!(
                check(&guard, request, &[HOST, ("origin", "http://127.0.0.1:80")]),
                "forbidden"
            );
            assert_eq!(check(&guard, request, &[HOST, site("cross-site")]), "forbidden");
            let wrong = ("authorization", "Bearer nope");
            assert_eq!(
                check(&guard, request, &[HOST, wrong, site("same-origin")]),
                "unauthenticated"
            );
        }
    }

    #[test]
    fn elsewhere_everything_but_probes_needs_the_token() {
        let guard = Guard::network(Secret::new("t0ken")).unwrap();
        let session = format!("a=b; {COOKIE}={}", guard.session().unwrap());
        let cookie = ("cookie", session.as_str());
        let host = ("host", "docs.example");
        for request in READS.iter().chain(&CHANGES) {
            assert_eq!(check(&guard, request, &[host]), "unauthenticated");
            assert_eq!(check(&guard, request, &[host, site("same-origin")]), "unauthenticated");
            let basic = ("authorization", "Basic dDBrZW4=");
            assert_eq!(check(&guard, request, &[host, basic]), "unauthenticated");
            let raw = format!("{COOKIE}=t0ken");
            assert_eq!(check(&guard, request, &[host, ("cookie", &raw)]), "unauthenticated");
            assert_eq!(check(&guard, request, &[host, BEARER]), "ok");
            assert_eq!(check(&guard, request, &[host, cookie, site("same-origin")]), "ok");
            assert_eq!(check(&guard, request, &[host, cookie, site("same-site")]), "forbidden");
        }
        for request in CHANGES {
            assert_eq!(check(&guard, request, &[host, cookie]), "unauthenticated");
        }
        for probe in ["GET /healthz", "GET /health", "GET /readyz"] {
            assert_eq!(check(&guard, probe, &[]), "ok");
        }
        assert_eq!(check(&guard, "POST /healthz", &[host]), "unauthenticated");
        assert!(Guard::network(Secret::new("")).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let guard = Guard::loopback(Some(Secret::new("t0ken")));
        assert!(
            !format!("{guard:?} {} {:?}", Secret::new("t0ken"), Secret::new("t0ken"))
                .contains("t0ken")
        );
    }
}
