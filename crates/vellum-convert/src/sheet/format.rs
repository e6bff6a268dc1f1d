//! A number as its cell shows it: Excel's format codes.
//!
//! Read are sections for positive, negative and zero values, digits, grouping, percent, powers, and literal text.
//! Fractions and conditions fall back to the plain number. Dates never come here.
//! Reference: ECMA-376 part 1, 18.8.31.

use crate::number::general;

/// Most decimals that are written.
const MAX_DECIMALS: usize = 15;

/// What a section of a code asks for.
#[derive(Default)]
struct Pattern {
    before: String,
    after: String,
    n_whole: usize,
    n_decimals: usize,
    /// Of the decimals, those that are dropped when they are 0.
    n_optional: usize,
    is_grouped: bool,
    n_percent: usize,
    /// How often the value is divided by 1000.
    n_thousands: usize,
    is_power: bool,
    has_digits: bool,
}

/// Returns `value` as the format `code` shows it.
pub(super) fn formatted(value: f64, code: &str) -> String {
    let sections = sections(code);
    let (section, value) = match sections.as_slice() {
        [] => return general(value),
        [_, negative, ..] if value < 0.0 => (negative.as_str(), -value),
        [_, _, zero, ..] if value == 0.0 => (zero.as_str(), value),
        [first, ..] => (first.as_str(), value),
    };
    let shown = pattern(section).map(|pattern| written(value, &pattern));
    let shown = shown.unwrap_or_else(|| general(value));
    // A format that shows nothing hides the number from view, not from search.
    if shown.is_empty() { general(value) } else { shown }
}

/// Returns the parts of a code between semicolons that are not quoted.
fn sections(code: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let (mut in_quotes, mut is_escaped) = (false, false);
    for c in code.chars() {
        if c == ';' && !in_quotes && !is_escaped {
            sections.push(String::new());
            continue;
        }
        in_quotes ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped && !in_quotes;
        if let Some(last) = sections.last_mut() {
            last.push(c);
        }
    }
    sections
}

/// Returns what `section` asks for; `None` for what is shown as the plain number.
fn pattern(section: &str) -> Option<Pattern> {
    let mut pattern = Pattern::default();
    let mut chars = section.chars().peekable();
    let (mut in_decimals, mut commas) = (false, 0);
    if section.to_ascii_lowercase().contains("general") || section.contains(['@', '/']) {
        return None;
    }
    while let Some(c) = chars.next() {
        let literal = match c {
            '0' | '#' | '?' => {
                if !pattern.after.is_empty() {
                    return None;
                }
                if commas > 0 && !in_decimals {
                    pattern.is_grouped = true;
                }
                commas = 0;
                pattern.has_digits = true;
                match (in_decimals, c) {
                    (true, c) => {
                        pattern.n_decimals += 1;
                        pattern.n_optional = if c == '0' { 0 } else { pattern.n_optional + 1 };
                    }
                    (false, '0') => pattern.n_whole += 1,
                    (false, _) => {}
                }
                continue;
            }
            '.' => {
                in_decimals = true;
                continue;
            }
            ',' => {
                commas += 1;
                continue;
            }
            '%' => {
                pattern.n_percent += 1;
                "%".to_owned()
            }
            'E' | 'e' if matches!(chars.peek(), Some('+' | '-')) => {
                pattern.is_power = true;
                chars.next();
                while chars.next_if(|c| matches!(c, '0' | '#')).is_some() {}
                continue;
            }
            '"' => chars.by_ref().take_while(|&c| c != '"').collect(),
            '\\' => chars.next().map(String::from).unwrap_or_default(),
            // The width of the next character, or the next character as often as fits.
            '_' | '*' => {
                chars.next();
                continue;
            }
            '[' => {
                let inner: String = chars.by_ref().take_while(|&c| c != ']').collect();
                if inner.starts_with(['<', '>', '=']) {
                    return None;
                }
                // `[$€-407]` names a currency; colours and languages show nothing.
                let currency = inner.strip_prefix('$').and_then(|rest| rest.split('-').next());
                currency.unwrap_or_default().to_owned()
            }
            c => c.to_string(),
        };
        if pattern.has_digits { &mut pattern.after } else { &mut pattern.before }
            .push_str(&literal);
    }
    pattern.n_thousands = commas;
    Some(pattern)
}

