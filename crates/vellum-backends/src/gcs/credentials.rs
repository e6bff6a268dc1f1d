//! Who we are to Google: application default credentials.
//!
//! The order is that of Google's own libraries: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, gcloud's own, the
//! metadata server of the machine or pod, nobody. A file holds a service account (we sign a token ourselves, without a
//! call), a user's refresh token, an identity of somewhere else that is exchanged (workload identity federation), or one
//! of these on behalf of a service account.
//!
//! Sources: AIP-4110 to 4117 (<https://google.aip.dev/auth/4110>); for the token of a service account AIP-4111.
//!
//! `ring`, which TLS is made with here, signs. Not taken: `reqsign-google` (38 more crates, among them `rsa` with
//! RUSTSEC-2023-0071; a chain that keeps the reasons of failures to itself) and `object_store` (no federation, and reads
//! the environment of the process). Programs that print tokens (`executable`) and identities of AWS are not there.

use crate::Environment;
use crate::bucket::{Finder, Found};
use crate::client::{Client, PERHAPS, PROMPTLY, Refusal, near};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::{RequestBuilder, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vellum_core::{Error, ErrorKind, Result};

/// What we ask to do, and what it takes to speak for a service account.
const READ: &str = "https://www.googleapis.com/auth/devstorage.read_only";
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where refresh tokens are exchanged, unless the file says otherwise.
const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// Where the metadata server answers, as a number, so that nothing is looked up where there is none.
const METADATA: &str = "169.254.169.254";
/// How long a token holds that we sign, at most an hour.
const HOLDS: Duration = Duration::from_secs(3600);
/// What to do about credentials that are not accepted.
pub(super) const HINT: &str =
    "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`";

/// A bearer token.
pub(super) struct Token(String);

impl Token {
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

/// Finds credentials for Google.
#[derive(Debug)]
pub(super) struct Provider {
    environment: Environment,
    /// Whether requests go unsigned whatever is known.
    is_open: bool,
}

impl Provider {
    pub(super) fn new(environment: Environment, is_open: bool) -> Self {
        Self { environment, is_open }
    }

    /// Returns the file that holds credentials; `None` when none was named and gcloud has none.
    fn file(&self) -> Option<PathBuf> {
        let env = |name| self.environment.get(name);
        let own = "application_default_credentials.json";
        let path =
            match (env("GOOGLE_APPLICATION_CREDENTIALS"), env("CLOUDSDK_CONFIG"), env("HOME")) {
                ("", "", "") => return None,
                ("", "", home) => Path::new(home).join(".config/gcloud").join(own),
                ("", folder, _) => Path::new(folder).join(own),
                (named, ..) => return Some(named.into()),
            };
        path.is_file().then_some(path)
    }
}

#[async_trait]
impl Finder for Provider {
    type Credentials = Token;

    async fn find(&self, client: &Client) -> Result<Option<Found<Token>>> {
        if self.is_open {
            return Ok(None);
        }
        let Some(path) = self.file() else { return of_machine(&self.environment).await };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::io(format!("read the credentials in `{}`", path.display()), error)
                .with_hint(HINT)
        })?;
        let file = File { path: &path, client };
        let value = serde_json::from_str(&text).map_err(|_| file.wrong("is no JSON"))?;
        file.token(&value, READ).await.map(Some)
    }

    fn is_over(&self, refusal: &Refusal) -> bool {
        refusal.status == StatusCode::UNAUTHORIZED
    }
}

/// A file of credentials.
struct File<'a> {
    path: &'a Path,
    client: &'a Client,
}

