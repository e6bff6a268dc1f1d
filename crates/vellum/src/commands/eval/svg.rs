//! The plots of a report, as SVG that stands in a page.
//!
//! Colours are classes of the page's style sheet, so that a plot follows a light and a dark scheme; a plotting library
//! would write them into the picture. Every plot has a title for those who cannot see it, every mark one that shows under a
//! pointer. Lengths are in pixels.

use std::fmt::Write;

/// Width of a plot.
const WIDTH: f64 = 760.0;
/// Where marks begin, right of the labels.
const LEFT: f64 = 224.0;
/// Where marks end, left of the figures.
const RIGHT: f64 = 590.0;
/// Height of a bar or a row of text.
const ROW: f64 = 18.0;

/// A value with its interval.
pub(super) struct Bar<'a> {
    /// Class of the colour.
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Returns bars in groups, each in [0, 1], with whiskers for the intervals.
pub(super) fn bars(title: &str, groups: &[(String, Vec<Bar<'_>>)]) -> String {
    let scale = |value: f64| LEFT + value.clamp(0.0, 1.0) * (RIGHT - LEFT);
    let mut body = String::new();
    let mut y = 8.0;
    for (label, bars) in groups {
        let middle = y + bars.len() as f64 * ROW / 2.0;
        text(&mut body, "label end", LEFT - 12.0, middle + 4.0, label);
        for bar in bars {
            let (x, wide, centre) = (LEFT, scale(bar.mean) - LEFT, y + ROW / 2.0);
            let Bar { class, name, mean, low, high } = bar;
            let _ = write!(
                body,
                r#"<g><title>{} {label}: {mean:.4}, 95% interval {low:.4} to {high:.4}</title><rect class="bar {class}" x="{x}" y="{:.1}" width="{wide:.1}" height="{}" rx="2"/>"#,
                escape(name),
                y + 3.0,
                ROW - 6.0,
            );
            whisker(&mut body, scale(*low), scale(*high), centre);
            body.push_str("</g>");
            text(&mut body, "figure", RIGHT + 14.0, centre + 4.0, &format!("{mean:.3}"));
            text(
                &mut body,
                "figure soft",
                RIGHT + 62.0,
                centre + 4.0,
                &format!("{low:.3} to {high:.3}"),
            );
            y += ROW;
        }
        y += 12.0;
    }
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|value| (scale(value), format!("{value}")));
    svg(title, y + 18.0, &format!("{}{body}", axis(&ticks, y)))
}

/// A difference with its interval.
pub(super) struct Difference {
    pub(super) label: String,
    /// Class of the colour.
    pub(super) class: &'static str,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) p: f64,
}

/// Returns differences as points with whiskers, around a line that stands for none.
pub(super) fn forest(title: &str, rows: &[Difference]) -> String {
    let reach = rows.iter().map(|row| row.low.abs().max(row.high.abs())).fold(0.01, f64::max);
    let reach = nice(reach);
    let scale = |value: f64| LEFT + (value / reach + 1.0) / 2.0 * (RIGHT - LEFT);
    let mut body = String::new();
    let mut y = 8.0;
    for row in rows {
        let Difference { label, class, value, low, high, p } = row;
        let centre = y + ROW / 2.0;
        text(&mut body, "label end", LEFT - 12.0, centre + 4.0, label);
        let _ = write!(
            body,
            r#"<g class="{class}"><title>{}: {value:+.4}, 95% interval {low:+.4} to {high:+.4}, p = {p:.4}</title>"#,
            escape(label)
        );
        whisker(&mut body, scale(*low), scale(*high), centre);
        let _ = write!(body, r#"<circle cx="{:.1}" cy="{centre:.1}" r="4.5"/></g>"#, scale(*value));
        text(&mut body, "figure", RIGHT + 14.0, centre + 4.0, &format!("{value:+.4}"));
        text(&mut body, "figure soft", RIGHT + 76.0, centre + 4.0, &format!("p = {p:.4}"));
        y += ROW + 4.0;
    }
    let ticks =
        [-1.0, -0.5, 0.0, 0.5, 1.0].map(|share| (scale(share * reach), signed(share * reach)));
    let zero = format!(
        r#"<line class="zero" x1="{x:.1}" x2="{x:.1}" y1="4" y2="{y:.1}"/>"#,
        x = scale(0.0)
    );
    svg(title, y + 18.0, &format!("{}{zero}{body}", axis(&ticks, y)))
}

/// Returns one bar for each query, up for what it gained and down for what it lost; `changes` are `(query, difference)`
/// in [-1, 1], gains first, among `n` queries of which the others did not change.
pub(super) fn waterfall(title: &str, changes: &[(String, f64)], n: usize) -> String {
    let (height, left) = (200.0, 44.0);
    let reach = nice(changes.iter().map(|(_, value)| value.abs()).fold(0.01, f64::max));
    let scale = |value: f64| 10.0 + (1.0 - value / reach) / 2.0 * height;
    let wide = (WIDTH - left) / n.max(1) as f64;
    let gained = changes.iter().filter(|(_, value)| *value > 0.0).count();
    let unchanged = n.saturating_sub(changes.len());
    let mut body = String::new();
    for value in [-reach, -reach / 2.0, 0.0, reach / 2.0, reach] {
        let y = scale(value);
        let _ = write!(
            body,
            r#"<line class="grid" x1="{left}" x2="{WIDTH}" y1="{y:.1}" y2="{y:.1}"/>"#
        );
        text(&mut body, "tick end", left - 8.0, y + 4.0, &signed(value));
    }
    for (index, (query, value)) in changes.iter().enumerate() {
        let place = if index < gained { index } else { index + unchanged };
        let class = if *value > 0.0 { "good" } else { "bad" };
        let (top, bottom) = (scale(value.max(0.0)), scale(value.min(0.0)));
        let _ = write!(
            body,
            r#"<rect class="{class}" x="{:.2}" y="{top:.1}" width="{:.2}" height="{:.1}"><title>{}: {value:+.4}</title></rect>"#,
            left + place as f64 * wide,
            (wide * 0.86).max(0.4),
            (bottom - top).max(0.5),
            escape(query),
        );
    }
    let caption =
        format!("{gained} gained, {} lost, {unchanged} unchanged", changes.len() - gained);
    text(&mut body, "tick", left, height + 32.0, &caption);
    svg(title, height + 40.0, &body)
}

/// Returns how often values fall into equal classes, with marks such as `("p95", 12.0)`. `sorted` is ascending.
pub(super) fn histogram(title: &str, class: &str, sorted: &[f64], marks: &[(&str, f64)]) -> String {
    const CLASSES: usize = 40;
    let (height, left) = (110.0, 12.0);
    // The last class holds the few that took far longer, which would squeeze all others into one.
    let cap = marks.last().map_or(1.0, |(_, value)| value * 1.15).max(f64::MIN_POSITIVE);
    let scale = |value: f64| left + (value / cap).min(1.0) * (WIDTH - 2.0 * left);
    let mut counts = [0usize; CLASSES];
    for value in sorted {
        let at = (value / cap * CLASSES as f64) as usize;
        counts[at.min(CLASSES - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let wide = (WIDTH - 2.0 * left) / CLASSES as f64;
    let base = height + 30.0;
    let mut body = String::new();
    for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let tall = count as f64 / most * height;
        let from = cap / CLASSES as f64 * index as f64;
        let to = from + cap / CLASSES as f64;
        let range = match index + 1 == CLASSES {
            true => format!("{from:.1} ms and more"),
            false => format!("{from:.1} to {to:.1} ms"),
        };
        let _ = write!(
            body,
            r#"<rect class="bar {class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{tall:.1}"><title>{range}: {count}</title></rect>"#,
            left + index as f64 * wide,
            base - tall,
            wide - 1.5,
        );
    }
    for (index, (name, value)) in marks.iter().enumerate() {
        let x = scale(*value);
        let y = 12.0 + index as f64 % 2.0 * 13.0;
        let _ = write!(
            body,
            r#"<line class="mark" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{base:.1}"/>"#,
            y + 3.0
        );
        let anchor = if x > WIDTH * 0.8 { "tick end" } else { "tick" };
        text(&mut body, anchor, x, y, &format!("{name} {value:.1} ms"));
    }
    let ticks =
        [0.0, 0.25, 0.5, 0.75].map(|share| (scale(share * cap), format!("{:.1}", share * cap)));
    for (x, label) in &ticks {
        text(&mut body, "tick", *x, base + 16.0, label);
    }
    let _ = write!(
        body,
        r#"<line class="grid" x1="{left}" x2="{}" y1="{base}" y2="{base}"/>"#,
        WIDTH - left
    );
    svg(title, base + 24.0, &body)
}

/// Returns upright lines with labels below.
fn axis(ticks: &[(f64, String)], bottom: f64) -> String {
    let mut body = String::new();
    for (x, label) in ticks {
        let _ =
            write!(body, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="4" y2="{bottom:.1}"/>"#);
        text(&mut body, "tick middle", *x, bottom + 14.0, label);
    }
    body
}

fn whisker(body: &mut String, from: f64, to: f64, y: f64) {
    let _ = write!(
        body,
        r#"<path class="whisker" d="M{from:.1} {:.1}v8M{from:.1} {y:.1}H{to:.1}M{to:.1} {:.1}v8"/>"#,
        y - 4.0,
        y - 4.0
    );
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let _ = write!(body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(text));
}

fn svg(title: &str, height: f64, body: &str) -> String {
    let title = escape(title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>"#
    )
}

/// Returns the least of 1, 2, 5 times a power of ten that is at least `value`, at most 1.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    (step.unwrap_or(10.0) * power).min(1.0)
}

fn signed(value: f64) -> String {
    let text = format!("{value:+.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if matches!(text, "+0" | "-0") { "0".to_owned() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_values() {
        for (value, expect) in [(0.011, 0.02), (0.02, 0.02), (0.3, 0.5), (0.07, 0.1), (3.0, 1.0)] {
            assert!((nice(value) - expect).abs() < 1e-12, "{value}: {}", nice(value));
        }
        assert_eq!([0.0, 0.05, -0.125].map(signed), ["0", "+0.05", "-0.125"]);
    }

    #[test]
    fn text_of_users_is_no_markup() {
        let plot = waterfall("a < b", &[("<script>".to_owned(), 0.5)], 3);
        assert!(!plot.contains("<script>") && plot.contains("&lt;script&gt;"), "{plot}");
        assert!(plot.contains("1 gained, 0 lost, 2 unchanged"));
    }
}
