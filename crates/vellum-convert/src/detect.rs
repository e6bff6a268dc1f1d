//! Which format the content is.
//!
//! Content decides: magic numbers first, then whether it decodes as text, then how the text opens: as HTML,
//! as the head of a message, as JSON, as a script. The file name only breaks the tie between formats which
//! content alone cannot tell apart with certainty: Markdown, tables, source code and
//! plain text. Known binary formats are named in the rejection.

use crate::{code, csv, decode, json};
use encoding_rs::Encoding;
use vellum_core::document::Format;
use vellum_core::{Error, ErrorKind, Result};

/// Where readers look for `%PDF-`; files from mail gateways carry a prefix.
const PDF_HEADER_WINDOW: usize = 1024;
/// How much of a file is looked at to tell its encoding, in bytes.
pub(crate) const HEAD: usize = 1 << 20;
/// How much of a text is looked at to tell text-like formats apart, in bytes.
const TEXT_WINDOW: usize = 8192;

/// What the first bytes of a file tell.
pub(crate) enum Kind {
    /// A PDF.
    Pdf,
    /// A ZIP file: an Office document, an OpenDocument, a book or an archive.
    Zip,
    /// An OLE compound file: an Outlook message, or an Office document before 2007.
    Ole,
    /// A workbook of Excel 2 to 4, which came in no container.
    Excel,
    /// Rich text.
    Rtf,
    /// Text, in this encoding after a mark of so many bytes.
    Text(Format, &'static Encoding, usize),
}

/// Returns what a file is that is called `name` and opens with `head`, its first [`HEAD`] bytes or all.
pub(crate) fn detect(name: &str, head: &[u8]) -> Result<Kind> {
    if head.is_empty() {
        return Err(rejected("the file is empty"));
    }
    let first = &head[..head.len().min(PDF_HEADER_WINDOW)];
    if first.windows(5).any(|window| window == b"%PDF-") && !is_markup(first) {
        return Ok(Kind::Pdf);
    }
    for (magic, kind) in [
        (&b"PK\x03\x04"[..], Kind::Zip),
        (b"PK\x05\x06", Kind::Zip),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Ole),
        (b"\x09\0\x04\0", Kind::Excel),
        (b"\x09\x02\x06\0", Kind::Excel),
        (b"\x09\x04\x06\0", Kind::Excel),
        (b"{\\rtf", Kind::Rtf),
    ] {
        if head.starts_with(magic) {
            return Ok(kind);
        }
    }
    let known = BINARIES.iter().find(|(magic, _)| head.starts_with(magic));
    // A magic number of letters alone may open a text as well; then it must also fail to decode.
    let certain = known.is_some_and(|(magic, _)| !magic.iter().all(u8::is_ascii_alphanumeric));
    match decode::encoding_of(head) {
        Some((encoding, mark)) if !certain => {
            let opening = &head[mark..head.len().min(mark + 2 * TEXT_WINDOW)];
            let text = encoding.decode_without_bom_handling(opening).0;
            Ok(Kind::Text(text_format(name, &text), encoding, mark))
        }
        _ => {
            let what = known.map_or("unknown binary format", |(_, what)| what);
            Err(rejected(format!("not a text document: {what}")))
        }
    }
}

/// Returns an error of kind `Rejected`.
pub(crate) fn rejected(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Rejected, reason)
}

/// Formats that are common in folders of documents, with what to tell their owner.
const BINARIES: &[(&[u8], &str)] = &[
    (b"%!PS", "PostScript"),
    (b"\xdb\xa5-\0", "Word 2 document, save it as .docx"),
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"II*\0", "TIFF image"),
    (b"MM\0*", "TIFF image"),
    (b"\x1f\x8b\x08", "gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"\x28\xb5\x2f\xfd", "Zstandard archive"),
    (b"\xfd7zXZ\0", "XZ archive"),
    (b"\x7fELF", "ELF program"),
    (b"MZ\x90\0", "Windows program"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"ID3", "MP3 audio"),
    (b"OggS", "Ogg media"),
    (b"RIFF", "RIFF media"),
];

fn is_markup(head: &[u8]) -> bool {
    opens_as_html(&String::from_utf8_lossy(head))
}

fn text_format(name: &str, text: &str) -> Format {
    let window = &text[..text.floor_char_boundary(TEXT_WINDOW)];
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let extension = extension.as_deref().unwrap_or_default();
    if opens_as_html(window) {
        return Format::Html;
    }
    if opens_as_message(window, extension) {
        return Format::Email;
    }
    let is_markdown = matches!(extension, "md" | "markdown" | "mdown" | "mkd" | "mdx");
    if !is_markdown && json::opens_as_json(window) {
        return Format::Json;
    }
    match extension {
        _ if is_markdown => Format::Markdown,
        "html" | "htm" | "xhtml" if has_tag(window) => Format::Html,
        "csv" | "tsv" | "tab" | "psv" if csv::sniff(window).is_some() => Format::Csv,
        // A header row that is longer than what is looked at.
        "csv" | "tsv" if window.len() < text.len() && !window.contains('\n') => Format::Csv,
        "json" | "jsonl" | "ndjson" | "geojson" if window.trim_start().starts_with(['{', '[']) => {
            Format::Json
        }
        "csv" | "tsv" | "txt" | "text" | "log" => Format::Text,
        _ if code::is_code(name, window) => Format::Code,
        _ if reads_as_markdown(window) => Format::Markdown,
        _ if reads_as_table(window) => Format::Csv,
        _ => Format::Text,
    }
}

