//! Shared Key: the signature of a request by an account's key.
//!
//! Source: "Authorize with Shared Key", form of version 2015-02-21 and later, for requests without a body
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).

use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use std::time::SystemTime;

/// Headers whose values are signed without their names, in this order; a body would have more.
const PLAIN: [HeaderName; 5] = [
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// Returns the headers of a `GET` at `url`, with its date and its signature.
pub(super) fn signed(
    key: &hmac::Key,
    account: &str,
    url: &Url,
    mut headers: HeaderMap,
    now: SystemTime,
) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("ASCII is a header value");
    headers.insert("x-ms-date", value(&httpdate::fmt_http_date(now)));
    let tag = hmac::sign(key, signable(account, url, &headers).as_bytes());
    let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, tag);
    // An account is ASCII: `Connection::read` and the settings are checked by the service, which knows no other.
    if let Ok(signature) = HeaderValue::from_str(&format!("SharedKey {account}:{signature}")) {
        headers.insert(header::AUTHORIZATION, signature);
    }
    headers
}

/// Returns what is signed.
fn signable(account: &str, url: &Url, headers: &HeaderMap) -> String {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let plain = |name| headers.get(name).map(text).unwrap_or_default();
    // Verb, encoding, language, length, MD5, type and date, all but the first without a value.
    let mut signable = "GET\n\n\n\n\n\n\n".to_owned();
    for name in PLAIN {
        signable.push_str(&plain(name));
        signable.push('\n');
    }
    let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-ms-"));
    let mut own: Vec<_> = own.map(|(name, value)| (name.as_str(), text(value))).collect();
    own.sort();
    signable.extend(own.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())));
    signable.push_str(&format!("/{account}{}", url.path()));
    let mut pairs: Vec<_> = url.query_pairs().collect();
    pairs.sort();
    signable.extend(pairs.iter().map(|(name, value)| format!("\n{}:{value}", name.to_lowercase())));
    signable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed() {
        let url =
            "http://127.0.0.1:10000/acc/box/a%20b.txt?restype=container&comp=list&prefix=%C3%BC%2F";
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-version", HeaderValue::from_static("2021-12-02"));
        headers.insert("x-ms-date", HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-9"));
        headers.insert(header::IF_MATCH, HeaderValue::from_static("\"0x8D\""));
        let expect = "GET\n\n\n\n\n\n\n\n\"0x8D\"\n\n\nbytes=0-9\n\
            x-ms-date:Thu, 01 Jan 1970 00:00:00 GMT\nx-ms-version:2021-12-02\n\
            /acc/acc/box/a%20b.txt\ncomp:list\nprefix:ü/\nrestype:container";
        assert_eq!(signable("acc", &Url::parse(url).unwrap(), &headers), expect);
    }
}
