//! What a page draws, as positioned glyphs and horizontal rules.
//!
//! [`Page`] coordinates are those of the page as displayed (rotation applied): x to the right, y down,
//! origin at the top left, in points. Text that runs in another direction is turned upright and kept
//! apart. `/ActualText` replaces the glyphs it covers; content marked as a pagination artifact is kept apart, too.

use crate::clean::is_invisible;
use hayro_interpret::font::{Glyph as Drawn, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::hayro_syntax::object::{Dict, Name, String as PdfString};
use hayro_interpret::hayro_syntax::page::Page as PdfPage;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Shape, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps,
    InterpreterCache, InterpreterSettings, SoftMask, interpret_page,
};
use std::collections::{BTreeMap, HashSet};
use unicode_normalization::UnicodeNormalization;

/// Share of letters and digits from which codes without a meaning read as text, blanks aside.
const MIN_READABLE: f64 = 0.7;
/// Distance, in em, of two equal characters that are one drawn twice: surely within half of it, never beyond one and
/// a half. Two thin letters side by side are farther apart.
const SAME_GLYPH: f64 = 0.12;
/// Deviation from a quarter turn, in degrees, that is skew of a scan and not a slant.
const MAX_SKEW: f64 = 3.0;
/// Most directions of text on a page; text on a curve has one for each letter.
const MAX_DIRECTIONS: usize = 12;
/// More glyphs than any page that people read; a page beyond it is cut off.
const MAX_GLYPHS: usize = 400_000;
/// Characters of a page's headers and footers that are kept; they do not count against the limit of the text.
const MAX_ARTIFACT_GLYPHS: usize = 2_000;
/// Rules kept per page; drawings with more are pictures, not tables.
const MAX_RULES: usize = 4_000;
/// Thickness in points up to which a filled box is a line.
const MAX_RULE_THICKNESS: f64 = 3.0;
/// Shortest rule, in points, that can belong to a table.
const MIN_RULE_LENGTH: f64 = 20.0;
/// Shortest side of a cell, in points.
const MIN_UPRIGHT_LENGTH: f64 = 6.0;

/// One glyph, upright in its own direction of text.
#[derive(Debug, Clone)]
pub(crate) struct Glyph {
    pub(crate) text: String,
    pub(crate) x0: f64,
    pub(crate) x1: f64,
    /// Baseline.
    pub(crate) y: f64,
    /// Height of the em square.
    pub(crate) size: f64,
    /// Invisible text is the text layer of a scanned page.
    pub(crate) is_visible: bool,
}

/// A horizontal line: `[x0, x1]` at `y`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) x0: f64,
    pub(crate) x1: f64,
    pub(crate) y: f64,
}

/// A vertical line: `[top, bottom]` at `x`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upright {
    pub(crate) x: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// The straight lines of a page, as far as they can frame tables.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) level: Vec<Rule>,
    pub(crate) upright: Vec<Upright>,
}

/// What was found on one page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// Glyphs by direction of text, in degrees clockwise from the usual one; drawing order within each.
    pub(crate) glyphs: BTreeMap<u16, Vec<Glyph>>,
    /// What the file itself marks as header, footer or page number; of upright text.
    pub(crate) artifacts: Vec<Glyph>,
    pub(crate) rules: Rules,
    pub(crate) has_image: bool,
}

/// Interprets `page` and returns what it draws as text.
pub(crate) fn read<'a>(
    page: &PdfPage<'a>,
    cache: &InterpreterCache<'a>,
    settings: &InterpreterSettings,
) -> Page {
    let (width, height) = page.render_dimensions();
    let (width, height) = (f64::from(width), f64::from(height));
    let [a, b, c, d, e, f] = page.initial_transform(true).as_coeffs();
    let initial = Affine::new([a, b, c, d, e, f]);
    let bounds = Rect::new(0.0, 0.0, width, height);
    let mut context = Context::new(initial, bounds, cache, page.xref(), settings.clone());
    let mut collector = Collector {
        page: Page { width, height, ..Page::default() },
        marked: Vec::new(),
        n_artifacts: 0,
        nameless: Vec::new(),
        seen: HashSet::new(),
        n_glyphs: 0,
    };
    interpret_page(page, &mut context, &mut collector);
    collector.take_nameless();
    collector.page
}

