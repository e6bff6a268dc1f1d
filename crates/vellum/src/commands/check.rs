//! `vellum check`: claims about what is needed, each tried.

use crate::args::{Check, Output};
use crate::local::local;
use crate::print::{self, Outcome};
use crate::session;
use comfy_table::{Table, presets};
use serde::Serialize;
use vellum_core::ports::TextKind;
use vellum_core::{Error, Result};
use vellum_server::compose::compose;
use vellum_server::config::Config;
use vellum_server::data_dir::{self, Opened};

/// A claim and whether it holds.
#[derive(Debug, Serialize)]
struct Claim {
    claim: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub(crate) async fn check(config: &Config, args: Check) -> Result<Outcome> {
    let claims = claims(config).await;
    let ok = claims.iter().all(|claim| claim.ok);
    if args.json.json || args.output == Output::Json {
        print::json(&serde_json::json!({ "ok": ok, "checks": claims }))?;
        return Ok(Outcome::of(ok));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for claim in claims {
        let mark = if claim.ok { "ok" } else { "FAILED" };
        let mut detail = claim.reason.unwrap_or_default();
        if let Some(hint) = claim.hint {
            detail = format!("{detail}\nhint: {hint}");
        }
        table.add_row([mark, claim.claim, &detail]);
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
            let remote = crate::remote::Remote::new(&endpoint);
            let answered = match remote {
                Ok(remote) => remote.get::<serde_json::Value>("collections").await.map(|_| ()),
                Err(error) => Err(error),
            };
            return vec![claim(OWNED, Ok(())), claim("its server answers", answered)];
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
    claims
}

fn claim(claim: &'static str, outcome: Result<()>) -> Claim {
    let error = outcome.err();
    Claim {
        claim,
        ok: error.is_none(),
        hint: error.as_ref().and_then(Error::hint).map(str::to_owned),
        reason: error.map(|error| error.full_message()),
    }
}
