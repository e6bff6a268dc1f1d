//! Who we are to Google: each kind of file, the metadata server, and nobody.

use crate::site::{Reply, Request, Site};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vellum_backends::{BucketStore, Environment, GcsSettings};
use vellum_core::ErrorKind;
use vellum_core::ports::ObjectStore;

/// A key that opens nothing.
const KEY: &str = include_str!("key.pem");

fn store(endpoint: String, variables: &[(&str, String)]) -> BucketStore {
    let variables: HashMap<&str, String> = variables.iter().cloned().collect();
    let environment = Environment::read(|name| variables.get(name).cloned());
    BucketStore::gcs(&GcsSettings { endpoint }, environment, Path::new("unused").into()).unwrap()
}

/// Lists bucket `b` of `site` with the credentials of a file; returns what the request shows.
async fn who(site: &Site, file: &Value) -> vellum_core::Result<Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let variable = ("GOOGLE_APPLICATION_CREDENTIALS", path.display().to_string());
    store(site.url(""), &[variable]).resolve("gs://b/").await.map(|_| shown(site))
}

/// Returns what the last request for a page shows.
fn shown(site: &Site) -> Option<String> {
    let requests = site.requests();
    let page = requests.iter().rev().find(|it| it.path.starts_with("/storage/")).unwrap();
    page.header("authorization").map(str::to_owned)
}

/// Answers with no keys, and with `more` to what else is asked.
fn site(more: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Site {
    Site::start(move |request, _| match request.path.starts_with("/storage/v1/b/b/o?") {
        true => Reply::ok("{\"kind\":\"storage#objects\"}"),
        false => more(request),
    })
}

#[tokio::test]
async fn a_service_account_signs_for_itself() {
    let site = site(|_| Reply::status("404 Not Found"));
    let file = json!({
        "type": "service_account", "client_email": "a@b.iam", "private_key_id": "k1", "private_key": KEY,
    });
    let shown = who(&site, &file).await.unwrap().unwrap();
    let token = shown.strip_prefix("Bearer ").unwrap();
    let (claims, signature) = token.rsplit_once('.').unwrap();
    let parts: Vec<Value> = claims
        .split('.')
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let scope = "https://www.googleapis.com/auth/devstorage.read_only";
    assert_eq!((&parts[1]["iss"], &parts[1]["scope"]), (&json!("a@b.iam"), &json!(scope)));
    let lasts = parts[1]["exp"].as_u64().unwrap() - parts[1]["iat"].as_u64().unwrap();
    assert_eq!(lasts, 3600);
    let der: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let pair =
        ring::signature::RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(der).unwrap()).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(
        &ring::signature::RSA_PKCS1_2048_8192_SHA256,
        pair.public(),
    );
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    public.verify(claims.as_bytes(), &signature).unwrap();

    for wrong in [json!("x"), json!("-----BEGIN-----\nAAAA\n-----END-----")] {
        let mut file = file.clone();
        file["private_key"] = wrong;
        let error = who(&site, &file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("`private_key` is no RSA key"), "{error}");
    }
}

