//! Who we are to S3: from the environment, the shared credentials file, or the platform.
//!
//! The order is that of Amazon's own libraries, as far as it goes: keys in variables, a web identity token (IRSA and
//! every STS that speaks like it, MinIO's among them), the profile in `~/.aws/credentials`, the container's role, the
//! machine's ([`super::platform`]), nobody. Nothing here is written anywhere.

use super::platform;
use crate::Environment;
use crate::bucket::{Finder, Found, between};
use crate::client::{Client, PROMPTLY, Refusal};
use async_trait::async_trait;
use reqwest::Url;
use rusty_s3::Credentials;
use std::collections::HashMap;
use std::path::PathBuf;
use vellum_core::{Error, ErrorKind, Result};

/// Where Amazon keeps keys, below the home folder.
const SHARED_FILE: &str = ".aws/credentials";

/// Finds credentials for S3.
#[derive(Debug)]
pub(super) struct Provider {
    environment: Environment,
    region: String,
}

#[async_trait]
impl Finder for Provider {
    type Credentials = Credentials;

    async fn find(&self, client: &Client) -> Result<Option<Found<Credentials>>> {
        let env = |name| self.environment.get(name);
        if !env("AWS_NO_SIGN_REQUEST").is_empty() {
            return Ok(None);
        }
        let keys = [env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")];
        if keys.iter().all(|key| !key.is_empty()) {
            return Ok(Some(credentials(keys[0], keys[1], env("AWS_SESSION_TOKEN")).into()));
        }
        if keys.iter().any(|key| !key.is_empty()) {
            let message = "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set";
            return Err(Error::new(ErrorKind::Invalid, message).with_hint("set both"));
        }
        let token = env("AWS_WEB_IDENTITY_TOKEN_FILE");
        if !token.is_empty() {
            return self.assume(client, token).await.map(Some);
        }
        if let Some(shared) = self.shared()? {
            return Ok(Some(shared.into()));
        }
        if let Some(given) = platform::of_container(&self.environment).await? {
            return Ok(Some(given));
        }
        platform::of_machine(&self.environment).await
    }

    fn is_over(&self, refusal: &Refusal) -> bool {
        let code = between(&refusal.body, "<Code>", "</Code>").unwrap_or_default();
        matches!(code, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
    }
}

impl Provider {
    pub(super) fn new(environment: Environment, region: String) -> Self {
        Self { environment, region }
    }

    /// Exchanges the web identity token for credentials (STS `AssumeRoleWithWebIdentity`).
    async fn assume(&self, client: &Client, token_file: &str) -> Result<Found<Credentials>> {
        let env = |name| self.environment.get(name);
        let token = std::fs::read_to_string(token_file)
            .map_err(|error| Error::io(format!("read the token in `{token_file}`"), error))?;
        let endpoint = match self.environment.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]) {
            "" => format!("https://sts.{}.amazonaws.com", self.region),
            own => own.to_owned(),
        };
        let url = Url::parse(&endpoint).map_err(|_| {
            Error::new(ErrorKind::Invalid, format!("`{endpoint}` is no address of an STS"))
        })?;
        let session = env("AWS_ROLE_SESSION_NAME");
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", env("AWS_ROLE_ARN")),
            ("RoleSessionName", if session.is_empty() { "vellum" } else { session }),
            ("WebIdentityToken", token.trim()),
        ];
        let operation = "exchange the web identity token";
        let answer =
            client.call(operation, PROMPTLY, |http| http.post(url.clone()).form(&form)).await?;
        let refused = |why: String| {
            Error::new(
                ErrorKind::Unauthenticated,
                format!("{endpoint} does not accept the token in `{token_file}`: {why}"),
            )
            .with_hint(
                "check AWS_ROLE_ARN and the trust that the role gives to this service account",
            )
        };
        let text = match answer {
            Ok(response) => {
                response.text().await.map_err(|error| refused(crate::client::told(&error)))?
            }
            Err(refusal) => {
                let told = between(&refusal.body, "<Message>", "</Message>").unwrap_or_default();
                return Err(refused(format!("{} {told}", refusal.status)));
            }
        };
        let part =
            |name: &str| between(&text, &format!("<{name}>"), &format!("</{name}>")).map(str::trim);
        match (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken")) {
            (Some(key), Some(secret), Some(token)) => {
                let expires = part("Expiration").and_then(crate::stamp::millis);
                Ok(Found { credentials: credentials(key, secret, token), expires })
            }
            _ => Err(refused("the answer holds no credentials".to_owned())),
        }
    }

    /// Reads the profile of the shared file; a file that was named must exist.
    fn shared(&self) -> Result<Option<Credentials>> {
        let env = |name| self.environment.get(name);
        let (named, profile) = (env("AWS_SHARED_CREDENTIALS_FILE"), env("AWS_PROFILE"));
        let path = match (named, env("HOME")) {
            ("", "") => return Ok(None),
            ("", home) => PathBuf::from(home).join(SHARED_FILE),
            _ => named.into(),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) if named.is_empty() && profile.is_empty() => return Ok(None),
            Err(error) => return Err(Error::io(format!("read `{}`", path.display()), error)),
        };
        let wanted = if profile.is_empty() { "default" } else { profile };
        let values = section(&text, wanted);
        let value = |name| values.get(name).copied().unwrap_or_default();
        let (key, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
        if !key.is_empty() && !secret.is_empty() {
            return Ok(Some(credentials(key, secret, value("aws_session_token"))));
        }
        if profile.is_empty() {
            return Ok(None);
        }
        let message = format!("`{}` has no keys in profile `{wanted}`", path.display());
        Err(Error::new(ErrorKind::Invalid, message).with_hint("set AWS_PROFILE to one that has"))
    }
}

