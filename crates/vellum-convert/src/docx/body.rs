//! The markup of a text part, from front to back.
//!
//! One pass over the tokens. A paragraph is gathered until it ends, because its style, its list and its fields come
//! before its text and its boxes inside it; what is open stands in vectors, never on the call stack.
//! Reference: ECMA-376 part 1, 17.

use super::numbering::Numbering;
use super::styles::{Role, Styles, heading};
use crate::blocks::{Block, Flow, unseen_address};
use crate::clean::{characters, collapsed};
use crate::ooxml::Relations;
use crate::xml::{Element, Token, Xml};
use crate::{Settings, too_much_text};
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::document::Section;

/// Elements whose content is not part of the text.
const LEFT_OUT: &[&str] = &[
    "del",
    "moveFrom",
    "delText",
    "delInstrText",
    "pPrChange",
    "rPrChange",
    "sectPrChange",
    "tblPrChange",
    "tblPrExChange",
    "trPrChange",
    "tcPrChange",
    "tblGridChange",
    "numberingChange",
    "Fallback",
    "sectPr",
    "tblPr",
    "tblGrid",
    "sdtPr",
    "tabs",
    "rt",
    "hdr",
    "ftr",
    "binData",
];

/// Texts that references name, by their id: author and text.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) footnotes: HashMap<String, (String, String)>,
    pub(super) endnotes: HashMap<String, (String, String)>,
    pub(super) comments: HashMap<String, (String, String)>,
}

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    style: Option<String>,
    outline: Option<u8>,
    list: Option<u32>,
    level: Option<usize>,
    /// Holds only the large first letter of the next paragraph.
    is_drop_cap: bool,
    /// Open links: where their text begins, and their address.
    links: Vec<(usize, String)>,
    /// Open parts of formulas, by where they begin.
    formulas: Vec<usize>,
    /// What stands in it but apart, such as text boxes.
    after: Vec<Block>,
}

/// A field that is being read.
#[derive(Default)]
struct Field {
    code: String,
    in_result: bool,
    /// Where its result begins in the paragraph, by the number of that paragraph.
    start: (usize, usize),
}

/// Reads one text part.
pub(super) struct Body<'a> {
    styles: &'a Styles,
    numbering: &'a mut Numbering,
    relations: &'a Relations,
    max_text: usize,
    pub(super) graphics: HashMap<String, Vec<Block>>,
    pub(super) notes: Notes,
    flow: Flow,
    open: Vec<Paragraph>,
    n_paragraphs: usize,
    fields: Vec<Field>,
    n_notes: usize,
    in_properties: bool,
    in_row_properties: bool,
    is_hidden: bool,
    in_text: bool,
    keeps_space: bool,
    in_code: bool,
    drop_cap: String,
    title: Option<String>,
}

impl<'a> Body<'a> {
    pub(super) fn new(
        styles: &'a Styles,
        numbering: &'a mut Numbering,
        relations: &'a Relations,
        settings: &Settings,
    ) -> Self {
        Self {
            styles,
            numbering,
            relations,
            max_text: settings.max_text_bytes,
            graphics: HashMap::new(),
            notes: Notes::default(),
            flow: Flow::default(),
            open: Vec::new(),
            n_paragraphs: 0,
            fields: Vec::new(),
            n_notes: 0,
            in_properties: false,
            in_row_properties: false,
            is_hidden: false,
            in_text: false,
            keeps_space: false,
            in_code: false,
            drop_cap: String::new(),
            title: None,
        }
    }

    /// Returns the text, its headings, and the text of the first paragraph in the style of titles.
    pub(super) fn read(mut self, source: &str) -> Result<(String, Vec<Section>, Option<String>)> {
        let mut xml = Xml::new(source);
        while let Some(token) = xml.next()? {
            self.token(token, &mut xml)?;
        }
        let (text, sections) = self.flow.finish();
        Ok((text, sections, self.title))
    }