impl File<'_> {
    fn wrong(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::Invalid,
            format!("the credentials in `{}`: {why}", self.path.display()),
        )
        .with_hint(HINT)
    }

    fn text<'v>(&self, value: &'v Value, name: &str) -> Result<&'v str> {
        let text = value.pointer(name).and_then(Value::as_str);
        text.ok_or_else(|| self.wrong(&format!("`{}` is missing", &name[1..].replace('/', "."))))
    }

    /// Returns a token for `scope`.
    async fn token(&self, value: &Value, scope: &str) -> Result<Found<Token>> {
        match self.text(value, "/type")? {
            "service_account" => self.signed(value, scope),
            "authorized_user" => self.refreshed(value).await,
            "external_account" => self.exchanged(value, scope).await,
            "impersonated_service_account" => {
                let source = value.get("source_credentials").unwrap_or(&Value::Null);
                let token = match self.text(source, "/type")? {
                    "service_account" => self.signed(source, PLATFORM)?,
                    "authorized_user" => self.refreshed(source).await?,
                    "external_account" => self.exchanged(source, PLATFORM).await?,
                    other => {
                        return Err(self.wrong(&format!("a source of type `{other}` is not known")));
                    }
                };
                self.on_behalf(value, &token.credentials, scope).await
            }
            other => Err(self.wrong(&format!("type `{other}` is not known"))),
        }
    }

    /// Signs a token for a service account.
    fn signed(&self, value: &Value, scope: &str) -> Result<Found<Token>> {
        let pem = self.text(value, "/private_key")?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let unusable = |_| self.wrong("`private_key` is no RSA key in PKCS #8");
        let der = BASE64_STANDARD.decode(body.trim()).map_err(|_| unusable(()))?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| unusable(()))?;
        let who = self.text(value, "/client_email")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = now + HOLDS;
        let mut head = json!({"alg": "RS256", "typ": "JWT"});
        if let Ok(id) = self.text(value, "/private_key_id") {
            head["kid"] = id.into();
        }
        let claims = json!({
            "iss": who, "sub": who, "scope": scope, "iat": now.as_secs(), "exp": until.as_secs(),
        });
        let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = format!("{}.{}", encoded(head), encoded(claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), claims.as_bytes(), &mut signature)
            .map_err(|_| unusable(()))?;
        let token = format!("{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        Ok(Found { credentials: Token(token), expires: i64::try_from(until.as_millis()).ok() })
    }

    /// Exchanges a user's refresh token.
    async fn refreshed(&self, value: &Value) -> Result<Found<Token>> {
        let url = self.text(value, "/token_uri").unwrap_or(TOKENS);
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.text(value, "/client_id")?),
            ("client_secret", self.text(value, "/client_secret")?),
            ("refresh_token", self.text(value, "/refresh_token")?),
        ];
        let answer = self.asked(url, |http| http.post(url).form(&form)).await?;
        given(&answer).ok_or_else(|| self.refused(url, "the answer holds no token"))
    }

    /// Exchanges the token of another identity provider.
    async fn exchanged(&self, value: &Value, scope: &str) -> Result<Found<Token>> {
        let is_for_other = value.get("service_account_impersonation_url").is_some();
        let subject = self.subject(value).await?;
        let url = self.text(value, "/token_url")?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", self.text(value, "/audience")?),
            ("scope", if is_for_other { PLATFORM } else { scope }),
            ("subject_token_type", self.text(value, "/subject_token_type")?),
            ("subject_token", subject.trim()),
        ];
        let answer = self.asked(url, |http| http.post(url).form(&form)).await?;
        let found = given(&answer).ok_or_else(|| self.refused(url, "the answer holds no token"))?;
        match is_for_other {
            true => self.on_behalf(value, &found.credentials, scope).await,
            false => Ok(found),
        }
    }

    /// Returns the token of the other identity provider, from a file or an address.
    async fn subject(&self, value: &Value) -> Result<String> {
        let source = |name: &str| self.text(value, &format!("/credential_source/{name}"));
        let text = if let Ok(path) = source("file") {
            std::fs::read_to_string(path)
                .map_err(|error| Error::io(format!("read the token in `{path}`"), error))?
        } else if let Ok(url) = source("url") {
            let headers = value.pointer("/credential_source/headers").and_then(Value::as_object);
            let headers = headers.into_iter().flatten().filter_map(|(k, v)| Some((k, v.as_str()?)));
            let headers: Vec<(&String, &str)> = headers.collect();
            let ask = |http: &reqwest::Client| {
                headers.iter().fold(http.get(url), |get, (name, value)| get.header(*name, *value))
            };
            self.asked(url, ask).await?
        } else {
            return Err(self.wrong("`credential_source` has neither `file` nor `url`"));
        };
        match source("format/type") {
            Ok("json") => {
                let name = source("format/subject_token_field_name")?;
                let json: Value = serde_json::from_str(&text).unwrap_or_default();
                let token = json.get(name).and_then(Value::as_str).map(str::to_owned);
                token.ok_or_else(|| self.wrong(&format!("its source has no token in `{name}`")))
            }
            _ => Ok(text),
        }
    }

    /// Asks for a token of the service account that `by` may speak for.
    async fn on_behalf(&self, value: &Value, by: &Token, scope: &str) -> Result<Found<Token>> {
        let url = self.text(value, "/service_account_impersonation_url")?;
        let mut wish = json!({"scope": [scope], "lifetime": "3600s"});
        if let Some(delegates) = value.get("delegates") {
            wish["delegates"] = delegates.clone();
        }
        let answer = self.asked(url, |http| http.post(url).bearer_auth(&by.0).json(&wish)).await?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let part = |name: &str| answer.get(name).and_then(Value::as_str);
        let token = part("accessToken").ok_or_else(|| self.refused(url, "it holds no token"))?;
        let expires = part("expireTime").and_then(crate::stamp::millis);
        Ok(Found { credentials: Token(token.to_owned()), expires })
    }

    async fn asked(
        &self,
        url: &str,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<String> {
        let operation = format!("ask `{url}` for a token");
        match self.client.call(&operation, PROMPTLY, request).await? {
            Ok(response) => response
                .text()
                .await
                .map_err(|error| self.refused(url, &crate::client::told(&error))),
            Err(Refusal { status, body, .. }) => {
                let answer: Value = serde_json::from_str(&body).unwrap_or_default();
                let paths = ["/error_description", "/error/message", "/error"];
                let why = paths.into_iter().find_map(|path| answer.pointer(path)?.as_str());
                Err(self.refused(url, &format!("{status} {}", why.unwrap_or_default())))
            }
        }
    }

    fn refused(&self, url: &str, why: &str) -> Error {
        let file = self.path.display();
        let message = format!("{url} gives no token for the credentials in `{file}`: {why}");
        Error::new(ErrorKind::Unauthenticated, message).with_hint(HINT)
    }
}

