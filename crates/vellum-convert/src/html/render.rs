//! From tokens to text: the stack of open elements and what each element does to the text.
//!
//! An element is described by its [`Effect`]; start and end tags only look there. End tags close every
//! element above their own, stray ones are ignored by a count per name, so a hostile mix of tags
//! stays linear.

use super::elements::{
    Effect, attribute, effect, is_furniture_role, is_hidden, is_skip_link, is_void,
};
use super::table::Table;
use crate::blocks::unseen_address;
use crate::clean::{TextBuilder, collapsed, push_collapsed, table_row};
use html5ever::LocalName;
use html5ever::tokenizer::Tag;
use std::collections::{BTreeMap, HashMap};

/// Deepest list level that is still indented.
const MAX_INDENT_LEVEL: usize = 8;
/// Bytes that the merged cells of a page repeat at most; more is an attack.
const MAX_REPEATS: usize = 4 << 20;

/// What to do with navigation, asides, and the header and footer of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Furniture {
    /// Leave it out.
    Drop,
    /// Read it like content.
    Keep,
}

struct Element {
    name: LocalName,
    effect: Effect,
    /// Length of the text when it was opened.
    mark: usize,
    /// Where a link leads, and the length of what was being written when it began.
    link: Option<(String, usize)>,
}

/// The page while it is read.
pub(super) struct Render {
    pub(super) out: TextBuilder,
    pub(super) title: String,
    /// First `h1` inside a header that was dropped.
    pub(super) first_heading: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    furniture: Furniture,
    open: Vec<Element>,
    n_open: HashMap<LocalName, usize>,
    /// Open elements whose content is left out.
    n_skipping: usize,
    n_pre: usize,
    n_articles: usize,
    /// Navigation seen inside the open page header.
    header_has_nav: bool,
    heading: Option<String>,
    tables: Vec<Table>,
    /// Open lists; the next number of an ordered one.
    lists: Vec<Option<u64>>,
    after_marker: bool,
    /// Bytes that merged cells may still repeat.
    repeats_left: usize,
}

impl Render {
    pub(super) fn new(furniture: Furniture) -> Self {
        Self {
            out: TextBuilder::default(),
            title: String::new(),
            first_heading: None,
            metadata: BTreeMap::new(),
            furniture,
            open: Vec::new(),
            n_open: HashMap::new(),
            n_skipping: 0,
            n_pre: 0,
            n_articles: 0,
            header_has_nav: false,
            heading: None,
            tables: Vec::new(),
            lists: Vec::new(),
            after_marker: false,
            repeats_left: MAX_REPEATS,
        }
    }

    /// Takes characters between tags.
    pub(super) fn text(&mut self, text: &str) {
        if self.open.last().is_some_and(|element| element.effect == Effect::Title) {
            push_collapsed(&mut self.title, text);
        } else if self.n_skipping > 0 {
        } else if let Some(heading) = &mut self.heading {
            push_collapsed(heading, text);
        } else if let Some(table) = self.tables.last_mut().filter(|table| !table.is_layout) {
            // Text between cells is not shown inside the table by browsers either.
            if let Some(cell) = &mut table.cell {
                push_collapsed(cell, text);
            }
        } else if self.n_pre > 0 {
            self.out.push_lines(text);
        } else if !(self.out.at_line_start() && text.trim().is_empty()) {
            self.out.push_inline(text);
            self.after_marker &= text.trim().is_empty();
        }
    }

    /// Takes a start tag.
    pub(super) fn start(&mut self, tag: &Tag) {
        self.close_implied(&tag.name);
        let effect = self.effect_here(tag);
        if self.n_skipping == 0 {
            self.open_effect(tag, effect);
        }
        // XHTML closes elements this way; in HTML it is rare enough to mean the same.
        if is_void(&tag.name) || tag.self_closing {
            return;
        }
        self.n_skipping += usize::from(matches!(effect, Effect::Skip | Effect::Furniture));
        *self.n_open.entry(tag.name.clone()).or_default() += 1;
        let mark = self.out.len();
        let address = attribute(tag, "href").filter(|_| &*tag.name == "a");
        let link = address.map(|address| (address.to_owned(), self.written().len()));
        self.open.push(Element { name: tag.name.clone(), effect, mark, link });
    }

    fn effect_here(&self, tag: &Tag) -> Effect {
        let plain = effect(&tag.name);
        // Pages hide their body until a script shows it; that is not hidden content.
        if is_hidden(tag) && !matches!(&*tag.name, "html" | "body") {
            return Effect::Skip;
        }
        match plain {
            // Drawings have titles too.
            Effect::Inline if is_skip_link(tag) => Effect::Skip,
            Effect::Title if self.n_skipping > 0 || !self.title.is_empty() => Effect::Skip,
            Effect::Furniture if &*tag.name == "footer" && self.n_articles > 0 => Effect::Block,
            Effect::Furniture if self.furniture == Furniture::Keep => Effect::Block,
            Effect::Block | Effect::Inline | Effect::List { .. }
                if is_furniture_role(tag) && self.furniture == Furniture::Drop =>
            {
                Effect::Furniture
            }
            _ => plain,
        }
    }

