//! Token counts: how much a chunk may hold at each place of a document.
//!
//! Counting is the cost of splitting, so each piece of text is counted once, and once more as part of its finished chunk:
//! joined text can count more than its parts. A chunk's context (title and headings) counts within the bound.

use vellum_core::chunk::with_context;
use vellum_core::document::{Document, SectionKind, Span};

/// Share of the bound that a context may take: one part in so many.
const CONTEXT_SHARE: usize = 4;

/// Counts the tokens of a document's text against a bound.
pub(super) struct Meter<'a> {
    text: &'a str,
    count: &'a dyn Fn(&str) -> usize,
    /// Tokens that the embedder adds around every text.
    special: usize,
    /// Bound, special tokens included.
    max: usize,
    /// Contexts from the byte on where each begins, ascending; none where chunks have no context.
    contexts: Vec<Context>,
}

struct Context {
    start: usize,
    line: String,
    /// Special tokens left out.
    tokens: usize,
}

impl<'a> Meter<'a> {
    /// Returns a meter for chunks of `text` of at most `max` tokens.
    pub(super) fn new(text: &'a str, max: usize, count: &'a dyn Fn(&str) -> usize) -> Self {
        let special = count("");
        Self { text, count, special, max: max.max(special + 1), contexts: Vec::new() }
    }

    /// Makes each chunk carry title and headings, as far as they take a quarter of the bound: outer ones are left out first.
    pub(super) fn with_contexts(mut self, document: &Document, title: Option<&str>) -> Self {
        let mut bounds: Vec<usize> = document
            .sections
            .iter()
            .filter(|section| matches!(section.kind, SectionKind::Heading { .. }))
            .flat_map(|section| [section.span.start, section.span.end])
            .chain([0])
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        self.contexts =
            bounds.into_iter().map(|at| self.context_from(document, title, at)).collect();
        self
    }

    fn context_from(&self, document: &Document, title: Option<&str>, start: usize) -> Context {
        let headings = headings_at(document, start);
        let mut path: Vec<&str> = title.into_iter().collect();
        path.extend(headings.iter().map(String::as_str));
        // A document's first heading often is its title.
        path.dedup();
        for from in 0..path.len() {
            let line = one_line(&path[from..]);
            let tokens = (self.count)(&with_context(&line, "")).saturating_sub(self.special);
            if !line.is_empty() && tokens * CONTEXT_SHARE <= self.max {
                return Context { start, line, tokens };
            }
        }
        Context { start, line: String::new(), tokens: 0 }
    }

    pub(super) fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start..span.end]
    }

    /// Returns the tokens of a span, special tokens left out.
    pub(super) fn tokens(&self, span: Span) -> usize {
        self.tokens_of(self.slice(span))
    }

    /// Returns the tokens of a text, special tokens left out.
    pub(super) fn tokens_of(&self, text: &str) -> usize {
        (self.count)(text).saturating_sub(self.special)
    }

    /// Returns the tokens that the text of a chunk may have that begins at byte `at`, special tokens left out; at least 1.
    pub(super) fn room(&self, at: usize) -> usize {
        self.max - self.special - self.context_at(at).map_or(0, |context| context.tokens)
    }

    /// Returns whether `tokens` fill a quarter of a chunk of `room`, special tokens included.
    pub(super) fn is_quarter(&self, tokens: usize, room: usize) -> bool {
        (tokens + self.special) * 4 >= room + self.special
    }

    /// Returns the tokens that a finished chunk has beside its context, special tokens left out.
    pub(super) fn finished(&self, span: Span) -> usize {
        match self.context_at(span.start) {
            None => self.tokens(span),
            Some(context) => {
                let whole = self.tokens_of(&with_context(&context.line, self.slice(span)));
                whole.saturating_sub(context.tokens)
            }
        }
    }

    /// Returns the context of a finished chunk; empty where there is none or it does not fit after all.
    pub(super) fn context_of(&self, span: Span) -> String {
        match self.context_at(span.start) {
            Some(context) if self.finished(span) <= self.room(span.start) => context.line.clone(),
            _ => String::new(),
        }
    }

    fn context_at(&self, at: usize) -> Option<&Context> {
        let before = self.contexts.partition_point(|context| context.start <= at);
        self.contexts[..before].last().filter(|context| !context.line.is_empty())
    }
}

/// Joins the names with ` > `; each on one line, none empty.
fn one_line(path: &[&str]) -> String {
    let plain = |name: &&str| name.split_whitespace().collect::<Vec<_>>().join(" ");
    let names: Vec<String> = path.iter().map(plain).filter(|name| !name.is_empty()).collect();
    names.join(" > ")
}

/// Returns the headings above byte `at`, outermost first.
pub(super) fn headings_at(document: &Document, at: usize) -> Vec<String> {
    let mut path = Vec::new();
    for section in &document.sections {
        if let SectionKind::Heading { title, .. } = &section.kind
            && section.span.start <= at
            && at < section.span.end
        {
            path.push(title.clone());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::document::Section;

    #[test]
    fn contexts_follow_the_headings_and_take_a_quarter_at_most() {
        let text = "Rules\n\nPaid leave\n\nOne. Two.\n\nOther";
        let mut document = Document::plain(text);
        let mut heading = |level, title: &str, start: &str, end: usize| {
            let kind = SectionKind::Heading { level, title: title.to_owned() };
            let start = text.find(start).unwrap();
            document.sections.push(Section { kind, span: Span { start, end } });
        };
        heading(1, "Rules", "Rules", text.find("Other").unwrap());
        heading(2, "Paid\nleave", "Paid", text.find("Other").unwrap());
        let words = |text: &str| text.split_whitespace().count() + 2;
        let at = |start: &str, max, title| {
            let meter = Meter::new(text, max, &words).with_contexts(&document, title);
            let start = text.find(start).unwrap();
            let span = Span { start, end: start + 4 };
            (meter.context_of(span), meter.room(start))
        };
        assert_eq!(at("One", 40, Some("Rules")), ("Rules > Paid leave".to_owned(), 34));
        assert_eq!(at("One", 40, Some("Book")), ("Book > Rules > Paid leave".to_owned(), 32));
        assert_eq!(
            at("One", 16, Some("Book")),
            ("Rules > Paid leave".to_owned(), 10),
            "a quarter of 16"
        );
        assert_eq!(at("One", 7, Some("Book")), (String::new(), 5));
        assert_eq!(at("Other", 40, None), (String::new(), 38));
    }
}