/// Returns whether `text` opens with the headers of a message, or as a mailbox file does.
///
/// Notes that begin with `From:` and `Subject:` are messages as well; a list of any other `key: value` is not.
fn opens_as_message(text: &str, extension: &str) -> bool {
    const CARRIED: [&str; 9] = [
        "received",
        "message-id",
        "mime-version",
        "return-path",
        "delivered-to",
        "dkim-signature",
        "x-mailer",
        "content-transfer-encoding",
        "x-received",
    ];
    let is_other = matches!(extension, "yaml" | "yml" | "ini" | "properties" | "cfg" | "md");
    let (mut n_headers, mut n_carried, mut n_known) = (0, 0, 0);
    let (mut is_from, mut is_about) = (false, false);
    let text = text.trim_start();
    for (n, line) in text.lines().enumerate() {
        if line.starts_with([' ', '\t']) && n > 0 {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else {
            // The first line of a mailbox file names the sender.
            if n == 0 && line.starts_with("From ") && line.contains(':') {
                continue;
            }
            break;
        };
        if n == 0 && name.starts_with("From ") {
            continue;
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            break;
        }
        let name = name.to_ascii_lowercase();
        n_headers += 1;
        n_carried += usize::from(CARRIED.contains(&name.as_str()));
        is_from |= name == "from";
        is_about |= matches!(name.as_str(), "subject" | "to" | "date");
        n_known +=
            usize::from(matches!(&*name, "from" | "to" | "cc" | "subject" | "date" | "sent"));
    }
    let is_read = is_from && is_about && n_known >= 3 && !is_other;
    n_carried >= 2 || is_read || (extension == "eml" && n_headers > 0)
}

/// Returns whether every line of `text` is a record of several cells; the name says nothing of it.
fn reads_as_table(text: &str) -> bool {
    csv::sniff(text)
        .is_some_and(|dialect| dialect.is_even && dialect.n_records >= 5 && dialect.n_columns >= 3)
}

/// Returns whether the first thing after comments and an XML declaration is an HTML root.
fn opens_as_html(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let close = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?xml") => "?>",
            _ => break,
        };
        let Some(at) = rest.find(close) else { return false };
        rest = rest[at + close.len()..].trim_start();
    }
    let opening: String = rest.chars().take(15).collect::<String>().to_ascii_lowercase();
    ["<!doctype html", "<html", "<head>", "<body"].iter().any(|root| opening.starts_with(root))
}

fn has_tag(text: &str) -> bool {
    text.split('<').skip(1).any(|part| {
        let name = part.trim_start_matches('/');
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && part.contains('>')
    })
}

/// Returns whether at least two kinds of Markdown markup occur; one alone is common in plain text.
fn reads_as_markdown(text: &str) -> bool {
    let mut kinds = [false; 4];
    for line in text.lines() {
        let body = line.trim_start_matches('#');
        let n_hashes = line.len() - body.len();
        kinds[0] |= (1..=6).contains(&n_hashes) && body.starts_with(' ');
        kinds[1] |= line.starts_with("```") || line.starts_with("~~~");
        kinds[2] |= line.contains("](") && line.contains('[');
        let rule = line.trim();
        kinds[3] |= rule.starts_with('|')
            && rule.contains("--")
            && rule.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
    }
    kinds.iter().filter(|&&seen| seen).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_formats() {
        let cases = [
            ("a.txt", "<!DOCTYPE html><p>x", Format::Html),
            ("page", "<?xml version='1.0'?>\n<!-- c -->\n<html>", Format::Html),
            ("a.html", "<p>fragment</p>", Format::Html),
            ("a.html", "1 < 2", Format::Text),
            ("a.md", "just words", Format::Markdown),
            ("a.txt", "# A\n\n[x](y)\n", Format::Text),
            ("README", "# A\n\n[x](y)\n", Format::Markdown),
            ("script.sh", "# comment\necho hi\n", Format::Code),
            ("run", "#!/usr/bin/env python3\nprint(1)\n", Format::Code),
            ("a.txt", "From: a@b.c\nTo: d@e.f\nSubject: x\n\nbody", Format::Email),
            ("x", "Received: by a\n\tfor b\nMessage-ID: <c>\n\nbody", Format::Email),
            ("a.eml", "Subject: x\n\nbody", Format::Email),
            (
                "mbox",
                "From ann Mon Jan  1 00:00:00 2024\nFrom: a\nTo: b\nDate: c\n\nx",
                Format::Email,
            ),
            ("a.yaml", "from: a\nto: b\nsubject: c\n", Format::Code),
            ("a.txt", "Note: from: here\nTo: do\n", Format::Text),
            ("a.log", "{\"a\": 1}\n{\"a\": 2}\n", Format::Json),
            ("a.json", "{ broken", Format::Json),
            ("a.json", "words", Format::Text),
            ("notes", "[1] Smith, [2] Jones", Format::Text),
            ("a.csv", "a,b\n1,2\n", Format::Csv),
            ("a.csv", "only words\nin here\n", Format::Text),
            ("table", "a\tb\tc\n1\t2\t3\n1\t2\t3\n1\t2\t3\n1\t2\t3\n", Format::Csv),
            ("a.rs", "fn main() {}\n", Format::Code),
            ("notes", "- one\n- two\n", Format::Text),
        ];
        for (name, text, expect) in cases {
            assert_eq!(text_format(name, text), expect, "{name}: {text}");
        }
    }

    #[test]
    fn binaries_are_named() {
        let reason = |bytes: &[u8]| match detect("x.md", bytes) {
            Ok(_) => String::new(),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(reason(b""), "the file is empty");
        assert_eq!(reason(b"\x89PNG\r\n\x1a\n...."), "not a text document: PNG image");
        assert_eq!(
            reason(b"\x00\x01\x02\x03\xfe\xff"),
            "not a text document: unknown binary format"
        );
    }
}
