//! Who we are to Azure: a key, a signature, an identity of Entra, and nobody.

use crate::dialect::{ACCOUNT, ACCOUNT_KEY};
use crate::site::{Reply, Request, Site};
use std::collections::HashMap;
use std::path::Path;
use vellum_backends::{AzureSettings, BucketStore, Environment};
use vellum_core::ErrorKind;
use vellum_core::ports::ObjectStore;

const EMPTY: &str =
    "<EnumerationResults><Blobs></Blobs><NextMarker></NextMarker></EnumerationResults>";

fn store(endpoint: String, variables: &[(&str, &str)]) -> BucketStore {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let environment = Environment::read(|name| variables.get(name).map(|it| (*it).to_owned()));
    let settings = AzureSettings { account: ACCOUNT.to_owned(), endpoint };
    BucketStore::azure(&settings, environment, Path::new("unused").into()).unwrap()
}

/// Lists container `b` of `site`; returns query and authorization of the request.
async fn who(
    site: &Site,
    variables: &[(&str, &str)],
) -> vellum_core::Result<(String, Option<String>)> {
    store(site.url(""), variables).resolve("az://b/").await?;
    let requests = site.requests();
    let page = requests.iter().rev().find(|it| it.path.starts_with("/b?")).unwrap();
    Ok((page.path.clone(), page.header("authorization").map(str::to_owned)))
}

