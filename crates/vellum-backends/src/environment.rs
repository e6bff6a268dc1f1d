//! The variables that tell who we are to the services that hold buckets, and where those are.

use std::collections::HashMap;

/// What the environment says, as the makers of the services name it. Values are secrets and never shown.
#[derive(Clone, Default)]
pub struct Environment(HashMap<&'static str, String>);

/// All that is looked at, by service.
const VARIABLES: [&str; 41] = [
    "HOME",
    // S3
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_NO_SIGN_REQUEST",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    // Google
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "STORAGE_EMULATOR_HOST",
    "GCE_METADATA_HOST",
    "NO_GCE_CHECK",
    // Azure
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Returns what `variable` knows.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let known = VARIABLES.into_iter().filter_map(|name| Some((name, variable(name)?)));
        Self(known.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Returns the value of a variable; empty when it is not set.
    pub(crate) fn get(&self, name: &str) -> &str {
        debug_assert!(VARIABLES.contains(&name), "{name} is read");
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns the first value that is set.
    pub(crate) fn first(&self, names: &[&str]) -> &str {
        names.iter().map(|name| self.get(name)).find(|value| !value.is_empty()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let environment = Environment::read(|_| Some("hidden".to_owned()));
        let shown = format!("{environment:?}");
        assert!(shown.contains("AWS_REGION") && !shown.contains("hidden"), "{shown}");
        assert_eq!(Environment::default().first(&["AWS_REGION", "HOME"]), "");
    }
}
