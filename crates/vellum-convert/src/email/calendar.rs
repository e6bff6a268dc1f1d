//! Calendar data (RFC 5545) to lines: what, when, where, who.
//!
//! Folded lines are joined, parameters dropped, and only the properties that people read are kept, in the order
//! of the file. Alarms and time zone rules are left out.

use crate::clean::collapsed;

/// Properties that are shown, and under which name.
const SHOWN: &[(&str, &str)] = &[
    ("METHOD", "Method"),
    ("SUMMARY", "Event"),
    ("DTSTART", "Start"),
    ("DTEND", "End"),
    ("DUE", "Due"),
    ("DURATION", "Duration"),
    ("RRULE", "Repeats"),
    ("LOCATION", "Location"),
    ("ORGANIZER", "Organizer"),
    ("ATTENDEE", "Attendee"),
    ("STATUS", "Status"),
    ("DESCRIPTION", "Description"),
];

/// Returns the events in `source` as lines, an empty line between two of them.
pub(super) fn convert(source: &str) -> String {
    let unfolded = source.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut out = String::new();
    // Open components that are left out.
    let mut n_skipping = 0_usize;
    for line in unfolded.lines() {
        let Some((property, value)) = split(line) else { continue };
        let mut parts = property.split(';');
        let name = parts.next().unwrap_or_default().to_ascii_uppercase();
        let is_aside = matches!(value.trim(), "VALARM" | "VTIMEZONE");
        match name.as_str() {
            "BEGIN" if is_aside => n_skipping += 1,
            "END" if is_aside => n_skipping = n_skipping.saturating_sub(1),
            "BEGIN" if !out.is_empty() => out.push('\n'),
            _ => {}
        }
        let Some((_, label)) = SHOWN.iter().find(|(known, _)| *known == name) else { continue };
        if n_skipping > 0 {
            continue;
        }
        let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
        let value = match name.as_str() {
            "DTSTART" | "DTEND" | "DUE" => {
                let zone = parameters.find(|(key, _)| key.eq_ignore_ascii_case("TZID"));
                date(value, zone.map(|(_, zone)| zone.trim_matches('"')))
            }
            "ORGANIZER" | "ATTENDEE" => {
                let address = value.trim_start_matches(|c: char| c.is_ascii_alphabetic());
                let address = address.trim_start_matches(':');
                let address =
                    if value.to_ascii_lowercase().starts_with("mailto:") { address } else { value };
                let person = parameters.find(|(key, _)| key.eq_ignore_ascii_case("CN"));
                match person.map(|(_, name)| name.trim_matches('"')) {
                    Some(name) if name != address => format!("{name} <{address}>"),
                    _ => address.to_owned(),
                }
            }
            _ => unescaped(value),
        };
        let value = if name == "DESCRIPTION" { value.trim().to_owned() } else { collapsed(&value) };
        if !value.is_empty() {
            out.push_str(&format!("{label}: {value}\n"));
        }
    }
    out
}

/// Splits a line at the first colon outside quotes.
fn split(line: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let at = line.find(|c| {
        is_quoted ^= c == '"';
        c == ':' && !is_quoted
    })?;
    Some((&line[..at], &line[at + 1..]))
}

/// Returns `20240301T090000Z` as `2024-03-01 09:00 UTC`; anything else as it stands.
fn date(value: &str, zone: Option<&str>) -> String {
    let value = value.trim();
    let zone = if value.ends_with('Z') { Some("UTC") } else { zone };
    let digits = value.trim_end_matches('Z').replace('T', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 8 | 14) {
        return value.to_owned();
    }
    let mut out = format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..8]);
    if digits.len() == 14 {
        out.push_str(&format!(" {}:{}", &digits[8..10], &digits[10..12]));
        if let Some(zone) = zone {
            out.push(' ');
            out.push_str(zone);
        }
    }
    out
}

fn unescaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let source = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nDTSTART:16010101T000000\r\n\
            END:VTIMEZONE\r\nBEGIN:VEVENT\r\nSUMMARY:Budget\\, second\r\n  round\r\n\
            DTSTART;TZID=\"Europe/Berlin\":20240301T090000\r\nDTEND:20240301T090000Z\r\n\
            ORGANIZER;CN=\"Ann: Lead\":mailto:ann@example.org\r\nATTENDEE:MAILTO:bob@example.org\r\n\
            BEGIN:VALARM\r\nDESCRIPTION:Reminder\r\nEND:VALARM\r\nDESCRIPTION:One\\nTwo\r\nEND:VEVENT\r\n";
        assert_eq!(
            convert(source).trim(),
            "Method: REQUEST\n\nEvent: Budget, second round\nStart: 2024-03-01 09:00 Europe/Berlin\n\
             End: 2024-03-01 09:00 UTC\nOrganizer: Ann: Lead <ann@example.org>\n\
             Attendee: bob@example.org\nDescription: One\nTwo"
        );
    }
}