/// An open marked-content sequence.
enum Marked {
    Plain,
    Artifact,
    /// Text that stands for all glyphs inside; the glyph is placed where they are drawn.
    Actual {
        text: String,
        placed: Option<(u16, Glyph)>,
    },
}

struct Collector {
    page: Page,
    marked: Vec<Marked>,
    n_artifacts: usize,
    /// Drawn characters (Type 3) that nothing names, read as if their codes were Latin-1.
    nameless: Vec<(u16, Glyph)>,
    /// Character, size and rounded place; bold by double strike draws the same glyph twice.
    seen: HashSet<(char, i32, i32, i32)>,
    n_glyphs: usize,
}

impl Collector {
    fn glyph(&mut self, drawn: &Drawn<'_>, transform: Affine, is_visible: bool) {
        let along = direction(transform, Vec2::new(1.0, 0.0));
        let up = direction(transform, Vec2::new(0.0, 1.0));
        let advance = match drawn {
            Drawn::Outline(glyph) => glyph.advance_width(),
            Drawn::Type3(glyph) => glyph.advance_width(),
        };
        let size = up.hypot() * 1000.0;
        let length = along.hypot() * f64::from(advance.unwrap_or(500.0));
        let origin = transform * Point::ZERO;
        let finite = [size, length, origin.x, origin.y].iter().all(|value| value.is_finite());
        if !finite || !(0.5..=2000.0).contains(&size) || !self.is_on_page(origin) {
            return;
        }
        let turn = self.turn(along);
        let place = upright(origin, turn, self.page.width, self.page.height);
        let (x0, x1) = (place.x, place.x + length);
        let glyph = |text| Glyph { text, x0, x1, y: place.y, size, is_visible };
        match (characters(drawn), drawn) {
            (Some(text), _) if !text.is_empty() => self.place(turn, glyph(text)),
            // What it stands for is told.
            (None, _) if matches!(self.marked.last(), Some(Marked::Actual { .. })) => {
                self.place(turn, glyph(String::new()));
            }
            (None, Drawn::Type3(_)) if self.nameless.len() < MAX_GLYPHS => {
                let code = u8::try_from(drawn.char_code()).ok().map(char::from);
                if let Some(code) = code.filter(|code| !code.is_control()) {
                    self.nameless.push((turn, glyph(code.to_string())));
                }
            }
            _ => {}
        }
    }

    /// Returns the direction of text that runs along `along`, in degrees; of text on a curve, whose every letter has
    /// another, the nearest quarter turn.
    fn turn(&self, along: Vec2) -> u16 {
        let degrees = along.y.atan2(along.x).to_degrees().rem_euclid(360.0);
        let quarter = (degrees / 90.0).round() * 90.0;
        let slant = degrees.round() as u16 % 360;
        let is_known =
            self.page.glyphs.len() < MAX_DIRECTIONS || self.page.glyphs.contains_key(&slant);
        if (degrees - quarter).abs() > MAX_SKEW && is_known { slant } else { quarter as u16 % 360 }
    }

    /// Takes characters over whose codes read as text. Some producers name what they draw by number, and mean
    /// the code; others number it as it comes, which makes no text and is left to be read from the picture.
    fn take_nameless(&mut self) {
        let nameless = std::mem::take(&mut self.nameless);
        let codes = || nameless.iter().flat_map(|(_, glyph)| glyph.text.chars());
        let n_visible = codes().filter(|code| !code.is_whitespace()).count();
        let n_readable = codes().filter(|code| code.is_alphanumeric()).count();
        if n_readable as f64 >= MIN_READABLE * n_visible as f64 {
            for (turn, glyph) in nameless {
                self.place(turn, glyph);
            }
        }
    }

