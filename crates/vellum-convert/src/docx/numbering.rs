//! Lists: the label that Word shows before a paragraph, such as `2.1.3` or `(iv)`.
//!
//! A paragraph names a list and a level. Lists are uses of a definition and count together unless one starts anew.
//! A level's label is a pattern, `%1.%2`, with the counters of its own and of higher levels in it.
//! Reference: ECMA-376 part 1, 17.9.

use crate::number::{letters, roman};
use crate::xml::{Token, Xml};
use std::collections::{HashMap, HashSet};
use vellum_core::Result;

/// Levels that a list has.
const N_LEVELS: usize = 9;

/// How one level counts and what it shows.
#[derive(Debug, Clone)]
struct Level {
    start: u32,
    format: String,
    pattern: String,
    /// The level whose items set this one back; 0 is none.
    restart: Option<usize>,
    /// All counters as digits, whatever their level says.
    is_legal: bool,
    style: Option<String>,
}

impl Default for Level {
    fn default() -> Self {
        let format = "decimal".to_owned();
        Self {
            start: 1,
            format,
            pattern: String::new(),
            restart: None,
            is_legal: false,
            style: None,
        }
    }
}

/// A definition: its levels, and the style in which they are really defined.
#[derive(Debug, Clone, Default)]
struct Definition {
    levels: Vec<Level>,
    style_link: Option<String>,
    defines_style: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct List {
    definition: u32,
    starts: HashMap<usize, u32>,
    levels: HashMap<usize, Level>,
}

/// The lists of a document and how far they have counted.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    definitions: HashMap<u32, Definition>,
    lists: HashMap<u32, List>,
    counters: HashMap<u32, [Option<u32>; N_LEVELS]>,
    /// Lists whose own starts were applied, with the level.
    started: HashSet<(u32, usize)>,
}

impl Numbering {
    /// Reads `word/numbering.xml`.
    pub(super) fn read(source: &str) -> Result<Self> {
        let mut numbering = Self::default();
        let mut xml = Xml::new(source);
        let mut definition: Option<(u32, Definition)> = None;
        let mut list: Option<(u32, List)> = None;
        let mut at = 0;
        while let Some(token) = xml.next()? {
            let element = match token {
                Token::Start(element) => element,
                Token::End(end) => {
                    match end.name() {
                        "abstractNum" => numbering.definitions.extend(definition.take()),
                        "num" => numbering.lists.extend(list.take()),
                        _ => {}
                    }
                    continue;
                }
                Token::Text(_) => continue,
            };
            let value = || element.attr("val").unwrap_or_default();
            match element.name() {
                "abstractNum" => {
                    let id = element.number("abstractNumId").unwrap_or(0);
                    definition = Some((id, Definition::default()));
                }
                "num" => list = Some((element.number("numId").unwrap_or(0), List::default())),
                "rPr" | "pPr" => xml.skip()?,
                "lvl" | "lvlOverride" => {
                    at = element.number("ilvl").unwrap_or(0).min(N_LEVELS - 1);
                    if element.name() == "lvl" {
                        if let Some((_, list)) = &mut list {
                            list.levels.insert(at, Level::default());
                        } else if let Some((_, definition)) = &mut definition {
                            let n = definition.levels.len().max(at + 1);
                            definition.levels.resize(n, Level::default());
                        }
                    }
                }
                name => match (&mut definition, &mut list) {
                    (_, Some((_, list))) => match name {
                        "abstractNumId" => list.definition = element.number("val").unwrap_or(0),
                        "startOverride" => {
                            list.starts.insert(at, element.number("val").unwrap_or(1));
                        }
                        name => {
                            if let Some(level) = list.levels.get_mut(&at) {
                                set(level, name, value());
                            }
                        }
                    },
                    (Some((_, definition)), None) => match name {
                        "numStyleLink" => definition.style_link = Some(value()),
                        "styleLink" => definition.defines_style = Some(value()),
                        name => {
                            if let Some(level) = definition.levels.get_mut(at) {
                                set(level, name, value());
                            }
                        }
                    },
                    (None, None) => {}
                },
            }
        }
        numbering.follow_styles();
        Ok(numbering)
    }

    /// Gives definitions that only name a style the levels of the definition that defines it.
    fn follow_styles(&mut self) {
        let by_style: HashMap<String, Vec<Level>> = self
            .definitions
            .values()
            .filter_map(|d| Some((d.defines_style.clone()?, d.levels.clone())))
            .collect();
        for definition in self.definitions.values_mut().filter(|d| d.levels.is_empty()) {
            let levels = definition.style_link.as_ref().and_then(|style| by_style.get(style));
            definition.levels = levels.cloned().unwrap_or_default();
        }
    }

