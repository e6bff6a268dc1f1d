//! A condition on chunks that every leg of a search applies inside the index.
//!
//! Users never name payload keys: a field is one of an enum, or a validated name under `metadata.`.

use crate::error::{Error, ErrorKind, Result};
use crate::metadata::MetadataName;
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// Most conditions of a filter, nested ones included.
pub const MAX_CONDITIONS: usize = 256;
/// Deepest nesting of a filter.
pub const MAX_DEPTH: usize = 16;
/// Most values of a filter, over all its conditions.
pub const MAX_VALUES: usize = 10_000;
/// Folders of a uri that can be filtered on; what lies deeper is found under those above.
const MAX_FOLDERS: usize = 32;

/// A stored property of a chunk that holds text.
///
/// A uri is none: it names one document, so a condition on uris is one on [`DocumentId`]s
/// (`DocumentId::derive`), and no store keeps an index of them.
///
/// [`DocumentId`]: crate::ids::DocumentId
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The document's id.
    Document,
    /// The document's file name.
    Source,
    /// The document's format, by its lowercase name.
    Format,
    /// The document's title.
    Title,
    /// The language that the document was found to be in, ISO 639-1.
    Language,
    /// What the document says about itself.
    Metadata(MetadataName),
}

/// A stored property of a chunk that can be compared with a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// 1-based pages that the chunk stands on: one of them has to fit.
    Page,
    /// Size of the source object in bytes.
    Bytes,
    /// Metadata that reads as a number (`metadata::number`).
    Number(MetadataName),
    /// Metadata that reads as a date, in milliseconds since the Unix epoch (`metadata::instant`).
    Date(MetadataName),
}

/// A number that is finite, so that it equals itself; -0 is 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

impl Finite {
    /// Returns the number; `None` unless it is finite.
    pub fn new(number: f64) -> Option<Self> {
        // Adding 0 makes 0 of -0.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// Returns the number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Finite {}

impl TryFrom<f64> for Finite {
    type Error = Error;

    fn try_from(number: f64) -> Result<Self> {
        Self::new(number).ok_or_else(|| Error::new(ErrorKind::Invalid, "a bound is not finite"))
    }
}

impl From<Finite> for f64 {
    fn from(number: Finite) -> Self {
        number.0
    }
}

/// A range of numbers with at least one end; empty when the ends leave nothing between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    from: Bound<Finite>,
    to: Bound<Finite>,
}

impl Interval {
    /// Returns the numbers between two ends; `None` without an end.
    pub fn new(from: Bound<Finite>, to: Bound<Finite>) -> Option<Self> {
        let open = matches!((from, to), (Bound::Unbounded, Bound::Unbounded));
        (!open).then_some(Self { from, to })
    }

    /// Returns the lower end.
    pub fn from(&self) -> Bound<Finite> {
        self.from
    }

    /// Returns the upper end.
    pub fn to(&self) -> Bound<Finite> {
        self.to
    }

    /// Returns whether `number` lies in it.
    pub fn contains(&self, number: f64) -> bool {
        let above = match self.from {
            Bound::Included(end) => number >= end.0,
            Bound::Excluded(end) => number > end.0,
            Bound::Unbounded => true,
        };
        above
            && match self.to {
                Bound::Included(end) => number <= end.0,
                Bound::Excluded(end) => number < end.0,
                Bound::Unbounded => true,
            }
    }
}

/// The beginning of uris: ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Folder(String);

impl Folder {
    /// Returns the folder with this uri; a `/` at its end may be missing.
    ///
    /// # Errors
    /// `Invalid` when it is empty or longer than 4096 bytes.
    pub fn new(uri: &str) -> Result<Self> {
        if uri.is_empty() || uri.len() > 4096 {
            return Err(Error::new(ErrorKind::Invalid, "a folder's uri has 1 to 4096 bytes")
                .with_hint("give the beginning of a uri, such as `file:///home/me/docs/`"));
        }
        let slash = if uri.ends_with('/') { "" } else { "/" };
        Ok(Self(format!("{uri}{slash}")))
    }

    /// Returns the uri.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Folder {
    type Error = Error;

