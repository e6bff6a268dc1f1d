//! A message as it is shown: the lines of its head, then its text.
//!
//! Shared by both kinds of mail files, so that a message reads the same whichever program kept it.

use crate::clean::collapsed;
use crate::embedded::as_section;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use vellum_core::document::{Document, Format};

/// Stands for a text that only its reader can open.
pub(crate) const PGP_NOTE: &str = "[The text is encrypted with PGP and was not read.]";
/// As [`PGP_NOTE`].
pub(crate) const SMIME_NOTE: &str = "[The text is encrypted with S/MIME and was not read.]";
/// Shortest quoted paragraph that is left out when it occurs twice, in bytes; greetings stay.
const MIN_QUOTED: usize = 40;

/// A message's head and text.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cc: String,
    pub(crate) date: String,
    pub(crate) message_id: String,
    /// What is said of a text that cannot be read.
    pub(crate) notes: Vec<&'static str>,
    pub(crate) body: Option<Document>,
}

impl Letter {
    /// Adds a part of the text.
    pub(crate) fn add(&mut self, part: Document) {
        let part = if part.sections.is_empty() { plain(part) } else { part };
        match &mut self.body {
            Some(body) => body.append(&part),
            None => self.body = Some(part),
        }
    }

    /// Returns the length of the text, in bytes.
    pub(crate) fn n_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.text.len())
    }

    /// Returns the message as a document in `format`.
    pub(crate) fn document(self, format: Format) -> Document {
        let head = [
            ("From", "from", &self.from),
            ("To", "to", &self.to),
            ("Cc", "cc", &self.cc),
            ("Date", "date", &self.date),
        ];
        let lines = head.iter().filter(|(.., value)| !value.is_empty());
        let lines = lines.map(|(name, _, value)| format!("{name}: {value}")).collect::<Vec<_>>();
        let mut document = Document::plain(lines.join("\n"));
        for note in &self.notes {
            if !document.text.contains(note) {
                document.append(&Document::plain(*note));
            }
        }
        if let Some(body) = &self.body {
            document.append(body);
        }
        let mut metadata = BTreeMap::new();
        let more = [("", "subject", &self.subject), ("", "message-id", &self.message_id)];
        for (_, key, value) in head.into_iter().chain(more) {
            if !value.is_empty() {
                metadata.insert(key.to_owned(), value.clone());
            }
        }
        let text = document.text.trim_start();
        let cut = document.text.len() - text.len();
        let document = Document { text: text.to_owned(), ..shifted(document, cut) };
        let title = Some(self.subject.clone()).filter(|subject| !subject.is_empty());
        Document { title, metadata, ..as_section(document, &self.subject, true, format) }
    }
}

/// Moves the sections of a document whose text lost `cut` bytes at its start.
fn shifted(mut document: Document, cut: usize) -> Document {
    for section in &mut document.sections {
        section.span.start = section.span.start.saturating_sub(cut);
        section.span.end = section.span.end.saturating_sub(cut);
    }
    document
}

/// Returns a plain text with encrypted blocks named and each quoted paragraph once.
fn plain(mut part: Document) -> Document {
    if let Some(start) = part.text.find("-----BEGIN PGP MESSAGE-----") {
        const END: &str = "-----END PGP MESSAGE-----";
        let end = part.text[start..].find(END).map_or(part.text.len(), |at| start + at + END.len());
        part.text.replace_range(start..end, PGP_NOTE);
    }
    part.text = quoted_once(&part.text);
    part
}

/// Leaves out quoted paragraphs that stood before, quoted or not.
fn quoted_once(text: &str) -> String {
    let mut seen = HashSet::new();
    let mut kept: Vec<&str> = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut depth = 0;
    for line in text.lines().chain([""]) {
        let (level, bare) = unquoted(line);
        if level != depth || bare.is_empty() {
            keep(&mut paragraph, depth, &mut seen, &mut kept);
            depth = level;
        }
        if bare.is_empty() {
            kept.push(line);
        } else {
            paragraph.push(line);
        }
    }
    keep(&mut paragraph, depth, &mut seen, &mut kept);
    // Of a quotation that went only its marks are left.
    let mut out = String::with_capacity(text.len());
    let mut was_empty = false;
    for line in kept {
        let is_empty = unquoted(line).1.is_empty();
        if !(is_empty && was_empty) {
            out.push_str(if is_empty { "" } else { line });
            out.push('\n');
        }
        was_empty = is_empty;
    }
    out.trim_end().to_owned()
}

fn keep<'a>(
    paragraph: &mut Vec<&'a str>,
    depth: usize,
    seen: &mut HashSet<u64>,
    kept: &mut Vec<&'a str>,
) {
    let bare: Vec<&str> = paragraph.iter().map(|line| unquoted(line).1).collect();
    let bare = collapsed(&bare.join(" "));
    let mut hasher = DefaultHasher::new();
    bare.hash(&mut hasher);
    let is_new = seen.insert(hasher.finish());
    if is_new || depth == 0 || bare.len() < MIN_QUOTED {
        kept.append(paragraph);
    }
    paragraph.clear();
}

/// Returns how often a line is quoted, and what it quotes.
fn unquoted(line: &str) -> (usize, &str) {
    let mut rest = line.trim();
    let mut depth = 0;
    while let Some(after) = rest.strip_prefix('>') {
        rest = after.trim_start();
        depth += 1;
    }
    (depth, rest)
}

/// Joins the lines of a text that was sent with `format=flowed` (RFC 3676).
pub(crate) fn unflowed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Quote depth of the line that flows on.
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start_matches('>').len();
        let body = &line[depth..];
        let body = body.strip_prefix(' ').unwrap_or(body);
        if open != Some(depth) {
            if open.is_some() {
                out.push('\n');
            }
            out.push_str(&line[..depth]);
            if depth > 0 {
                out.push(' ');
            }
        }
        out.push_str(body);
        let flows = body.ends_with(' ') && body != "-- ";
        open = flows.then_some(depth);
        if !flows {
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stand_once() {
        let long = "The office in Utrecht is closed on the first Friday of each month.";
        let text = format!("Agreed.\n\n> {long}\n> Right?\n>\n>> {long}\n>\n> > Yes.\n");
        assert_eq!(
            quoted_once(&text),
            format!("Agreed.\n\n> {long}\n> Right?\n\n>> {long}\n\n> > Yes.")
        );
        let text = format!("{long}\n\nBob wrote:\n> {long}\n\nBye");
        assert_eq!(quoted_once(&text), format!("{long}\n\nBob wrote:\n\nBye"));
    }

    #[test]
    fn flowed_lines_join() {
        let source = "one \ntwo\n> three \n> four\nfive \n-- \nsix";
        assert_eq!(unflowed(source), "one two\n> three four\nfive -- \nsix\n");
    }
}
