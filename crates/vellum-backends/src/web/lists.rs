//! What a source is, by its first bytes, and the addresses that a sitemap or a list of pages holds.
//!
//! A sitemap is XML whose outermost element is `urlset`, an index of them `sitemapindex`; either may be packed with
//! gzip. A list of pages is text of which each line is a web address, a comment (`#`) or empty; a text that is mostly that is
//! a list with a mistake. Everything else is a page.
//! Source: sitemaps.org protocol 0.9. Departures: an address may be relative, and longer than 2,048 characters.
//!
//! What is read is hostile: no entity is expanded, no element is kept but its depth, and no piece of XML and no line
//! is held that is longer than [`LONGEST_PIECE`].

use super::fetch::{START, Window};
use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use std::io::{self, BufRead, BufReader, Read};
use vellum_core::ports::Content;

/// Bytes of a tag, a comment, a text or a line.
const LONGEST_PIECE: usize = 1 << 20;
/// Elements in elements; extensions of sitemaps have five.
const DEEPEST: usize = 100;
/// Marks UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
const GZIP: &[u8] = &[0x1f, 0x8b];

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sitemap,
    Index,
    List,
    Page,
}

/// An address in a list, with the date of its last change as it is written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Item {
    pub(super) address: String,
    pub(super) modified: String,
}

/// Returns what begins with `start`; of longer content the first [`START`] bytes suffice.
pub(super) fn kind(start: &[u8]) -> Kind {
    let mut plain = start[..start.len().min(START)].to_vec();
    // Once on the way, once as a file.
    for _ in 0..2 {
        if plain.starts_with(GZIP) {
            let packed = std::mem::take(&mut plain);
            // It ends in the middle, which is no error here.
            let _ = MultiGzDecoder::new(&packed[..]).take(START as u64).read_to_end(&mut plain);
        }
    }
    let is_whole = start.len() < START && plain.len() < START;
    let text = plain.strip_prefix(BOM).unwrap_or(&plain).trim_ascii_start();
    if text.starts_with(b"<") {
        return root(text).unwrap_or(Kind::Page);
    }
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if !is_whole {
        // The last line is not whole.
        lines.pop();
    }
    let lines = lines.into_iter().map(<[u8]>::trim_ascii).filter(|line| says_something(line));
    let (mut n_lines, mut n_addresses) = (0, 0);
    for line in lines {
        n_lines += 1;
        n_addresses += usize::from(is_address(line));
    }
    // A slip in one line does not make a list a page: reading it names the line.
    if n_addresses * 2 > n_lines { Kind::List } else { Kind::Page }
}

/// Returns what the outermost element is; `None` when there is none.
fn root(text: &[u8]) -> Option<Kind> {
    let mut reader = Reader::from_reader(text);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        match reader.read_event_into(&mut piece).ok()? {
            Event::Start(tag) | Event::Empty(tag) => {
                return match tag.local_name().as_ref() {
                    "urlset" => Some(Kind::Sitemap),
                    "sitemapindex" => Some(Kind::Index),
                    _ => None,
                };
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn says_something(line: &[u8]) -> bool {
    !line.is_empty() && !line.starts_with(b"#")
}

/// Returns whether a line is a web address and nothing else.
fn is_address(line: &[u8]) -> bool {
    let scheme = line.split(|byte| *byte == b':').next().unwrap_or_default();
    matches!(&scheme.to_ascii_lowercase()[..], b"http" | b"https")
        && line[scheme.len()..].starts_with(b"://")
        && !line.iter().any(u8::is_ascii_whitespace)
}

/// Opens a list, unpacked; `left` is how many bytes may still be read, over all lists of a source.
pub(super) fn open(content: Content, left: u64) -> io::Result<impl BufRead> {
    let is_packed = content.read_at(0, GZIP.len())? == GZIP;
    let window = BufReader::new(Window::new(content));
    let plain: Box<dyn Read> =
        if is_packed { Box::new(MultiGzDecoder::new(window)) } else { Box::new(window) };
    let mut bounded = BufReader::with_capacity(64 << 10, Bounded { inner: plain, left });
    if bounded.fill_buf()?.starts_with(BOM) {
        bounded.consume(BOM.len());
    }
    Ok(bounded)
}

/// A reader that fails beyond a number of bytes, instead of ending there.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("the lists of this source are too long together")),
        }
        Ok(n)
    }
}

