//! Paragraph styles: which rank a style gives a heading, and which list it belongs to.
//!
//! A style inherits from the one it is based on. The rank is the outline level; where a producer wrote none, the
//! style's name tells, which is English for built-in styles even when its id is not.

use crate::xml::{Token, Xml};
use std::collections::HashMap;
use vellum_core::Result;

/// Longest chain of styles that is followed; a longer one is a circle.
const MAX_CHAIN: usize = 32;

/// What one style says itself.
#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    list: Option<u32>,
    list_level: Option<usize>,
}

/// The paragraph styles of a document.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    default: Option<String>,
    /// Language of the text, where the document says one.
    pub(super) language: Option<String>,
}

/// What a style is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Body,
    /// The title of the document.
    Title,
    /// A heading of this rank, from 1.
    Heading(u8),
}

impl Styles {
    /// Reads `word/styles.xml`.
    pub(super) fn read(source: &str) -> Result<Self> {
        let mut styles = Self::default();
        let mut xml = Xml::new(source);
        let mut open: Option<(String, Style)> = None;
        while let Some(token) = xml.next()? {
            match token {
                Token::Start(element) => match element.name() {
                    "style" => {
                        let id = element.attr("styleId").unwrap_or_default();
                        let is_paragraph = element.attr("type").is_none_or(|t| t == "paragraph");
                        if is_paragraph && element.attr("default").is_some_and(|d| d != "0") {
                            styles.default = Some(id.clone());
                        }
                        if is_paragraph {
                            open = Some((id, Style::default()));
                        } else {
                            xml.skip()?;
                        }
                    }
                    "lang" if open.is_none() && styles.language.is_none() => {
                        styles.language = element.attr("val");
                    }
                    name => {
                        let Some((_, style)) = &mut open else { continue };
                        match name {
                            "name" => style.name = element.attr("val").unwrap_or_default(),
                            "basedOn" => style.based_on = element.attr("val"),
                            "outlineLvl" => style.outline = element.number("val"),
                            "numId" => style.list = element.number("val"),
                            "ilvl" => style.list_level = element.number("val"),
                            _ => {}
                        }
                    }
                },
                Token::End(end) if end.name() == "style" => {
                    styles.styles.extend(open.take());
                }
                Token::End(_) | Token::Text(_) => {}
            }
        }
        Ok(styles)
    }

    /// Returns the style with this id and those it inherits from, nearest first; without an id the default.
    fn chain<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a Style)> {
        let first = id.or(self.default.as_deref());
        std::iter::successors(first, |id| self.styles.get(*id)?.based_on.as_deref())
            .take(MAX_CHAIN)
            .map_while(|id| Some((id, self.styles.get(id)?)))
    }

    /// Returns what paragraphs of the style with this id are.
    pub(super) fn role(&self, id: Option<&str>) -> Role {
        if let Some(id) = id.filter(|id| !self.styles.contains_key(*id)) {
            return named_role(id);
        }
        for (_, style) in self.chain(id) {
            if let Some(outline) = style.outline {
                return heading(outline);
            }
            match named_role(&style.name) {
                Role::Body => {}
                role => return role,
            }
        }
        Role::Body
    }

    /// Returns the list of the style with this id, the level it names, and the style that says so.
    pub(super) fn list<'a>(&'a self, id: Option<&'a str>) -> Option<(u32, Option<usize>, &'a str)> {
        let (mut level, mut owner) = (None, None);
        for (id, style) in self.chain(id) {
            level = level.or(style.list_level);
            if style.list_level.is_some() || style.list.is_some() {
                owner = owner.or(Some(id));
            }
            if let Some(list) = style.list {
                return Some((list, level, owner?));
            }
        }
        None
    }
}

/// Returns what an outline level means; 9 is body text.
pub(super) fn heading(outline: u8) -> Role {
    if outline < 9 { Role::Heading(outline + 1) } else { Role::Body }
}

fn named_role(name: &str) -> Role {
    let name = name.to_ascii_lowercase().replace([' ', '-', '_'], "");
    if name == "title" {
        return Role::Title;
    }
    match name.strip_prefix("heading").map(str::parse::<u8>) {
        Some(Ok(rank @ 1..=9)) => Role::Heading(rank),
        _ => Role::Body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_inherited() {
        let styles = Styles::read(
            "<w:styles><w:docDefaults><w:lang w:val='de-DE'/></w:docDefaults>\
             <w:style w:type='paragraph' w:default='1' w:styleId='Standard'><w:name w:val='Normal'/></w:style>\
             <w:style w:styleId='berschrift2'><w:name w:val='heading 2'/><w:pPr><w:outlineLvl w:val='1'/></w:pPr></w:style>\
             <w:style w:styleId='Own'><w:name w:val='Own'/><w:basedOn w:val='berschrift2'/></w:style>\
             <w:style w:styleId='Flat'><w:name w:val='F'/><w:basedOn w:val='Own'/><w:pPr><w:outlineLvl w:val='9'/></w:pPr></w:style>\
             <w:style w:styleId='Loop'><w:name w:val='L'/><w:basedOn w:val='Loop'/></w:style>\
             <w:style w:styleId='Titel'><w:name w:val='Title'/></w:style></w:styles>",
        )
        .unwrap();
        let cases = [
            (None, Role::Body),
            (Some("berschrift2"), Role::Heading(2)),
            (Some("Own"), Role::Heading(2)),
            (Some("Flat"), Role::Body),
            (Some("Loop"), Role::Body),
            (Some("Titel"), Role::Title),
            (Some("Heading3"), Role::Heading(3)),
        ];
        for (id, expect) in cases {
            assert_eq!(styles.role(id), expect, "{id:?}");
        }
        assert_eq!(styles.language.as_deref(), Some("de-DE"));
    }
}
