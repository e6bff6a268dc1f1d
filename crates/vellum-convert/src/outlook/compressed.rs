//! Compressed rich text (MS-OXRTFCP): a dictionary of 4 KiB that begins with common words.
//!
//! The head is four numbers (u32, little endian): size of what follows, size unpacked, kind, checksum. Of the two
//! kinds one is not compressed. In the other, a control byte says for each of the next eight
//! items, lowest bit first, whether it is a byte or a reference of 16 bits: place (12) and length less 2 (4). A
//! reference to the place that is written next is the end. A reference gives at most 17 bytes, so the
//! result is at most 9 times as long as its source.

const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}\
{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier\
{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const SIZE: usize = 4096;
const COMPRESSED: &[u8] = b"LZFu";
const UNCOMPRESSED: &[u8] = b"MELA";

/// Returns the rich text in `source`; `None` when it is of no known kind.
pub(super) fn unpacked(source: &[u8]) -> Option<Vec<u8>> {
    let n_bytes = u32::from_le_bytes(source.get(4..8)?.try_into().ok()?) as usize;
    let kind = source.get(8..12)?;
    let body = source.get(16..)?;
    if kind == UNCOMPRESSED {
        return Some(body[..n_bytes.min(body.len())].to_vec());
    }
    (kind == COMPRESSED).then(|| expanded(body, n_bytes))
}

fn expanded(body: &[u8], n_bytes: usize) -> Vec<u8> {
    let mut window = [b' '; SIZE];
    window[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let mut at = DICTIONARY.len();
    let mut out = Vec::new();
    let mut push = |byte: u8, window: &mut [u8; SIZE], at: &mut usize| {
        out.push(byte);
        window[*at] = byte;
        *at = (*at + 1) % SIZE;
        out.len() >= n_bytes
    };
    let mut bytes = body.iter().copied();
    'all: while let Some(control) = bytes.next() {
        for bit in 0..8 {
            let Some(byte) = bytes.next() else { break 'all };
            if control & (1 << bit) == 0 {
                if push(byte, &mut window, &mut at) {
                    break 'all;
                }
                continue;
            }
            let Some(low) = bytes.next() else { break 'all };
            let reference = usize::from(u16::from_be_bytes([byte, low]));
            let (place, length) = (reference >> 4, (reference & 15) + 2);
            if place == at {
                break 'all;
            }
            for n in 0..length {
                let byte = window[(place + n) % SIZE];
                if push(byte, &mut window, &mut at) {
                    break 'all;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specification() {
        assert_eq!(DICTIONARY.len(), 207);
        // MS-OXRTFCP 3.1.1 and 3.2.1.
        let simple = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
        let expect = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n";
        assert_eq!(unpacked(simple).as_deref(), Some(&expect[..]));
        let crossing = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4KQA\0\x04 WXYZ\x0dn}\x01\x0e\xb0";
        let text = unpacked(crossing).unwrap();
        assert_eq!(text, b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(unpacked(b"short"), None);
        assert_eq!(unpacked(b"\x10\0\0\0\x01\0\0\0MELA\0\0\0\0ab").as_deref(), Some(&b"a"[..]));
    }
}
