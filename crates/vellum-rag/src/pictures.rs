//! Pages of originals as pictures, kept a while: people turn pages back and forth, and drawing costs up
//! to a second.
//!
//! A picture is known by the hash of the content that was ingested, so one of a page that changed since is
//! never shown. Requests for one picture at a time draw it once.

use crate::app::App;
use crate::documents;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::ops::RangeInclusive;
use vellum_core::access::VersionPass;
use vellum_core::document::Format;
use vellum_core::ids::ContentHash;
use vellum_core::ledger::LedgerRow;
use vellum_core::{Error, ErrorKind, Result};

/// Least and most pixels of a picture's width.
pub const WIDTHS: RangeInclusive<u32> = 64..=2400;
/// Bytes of pictures that are kept.
const CACHE_BYTES: u64 = 32 << 20;
/// Pictures that fit the cache, at a guess.
const CACHE_ITEMS: usize = 128;

/// Content, page, width in pixels.
type Key = (ContentHash, u32, u32);

/// Pictures that were drawn lately.
#[derive(Debug)]
pub struct Pictures(Cache<Key, Bytes, Weight>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, _: &Key, picture: &Bytes) -> u64 {
        picture.len() as u64
    }
}

impl Default for Pictures {
    fn default() -> Self {
        Self(Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight))
    }
}

/// Returns whether the pages of a format can be drawn.
pub const fn has_pictures(format: Format) -> bool {
    matches!(format, Format::Pdf)
}

/// Returns page `page`, from 1, of a document's original as a PNG that is `width` pixels wide.
///
/// # Errors
/// `Invalid` for a width outside [`WIDTHS`]; `NotFound` when there is no such page, or the format has no
/// pictures; else as [`documents::original`] and [`vellum_core::ports::Converter::page_image`].
pub async fn page(
    app: &App,
    pass: &VersionPass,
    row: &LedgerRow,
    page: u32,
    width: u32,
) -> Result<Bytes> {
    if !WIDTHS.contains(&width) {
        let message = format!("width {width} is not in {} to {}", WIDTHS.start(), WIDTHS.end());
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    if !row.format.is_some_and(has_pictures) {
        let format = row.format.map_or("unread", Format::as_str);
        let message = format!("pages of a document in format `{format}` have no picture");
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("only those of a PDF have"));
    }
    let (Some(content), true) = (&row.content, (1..=row.pages).contains(&page)) else {
        let message = format!("`{}` has no page {page}, but {}", row.uri, row.pages);
        return Err(Error::new(ErrorKind::NotFound, message));
    };
    let draw = async {
        let (_, original) = documents::original(app, pass, row).await?;
        app.converter.page_image(original, page, width).await.map(Bytes::from)
    };
    app.pictures.0.get_or_insert_async(&(content.clone(), page, width), draw).await
}
