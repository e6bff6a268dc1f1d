//! What a page is called, and what tells that it changed.

use super::fetch::is_packed;
use percent_encoding::percent_decode_str;
use reqwest::header::{self, HeaderMap, HeaderName};
use std::time::{SystemTime, UNIX_EPOCH};
use url::Url;

/// Returns the name of a page for people: that of its file, else the end of its path, else its host.
pub(super) fn name(url: &Url, headers: &HeaderMap) -> String {
    let file = text(headers, header::CONTENT_DISPOSITION).and_then(file_name);
    let end = || {
        let end = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
        Some(percent_decode_str(end).decode_utf8_lossy().into_owned())
    };
    let name = file.or_else(end).unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    // A name is no path, whoever chose it.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns the file name of a `Content-Disposition` (RFC 6266); `filename*` (RFC 8187) goes first.
fn file_name(disposition: &str) -> Option<String> {
    let mut plain = None;
    for part in parts(disposition) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let (charset, encoded) = value.split_once('\'')?;
                let (_language, encoded) = encoded.split_once('\'')?;
                if charset.eq_ignore_ascii_case("utf-8") {
                    return Some(percent_decode_str(encoded).decode_utf8_lossy().into_owned());
                }
            }
            "filename" => {
                let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                plain = Some(inner.unwrap_or(value).replace("\\\"", "\""));
            }
            _ => {}
        }
    }
    plain.filter(|name| !name.is_empty())
}

/// Splits at `;` outside of quotes.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut before) = (false, ' ');
    text.split(move |c| {
        is_quoted ^= c == '"' && before != '\\';
        before = c;
        c == ';' && !is_quoted
    })
}

/// Returns the change marker of an answer; `None` when the server gives no sign.
pub(super) fn marker(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, header::ETAG).map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
    if let Some(tag) = tag.filter(|tag| !tag.is_empty()) {
        return Some(tag.to_owned());
    }
    let size = text(headers, header::CONTENT_LENGTH).unwrap_or_default();
    text(headers, header::LAST_MODIFIED).map(|modified| format!("{modified} {size}"))
}

/// Returns the change marker of a page by the date in its sitemap.
pub(super) fn dated(millis: i64) -> String {
    format!("lastmod {millis}")
}

/// Returns a marker that equals no other, so that the page is read and its content compared.
pub(super) fn unmarked() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("unmarked {}", now.as_nanos())
}

/// Returns the bytes that an answer announces, as the page is; 0 when that is unknown.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    let length = text(headers, header::CONTENT_LENGTH).filter(|_| !is_packed(headers));
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn names_of_pages() {
        let named = |url: &str, disposition: &str| {
            let headers = match disposition {
                "" => HeaderMap::new(),
                text => headers(&[(header::CONTENT_DISPOSITION, text)]),
            };
            name(&Url::parse(url).unwrap(), &headers)
        };
        for (url, disposition, expect) in [
            ("https://a.example/docs/R%C3%BCck%20gabe.html?x=1", "", "Rück gabe.html"),
            ("https://a.example/docs/", "", "docs"),
            ("https://a.example", "", "a.example"),
            ("https://a.example/a%0Ab%2F..%2Fc", "", "c"),
            (
                "https://a.example/x",
                "attachment; filename=\"a;b \\\"c\\\".pdf\"; size=1",
                "a;b \"c\".pdf",
            ),
            ("https://a.example/x", "attachment; FileName=plain.pdf", "plain.pdf"),
            (
                "https://a.example/x",
                "attachment; filename=no.pdf; filename*=UTF-8''%e2%82%ac.pdf",
                "€.pdf",
            ),
            ("https://a.example/x", "attachment; filename=\"../../etc/passwd\"", "passwd"),
            ("https://a.example/x", "attachment; filename=\"C:\\\\x\\\\y.doc\"", "y.doc"),
            ("https://a.example/x.txt", "inline", "x.txt"),
        ] {
            assert_eq!(named(url, disposition), expect, "{url} {disposition}");
        }
    }

    #[test]
    fn markers_of_pages() {
        let modified = (header::LAST_MODIFIED, "Mon, 23 Nov 2026 04:17:15 GMT");
        let marker = |pairs: &[_]| marker(&headers(pairs));
        assert_eq!(marker(&[(header::ETAG, "W/\"1\""), modified.clone()]).as_deref(), Some("1"));
        let sized = marker(&[modified.clone(), (header::CONTENT_LENGTH, "7")]).unwrap();
        assert_ne!(Some(sized), marker(&[modified, (header::CONTENT_LENGTH, "8")]));
        assert_eq!(marker(&[(header::CONTENT_LENGTH, "7")]), None, "a size alone tells no change");
        assert_ne!(unmarked(), unmarked());
    }
}
