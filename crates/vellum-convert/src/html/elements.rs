//! What each element of HTML does to the text: the tables behind the renderer.
//!
//! Names and attributes only; nothing here knows what is open. What depends on the place of an element
//! (a footer inside an article, a hidden body) is decided by the renderer.

use html5ever::LocalName;
use html5ever::tokenizer::Tag;

/// What an element does to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: its text flows on.
    Inline,
    /// It is a paragraph of its own.
    Block,
    /// It and all it holds is left out.
    Skip,
    /// It is left out as furniture of the page.
    Furniture,
    /// Header of the page or of an article; decided at its end.
    Header,
    /// Article or main: headers inside are content.
    Article,
    /// Heading of this rank.
    Heading(u8),
    /// List; `true` when numbered.
    List {
        numbered: bool,
    },
    Item,
    Table,
    Caption,
    Row,
    Cell,
    Pre,
    Title,
}

/// Returns what an element of this name does where nothing else is said.
pub(super) fn effect(name: &LocalName) -> Effect {
    match &**name {
        "title" => Effect::Title,
        "script" | "style" | "template" | "noscript" | "svg" | "canvas" | "iframe" | "object"
        | "button" | "select" | "textarea" | "label" | "legend" | "datalist" | "dialog"
        | "noembed" | "noframes" | "audio" | "video" | "map" => Effect::Skip,
        "nav" | "aside" | "footer" | "menu" => Effect::Furniture,
        "header" => Effect::Header,
        "main" | "article" => Effect::Article,
        "h1" => Effect::Heading(1),
        "h2" => Effect::Heading(2),
        "h3" => Effect::Heading(3),
        "h4" => Effect::Heading(4),
        "h5" => Effect::Heading(5),
        "h6" => Effect::Heading(6),
        "ul" | "dir" => Effect::List { numbered: false },
        "ol" => Effect::List { numbered: true },
        "li" => Effect::Item,
        "table" => Effect::Table,
        "caption" => Effect::Caption,
        "tr" => Effect::Row,
        "td" | "th" => Effect::Cell,
        "pre" | "xmp" | "listing" => Effect::Pre,
        "address" | "blockquote" | "body" | "center" | "dd" | "details" | "div" | "dl" | "dt"
        | "fieldset" | "figcaption" | "figure" | "form" | "hgroup" | "hr" | "p" | "search"
        | "section" | "summary" | "thead" | "tbody" | "tfoot" => Effect::Block,
        _ => Effect::Inline,
    }
}

/// Returns whether the element never has an end tag (HTML 13.1.2).
pub(super) fn is_void(name: &LocalName) -> bool {
    matches!(
        &**name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Returns the value of an attribute.
pub(super) fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attr| &*attr.name.local == name).map(|attr| &*attr.value)
}

/// Returns whether a browser would not show the element.
pub(super) fn is_hidden(tag: &Tag) -> bool {
    attribute(tag, "hidden").is_some()
        || attribute(tag, "aria-hidden").is_some_and(|value| value == "true")
        || attribute(tag, "style").is_some_and(|style| {
            let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
            style.contains("display:none") || style.contains("visibility:hidden")
        })
}

/// Returns whether `tag` is the link by which keyboards skip the navigation.
pub(super) fn is_skip_link(tag: &Tag) -> bool {
    &*tag.name == "a"
        && attribute(tag, "href").is_some_and(|href| href.starts_with('#'))
        && attribute(tag, "class").is_some_and(|class| class.contains("skip"))
}

/// Returns whether its role makes the element furniture of the page.
pub(super) fn is_furniture_role(tag: &Tag) -> bool {
    attribute(tag, "role").is_some_and(|role| {
        matches!(role, "navigation" | "search" | "contentinfo" | "complementary")
    })
}
