//! Markdown (CommonMark with tables, strike-through, task lists, footnotes) to readable plain text.
//!
//! Markup goes, structure stays: headings stand on their own line and open sections, list items start
//! with `- ` or their number, each table row is one `| a | b |` line below its header row, code blocks
//! are verbatim, a link is its text with the address behind it (unless the text shows it or it leads inside the
//! folder), an image its alternative text. Embedded HTML goes through the HTML converter. Front matter gives title and metadata and is not part of the text.
//!
//! One pass over the parser's events; nesting lives in counters, never on the call stack.

use crate::blocks::unseen_address;
use crate::clean::{TextBuilder, characters, collapsed, table_row};
use crate::html;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::collections::BTreeMap;
use vellum_core::document::{Document, Format, Layout, SectionKind};

/// Deepest list level that is still indented; deeper ones would only add blanks.
const MAX_INDENT_LEVEL: usize = 8;
/// Front matter keys that become metadata, at most; the rest is noise or an attack.
const MAX_METADATA: usize = 64;

/// Returns the document that `source` describes.
pub(crate) fn convert(source: &str) -> Document {
    let source = characters(source);
    let (mut metadata, body) = split_front_matter(&source);
    let mut options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    options |= Options::ENABLE_TASKLISTS | Options::ENABLE_FOOTNOTES;
    options |= Options::ENABLE_HEADING_ATTRIBUTES;
    let mut render = Render::default();
    for event in Parser::new_ext(body, options) {
        render.event(event);
    }
    let (text, sections) = render.out.finish();
    let first_heading = sections.iter().find_map(|section| match &section.kind {
        SectionKind::Heading { level: 1, title } => Some(title.clone()),
        SectionKind::Heading { .. } | SectionKind::Page(_) => None,
    });
    let title = metadata.remove("title").or(first_heading);
    Document {
        format: Format::Markdown,
        title,
        text,
        sections,
        metadata,
        layout: Layout::default(),
    }
}

/// Returns the scalar keys of a leading `---` block, and what follows it.
///
/// Reads `key: value` lines only. Real YAML would be a parser more to attack, for keys nobody asks for.
fn split_front_matter(source: &str) -> (BTreeMap<String, String>, &str) {
    let mut metadata = BTreeMap::new();
    let trimmed = source.trim_start_matches('\n');
    let Some(rest) = trimmed.strip_prefix("---\n") else { return (metadata, source) };
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        offset += line.len();
        let line = line.trim_end();
        if line == "---" || line == "..." {
            return (metadata, &rest[offset..]);
        }
        // A thematic break that opens a document is followed by an empty line or by prose.
        if offset == line.len() + 1 && line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t', '#', '-']) || metadata.len() == MAX_METADATA {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|&q| value.strip_prefix(q)?.strip_suffix(q));
        let value = collapsed(quoted.unwrap_or(value));
        if !value.is_empty() && !value.starts_with(['[', '{', '|', '>', '&']) {
            metadata.insert(key.trim().to_lowercase(), value);
        }
    }
    (BTreeMap::new(), source)
}

/// Where inline text goes now.
#[derive(Debug, Default, PartialEq, Eq)]
enum Target {
    /// Into the text.
    #[default]
    Text,
    /// Into the heading that is being read.
    Heading,
    /// Into the table cell that is being read.
    Cell,
    /// Into the HTML block that is being gathered.
    Html,
}

#[derive(Default)]
struct Render {
    out: TextBuilder,
    target: Target,
    /// Text of the open heading, cell or HTML block.
    buffer: String,
    cells: Vec<String>,
    /// Open lists; the next number of an ordered one.
    lists: Vec<Option<u64>>,
    /// Set by an item's marker, so that its first paragraph stays on the marker's line.
    after_marker: bool,
    in_code: bool,
    /// Open links: where they lead, and the length of what was being written when they began.
    links: Vec<(String, usize)>,
}

