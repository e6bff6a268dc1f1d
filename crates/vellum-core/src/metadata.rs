//! What a document says about itself, bounded and under validated names, as it is stored with each chunk.
//!
//! Values are text. One that reads as a number or as a date can also be compared as such: [`number`] and
//! [`instant`] are the only readings there are, so every store and every filter agrees on them.

use crate::document::PAGES_WITHOUT_TEXT;
use crate::error::{Error, ErrorKind, Result};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest value in bytes; a longer one is cut off, because each chunk of a document carries it.
pub const MAX_VALUE_BYTES: usize = 256;
/// Most entries of a document; more are noise or an attack.
pub const MAX_ENTRIES: usize = 32;

/// The name of an entry: lowercase letters, digits, `_` and `-`, 1 to 64 of them.
///
/// It becomes a part of payload keys, so nothing else ever gets into one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetadataName(String);

impl MetadataName {
    /// Returns the name that stands for what a source calls `raw`: lowercased, other characters as `_`.
    ///
    /// `None` when nothing of it is left.
    pub fn normalised(raw: &str) -> Option<Self> {
        let lower = raw.trim().to_lowercase();
        let name: String = lower.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let name = name.trim_matches('_');
        let name = &name[..name.len().min(MAX_NAME_BYTES)];
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
}

impl FromStr for MetadataName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(Error::new(ErrorKind::Invalid, format!("`{shown}` is no name of metadata")).with_hint(
            "names are 1 to 64 lowercase letters, digits, `_` and `-`, such as `metadata.author`",
        ))
    }
}

impl TryFrom<String> for MetadataName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MetadataName> for String {
    fn from(name: MetadataName) -> Self {
        name.0
    }
}

impl fmt::Display for MetadataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The entries of a document: at most 32, values not empty and at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<MetadataName, String>);

impl Metadata {
    /// Returns what is kept of a converter's metadata; the first name wins where two become the same.
    pub fn of(source: &BTreeMap<String, String>) -> Self {
        let mut kept = BTreeMap::new();
        for (raw, value) in source {
            let Some(name) = MetadataName::normalised(raw) else { continue };
            let value = cut(value.trim());
            if raw != PAGES_WITHOUT_TEXT && !value.is_empty() && kept.len() < MAX_ENTRIES {
                kept.entry(name).or_insert_with(|| value.to_owned());
            }
        }
        Self(kept)
    }

    /// Returns the value under `name`.
    pub fn get(&self, name: &MetadataName) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the entries, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&MetadataName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE_BYTES)]
}

/// Returns the finite number that `text` is.
pub fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// Returns the milliseconds since the Unix epoch at which the date or time `text` begins.
///
/// Read are `YYYY-MM-DD` and RFC 3339, with a blank for the `T` or before the offset and without seconds
/// too; a time without an offset, like a day, is one of UTC.
pub fn instant(text: &str) -> Option<i64> {
    if text.as_bytes().get(4) != Some(&b'-') || text.len() > 40 {
        return None;
    }
    if text.len() == 10 {
        return day(text).map(|(start, _)| start);
    }
    let joined = text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z");
    if let Ok(time) = joined.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let local: DateTime = joined.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok().map(Timestamp::as_millisecond)
}

/// Returns the first millisecond of the day `YYYY-MM-DD` in UTC, and that of the day after.
pub fn day(text: &str) -> Option<(i64, i64)> {
    if text.len() != 10 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let date: Date = text.parse().ok()?;
    let start = |date: Date| {
        let midnight = TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight()));
        midnight.ok().map(Timestamp::as_millisecond)
    };
    let first = start(date)?;
    Some((first, date.checked_add(1.day()).ok().and_then(start).unwrap_or(first + 86_400_000)))
}

/// Returns the RFC 3339 form, in UTC, of milliseconds since the Unix epoch; `None` outside of the years -9999
/// to 9999.
pub fn rfc3339(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for bad in ["", "A", "a.b", "a b", "a\"", "ä", &"a".repeat(65)] {
            assert_eq!(
                bad.parse::<MetadataName>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{bad}"
            );
        }
        let check = |raw: &str, name: Option<&str>| {
            let made = MetadataName::normalised(raw);
            assert_eq!(made.as_ref().map(MetadataName::as_str), name, "{raw}");
            if let Some(made) = made {
                assert_eq!(made.as_str().parse::<MetadataName>().unwrap(), made);
            }
        };
        check("Message-ID", Some("message-id"));
        check("Initial author ", Some("initial_author"));
        check("größe.x", Some("gr__e_x"));
        check("日本", None);
        check(&"é".repeat(99), None);
        check(&"ab".repeat(99), Some(&"ab".repeat(32)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let source: BTreeMap<String, String> =
            (0..99).map(|n| (format!("Key {n:02}"), "ü".repeat(500))).collect();
        let kept = Metadata::of(&source);
        assert_eq!(kept.iter().count(), MAX_ENTRIES);
        assert!(kept.iter().all(|(_, value)| value == "ü".repeat(128)));
        let scans = [(PAGES_WITHOUT_TEXT, "1-3"), ("empty", " ")];
        let scans = scans.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert!(Metadata::of(&scans).is_empty());
    }

    #[test]
    fn readings_of_values() {
        let january = 1_704_067_200_000;
        for text in
            ["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01 02:00 +02:00", "2024-01-01T00:00"]
        {
            assert_eq!(instant(text), Some(january), "{text}");
        }
        assert_eq!(day("2024-01-01"), Some((january, january + 86_400_000)));
        assert_eq!(rfc3339(january).as_deref(), Some("2024-01-01T00:00:00Z"));
        for text in ["2024", "20240101", "2024-13-01", "2024-02-30", "last week", "2024-01-01Z"] {
            assert_eq!(instant(text), None, "{text}");
        }
        assert_eq!([number("-1.5"), number("2024")], [Some(-1.5), Some(2024.0)]);
        for text in ["", "inf", "NaN", "1e5", "1,5", "2024-01-01"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
