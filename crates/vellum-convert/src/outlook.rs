//! OLE compound files: Outlook messages (MS-OXMSG), and what else comes in this container.
//!
//! What a file is, its streams tell: an encrypted Office document, a document, workbook or presentation before 2007,
//! which goes to its reader, or a message.
//!
//! A message reads like an e-mail ([`Letter`]): its text is taken from HTML, whether on its own or wrapped in rich
//! text, else from plain text, because Outlook derives the plain text from the others and loses tables. Attachments
//! are embedded documents; an attached message is a storage inside the same file.

mod compressed;
mod property;

use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::email::{Letter, SMIME_NOTE};
use crate::embedded::{self, Unread};
use crate::io::ContentReader;
use crate::rtf::charset;
use crate::{Emit, Settings, decode, html, legacy, ppt, rtf, sheet, text, too_much_text};
use cfb::CompoundFile;
use encoding_rs::{Encoding, WINDOWS_1252};
use office_oxide::cfb::CfbReader;
use property::{Properties, id};
use std::io::BufReader;
use vellum_core::Result;
use vellum_core::document::{Document, Format};
use vellum_core::ports::ConvertInput;

/// Most recipients that are shown, of each kind.
const MAX_RECIPIENTS: usize = 100;

type File = CompoundFile<BufReader<ContentReader>>;

/// Streams that tell what a file is, and why it is not read.
const KINDS: &[(&str, &str)] = &[
    ("/EncryptedPackage", "the file is password-protected"),
    ("/PP40", "a PowerPoint presentation before PowerPoint 97 is not read: save it as .pptx"),
    ("/VisioDocument", "not a text document: Visio drawing"),
    ("/Quill", "not a text document: Publisher document"),
    ("/Catalog", "not a text document: thumbnail cache"),
];

/// Hands on what the compound file in `input` holds.
///
/// # Errors
/// `Rejected` when it is damaged, protected, or no message; those of the reader of sheets and of `emit`.
pub(crate) fn convert(input: &ConvertInput, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let reader = || BufReader::new(ContentReader::new(&input.content));
    // The reader of Office files makes do with a container that is damaged.
    let office = CfbReader::new(reader());
    let is = |stream| office.as_ref().is_ok_and(|file| file.has_stream(stream));
    if is("Workbook") || is("Book") {
        return sheet::convert_xls(input, settings, emit);
    }
    if is("WordDocument") {
        return legacy::word(input, settings, emit);
    }
    if is(ppt::STREAM) {
        return ppt::convert(input, settings, emit);
    }
    let mut file = CompoundFile::open(reader()).map_err(|error| {
        rejected(format!("the file is damaged: {}", collapsed(&error.to_string())))
    })?;
    if let Some((_, reason)) = KINDS.iter().find(|(stream, _)| file.exists(stream)) {
        return Err(rejected(*reason));
    }
    if !file.is_stream("/__properties_version1.0") {
        return Err(rejected("not a text document: OLE compound file of an unknown kind"));
    }
    message(&mut file, "", settings, emit)
}

/// Reads the message in the storage `at`.
fn message(file: &mut File, at: &str, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let properties = Properties::of_message(file, at)?;
    let encoding = code_page(&properties);
    let letter = letter(file, &properties, encoding, settings)?;
    let names = storages(file, at, "__attach_version1.0_");
    let document = letter.document(Format::Outlook);
    if document.text.is_empty() && names.is_empty() {
        return Err(rejected("the message is empty"));
    }
    emit(document)?;
    let mut unread = Unread::default();
    for name in names {
        if let Some((name, reason)) = attachment(file, &name, encoding, settings, emit)? {
            unread.add(&name, &reason);
        }
        embedded::spend(0)?;
    }
    unread.note(Format::Outlook).map_or(Ok(()), emit)
}

/// Returns the code page of a message's bytes; new messages are in Unicode and need none.
fn code_page(properties: &Properties) -> &'static Encoding {
    let page =
        properties.number(id::MESSAGE_CODE_PAGE).or(properties.number(id::INTERNET_CODE_PAGE));
    page.and_then(|page| charset::of_code_page(page as i32)).unwrap_or(WINDOWS_1252)
}