    /// Takes an end tag; closes all that was opened after its start tag.
    pub(super) fn close(&mut self, name: &LocalName) {
        if &**name == "p" && self.n_open.get(name).copied().unwrap_or_default() == 0 {
            self.break_block();
        }
        while self.n_open.get(name).copied().unwrap_or_default() > 0 {
            let Some(element) = self.open.pop() else { return };
            let is_it = element.name == *name;
            self.pop(&element);
            if is_it {
                return;
            }
        }
    }

    /// Closes what is still open.
    pub(super) fn end(&mut self) {
        while let Some(element) = self.open.pop() {
            self.pop(&element);
        }
        self.title = collapsed(&self.title);
        // What remains after trimming decides whether the page had content.
        if self.out.since(0).trim().is_empty() {
            self.out.rewind(0);
        }
    }

    /// Closes the elements whose end tag may be left out before `name` (HTML 13.1.2.4).
    fn close_implied(&mut self, name: &LocalName) {
        // A heading whose end tag is missing must not take the rest of the page with it.
        let ends_heading = matches!(
            effect(name),
            Effect::Heading(_) | Effect::Table | Effect::List { .. } | Effect::Pre
        ) || &**name == "p";
        if self.heading.is_some() && ends_heading {
            let open = self.open.iter().rev().find(|e| matches!(e.effect, Effect::Heading(_)));
            if let Some(name) = open.map(|element| element.name.clone()) {
                self.close(&name);
            }
        }
        let Some(last) = self.open.last() else { return };
        let closes = match (&*last.name, &**name) {
            ("li", "li") | ("option", "option") => true,
            ("dt" | "dd", "dt" | "dd") | ("td" | "th", "td" | "th") => true,
            ("p", _) => !matches!(effect(name), Effect::Inline | Effect::Skip),
            ("tr" | "td" | "th", "tr") => true,
            ("thead" | "tbody" | "tr" | "td" | "th", "tbody" | "tfoot") => true,
            _ => return,
        };
        if closes {
            let last = last.name.clone();
            self.close(&last);
            // `<td>` followed by `<tr>` or `<tbody>` closes the row as well.
            if matches!(&**name, "tr" | "tbody" | "tfoot" | "li") {
                self.close_implied_again(name);
            }
        }
    }

    fn close_implied_again(&mut self, name: &LocalName) {
        let Some(last) = self.open.last() else { return };
        let again = matches!(
            (&*last.name, &**name),
            ("tr" | "td" | "th", "tr") | ("tr" | "thead" | "tbody", "tbody" | "tfoot")
        );
        if again {
            let last = last.name.clone();
            self.close(&last);
        }
    }

    fn open_effect(&mut self, tag: &Tag, effect: Effect) {
        match effect {
            Effect::Inline => self.inline_element(tag),
            Effect::Block | Effect::Article => self.break_block(),
            Effect::Header => {
                self.break_block();
                self.header_has_nav = false;
            }
            Effect::Furniture => {
                self.header_has_nav = true;
                self.break_block();
            }
            Effect::Skip | Effect::Title => {}
            Effect::Heading(_) => self.heading = Some(String::new()),
            Effect::List { numbered } => {
                self.break_line_or_block();
                let start = attribute(tag, "start").and_then(|value| value.parse().ok());
                self.lists.push(numbered.then_some(start.unwrap_or(1)));
            }
            Effect::Item => self.item(),
            Effect::Table => {
                self.make_outer_layout();
                self.break_block();
                let is_layout = attribute(tag, "role").is_some_and(|role| role == "presentation");
                self.tables.push(Table::new(is_layout));
            }
            Effect::Row => self.row_end(),
            Effect::Cell | Effect::Caption => match self.tables.last_mut() {
                Some(table) if !table.is_layout => {
                    let span = |name| attribute(tag, name).and_then(|n| n.trim().parse().ok());
                    table.open_cell(span("colspan"), span("rowspan"));
                }
                _ => self.break_block(),
            },
            Effect::Pre => self.break_block(),
        }
        self.n_pre += usize::from(effect == Effect::Pre);
        self.n_articles += usize::from(effect == Effect::Article);
    }

    fn pop(&mut self, element: &Element) {
        if let Some(count) = self.n_open.get_mut(&element.name) {
            *count -= 1;
        }
        if matches!(element.effect, Effect::Skip | Effect::Furniture) {
            self.n_skipping -= 1;
            return;
        }
        if self.n_skipping > 0 {
            return;
        }
        if let Some((address, mark)) = &element.link {
            self.link_end(address, *mark);
        }
        match element.effect {
            Effect::Inline | Effect::Title | Effect::Skip | Effect::Furniture => {}
            Effect::Block => self.break_block(),
            Effect::Article => {
                self.n_articles = self.n_articles.saturating_sub(1);
                self.break_block();
            }
            Effect::Header => self.header_end(element),
            Effect::Heading(level) => {
                let title = collapsed(&self.heading.take().unwrap_or_default());
                match self.tables.last_mut().filter(|table| !table.is_layout) {
                    Some(table) => {
                        push_collapsed(table.cell.get_or_insert_default(), &title);
                    }
                    None => self.out.heading(level, &title),
                }
            }
            Effect::List { .. } => {
                self.lists.pop();
                self.break_line_or_block();
            }
            Effect::Item => {
                self.break_line();
                self.after_marker = false;
            }
            Effect::Table => {
                self.row_end();
                self.tables.pop();
                self.break_block();
            }
            Effect::Row => self.row_end(),
            Effect::Cell => self.cell_end(),
            // A row of one cell is a line of text.
            Effect::Caption => self.row_end(),
            Effect::Pre => {
                self.n_pre = self.n_pre.saturating_sub(1);
                self.break_block();
            }
        }
    }

