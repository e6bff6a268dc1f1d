//! XML of document formats: a pull reader that stays small whatever it is fed.
//!
//! Names are local names: producers choose prefixes freely and rarely confuse. Entities are the five that XML
//! knows and numbers; a document type is passed over, so nothing expands and nothing is fetched. Depth is
//! limited, because the depth of stacks that readers keep follows it.

use crate::detect::rejected;
use quick_xml::Reader;
use quick_xml::events::{BytesEnd, BytesStart, Event};
use std::borrow::Cow;
use vellum_core::Result;

/// Deepest nesting that is read; Word itself stops far below.
const MAX_DEPTH: usize = 2_000;

/// What comes next.
pub(crate) enum Token<'a> {
    /// The start of an element; an empty element has an end, too.
    Start(Element<'a>),
    /// The end of an element.
    End(End<'a>),
    /// Text as it reads.
    Text(Cow<'a, str>),
}

/// The start of an element.
pub(crate) struct Element<'a>(BytesStart<'a>);

/// The end of an element.
pub(crate) struct End<'a>(BytesEnd<'a>);

impl End<'_> {
    /// Returns the name without its prefix.
    pub(crate) fn name(&self) -> &str {
        local(self.0.name().into_inner())
    }
}

impl Element<'_> {
    /// Returns the name without its prefix.
    pub(crate) fn name(&self) -> &str {
        local(self.0.name().into_inner())
    }

    /// Returns whether it is written with this prefix and name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.0.name().into_inner() == name
    }

    /// Returns the attribute with this name, whatever its prefix; one without a prefix first.
    pub(crate) fn attr(&self, name: &str) -> Option<String> {
        self.find(|key| key == name).or_else(|| self.relation(name))
    }

    /// Returns the attribute with this name and some prefix, as `r:id` beside `id`.
    pub(crate) fn relation(&self, name: &str) -> Option<String> {
        self.find(|key| key.len() > name.len() && local(key) == name)
    }

    /// Returns the attribute as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.attr(name)?.trim().parse().ok()
    }

    /// Returns whether a switch of this kind is on: present, and not said to be off.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.attr("val").as_deref(), Some("0" | "false" | "off"))
    }

    fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut attributes = self.0.attributes();
        attributes.with_checks(false);
        let found = attributes.flatten().find(|attribute| wanted(attribute.key.into_inner()))?;
        Some(unescaped(&found.value).into_owned())
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Replaces what XML predefines; anything else stays as it is written.
fn unescaped(value: &str) -> Cow<'_, str> {
    quick_xml::escape::unescape(value).unwrap_or(Cow::Borrowed(value))
}

/// Reads the tokens of one part.
pub(crate) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
}

impl<'a> Xml<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.allow_dangling_amp = true;
        Self { reader, depth: 0 }
    }

    /// Returns the next token; `None` at the end.
    ///
    /// # Errors
    /// `Rejected` when it is not well-formed or nested too deep.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>> {
        loop {
            let event = self.reader.read_event().map_err(|error| {
                rejected(format!("the document is damaged: its XML cannot be read ({error})"))
            })?;
            return Ok(Some(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        let message =
                            format!("the document is damaged: nested more than {MAX_DEPTH} deep");
                        return Err(rejected(message));
                    }
                    Token::Start(Element(start))
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::End(End(end))
                }
                Event::Text(text) => Token::Text(text.into_inner()),
                Event::CData(text) => Token::Text(text.into_inner()),
                Event::GeneralRef(name) => match reference(&name.into_inner()) {
                    Some(c) => Token::Text(c.to_string().into()),
                    None => continue,
                },
                Event::Eof => return Ok(None),
                Event::Empty(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => continue,
            }));
        }
    }

    /// Passes over the rest of the element whose start was just read.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn skip(&mut self) -> Result<()> {
        let outer = self.depth;
        while self.depth >= outer && self.next()?.is_some() {}
        Ok(())
    }

    /// Returns the text of the element whose start was just read, that of inner elements included.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn text(&mut self) -> Result<String> {
        let outer = self.depth;
        let mut text = String::new();
        while self.depth >= outer {
            match self.next()? {
                Some(Token::Text(part)) => text.push_str(&part),
                Some(_) => {}
                None => break,
            }
        }
        Ok(text)
    }
}

fn reference(name: &str) -> Option<char> {
    let written = format!("&{name};");
    let read = quick_xml::escape::unescape(&written).ok()?;
    read.chars().next()
}

/// Returns the bytes of a part as text: UTF-8, or UTF-16 with its mark.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let encoding = encoding_rs::Encoding::for_bom(bytes).map_or(encoding_rs::UTF_8, |(e, _)| e);
    encoding.decode_with_bom_removal(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<String> {
        let mut xml = Xml::new(source);
        let mut out = String::new();
        while let Some(token) = xml.next()? {
            match token {
                Token::Start(element) if element.name() == "skip" => xml.skip()?,
                Token::Start(element) => {
                    let (id, relation) = (element.attr("id"), element.relation("id"));
                    out.push_str(&format!("<{} {id:?} {relation:?}>", element.name()));
                }
                Token::End(end) => out.push_str(&format!("</{}>", end.name())),
                Token::Text(text) => out.push_str(&text),
            }
        }
        Ok(out)
    }

    #[test]
    fn names_are_local_and_text_is_plain() {
        let source = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'boom'>]><w:a r:id='1&amp;' id='2'>\
                      1 &lt; 2 &#x20ac;&b;<![CDATA[<x>]]><skip>no<skip/></skip><b/></w:a>";
        let expect = "<a Some(\"2\") Some(\"1&\")>1 < 2 €<x><b None None></b></a>";
        assert_eq!(read(source).unwrap(), expect);
    }

    #[test]
    fn what_is_broken_or_too_deep_is_rejected() {
        assert!(read("<a></b>").is_err());
        assert!(read(&"<a>".repeat(MAX_DEPTH)).is_ok());
        let error = read(&"<a>".repeat(MAX_DEPTH + 1)).unwrap_err();
        assert!(error.message().contains("nested more than 2000 deep"));
        assert_eq!(decode(b"\xff\xfe<\0a\0/\0>\0"), "<a/>");
    }
}
