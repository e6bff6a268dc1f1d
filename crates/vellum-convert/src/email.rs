//! E-mail (RFC 5322 and MIME): the headers people read, the text, then what is attached.
//!
//! - The subject is the heading and the title; `From`, `To`, `Cc` and `Date` are lines below it and metadata.
//! - The text is the plain one, else the HTML one through the HTML converter. A quoted paragraph
//!   that the message already holds is left out, so each one stands once. Calendar invitations are read as text.
//! - Attachments and forwarded messages are embedded documents ([`embedded`]), which also bounds how deep
//!   messages are followed. Images, signatures and alternatives of the text are left out; an encrypted
//!   text is said to be one.
//! - A mailbox file (`From ` lines, RFC 4155) is its messages one after the other.
//!
//! The parser (`mail-parser`) decodes headers, transfer encodings and character sets, and is iterative but
//! for the release of nested messages and quadratic in boundaries that never occur; [`check_shape`]
//! keeps both small.

mod calendar;
mod letter;

pub(crate) use letter::{Letter, PGP_NOTE, SMIME_NOTE};

use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::embedded::{self, Unread};
use crate::{Emit, Settings, decode, html, text, too_much_text};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{
    Address, DateTime, Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};
use std::borrow::Cow;
use std::collections::HashSet;
use vellum_core::document::{Document, Format};
use vellum_core::ids::ContentHash;
use vellum_core::ports::ConvertInput;
use vellum_core::{Error, Result};

/// Largest message, in bytes; it and its decoded parts are held in memory.
const MAX_BYTES: u64 = 128 << 20;
/// Most messages inside a message that the parser is given.
const MAX_MESSAGES: usize = 1000;
/// Bytes that the parser may scan for boundaries, in total.
const MAX_SCANNED: usize = 8 << 30;
/// Most addresses of a header that are shown.
const MAX_ADDRESSES: usize = 100;
/// Most parts of one message that are looked at.
const MAX_PARTS: usize = 10_000;

/// Hands on the message in `input` and what is attached to it.
///
/// # Errors
/// `Rejected` when it is no message or too large; the errors of `emit`.
pub(crate) fn convert(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    if input.content.len() > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Err(rejected(format!("the message is too large: the limit is {limit} MiB")));
    }
    let bytes = input.content.to_bytes().map_err(|error| Error::io("read the file", error))?;
    let messages = messages(&bytes);
    if let [message] = messages.as_slice() {
        return read(message, settings, emit);
    }
    let mut unread = Unread::default();
    for (n, message) in messages.iter().enumerate() {
        let name = format!("Message {}", n + 1);
        let reason =
            embedded::within("", Format::Email, emit, |emit| read(message, settings, emit))?;
        if let Some(reason) = reason {
            unread.add(&name, &reason);
        }
    }
    unread.note(Format::Email).map_or(Ok(()), emit)
}

/// Returns the messages of a mailbox file, or the one that `bytes` are.
fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    // A line `From ` after an empty line begins a message; in a text it would have been quoted.
    let mut starts = vec![0];
    let mut is_after_empty = false;
    let mut at = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if is_after_empty && line.starts_with(b"From ") && line.contains(&b':') {
            starts.push(at);
        }
        is_after_empty = line.trim_ascii().is_empty();
        at += line.len();
    }
    starts.push(bytes.len());
    let message = |range: &[usize]| {
        let message = &bytes[range[0]..range[1]];
        let first = message.iter().position(|&byte| byte == b'\n').map_or(message.len(), |n| n + 1);
        &message[first..]
    };
    starts.windows(2).map(message).collect()
}

fn read(bytes: &[u8], settings: &Settings, emit: Emit<'_>) -> Result<()> {
    check_shape(bytes)?;
    let bytes = &*with_readable_head(bytes);
    let message = MessageParser::default()
        .parse(bytes)
        .ok_or_else(|| rejected("the e-mail has no headers"))?;
    let mut seen = HashSet::new();
    let letter = letter(&message, &mut seen);
    if letter.n_bytes() > settings.max_text_bytes {
        return Err(too_much_text(settings));
    }
    emit(letter.document(Format::Email))?;
    let alternatives = alternatives(&message);
    let mut unread = Unread::default();
    for &id in message.attachments.iter().take(MAX_PARTS) {
        let Some(part) = message.part(id) else { continue };
        if alternatives.contains(&id) && part.attachment_name().is_none() && !is_calendar(part) {
            continue;
        }
        let Some((name, content)) = attachment(&message, part) else { continue };
        // The same invitation is often both an alternative and an attachment.
        if !seen.insert(ContentHash::of(&content)) {
            continue;
        }
        let reason = if is_calendar(part) {
            let text = calendar::convert(&String::from_utf8_lossy(&content));
            embedded::within(&name, Format::Email, emit, |emit| emit(text::convert(&text)))?
        } else if matches!(part.body, PartType::Message(_)) {
            // What it is need not be told from its content.
            embedded::within(&name, Format::Email, emit, |emit| read(&content, settings, emit))?
        } else {
            let input = ConvertInput { name: name.clone(), content: content.into() };
            embedded::convert(&input, Format::Email, settings, emit)?
        };
        embedded::spend(0)?;
        if let Some(reason) = reason {
            unread.add(&name, &reason);
        }
    }
    unread.note(Format::Email).map_or(Ok(()), emit)
}