/// Returns the token of the machine's or the pod's service account; `None` where there is no metadata server.
async fn of_machine(environment: &Environment) -> Result<Option<Found<Token>>> {
    if environment.get("NO_GCE_CHECK").eq_ignore_ascii_case("true") {
        return Ok(None);
    }
    let host = match environment.get("GCE_METADATA_HOST") {
        "" => METADATA,
        own => own,
    };
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let ask = |http: &reqwest::Client| {
        http.get(&url).query(&[("scopes", READ)]).header("Metadata-Flavor", "Google")
    };
    let answer = match near()?.call("ask for the machine's token", PERHAPS, ask).await {
        Ok(Ok(response)) if response.headers().contains_key("metadata-flavor") => response,
        // Somebody else's metadata service, or a machine without an account.
        Ok(_) => return Ok(None),
        Err(error) => {
            tracing::debug!(%error, "no metadata server");
            return Ok(None);
        }
    };
    let found = answer.text().await.ok().and_then(|text| given(&text));
    found.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Unauthenticated, format!("`{url}` gives no token")).with_hint(HINT)
    })
}

/// Reads an answer of OAuth; `None` when it holds no token.
fn given(text: &str) -> Option<Found<Token>> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let token = Token(answer.get("access_token")?.as_str()?.to_owned());
    Some(match answer.get("expires_in").and_then(Value::as_i64) {
        Some(seconds) => Found::lasting(token, seconds),
        None => token.into(),
    })
}
