//! Objects that are larger than the limit.

use vellum_core::{Error, ErrorKind};

/// Returns the error that tells of it, with both sizes and the setting.
pub(crate) fn too_large(size: u64, limit: u64) -> Error {
    let (mut shown, shown_limit) = (in_units(size), in_units(limit));
    if shown == shown_limit {
        shown = format!("{size} bytes");
    }
    let setting = "ingest.max_document_bytes";
    let message = format!("{shown} is more than the limit of {shown_limit} ({setting})");
    Error::new(ErrorKind::Rejected, message).with_hint(format!("raise `{setting}`"))
}

/// Returns a number of bytes for people: `256 MiB`, `1.5 GiB`, `17 bytes`.
fn in_units(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} bytes"),
        Some((unit, name)) if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let cases = [(17, "17 bytes"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 28, "256 MiB")];
        for (bytes, text) in cases {
            assert_eq!(in_units(bytes), text);
        }
        let error = too_large(1_000_000_000, 1 << 28);
        let text = "953.7 MiB is more than the limit of 256 MiB (ingest.max_document_bytes)";
        assert_eq!(error.message(), text);
        let by_a_byte = too_large((1 << 28) + 1, (1 << 28) + (1 << 10));
        assert!(by_a_byte.message().starts_with("268435457 bytes"), "{by_a_byte}");
    }
}
