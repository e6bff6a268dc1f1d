//! A page as a picture, drawn by the interpreter that reads its text: boxes of words fit the pixels.

use super::{data, load};
use crate::Settings;
use crate::detect::rejected;
use hayro::hayro_syntax::page::Page;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings};
use hayro_interpret::InterpreterSettings;
use vellum_core::Result;
use vellum_core::ports::Content;

/// Least and most pixels of a picture's width.
const WIDTHS: std::ops::RangeInclusive<u32> = 16..=4096;
/// Most pixels of a picture; a page that is longer than wide by far becomes narrower.
const MAX_PIXELS: f64 = 16e6;
/// Most pixels of one side, as the renderer counts in 16 bits.
const MAX_SIDE: f64 = 32_000.0;

/// Returns page `number`, from 1, as a PNG that is `width` pixels wide on white ground, and its width in points.
pub(crate) fn render(
    content: &Content,
    number: u32,
    width: u32,
    settings: &Settings,
) -> Result<(Vec<u8>, f32)> {
    if !WIDTHS.contains(&width) {
        let (least, most) = (WIDTHS.start(), WIDTHS.end());
        return Err(rejected(format!("a page image is {least} to {most} pixels wide")));
    }
    let pdf = load(data(content)?, settings)?;
    let index = (number as usize).checked_sub(1);
    let Some(page) = index.and_then(|index| pdf.pages().get(index)) else {
        let n_pages = pdf.pages().len();
        return Err(rejected(format!("there is no page {number}: the PDF has {n_pages}")));
    };
    let scale = scale(page, width).ok_or_else(|| rejected("the page has no size"))?;
    let pixmap = hayro::render(
        page,
        &RenderCache::new(),
        &InterpreterSettings::default(),
        &RenderSettings::default(),
        &PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE },
    );
    let png = pixmap.into_png();
    let png = png.map_err(|error| rejected(format!("the page cannot be drawn: {error}")))?;
    Ok((png, page.render_dimensions().0))
}

/// Returns the pixels of a point.
fn scale(page: &Page<'_>, width: u32) -> Option<f32> {
    let (points_wide, points_high) = page.render_dimensions();
    let (points_wide, points_high) = (f64::from(points_wide), f64::from(points_high));
    let scale = (f64::from(width) / points_wide)
        .min((MAX_PIXELS / (points_wide * points_high)).sqrt())
        .min(MAX_SIDE / points_high);
    let has_pixels = points_wide * scale >= 1.0 && points_high * scale >= 1.0;
    // The renderer cuts the size down to whole pixels; a hair more keeps the last one.
    (scale.is_finite() && scale > 0.0 && has_pixels).then_some((scale * 1.000_001) as f32)
}
