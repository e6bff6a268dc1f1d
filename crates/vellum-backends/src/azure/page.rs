//! A page of a container's listing.
//!
//! Source: "List Blobs", response body (<https://learn.microsoft.com/rest/api/storageservices/list-blobs>).

use crate::bucket::{Item, Page};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// Reads a page, which must be whole.
pub(super) fn read(text: &str) -> Result<Page, String> {
    let mut reader = Reader::from_str(text);
    let (mut page, mut blob, mut path) = (Page::default(), Blob::default(), Vec::<String>::new());
    let mut value = String::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                if name == "Name" {
                    // A key that XML cannot hold.
                    let encoded = start.try_get_attribute("Encoded").ok().flatten();
                    blob.is_encoded = encoded.is_some_and(|it| it.value.as_ref() == "true");
                }
                path.push(name);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(text) => value.push_str(&text),
            Event::GeneralRef(name) => {
                match name.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => value.push(c),
                    None => value.push_str(resolve_predefined_entity(&name).unwrap_or_default()),
                }
            }
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                let text = std::mem::take(&mut value);
                match names[..] {
                    [_, "Blobs", "Blob", "Name"] => blob.key = blob.take_key(text),
                    [.., "Blob", "Properties", "Etag"] => blob.etag = Some(text),
                    [.., "Blob", "Properties", "Last-Modified"] => blob.modified = Some(text),
                    [.., "Blob", "Properties", "ResourceType"] => {
                        blob.is_folder = text == "directory";
                        page.is_tree = true;
                    }
                    [_, "Blobs", "BlobPrefix", "Name"] => page.folders.push(blob.take_key(text)),
                    [.., "Blob", "Properties", "Content-Length"] => {
                        blob.size = text.parse().map_err(|_| format!("`{text}` is no length"))?;
                    }
                    [_, "Blobs", "Blob"] => page.items.extend(std::mem::take(&mut blob).item()),
                    [_, "NextMarker"] => page.next = Some(text).filter(|next| !next.is_empty()),
                    _ => {}
                }
                path.pop();
                if path.is_empty() {
                    return Ok(page);
                }
            }
            Event::Eof => return Err("it ends in the middle".to_owned()),
            _ => {}
        }
    }
}

/// A blob on its way through its elements.
#[derive(Default)]
struct Blob {
    key: String,
    is_encoded: bool,
    is_folder: bool,
    size: u64,
    etag: Option<String>,
    modified: Option<String>,
}

impl Blob {
    /// Returns a name as it is.
    fn take_key(&self, text: String) -> String {
        match self.is_encoded {
            true => percent_decode_str(&text).decode_utf8_lossy().into_owned(),
            false => text,
        }
    }

    /// Returns what it is; nothing for a folder of a hierarchical namespace.
    fn item(self) -> Option<Item> {
        let Self { key, is_folder, size, etag: version, modified, .. } = self;
        (!is_folder).then_some(Item { key, size, version, modified })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_whole_or_not_at_all() {
        let blob = |name: &str, more: &str| {
            format!(
                "<Blob><Name{name}</Name><Properties><Last-Modified>Sat, 28 Nov 2026 12:00:00 GMT</Last-Modified><Etag>0x8D</Etag><Content-Length>7</Content-Length>{more}</Properties></Blob>"
            )
        };
        let blobs = [
            blob(">a &amp; b&#x9;.txt", ""),
            blob(" Encoded=\"true\">a%EF%BF%BE%25.txt", ""),
            blob(">folder", "<ResourceType>directory</ResourceType>"),
            blob(">z.txt", "<ResourceType>file</ResourceType>"),
            "<BlobPrefix><Name>z/</Name></BlobPrefix>".to_owned(),
        ];
        let text = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"b\"><Prefix/><Blobs>{}</Blobs><NextMarker>2!a&gt;</NextMarker></EnumerationResults>",
            blobs.concat()
        );
        let page = read(&text).unwrap();
        let keys: Vec<&str> = page.items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["a & b\t.txt", "a\u{fffe}%.txt", "z.txt"]);
        assert_eq!(page.folders, ["z/"]);
        assert_eq!((page.items[0].size, page.items[0].version.as_deref()), (7, Some("0x8D")));
        assert!(page.is_tree && page.next.as_deref() == Some("2!a>"));
        let last = text.replace("<NextMarker>2!a&gt;</NextMarker>", "<NextMarker />");
        assert_eq!(read(&last).unwrap().next, None);
        for (end, _) in text.char_indices() {
            assert!(read(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }
}
