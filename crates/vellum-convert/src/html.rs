//! HTML to readable plain text: the main content without the page's furniture.
//!
//! Works on the token stream of html5ever, without building a tree: a stack of open elements on the heap
//! stands in for it, so nesting of any depth costs neither call stack nor more than linear time.
//!
//! - Dropped: scripts, styles, templates, form controls, navigation, asides, hidden elements, and the
//!   header and footer of the page (those of an article stay, and so does a page header that holds the
//!   first heading and no navigation). When nothing remains, furniture is read after all.
//! - Blocks become paragraphs, headings open sections, items start with `- ` or their number, each table
//!   row is one `| a | b |` line, `pre` is verbatim. Merged cells stand in every row and column that they cover. A
//!   table that holds a table is layout: its cells are blocks.
//! - The address of a link follows its text, unless the text shows it or it leads inside the site.

mod elements;
mod render;
mod table;

use crate::clean::characters;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use render::{Furniture, Render};
use std::cell::RefCell;
use vellum_core::document::{Document, Format, Layout, SectionKind};

/// Returns the document that `source` describes.
pub(crate) fn convert(source: &str) -> Document {
    let source = characters(source);
    let page = run(&source, Furniture::Drop);
    document(if page.out.len() == 0 { run(&source, Furniture::Keep) } else { page })
}

/// Returns the document that `source` describes, which is no page of a site: a chapter of a book, a message.
///
/// What is furniture elsewhere is content there: notes stand in asides, signatures in footers.
pub(crate) fn convert_whole(source: &str) -> Document {
    document(run(&characters(source), Furniture::Keep))
}

fn document(page: Render) -> Document {
    let (text, sections) = page.out.finish();
    let first_heading = page.first_heading.or_else(|| {
        sections.iter().find_map(|section| match &section.kind {
            SectionKind::Heading { level: 1, title } => Some(title.clone()),
            SectionKind::Heading { .. } | SectionKind::Page(_) => None,
        })
    });
    let title = match first_heading {
        Some(heading) if page.title.is_empty() || is_site_title(&page.title, &heading) => {
            Some(heading)
        }
        _ => Some(page.title).filter(|title| !title.is_empty()),
    };
    let (metadata, layout) = (page.metadata, Layout::default());
    Document { format: Format::Html, title, text, sections, metadata, layout }
}

/// Returns whether `title` is the heading with the name of the site after it.
fn is_site_title(title: &str, heading: &str) -> bool {
    title.strip_prefix(heading).is_some_and(|rest| {
        [" | ", " - ", " – ", " — ", " · ", " :: "].iter().any(|part| rest.starts_with(part))
    })
}

/// Returns the text of a piece of HTML, such as a block inside Markdown.
pub(crate) fn fragment(source: &str) -> String {
    run(source, Furniture::Keep).out.finish().0
}

fn run(source: &str, furniture: Furniture) -> Render {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    let tokenizer =
        Tokenizer::new(Sink(RefCell::new(Render::new(furniture))), TokenizerOpts::default());
    // The only reason to stop early is a script; this sink asks for none.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let mut render = tokenizer.sink.0.into_inner();
    render.end();
    render
}

/// Feeds tokens to the renderer and switches the tokenizer for elements whose content is not markup.
struct Sink(RefCell<Render>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut render = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => render.text(&text),
            Token::TagToken(tag) => match tag.kind {
                TagKind::StartTag => {
                    let raw = raw_kind(&tag).filter(|_| !tag.self_closing);
                    render.start(&tag);
                    if let Some(kind) = raw {
                        return TokenSinkResult::RawData(kind);
                    }
                }
                TagKind::EndTag => render.close(&tag.name),
            },
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

/// Returns how the tokenizer must read the content of an element (HTML 13.2.6.4, "in head", "in body").
fn raw_kind(tag: &Tag) -> Option<RawKind> {
    match &*tag.name {
        "title" | "textarea" => Some(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "script" => Some(RawKind::ScriptData),
        _ => None,
    }
}
