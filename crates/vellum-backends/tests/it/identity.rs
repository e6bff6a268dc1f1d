//! Who we are to S3 where the platform says it: a fake metadata service, a fake agent of containers, a fake S3.

use crate::site::{Reply, Request, Site};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vellum_backends::{BucketStore, Environment, S3Settings};
use vellum_core::ErrorKind;
use vellum_core::ports::ObjectStore;

/// Lists bucket `b` of `site` as whom the variables say; returns key id and session token of the request.
async fn who(
    site: &Site,
    variables: &[(&str, String)],
) -> vellum_core::Result<Option<(String, String)>> {
    let store = store(site, variables);
    let resolved = store.resolve("s3://b/").await;
    resolved.map(|_| site.requests().iter().rev().find_map(signer))
}

fn store(site: &Site, variables: &[(&str, String)]) -> BucketStore {
    let variables: HashMap<&str, String> = variables.iter().cloned().collect();
    let settings = S3Settings { endpoint: site.url(""), ..S3Settings::default() };
    let environment = Environment::read(|name| variables.get(name).cloned());
    BucketStore::s3(&settings, environment, Path::new("unused").into()).unwrap()
}

fn signer(request: &Request) -> Option<(String, String)> {
    let value = |name: &str| {
        let pair = request.path.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
        pair.map(|value| value.split("%2F").next().unwrap_or_default().to_owned())
    };
    Some((value("X-Amz-Credential=")?, value("X-Amz-Security-Token=").unwrap_or_default()))
}

fn keys(n: usize, expires: &str) -> Reply {
    Reply::ok(format!(
        "{{\"Code\":\"Success\",\"AccessKeyId\":\"AKID{n}\",\"SecretAccessKey\":\"s\",\"Token\":\"session{n}\",\"Expiration\":\"{expires}\"}}"
    ))
}

fn listing() -> Reply {
    Reply::ok(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></ListBucketResult>",
    )
}

/// A machine with a role, whose metadata service wants a session (version 2).
fn machine() -> Site {
    Site::start(|request, _| {
        let has_session = request.header("x-aws-ec2-metadata-token") == Some("session");
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => {
                match request.header("x-aws-ec2-metadata-token-ttl-seconds") {
                    Some("21600") => Reply::ok("session"),
                    _ => Reply::status("400 Bad Request"),
                }
            }
            (_, path) if path.starts_with("/latest/") && !has_session => {
                Reply::status("401 Unauthorized")
            }
            (_, "/latest/meta-data/iam/security-credentials/") => Reply::ok("my-role\n"),
            (_, "/latest/meta-data/iam/security-credentials/my-role") => {
                keys(1, "2999-01-01T00:00:00Z")
            }
            (_, path) if path.starts_with("/latest/") => Reply::status("404 Not Found"),
            _ => listing(),
        }
    })
}

#[tokio::test]
async fn a_machine_has_the_keys_of_its_role() {
    let site = machine();
    let endpoint = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", site.url("/"));
    let found = who(&site, std::slice::from_ref(&endpoint)).await.unwrap();
    assert_eq!(found, Some(("AKID1".to_owned(), "session1".to_owned())));

    let off = ("AWS_EC2_METADATA_DISABLED", "true".to_owned());
    assert_eq!(who(&site, &[endpoint.clone(), off]).await.unwrap(), None);
    assert!(site.asked().is_empty(), "nothing was asked after the listing");

    let own = [
        endpoint,
        ("AWS_ACCESS_KEY_ID", "OWN".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
    ];
    let found = who(&site, &own).await.unwrap();
    assert_eq!(found, Some(("OWN".to_owned(), String::new())), "one's own keys go first");

    let store = store(&site, &own[..1]);
    for _ in 0..3 {
        store.resolve("s3://b/").await.unwrap();
    }
    let puts = site.asked().into_iter().filter(|asked| asked.starts_with("PUT")).count();
    assert_eq!(puts, 1, "keys are kept");
}

#[tokio::test]
async fn where_no_machine_has_a_role_requests_are_unsigned() {
    // Nobody there, something else there, no role, a service that only speaks version 1.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::start(|request, _| match request.path.as_str() {
        "/none/latest/api/token" => Reply::ok("session"),
        path if path.contains("/latest/") => Reply::status("404 Not Found"),
        _ => listing(),
    });
    for endpoint in [format!("http://{nobody}"), site.url("/other"), site.url("/none")] {
        let began = std::time::Instant::now();
        let variable = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
        assert_eq!(who(&site, &[variable]).await.unwrap(), None);
        assert!(began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
    }
    let broken = Site::start(|request, _| match request.path.as_str() {
        "/latest/meta-data/iam/security-credentials/" | "/latest/api/token" => Reply::ok("x"),
        _ => Reply::ok("{\"Code\":\"AssumeRoleUnauthorizedAccess\"}"),
    });
    let variable = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", broken.url(""));
    let error = who(&site, &[variable]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "a role without keys is told of: {error}");
}

#[tokio::test]
async fn a_container_shows_its_token_for_keys() {
    let site = Site::start(|request, _| match request.path.as_str() {
        "/v1/credentials" => match request.header("authorization") {
            Some("Bearer abc") => keys(2, "2999-01-01T00:00:00Z"),
            _ => Reply::status("401 Unauthorized"),
        },
        _ => listing(),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", site.url("/v1/credentials"));
    let from_file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.display().to_string());
    let error = who(&site, &[full.clone(), from_file.clone()]).await.unwrap_err();
    assert!(error.message().contains("read the token in"), "{error}");
    std::fs::write(&file, "Bearer abc\n").unwrap();
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong".to_owned());
    let expect = Some(("AKID2".to_owned(), "session2".to_owned()));
    assert_eq!(who(&site, &[full.clone(), from_file, token.clone()]).await.unwrap(), expect);

    let error = who(&site, &[full.clone(), token]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(error.hint().is_some() && !error.full_message().contains("wrong"), "{error}");
    for address in ["http://example.com/", "ftp://localhost/", "http://127.0.0.2@example.com/", "x"]
    {
        let error = who(&site, &[(full.0, address.to_owned())]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{address}: {error}");
    }
}

#[tokio::test]
async fn r7_keys_that_end_early_are_fetched_anew_once() {
    let n = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&n);
    let site = Site::start(move |request, _| match request.path.as_str() {
        "/keys" => keys(given.fetch_add(1, Ordering::Relaxed), "2999-01-01T00:00:00Z"),
        path if path.contains("AKID0") || path.contains("/dead") => Reply {
            body: b"<Error><Code>ExpiredToken</Code></Error>".to_vec(),
            ..Reply::status("400 Bad Request")
        },
        _ => listing(),
    });
    let store = store(&site, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", site.url("/keys"))]);
    store.resolve("s3://b/").await.unwrap();
    assert_eq!(n.load(Ordering::Relaxed), 2);
    let error = store.resolve("s3://dead/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert_eq!(n.load(Ordering::Relaxed), 3, "once, not for ever");
}