/// Returns `bytes` with headers in UTF-8, where they hold characters of another set as they are.
fn with_readable_head(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut end = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if line.trim_ascii().is_empty() {
            break;
        }
        end += line.len();
    }
    let (head, rest) = bytes.split_at(end);
    match decode::decode(head) {
        Some(text) if str::from_utf8(head).is_err() => [text.as_bytes(), rest].concat().into(),
        _ => bytes.into(),
    }
}

/// Refuses what would cost the parser more than it is worth.
fn check_shape(bytes: &[u8]) -> Result<()> {
    let (mut n_messages, mut n_boundaries) = (0, 0);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'/' | b'=')) {
        let before = &bytes[at.saturating_sub(9)..at];
        let has = |word: &[u8]| {
            before.len() >= word.len()
                && before[before.len() - word.len()..].eq_ignore_ascii_case(word)
        };
        n_messages += usize::from(bytes[at] == b'/' && has(b"message"));
        n_boundaries += usize::from(bytes[at] == b'=' && (has(b"boundary") || has(b"boundary*0")));
    }
    let scanned = n_boundaries.saturating_mul(bytes.len());
    if n_messages > MAX_MESSAGES || scanned > MAX_SCANNED {
        return Err(rejected("the e-mail has too many parts"));
    }
    Ok(())
}

/// Returns headers and text; adds the parts that were read to `seen`.
fn letter(message: &Message<'_>, seen: &mut HashSet<ContentHash>) -> Letter {
    let date = message.date().filter(|date| date.is_valid());
    let mut letter = Letter {
        subject: message.subject().map(clean).unwrap_or_default(),
        from: addresses(message.from()),
        to: addresses(message.to()),
        cc: addresses(message.cc()),
        date: date.map(shown_date).unwrap_or_default(),
        message_id: message.message_id().map(clean).unwrap_or_default(),
        ..Letter::default()
    };
    let plain = body(message, &message.text_body, seen);
    let html = if plain.is_empty() { body(message, &message.html_body, seen) } else { plain };
    for part in html {
        letter.add(part);
    }
    for part in &message.parts {
        if is_type(part, "application", &["pgp-encrypted"]) {
            letter.notes.push(PGP_NOTE);
        } else if is_encrypted_smime(part) {
            letter.notes.push(SMIME_NOTE);
        }
    }
    letter
}

/// Returns the parts of a text that hold one.
fn body(message: &Message<'_>, ids: &[u32], seen: &mut HashSet<ContentHash>) -> Vec<Document> {
    let mut parts = Vec::new();
    for part in ids.iter().take(MAX_PARTS).filter_map(|&id| message.part(id)) {
        let source = text_of(message, part);
        let document = match &part.body {
            PartType::Html(_) => html::convert_whole(&source),
            PartType::Text(_) if is_flowed(part) => text::convert(&letter::unflowed(&source)),
            PartType::Text(_) => text::convert(&source),
            PartType::Binary(_)
            | PartType::InlineBinary(_)
            | PartType::Message(_)
            | PartType::Multipart(_) => continue,
        };
        if !document.text.is_empty() && seen.insert(ContentHash::of(source.as_bytes())) {
            parts.push(document);
        }
    }
    parts
}

/// Returns the characters of a text part; where the declared set is missing or wrong, by a guess.
fn text_of(message: &Message<'_>, part: &MessagePart<'_>) -> String {
    let decoded = part.text_contents().unwrap_or_default();
    let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
    let charset = charset.unwrap_or_default().to_ascii_lowercase();
    let is_doubtful = matches!(&*charset, "" | "us-ascii" | "ascii" | "utf-8" | "utf8");
    // Programs that know no better call any text Latin-1.
    let may_be_utf8 = is_doubtful || matches!(&*charset, "iso-8859-1" | "windows-1252");
    let is_broken = decoded.contains('\u{fffd}');
    if decoded.is_ascii() || !(may_be_utf8 || is_broken) {
        return decoded.to_owned();
    }
    let range = part.offset_body as usize..part.offset_end as usize;
    let raw = message.raw_message.get(range).unwrap_or_default();
    let bytes = match part.encoding {
        Encoding::None => Some(raw.to_vec()),
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
        Encoding::Base64 => base64_decode(raw),
    };
    let bytes = bytes.unwrap_or_default();
    match str::from_utf8(&bytes) {
        Ok(text) if !text.is_empty() => text.to_owned(),
        _ if is_doubtful || is_broken => {
            decode::decode(&bytes).unwrap_or_else(|| decoded.to_owned())
        }
        _ => decoded.to_owned(),
    }
}

