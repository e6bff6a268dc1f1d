//! The plots of a study, as SVG that stands in a page. Colours are classes of the page's style sheet; lengths are pixels.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 216.0;

/// A mark in a plot.
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Class of its colour.
    pub(super) class: &'static str,
    /// What a pointer shows.
    pub(super) title: String,
}

/// Names of the axes.
pub(super) struct Axes<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
}

/// Returns marks in a plane, and a line of steps through `line`, points in order of x.
pub(super) fn scatter(axes: &Axes<'_>, marks: &[Mark], line: &[(f64, f64)]) -> String {
    let across = Scale::of(marks.iter().map(|mark| mark.x), LEFT + 8.0, RIGHT - 8.0);
    let up = Scale::of(marks.iter().map(|mark| mark.y), BOTTOM - 6.0, TOP + 6.0);
    let mut body = String::new();
    for value in up.ticks() {
        let y = up.at(value);
        let _ = write!(
            body,
            r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}"/>"#
        );
        text(&mut body, "tick end", LEFT - 8.0, y + 4.0, &up.written(value));
    }
    for value in across.ticks() {
        text(&mut body, "tick middle", across.at(value), BOTTOM + 16.0, &across.written(value));
    }
    text(&mut body, "tick middle", f64::midpoint(LEFT, RIGHT), BOTTOM + 36.0, axes.x);
    text(&mut body, "tick", LEFT, TOP - 1.0, axes.y);
    if let Some(((x, y), rest)) = line.split_first() {
        let mut path = format!("M{:.1} {:.1}", across.at(*x), up.at(*y));
        for (x, y) in rest {
            let _ = write!(path, "H{:.1}V{:.1}", across.at(*x), up.at(*y));
        }
        let _ = write!(body, r#"<path class="best" d="{path}"/>"#);
    }
    for Mark { x, y, class, title } in marks {
        let _ = write!(
            body,
            r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="4.5"><title>{}</title></circle>"#,
            across.at(*x),
            up.at(*y),
            escape(title)
        );
    }
    let title = escape(axes.title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>"#
    )
}

/// Values onto pixels.
struct Scale {
    low: f64,
    step: f64,
    n: usize,
    from: f64,
    to: f64,
}

impl Scale {
    /// Returns the scale from `from` to `to` over values, its ends at round ones.
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let reach = (high - low).max(high.abs() * 1e-3).max(1e-6);
        let power = 10f64.powf((reach / 4.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| reach / step <= 5.0).unwrap_or(steps[3]);
        let low = (low / step + 1e-9).floor() * step;
        let n = ((high - low) / step - 1e-9).ceil().max(1.0) as usize;
        Self { low, step, n, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.step * self.n as f64) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (0..=self.n).map(|index| self.low + index as f64 * self.step)
    }

    fn written(&self, value: f64) -> String {
        let places = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.places$}")
    }
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let _ = write!(body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(text));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_their_values_between_round_ends() {
        for values in [vec![0.91, 0.9421], vec![3.0, 17.0, 250.0], vec![5.0], vec![0.0], vec![]] {
            let scale = Scale::of(values.iter().copied(), 0.0, 100.0);
            assert!((1..=7).contains(&scale.n), "{values:?}: {}", scale.n);
            for value in &values {
                assert!((-1e-6..=100.000_001).contains(&scale.at(*value)), "{values:?}");
            }
        }
        assert_eq!(Scale::of([0.91, 0.9421].into_iter(), 0.0, 1.0).written(0.92), "0.92");
    }

    #[test]
    fn text_of_users_is_no_markup() {
        let mark = Mark { x: 1.0, y: 1.0, class: "front", title: "<script>".to_owned() };
        let axes = Axes { title: "a < b", x: "x", y: "y" };
        let plot = scatter(&axes, &[mark], &[(1.0, 1.0), (2.0, 1.0)]);
        assert!(!plot.contains("<script>") && plot.contains("&lt;script&gt;"), "{plot}");
    }
}
