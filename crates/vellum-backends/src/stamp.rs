//! Points in time as the web writes them.

/// Returns milliseconds since 1970 of a W3C date (`2026`, `2026-05`, `2026-05-30`, `2026-05-30T13:07:09.25+02:00`).
///
/// `None` for anything else; a time must name its zone. Source: W3C NOTE-datetime, which is a profile of ISO 8601.
pub(crate) fn millis(text: &str) -> Option<i64> {
    let (date, time) = match text.trim().split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text.trim(), None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |part| number(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| number(part, 2))?;
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = days(year, month, day) * 86_400_000;
    time.map_or(Some(date), |time| Some(date + of_day(time)?))
}

/// Returns the milliseconds of `hh:mm[:ss[.s]]` and a zone.
fn of_day(text: &str) -> Option<i64> {
    let at = text.find(['Z', '+', '-'])?;
    let (clock, zone) = text.split_at(at);
    let zone = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let mut parts = clock.split(':');
    let hours = number(parts.next()?, 2)?;
    let minutes = number(parts.next()?, 2)?;
    let millis = match parts.next() {
        None => 0,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            number(whole, 2)? * 1000 + number(&thousandths, 3)?
        }
    };
    if parts.next().is_some() || hours > 24 || minutes > 59 || millis > 60_999 {
        return None;
    }
    Some(((hours * 60 + minutes - zone) * 60_000) + millis)
}

/// Returns the value of exactly `n` digits.
fn number(text: &str, n: usize) -> Option<i64> {
    (text.len() == n && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`; years begin in March there.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_the_web() {
        for (text, expect) in [
            ("1970", Some(0)),
            ("1970-01-02", Some(86_400_000)),
            ("2000-03", Some(951_868_800_000)),
            ("2026-11-23T04:17:15Z", Some(1_795_407_435_000)),
            ("2026-11-23T05:17:15.250+01:00", Some(1_795_407_435_250)),
            (" 2026-11-22T23:17-05:00 ", Some(1_795_407_420_000)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200_000)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("yesterday", None),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("2026-11-23T04:17:15", None),
            ("2026-11-23T04Z", None),
            ("2026-11-23T04:17:15Zulu", None),
            ("+026-11-23", None),
            ("", None),
        ] {
            assert_eq!(millis(text), expect, "{text}");
        }
    }
}
