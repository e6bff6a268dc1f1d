//! Conditions on chunks as JSON: an object with one key, nested as needed.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::ops::Bound;
use utoipa::ToSchema;
use vellum_core::filter::{self, Field, Finite, Folder, Interval, Measure};
use vellum_core::ids::{CollectionName, DocumentId};
use vellum_core::metadata::{self, MetadataName};
use vellum_core::{Error, ErrorKind, Result};

/// A boolean condition on chunks: an object with one of these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(no_recursion)]
pub enum Filter {
    /// All of these hold.
    All(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The field equals one of the values.
    In(FilterIn),
    /// The field lies between two ends.
    Range(FilterRange),
    /// The field has a value.
    Exists(FilterExists),
    /// The document's uri begins with this, up to a `/`.
    Under(String),
}

/// A field and the values that it may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterIn {
    /// The field; not `page` or `bytes`, which have a `range`.
    #[schema(
        value_type = String,
        pattern = "^(document|uri|source|format|title|language|page|bytes|metadata\\.[a-z0-9_-]{1,64})$"
    )]
    pub field: FilterField,
    /// The values; an empty list never holds.
    pub values: Vec<String>,
}

/// A field and where it has to lie: at least one end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRange {
    /// `page`, `bytes` or metadata.
    #[schema(
        value_type = String,
        pattern = "^(document|uri|source|format|title|language|page|bytes|metadata\\.[a-z0-9_-]{1,64})$"
    )]
    pub field: FilterField,
    /// Above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<FilterEnd>,
    /// This or above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<FilterEnd>,
    /// Below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<FilterEnd>,
    /// This or below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<FilterEnd>,
}

/// An end of a range: a number, or a date (`YYYY-MM-DD`, a day with all its moments in UTC) or a time (RFC 3339).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum FilterEnd {
    /// A number.
    Number(f64),
    /// A date or a time.
    Date(String),
}

/// A field that has to have a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterExists {
    /// The field.
    #[schema(
        value_type = String,
        pattern = "^(document|uri|source|format|title|language|page|bytes|metadata\\.[a-z0-9_-]{1,64})$"
    )]
    pub field: FilterField,
}

/// A property of a chunk that can be filtered on, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterField {
    /// `document`: the document's id.
    Document,
    /// `uri`: the document's uri.
    Uri,
    /// `source`: the document's file name.
    Source,
    /// `format`: the document's format, by its lowercase name.
    Format,
    /// `title`: the document's title.
    Title,
    /// `language`: the language that the document was found to be in, ISO 639-1.
    Language,
    /// `page`: the pages that the chunk stands on, from 1.
    Page,
    /// `bytes`: the size of the source object.
    Bytes,
    /// `metadata.NAME`: what the document says about itself.
    Metadata(MetadataName),
}

const PLAIN: [(&str, FilterField); 8] = [
    ("document", FilterField::Document),
    ("uri", FilterField::Uri),
    ("source", FilterField::Source),
    ("format", FilterField::Format),
    ("title", FilterField::Title),
    ("language", FilterField::Language),
    ("page", FilterField::Page),
    ("bytes", FilterField::Bytes),
];

impl FilterField {
    fn name(&self) -> Cow<'static, str> {
        if let Self::Metadata(name) = self {
            return format!("metadata.{name}").into();
        }
        let found = PLAIN.iter().find(|(_, field)| field == self);
        found.map_or("", |(name, _)| name).into()
    }
}

impl Serialize for FilterField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for FilterField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some(name) = name.strip_prefix("metadata.") {
            return name
                .parse()
                .map(Self::Metadata)
                .map_err(|e: Error| de::Error::custom(e.message()));
        }
        let found = PLAIN.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, field)| field).ok_or_else(|| {
            let known = PLAIN.map(|(known, _)| known).join(", ");
            de::Error::custom(format!(
                "unknown field `{name}`: there are {known} and metadata.NAME"
            ))
        })
    }
}

