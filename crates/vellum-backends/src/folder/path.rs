//! Paths to `file://` uris and back.
//!
//! Every byte that RFC 3986 does not allow in a path segment is percent-encoded, so names that are not
//! UTF-8 survive the way there and back, and equal paths have equal uris.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use vellum_core::{Error, ErrorKind, Result};

/// All that is not `pchar` (RFC 3986, section 3.3).
const NOT_PCHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Returns a file name as a segment of a uri.
pub(super) fn encode(name: &OsStr) -> String {
    percent_encode(name.as_bytes(), NOT_PCHAR).to_string()
}

/// Returns the uri of an absolute path, without a trailing slash except for the root.
pub(super) fn uri_of(path: &Path) -> String {
    let path = percent_encode(path.as_os_str().as_bytes(), const { &NOT_PCHAR.remove(b'/') });
    format!("file://{path}")
}

/// Returns the file name at the end of `path`, for people.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the path of a `file:///...` uri; a folder's trailing slash is kept.
///
/// # Errors
/// `Unsupported` for another scheme or host, `Invalid` when no path can be named so.
pub fn local_path(uri: &str) -> Result<PathBuf> {
    let path =
        uri.strip_prefix("file://").map(|rest| rest.strip_prefix("localhost").unwrap_or(rest));
    let Some(path) = path.filter(|path| path.starts_with('/')) else {
        return Err(Error::new(ErrorKind::Unsupported, format!("`{uri}` is not a local file"))
            .with_hint("use a path or a file:///absolute/path uri"));
    };
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    if bytes.contains(&0) {
        return Err(Error::new(ErrorKind::Invalid, "a path holds a NUL character"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uris_of_paths() {
        for (path, uri) in [
            ("/", "file:///"),
            ("/a b/c#d?e%f", "file:///a%20b/c%23d%3Fe%25f"),
            ("/ü/[x]~$1.docx", "file:///%C3%BC/%5Bx%5D~$1.docx"),
        ] {
            assert_eq!(uri_of(Path::new(path)), uri);
            assert_eq!(local_path(uri).unwrap(), Path::new(path));
        }
        assert_eq!(local_path("file://localhost/a").unwrap(), Path::new("/a"));
    }

    #[test]
    fn other_uris_are_refused() {
        for (uri, kind) in [
            ("s3://bucket/a", ErrorKind::Unsupported),
            ("file://host/a", ErrorKind::Unsupported),
            ("file:relative", ErrorKind::Unsupported),
            ("file:///a%00b", ErrorKind::Invalid),
        ] {
            assert_eq!(local_path(uri).unwrap_err().kind(), kind, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn any_path_survives(name in proptest::collection::vec(1_u8.., 1..40)) {
            let path = Path::new("/").join(OsStr::from_bytes(&name));
            let uri = uri_of(&path);
            prop_assert!(uri.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(local_path(&uri).unwrap(), path);
        }
    }
}
