//! Who we are to Azure: a connection string, an account's key, a shared access signature, or an identity of Entra.
//!
//! The order: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, workload identity
//! (AZURE_FEDERATED_TOKEN_FILE), a client's secret (AZURE_CLIENT_SECRET), the managed identity of the container
//! (IDENTITY_ENDPOINT) or of the machine (IMDS), nobody. Variables are those of Azure's own tools and libraries.
//!
//! Sources: "Configure a connection string" (Storage), "Microsoft identity platform and the OAuth 2.0 client credentials
//! flow" (Entra), "How to use managed identities to acquire an access token". Not taken: `reqsign-azure-storage` (see
//! [`crate::gcs`]; it reads no connection strings) and `object_store` (reads the environment of the process).

use crate::Environment;
use crate::bucket::{Finder, Found};
use crate::client::{Answer, Client, PERHAPS, PROMPTLY, Refusal, near};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{RequestBuilder, StatusCode};
use ring::hmac;
use serde_json::Value;
use vellum_core::{Error, ErrorKind, Result};

/// What a token is for.
const RESOURCE: &str = "https://storage.azure.com/";
/// Where Entra answers, unless AZURE_AUTHORITY_HOST says otherwise.
const ENTRA: &str = "https://login.microsoftonline.com";
/// Where a machine is told who it is, unless AZURE_POD_IDENTITY_AUTHORITY_HOST says otherwise.
const IMDS: &str = "http://169.254.169.254";
/// What to do about credentials that are not accepted.
pub(super) const HINT: &str = "set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give this program an identity";

/// What a request is made acceptable with.
pub(super) enum Identity {
    /// Key of the account.
    Key(hmac::Key),
    /// The query of a shared access signature.
    Signature(String),
    /// A bearer token.
    Token(String),
}