#[tokio::test]
async fn tokens_of_users_and_other_providers_are_exchanged() {
    let site = site(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let has = |name: &str, value: &str| form.get(name).is_some_and(|it| it == value);
        let token = |token: &str| {
            Reply::ok(format!("{{\"access_token\":\"{token}\",\"expires_in\":3599}}"))
        };
        match request.path.as_str() {
            "/user" if has("refresh_token", "r") && has("client_secret", "s") => token("user"),
            "/sts" if has("subject_token", "pod") && has("audience", "//iam/pool") => {
                token(if has("scope", "https://www.googleapis.com/auth/cloud-platform") {
                    "for-other"
                } else {
                    "federated"
                })
            }
            "/subject" if request.header("x-key") == Some("1") => Reply::ok("{\"id\":\"pod\"}"),
            "/impersonate" => match request.header("authorization") {
                Some("Bearer for-other" | "Bearer user") => {
                    Reply::ok("{\"accessToken\":\"other\",\"expireTime\":\"2999-01-01T00:00:00Z\"}")
                }
                _ => Reply::status("403 Forbidden"),
            },
            _ => Reply {
                body: b"{\"error\":\"invalid_grant\",\"error_description\":\"Bad Request\"}"
                    .to_vec(),
                ..Reply::status("400 Bad Request")
            },
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let subject = folder.path().join("token");
    std::fs::write(&subject, "pod\n").unwrap();
    let user = json!({
        "type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r",
        "token_uri": site.url("/user"),
    });
    let external = json!({
        "type": "external_account", "audience": "//iam/pool", "token_url": site.url("/sts"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": {"file": subject},
    });
    let with = |file: &Value, name: &str, value: Value| {
        let mut file = file.clone();
        file[name] = value;
        file
    };
    let by_url = json!({
        "url": site.url("/subject"), "headers": {"X-Key": "1"},
        "format": {"type": "json", "subject_token_field_name": "id"},
    });
    let other = json!(site.url("/impersonate"));
    let impersonated = json!({
        "type": "impersonated_service_account", "source_credentials": user,
        "service_account_impersonation_url": other,
    });
    for (file, expect) in [
        (user.clone(), "Bearer user"),
        (external.clone(), "Bearer federated"),
        (with(&external, "credential_source", by_url), "Bearer federated"),
        (with(&external, "service_account_impersonation_url", other.clone()), "Bearer other"),
        (impersonated, "Bearer other"),
    ] {
        assert_eq!(who(&site, &file).await.unwrap().as_deref(), Some(expect), "{file}");
    }
    for (file, kind, says) in [
        (with(&user, "refresh_token", json!("old")), ErrorKind::Unauthenticated, "Bad Request"),
        (with(&user, "client_id", Value::Null), ErrorKind::Invalid, "`client_id` is missing"),
        (with(&external, "credential_source", json!({})), ErrorKind::Invalid, "neither `file` nor"),
        (json!({"type": "other"}), ErrorKind::Invalid, "type `other` is not known"),
    ] {
        let error = who(&site, &file).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_machine_or_pod_asks_its_metadata_server() {
    let n = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&n);
    let site = site(move |request| match request.header("metadata-flavor") {
        Some("Google") => {
            given.fetch_add(1, Ordering::Relaxed);
            Reply::ok("{\"access_token\":\"m\",\"expires_in\":3599,\"token_type\":\"Bearer\"}")
                .with("Metadata-Flavor", "Google")
        }
        _ => Reply::status("403 Forbidden"),
    });
    let host = ("GCE_METADATA_HOST", site.address.clone());
    let known = store(site.url(""), std::slice::from_ref(&host));
    for _ in 0..3 {
        known.resolve("gs://b/").await.unwrap();
    }
    assert_eq!(shown(&site).as_deref(), Some("Bearer m"));
    assert_eq!(n.load(Ordering::Relaxed), 1, "a token is kept");

    let off = ("NO_GCE_CHECK", "true".to_owned());
    store(site.url(""), &[host.clone(), off]).resolve("gs://b/").await.unwrap();
    assert_eq!(shown(&site), None);
    // An emulator is not told who we are.
    let emulator = ("STORAGE_EMULATOR_HOST", site.address.clone());
    store(String::new(), &[host.clone(), emulator]).resolve("gs://b/").await.unwrap();
    assert_eq!(shown(&site), None);
    // Nobody there, and something else.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = Site::start(|_, _| Reply::ok("welcome"));
    for address in [nobody.to_string(), other.address.clone()] {
        let host = ("GCE_METADATA_HOST", address);
        store(site.url(""), &[host]).resolve("gs://b/").await.unwrap();
        assert_eq!(shown(&site), None);
    }
}

#[tokio::test]
async fn refusals_tell_what_to_do() {
    let refusal = |status, message: &str| Reply {
        body: format!("{{\"error\":{{\"message\":\"{message}\"}}}}").into_bytes(),
        ..Reply::status(status)
    };
    let site = Site::start(move |request, _| match request.path.split('/').nth(4) {
        Some("old") => refusal("401 Unauthorized", "Invalid Credentials"),
        Some("closed") => refusal("403 Forbidden", "no storage.objects.list access"),
        _ => Reply::ok("{\"access_token\":\"m\"}").with("Metadata-Flavor", "Google"),
    });
    let nobody = store(site.url(""), &[("NO_GCE_CHECK", "true".to_owned())]);
    let somebody = store(site.url(""), &[("GCE_METADATA_HOST", site.address.clone())]);
    for (store, source, kind, says) in [
        (&somebody, "gs://old/", ErrorKind::Unauthenticated, "does not accept the credentials"),
        (&somebody, "gs://closed/", ErrorKind::Forbidden, "does not allow reading `gs://closed/`"),
        (&nobody, "gs://old/", ErrorKind::Forbidden, "without credentials"),
    ] {
        let error = store.resolve(source).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.hint().is_some(), "{error}");
    }
}