impl Filter {
    /// Returns the condition on the chunks of a collection.
    ///
    /// # Errors
    /// `Invalid` for a field that cannot be compared so, a range without an end or with ends of two kinds, or a date that
    /// is none.
    pub(super) fn of(self, collection: &CollectionName) -> Result<filter::Filter> {
        let all = |parts: Vec<Self>| -> Result<Vec<filter::Filter>> {
            parts.into_iter().map(|part| part.of(collection)).collect()
        };
        Ok(match self {
            Self::All(parts) => filter::Filter::All(all(parts)?),
            Self::Any(parts) => filter::Filter::Any(all(parts)?),
            Self::Not(part) => filter::Filter::Not(Box::new(part.of(collection)?)),
            Self::In(FilterIn { field: FilterField::Uri, values }) => {
                let id = |uri: &String| DocumentId::derive(collection, uri).to_string();
                filter::Filter::In(Field::Document, values.iter().map(id).collect())
            }
            Self::In(FilterIn { field, values }) => filter::Filter::In(text_field(&field)?, values),
            Self::Exists(FilterExists { field }) => filter::Filter::Exists(text_field(&field)?),
            Self::Range(range) => within(range)?,
            Self::Under(uri) => filter::Filter::Under(Folder::new(&uri)?),
        })
    }
}

fn text_field(field: &FilterField) -> Result<Field> {
    Ok(match field {
        FilterField::Document => Field::Document,
        FilterField::Source => Field::Source,
        FilterField::Format => Field::Format,
        FilterField::Title => Field::Title,
        FilterField::Language => Field::Language,
        FilterField::Metadata(name) => Field::Metadata(name.clone()),
        FilterField::Uri | FilterField::Page | FilterField::Bytes => {
            let message = format!("filter: `{}` cannot be compared as text", field.name());
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("`page` and `bytes` take `range`; every document has a uri"));
        }
    })
}

fn within(range: FilterRange) -> Result<filter::Filter> {
    let field = range.field;
    let wrong = |why: &str| {
        let message = format!("filter: the range of `{}` {why}", field.name());
        Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "give one or two of gt, gte, lt and lte: numbers, or dates such as 2024-01-31",
        ))
    };
    let ends = [&range.gt, &range.gte, &range.lt, &range.lte];
    let dates = ends.iter().filter(|end| matches!(end, Some(FilterEnd::Date(_)))).count();
    let is_date = match (dates, ends.iter().filter(|end| end.is_some()).count()) {
        (0, _) => false,
        (dates, all) if dates == all => true,
        _ => return wrong("has ends of two kinds"),
    };
    let measure = match &field {
        FilterField::Page if !is_date => Measure::Page,
        FilterField::Bytes if !is_date => Measure::Bytes,
        FilterField::Metadata(name) if is_date => Measure::Date(name.clone()),
        FilterField::Metadata(name) => Measure::Number(name.clone()),
        _ => return wrong("cannot be compared so"),
    };
    let Some(ends) = ends.map(bounds).into_iter().collect::<Option<Vec<_>>>() else {
        return wrong("has an end that is no date");
    };
    let [gt, gte, lt, lte] = ends[..] else { return wrong("has an odd number of ends") };
    let from = match (gt, gte) {
        (Some(_), Some(_)) => return wrong("has two lower ends"),
        (Some((_, Some(next))), None) => Bound::Included(next),
        (Some((first, None)), None) => Bound::Excluded(first),
        (None, Some((first, _))) => Bound::Included(first),
        (None, None) => Bound::Unbounded,
    };
    let to = match (lt, lte) {
        (Some(_), Some(_)) => return wrong("has two upper ends"),
        (Some((first, _)), None) => Bound::Excluded(first),
        (None, Some((_, Some(next)))) => Bound::Excluded(next),
        (None, Some((first, None))) => Bound::Included(first),
        (None, None) => Bound::Unbounded,
    };
    match Interval::new(from, to) {
        Some(interval) => Ok(filter::Filter::Within(measure, interval)),
        None => wrong("has no end"),
    }
}

/// The number of an end, and for a day that of the next.
type Ends = Option<(Finite, Option<Finite>)>;

/// Returns the numbers of an end that may be absent; `None` when it is no number and no date.
fn bounds(end: &Option<FilterEnd>) -> Option<Ends> {
    let ms = |ms: i64| Finite::new(ms as f64);
    Some(match end {
        None => None,
        Some(FilterEnd::Number(number)) => Some((Finite::new(*number)?, None)),
        Some(FilterEnd::Date(text)) => match metadata::day(text) {
            Some((first, next)) => Some((ms(first)?, Some(ms(next)?))),
            None => Some((ms(metadata::instant(text)?)?, None)),
        },
    })
}

