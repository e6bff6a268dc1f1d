//! Where links of a PDF lead: the addresses of its link annotations, and the words that they cover.
//!
//! Links inside the document are left out: the outline tells its structure. So are those whose address the words
//! show already.

use super::placed::Place;
use super::{information, page_number};
use crate::blocks::unseen_address;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Array, Dict, Name, String as PdfString};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, Point, Rect};
use std::collections::BTreeMap;
use vellum_core::document::{Link, Span};

/// Most annotations of a page that are looked at.
const MAX_ANNOTATIONS: usize = 2_000;
/// Most links of a part; they do not count against the limit of the text.
const MAX_LINKS: usize = 4_000;

/// An address and the rectangle, as displayed, that leads there.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    page: u32,
    rect: Rect,
    address: String,
}

/// Returns the targets on `n_pages` pages from index `first` on.
pub(crate) fn read(pdf: &Pdf, first: usize, n_pages: usize) -> Vec<Target> {
    let pages = pdf.pages().iter().enumerate().skip(first).take(n_pages);
    pages.flat_map(|(index, page)| on_page(page, page_number(index))).collect()
}

fn on_page(page: &Page<'_>, number: u32) -> Vec<Target> {
    let Some(annotations) = page.raw().get::<Array<'_>>(b"Annots".as_slice()) else {
        return Vec::new();
    };
    let [a, b, c, d, e, f] = page.initial_transform(true).as_coeffs();
    let displayed = Affine::new([a, b, c, d, e, f]);
    let target = |annotation: Dict<'_>| {
        let kind = annotation.get::<Name<'_>>(b"Subtype".as_slice())?;
        let action = annotation.get::<Dict<'_>>(b"A".as_slice())?;
        let address = action.get::<PdfString<'_>>(b"URI".as_slice())?;
        let corners = annotation.get::<Array<'_>>(b"Rect".as_slice())?;
        let corners: Vec<f64> = corners.iter::<f64>().take(4).collect();
        let [x0, y0, x1, y1] = corners.try_into().ok()?;
        let ends = [Point::new(x0, y0), Point::new(x1, y1)].map(|point| displayed * point);
        let rect = Rect::from_points(ends[0], ends[1]);
        (&*kind == b"Link".as_slice()).then(|| Target {
            page: number,
            rect,
            address: information(address.as_bytes()),
        })
    };
    annotations.iter::<Dict<'_>>().take(MAX_ANNOTATIONS).filter_map(target).collect()
}

/// Returns the links among `text`, whose words stand at `places`.
pub(crate) fn place(targets: Vec<Target>, text: &str, places: &[Place]) -> Vec<Link> {
    let mut by_page: BTreeMap<u32, Vec<Target>> = BTreeMap::new();
    for target in targets {
        by_page.entry(target.page).or_default().push(target);
    }
    let mut links: Vec<Link> = Vec::new();
    for on_page in places.chunk_by(|a, b| a.page == b.page) {
        for target in by_page.get(&on_page[0].page).into_iter().flatten() {
            if links.len() == MAX_LINKS {
                break;
            }
            let is_inside = |place: &&Place| target.rect.contains(place.rect.center());
            let mut covered = on_page.iter().filter(is_inside);
            let Some(first) = covered.next() else { continue };
            let last = covered.next_back().unwrap_or(first);
            let span = Span { start: first.start, end: last.end };
            if let Some(address) = unseen_address(&text[span.start..span.end], &target.address) {
                links.push(Link { span, target: address.to_owned() });
            }
        }
    }
    links.sort_by_key(|link| (link.span.start, link.span.end));
    // A link that is broken over two lines has a rectangle for each.
    links.dedup_by(|next, last| {
        let continues = next.target == last.target
            && text.get(last.span.end..next.span.start).is_some_and(|gap| gap.trim().is_empty());
        if continues {
            last.span.end = next.span.end;
        }
        continues
    });
    links
}