fn letter(
    file: &mut File,
    properties: &Properties,
    encoding: &'static Encoding,
    settings: &Settings,
) -> Result<Letter> {
    let mut of = |id| properties.text(file, id, encoding).map(|text| clean(&text));
    let subject = of(id::SUBJECT)?;
    let from = {
        // A draft has no sender yet, a message on behalf of somebody has two.
        let [name, smtp, address] =
            [id::SENDER_NAME, id::SENDER_SMTP, id::SENDER_ADDRESS].map(&mut of);
        let sender = person(&name?, &best(smtp?, address?));
        if sender.is_empty() {
            let [name, smtp, address] =
                [id::BEHALF_NAME, id::BEHALF_SMTP, id::BEHALF_ADDRESS].map(&mut of);
            person(&name?, &best(smtp?, address?))
        } else {
            sender
        }
    };
    let class = of(id::MESSAGE_CLASS)?.to_lowercase();
    let message_id = of(id::MESSAGE_ID)?;
    let shown = [of(id::DISPLAY_TO)?, of(id::DISPLAY_CC)?];
    let [to, cc] = recipients(file, properties.at(), encoding, shown)?;
    let date = properties.time(id::SUBMIT_TIME).or(properties.time(id::DELIVERY_TIME));
    let mut letter = Letter {
        subject,
        from,
        to,
        cc,
        date: date.unwrap_or_default(),
        message_id,
        ..Letter::default()
    };
    // A signed message of this class keeps its text in the attachment, too.
    if class.contains("smime") && !class.contains("multipartsigned") {
        letter.notes.push(SMIME_NOTE);
    }
    if let Some(body) = body(file, properties, encoding)? {
        letter.add(body);
    }
    if letter.n_bytes() > settings.max_text_bytes {
        return Err(too_much_text(settings));
    }
    Ok(letter)
}

/// Returns the text of a message from the best form there is.
fn body(
    file: &mut File,
    properties: &Properties,
    encoding: &'static Encoding,
) -> Result<Option<Document>> {
    let page = properties.number(id::INTERNET_CODE_PAGE);
    let of_html = page.and_then(|page| charset::of_code_page(page as i32));
    let source = match properties.binary(file, id::HTML)? {
        Some(bytes) => match of_html {
            Some(encoding) => Some(encoding.decode(&bytes).0.into_owned()),
            None => decode::decode(&bytes),
        },
        None => Some(properties.text(file, id::HTML, encoding)?),
    };
    let read =
        |source: &str| Some(html::convert_whole(source)).filter(|body| !body.text.is_empty());
    if let Some(body) = source.as_deref().and_then(read) {
        return Ok(Some(body));
    }
    let rich = match properties.binary(file, id::RTF)? {
        Some(bytes) => compressed::unpacked(&bytes),
        None => None,
    };
    if let Some(rich) = &rich
        && let Ok(Some(source)) = rtf::html_of(rich)
        && let Some(body) = read(&source)
    {
        return Ok(Some(body));
    }
    let plain = text::convert(&properties.text(file, id::BODY, encoding)?);
    if !plain.text.is_empty() {
        return Ok(Some(plain));
    }
    Ok(rich.and_then(|rich| rtf::document(&rich).ok()).filter(|body| !body.text.is_empty()))
}