pub(super) fn credentials(key: &str, secret: &str, token: &str) -> Credentials {
    if token.is_empty() {
        Credentials::new(key, secret)
    } else {
        Credentials::new_with_token(key, secret, token)
    }
}

/// Returns the settings of `[name]` in an INI file.
fn section<'a>(text: &'a str, name: &str) -> HashMap<&'a str, &'a str> {
    let is_header = |line: &&str| line.starts_with('[');
    let is_wanted = |line: &&str| line.trim_matches(['[', ']']).trim() == name;
    let mut lines = text.lines().map(str::trim);
    let found = lines.by_ref().find(|line| is_header(line) && is_wanted(line));
    let lines = lines.take_while(|line| !is_header(line)).filter(|_| found.is_some());
    lines
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(pairs: &[(&'static str, &str)]) -> Result<Option<Credentials>> {
        let mut known: HashMap<_, _> = pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        known.insert("AWS_EC2_METADATA_DISABLED", "True".to_owned());
        let environment = Environment::read(|name| known.get(name).cloned());
        let found = Provider::new(environment, "us-east-1".into()).find(&Client::new()?).await?;
        Ok(found.map(|found| found.credentials))
    }

    #[tokio::test]
    async fn keys_come_from_variables_then_the_file_then_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        assert!(find(&[("HOME", home)]).await.unwrap().is_none());
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        let text = "[default]\naws_access_key_id = d\naws_secret_access_key=s\n# no\n[work]\naws_access_key_id = w\naws_secret_access_key = t=\naws_session_token = x\n";
        std::fs::write(folder.path().join(SHARED_FILE), text).unwrap();
        let key = |found: Option<Credentials>| found.map(|found| found.key().to_owned());
        assert_eq!(key(find(&[("HOME", home)]).await.unwrap()).as_deref(), Some("d"));
        let work = find(&[("HOME", home), ("AWS_PROFILE", "work")]).await.unwrap().unwrap();
        assert_eq!((work.key(), work.secret(), work.token()), ("w", "t=", Some("x")));
        assert!(find(&[("HOME", home), ("AWS_PROFILE", "none")]).await.is_err());
        let variables =
            [("HOME", home), ("AWS_ACCESS_KEY_ID", "v"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert_eq!(key(find(&variables).await.unwrap()).as_deref(), Some("v"));
        assert!(find(&variables[..2]).await.unwrap_err().message().contains("only one"));
    }
}
