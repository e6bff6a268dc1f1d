//! Rich text (RTF 1.9.1) to readable text, by an own reader.
//!
//! Tokens ([`token`]) change the state of the open group; groups that hold no text of the document (font
//! tables, pictures, headers and footers of pages, field codes, and whatever is marked `\*` as
//! ignorable) are passed over. Bytes are decoded by the code page of their font, or of the file; `\u` escapes
//! swallow as many characters as `\uc` says.
//!
//! - Paragraphs with an outline level, or in a style called `heading 1`, are headings. Rows of tables are `| a | b |` lines.
//!   List items keep their number, bullets become `- `. Footnotes stand below their paragraph. Hidden and
//!   deleted text is left out.
//! - HTML that a mail program wrapped in rich text (`\fromhtml`, MS-OXRTFEX) is taken out again by [`html_of`].
//!
//! The stack of groups is on the heap and limited.

pub(crate) mod charset;
mod page;
mod token;

use crate::detect::rejected;
use encoding_rs::{Encoding, WINDOWS_1252};
use page::Page;
use std::collections::{BTreeMap, HashMap};
use token::{Token, Tokens};
use vellum_core::document::{Document, Format, Layout};
use vellum_core::ports::Content;
use vellum_core::{Error, Result};

/// Largest file, in bytes; most of it is pictures.
const MAX_BYTES: u64 = 256 << 20;
/// Most groups open at a time.
const MAX_DEPTH: usize = 10_000;
/// Largest table of fonts or styles.
const MAX_TABLE: usize = 10_000;

/// Groups that hold no text of the document.
const PASSED_OVER: &[&str] = &[
    "colortbl",
    "pict",
    "objdata",
    "objclass",
    "objname",
    "fldinst",
    "filetbl",
    "listtable",
    "listoverridetable",
    "revtbl",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "nonshppict",
    "themedata",
    "colorschememapping",
    "datafield",
    "datastore",
    "formfield",
    "xe",
    "tc",
    "rxe",
    "atnid",
    "atnauthor",
    "atntime",
    "atndate",
    "atnref",
    "atnparent",
    "annotation",
    "pntxta",
    "pntxtb",
    "template",
    "operator",
    "sp",
    "ftnsep",
    "ftnsepc",
    "ftncn",
    "aftnsep",
    "aftnsepc",
    "aftncn",
    "nesttableprops",
    "nonesttables",
    "private1",
    "creatim",
    "revtim",
    "printim",
    "buptim",
    "mmath",
    "generator",
    "xmlnstbl",
    "latentstyles",
];
/// Ignorable groups that hold text all the same.
const STARRED_TEXT: &[&str] = &["shpinst", "shptxt", "footnote", "listtext", "pntext"];

/// Returns the document in `content`.
///
/// # Errors
/// `Rejected` when it is too large or nested too deeply.
pub(crate) fn convert(content: &Content) -> Result<Document> {
    if content.len() > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Err(rejected(format!("the rich text is too large: the limit is {limit} MiB")));
    }
    document(&content.to_bytes().map_err(|error| Error::io("read the file", error))?)
}

/// Returns the document that `source` describes.
///
/// # Errors
/// As [`convert`].
pub(crate) fn document(source: &[u8]) -> Result<Document> {
    let mut reader = Reader::new(Target::Document);
    reader.read(source)?;
    let (text, sections) = reader.page.out.finish();
    let mut about = reader.about;
    let title = about.remove("title");
    Ok(Document {
        format: Format::Rtf,
        title,
        text,
        sections,
        metadata: about,
        layout: Layout::default(),
    })
}

/// Returns the HTML that `source` wraps; `None` when it wraps none.
///
/// # Errors
/// As [`convert`].
pub(crate) fn html_of(source: &[u8]) -> Result<Option<String>> {
    let wraps =
        Tokens::new(source).take(100).any(|token| matches!(token, Token::Word("fromhtml", _)));
    if !wraps {
        return Ok(None);
    }
    let mut reader = Reader::new(Target::Html);
    reader.read(source)?;
    Ok(Some(reader.html))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Document,
    Html,
}

/// What the text of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Text,
    None,
    FontTable,
    StyleSheet,
    /// A line of the file's description.
    About(&'static str),
    Footnote,
    HtmlTag,
}

/// The state of a group; its end restores that of the group around it.
#[derive(Debug, Clone, Copy)]
struct Group {
    role: Role,
    is_hidden: bool,
    /// Rich text that stands for an HTML tag.
    is_shadow: bool,
    /// Characters that follow a `\u` escape for readers that do not know it.
    n_fallback: i32,
    font: i32,
    style: i32,
    outline: Option<u8>,
    in_table: bool,
    /// There is space above the paragraph, and below.
    space: (bool, bool),
}

