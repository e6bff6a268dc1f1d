//! Styles: how lists and headings are numbered, and which paragraph is the title.

use crate::number::{letters, roman};
use crate::xml::{Token, Xml};
use std::collections::HashMap;
use vellum_core::Result;

/// Levels that a list has.
pub(super) const N_LEVELS: usize = 10;
/// Longest chain of styles that is followed.
const MAX_CHAIN: usize = 32;

/// Counters of one list, by level.
pub(super) type Counters = [Option<u32>; N_LEVELS];

/// How one level counts and what it shows.
#[derive(Debug, Clone)]
pub(super) struct Level {
    is_bullet: bool,
    format: String,
    prefix: String,
    suffix: String,
    start: u32,
    /// How many levels the label shows, its own included.
    n_shown: usize,
}

/// The styles of a document.
#[derive(Debug, Default)]
pub(super) struct Styles {
    lists: HashMap<String, Vec<Option<Level>>>,
    /// The style that each paragraph style inherits from.
    parents: HashMap<String, String>,
}

/// The name under which the numbers of headings are kept; no style can have it.
const OUTLINE: &str = "";

impl Styles {
    /// Adds the styles of a part.
    pub(super) fn add(&mut self, source: &str) -> Result<()> {
        let mut xml = Xml::new(source);
        let mut list: Option<String> = None;
        while let Some(token) = xml.next()? {
            let element = match token {
                Token::Start(element) => element,
                Token::End(end) if matches!(end.name(), "list-style" | "outline-style") => {
                    list = None;
                    continue;
                }
                Token::End(_) | Token::Text(_) => continue,
            };
            match element.name() {
                "body" => break,
                "outline-style" => list = Some(OUTLINE.to_owned()),
                "list-style" => list = element.attr("name"),
                "list-level-style-bullet"
                | "list-level-style-image"
                | "list-level-style-number"
                | "outline-level-style" => {
                    let Some(list) = &list else { continue };
                    let level = element.number::<usize>("level").unwrap_or(1).clamp(1, N_LEVELS);
                    let levels = self.lists.entry(list.clone()).or_default();
                    levels.resize(levels.len().max(level), None);
                    levels[level - 1] = Some(Level {
                        is_bullet: element.name().ends_with("bullet")
                            || element.name().ends_with("image"),
                        format: element.attr("num-format").unwrap_or_default(),
                        prefix: element.attr("num-prefix").unwrap_or_default(),
                        suffix: element.attr("num-suffix").unwrap_or_default(),
                        start: element.number("start-value").unwrap_or(1),
                        n_shown: element.number("display-levels").unwrap_or(1).clamp(1, N_LEVELS),
                    });
                }
                "style" if element.attr("family").as_deref() == Some("paragraph") => {
                    let names = element.attr("name").zip(element.attr("parent-style-name"));
                    self.parents.extend(names);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the style `name` and those it inherits from.
    fn chain<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let parent = |name: &&'a str| self.parents.get(*name).map(String::as_str);
        std::iter::successors(Some(name), parent).take(MAX_CHAIN)
    }

    /// Returns whether paragraphs of the style `name` are the title of the document.
    pub(super) fn is_title(&self, name: &str) -> bool {
        self.chain(name).any(|name| name == "Title")
    }

    /// Counts an item of `list` at `level`, from 0, and returns its label; `-` for a bullet.
    pub(super) fn label(
        &self,
        list: &str,
        level: usize,
        start: Option<u32>,
        counters: &mut Counters,
    ) -> String {
        let level = level.min(N_LEVELS - 1);
        let levels = self.lists.get(list);
        let of = |n: usize| levels.and_then(|levels| levels.get(n)?.as_ref());
        let first = of(level).map_or(1, |level| level.start);
        let next = counters[level].map_or(first, |count| count.saturating_add(1));
        counters[level] = Some(start.unwrap_or(next));
        counters[level + 1..].fill(None);
        let Some(own) = of(level).filter(|own| !own.is_bullet) else { return "-".into() };
        if own.format.is_empty() {
            return String::new();
        }
        let shown = (level + 1).saturating_sub(own.n_shown)..=level;
        let numbers: Vec<String> = shown
            .filter_map(|n| {
                let level = of(n).filter(|level| !level.format.is_empty())?;
                Some(formatted(counters[n].unwrap_or(level.start), &level.format))
            })
            .collect();
        format!("{}{}{}", own.prefix, numbers.join("."), own.suffix).trim().to_owned()
    }

    /// Counts a heading of `rank`, from 1, and returns its number; empty where headings have none.
    pub(super) fn heading_label(&self, rank: usize, counters: &mut Counters) -> String {
        let label = self.label(OUTLINE, rank.saturating_sub(1), None, counters);
        if label == "-" { String::new() } else { label }
    }
}

fn formatted(n: u32, format: &str) -> String {
    match format {
        "a" => letters(n),
        "A" => letters(n).to_uppercase(),
        "i" => roman(n),
        "I" => roman(n).to_uppercase(),
        _ => n.to_string(),
    }
}