    /// Returns the level of `list` that belongs to the paragraph style `style`.
    pub(super) fn level_of_style(&self, list: u32, style: &str) -> Option<usize> {
        let definition = self.definitions.get(&self.lists.get(&list)?.definition)?;
        definition.levels.iter().position(|level| level.style.as_deref() == Some(style))
    }

    /// Counts a paragraph of `list` at `level` and returns its label: `-` for a bullet, empty where none is shown;
    /// `None` when there is no such list.
    pub(super) fn label(&mut self, list: u32, level: usize) -> Option<String> {
        let found = self.lists.get(&list)?;
        let definition = self.definitions.get(&found.definition)?;
        let level = level.min(N_LEVELS - 1);
        let default = Level::default();
        let of = |n: usize| {
            found.levels.get(&n).or_else(|| definition.levels.get(n)).unwrap_or(&default)
        };
        let counters = self.counters.entry(found.definition).or_default();
        if let Some(&start) = found.starts.get(&level)
            && self.started.insert((list, level))
        {
            counters[level] = Some(start);
        } else {
            counters[level] =
                Some(counters[level].map_or(of(level).start, |count| count.saturating_add(1)));
        }
        for (deeper, counter) in counters.iter_mut().enumerate().skip(level + 1) {
            if of(deeper).restart.is_none_or(|after| after > level) {
                *counter = None;
            }
        }
        let own = of(level);
        if own.format == "bullet" {
            return Some("-".into());
        }
        if own.format == "none" && !own.pattern.contains('%') {
            return Some(own.pattern.clone());
        }
        let mut label = String::new();
        let mut pattern = own.pattern.chars().peekable();
        while let Some(c) = pattern.next() {
            let digit = pattern.peek().and_then(|next| next.to_digit(10)).filter(|n| *n > 0);
            let (true, Some(digit)) = (c == '%', digit) else {
                label.push(c);
                continue;
            };
            pattern.next();
            let n = (digit as usize - 1).min(N_LEVELS - 1);
            // A level without an item yet shows where it would start.
            let count = counters[n].unwrap_or(of(n).start);
            label.push_str(&formatted(count, if own.is_legal { "decimal" } else { &of(n).format }));
        }
        Some(label.trim().to_owned())
    }
}

fn set(level: &mut Level, name: &str, value: String) {
    match name {
        "start" => level.start = value.parse().unwrap_or(1),
        "numFmt" => level.format = value,
        "lvlText" => level.pattern = value,
        "lvlRestart" => level.restart = value.parse().ok(),
        "isLgl" => level.is_legal = !matches!(&*value, "0" | "false"),
        "pStyle" => level.style = Some(value),
        _ => {}
    }
}

fn formatted(n: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(n),
        "upperLetter" => letters(n).to_uppercase(),
        "lowerRoman" => roman(n),
        "upperRoman" => roman(n).to_uppercase(),
        "decimalZero" => format!("{n:02}"),
        "ordinal" => {
            let ending = match (n % 10, n % 100) {
                (_, 11..=13) => "th",
                (1, _) => "st",
                (2, _) => "nd",
                (3, _) => "rd",
                _ => "th",
            };
            format!("{n}{ending}")
        }
        "none" => String::new(),
        _ => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbering() -> Numbering {
        let level = |n: usize, format: &str, text: &str| {
            format!(
                "<w:lvl w:ilvl='{n}'><w:start w:val='1'/><w:numFmt w:val='{format}'/>\
                 <w:lvlText w:val='{text}'/></w:lvl>"
            )
        };
        let source = format!(
            "<w:numbering><w:abstractNum w:abstractNumId='0'>{}{}{}</w:abstractNum>\
             <w:abstractNum w:abstractNumId='1'>{}</w:abstractNum>\
             <w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>\
             <w:num w:numId='2'><w:abstractNumId w:val='0'/><w:lvlOverride w:ilvl='0'>\
             <w:startOverride w:val='7'/></w:lvlOverride></w:num>\
             <w:num w:numId='3'><w:abstractNumId w:val='1'/></w:num></w:numbering>",
            level(0, "decimal", "%1."),
            level(1, "decimal", "%1.%2"),
            level(2, "lowerRoman", "(%3)"),
            level(0, "bullet", "\u{f0b7}"),
        );
        Numbering::read(&source).unwrap()
    }

    #[test]
    fn labels_count_as_word_does() {
        let mut numbering = numbering();
        let steps = [
            (1, 0, "1."),
            (1, 1, "1.1"),
            (1, 1, "1.2"),
            (1, 2, "(i)"),
            (1, 0, "2."),
            (1, 1, "2.1"),
            (1, 2, "(i)"),
            (1, 2, "(ii)"),
            (2, 0, "7."),
            (2, 0, "8."),
            (3, 0, "-"),
            (1, 2, "(i)"),
        ];
        for (list, level, expect) in steps {
            assert_eq!(numbering.label(list, level).as_deref(), Some(expect));
        }
        assert_eq!(numbering.label(9, 0), None);
    }
}