/// What a connection string says, or variables in its place.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) account: String,
    key: String,
    signature: String,
    pub(super) endpoint: String,
    pub(super) suffix: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest are secrets, and an endpoint may hold one.
        f.debug_struct("Connection").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` when the connection string is none.
    pub(super) fn read(environment: &Environment) -> Result<Self> {
        let mut connection = Self {
            account: environment
                .first(&["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"])
                .to_owned(),
            key: environment.first(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]).to_owned(),
            signature: environment.get("AZURE_STORAGE_SAS_TOKEN").to_owned(),
            endpoint: String::new(),
            suffix: "core.windows.net".to_owned(),
        };
        let text = environment.get("AZURE_STORAGE_CONNECTION_STRING");
        if text.is_empty() {
            return Ok(connection);
        }
        (connection.key, connection.signature) = (String::new(), String::new());
        let mut protocol = "https";
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                let message = "AZURE_STORAGE_CONNECTION_STRING is no list of NAME=VALUE";
                Error::new(ErrorKind::Invalid, message)
                    .with_hint("copy it from the account's access keys in the portal")
            })?;
            match name {
                "AccountName" => connection.account = value.to_owned(),
                "AccountKey" => connection.key = value.to_owned(),
                "SharedAccessSignature" => connection.signature = value.to_owned(),
                "BlobEndpoint" => connection.endpoint = value.to_owned(),
                "EndpointSuffix" => connection.suffix = value.to_owned(),
                "DefaultEndpointsProtocol" => protocol = value,
                _ => {}
            }
        }
        if connection.endpoint.is_empty() && !connection.account.is_empty() {
            let Self { account, suffix, .. } = &connection;
            connection.endpoint = format!("{protocol}://{account}.blob.{suffix}");
        }
        Ok(connection)
    }
}

/// Finds credentials for Azure.
#[derive(Debug)]
pub(super) struct Provider {
    environment: Environment,
    connection: Connection,
    /// Whether tokens may go to the endpoint.
    is_private: bool,
}

impl Provider {
    pub(super) fn new(environment: Environment, connection: Connection, is_private: bool) -> Self {
        Self { environment, connection, is_private }
    }

    fn env(&self, name: &str) -> &str {
        self.environment.get(name)
    }

    /// Returns the credentials of an application that Entra knows; `None` when it is told of none.
    async fn of_application(&self, client: &Client) -> Result<Option<Found<Identity>>> {
        let (id, tenant) = (self.env("AZURE_CLIENT_ID"), self.env("AZURE_TENANT_ID"));
        let (file, secret) =
            (self.env("AZURE_FEDERATED_TOKEN_FILE"), self.env("AZURE_CLIENT_SECRET"));
        if id.is_empty() || tenant.is_empty() || file.is_empty() && secret.is_empty() {
            return Ok(None);
        }
        let scope = format!("{RESOURCE}.default");
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope.as_str()),
        ];
        let token = match file {
            "" => String::new(),
            // It is written anew from time to time.
            path => std::fs::read_to_string(path)
                .map_err(|error| Error::io(format!("read the token in `{path}`"), error))?,
        };
        match token.trim() {
            "" => form.push(("client_secret", secret)),
            token => form.extend([
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", token),
            ]),
        }
        let host = match self.env("AZURE_AUTHORITY_HOST") {
            "" => ENTRA,
            own => own.trim_end_matches('/'),
        };
        let url = format!("{host}/{tenant}/oauth2/v2.0/token");
        let answer = client
            .call("ask Entra for a token", PROMPTLY, |http| http.post(&url).form(&form))
            .await?;
        let hint = "check AZURE_CLIENT_ID and AZURE_TENANT_ID, and the trust that Entra gives to this workload";
        given(answer, &url).await.map_err(|error| error.with_hint(hint)).map(Some)
    }

    /// Returns the managed identity of this container or machine; `None` where there is none.
    async fn of_platform(&self) -> Result<Option<Found<Identity>>> {
        let id = self.env("AZURE_CLIENT_ID");
        let id = (!id.is_empty()).then_some(("client_id", id));
        let (endpoint, header) = (self.env("IDENTITY_ENDPOINT"), self.env("IDENTITY_HEADER"));
        let of_container = !endpoint.is_empty() && !header.is_empty();
        let imds = match self.env("AZURE_POD_IDENTITY_AUTHORITY_HOST") {
            "" => IMDS,
            own => own.trim_end_matches('/'),
        };
        let imds = format!("{imds}/metadata/identity/oauth2/token");
        let url = if of_container { endpoint } else { imds.as_str() };
        let version = if of_container { "2019-08-01" } else { "2018-02-01" };
        let ask = |http: &reqwest::Client| -> RequestBuilder {
            let get = http.get(url).query(&[("api-version", version), ("resource", RESOURCE)]);
            let get = get.query(&id.as_slice());
            match of_container {
                true => get.header("X-IDENTITY-HEADER", header),
                false => get.header("Metadata", "true"),
            }
        };
        let patience = if of_container { PROMPTLY } else { PERHAPS };
        let answer = match near()?.call("ask for the managed identity", patience, ask).await {
            Ok(answer) => answer,
            Err(error) if of_container => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "no metadata service");
                return Ok(None);
            }
        };
        // Somebody else's metadata service, or a machine without an identity.
        let is_none = |it: &Refusal| matches!(it.status.as_u16(), 400 | 401 | 403 | 404 | 405);
        if !of_container && answer.as_ref().is_err_and(is_none) {
            return Ok(None);
        }
        given(answer, url).await.map_err(|error| error.with_hint(HINT)).map(Some)
    }
}

#[async_trait]
impl Finder for Provider {
    type Credentials = Identity;

    async fn find(&self, client: &Client) -> Result<Option<Found<Identity>>> {
        let Connection { key, signature, .. } = &self.connection;
        if !key.is_empty() {
            let key = BASE64_STANDARD.decode(key).map_err(|_| {
                Error::new(ErrorKind::Invalid, "the key of the Azure account is not in base 64")
                    .with_hint("copy it from the account's access keys in the portal")
            })?;
            return Ok(Some(Identity::Key(hmac::Key::new(hmac::HMAC_SHA256, &key)).into()));
        }
        // What follows would show itself to whoever listens.
        if !self.is_private {
            return Ok(None);
        }
        if !signature.is_empty() {
            let query = signature.trim_start_matches('?').to_owned();
            return Ok(Some(Identity::Signature(query).into()));
        }
        if let Some(found) = self.of_application(client).await? {
            return Ok(Some(found));
        }
        self.of_platform().await
    }

    fn is_over(&self, refusal: &Refusal) -> bool {
        refusal.status == StatusCode::UNAUTHORIZED
    }
}

/// Reads an answer that should hold a token.
async fn given(answer: Answer, url: &str) -> Result<Found<Identity>> {
    let refused =
        |why: &str| Error::new(ErrorKind::Unauthenticated, format!("{url} gives no token: {why}"));
    let text = match answer {
        Ok(response) => {
            response.text().await.map_err(|error| refused(&crate::client::told(&error)))?
        }
        Err(refusal) => {
            let told: Value = serde_json::from_str(&refusal.body).unwrap_or_default();
            let why = told.get("error_description").or_else(|| told.get("error"));
            let why = why.and_then(Value::as_str).and_then(|why| why.lines().next());
            return Err(refused(&format!("{} {}", refusal.status, why.unwrap_or_default())));
        }
    };
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| refused("the answer holds none"))?.to_owned();
    // A number, or one in words.
    let number = |it: &Value| it.as_i64().or_else(|| it.as_str()?.parse().ok());
    Ok(match answer.get("expires_in").and_then(number) {
        Some(seconds) => Found::lasting(Identity::Token(token), seconds),
        None => Identity::Token(token).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Connection> {
        let name = "AZURE_STORAGE_CONNECTION_STRING";
        Connection::read(&Environment::read(|it| (it == name).then(|| text.to_owned())))
    }

    #[test]
    fn connection_strings() {
        let own = "DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=a2V5+/==;EndpointSuffix=core.windows.net";
        let Connection { account, key, endpoint, .. } = read(own).unwrap();
        assert_eq!((account.as_str(), key.as_str()), ("mine", "a2V5+/=="));
        assert_eq!(endpoint, "https://mine.blob.core.windows.net");
        let sas = "BlobEndpoint=https://mine.blob.core.windows.net/;SharedAccessSignature=sv=2021&sig=x%3D;";
        let Connection { key, signature, endpoint, .. } = read(sas).unwrap();
        assert_eq!((key.as_str(), signature.as_str()), ("", "sv=2021&sig=x%3D"));
        assert_eq!(endpoint, "https://mine.blob.core.windows.net/");
        assert_eq!(read("secret").unwrap_err().kind(), ErrorKind::Invalid);
        assert!(!read("secret").unwrap_err().full_message().contains("secret"));
        assert!(!format!("{:?}", read(own).unwrap()).contains("a2V5"));
    }
}