    fn place(&mut self, turn: u16, mut glyph: Glyph) {
        if self.n_artifacts > 0 {
            if turn == 0 && self.page.artifacts.len() < MAX_ARTIFACT_GLYPHS {
                self.page.artifacts.push(glyph);
            }
            return;
        }
        if let Some(Marked::Actual { text, placed }) = self.marked.last_mut() {
            match placed {
                Some((_, first)) if (first.y - glyph.y).abs() < first.size / 2.0 => {
                    first.x0 = first.x0.min(glyph.x0);
                    first.x1 = first.x1.max(glyph.x1);
                }
                Some(_) => {}
                None => {
                    glyph.text = visible(text);
                    *placed = Some((turn, glyph));
                }
            }
            return;
        }
        if !glyph.text.trim().is_empty() && !self.is_new(&glyph) {
            return;
        }
        self.n_glyphs += 1;
        if self.n_glyphs <= MAX_GLYPHS {
            self.page.glyphs.entry(turn).or_default().push(glyph);
        }
    }

    /// Returns whether no equal character stands at nearly the same place, and notes this one.
    fn is_new(&mut self, glyph: &Glyph) -> bool {
        let first = glyph.text.chars().next().unwrap_or(' ');
        let grain = glyph.size * SAME_GLYPH;
        // The step a place falls on, and the one that is nearly as close.
        let steps = |place: f64| {
            let (at, step) = (place / grain, (place / grain).round());
            [step as i32, (if at > step { step + 1.0 } else { step - 1.0 }) as i32]
        };
        let ([x, near_x], [y, near_y]) = (steps(glyph.x0), steps(glyph.y));
        // Steps depend on the size, so places of different sizes cannot be told apart by them.
        let size = (glyph.size * 10.0).round() as i32;
        let known = [(x, near_y), (near_x, y), (near_x, near_y)];
        !known.iter().any(|&(x, y)| self.seen.contains(&(first, size, x, y)))
            && self.seen.insert((first, size, x, y))
    }

    fn is_on_page(&self, at: Point) -> bool {
        (-2.0..=self.page.width + 2.0).contains(&at.x)
            && (-2.0..=self.page.height + 2.0).contains(&at.y)
    }

    fn rule(&mut self, x0: f64, x1: f64, y: f64) {
        let rules = &mut self.page.rules.level;
        if x1 - x0 >= MIN_RULE_LENGTH && y.is_finite() && rules.len() < MAX_RULES {
            rules.push(Rule { x0, x1, y });
        }
    }

    fn upright(&mut self, bounds: Rect) {
        let (x, top, bottom) = (bounds.center().x, bounds.y0, bounds.y1);
        let rules = &mut self.page.rules.upright;
        if bottom - top >= MIN_UPRIGHT_LENGTH && x.is_finite() && rules.len() < MAX_RULES {
            rules.push(Upright { x, top, bottom });
        }
    }

    fn shape(&mut self, bounds: Rect) {
        if bounds.height() <= MAX_RULE_THICKNESS {
            self.rule(bounds.x0, bounds.x1, bounds.center().y);
        } else if bounds.width() <= MAX_RULE_THICKNESS {
            self.upright(bounds);
        } else if bounds.height() < self.page.height / 3.0 {
            // The edges of a cell's frame or a shaded row bound text as lines do.
            self.rule(bounds.x0, bounds.x1, bounds.y0);
            self.rule(bounds.x0, bounds.x1, bounds.y1);
        }
    }
}