    /// Returns what is being written: a heading, a cell, or the text.
    fn written(&self) -> &str {
        let cell = || self.tables.last().filter(|table| !table.is_layout)?.cell.as_deref();
        self.heading.as_deref().or_else(cell).unwrap_or_else(|| self.out.since(0))
    }

    /// Writes the address of a link behind its text, unless the text shows it.
    fn link_end(&mut self, address: &str, mark: usize) {
        let shown = self.written().get(mark..).unwrap_or_default();
        // A heading is a name; addresses do not belong to it.
        if let (Some(address), None) = (unseen_address(shown.trim(), address), &self.heading) {
            let behind = format!(" ({address})");
            self.text(&behind);
        }
    }

    /// Drops a page header that is not the document's own head.
    fn header_end(&mut self, element: &Element) {
        self.break_block();
        if self.n_articles > 0 || self.furniture == Furniture::Keep {
            return;
        }
        let text = self.out.since(element.mark);
        let heading = text.lines().find(|line| !line.is_empty()).map(str::to_owned);
        let has_h1 = self.out.has_title_since(element.mark);
        if self.header_has_nav || !has_h1 {
            self.out.rewind(element.mark);
            if has_h1 && self.first_heading.is_none() {
                self.first_heading = heading;
            }
        }
    }

    fn inline_element(&mut self, tag: &Tag) {
        match &*tag.name {
            "br" => self.break_line(),
            "hr" | "wbr" => {}
            "img" => {
                if let Some(alt) = attribute(tag, "alt") {
                    let alt = format!(" {alt} ");
                    self.text(&alt);
                }
            }
            "meta" => {
                let name = attribute(tag, "name").map(str::to_ascii_lowercase);
                if let (Some(name), Some(content)) = (name, attribute(tag, "content"))
                    && matches!(&*name, "author" | "description" | "date" | "keywords")
                {
                    self.metadata.insert(name, collapsed(content));
                }
            }
            "html" => {
                if let Some(language) = attribute(tag, "lang") {
                    self.metadata.insert("language".into(), collapsed(language));
                }
            }
            _ => {}
        }
    }

    fn item(&mut self) {
        if self.in_cell() {
            return self.break_line();
        }
        self.out.line();
        let level = self.lists.len().saturating_sub(1).min(MAX_INDENT_LEVEL);
        self.out.push(&"  ".repeat(level));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.out.push(&format!("{number}. "));
                *number = number.saturating_add(1);
            }
            _ => self.out.push("- "),
        }
        self.after_marker = true;
    }

    /// A table inside a cell makes the outer table layout; what its row held so far becomes paragraphs.
    fn make_outer_layout(&mut self) {
        let Some(outer) = self.tables.last_mut().filter(|table| !table.is_layout) else { return };
        for cell in outer.become_layout() {
            self.out.block();
            self.out.push(&collapsed(&cell));
        }
        self.out.block();
    }

    fn cell_end(&mut self) {
        match self.tables.last_mut() {
            Some(table) if !table.is_layout => table.close_cell(),
            _ => self.break_block(),
        }
    }

    fn row_end(&mut self) {
        self.cell_end();
        let Some(table) = self.tables.last_mut() else { return };
        let cells = table.take_row(&mut self.repeats_left);
        if cells.iter().all(String::is_empty) {
            return;
        }
        self.out.line();
        match cells.as_slice() {
            [only] => self.out.push(only),
            _ => self.out.push(&table_row(&cells)),
        }
        self.out.line();
    }

    fn in_cell(&self) -> bool {
        self.heading.is_some() || self.tables.last().is_some_and(|table| !table.is_layout)
    }

    fn break_line(&mut self) {
        if let Some(heading) = &mut self.heading {
            push_collapsed(heading, " ");
        } else if let Some(table) = self.tables.last_mut().filter(|table| !table.is_layout) {
            if let Some(cell) = &mut table.cell {
                push_collapsed(cell, " ");
            }
        } else if !self.after_marker {
            self.out.line();
        }
    }

    fn break_block(&mut self) {
        if self.in_cell() || !self.lists.is_empty() {
            self.break_line();
        } else {
            self.out.block();
        }
    }

    fn break_line_or_block(&mut self) {
        self.after_marker = false;
        self.break_block();
    }
}