struct Reader {
    target: Target,
    page: Page,
    html: String,
    about: BTreeMap<String, String>,
    group: Group,
    groups: Vec<Group>,
    /// The next control word is ignorable.
    is_starred: bool,
    encoding: &'static Encoding,
    fonts: HashMap<i32, Font>,
    styles: HashMap<i32, u8>,
    /// Name of the style that is being described.
    style_name: String,
    /// Text that is not decoded yet.
    bytes: Vec<u8>,
    n_skip: i32,
    high_surrogate: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Font {
    encoding: Option<&'static Encoding>,
    is_symbol: bool,
}

impl Reader {
    fn new(target: Target) -> Self {
        let group = Group {
            role: Role::Text,
            is_hidden: false,
            is_shadow: false,
            n_fallback: 1,
            font: -1,
            style: 0,
            outline: None,
            in_table: false,
            space: (false, false),
        };
        Self {
            target,
            page: Page::default(),
            html: String::new(),
            about: BTreeMap::new(),
            group,
            groups: Vec::new(),
            is_starred: false,
            encoding: WINDOWS_1252,
            fonts: HashMap::new(),
            styles: HashMap::new(),
            style_name: String::new(),
            bytes: Vec::new(),
            n_skip: 0,
            high_surrogate: None,
        }
    }

    fn read(&mut self, source: &[u8]) -> Result<()> {
        for token in Tokens::new(source) {
            if !matches!(token, Token::Text(_) | Token::Byte(_)) {
                self.decode();
            }
            match token {
                Token::Open => {
                    if self.groups.len() == MAX_DEPTH {
                        let message = format!("the rich text is nested more than {MAX_DEPTH} deep");
                        return Err(rejected(message));
                    }
                    self.n_skip = 0;
                    self.groups.push(self.group);
                }
                Token::Close => {
                    self.n_skip = 0;
                    self.close();
                }
                Token::Symbol(b'*') => self.is_starred = true,
                Token::Word("bin", _) => {}
                Token::Text(bytes) => {
                    let n_skipped = usize::try_from(self.n_skip).unwrap_or(0).min(bytes.len());
                    self.n_skip -= n_skipped as i32;
                    self.take_bytes(&bytes[n_skipped..]);
                }
                _ if self.n_skip > 0 => self.n_skip -= 1,
                Token::Byte(byte) => self.take_bytes(&[byte]),
                Token::Symbol(symbol) => self.symbol(symbol),
                Token::Word(word, number) => {
                    let is_starred = std::mem::take(&mut self.is_starred);
                    self.word(word, number, is_starred);
                }
            }
        }
        self.decode();
        self.page.paragraph(None, false, (false, false));
        Ok(())
    }

