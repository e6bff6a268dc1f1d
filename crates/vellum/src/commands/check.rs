//! `vellum check`: claims about what is needed, each tried.
//!
//! What only makes search worse when it fails, a reranker, is told and does not make the answer a no: it is not needed.

use crate::args::{self, Output};
use crate::local::local;
use crate::print::{self, Outcome};
use crate::remote::Remote;
use crate::session;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::borrow::Cow;
use vellum_core::ports::TextKind;
use vellum_core::{Error, Result};
use vellum_http::wire::Check;
use vellum_server::compose::compose;
use vellum_server::config::Config;
use vellum_server::data_dir::{self, Endpoint, Opened};

/// A claim and whether it holds.
#[derive(Debug, Serialize)]
struct Claim {
    claim: Cow<'static, str>,
    ok: bool,
    /// Whether the rest works without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degrades: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub(crate) async fn check(config: &Config, args: args::Check) -> Result<Outcome> {
    let claims = claims(config).await;
    let ok = claims.iter().all(|claim| claim.ok || claim.degrades);
    if args.json.json || args.output == Output::Json {
        print::json(&serde_json::json!({ "ok": ok, "checks": claims }))?;
        return Ok(Outcome::of(ok));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for claim in claims {
        let mark = match (claim.ok, claim.degrades) {
            (true, _) => "ok",
            (false, true) => "DEGRADED",
            (false, false) => "FAILED",
        };
        let mut detail = claim.reason.unwrap_or_default();
        if let Some(hint) = claim.hint {
            detail = format!("{detail}\nhint: {hint}");
        }
        table.add_row([mark, claim.claim.as_ref(), &detail]);
    }
    print::line(table.trim_fmt())?;
    Ok(Outcome::of(ok))
}

/// Tries each claim in order; what depends on a failed one is not tried.
async fn claims(config: &Config) -> Vec<Claim> {
    const OWNED: &str = "the data directory can be opened";
    const COMPOSED: &str = "stores and models can be loaded";
    let path = match session::data_path(config) {
        Ok(path) => path,
        Err(error) => return vec![claim(OWNED, Err(error))],
    };
    let dir = match data_dir::open(&path) {
        Ok(Opened::Owned(dir)) => dir,
        Ok(Opened::Served(endpoint)) => {
            let mut claims = vec![claim(OWNED, Ok(()))];
            claims.extend(of_server(&endpoint).await);
            return claims;
        }
        Err(error) => return vec![claim(OWNED, Err(error))],
    };
    let mut claims = vec![claim(OWNED, Ok(()))];
    let app = match compose(config, &local(), &dir).await {
        Ok(app) => app,
        Err(error) => {
            claims.push(claim(COMPOSED, Err(error)));
            return claims;
        }
    };
    claims.push(claim(COMPOSED, Ok(())));
    claims.push(claim("the metadata store answers", app.metastore.check().await));
    claims.push(claim("the vector store answers", app.vectors.check().await));
    claims.push(claim("the converter starts", app.converter.check().await));
    let probe = ["vellum".to_owned()];
    let embedded = app.embedder.embed(&probe, TextKind::Query).await.map(|_| ());
    claims.push(claim("the embedder embeds", embedded));
    if let Some(reranker) = &app.reranker {
        let scores = claim("the reranker scores", reranker.check().await);
        claims.push(Claim { degrades: !scores.ok, ..scores });
    }
    claims
}

/// Returns what a server says of itself.
async fn of_server(endpoint: &Endpoint) -> Vec<Claim> {
    const ANSWERS: &str = "its server answers";
    let ready = match Remote::new(endpoint) {
        Ok(remote) => remote.readiness().await,
        Err(error) => Err(error),
    };
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => return vec![claim(ANSWERS, Err(error))],
    };
    let port = |check: Check| Claim {
        claim: format!("its {} could serve", check.name).into(),
        ok: check.ok,
        degrades: check.degrades,
        reason: check.reason,
        hint: check.hint,
    };
    std::iter::once(claim(ANSWERS, Ok(()))).chain(ready.checks.into_iter().map(port)).collect()
}

fn claim(claim: &'static str, outcome: Result<()>) -> Claim {
    let error = outcome.err();
    Claim {
        claim: claim.into(),
        ok: error.is_none(),
        degrades: false,
        hint: error.as_ref().and_then(Error::hint).map(str::to_owned),
        reason: error.map(|error| error.full_message()),
    }
}
