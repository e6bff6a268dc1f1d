//! Credentials that the platform hands to its programs: to a container (ECS, EKS Pod Identity) or to a machine (EC2).
//!
//! A container is told by variables where to ask and with which token. A machine asks its metadata service, version 2 only: a
//! session token first, then the name of the role, then its keys. Where there is no such service nobody answers, so that
//! one is asked for a second at most. Both are asked directly, never through a proxy.
//!
//! Source: "Container credential provider" and "IMDS credential provider" of the AWS SDKs and Tools Reference Guide.

use super::credentials::credentials;
use crate::Environment;
use crate::bucket::Found;
use crate::client::{Answer, PERHAPS, PROMPTLY, near};
use reqwest::{RequestBuilder, Url};
use rusty_s3::Credentials;
use serde_json::Value;
use vellum_core::{Error, ErrorKind, Result};

/// Where ECS answers containers.
const ECS: &str = "http://169.254.170.2";
/// Hosts that a container may be sent to without TLS: itself, ECS, EKS.
const LOCAL: [&str; 6] =
    ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// Where EC2 answers machines.
const EC2: &str = "http://169.254.169.254";
const EC2_V6: &str = "http://[fd00:ec2::254]";
/// How long a session with the metadata service is to last, in seconds; it is used at once.
const SESSION: &str = "21600";

/// Returns the credentials of the container; `None` when it was told of none.
///
/// # Errors
/// `Invalid` when what it was told makes no sense, `Unauthenticated` when none are given.
pub(super) async fn of_container(environment: &Environment) -> Result<Option<Found<Credentials>>> {
    let env = |name| environment.get(name);
    let (relative, full) =
        (env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), env("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    let address = match (relative, full) {
        ("", "") => return Ok(None),
        ("", full) => full.to_owned(),
        (relative, _) => format!("{ECS}{relative}"),
    };
    let url = Url::parse(&address).ok().filter(is_trustworthy).ok_or_else(|| {
        let message = format!("`{address}` is no address that credentials are asked from");
        Error::new(ErrorKind::Invalid, message).with_hint(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// to this container's own agent",
        )
    })?;
    let token_file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = match token_file {
        "" => env("AWS_CONTAINER_AUTHORIZATION_TOKEN").to_owned(),
        // It is written anew from time to time.
        path => std::fs::read_to_string(path)
            .map_err(|error| Error::io(format!("read the token in `{path}`"), error))?,
    };
    let request = |http: &reqwest::Client| {
        let get = http.get(url.clone());
        if token.is_empty() { get } else { get.header("Authorization", token.trim()) }
    };
    let operation = "ask for the container's credentials";
    let answer = near()?.call(operation, PROMPTLY, request).await?;
    let text = text_of(answer).await.ok_or_else(|| refused(&address))?;
    read(&text).ok_or_else(|| refused(&address)).map(Some)
}

/// Returns whether credentials may come from there: what comes in the clear must not leave the machine.
fn is_trustworthy(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(|host| LOCAL.contains(&host)),
        _ => false,
    }
}

/// Returns the credentials of the machine's role; `None` where there is no metadata service or no role.
///
/// # Errors
/// `Unauthenticated` when there is a role whose credentials are not given.
pub(super) async fn of_machine(environment: &Environment) -> Result<Option<Found<Credentials>>> {
    let env = |name| environment.get(name);
    if env("AWS_EC2_METADATA_DISABLED").eq_ignore_ascii_case("true") {
        return Ok(None);
    }
    let is_v6 = env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").eq_ignore_ascii_case("ipv6");
    let endpoint = match env("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        "" if is_v6 => EC2_V6,
        "" => EC2,
        own => own.trim_end_matches('/'),
    };
    let client = near()?;
    let ask = async |operation, request: &(dyn Fn(&reqwest::Client) -> RequestBuilder + Sync)| {
        match client.call(operation, PERHAPS, request).await {
            Ok(answer) => text_of(answer).await,
            Err(error) => {
                tracing::debug!(%error, "no metadata service");
                None
            }
        }
    };
    let open = |http: &reqwest::Client| {
        let put = http.put(format!("{endpoint}/latest/api/token"));
        put.header("X-aws-ec2-metadata-token-ttl-seconds", SESSION).header("Content-Length", 0)
    };
    let Some(session) = ask("open a session with the metadata service", &open).await else {
        return Ok(None);
    };
    let roles = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
    let get = |http: &reqwest::Client, url: &str| {
        http.get(url).header("X-aws-ec2-metadata-token", session.trim())
    };
    let Some(names) = ask("ask for the machine's role", &|http| get(http, &roles)).await else {
        return Ok(None);
    };
    let Some(role) = names.lines().map(str::trim).find(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let address = format!("{roles}{role}");
    let given = ask("ask for the machine's credentials", &|http| get(http, &address)).await;
    given.and_then(|text| read(&text)).ok_or_else(|| refused(&address)).map(Some)
}

async fn text_of(answer: Answer) -> Option<String> {
    answer.ok()?.text().await.ok()
}

fn refused(address: &str) -> Error {
    let message = format!("`{address}` gives no credentials");
    Error::new(ErrorKind::Unauthenticated, message)
        .with_hint("check the role of this container or machine, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
}

/// Reads an answer; `None` when it holds no keys.
fn read(text: &str) -> Option<Found<Credentials>> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let part = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let (key, secret) = (part("AccessKeyId"), part("SecretAccessKey"));
    if key.is_empty() || secret.is_empty() {
        return None;
    }
    let expires = crate::stamp::millis(part("Expiration"));
    Some(Found { credentials: credentials(key, secret, part("Token")), expires })
}
