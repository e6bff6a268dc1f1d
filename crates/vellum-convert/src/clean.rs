//! Text as every format delivers it: cleaned characters, and a builder that keeps the line rules.
//!
//! Rules of a document's text: `\n` ends lines, no control, bidi-override or tag characters, no soft
//! hyphens, no trailing blanks, never more than one empty line, none at either end.
//!
//! [`TextBuilder`] keeps these rules while it is written to, so a position that was handed out as the
//! start of a heading stays right. Collapsing of inner blanks belongs to the formats, because code
//! blocks keep theirs.

use vellum_core::document::{Section, SectionKind, Span};

/// Returns `text` with `\n` line ends and without characters that no reader can see.
///
/// Invisible characters are dropped because they break words for search (soft hyphen, zero-width
/// space) or hide instructions from the human reader (tag characters, bidi overrides).
pub(crate) fn characters(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut after_return = false;
    for c in text.chars() {
        match c {
            '\n' if after_return => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\u{b}' | '\u{c}' => clean.push_str("\n\n"),
            _ if is_invisible(c) => {}
            _ => clean.push(c),
        }
        after_return = c == '\r';
    }
    clean
}

/// Returns whether `c` is a control or format character that carries no text.
pub(crate) fn is_invisible(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

/// Appends `text` to `out` with each run of white space as one space, none at the start of a line.
pub(crate) fn push_collapsed(out: &mut String, text: &str) {
    for c in text.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
    }
}

/// Returns `text` trimmed and with each run of white space as one space.
pub(crate) fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_collapsed(&mut out, text);
    out.truncate(out.trim_end().len());
    out
}

/// Returns `| a | b |`; a bar inside a cell is left alone, the text is for reading.
pub(crate) fn table_row(cells: &[String]) -> String {
    let mut row = String::from("|");
    for cell in cells {
        row.push(' ');
        row.push_str(cell);
        row.push_str(" |");
    }
    row
}

/// A document's text and headings while they are written.
#[derive(Debug, Default)]
pub(crate) struct TextBuilder {
    text: String,
    sections: Vec<Section>,
    /// Headings whose end is not known yet: index in `sections`, ascending by level.
    open: Vec<usize>,
}

impl TextBuilder {
    /// Appends text that holds no line end; its blanks stay.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends inline text, white space collapsed against what stands before it.
    pub(crate) fn push_inline(&mut self, text: &str) {
        push_collapsed(&mut self.text, text);
    }

    /// Appends lines as they are, each stripped of trailing blanks.
    pub(crate) fn push_lines(&mut self, text: &str) {
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                self.newline();
            }
            self.push(line);
        }
    }

    /// Ends the line, empty or not; a third newline in a row is not written.
    pub(crate) fn newline(&mut self) {
        self.trim_blanks();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Moves to the start of a line.
    pub(crate) fn line(&mut self) {
        self.trim_blanks();
        if !self.at_line_start() {
            self.text.push('\n');
        }
    }

    /// Moves to the start of a paragraph.
    pub(crate) fn block(&mut self) {
        self.line();
        self.newline();
    }

    /// Writes a heading on its own line and opens its section.
    pub(crate) fn heading(&mut self, level: u8, title: &str) {
        if title.is_empty() {
            return;
        }
        self.block();
        let start = self.text.len();
        while let Some(&last) = self.open.last() {
            if !matches!(self.sections[last].kind, SectionKind::Heading { level: l, .. } if l >= level)
            {
                break;
            }
            self.sections[last].span.end = start;
            self.open.pop();
        }
        self.open.push(self.sections.len());
        let kind = SectionKind::Heading { level, title: title.to_owned() };
        self.sections.push(Section { kind, span: Span { start, end: start } });
        self.push(title);
        self.block();
    }

    /// Returns the current length; a mark for [`TextBuilder::rewind`].
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns whether the next character starts a line.
    pub(crate) fn at_line_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    /// Returns what was written since `mark`.
    pub(crate) fn since(&self, mark: usize) -> &str {
        self.text.get(mark..).unwrap_or_default()
    }

    /// Returns whether a first-rank heading was written since `mark`.
    pub(crate) fn has_title_since(&self, mark: usize) -> bool {
        self.sections.iter().any(|section| {
            section.span.start >= mark
                && matches!(section.kind, SectionKind::Heading { level: 1, .. })
        })
    }

    /// Forgets everything that was written since `mark`, headings included.
    pub(crate) fn rewind(&mut self, mark: usize) {
        self.text.truncate(mark);
        self.sections.retain(|section| section.span.start < mark);
        self.open.retain(|&index| index < self.sections.len());
    }

    /// Returns the text without blank ends, and the sections with their ends set.
    pub(crate) fn finish(mut self) -> (String, Vec<Section>) {
        self.text.truncate(self.text.trim_end().len());
        let end = self.text.len();
        for index in self.open {
            self.sections[index].span.end = end;
        }
        for section in &mut self.sections {
            // Ends were set to the start of the next heading; the gap of blank lines belongs to none.
            let covered = self.text.get(section.span.start..section.span.end.min(end));
            section.span.end = section.span.start + covered.unwrap_or_default().trim_end().len();
        }
        (self.text, self.sections)
    }

    fn trim_blanks(&mut self) {
        let kept = self.text.trim_end_matches(|c: char| c != '\n' && c.is_whitespace()).len();
        self.text.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_dropped() {
        assert_eq!(
            characters("a\r\nb\rc\0\u{ad}d\u{202e}e\u{e0041}\u{c}f\ttab"),
            "a\nb\ncde\n\nf\ttab"
        );
    }

    #[test]
    fn headings_nest_and_close() {
        let mut builder = TextBuilder::default();
        for (level, title) in [(1, "A"), (2, "B"), (3, "C"), (2, "D"), (1, "E")] {
            builder.heading(level, title);
            builder.push("x  ");
        }
        let (text, sections) = builder.finish();
        assert_eq!(text, "A\n\nx\n\nB\n\nx\n\nC\n\nx\n\nD\n\nx\n\nE\n\nx");
        let covered: Vec<&str> = sections.iter().map(|s| &text[s.span.start..s.span.end]).collect();
        assert_eq!(
            covered,
            [
                "A\n\nx\n\nB\n\nx\n\nC\n\nx\n\nD\n\nx",
                "B\n\nx\n\nC\n\nx",
                "C\n\nx",
                "D\n\nx",
                "E\n\nx"
            ]
        );
    }
}