    fn try_from(uri: String) -> Result<Self> {
        Self::new(&uri)
    }
}

impl From<Folder> for String {
    fn from(folder: Folder) -> Self {
        folder.0
    }
}

/// Returns the folders that a document lies in, outermost first: the beginnings of its uri that end with `/`, up
/// to 32.
pub fn folders_of(uri: &str) -> impl Iterator<Item = &str> {
    let path = uri.find("://").map_or(0, |at| at + "://".len());
    let slashes = uri[path..].match_indices('/').map(move |(at, _)| &uri[..=path + at]);
    slashes.take(MAX_FOLDERS)
}

/// A boolean condition on chunks. What a chunk does not have equals nothing and lies in no range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// All of these hold; an empty list holds always.
    All(Vec<Filter>),
    /// One of these holds; an empty list never holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The field equals one of the values; an empty list never holds.
    In(Field, Vec<String>),
    /// The measure lies in the range.
    Within(Measure, Interval),
    /// The field has a value.
    Exists(Field),
    /// The document lies in the folder or below it ([`folders_of`]).
    Under(Folder),
}

impl Filter {
    /// Returns the conjunction of two optional filters.
    pub fn both(first: Option<&Self>, second: Option<&Self>) -> Option<Self> {
        match (first, second) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (Some(a), Some(b)) => Some(Self::All(vec![a.clone(), b.clone()])),
        }
    }

    /// Fails when the filter is larger than a filter may be.
    ///
    /// # Errors
    /// `Invalid` naming the bound.
    pub fn check_size(&self) -> Result<()> {
        let (mut conditions, mut values) = (0, 0);
        let mut rest = vec![(self, 1)];
        while let Some((filter, depth)) = rest.pop() {
            conditions += 1;
            match filter {
                Self::All(parts) | Self::Any(parts) => {
                    rest.extend(parts.iter().map(|part| (part, depth + 1)));
                }
                Self::Not(part) => rest.push((part, depth + 1)),
                Self::In(_, listed) => values += listed.len(),
                Self::Within(..) | Self::Exists(_) | Self::Under(_) => {}
            }
            let bounds = [
                (depth, MAX_DEPTH, "levels"),
                (conditions, MAX_CONDITIONS, "conditions"),
                (values, MAX_VALUES, "values"),
            ];
            for (found, most, of) in bounds {
                if found > most {
                    let message = format!("the filter has more than {most} {of}");
                    return Err(Error::new(ErrorKind::Invalid, message)
                        .with_hint("several values of one field fit into one list"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_cut_at_slashes() {
        let all = |uri| folders_of(uri).collect::<Vec<_>>();
        assert_eq!(all("file:///a/b.md"), ["file:///", "file:///a/"]);
        assert_eq!(all("s3://bucket/x"), ["s3://bucket/"]);
        assert!(all("s3://bucket").is_empty());
        assert_eq!(Folder::new("s3://b/docs").unwrap().as_str(), "s3://b/docs/");
        assert!(Folder::new("").is_err());
    }

    #[test]
    fn a_filter_is_bounded() {
        let mut deep = Filter::All(Vec::new());
        for _ in 0..MAX_DEPTH {
            deep = Filter::Not(Box::new(deep));
        }
        let wide = Filter::Any(vec![Filter::All(Vec::new()); MAX_CONDITIONS]);
        let long = Filter::In(Field::Source, vec![String::new(); MAX_VALUES + 1]);
        for filter in [deep, wide, long] {
            assert_eq!(filter.check_size().unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(Filter::In(Field::Title, vec![String::new(); MAX_VALUES]).check_size().is_ok());
    }

    #[test]
    fn ends_of_an_interval() {
        let end = |number| Finite::new(number).unwrap();
        let half = Interval::new(Bound::Included(end(-0.0)), Bound::Excluded(end(2.0))).unwrap();
        assert!(half.contains(0.0) && half.contains(1.9) && !half.contains(2.0));
        assert!(Interval::new(Bound::Unbounded, Bound::Unbounded).is_none());
        assert!(Finite::new(f64::NAN).is_none() && Finite::new(f64::INFINITY).is_none());
    }
}