    fn close(&mut self) {
        match self.group.role {
            Role::Footnote if self.groups.last().is_none_or(|g| g.role != Role::Footnote) => {
                self.page.end_footnote();
            }
            Role::StyleSheet => self.end_style(),
            _ => {}
        }
        // Braces that close what never opened are ignored.
        if let Some(group) = self.groups.pop() {
            self.group = group;
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        self.is_starred = false;
        if self.group.role != Role::None && !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn decode(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let font = self.fonts.get(&self.group.font);
        let text = if font.is_some_and(|font| font.is_symbol) && self.target == Target::Document {
            // The bullets that lists use; other symbols have no certain meaning.
            let symbol = |&byte: &u8| if byte < 0x80 { char::from(byte) } else { '•' };
            bytes.iter().map(symbol).collect()
        } else {
            let encoding = font.and_then(|font| font.encoding).unwrap_or(self.encoding);
            encoding.decode_without_bom_handling(&bytes).0.into_owned()
        };
        self.text(&text);
        // The buffer is used again.
        self.bytes = bytes;
        self.bytes.clear();
    }

    fn text(&mut self, text: &str) {
        match self.group.role {
            Role::None | Role::FontTable => {}
            Role::StyleSheet => {
                if self.style_name.len() < 200 {
                    self.style_name.push_str(text);
                }
                if text.contains(';') {
                    self.end_style();
                }
            }
            Role::About(key) => {
                let value = self.about.entry(key.to_owned()).or_default();
                if value.len() < 1000 {
                    value.push_str(text);
                }
            }
            Role::HtmlTag => self.html.push_str(text),
            Role::Text | Role::Footnote => match self.target {
                Target::Html if self.group.is_shadow => {}
                Target::Html => self.html.push_str(text),
                Target::Document if self.group.is_hidden => {}
                Target::Document => self.page.open.push_str(text),
            },
        }
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'\\' | b'{' | b'}' => self.text(char::from(symbol).encode_utf8(&mut [0; 4])),
            b'~' => self.text("\u{a0}"),
            b'_' => self.text("-"),
            b'\r' | b'\n' => self.break_line(true),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>, is_starred: bool) {
        let on = number != Some(0);
        match word {
            "fonttbl" => self.group.role = Role::FontTable,
            "stylesheet" => self.group.role = Role::StyleSheet,
            "info" => self.group.role = Role::None,
            "title" | "author" | "subject" | "keywords" if self.in_info() => {
                let keys = ["title", "author", "subject", "keywords"];
                let key = keys.into_iter().find(|key| *key == word).unwrap_or_default();
                self.group.role = Role::About(key);
            }
            "footnote" if self.group.role == Role::Text && self.target == Target::Document => {
                self.group.role = Role::Footnote;
                self.page.begin_footnote();
            }
            "htmltag" if is_starred && self.target == Target::Html => {
                self.group.role = Role::HtmlTag;
            }
            "htmlrtf" => self.group.is_shadow = on,
            _ if PASSED_OVER.contains(&word) => self.group.role = Role::None,
            _ if is_starred && !STARRED_TEXT.contains(&word) => self.group.role = Role::None,
            "ansicpg" => {
                let page = number.and_then(charset::of_code_page);
                self.encoding = page.unwrap_or(self.encoding);
            }
            "mac" => self.encoding = encoding_rs::MACINTOSH,
            "f" => self.group.font = number.unwrap_or(-1),
            "fcharset" if self.group.role == Role::FontTable && self.fonts.len() < MAX_TABLE => {
                let charset = number.unwrap_or(0);
                let font = Font { encoding: charset::of_font(charset), is_symbol: charset == 2 };
                self.fonts.insert(self.group.font, font);
            }
            "uc" => self.group.n_fallback = number.unwrap_or(1).clamp(0, 1000),
            "u" => self.unicode(number.unwrap_or(0)),
            "v" | "deleted" => self.group.is_hidden = on,
            "plain" => {
                self.group.is_hidden = false;
                self.group.font = -1;
            }
            "pard" => {
                self.group.style = 0;
                self.group.outline = None;
                self.group.in_table = false;
                self.group.space = (false, false);
            }
            "s" => self.group.style = number.unwrap_or(0),
            "outlinelevel" => {
                let level = number.and_then(|level| u8::try_from(level).ok());
                self.group.outline = level.filter(|&level| level < 9).map(|level| level + 1);
            }
            "intbl" => self.group.in_table = on,
            "sb" => self.group.space.0 = number.unwrap_or(0) > 0,
            "sa" => self.group.space.1 = number.unwrap_or(0) > 0,
            "listtext" | "pntext" => self.page.is_item = true,
            _ => self.break_or_character(word),
        }
    }

    fn break_or_character(&mut self, word: &str) {
        let text = match word {
            "par" | "sect" | "page" | "column" => return self.break_line(true),
            "line" | "lbr" => return self.break_line(false),
            "cell" | "nestcell" | "row" | "nestrow" => return self.table(word),
            "tab" => "\t",
            "emdash" => "—",
            "endash" => "–",
            "lquote" => "‘",
            "rquote" => "’",
            "ldblquote" => "“",
            "rdblquote" => "”",
            "bullet" => "•",
            "emspace" | "enspace" | "qmspace" => " ",
            _ => return,
        };
        self.text(text);
    }

    fn break_line(&mut self, is_paragraph: bool) {
        match self.group.role {
            Role::HtmlTag => self.html.push('\n'),
            Role::Footnote => self.page.open.push(' '),
            Role::Text if self.target == Target::Html => {
                if !self.group.is_shadow {
                    self.html.push('\n');
                }
            }
            Role::Text if is_paragraph => {
                let styled = self.styles.get(&self.group.style).copied();
                let heading = self.group.outline.or(styled);
                self.page.paragraph(heading, self.group.in_table, self.group.space);
            }
            Role::Text => self.page.open.push('\n'),
            Role::None | Role::FontTable | Role::StyleSheet | Role::About(_) => {}
        }
    }

    fn table(&mut self, word: &str) {
        if self.group.role != Role::Text || self.target != Target::Document {
            return;
        }
        match word {
            "cell" => self.page.cell(),
            "row" => self.page.row(),
            _ => self.page.open.push(' '),
        }
    }

    /// Takes a UTF-16 unit and passes over what stands for it.
    fn unicode(&mut self, number: i32) {
        self.n_skip = self.group.n_fallback;
        let unit = (number & 0xffff) as u32;
        match (self.high_surrogate.take(), unit) {
            (_, 0xd800..=0xdbff) => self.high_surrogate = Some(unit),
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
                self.character(code);
            }
            // Symbol fonts are mapped to the private range.
            (_, 0xf000..=0xf0ff) => self.character('•'.into()),
            _ => self.character(unit),
        }
    }

    fn character(&mut self, code: u32) {
        if let Some(c) = char::from_u32(code) {
            self.text(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn in_info(&self) -> bool {
        self.group.role == Role::None && !self.groups.is_empty()
    }

    /// Remembers the rank of the style that was described.
    fn end_style(&mut self) {
        let name = std::mem::take(&mut self.style_name).to_lowercase();
        let name = name.trim().trim_end_matches(';').trim();
        let numbered = name.strip_prefix("heading ").and_then(|level| level.parse::<u8>().ok());
        let level = match name {
            "title" => Some(1),
            "" => None,
            _ => numbered.or(self.group.outline),
        };
        if let Some(level) = level.filter(|_| self.styles.len() < MAX_TABLE) {
            self.styles.insert(self.group.style, level.clamp(1, 6));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &str) {
        assert_eq!(document(source.as_bytes()).unwrap().text, expect, "{source}");
    }

    #[test]
    fn characters_of_any_set() {
        check("{\\rtf1\\ansi\\ansicpg1250 \\'b9\\u228\\'e4\\u8364 ?x}", "ąä€x");
        check("{\\rtf1{\\fonttbl{\\f0\\fcharset204 A;}}\\f0 \\'cf\\'f0}", "Пр");
        check("{\\rtf1{\\fonttbl{\\f1\\fcharset128 A;}}\\f1 \\'93\\'fa\\'96\\'7b}", "日本");
        check("{\\rtf1\\uc2\\u-10179??\\u-8704??{\\uc0\\u65 }b\\~c\\{d\\}}", "😀Ab c{d}");
        check("{\\rtf1\\uc1 a\\u233 {b}c\\emdash d}", "aébc—d");
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        check(
            "{\\rtf1{\\fonttbl{\\f0 Arial;}}{\\colortbl;\\red0;}{\\*\\generator X;}{\\header page}\
             {\\field{\\*\\fldinst HYPERLINK \"http://x\"}{\\fldrslt link}} a{\\v hidden}{\\pict 0102}\
             {\\deleted gone}b{\\*\\unknown c}\\bin4 }}}}d}",
            "link abd",
        );
    }

    #[test]
    fn tables_lists_and_headings() {
        check(
            "{\\rtf1{\\stylesheet{\\s1 heading 1;}{\\s2\\outlinelevel1 Unter;}}\\pard\\s1 Leave\\par\
             \\pard text\\par \\trowd\\intbl A\\par a\\cell B\\cell\\row\\intbl 1\\cell 2\\cell\\row\
             \\pard{\\listtext 1.\\tab}one\\par{\\listtext\\bullet\\tab}two\\par\\pard\\s2 Next\\par\
             \\pard x{\\footnote note}\\par y}",
            "Leave\n\ntext\n\n| A a | B |\n| 1 | 2 |\n\n1. one\n- two\n\nNext\n\nx\n\nnote\n\ny",
        );
    }

    #[test]
    fn about_the_file() {
        let source = "{\\rtf1{\\info{\\title Leave \\u228?}{\\author A. B.}{\\creatim\\yr2024}}x}";
        let document = document(source.as_bytes()).unwrap();
        assert_eq!(document.title.as_deref(), Some("Leave ä"));
        assert_eq!((document.text.as_str(), document.metadata["author"].as_str()), ("x", "A. B."));
    }

    #[test]
    fn html_is_unwrapped() {
        let source = "{\\rtf1\\ansi\\fromhtml1 {\\*\\htmltag18 <html>}{\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 \
            a\\'e9{\\*\\htmltag84 &lt;}\\htmlrtf <\\htmlrtf0 b\\htmlrtf\\par}\\htmlrtf0 {\\*\\htmltag72 </p>}}";
        assert_eq!(html_of(source.as_bytes()).unwrap().as_deref(), Some("<html><p>aé&lt;b</p>"));
        assert_eq!(html_of(b"{\\rtf1 x}").unwrap(), None);
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("{{\\rtf1 {}x", "{".repeat(200_000));
        let error = document(deep.as_bytes()).unwrap_err();
        assert_eq!(error.message(), "the rich text is nested more than 10000 deep");
        check(&format!("{{\\rtf1 {}x{}", "{\\b ".repeat(5000), "}".repeat(9000)), "x");
    }
}