/// Hands the addresses of a sitemap or an index to `each`; returns the bytes read.
///
/// # Errors
/// What `each` fails with, or `InvalidData` when it is no whole XML: half a list must not look like one.
pub(super) fn sitemap(
    text: impl BufRead,
    each: &mut dyn FnMut(Item) -> io::Result<()>,
) -> io::Result<u64> {
    let mut reader = Reader::from_reader(Pieces { inner: text, piece: 0, all: 0 });
    let (mut buffer, mut depth, mut item) = (Vec::new(), 0, Item::default());
    // The field whose text is read.
    let mut field = None;
    loop {
        buffer.clear();
        reader.get_mut().piece = 0;
        match reader.read_event_into(&mut buffer).map_err(no_xml)? {
            Event::Start(tag) => {
                depth += 1;
                field = match (depth, tag.local_name().as_ref()) {
                    (2, _) => {
                        item = Item::default();
                        None
                    }
                    (3, "loc") => Some(Field::Address),
                    (3, "lastmod") => Some(Field::Modified),
                    (DEEPEST.., _) => return Err(no_xml("elements are nested too deep")),
                    _ => None,
                };
            }
            Event::End(_) => {
                field = None;
                depth -= 1;
                if depth == 1 && !item.address.is_empty() {
                    each(std::mem::take(&mut item))?;
                }
                if depth == 0 {
                    return Ok(reader.get_ref().all);
                }
            }
            Event::Text(text) => item.add(field, text.xml10_content().trim()),
            Event::CData(text) => item.add(field, text.trim()),
            Event::GeneralRef(name) => match name.resolve_char_ref().map_err(no_xml)? {
                Some(c) => item.add(field, c.encode_utf8(&mut [0; 4])),
                // Entities of its own a list does not need; they are left out, not expanded.
                None => item.add(field, resolve_predefined_entity(&name).unwrap_or_default()),
            },
            // An empty outermost element is a list without pages.
            Event::Empty(_) if depth == 0 => return Ok(reader.get_ref().all),
            Event::Eof => return Err(no_xml("it ends in the middle")),
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Field {
    Address,
    Modified,
}

impl Item {
    fn add(&mut self, field: Option<Field>, text: &str) {
        let whole = match field {
            Some(Field::Address) => &mut self.address,
            Some(Field::Modified) => &mut self.modified,
            None => return,
        };
        // It comes in many pieces; beyond this it is no address, whatever follows.
        if whole.len() < START {
            whole.push_str(text);
        }
    }
}

fn no_xml(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A reader that fails when a piece of XML is too long, because the parser holds it whole.
struct Pieces<R> {
    inner: R,
    /// Bytes since the last piece began.
    piece: usize,
    all: u64,
}

impl<R: BufRead> Read for Pieces<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Pieces<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece > LONGEST_PIECE {
            return Err(no_xml("a tag, a comment or a text is too long"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.piece += n;
        self.all += n as u64;
        self.inner.consume(n);
    }
}

/// Hands the addresses of a list of pages to `each`; returns the bytes read.
///
/// # Errors
/// What `each` fails with, or `InvalidData` naming a line that is no address: half a list must not look like one.
pub(super) fn pages(
    mut text: impl BufRead,
    each: &mut dyn FnMut(Item) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut line, mut all) = (Vec::new(), 0);
    for number in 1_u64.. {
        line.clear();
        let n = (&mut text).take(LONGEST_PIECE as u64).read_until(b'\n', &mut line)?;
        if n == 0 {
            break;
        }
        all += n as u64;
        let line = line.trim_ascii();
        if !says_something(line) {
            continue;
        }
        let address = std::str::from_utf8(line).ok().filter(|_| is_address(line));
        let address = address.ok_or_else(|| no_xml(format!("line {number} is no address")))?;
        each(Item { address: address.to_owned(), modified: String::new() })?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    fn items(text: &str) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut each = |item: Item| {
            found.push((item.address, item.modified));
            Ok(())
        };
        let reader = open(Content::from(text.as_bytes().to_vec()), 1 << 30)?;
        match kind(text.as_bytes()) {
            Kind::List => pages(reader, &mut each)?,
            _ => sitemap(reader, &mut each)?,
        };
        Ok(found)
    }

    #[test]
    fn sources_are_told_apart_by_content() {
        for (text, expect) in [
            ("<urlset/>", Kind::Sitemap),
            (
                "\u{feff}<?xml version='1.0'?>\n<!-- a --><!DOCTYPE x>\n<s:urlset xmlns:s='x'>",
                Kind::Sitemap,
            ),
            (" <sitemapindex><sitemap>", Kind::Index),
            ("<html><urlset>", Kind::Page),
            ("<rss>", Kind::Page),
            ("<", Kind::Page),
            ("# mine\n\nhttps://a.example/x\r\n  HTTP://b.example/ \n", Kind::List),
            ("https://a.example/", Kind::List),
            ("https://a.example/ is a good page", Kind::Page),
            ("https://a.example/\nand more", Kind::Page),
            ("https://a.example/\nhttps://b.example/\nhtps://c.example/", Kind::List),
            ("https:/a.example/", Kind::Page),
            ("# only a heading\n", Kind::Page),
            ("", Kind::Page),
            ("%PDF-1.7", Kind::Page),
        ] {
            assert_eq!(kind(text.as_bytes()), expect, "{text}");
            assert_eq!(kind(&packed(text.as_bytes())), expect, "packed {text}");
        }
        // Of a long list the last line that is known is not whole.
        let long = "https://a.example/12345678\n".repeat(10_000);
        assert_eq!(kind(&long.as_bytes()[..START]), Kind::List);
        assert_eq!(kind(&packed(long.as_bytes())), Kind::List);
    }

    #[test]
    fn addresses_of_sitemaps() {
        let text = "<?xml version=\"1.0\"?><urlset xmlns=\"a\" xmlns:i=\"b\">
            <url><loc>\n https://a.example/?a=1&amp;b=&#50;&#x33; </loc><lastmod>2026-01-02</lastmod>
              <i:image><i:loc>https://a.example/no.png</i:loc></i:image></url>
            <url><loc><![CDATA[https://a.example/&]]></loc><xhtml:link href=\"no\"/></url>
            <url><lastmod>2026</lastmod></url><url/><loc>no</loc>
            </urlset><html>";
        let expect = [("https://a.example/?a=1&b=23", "2026-01-02"), ("https://a.example/&", "")];
        let found = items(text).unwrap();
        let found: Vec<_> = found.iter().map(|(a, m)| (a.as_str(), m.as_str())).collect();
        assert_eq!(found, expect);
        assert_eq!(items("<urlset/>").unwrap(), []);
        let index = "<sitemapindex><sitemap><loc>a.xml.gz</loc></sitemap></sitemapindex>";
        assert_eq!(items(index).unwrap(), [("a.xml.gz".to_owned(), String::new())]);
    }

    #[test]
    fn s11_hostile_lists_end_with_an_error_or_as_text() {
        let laughs = "<!DOCTYPE u [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><urlset><url><loc>https://a.example/&b;</loc></url></urlset>";
        assert_eq!(items(laughs).unwrap()[0].0, "https://a.example/");
        let file = "<!DOCTYPE u [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><urlset><url><loc>&x;</loc></url></urlset>";
        assert_eq!(items(file).unwrap(), []);
        let says = |text: &str, expect: &str| {
            let error = items(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        says(&format!("<urlset>{}", "<a>".repeat(100_000)), "nested too deep");
        says(&format!("<urlset><!--{}-->", "x".repeat(2 << 20)), "too long");
        says(&format!("<urlset><a {}>", "x='' ".repeat(1 << 20)), "too long");
        says(&format!("<urlset><url><loc>{}", "x".repeat(2 << 20)), "too long");
        says(&format!("<!DOCTYPE {}", "<".repeat(2 << 20)), "too long");
        says("<urlset><url><loc>https://a.example/</loc></url>", "ends in the middle");
        says("<urlset><url></urlset>", "");
        says("<urlset>&#0;", "");
        says("https://a.example/\nhttps://b.example/\n\nno", "");
    }

    #[test]
    fn lists_are_bounded_unpacked() {
        let bomb = packed(&vec![b' '; 8 << 20]);
        let mut reader = open(Content::from(bomb), 1 << 20).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("too long together"), "{error}");
        let line = format!("https://a.example/{}\n", "x".repeat(2 << 20));
        assert!(pages(line.as_bytes(), &mut |_| Ok(())).is_err());
    }
}
