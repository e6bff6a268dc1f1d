//! Identifiers: validated names and content-derived ids.
//!
//! Derived ids are truncated BLAKE3 over length-prefixed fields, so that replay is harmless and the
//! same input has the same id on every runner. They are written as UUIDs (version 8, RFC 9562),
//! because vector databases accept those as point ids.

use crate::error::{Error, ErrorKind, Result};
use crate::feedback::Cited;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                must_be_name(name, $noun).map(|()| Self(name.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(name: String) -> Result<Self> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a collection: 1 to 63 characters of `a-z`, `0-9`, `-`, `_`, starting with a letter or digit.
    CollectionName, "collection"
);
name!(
    /// Name of a dataset of a collection; as that of a collection, and so fit for a file name.
    DatasetName, "dataset"
);

fn must_be_name(name: &str, noun: &str) -> Result<()> {
    let valid = (1..=63).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if valid {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Error::new(ErrorKind::Invalid, format!("{noun} name `{shown}` is not valid"))
        .with_hint("use 1 to 63 characters of a-z, 0-9, - and _, starting with a letter or digit"))
}

/// Name of the place that holds the chunks and the ledger of one index version.
///
/// `COLLECTION@VERSION`, which no collection can be called; versions of earlier releases are kept under the name of
/// their collection alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space(String);

impl Space {
    /// Returns the place of a collection's version, which is 16 hexadecimal digits.
    pub fn of(collection: &CollectionName, version: &str) -> Self {
        Self(format!("{collection}@{version}"))
    }

    /// Returns the place that was stored as text.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the name as text; it is fit for a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Returns the id that holds these 16 bytes, as they are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the id as a UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Uuid::try_parse(text).map(Self).map_err(|source| {
                    let shown: String = text.chars().take(80).collect();
                    Error::new(ErrorKind::Invalid, format!(concat!("`{}` is not a ", $noun, " id"), shown))
                        .with_source(source)
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// Id of a document: derived from collection and uri, stable across changes of content.
    DocumentId, "document"
);
uuid_id!(
    /// Id of a chunk: derived from collection, uri, content, index-version settings and ordinal.
    ChunkId, "chunk"
);
uuid_id!(
    /// Id of a job; random.
    JobId, "job"
);

uuid_id!(
    /// Id of what somebody thinks of an answer: derived from collection, question and what the answer cited.
    FeedbackId, "feedback"
);

impl FeedbackId {
    /// Returns the id of an opinion on the answer to `question` that cites `cited`.
    pub fn derive(collection: &CollectionName, question: &str, cited: &[Cited]) -> Self {
        let cited = serde_json::to_vec(cited).expect("plain structs always serialise");
        Self(derive("feedback", &[collection.as_str().as_bytes(), question.as_bytes(), &cited]))
    }
}

impl DocumentId {
    /// Returns the id of the document at `uri` in `collection`.
    pub fn derive(collection: &CollectionName, uri: &str) -> Self {
        Self(derive("document", &[collection.as_str().as_bytes(), uri.as_bytes()]))
    }
}

impl ChunkId {
    /// Returns the id of the `ordinal`-th chunk of a document's content under index settings.
    ///
    /// `settings` is [`crate::collection::IndexSettings::digest`].
    pub fn derive(
        collection: &CollectionName,
        uri: &str,
        content: &ContentHash,
        settings: &str,
        ordinal: u32,
    ) -> Self {
        Self(derive(
            "chunk",
            &[
                collection.as_str().as_bytes(),
                uri.as_bytes(),
                content.as_str().as_bytes(),
                settings.as_bytes(),
                &ordinal.to_le_bytes(),
            ],
        ))
    }
}

/// BLAKE3 hash of a document's bytes, 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(String);

impl ContentHash {
    /// Returns the hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// Returns a hasher for bytes that arrive in pieces.
    pub fn hasher() -> ContentHasher {
        ContentHasher(blake3::Hasher::new())
    }

    /// Returns the hash that was stored as text.
    pub fn from_stored(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// Returns the hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Name of a text for caches: 16 bytes of its BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextHash([u8; 16]);

impl TextHash {
    /// Returns the hash of `text`.
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Hashes bytes that arrive in pieces.
#[derive(Debug)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the hash of all that was taken.
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().to_hex().to_string())
    }
}

/// Hashes length-prefixed fields under a domain, so that no two field lists collide.
fn derive(domain: &str, fields: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    for field in std::iter::once(&domain.as_bytes()).chain(fields) {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_names() {
        for good in ["a", "default", "team-7_x", "0abc"] {
            assert_eq!(good.parse::<CollectionName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "../x", "é", &"x".repeat(64)] {
            assert!(bad.parse::<CollectionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_ids_are_pinned() {
        // These values are a contract: stored collections depend on them.
        let collection: CollectionName = "default".parse().unwrap();
        let document = DocumentId::derive(&collection, "file:///a.txt");
        let chunk =
            ChunkId::derive(&collection, "file:///a.txt", &ContentHash::of(b"hello"), "s", 0);
        assert_eq!(document, DocumentId::derive(&collection, "file:///a.txt"));
        assert_ne!(document.as_uuid(), chunk.as_uuid());
        assert_eq!(chunk.as_uuid().get_version_num(), 8);
        assert_ne!(
            chunk,
            ChunkId::derive(&collection, "file:///a.txt", &ContentHash::of(b"hello"), "s", 1)
        );
    }
}
