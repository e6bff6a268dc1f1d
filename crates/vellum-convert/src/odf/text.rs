//! Paragraphs, lists, tables and notes of `content.xml`, in one pass.

use super::styles::{Counters, Styles};
use crate::blocks::{Block, Flow, line, unseen_address};
use crate::clean::{characters, collapsed};
use crate::xml::{Element, Token, Xml};
use crate::{Settings, too_much_text};
use std::collections::HashMap;
use vellum_core::Result;
use vellum_core::document::Section;

/// Elements whose content is not part of the text.
const LEFT_OUT: &[&str] = &[
    "automatic-styles",
    "font-face-decls",
    "scripts",
    "tracked-changes",
    "sequence-decls",
    "variable-decls",
    "user-field-decls",
    "forms",
    "desc",
    "number",
    "ruby-text",
    "table-of-content-source",
    "illustration-index-source",
    "table-index-source",
    "object-index-source",
    "user-index-source",
    "alphabetical-index-source",
    "bibliography-source",
    "event-listeners",
    "binary-data",
    "hidden-text",
    "note-citation",
    "header-decl",
    "footer-decl",
    "date-time-decl",
];
/// Most blanks, columns and rows that a repetition gives.
const MAX_REPEATED: usize = 64;

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    style: String,
    rank: Option<u8>,
    links: Vec<(usize, String)>,
    after: Vec<Block>,
}

/// A list that is being read.
struct List {
    style: String,
    /// Label of the open item, taken by its first paragraph.
    label: Option<String>,
}

/// What a place in the grid of the open table continues.
#[derive(Default)]
struct Table {
    column: usize,
    /// Columns that the last cell still covers in its row.
    left: usize,
}

/// Reads the text of a document, or of one shape of a slide.
pub(super) struct Text<'a> {
    styles: &'a Styles,
    max_text: usize,
    pub(super) flow: Flow,
    open: Vec<Paragraph>,
    lists: Vec<List>,
    tables: Vec<Table>,
    counters: HashMap<String, Counters>,
    outline: Counters,
    n_notes: usize,
    comment_by: String,
    title: Option<String>,
}

impl<'a> Text<'a> {
    pub(super) fn new(styles: &'a Styles, settings: &Settings) -> Self {
        Self {
            styles,
            max_text: settings.max_text_bytes,
            flow: Flow::default(),
            open: Vec::new(),
            lists: Vec::new(),
            tables: Vec::new(),
            counters: HashMap::new(),
            outline: Counters::default(),
            n_notes: 0,
            comment_by: String::new(),
            title: None,
        }
    }

    /// Returns the text, its headings, and the text of the first paragraph in the style of titles.
    pub(super) fn read(mut self, source: &str) -> Result<(String, Vec<Section>, Option<String>)> {
        let mut xml = Xml::new(source);
        while let Some(token) = xml.next()? {
            self.token(token, &mut xml)?;
            if self.flow.len() > self.max_text {
                let max_text_bytes = self.max_text;
                return Err(too_much_text(&Settings { max_text_bytes, ..Settings::default() }));
            }
        }
        let (text, sections) = self.flow.finish();
        Ok((text, sections, self.title))
    }

    pub(super) fn token(&mut self, token: Token<'_>, xml: &mut Xml<'_>) -> Result<()> {
        match token {
            Token::Start(element) if LEFT_OUT.contains(&element.name()) => xml.skip()?,
            Token::Start(element) if element.is_named("svg:title") => xml.skip()?,
            Token::Start(element) if element.name() == "creator" && self.flow.is_nested() => {
                self.comment_by = collapsed(&characters(&xml.text()?));
            }
            Token::Start(element) => self.start(&element),
            Token::End(end) => self.end(end.name()),
            Token::Text(text) => self.push(&text.replace(['\n', '\r', '\t'], " ")),
        }
        Ok(())
    }