    /// Returns the notes of a part of notes: id, author, blocks.
    pub(super) fn notes(mut self, source: &str) -> Result<Vec<(String, String, Vec<Block>)>> {
        let mut xml = Xml::new(source);
        let mut notes = Vec::new();
        let mut open: Option<(String, String)> = None;
        while let Some(token) = xml.next()? {
            match &token {
                Token::Start(element)
                    if matches!(element.name(), "footnote" | "endnote" | "comment") =>
                {
                    let by = element.attr("author").unwrap_or_default();
                    open = element.attr("id").map(|id| (id, collapsed(&characters(&by))));
                    self.flow.open_aside();
                }
                Token::End(end) if matches!(end.name(), "footnote" | "endnote" | "comment") => {
                    let blocks = self.flow.close_aside();
                    notes.extend(open.take().map(|(id, by)| (id, by, blocks)));
                }
                _ => self.token(token, &mut xml)?,
            }
        }
        Ok(notes)
    }

    fn token(&mut self, token: Token<'_>, xml: &mut Xml<'_>) -> Result<()> {
        match token {
            Token::Start(element) => self.start(&element, xml),
            Token::End(end) => {
                self.end(end.name());
                if self.flow.len() > self.max_text {
                    return Err(too_much_text(&Settings {
                        max_text_bytes: self.max_text,
                        ..Settings::default()
                    }));
                }
                Ok(())
            }
            Token::Text(text) => {
                if self.in_code {
                    if let Some(field) = self.fields.last_mut() {
                        field.code.push_str(&text);
                    }
                } else if self.in_text && self.keeps_space {
                    self.push(&text);
                } else if self.in_text {
                    self.push(text.trim_matches(['\n', '\r', '\t']));
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, element: &Element<'_>, xml: &mut Xml<'_>) -> Result<()> {
        let name = element.name();
        if name == "del" && self.in_row_properties {
            self.flow.drop_row();
        }
        if LEFT_OUT.contains(&name) {
            return xml.skip();
        }
        match name {
            "p" => {
                self.n_paragraphs += 1;
                self.open.push(Paragraph::default());
                self.in_properties = false;
            }
            "pPr" => self.in_properties = true,
            "rPr" if self.in_properties => return xml.skip(),
            "r" => self.is_hidden = false,
            "vanish" => self.is_hidden = element.is_on(),
            "t" => {
                self.in_text = true;
                self.keeps_space = element.attr("space").as_deref() == Some("preserve");
            }
            "tab" | "ptab" => self.push("\t"),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "sym" => self.push(symbol(element)),
            "instrText" => self.in_code = true,
            "fldChar" => self.field(element.attr("fldCharType").as_deref()),
            "hyperlink" => self.open_link(element),
            "footnoteReference" | "endnoteReference" | "commentReference" => {
                self.reference(name, element);
            }
            "txbxContent" => self.flow.open_aside(),
            "chart" | "relIds" => self.graphic(element),
            "num" | "den" | "sup" | "sub" | "deg" => {
                if let Some(paragraph) = self.open.last_mut() {
                    paragraph.formulas.push(paragraph.text.len());
                }
            }
            "tbl" => self.flow.open_table(),
            "tr" => self.flow.open_row(),
            "trPr" => self.in_row_properties = true,
            "gridBefore" => self.flow.skip_places(element.number("val").unwrap_or(0)),
            "tc" => self.flow.open_cell(),
            "gridSpan" => self.flow.cell_span(element.number("val").unwrap_or(1)),
            "vMerge" if element.attr("val").as_deref() != Some("restart") => {
                self.flow.cell_continues();
            }
            "hMerge" if element.attr("val").as_deref() != Some("restart") => {
                self.flow.cell_continues_left();
            }
            _ => {
                if let Some(paragraph) = self.open.last_mut().filter(|_| self.in_properties) {
                    match name {
                        "pStyle" => paragraph.style = element.attr("val"),
                        "outlineLvl" => paragraph.outline = element.number("val"),
                        "numId" => paragraph.list = element.number("val"),
                        "ilvl" => paragraph.level = element.number("val"),
                        "framePr" => {
                            let cap = element.attr("dropCap").unwrap_or_default();
                            paragraph.is_drop_cap = matches!(&*cap, "drop" | "margin");
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" => self.end_paragraph(),
            "pPr" => self.in_properties = false,
            "trPr" => self.in_row_properties = false,
            "r" => self.is_hidden = false,
            "t" => self.in_text = false,
            "instrText" => self.in_code = false,
            "hyperlink" => {
                if let Some((start, address)) =
                    self.open.last_mut().and_then(|paragraph| paragraph.links.pop())
                {
                    self.close_link(start, &address);
                }
            }
            "txbxContent" => {
                let blocks = self.flow.close_aside();
                match self.open.last_mut() {
                    Some(paragraph) => paragraph.after.extend(blocks),
                    None => blocks.into_iter().for_each(|block| self.flow.block(block)),
                }
            }
            "num" | "den" | "sup" | "sub" | "deg" => self.end_formula(name),
            "tc" => self.flow.close_cell(),
            "tr" => self.flow.close_row(),
            "tbl" => self.flow.close_table(),
            _ => {}
        }
    }

    /// Appends text to the open paragraph, unless it is hidden or the code of a field.
    fn push(&mut self, text: &str) {
        if self.is_hidden || self.in_properties || !self.fields.iter().all(|field| field.in_result)
        {
            return;
        }
        if let Some(paragraph) = self.open.last_mut() {
            paragraph.text.push_str(text);
        }
    }

    fn end_paragraph(&mut self) {
        let Some(mut paragraph) = self.open.pop() else { return };
        if paragraph.is_drop_cap {
            self.drop_cap.push_str(paragraph.text.trim());
            return;
        }
        paragraph.text.insert_str(0, &std::mem::take(&mut self.drop_cap));
        let after = std::mem::take(&mut paragraph.after);
        let id = paragraph.style.as_deref();
        let role = paragraph.outline.map_or_else(|| self.styles.role(id), heading);
        let label = self.label(&paragraph);
        let text = paragraph.text;
        if !collapsed(&characters(&text)).is_empty() {
            let block = match (role, label) {
                (Role::Title, _) => {
                    let text = collapsed(&characters(&text));
                    self.title.get_or_insert(text.clone());
                    Block::Heading(1, text)
                }
                (Role::Heading(rank), Some((_, label))) if label != "-" && !label.is_empty() => {
                    Block::Heading(rank, format!("{label} {text}"))
                }
                (Role::Heading(rank), _) => Block::Heading(rank, text),
                (Role::Body, Some((level, label))) if !label.is_empty() => {
                    Block::Item(level, label, text)
                }
                (Role::Body, _) => Block::Paragraph(text),
            };
            self.flow.block(block);
        }
        for block in after {
            self.flow.block(block);
        }
    }

    /// Returns the level and the label of a paragraph that belongs to a list.
    fn label(&mut self, paragraph: &Paragraph) -> Option<(usize, String)> {
        let styled = self.styles.list(paragraph.style.as_deref());
        let (list, level) = match (paragraph.list, styled) {
            (Some(list), _) => (list, paragraph.level),
            (None, Some((list, level, style))) => {
                let linked = self.numbering.level_of_style(list, style);
                (list, paragraph.level.or(linked).or(level))
            }
            (None, None) => return None,
        };
        let level = level.unwrap_or(0);
        // List 0 is none: it takes a paragraph out of the list of its style.
        (list != 0).then(|| self.numbering.label(list, level)).flatten().map(|label| (level, label))
    }

    fn field(&mut self, step: Option<&str>) {
        let start = (self.n_paragraphs, self.open.last().map_or(0, |p| p.text.len()));
        match step {
            Some("begin") => self.fields.push(Field::default()),
            Some("separate") => {
                if let Some(field) = self.fields.last_mut() {
                    field.in_result = true;
                    field.start = start;
                }
            }
            Some("end") => {
                let Some(field) = self.fields.pop() else { return };
                let code = field.code.trim_start();
                if let Some(rest) = code.strip_prefix("HYPERLINK")
                    && field.start.0 == self.n_paragraphs
                    && let Some(address) = rest.split('"').nth(1).filter(|_| !rest.contains("\\l"))
                {
                    self.close_link(field.start.1, address);
                }
            }
            _ => {}
        }
    }

    fn open_link(&mut self, element: &Element<'_>) {
        let address = element
            .relation("id")
            .and_then(|id| self.relations.get(&id))
            .map(|relation| relation.target.clone());
        if let Some(paragraph) = self.open.last_mut() {
            paragraph.links.push((paragraph.text.len(), address.unwrap_or_default()));
        }
    }

    /// Writes the address of a link behind its text, unless the text shows it.
    fn close_link(&mut self, start: usize, address: &str) {
        let Some(paragraph) = self.open.last_mut() else { return };
        let shown = paragraph.text.get(start..).unwrap_or_default().trim();
        if let Some(address) = unseen_address(shown, address) {
            paragraph.text.truncate(paragraph.text.trim_end().len());
            paragraph.text.push_str(&format!(" ({address})"));
        }
    }

    fn reference(&mut self, name: &str, element: &Element<'_>) {
        let id = element.attr("id").unwrap_or_default();
        if name == "commentReference" {
            if let Some((by, text)) = self.notes.comments.remove(&id)
                && !text.is_empty()
            {
                let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
                self.flow.note(format!("Comment{by}: {text}"));
            }
            return;
        }
        let notes = match name {
            "footnoteReference" => &mut self.notes.footnotes,
            _ => &mut self.notes.endnotes,
        };
        let Some((_, text)) = notes.remove(&id) else { return };
        self.n_notes += 1;
        let label = format!("[{}]", self.n_notes);
        self.push(&label);
        self.flow.note(format!("{label} {text}"));
    }

    fn graphic(&mut self, element: &Element<'_>) {
        let id = element.relation("id").or_else(|| element.relation("dm")).unwrap_or_default();
        if let (Some(blocks), Some(paragraph)) = (self.graphics.remove(&id), self.open.last_mut()) {
            paragraph.after.extend(blocks);
        }
    }

    /// Writes a formula on one line: `(a + b)/c`, `x^2`.
    fn end_formula(&mut self, part: &str) {
        let Some(paragraph) = self.open.last_mut() else { return };
        let Some(start) = paragraph.formulas.pop() else { return };
        let written = paragraph.text.split_off(start.min(paragraph.text.len()));
        let sign = match part {
            "den" => "/",
            "sup" => "^",
            "sub" => "_",
            _ => "",
        };
        if written.is_empty() {
            return;
        }
        paragraph.text.push_str(sign);
        match written.chars().count() {
            1 => paragraph.text.push_str(&written),
            _ => paragraph.text.push_str(&format!("({written})")),
        }
    }
}

/// Returns the character that a symbol font shows; only what carries meaning.
fn symbol(element: &Element<'_>) -> &'static str {
    let font = element.attr("font").unwrap_or_default();
    let code = element.attr("char").and_then(|c| u32::from_str_radix(&c, 16).ok()).unwrap_or(0);
    match (&*font, code & 0xff) {
        ("Wingdings", 0xfc | 0xfe) | ("Wingdings 2", 0x50 | 0x52) => "✓",
        ("Wingdings", 0xfb | 0xfd) | ("Wingdings 2", 0x4f | 0x51) => "✗",
        ("Wingdings", 0xa8 | 0x6f) | ("Wingdings 2", 0xa3) => "☐",
        ("Wingdings", 0xe0) | ("Symbol", 0xae) => "→",
        ("Symbol", 0xb0) => "°",
        ("Symbol", 0xb1) => "±",
        ("Symbol", 0xa3) => "≤",
        ("Symbol", 0xb3) => "≥",
        ("Symbol", 0xb4) => "×",
        ("Symbol", 0xb9) => "≠",
        ("Symbol", 0x61) => "α",
        ("Symbol", 0x62) => "β",
        ("Symbol", 0x67) => "γ",
        ("Symbol", 0x64) => "δ",
        ("Symbol", 0x44) => "Δ",
        ("Symbol", 0x6d) => "µ",
        ("Symbol", 0x70) => "π",
        ("Symbol", 0x73) => "σ",
        ("Symbol", 0x53) => "Σ",
        ("Symbol", 0x57) => "Ω",
        _ => "",
    }
}