impl Render {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => self.code(&text),
            Event::Text(text) | Event::Code(text) => self.inline(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.inline(&text),
            Event::Html(html) => self.buffer.push_str(&html),
            Event::InlineHtml(html) => self.inline_html(&html),
            Event::SoftBreak => self.inline(" "),
            Event::HardBreak => self.hard_break(),
            Event::Rule => self.out.block(),
            Event::FootnoteReference(label) => self.inline(&format!("[{label}]")),
            Event::TaskListMarker(done) => self.inline(if done { "[x] " } else { "[ ] " }),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } => self.divert(Target::Heading),
            Tag::TableCell => self.divert(Target::Cell),
            Tag::HtmlBlock => self.divert(Target::Html),
            Tag::Paragraph | Tag::BlockQuote(_) => self.open_block(),
            Tag::CodeBlock(_) => {
                self.open_block();
                self.in_code = true;
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.out.block();
                } else {
                    self.out.line();
                }
                self.after_marker = false;
                self.lists.push(*first);
            }
            Tag::Item => self.item(),
            Tag::FootnoteDefinition(label) => {
                self.out.block();
                self.out.push(&format!("[{label}] "));
                self.after_marker = true;
            }
            Tag::Link { dest_url, .. } => {
                self.links.push((dest_url.to_string(), self.written().len()));
            }
            Tag::Table(_) => self.out.block(),
            Tag::TableHead | Tag::TableRow => self.cells.clear(),
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Image { .. }
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let title = self.taken();
                self.out.heading(rank(level), &title);
            }
            TagEnd::TableCell => {
                let cell = self.taken();
                self.cells.push(cell);
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                self.out.line();
                self.out.push(&table_row(&self.cells));
                self.out.line();
            }
            TagEnd::HtmlBlock => {
                let source = std::mem::take(&mut self.buffer);
                self.target = Target::Text;
                self.open_block();
                self.out.push_lines(&html::fragment(&source));
                self.out.block();
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.out.block();
            }
            TagEnd::Paragraph if self.lists.is_empty() => self.out.block(),
            TagEnd::Paragraph | TagEnd::Item => {
                self.out.line();
                self.after_marker = false;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.out.block();
                }
            }
            TagEnd::Link => self.link_end(),
            TagEnd::Table | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => self.out.block(),
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Image
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    /// Returns what is being written: the text, or what was diverted.
    fn written(&self) -> &str {
        if self.target == Target::Text { self.out.since(0) } else { &self.buffer }
    }

    /// Writes the address of a link behind its text.
    fn link_end(&mut self) {
        let Some((address, mark)) = self.links.pop() else { return };
        let shown = self.written().get(mark..).unwrap_or_default();
        // A heading is a name; addresses do not belong to it.
        if let (Some(address), true) =
            (unseen_address(shown.trim(), &address), self.target != Target::Heading)
        {
            let behind = format!(" ({address})");
            self.inline(&behind);
        }
    }

    /// Starts a block, unless a list marker waits for its first one; inside lists a line is enough.
    fn open_block(&mut self) {
        if std::mem::take(&mut self.after_marker) {
            return;
        }
        if self.lists.is_empty() {
            self.out.block();
        } else {
            self.out.line();
            self.indent(self.lists.len());
        }
    }

    fn item(&mut self) {
        self.out.line();
        self.indent(self.lists.len().saturating_sub(1));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.out.push(&format!("{number}. "));
                *number = number.saturating_add(1);
            }
            _ => self.out.push("- "),
        }
        self.after_marker = true;
    }

    fn indent(&mut self, level: usize) {
        self.out.push(&"  ".repeat(level.min(MAX_INDENT_LEVEL)));
    }

    fn divert(&mut self, target: Target) {
        self.target = target;
        self.buffer.clear();
    }

    fn taken(&mut self) -> String {
        self.target = Target::Text;
        collapsed(&std::mem::take(&mut self.buffer))
    }

    fn inline(&mut self, text: &str) {
        if self.target == Target::Text {
            // The marker's blank would swallow nothing, but text itself must not open with one.
            self.out.push_inline(text);
            self.after_marker = false;
        } else {
            self.buffer.push_str(text);
        }
    }

    fn code(&mut self, text: &str) {
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                self.out.newline();
            }
            if !line.is_empty() && self.out.at_line_start() {
                self.indent(self.lists.len());
            }
            self.out.push(line);
        }
    }

    fn inline_html(&mut self, html: &str) {
        let tag = html.trim_start_matches('<').to_ascii_lowercase();
        if tag.starts_with("br") {
            self.hard_break();
        }
    }

    fn hard_break(&mut self) {
        if self.target == Target::Text {
            self.out.line();
            if !self.lists.is_empty() {
                self.indent(self.lists.len());
            }
        } else {
            self.buffer.push(' ');
        }
    }
}

fn rank(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