fn written(value: f64, pattern: &Pattern) -> String {
    let around = |digits: &str| {
        let shown = format!("{}{digits}{}", pattern.before, pattern.after);
        crate::clean::collapsed(&crate::clean::characters(&shown))
    };
    if !pattern.has_digits {
        return around("");
    }
    let scale = 100f64.powi(pattern.n_percent.min(4) as i32)
        / 1000f64.powi(pattern.n_thousands.min(4) as i32);
    let scaled = value * scale;
    let n_decimals = pattern.n_decimals.min(MAX_DECIMALS);
    if pattern.is_power {
        let shown = format!("{scaled:.n_decimals$E}");
        return around(&shown);
    }
    if scaled.abs() >= 1e15 {
        return around(&general(scaled));
    }
    // 1.005 stands for itself and not for the binary fraction just below it.
    let exact: f64 = general(scaled.abs()).parse().unwrap_or(scaled.abs());
    let shown = format!("{:.n_decimals$}", exact + exact * f64::EPSILON);
    let (whole, decimals) = shown.split_once('.').unwrap_or((&shown, ""));
    let n_kept = decimals.len() - pattern.n_optional.min(decimals.len());
    let decimals = {
        let rest = decimals[n_kept..].trim_end_matches('0').len();
        &decimals[..n_kept + rest]
    };
    let mut whole = format!("{whole:0>width$}", width = pattern.n_whole.min(20));
    if pattern.n_whole == 0 && whole == "0" {
        whole.clear();
    }
    if pattern.is_grouped {
        whole = grouped(&whole);
    }
    let digits = if decimals.is_empty() { whole } else { format!("{whole}.{decimals}") };
    let is_negative = scaled < 0.0 && digits.contains(|c: char| matches!(c, '1'..='9'));
    let shown = around(&digits);
    if is_negative { format!("-{shown}") } else { shown }
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_excel_does() {
        let cases = [
            (0.1 + 0.2, "General", "0.3"),
            (0.256, "0%", "26%"),
            (0.256, "0.0%", "25.6%"),
            (1234567.891, "#,##0.00", "1,234,567.89"),
            (1234567.0, "#,##0", "1,234,567"),
            (12.0, "0000", "0012"),
            (1.005, "0.00", "1.01"),
            (-5.5, "0.00;(0.00)", "(5.50)"),
            (-5.5, "0.00", "-5.50"),
            (0.0, "0.00;-0.00;\"none\"", "none"),
            (99.5, "\"$\"#,##0.00", "$99.50"),
            (99.5, "[$€-407] #,##0.00", "€ 99.50"),
            (99.5, "#,##0.00\\ \"kg\"", "99.50 kg"),
            (1234.5, "_(* #,##0.00_);_(* (#,##0.00);_(* \"-\"??_);_(@_)", "1,234.50"),
            (0.0, "_(* #,##0.00_);_(* (#,##0.00);_(* \"-\"??_);_(@_)", "-"),
            (1_500_000.0, "0.0,,\"M\"", "1.5M"),
            (0.5, "#.##", ".5"),
            (2.5, "0.##", "2.5"),
            (12345.0, "0.00E+00", "1.23E4"),
            (0.5, "# ?/?", "0.5"),
            (3.0, ";;;", "3"),
            (-0.001, "0.00", "0.00"),
        ];
        for (value, code, expect) in cases {
            assert_eq!(formatted(value, code), expect, "{value} as {code}");
        }
    }
}
