//! Numbers as people see them: list labels, and cells through their number format.

/// Returns `value` as a spreadsheet shows it without a format: at most 15 digits, no noise of binary fractions.
pub(crate) fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let size = value.abs();
    if !(1e-9..1e15).contains(&size) {
        let written = format!("{value:.14E}");
        let (digits, power) = written.split_once('E').unwrap_or((&written, "0"));
        return format!("{}E{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let n_before = size.log10().floor() as i32 + 1;
    let n_after = usize::try_from(15 - n_before).unwrap_or(0).min(20);
    let written = format!("{value:.n_after$}");
    if !written.contains('.') {
        return written;
    }
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns `n` as letters: a to z, then aa, bb, as Word counts.
pub(crate) fn letters(n: u32) -> String {
    let Some(at) = n.checked_sub(1) else { return String::new() };
    let letter = char::from(b'a' + (at % 26) as u8);
    String::from(letter).repeat((at / 26 + 1).min(8) as usize)
}

/// Returns `n` as a Roman number in small letters; large ones in digits.
pub(crate) fn roman(n: u32) -> String {
    const PARTS: [(u32, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    if n >= 5000 {
        return n.to_string();
    }
    let mut rest = n;
    let mut out = String::new();
    for (value, written) in PARTS {
        while rest >= value {
            out.push_str(written);
            rest -= value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_format() {
        let cases = [
            (0.1 + 0.2, "0.3"),
            (1234567.0, "1234567"),
            (-1.005, "-1.005"),
            (1e15, "1E15"),
            (1.5e-12, "1.5E-12"),
            (0.0, "0"),
            (123456789012345.0, "123456789012345"),
            (2.0 / 3.0, "0.666666666666667"),
        ];
        for (value, expect) in cases {
            assert_eq!(general(value), expect);
        }
    }

    #[test]
    fn labels() {
        assert_eq!([1, 26, 27, 0].map(letters), ["a", "z", "aa", ""]);
        assert_eq!([1, 4, 14, 1999].map(roman), ["i", "iv", "xiv", "mcmxcix"]);
    }
}
