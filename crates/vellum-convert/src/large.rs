//! Plain text of any size: decoded, cleaned and handed on window by window.
//!
//! Only plain text, tables and JSON lines can be read in pieces: Markdown and HTML need their whole. The
//! encoding is told from the first window. A part of plain text ends at an empty line where one is near,
//! else at a line, else between words.

use crate::detect::rejected;
use crate::text;
use encoding_rs::{CoderResult, Decoder, Encoding};
use vellum_core::document::Document;
use vellum_core::ports::Content;
use vellum_core::{Error, Result};

/// Size from which plain text is read in windows.
pub(crate) const LARGE_FROM: u64 = 4 << 20;
/// Source bytes read at a time, and about the text of a part.
pub(crate) const WINDOW: usize = 1 << 20;

/// Reads `content`, which is plain text in `encoding` after its first `skip` bytes, in parts.
pub(crate) fn convert(
    content: &Content,
    encoding: &'static Encoding,
    skip: u64,
    emit: &mut dyn FnMut(Document) -> Result<()>,
) -> Result<()> {
    let mut pending = String::new();
    windows(content, encoding, skip, &mut |window, last| {
        pending.push_str(window);
        while pending.len() >= WINDOW || (last && !pending.is_empty()) {
            let is_rest = last && pending.len() <= WINDOW;
            let end = if is_rest { pending.len() } else { cut(&pending) };
            let part = text::convert(&pending[..end]);
            pending.drain(..end);
            if !part.text.is_empty() {
                emit(part)?;
            }
        }
        Ok(())
    })
}

/// Hands the decoded text of `content` to `take` window by window, and whether it is the last one.
///
/// # Errors
/// `Rejected` when it turns out not to be text; the errors of `take`.
pub(crate) fn windows(
    content: &Content,
    encoding: &'static Encoding,
    skip: u64,
    take: &mut dyn FnMut(&str, bool) -> Result<()>,
) -> Result<()> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut decoded = String::new();
    let mut at = skip;
    let mut noise = crate::decode::Noise::default();
    loop {
        let window = content.read_at(at, WINDOW).map_err(|error| Error::io("read", error))?;
        at += window.len() as u64;
        let last = at >= content.len();
        decoded.clear();
        decode(&mut decoder, &window, last, &mut decoded);
        if !noise.is_text_with(&decoded) {
            return Err(rejected("not a text document: it begins as text, then turns binary"));
        }
        take(&decoded, last)?;
        if last {
            return Ok(());
        }
    }
}

fn decode(decoder: &mut Decoder, mut source: &[u8], last: bool, out: &mut String) {
    loop {
        out.reserve(source.len().max(64));
        let (result, read, _) = decoder.decode_to_string(source, out, last);
        source = &source[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

/// Returns where a part of at most [`WINDOW`] bytes may end, greater than 0.
fn cut(text: &str) -> usize {
    let end = text.floor_char_boundary(WINDOW);
    let from = text.floor_char_boundary(end / 2);
    let near = &text[from..end];
    let found = ["\n\n", "\n", " "].iter().find_map(|gap| Some(near.rfind(gap)? + gap.len()));
    found.map_or(end, |at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{UTF_8, UTF_16LE};

    fn parts(bytes: Vec<u8>, encoding: &'static Encoding) -> Vec<String> {
        let mut parts = Vec::new();
        let mut emit = |part: Document| {
            parts.push(part.text);
            Ok(())
        };
        convert(&bytes.into(), encoding, 0, &mut emit).unwrap();
        parts
    }

    #[test]
    fn parts_end_between_paragraphs_and_lose_nothing() {
        let paragraph = "Ein Bär läuft über die Straße.\nUnd zurück.";
        let text = vec![paragraph; 120_000].join("\n\n");
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, encoding) in [(text.clone().into_bytes(), UTF_8), (utf16, UTF_16LE)] {
            let parts = parts(bytes, encoding);
            assert!(parts.len() > 4 && parts.iter().all(|part| part.len() <= WINDOW));
            assert_eq!(parts.join("\n\n"), text);
        }
    }

    #[test]
    fn text_without_a_gap_is_cut_between_characters() {
        let text = "ü".repeat(3 << 20);
        let parts = parts(text.clone().into_bytes(), UTF_8);
        assert_eq!(parts.concat(), text);
    }
}