/// Returns name and content of an attached part; `None` for what is not to be read.
fn attachment(message: &Message<'_>, part: &MessagePart<'_>) -> Option<(String, Vec<u8>)> {
    let named = part.attachment_name().map(clean).filter(|name| !name.is_empty());
    match &part.body {
        PartType::Message(inner) => {
            let range = part.offset_body as usize..part.offset_end as usize;
            // A message that was encoded has its own bytes; others stand within the outer one.
            let raw = match part.encoding {
                Encoding::None => message.raw_message.get(range).unwrap_or_default(),
                Encoding::QuotedPrintable | Encoding::Base64 => &inner.raw_message,
            };
            let subject = inner.subject().map(clean).filter(|subject| !subject.is_empty());
            let name = subject.or(named).unwrap_or_else(|| "Attached message".to_owned());
            Some((name, raw.to_vec()))
        }
        PartType::Text(_) | PartType::Html(_) => {
            if is_type(part, "text", &["x-amp-html", "watch-html", "rfc822-headers"]) {
                return None;
            }
            let is_html = matches!(part.body, PartType::Html(_));
            let default = match is_html {
                _ if is_calendar(part) => "Invitation",
                true => "Attached page",
                false => "Attached text",
            };
            Some((named.unwrap_or_else(|| default.to_owned()), text_of(message, part).into_bytes()))
        }
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
            let is_image = part.content_type().is_some_and(|kind| kind.ctype() == "image");
            let is_inline = part.content_id().is_some()
                || part.content_disposition().is_none_or(|shown| shown.is_inline());
            let left_out = (is_image && is_inline)
                || is_encrypted_smime(part)
                || is_type(part, "application", &["pgp-encrypted", "pgp-signature"])
                || is_type(part, "application", &["pkcs7-signature", "x-pkcs7-signature"])
                || bytes.starts_with(b"-----BEGIN PGP MESSAGE-----")
                || bytes.is_empty();
            let name = || named.unwrap_or_else(|| "Attachment".to_owned());
            (!left_out).then(|| (name(), bytes.to_vec()))
        }
        PartType::Multipart(_) => None,
    }
}

/// Returns the parts that say in another form what the text says.
fn alternatives(message: &Message<'_>) -> HashSet<u32> {
    let of = |part: &MessagePart<'_>| match &part.body {
        PartType::Multipart(ids) if is_type(part, "multipart", &["alternative"]) => ids.clone(),
        _ => Vec::new(),
    };
    message.parts.iter().flat_map(of).collect()
}

fn is_type(part: &MessagePart<'_>, kind: &str, subtypes: &[&str]) -> bool {
    subtypes.iter().any(|subtype| part.is_content_type(kind, subtype))
}

fn is_calendar(part: &MessagePart<'_>) -> bool {
    part.is_content_type("text", "calendar")
}

/// Returns whether the part is a sealed S/MIME message, not merely a signed one.
fn is_encrypted_smime(part: &MessagePart<'_>) -> bool {
    is_type(part, "application", &["pkcs7-mime", "x-pkcs7-mime"])
        && part.content_type().is_some_and(|kind| {
            kind.attribute("smime-type")
                .is_none_or(|what| !what.eq_ignore_ascii_case("signed-data"))
        })
}

fn is_flowed(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|kind| {
        kind.attribute("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed"))
    })
}

fn addresses(address: Option<&Address<'_>>) -> String {
    let Some(address) = address else { return String::new() };
    let mut shown: Vec<String> = address
        .iter()
        .take(MAX_ADDRESSES)
        .map(|one| match (one.name().map(clean), one.address().map(clean)) {
            (Some(name), Some(address)) if name != address => format!("{name} <{address}>"),
            (Some(only), _) | (None, Some(only)) => only,
            (None, None) => String::new(),
        })
        .filter(|one| !one.is_empty())
        .collect();
    let n_more = address.iter().count().saturating_sub(MAX_ADDRESSES);
    if n_more > 0 {
        shown.push(format!("and {n_more} more"));
    }
    shown.join(", ")
}

fn shown_date(date: &DateTime) -> String {
    let sign = if date.tz_before_gmt { '-' } else { '+' };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02} {sign}{:02}:{:02}",
        date.year, date.month, date.day, date.hour, date.minute, date.tz_hour, date.tz_minute
    )
}

fn clean(text: &str) -> String {
    collapsed(&characters(text))
}
