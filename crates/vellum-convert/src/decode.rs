//! Bytes of a text-like file to a string, whatever their encoding.
//!
//! In order: byte order mark; UTF-8 if valid; UTF-16 without a mark, told by where the zero bytes stand;
//! the `charset` that an HTML or XML head declares; else the guess of `chardetng` (the detector of
//! Firefox), decoded by `encoding_rs`. A share of control characters that no text has means that
//! the bytes are not text at all.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Share of control characters above which content is not text; random bytes have about 10%.
const MAX_CONTROL_SHARE: f64 = 0.02;
/// How much of the head is searched for a declared `charset`.
const DECLARATION_WINDOW: usize = 2048;

/// Returns the text, or `None` when the bytes are not text.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let text = match Encoding::for_bom(bytes) {
        Some((encoding, skip)) => {
            encoding.decode_without_bom_handling(&bytes[skip..]).0.into_owned()
        }
        None => decode_unmarked(bytes),
    };
    Noise::default().is_text_with(&text).then_some(text)
}

/// Returns the encoding of a text that opens with `head`, and the length of its byte order mark.
///
/// `None` when `head` is not text.
pub(crate) fn encoding_of(head: &[u8]) -> Option<(&'static Encoding, usize)> {
    let found = Encoding::for_bom(head).unwrap_or_else(|| (unmarked(head), 0));
    let text = found.0.decode_without_bom_handling(&head[found.1..]).0;
    Noise::default().is_text_with(&text).then_some(found)
}

/// Counts what no text holds other than by accident, over all of a text.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    n_bad: usize,
    n_all: usize,
}

impl Noise {
    /// Takes the next stretch and returns whether all so far is text.
    pub(crate) fn is_text_with(&mut self, text: &str) -> bool {
        self.n_bad += text.chars().filter(|&c| is_noise(c)).count();
        self.n_all += text.chars().count();
        // A single stray zero must not cost a short note.
        self.n_bad <= 1 || self.n_bad as f64 <= self.n_all as f64 * MAX_CONTROL_SHARE
    }
}

fn decode_unmarked(bytes: &[u8]) -> String {
    unmarked(bytes).decode_without_bom_handling(bytes).0.into_owned()
}

/// Returns the encoding of bytes without a mark; they may end within a character.
fn unmarked(bytes: &[u8]) -> &'static Encoding {
    // UTF-16 of plain ASCII is valid UTF-8 full of zero bytes, so it is asked first.
    if let Some(encoding) = utf16_by_zeros(bytes) {
        return encoding;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        // Cut within the last character.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => UTF_8,
        Err(_) => declared(bytes).unwrap_or_else(|| guess(bytes)),
    }
}

/// Recognises UTF-16 text whose characters are mostly below U+0100: every other byte is zero.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let window = &bytes[..bytes.len().min(4096)];
    let n_pairs = window.len() / 2;
    if n_pairs < 2 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let n_zeros = |odd: usize| window.chunks_exact(2).filter(|pair| pair[odd] == 0).count();
    let (high_first, low_first) = (n_zeros(0), n_zeros(1));
    let most = n_pairs * 7 / 10;
    match (high_first > most, low_first > most) {
        (true, false) => Some(UTF_16BE),
        (false, true) => Some(UTF_16LE),
        _ => None,
    }
}

/// Returns the encoding that the head of an HTML or XML file names; UTF-8 is known to be wrong here.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(DECLARATION_WINDOW)];
    if head.trim_ascii_start().first() != Some(&b'<') {
        return None;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let at = ["charset=", "encoding="].iter().find_map(|key| Some(head.find(key)? + key.len()))?;
    let label = head[at..].trim_start_matches(['"', '\'']);
    let end = label.find(['"', '\'', ';', '>', ' ', '?', '/'])?;
    Encoding::for_label(&label.as_bytes()[..end]).filter(|&encoding| encoding != UTF_8)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, chardetng::Utf8Detection::Allow)
}

/// Returns whether no text in any encoding holds `c` other than by accident.
fn is_noise(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{85}' => false,
        '\u{fffd}' => true,
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let utf16 = |bytes: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let german = "Über die Straße läuft ein Bär, und größer wird der Ärger über Öl in Köln.";
        let russian = "Сотрудники могут взять двадцать восемь дней отпуска в году.";
        let japanese = "社員は年に二十日の有給休暇を取ることができます。詳しくは人事部まで。";
        let cases: [(Vec<u8>, &str); 8] = [
            (b"\xef\xbb\xbfplain".to_vec(), "plain"),
            (german.into(), german),
            (utf16(u16::to_le_bytes, "\u{feff}Grüße"), "Grüße"),
            (utf16(u16::to_be_bytes, "\u{feff}Grüße"), "Grüße"),
            (utf16(u16::to_le_bytes, "no mark at all"), "no mark at all"),
            (encoding_rs::WINDOWS_1252.encode(german).0.into_owned(), german),
            (encoding_rs::WINDOWS_1251.encode(russian).0.into_owned(), russian),
            (encoding_rs::SHIFT_JIS.encode(japanese).0.into_owned(), japanese),
        ];
        for (bytes, expect) in cases {
            assert_eq!(decode(&bytes).as_deref(), Some(expect));
        }
    }

    #[test]
    fn declared_charset_wins_over_the_guess() {
        let html = b"<html><meta charset=\"iso-8859-2\"><p>\xb1\xe6</p>";
        assert!(decode(html).is_some_and(|text| text.contains("ąć")));
    }

    #[test]
    fn noise_is_not_text() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4096)
        .collect();
        assert_eq!(decode(&noise), None);
    }
}