/// Returns the recipients of a message, `To` and `Cc`; `shown` where they are not listed.
fn recipients(
    file: &mut File,
    at: &str,
    encoding: &'static Encoding,
    shown: [String; 2],
) -> Result<[String; 2]> {
    let mut lists = [Vec::new(), Vec::new()];
    for name in storages(file, at, "__recip_version1.0_").iter().take(4 * MAX_RECIPIENTS) {
        let properties = Properties::of_part(file, name)?;
        let mut of = |id| properties.text(file, id, encoding).map(|text| clean(&text));
        let (name, smtp) = (of(id::DISPLAY_NAME)?, of(id::SMTP_ADDRESS)?);
        let address = best(smtp, of(id::EMAIL_ADDRESS)?);
        let list = match properties.number(id::RECIPIENT_TYPE) {
            Some(2) => &mut lists[1],
            Some(3) => continue,
            _ => &mut lists[0],
        };
        list.push(person(&name, &address));
    }
    let [to, cc] = lists.map(|list| {
        let n_more = list.len().saturating_sub(MAX_RECIPIENTS);
        let mut shown = list[..list.len() - n_more].join(", ");
        if n_more > 0 {
            shown.push_str(&format!(", and {n_more} more"));
        }
        shown
    });
    let [shown_to, shown_cc] = shown;
    let or = |list: String, shown| if list.is_empty() { shown } else { list };
    Ok([or(to, shown_to), or(cc, shown_cc)])
}

/// Reads the attachment in the storage `at`; returns its name and the reason when it cannot be read.
fn attachment(
    file: &mut File,
    at: &str,
    encoding: &'static Encoding,
    settings: &Settings,
    emit: Emit<'_>,
) -> Result<Option<(String, String)>> {
    let properties = Properties::of_part(file, at)?;
    let mut of = |id| properties.text(file, id, encoding).map(|text| clean(&text));
    let (long, short, shown) = (of(id::LONG_NAME)?, of(id::SHORT_NAME)?, of(id::DISPLAY_NAME)?);
    let kind = of(id::MEDIA_TYPE)?.to_lowercase();
    let content_id = of(id::CONTENT_ID)?;
    let name = [long, shown, short].into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "Attachment".to_owned());
    let inner = format!("{at}/__substg1.0_3701000D");
    let reason = if file.is_storage(&inner) {
        if !file.is_stream(format!("{inner}/__properties_version1.0")) {
            return Ok(Some((name, "an embedded object".to_owned())));
        }
        embedded::within(&name, Format::Outlook, emit, |emit| {
            message(file, &inner, settings, emit)
        })?
    } else {
        let Some(bytes) = properties.binary(file, id::DATA)? else { return Ok(None) };
        // Pictures in the text, and sealed messages, which the letter names.
        let is_hidden = properties.number(id::IS_HIDDEN).is_some_and(|hidden| hidden & 1 == 1);
        let is_inline = (is_hidden || !content_id.is_empty()) && is_image(&kind, &bytes);
        if is_inline || bytes.is_empty() || kind.contains("pkcs7-signature") {
            return Ok(None);
        }
        let input = ConvertInput { name: name.clone(), content: bytes.into() };
        embedded::convert(&input, Format::Outlook, settings, emit)?
    };
    Ok(reason.map(|reason| (name, reason)))
}

fn is_image(kind: &str, bytes: &[u8]) -> bool {
    let magic: [&[u8]; 4] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"];
    kind.starts_with("image/") || magic.iter().any(|magic| bytes.starts_with(magic))
}

/// Returns the paths of the storages below `at` whose names begin with `prefix`, in order.
fn storages(file: &File, at: &str, prefix: &str) -> Vec<String> {
    let root = if at.is_empty() { "/" } else { at };
    let Ok(entries) = file.read_storage(root) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter(|entry| entry.is_storage() && entry.name().starts_with(prefix))
        .map(|entry| format!("{at}/{}", entry.name()))
        .collect();
    names.sort();
    names
}

fn best(smtp: String, address: String) -> String {
    if smtp.is_empty() { address } else { smtp }
}

/// Returns a name with its address; addresses of the directory (`/O=...`) mean nothing outside.
fn person(name: &str, address: &str) -> String {
    let address = if address.starts_with('/') { "" } else { address };
    let name = name.trim_matches(['\'', '"']);
    match (name, address) {
        (name, "") => name.to_owned(),
        ("", address) => address.to_owned(),
        (name, address) if name == address => name.to_owned(),
        (name, address) => format!("{name} <{address}>"),
    }
}

fn clean(text: &str) -> String {
    collapsed(&characters(text))
}
