//! What Word, PowerPoint and Excel files share: relations between parts, properties, charts and diagrams.
//!
//! Reference: ECMA-376, parts 1 (markup) and 2 (packages).

use crate::blocks::Block;
use crate::clean::{characters, collapsed};
use crate::package::Package;
use crate::xml::{Token, Xml, decode};
use std::collections::{BTreeMap, HashMap};
use vellum_core::Result;

/// Most places of a chart that are written, as rows times series.
const MAX_CHART_CELLS: usize = 2_000;

/// Where a relation of a part points.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// The last word of its type, such as `hyperlink` or `slide`.
    pub(crate) kind: String,
    /// A part of this package, or an address outside.
    pub(crate) target: String,
}

/// The relations of one part, by id.
pub(crate) type Relations = HashMap<String, Relation>;

/// Returns the relations of `part`; none when it has no relations.
///
/// # Errors
/// `Rejected` when they cannot be read.
pub(crate) fn relations(package: &mut Package, part: &str) -> Result<Relations> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let mut relations = Relations::new();
    let name = if folder.is_empty() {
        format!("_rels/{file}.rels")
    } else {
        format!("{folder}/_rels/{file}.rels")
    };
    let Some(source) = read(package, &name)? else { return Ok(relations) };
    let mut xml = Xml::new(&source);
    while let Some(token) = xml.next()? {
        let Token::Start(element) = token else { continue };
        if element.name() != "Relationship" {
            continue;
        }
        let (Some(id), Some(target)) = (element.attr("Id"), element.attr("Target")) else {
            continue;
        };
        let kind = element.attr("Type").unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
        let is_external = element.attr("TargetMode").as_deref() == Some("External");
        let target = if is_external { target } else { resolve(folder, &target) };
        relations.insert(id, Relation { kind, target });
    }
    Ok(relations)
}

/// Returns the part that the package calls its main one; `usual` when it calls none.
///
/// # Errors
/// As [`relations`].
pub(crate) fn main_part(package: &mut Package, usual: &str) -> Result<String> {
    let found = relations(package, "")?;
    let main = found.into_values().find(|relation| relation.kind == "officeDocument");
    let main = main.map(|relation| relation.target).filter(|target| package.has(target));
    Ok(main.unwrap_or_else(|| usual.to_owned()))
}

/// Returns the member that `target` names from within `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let mut path: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => folder.split('/').collect(),
    };
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    path.retain(|step| !step.is_empty());
    path.join("/")
}

/// Returns a part as text; `None` when there is none of this name.
///
/// # Errors
/// As [`Package::read`].
pub(crate) fn read(package: &mut Package, name: &str) -> Result<Option<String>> {
    Ok(package.read(name)?.map(|bytes| decode(&bytes)))
}

/// Returns what the file says of itself: author, created, language, modified, title and the like.
///
/// # Errors
/// As [`Package::read`]; properties that cannot be read count as none.
pub(crate) fn properties(package: &mut Package) -> Result<BTreeMap<String, String>> {
    let source = read(package, "docProps/core.xml")?.unwrap_or_default();
    Ok(named_texts(&source, |name| match name {
        "creator" => Some("author"),
        "title" | "subject" | "keywords" | "created" | "modified" | "language" => Some(""),
        _ => None,
    }))
}

/// Returns the texts of elements that `key` gives a name; an empty one means the element's own.
pub(crate) fn named_texts(
    source: &str,
    key: impl Fn(&str) -> Option<&'static str>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut xml = Xml::new(source);
    while let Ok(Some(token)) = xml.next() {
        let Token::Start(element) = token else { continue };
        let name = element.name().to_owned();
        let Some(key) = key(&name) else { continue };
        let Ok(text) = xml.text() else { break };
        let mut text = collapsed(&characters(&text));
        if matches!(key, "created" | "modified") || matches!(&*name, "created" | "modified") {
            text.truncate(text.find('T').unwrap_or(text.len()));
        }
        if !text.is_empty() {
            found.entry(if key.is_empty() { name } else { key.to_owned() }).or_insert(text);
        }
    }
    found
}

/// Returns the charts and diagrams that a part shows, by the id of their relation.
///
/// # Errors
/// As [`Package::read`]; one that cannot be read is left out.
pub(crate) fn graphics(
    package: &mut Package,
    relations: &Relations,
) -> Result<HashMap<String, Vec<Block>>> {
    let mut graphics = HashMap::new();
    for (id, relation) in relations {
        let reader = match &*relation.kind {
            "chart" => chart,
            "diagramData" => diagram,
            _ => continue,
        };
        let Some(source) = read(package, &relation.target)? else { continue };
        if let Ok(blocks) = reader(&source) {
            graphics.insert(id.clone(), blocks);
        }
    }
    Ok(graphics)
}

