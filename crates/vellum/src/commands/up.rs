//! `vellum up` and `vellum serve`: console and API on one port, and for `up` the sources kept in line.
//!
//! The order matters: own the data directory, take the port, load the product, announce the address to
//! other commands, serve, and only then ingest, so that the console is there from the first second.

use super::ingest::{has_news, run, tell};
use crate::args;
use crate::local::local;
use crate::print::{self, Outcome};
use crate::session::{self, Local, Session};
use crate::watch::Changes;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use vellum_core::access::Verb;
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::JobRequest;
use vellum_rag::jobs;
use vellum_server::compose::compose;
use vellum_server::config::Config;
use vellum_server::data_dir::Endpoint;

/// Least length of a token that somebody chose.
const MIN_TOKEN: usize = 20;
/// Longest that jobs may take to end at shutdown.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn up(config: &Config, args: args::Up) -> Result<Outcome> {
    let mut sources = Vec::new();
    for source in &args.sources {
        sources.push(vellum_backends::absolute(source).await?);
    }
    let (session, server, url) = start(config).await?;
    let collection = args.collection.collection;
    tokio::select! {
        ended = server => ended?,
        () = keep_in_line(config, &session, &collection, &sources, &url) => {}
    }
    shut_down(&session).await;
    Ok(Outcome::Yes)
}

pub(crate) async fn serve(config: &Config, _args: args::Serve) -> Result<Outcome> {
    let (session, server, url) = start(config).await?;
    print::line(&url)?;
    server.await?;
    shut_down(&session).await;
    Ok(Outcome::Yes)
}

/// Starts serving; returns the product, the server's end, and the address for a browser.
async fn start(config: &Config) -> Result<(Session, impl Future<Output = Result<()>>, String)> {
    let dir = session::own(config)?;
    let listener = bind(&config.server.bind).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Error::io("read the address that was bound", error))?;
    let app = compose(config, &local(), &dir).await?;
    let token = token(&config.server.token_file)?;
    let base_path = config.server.base_path.clone();
    dir.announce(&Endpoint {
        address,
        base_path: base_path.clone(),
        token: token.clone(),
        pid: std::process::id(),
    })?;
    let secret = vellum_http::Secret::new(token.clone());
    let guard = if address.ip().is_loopback() {
        vellum_http::Guard::loopback(Some(secret))
    } else {
        vellum_http::Guard::network(secret)?
    };
    let state = vellum_http::State {
        app: app.clone(),
        guard,
        base_path: base_path.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let server = vellum_http::serve(listener, state, interrupted());
    jobs::resume_interrupted(&app, &|name| session::pass(name, Verb::Write)).await;
    Ok((Session::Local(Local { app, _dir: dir }), server, url(address, &base_path, &token)))
}

/// Returns the token that the file holds, or a new one where none is named.
fn token(file: &str) -> Result<String> {
    if file.is_empty() {
        return Ok(uuid::Uuid::new_v4().simple().to_string());
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::io(format!("read the token file `{file}`"), error))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < MIN_TOKEN || !is_plain {
        let message = format!("the first line of `{file}` is no token");
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "it needs at least 20 letters, digits or signs without blanks; `openssl rand -hex 20 > FILE` makes one",
        ));
    }
    Ok(token.to_owned())
}

async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let kind = if in_use { ErrorKind::Locked } else { ErrorKind::Io };
        Error::new(kind, format!("listen on {address}"))
            .with_source(error)
            .with_hint("choose another address with --bind; port 0 takes a free one")
    })
}

/// Returns what a person opens. Beyond loopback the address carries the token, once.
fn url(address: SocketAddr, base_path: &str, token: &str) -> String {
    if address.ip().is_loopback() {
        format!("http://{address}{base_path}/")
    } else {
        format!("http://{address}{base_path}/?token={token}")
    }
}

/// Returns at Ctrl-C or a request to terminate.
async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! { () = ctrl_c => {}, () = terminated => {} }
}

/// Ingests every source, then follows their changes. Never returns: only the server's end, which an
/// interrupt brings about, ends the command.
async fn keep_in_line(
    config: &Config,
    session: &Session,
    collection: &CollectionName,
    sources: &[String],
    url: &str,
) {
    print::note(format_args!("console and API: {url}"));
    let mut watched = Vec::new();
    for source in sources {
        // Watching starts before the first comparison, so that no change falls between the two.
        match Changes::of(source, config.ingest.rescan_s) {
            Ok(changes) => watched.push((source, changes)),
            Err(error) => print::error(&error),
        }
        compare(session, collection, source, First::Yes).await;
    }
    print::note(format_args!("ready: open {url} or run `vellum ask \"...\"` (Ctrl-C ends)"));
    let each = watched.into_iter().map(|(source, mut changes)| async move {
        while changes.next().await {
            compare(session, collection, source, First::No).await;
        }
    });
    futures::future::join_all(each).await;
    std::future::pending::<()>().await;
}

/// Whether a comparison is the first of its source, which is always told of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Yes,
    No,
}

/// Brings the collection in line with one source and tells what changed.
///
/// A job that fails is told and tried again at the next change: serving goes on.
async fn compare(session: &Session, collection: &CollectionName, source: &str, first: First) {
    let request = JobRequest { source: source.to_owned(), prune: false, rejected: false };
    let told = run(session, collection, &request).await.and_then(|report| {
        if first == First::Yes || has_news(&report.counts) {
            tell(&report, source, false)?;
        }
        Ok(())
    });
    match told {
        // Somebody stopped the job; it tells so itself.
        Err(error) if error.kind() == ErrorKind::Cancelled => {}
        Err(error) => print::error(&error),
        Ok(()) => {}
    }
}

async fn shut_down(session: &Session) {
    if let Session::Local(Local { app, .. }) = session {
        jobs::leave_all(app, PATIENCE).await;
    }
}