    fn start(&mut self, element: &Element<'_>) {
        match element.name() {
            "p" | "h" => {
                let rank = match element.name() {
                    "h" => Some(element.number("outline-level").unwrap_or(1)),
                    _ => None,
                };
                let style = element.attr("style-name").unwrap_or_default();
                self.open.push(Paragraph { rank, style, ..Paragraph::default() });
            }
            "s" => {
                let n = element.number("c").unwrap_or(1).min(MAX_REPEATED);
                self.push(&" ".repeat(n));
            }
            "tab" => self.push("\t"),
            "line-break" => self.push("\n"),
            "a" => {
                if let Some(paragraph) = self.open.last_mut() {
                    let address = element.attr("href").unwrap_or_default();
                    paragraph.links.push((paragraph.text.len(), address));
                }
            }
            "list" => self.open_list(element),
            "list-item" => self.open_item(element.number("start-value")),
            "list-header" => {
                if let Some(list) = self.lists.last_mut() {
                    list.label = Some(String::new());
                }
            }
            "note" | "annotation" | "text-box" => {
                self.comment_by.clear();
                self.flow.open_aside();
            }
            "table" => {
                self.tables.push(Table::default());
                self.flow.open_table();
            }
            "table-row" => {
                if let Some(table) = self.tables.last_mut() {
                    (table.column, table.left) = (0, 0);
                }
                self.flow.open_row();
            }
            "table-cell" => {
                self.flow.open_cell();
                let n = |name| element.number::<usize>(name).unwrap_or(1).min(MAX_REPEATED);
                if let Some(table) = self.tables.last_mut() {
                    table.left = n("number-columns-spanned").saturating_sub(1);
                    table.column = n("number-columns-repeated");
                }
            }
            "covered-table-cell" => {
                let n = element.number("number-columns-repeated").unwrap_or(1).min(MAX_REPEATED);
                for _ in 0..n {
                    let Some(table) = self.tables.last_mut() else { break };
                    self.flow.cover_place(table.left > 0);
                    table.left = table.left.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" | "h" => self.end_paragraph(),
            "a" => {
                let Some(paragraph) = self.open.last_mut() else { return };
                let Some((start, address)) = paragraph.links.pop() else { return };
                let shown = paragraph.text.get(start..).unwrap_or_default().trim();
                if let Some(address) = unseen_address(shown, &address) {
                    paragraph.text.truncate(paragraph.text.trim_end().len());
                    paragraph.text.push_str(&format!(" ({address})"));
                }
            }
            "list" => drop(self.lists.pop()),
            "list-item" | "list-header" => {
                if let Some(list) = self.lists.last_mut() {
                    list.label = None;
                }
            }
            "note" => {
                let text = line(&self.flow.close_aside());
                self.n_notes += 1;
                let label = format!("[{}]", self.n_notes);
                self.push(&label);
                self.flow.note(format!("{label} {text}"));
            }
            "annotation" => {
                let text = line(&self.flow.close_aside());
                let by = std::mem::take(&mut self.comment_by);
                let by = if by.is_empty() { by } else { format!(" by {by}") };
                if !text.is_empty() {
                    self.flow.note(format!("Comment{by}: {text}"));
                }
            }
            "text-box" => {
                let blocks = self.flow.close_aside();
                match self.open.last_mut() {
                    Some(paragraph) => paragraph.after.extend(blocks),
                    None => blocks.into_iter().for_each(|block| self.flow.block(block)),
                }
            }
            "table-cell" => {
                self.flow.close_cell();
                let repeated = self.tables.last().map_or(1, |table| table.column);
                self.flow.skip_places(repeated.saturating_sub(1));
            }
            "table-row" => self.flow.close_row(),
            "table" => {
                self.tables.pop();
                self.flow.close_table();
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.open.last_mut() {
            paragraph.text.push_str(text);
        }
    }

    fn open_list(&mut self, element: &Element<'_>) {
        let outer = self.lists.last().map(|list| list.style.clone());
        let style = element.attr("style-name").or(outer).unwrap_or_default();
        let continues = element.attr("continue-numbering").as_deref() == Some("true")
            || element.attr("continue-list").is_some();
        if self.lists.is_empty() && !continues {
            self.counters.remove(&style);
        }
        self.lists.push(List { style, label: None });
    }

    fn open_item(&mut self, start: Option<u32>) {
        let level = self.lists.len().saturating_sub(1);
        let Some(list) = self.lists.last_mut() else { return };
        let counters = self.counters.entry(list.style.clone()).or_default();
        list.label = Some(self.styles.label(&list.style, level, start, counters));
    }

    fn end_paragraph(&mut self) {
        let Some(paragraph) = self.open.pop() else { return };
        let text = paragraph.text;
        if !collapsed(&characters(&text)).is_empty() {
            let level = self.lists.len().saturating_sub(1);
            // Notes and boxes inside an item are no items themselves.
            let listed = if self.open.is_empty() { self.lists.last_mut() } else { None };
            let label = listed.map(|list| list.label.replace(String::new()).unwrap_or_default());
            let block = match (paragraph.rank, label) {
                (Some(rank), label) => {
                    let label = label.unwrap_or_else(|| {
                        self.styles.heading_label(rank.into(), &mut self.outline)
                    });
                    let is_shown = !label.is_empty() && label != "-";
                    Block::Heading(rank, if is_shown { format!("{label} {text}") } else { text })
                }
                (None, Some(label)) => Block::Item(level, label, text),
                (None, None) if self.styles.is_title(&paragraph.style) => {
                    let text = collapsed(&characters(&text));
                    self.title.get_or_insert(text.clone());
                    Block::Heading(1, text)
                }
                (None, None) => Block::Paragraph(text),
            };
            self.flow.block(block);
        }
        for block in paragraph.after {
            self.flow.block(block);
        }
    }
}