/// Returns a chart's title and its numbers as a table: a row per category, a column per series.
fn chart(source: &str) -> Result<Vec<Block>> {
    let mut xml = Xml::new(source);
    let mut title = String::new();
    let mut categories: BTreeMap<usize, String> = BTreeMap::new();
    let mut series: Vec<(String, BTreeMap<usize, String>)> = Vec::new();
    // Which part of a series the next values belong to.
    let mut part = "";
    let mut index = 0;
    while let Some(token) = xml.next()? {
        let Token::Start(element) = token else {
            if let Token::End(end) = token
                && matches!(end.name(), "title" | "tx" | "cat" | "val" | "xVal" | "yVal")
            {
                part = "";
            }
            continue;
        };
        match element.name() {
            "ser" => series.push(Default::default()),
            "title" if series.is_empty() => part = "title",
            "title" => xml.skip()?,
            "dLbls" | "trendline" | "errBars" => xml.skip()?,
            "tx" if part.is_empty() => part = "tx",
            "cat" | "xVal" => part = "cat",
            "val" | "yVal" => part = "val",
            "pt" => index = element.number("idx").unwrap_or(0),
            "t" if part == "title" => title.push_str(&xml.text()?),
            "v" => {
                let value = collapsed(&characters(&xml.text()?));
                match (part, series.last_mut()) {
                    ("title", _) => title.push_str(&value),
                    ("tx", Some((name, _))) => *name = value,
                    ("cat", Some(_)) => drop(categories.insert(index, value)),
                    ("val", Some((_, values))) => drop(values.insert(index, tidy_number(&value))),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let mut blocks = Vec::new();
    if !title.trim().is_empty() {
        blocks.push(Block::Paragraph(title));
    }
    let mut header = vec![String::new()];
    header.extend(series.iter().map(|(name, _)| name.clone()));
    let mut rows = vec![header];
    let mut indices: Vec<usize> = categories.keys().copied().collect();
    indices.extend(series.iter().flat_map(|(_, values)| values.keys().copied()));
    indices.sort_unstable();
    indices.dedup();
    for index in indices.into_iter().take(MAX_CHART_CELLS / (series.len() + 1)) {
        let mut row = vec![categories.get(&index).cloned().unwrap_or_default()];
        row.extend(
            series.iter().map(|(_, values)| values.get(&index).cloned().unwrap_or_default()),
        );
        rows.push(row);
    }
    if rows.len() > 1 {
        blocks.push(Block::Table(rows));
    }
    Ok(blocks)
}

/// Returns a number without the noise of binary fractions; anything else as it is.
fn tidy_number(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => crate::number::general(number),
        _ => value.to_owned(),
    }
}

/// Returns the texts of a diagram (SmartArt) as a list.
fn diagram(source: &str) -> Result<Vec<Block>> {
    let mut xml = Xml::new(source);
    let mut blocks = Vec::new();
    let mut text = String::new();
    while let Some(token) = xml.next()? {
        match token {
            Token::Start(_) => {}
            Token::Text(part) => text.push_str(&part),
            Token::End(end) => match end.name() {
                "p" => text.push(' '),
                "pt" => {
                    let found = collapsed(&characters(&std::mem::take(&mut text)));
                    if !found.is_empty() {
                        blocks.push(Block::Item(0, "-".into(), found));
                    }
                }
                _ => {}
            },
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_resolved() {
        assert_eq!(resolve("ppt/slides", "../media/a.png"), "ppt/media/a.png");
        assert_eq!(resolve("word", "/word/b.xml"), "word/b.xml");
        assert_eq!(resolve("", "word/document.xml"), "word/document.xml");
        assert_eq!(resolve("word", "../../../x"), "x");
    }

    #[test]
    fn a_chart_is_a_table() {
        let source = "<c:chartSpace><c:chart><c:title><a:t>Sales</a:t></c:title><c:ser>\
            <c:tx><c:strRef><c:pt idx='0'><c:v>2023</c:v></c:pt></c:strRef></c:tx>\
            <c:cat><c:pt idx='0'><c:v>North</c:v></c:pt><c:pt idx='1'><c:v>South</c:v></c:pt></c:cat>\
            <c:val><c:pt idx='0'><c:v>0.30000000000000004</c:v></c:pt></c:val></c:ser></c:chart></c:chartSpace>";
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            chart(source).unwrap(),
            [
                Block::Paragraph("Sales".into()),
                Block::Table(vec![row(["", "2023"]), row(["North", "0.3"]), row(["South", ""])])
            ]
        );
    }

    #[test]
    fn a_diagram_is_a_list() {
        let source = "<dgm:dataModel><dgm:pt><dgm:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t>\
                      </dgm:pt><dgm:pt type='pres'/></dgm:dataModel>";
        assert_eq!(diagram(source).unwrap(), [Block::Item(0, "-".into(), "Plan".into())]);
    }
}