impl<'a> Device<'a> for Collector {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, mode: &DrawMode) {
        // Curves are drawings; a grid is often one path of many straight pieces.
        let elements = path.elements();
        if elements.len() > 200 || self.page.rules.level.len() >= MAX_RULES {
            return;
        }
        match mode {
            DrawMode::Fill(_) => self.shape((props.transform * path.clone()).bounding_box()),
            DrawMode::Stroke(_) | DrawMode::FillAndStroke(..) => {
                for segment in path.segments() {
                    let piece = props.transform * segment.to_path(0.1);
                    let bounds = piece.bounding_box();
                    if bounds.height() <= 1.0 {
                        self.rule(bounds.x0, bounds.x1, bounds.center().y);
                    } else if bounds.width() <= 1.0 {
                        self.upright(bounds);
                    }
                }
            }
            DrawMode::Invisible => {}
        }
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        if self.n_glyphs > MAX_GLYPHS {
            return;
        }
        let is_visible = !matches!(mode, DrawMode::Invisible);
        for glyph in run.glyphs() {
            self.glyph(glyph, props.transform * glyph.transform(), is_visible);
        }
    }

    fn begin_marked_content(&mut self, tag: &[u8], properties: Option<&Dict<'_>>) {
        let marked = match properties {
            Some(dict) if tag == b"Artifact" => {
                let kind = dict.get::<Name<'_>>(b"Type".as_slice());
                match kind.is_some_and(|kind| &*kind == b"Pagination".as_slice()) {
                    true => Marked::Artifact,
                    false => Marked::Plain,
                }
            }
            Some(dict) => match dict.get::<PdfString<'_>>(b"ActualText".as_slice()) {
                Some(text) => {
                    Marked::Actual { text: super::pdf_text(text.as_bytes()), placed: None }
                }
                None => Marked::Plain,
            },
            None => Marked::Plain,
        };
        self.n_artifacts += usize::from(matches!(marked, Marked::Artifact));
        self.marked.push(marked);
    }

    fn end_marked_content(&mut self) {
        match self.marked.pop() {
            Some(Marked::Artifact) => self.n_artifacts -= 1,
            Some(Marked::Actual { placed: Some((turn, glyph)), .. }) => {
                if !glyph.text.is_empty() {
                    self.place(turn, glyph);
                }
            }
            Some(Marked::Actual { .. } | Marked::Plain) | None => {}
        }
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {
        self.page.has_image = true;
    }
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

/// Returns where `transform` sends the direction `v`, its translation left out.
fn direction(transform: Affine, v: Vec2) -> Vec2 {
    let [a, b, c, d, _, _] = transform.as_coeffs();
    Vec2::new(a * v.x + c * v.y, b * v.x + d * v.y)
}

/// Turns `at` so that text of this direction, in degrees, runs to the right.
fn upright(at: Point, turn: u16, width: f64, height: f64) -> Point {
    match turn {
        0 => at,
        90 => Point::new(at.y, width - at.x),
        180 => Point::new(width - at.x, height - at.y),
        270 => Point::new(height - at.y, at.x),
        slant => Affine::rotate(-f64::from(slant).to_radians()) * at,
    }
}

/// Turns a rectangle of this direction back to the page as displayed, and cuts it off at its edges. Of slanted text it
/// is the upright rectangle around it.
pub(crate) fn displayed(rect: Rect, turn: u16, width: f64, height: f64) -> Rect {
    let Rect { x0, y0, x1, y1 } = rect;
    let turned = match turn {
        0 => rect,
        90 => Rect::new(width - y1, x0, width - y0, x1),
        180 => Rect::new(width - x1, height - y1, width - x0, height - y0),
        270 => Rect::new(y0, height - x1, y1, height - x0),
        slant => Affine::rotate(f64::from(slant).to_radians()).transform_rect_bbox(rect),
    };
    Rect::new(
        turned.x0.clamp(0.0, width),
        turned.y0.clamp(0.0, height),
        turned.x1.clamp(0.0, width),
        turned.y1.clamp(0.0, height),
    )
}

/// Returns the glyph's characters, ligatures and presentation forms taken apart.
fn characters(drawn: &Drawn<'_>) -> Option<String> {
    let text = match drawn.as_unicode()? {
        BfString::Char(c) => String::from(c),
        BfString::String(text) => text,
    };
    let composed = |c: char| matches!(c, '\u{fb00}'..='\u{fb4f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}');
    let text = if text.contains(composed) { text.nfkc().collect() } else { text };
    // Most glyphs are one visible character: nothing to filter, nothing to copy.
    if text.chars().any(|c| c != '\u{ad}' && is_invisible(c)) {
        Some(visible(&text))
    } else {
        Some(text)
    }
}

/// Returns `text` without invisible characters; a soft hyphen tells that the line ends inside a word.
fn visible(text: &str) -> String {
    text.chars().filter(|&c| c == '\u{ad}' || !is_invisible(c)).collect()
}