fn site(more: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Site {
    Site::start(move |request, _| match request.path.starts_with("/b?") {
        true => Reply::ok(EMPTY),
        false => more(request),
    })
}

/// A metadata service that gives nobody anything.
fn nobody(site: &Site) -> String {
    site.url("/none")
}

#[tokio::test]
async fn keys_and_signatures_come_from_variables() {
    let site = site(|_| Reply::status("404 Not Found"));
    let imds = nobody(&site);
    let imds = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str());
    let (query, shown) = who(&site, &[imds, ("AZURE_STORAGE_KEY", ACCOUNT_KEY)]).await.unwrap();
    assert!(shown.unwrap().starts_with("SharedKey devstoreaccount1:") && !query.contains("sig="));
    let sas = ("AZURE_STORAGE_SAS_TOKEN", "?sv=2021-12-02&sig=a%2Bb%3D");
    let (query, shown) = who(&site, &[imds, sas]).await.unwrap();
    assert!(query.ends_with("&sv=2021-12-02&sig=a%2Bb%3D") && shown.is_none(), "{query}");
    assert_eq!(who(&site, &[imds]).await.unwrap().1, None);

    let error = who(&site, &[("AZURE_STORAGE_KEY", "no base 64!")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.hint().is_some() && !error.full_message().contains("no base"), "{error}");
}

#[tokio::test]
async fn workloads_and_machines_have_identities_of_entra() {
    let site = site(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let has = |name: &str, value: &str| form.get(name).is_some_and(|it| it == value);
        let token = |token: &str, expires: &str| {
            Reply::ok(format!("{{\"access_token\":\"{token}\",\"expires_in\":{expires}}}"))
        };
        match request.path.split('?').next().unwrap() {
            "/tenant/oauth2/v2.0/token" if has("scope", "https://storage.azure.com/.default") => {
                if has("client_assertion", "pod") {
                    token("workload", "3599")
                } else if has("client_secret", "secret") {
                    token("application", "3599")
                } else {
                    Reply {
                        body: b"{\"error_description\":\"AADSTS70021: No match\\r\\nTrace\"}"
                            .to_vec(),
                        ..Reply::status("401 Unauthorized")
                    }
                }
            }
            "/metadata/identity/oauth2/token" if request.header("metadata") == Some("true") => {
                token(
                    if request.path.contains("client_id=mine") { "mine" } else { "machine" },
                    "\"86399\"",
                )
            }
            "/msi" if request.header("x-identity-header") == Some("h") => token("container", "1"),
            _ => Reply::status("404 Not Found"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "pod\n").unwrap();
    let (file, entra) = (file.to_str().unwrap(), site.url("/"));
    let application = [
        ("AZURE_CLIENT_ID", "mine"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_AUTHORITY_HOST", entra.as_str()),
    ];
    let msi = site.url("/msi");
    for (more, expect) in [
        (vec![("AZURE_FEDERATED_TOKEN_FILE", file), ("AZURE_CLIENT_SECRET", "x")], "workload"),
        (vec![("AZURE_CLIENT_SECRET", "secret")], "application"),
        (vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", entra.as_str())], "mine"),
        (vec![("IDENTITY_ENDPOINT", msi.as_str()), ("IDENTITY_HEADER", "h")], "container"),
    ] {
        let variables = [&application[..], &more[..]].concat();
        let (_, shown) = who(&site, &variables).await.unwrap();
        assert_eq!(shown, Some(format!("Bearer {expect}")), "{more:?}");
    }
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", entra.as_str())];
    assert_eq!(who(&site, &machine).await.unwrap().1.as_deref(), Some("Bearer machine"));

    let variables = [&application[..], &[("AZURE_CLIENT_SECRET", "wrong")]].concat();
    let error = who(&site, &variables).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    let message = error.full_message();
    assert!(message.contains("AADSTS70021: No match") && !message.contains("Trace"), "{message}");
    assert!(error.hint().is_some() && !message.contains("wrong"), "{message}");
}

#[tokio::test]
async fn refusals_tell_what_to_do() {
    let site = Site::start(|request, _| {
        let code = request.path.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
        let status = match code.as_str() {
            "authorizationpermissionmismatch" => "403 Forbidden",
            "authenticationfailed" => "403 Forbidden",
            _ => "404 Not Found",
        };
        let name = match code.as_str() {
            "authorizationpermissionmismatch" => "AuthorizationPermissionMismatch",
            "authenticationfailed" => "AuthenticationFailed",
            "containernotfound" => "ContainerNotFound",
            _ => "ResourceNotFound",
        };
        Reply {
            body: format!("<Error><Code>{name}</Code><Message>no\nRequestId:1</Message></Error>")
                .into_bytes(),
            ..Reply::status(status)
        }
    });
    let imds = nobody(&site);
    let somebody = store(site.url(""), &[("AZURE_STORAGE_KEY", ACCOUNT_KEY)]);
    let anonymous = store(site.url(""), &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &imds)]);
    for (store, source, kind, says) in [
        (
            &somebody,
            "az://authorizationpermissionmismatch/",
            ErrorKind::Forbidden,
            "does not allow",
        ),
        (&somebody, "az://authenticationfailed/", ErrorKind::Unauthenticated, "does not accept"),
        (&somebody, "az://containernotfound/", ErrorKind::Invalid, "does not exist"),
        (&anonymous, "az://resourcenotfound/", ErrorKind::Forbidden, "without credentials"),
    ] {
        let error = store.resolve(source).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn addresses_of_hadoop_are_the_same_containers() {
    let site = site(|_| Reply::status("404 Not Found"));
    let store = store(site.url(""), &[("AZURE_STORAGE_KEY", ACCOUNT_KEY)]);
    let typed = format!("abfss://b@{ACCOUNT}.dfs.core.windows.net/");
    assert_eq!(store.resolve(&typed).await.unwrap(), "az://b/");
    let error = store.resolve("abfss://b@other.dfs.core.windows.net/x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.hint().unwrap().contains("`azure.account` to `other`"), "{error}");
}

#[tokio::test]
async fn a_setting_goes_before_a_connection_string_of_another_account() {
    let site = site(|_| Reply::status("404 Not Found"));
    let of = |account: &str| {
        let text =
            format!("AccountName=told;AccountKey={ACCOUNT_KEY};BlobEndpoint={}", site.url(""));
        let environment = Environment::read(|name| {
            (name == "AZURE_STORAGE_CONNECTION_STRING").then(|| text.clone())
        });
        let settings = AzureSettings { account: account.to_owned(), ..AzureSettings::default() };
        BucketStore::azure(&settings, environment, Path::new("unused").into()).unwrap()
    };
    for account in ["", "told"] {
        assert_eq!(of(account).resolve("abfss://b@told.x/").await.unwrap(), "az://b/");
    }
    let n = site.requests().len();
    let error = of("own").resolve("abfss://b@told.x/").await.unwrap_err();
    assert!(error.message().contains("not in `own`"), "{error}");
    assert_eq!((n, site.requests().len()), (2, 0));
}

#[tokio::test]
async fn without_an_account_the_next_step_is_named() {
    let none = AzureSettings::default();
    let store =
        BucketStore::azure(&none, Environment::default(), Path::new("unused").into()).unwrap();
    let error = store.resolve("az://b/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.hint().unwrap().contains("azure.account"), "{error}");
}
