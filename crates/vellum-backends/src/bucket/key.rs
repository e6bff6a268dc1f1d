//! Keys to uris and back; see the module page for the order that they keep. `scheme` is what uris begin with: `s3://`.

use percent_encoding::percent_decode_str;
use vellum_core::{Error, ErrorKind, Result};

/// Returns the uri of an object, or of a folder when `key` is empty or ends with `/`.
///
/// DEL stands behind characters that are not encoded, so it is not either: [`unfit`] tells of it.
pub(super) fn uri(scheme: &str, bucket: &str, key: &str) -> String {
    let mut uri = format!("{scheme}{bucket}/");
    for c in key.chars() {
        if c <= '%' {
            uri.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            uri.push(c);
        }
    }
    uri
}

/// Returns bucket and key of a uri.
///
/// # Errors
/// `Unsupported` for another scheme, `Invalid` when the key is no UTF-8.
pub(super) fn split(scheme: &str, uri: &str) -> Result<(String, String)> {
    let (bucket, key) = typed(scheme, uri)?;
    let key = decoded(key).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("`{uri}` holds a key that is no UTF-8"))
    })?;
    Ok((bucket.to_owned(), key))
}

/// Returns bucket and key as they were typed.
///
/// # Errors
/// As [`split`].
pub(super) fn typed<'a>(scheme: &str, source: &'a str) -> Result<(&'a str, &'a str)> {
    let hint = || format!("use {scheme}bucket/prefix");
    let rest = source.strip_prefix(scheme).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("`{source}` is no address of a bucket"))
            .with_hint(hint())
    })?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    // What S3, MinIO and SeaweedFS allow, and old buckets of AWS: nothing that could lead to another host or path.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || !bucket.chars().all(is_name) || bucket.starts_with('.') {
        let message = format!("`{source}`: `{bucket}` cannot name a bucket");
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(hint()));
    }
    Ok((bucket, key))
}

/// Returns a key without percent-encoding; `None` when that is no UTF-8.
pub(super) fn decoded(key: &str) -> Option<String> {
    percent_decode_str(key).decode_utf8().ok().map(Into::into)
}

/// Returns the last segment of a key, for people.
pub(super) fn name(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns why a key cannot be read whose slashes stand in an address as they are; `None` when it can.
pub(crate) fn unfit(key: &str) -> Option<&'static str> {
    if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("a key with `.` or `..` between slashes has no address");
    }
    controlled(key)
}

/// Returns why a key cannot be written into a uri.
pub(crate) fn controlled(key: &str) -> Option<&'static str> {
    key.chars()
        .any(|c| matches!(c, '\u{7f}'..='\u{9f}'))
        .then_some("the key holds control characters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S3: &str = "s3://";

    #[test]
    fn uris_of_keys() {
        for (key, uri_of) in [
            ("", "s3://b/"),
            ("a b/c#d%e.txt", "s3://b/a%20b/c%23d%25e.txt"),
            ("ü/中?&=+.pdf", "s3://b/ü/中?&=+.pdf"),
            ("a//b\n", "s3://b/a//b%0A"),
        ] {
            assert_eq!(uri(S3, "b", key), uri_of);
            assert_eq!(split(S3, uri_of).unwrap(), ("b".to_owned(), key.to_owned()));
        }
        for wrong in ["s3://", "s3:///key", "s3://b@c/key", "s3://../x", "file:///a"] {
            assert!(split(S3, wrong).is_err(), "{wrong}");
        }
        assert!(unfit("a/../b").is_some() && unfit("..").is_some() && unfit("a\u{7f}").is_some());
        assert!(unfit("a..b/...").is_none());
    }

    proptest! {
        #[test]
        fn uris_are_ordered_as_their_keys(a in ".{0,8}", b in ".{0,8}") {
            prop_assert_eq!(uri(S3, "b", &a).cmp(&uri(S3, "b", &b)), a.cmp(&b));
            prop_assert_eq!(split(S3, &uri(S3, "b", &a)).unwrap().1, a);
        }
    }
}
