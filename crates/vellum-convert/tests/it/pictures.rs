//! Pictures of pages: the boxes of words cover what is drawn, and pictures come through the pool.

use crate::pages::{PAGE, Page, pdf};
use crate::text::run;
use std::path::Path;
use vellum_convert::{PoolSettings, Settings, WorkerPool, render_page};
use vellum_core::ErrorKind;
use vellum_core::document::{Document, Rect, Span};
use vellum_core::ports::Converter;

/// A decoded picture.
pub(crate) struct Picture {
    pub(crate) width: usize,
    height: usize,
    /// Darkness of each pixel, 0 is white.
    dark: Vec<u8>,
}

pub(crate) fn decode(png: &[u8]) -> Picture {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let n_channels = info.color_type.samples();
    let dark = pixels[..info.buffer_size()]
        .chunks(n_channels)
        .map(|pixel| 255 - pixel[..n_channels.min(3)].iter().copied().min().unwrap())
        .collect();
    Picture { width: info.width as usize, height: info.height as usize, dark }
}

impl Picture {
    /// Returns the darkness inside `rect`, which is in points, as a sum.
    pub(crate) fn ink(&self, rect: Rect, scale: f32) -> u64 {
        let pixel = |points: f32, most: usize| ((points * scale).round() as usize).min(most);
        let (x0, x1) = (pixel(rect.x0, self.width), pixel(rect.x1, self.width));
        let (y0, y1) = (pixel(rect.y0, self.height), pixel(rect.y1, self.height));
        (y0..y1)
            .flat_map(|y| &self.dark[y * self.width + x0..y * self.width + x1])
            .map(|&dark| u64::from(dark))
            .sum()
    }
}

/// Returns page 1 of `bytes` with its size in pixels of a point.
fn picture(bytes: &[u8], width: u32, points_wide: f32) -> (Picture, f32) {
    let png = render_page(&bytes.to_vec().into(), 1, width, &Settings::default()).unwrap();
    (decode(&png), width as f32 / points_wide)
}

/// Fails unless the boxes of 50 spans of page 1 each hold ink, and all boxes nearly all ink of the page.
fn check(bytes: &[u8], points_wide: f32, least_share: f64) {
    let document = run("a.pdf", bytes).unwrap();
    let (picture, scale) = picture(bytes, 1200, points_wide);
    let on_page: Vec<Span> = document
        .layout
        .words
        .iter()
        .filter(|position| position.page == 1)
        .map(|position| Span { start: position.start as usize, end: position.end as usize })
        .collect();
    let mut state = 7_usize;
    for _ in 0..50 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let first = (state >> 33) % on_page.len();
        let last = (first + (state >> 20) % 6).min(on_page.len() - 1);
        let span = Span { start: on_page[first].start, end: on_page[last].end };
        for (_, rect) in document.boxes_of(span).into_iter().filter(|(page, _)| *page == 1) {
            let area = f64::from((rect.x1 - rect.x0) * (rect.y1 - rect.y0) * scale * scale);
            let share = picture.ink(rect, scale) as f64 / (255.0 * area);
            assert!(share > 0.02, "{:?} at {rect:?}", &document.text[span.start..span.end]);
        }
    }
    let share = covered(&document, &picture, scale);
    assert!(share > least_share, "boxes cover {share:.3} of the ink");
}

/// Returns the share of the ink on page 1 that lies in boxes of words.
fn covered(document: &Document, picture: &Picture, scale: f32) -> f64 {
    let mut inside = vec![false; picture.dark.len()];
    for position in document.layout.words.iter().filter(|position| position.page == 1) {
        let Rect { x0, y0, x1, y1 } = position.rect;
        let pixel = |points: f32, most: usize| ((points * scale).round() as usize).min(most);
        for y in pixel(y0, picture.height)..pixel(y1, picture.height) {
            let row = y * picture.width;
            let (x0, x1) = (pixel(x0 - 0.5, picture.width), pixel(x1 + 0.5, picture.width));
            inside[row + x0..row + x1].fill(true);
        }
    }
    let sum = |keep: &dyn Fn(usize) -> bool| -> f64 {
        let dark = picture.dark.iter().enumerate();
        dark.filter(|(n, _)| keep(*n)).map(|(_, &dark)| f64::from(dark)).sum()
    };
    sum(&|n| inside[n]) / sum(&|_| true)
}

fn fixture(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read(data.join(name)).unwrap()
}

#[test]
fn boxes_cover_the_words_that_are_drawn() {
    check(&fixture("places.pdf"), 595.28, 0.97);
}

#[test]
fn boxes_follow_a_page_that_is_turned() {
    check(&fixture("turned.pdf"), 841.89, 0.97);
}

#[tokio::test]
async fn pictures_come_from_a_child() {
    let program = env!("CARGO_BIN_EXE_vellum-convert-worker");
    let pool = WorkerPool::new(PoolSettings::new(program, Vec::new()));
    let bytes = pdf(None, vec![Page::new(), Page::new().rule(50.0, 400.0, 550.0, 400.0)]);
    let sizes = [(1, 300), (2, 64), (2, 600)];
    for (page, width) in sizes {
        let picture = decode(&pool.page_image(bytes.clone().into(), page, width).await.unwrap());
        let height = (width as f32 * PAGE.1 / PAGE.0) as usize;
        assert_eq!((picture.width, picture.height), (width as usize, height));
        let is_blank = picture.dark.iter().all(|&dark| dark == 0);
        assert_eq!(is_blank, page == 1);
    }
    let in_process = render_page(&bytes.clone().into(), 2, 600, &Settings::default()).unwrap();
    assert_eq!(pool.page_image(bytes.clone().into(), 2, 600).await.unwrap(), in_process);
    for (content, page, width, reason) in [
        (bytes.clone(), 3, 300, "there is no page 3: the PDF has 2"),
        (bytes.clone(), 0, 300, "there is no page 0: the PDF has 2"),
        (bytes, 1, 100_000, "a page image is 16 to 4096 pixels wide"),
        (b"text".to_vec(), 1, 300, "only pages of a PDF can be drawn"),
    ] {
        let error = pool.page_image(content.into(), page, width).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Rejected, reason));
    }
}
