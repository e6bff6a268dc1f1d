//! The XML files of a book: container, package file, tables of contents, list of encrypted files.
//!
//! They are read as a stream of tags by the tokenizer of the HTML converter, which forgives what books get wrong, keeps
//! nothing open and so costs no stack. Prefixes of names are ignored: `opf:item` is `item`.
//! Paths are relative to the file that names them, and escaped as in a URL.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most tags of one file.
const MAX_TAGS: usize = 500_000;

/// What the package file says.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) chapters: Vec<Chapter>,
    /// Paths of the tables of contents.
    pub(super) contents: Vec<String>,
    about: Vec<(String, String)>,
}

/// A file of the spine.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) path: String,
    /// Its first entry in the table of contents; empty where there is none.
    pub(super) title: String,
}

/// A start or end tag and the characters after it.
#[derive(Debug)]
struct Tag {
    name: String,
    is_end: bool,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn is(&self, name: &str) -> bool {
        !self.is_end && self.name == name
    }
}

/// Returns the path of the package file that a container names.
pub(super) fn root_of(container: &str) -> Option<String> {
    let tags = tags(container);
    let path = tags.iter().find(|tag| tag.is("rootfile"))?.get("full-path")?;
    Some(resolved("", path))
}

/// Returns the paths that `encryption.xml` lists.
pub(super) fn encrypted(source: &str) -> HashSet<String> {
    let tags = tags(source);
    let listed = tags.iter().filter(|tag| tag.is("cipherreference"));
    listed.filter_map(|tag| Some(resolved("", tag.get("uri")?))).collect()
}

/// Reads the package file at `path`.
pub(super) fn parse(source: &str, path: &str) -> Book {
    let tags = tags(source);
    let mut files: HashMap<&str, (String, &str)> = HashMap::new();
    let mut book = Book::default();
    for tag in &tags {
        match tag.name.as_str() {
            "item" if !tag.is_end => {
                let (Some(id), Some(href)) = (tag.get("id"), tag.get("href")) else { continue };
                let file = resolved(path, href);
                let kind = tag.get("media-type").unwrap_or_default();
                let properties = tag.get("properties").unwrap_or_default();
                if properties.split_whitespace().any(|property| property == "nav") {
                    book.contents.insert(0, file.clone());
                } else if kind == "application/x-dtbncx+xml" {
                    book.contents.push(file.clone());
                }
                files.insert(id, (file, kind));
            }
            "title" | "creator" | "language" | "publisher" | "date" | "description" | "subject"
                if !tag.is_end && !tag.text.trim().is_empty() =>
            {
                book.about.push((tag.name.clone(), crate::clean::collapsed(&tag.text)));
            }
            _ => {}
        }
    }
    let mut seen = HashSet::new();
    for id in tags.iter().filter(|tag| tag.is("itemref")).filter_map(|tag| tag.get("idref")) {
        let Some((file, kind)) = files.get(id) else { continue };
        let is_text = kind.contains("html") || kind.starts_with("text/") || kind.is_empty();
        // The table of contents repeats what the chapters say.
        if is_text && !book.contents.contains(file) && seen.insert(file.clone()) {
            book.chapters.push(Chapter { path: file.clone(), title: String::new() });
        }
    }
    book
}

impl Book {
    pub(super) fn title(&self) -> Option<String> {
        self.about.iter().find(|(key, _)| key == "title").map(|(_, title)| title.clone())
    }

    /// Returns authors, language and the like; several of a kind in one value.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in self.about.iter().filter(|(key, _)| key != "title") {
            let key = if key == "creator" { "author" } else { key };
            let known = metadata.entry(key.to_owned()).or_default();
            if known.len() < 1000 {
                known.push_str(if known.is_empty() { "" } else { ", " });
                known.push_str(value);
            }
        }
        metadata
    }

    /// Takes the titles of chapters from the table of contents `source` at `path`.
    pub(super) fn name_chapters(&mut self, source: &str, path: &str) {
        let places: HashMap<String, usize> =
            self.chapters.iter().enumerate().map(|(n, one)| (one.path.clone(), n)).collect();
        let mut label = String::new();
        // The chapter whose link is open.
        let mut link: Option<usize> = None;
        let place = |href: Option<&str>| places.get(&resolved(path, href?)).copied();
        for tag in tags(source) {
            match (tag.name.as_str(), tag.is_end) {
                // NCX: the label stands before the place.
                ("navpoint", false) => label.clear(),
                ("text", false) => label.clone_from(&tag.text),
                ("content", false) => {
                    self.name(place(tag.get("src")), &label);
                }
                // The navigation document: a link.
                ("a", false) => {
                    link = place(tag.get("href"));
                    label.clone_from(&tag.text);
                }
                ("a", true) => {
                    self.name(link.take(), &label);
                }
                _ if link.is_some() => label.push_str(&tag.text),
                _ => {}
            }
        }
    }

    fn name(&mut self, chapter: Option<usize>, label: &str) {
        let chapter = chapter.and_then(|n| self.chapters.get_mut(n));
        if let Some(chapter) = chapter.filter(|chapter| chapter.title.is_empty()) {
            chapter.title = label.trim().to_owned();
        }
    }
}

/// Returns the path that `href` means in the file at `base`, without its fragment.
fn resolved(base: &str, href: &str) -> String {
    let href = href.split(['#', '?']).next().unwrap_or_default();
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut steps: Vec<String> = Vec::new();
    let from_root = href.starts_with('/');
    let before = if from_root { "" } else { folder };
    for step in before.split('/').map(str::to_owned).chain(href.split('/').map(unescaped)) {
        match step.as_str() {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            _ => steps.push(step),
        }
    }
    steps.join("/")
}

/// Returns `text` with `%20` and the like as characters.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Default)]
struct Sink(RefCell<Vec<Tag>>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut tags = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tags.len() < MAX_TAGS => {
                let local =
                    |name: &str| name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase();
                let attributes = tag
                    .attrs
                    .iter()
                    .map(|attribute| (local(&attribute.name.local), attribute.value.to_string()))
                    .collect();
                let (name, is_end) = (local(&tag.name), tag.kind == TagKind::EndTag);
                tags.push(Tag { name, is_end, attributes, text: String::new() });
            }
            Token::CharacterTokens(text) => {
                if let Some(last) = tags.last_mut() {
                    last.text.push_str(&text);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn tags(source: &str) -> Vec<Tag> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    // The only reason to stop early is a script; this sink asks for none.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let cases = [
            ("OEBPS/book.opf", "text/a%20b.xhtml#x", "OEBPS/text/a b.xhtml"),
            ("OEBPS/book.opf", "../a.xhtml", "a.xhtml"),
            ("book.opf", "./a.xhtml", "a.xhtml"),
            ("", "/OEBPS/a%2", "OEBPS/a%2"),
        ];
        for (base, href, expect) in cases {
            assert_eq!(resolved(base, href), expect, "{base} {href}");
        }
    }
}