impl From<filter::Filter> for Filter {
    fn from(filter: filter::Filter) -> Self {
        let all = |parts: Vec<filter::Filter>| parts.into_iter().map(Self::from).collect();
        match filter {
            filter::Filter::All(parts) => Self::All(all(parts)),
            filter::Filter::Any(parts) => Self::Any(all(parts)),
            filter::Filter::Not(part) => Self::Not(Box::new(Self::from(*part))),
            filter::Filter::In(field, values) => Self::In(FilterIn { field: field.into(), values }),
            filter::Filter::Exists(field) => Self::Exists(FilterExists { field: field.into() }),
            filter::Filter::Under(folder) => Self::Under(folder.into()),
            filter::Filter::Within(measure, interval) => Self::Range(range(measure, &interval)),
        }
    }
}

impl From<Field> for FilterField {
    fn from(field: Field) -> Self {
        match field {
            Field::Document => Self::Document,
            Field::Source => Self::Source,
            Field::Format => Self::Format,
            Field::Title => Self::Title,
            Field::Language => Self::Language,
            Field::Metadata(name) => Self::Metadata(name),
        }
    }
}

fn range(measure: Measure, interval: &Interval) -> FilterRange {
    let (field, is_date) = match measure {
        Measure::Page => (FilterField::Page, false),
        Measure::Bytes => (FilterField::Bytes, false),
        Measure::Number(name) => (FilterField::Metadata(name), false),
        Measure::Date(name) => (FilterField::Metadata(name), true),
    };
    let end = |number: Finite| {
        let date = is_date.then(|| metadata::rfc3339(number.get() as i64)).flatten();
        date.map_or(FilterEnd::Number(number.get()), FilterEnd::Date)
    };
    let mut range = FilterRange { field, gt: None, gte: None, lt: None, lte: None };
    match interval.from() {
        Bound::Included(from) => range.gte = Some(end(from)),
        Bound::Excluded(from) => range.gt = Some(end(from)),
        Bound::Unbounded => {}
    }
    match interval.to() {
        Bound::Included(to) => range.lte = Some(end(to)),
        Bound::Excluded(to) => range.lt = Some(end(to)),
        Bound::Unbounded => {}
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<filter::Filter> {
        let filter: Filter = serde_json::from_str(json)
            .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        filter.of(&"c".parse().unwrap())
    }

    #[test]
    fn json_and_text_mean_the_same() {
        let check = |json: &str, text: &str| {
            let read = read(json).unwrap();
            let parsed = vellum_rag::filter::parse(text, &"c".parse().unwrap()).unwrap();
            assert_eq!(read, parsed, "{json}");
            assert_eq!(Filter::from(read.clone()).of(&"c".parse().unwrap()).unwrap(), read);
        };
        check(r#"{"in":{"field":"format","values":["pdf"]}}"#, "format = \"pdf\"");
        check(r#"{"in":{"field":"uri","values":["file:///a"]}}"#, "uri = \"file:///a\"");
        check(r#"{"in":{"field":"metadata.author","values":[]}}"#, "metadata.author in []");
        check(r#"{"range":{"field":"page","gte":3,"lte":5}}"#, "page in 3..5");
        check(
            r#"{"range":{"field":"metadata.date","gt":"2024-01-30","lte":"2024-01-31"}}"#,
            "metadata.date in >2024-01-30..2024-01-31",
        );
        check(
            r#"{"not":{"any":[{"exists":{"field":"title"}},{"under":"s3://b/x"}]}}"#,
            "not (exists(title) or uri under \"s3://b/x/\")",
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            r#"{"in":{"field":"page","values":["1"]}}"#,
            r#"{"in":{"field":"payload.key","values":["1"]}}"#,
            r#"{"in":{"field":"metadata.a.b","values":["1"]}}"#,
            r#"{"exists":{"field":"uri"}}"#,
            r#"{"range":{"field":"page"}}"#,
            r#"{"range":{"field":"format","gte":1}}"#,
            r#"{"range":{"field":"page","gte":"2024-01-01"}}"#,
            r#"{"range":{"field":"metadata.d","gte":"2024-01-01","lt":5}}"#,
            r#"{"range":{"field":"metadata.d","gte":"soon"}}"#,
            r#"{"range":{"field":"metadata.d","gt":1,"gte":2}}"#,
            r#"{"under":""}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
