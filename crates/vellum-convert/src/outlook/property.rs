//! Properties of a message, a recipient or an attachment (MS-OXMSG 2.4, MS-OXCMSG).
//!
//! Those of fixed size stand in one stream, 16 bytes each after a head: type (u16), id (u16), flags (u32), value
//! (8 bytes), little endian. The others have a stream of their own, `__substg1.0_` with id and type in
//! hexadecimal. Every byte that is read counts as unpacked, because streams of a hostile file may share their bytes.

use super::File;
use crate::embedded;
use encoding_rs::Encoding;
use std::io::Read;
use vellum_core::Result;

/// Ids of the properties that are read.
pub(super) mod id {
    pub(crate) const MESSAGE_CLASS: u16 = 0x001a;
    pub(crate) const SUBJECT: u16 = 0x0037;
    pub(crate) const SUBMIT_TIME: u16 = 0x0039;
    pub(crate) const BEHALF_NAME: u16 = 0x0042;
    pub(crate) const BEHALF_ADDRESS: u16 = 0x0065;
    pub(crate) const RECIPIENT_TYPE: u16 = 0x0c15;
    pub(crate) const SENDER_NAME: u16 = 0x0c1a;
    pub(crate) const SENDER_ADDRESS: u16 = 0x0c1f;
    pub(crate) const DISPLAY_CC: u16 = 0x0e03;
    pub(crate) const DISPLAY_TO: u16 = 0x0e04;
    pub(crate) const DELIVERY_TIME: u16 = 0x0e06;
    pub(crate) const BODY: u16 = 0x1000;
    pub(crate) const RTF: u16 = 0x1009;
    pub(crate) const HTML: u16 = 0x1013;
    pub(crate) const MESSAGE_ID: u16 = 0x1035;
    pub(crate) const DISPLAY_NAME: u16 = 0x3001;
    pub(crate) const EMAIL_ADDRESS: u16 = 0x3003;
    pub(crate) const DATA: u16 = 0x3701;
    pub(crate) const SHORT_NAME: u16 = 0x3704;
    pub(crate) const LONG_NAME: u16 = 0x3707;
    pub(crate) const MEDIA_TYPE: u16 = 0x370e;
    pub(crate) const CONTENT_ID: u16 = 0x3712;
    pub(crate) const SMTP_ADDRESS: u16 = 0x39fe;
    pub(crate) const INTERNET_CODE_PAGE: u16 = 0x3fde;
    pub(crate) const MESSAGE_CODE_PAGE: u16 = 0x3ffd;
    pub(crate) const SENDER_SMTP: u16 = 0x5d01;
    pub(crate) const BEHALF_SMTP: u16 = 0x5d02;
    pub(crate) const IS_HIDDEN: u16 = 0x7ffe;
}

/// Head of the stream of properties: of the outermost message, of one inside, of anything else; in bytes.
const HEADS: [usize; 3] = [32, 24, 8];
/// Seconds from 1601, where Windows counts from, to 1970.
const EPOCH: u64 = 11_644_473_600;

/// The properties of one storage.
pub(super) struct Properties {
    at: String,
    fixed: Vec<(u16, u64)>,
}

impl Properties {
    /// Returns the properties of the message in the storage `at`; empty for the outermost one.
    pub(super) fn of_message(file: &mut File, at: &str) -> Result<Self> {
        let head = if at.is_empty() { HEADS[0] } else { HEADS[1] };
        Self::read(file, at, head)
    }

    /// Returns the properties of the recipient or attachment in the storage `at`.
    pub(super) fn of_part(file: &mut File, at: &str) -> Result<Self> {
        Self::read(file, at, HEADS[2])
    }

    fn read(file: &mut File, at: &str, head: usize) -> Result<Self> {
        let bytes = stream(file, &format!("{at}/__properties_version1.0"))?.unwrap_or_default();
        let entries = bytes.get(head..).unwrap_or_default().chunks_exact(16);
        let fixed = entries
            .filter_map(|entry| {
                let id = u16::from_le_bytes(entry[2..4].try_into().ok()?);
                Some((id, u64::from_le_bytes(entry[8..16].try_into().ok()?)))
            })
            .collect();
        Ok(Self { at: at.to_owned(), fixed })
    }

    /// Returns where the properties stand.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    fn fixed(&self, id: u16) -> Option<u64> {
        self.fixed.iter().find(|(known, _)| *known == id).map(|(_, value)| *value)
    }

    /// Returns a property of 32 bits or fewer.
    pub(super) fn number(&self, id: u16) -> Option<u32> {
        self.fixed(id).map(|value| value as u32)
    }

    /// Returns a time as `2024-03-01 09:00 UTC`.
    pub(super) fn time(&self, id: u16) -> Option<String> {
        let seconds = (self.fixed(id)? / 10_000_000).checked_sub(EPOCH)?;
        let (days, seconds) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
        (year < 10_000).then(|| format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC"))
    }

    /// Returns a text, in Unicode or in the code page `encoding`; empty where there is none.
    pub(super) fn text(
        &self,
        file: &mut File,
        id: u16,
        encoding: &'static Encoding,
    ) -> Result<String> {
        if let Some(bytes) = stream(file, &format!("{}/__substg1.0_{id:04X}001F", self.at))? {
            let text = encoding_rs::UTF_16LE.decode_without_bom_handling(&bytes).0;
            return Ok(text.trim_end_matches('\0').to_owned());
        }
        let bytes = stream(file, &format!("{}/__substg1.0_{id:04X}001E", self.at))?;
        let text = bytes.map(|bytes| encoding.decode_without_bom_handling(&bytes).0.into_owned());
        Ok(text.unwrap_or_default().trim_end_matches('\0').to_owned())
    }

    /// Returns bytes; `None` where there are none.
    pub(super) fn binary(&self, file: &mut File, id: u16) -> Result<Option<Vec<u8>>> {
        stream(file, &format!("{}/__substg1.0_{id:04X}0102", self.at))
    }
}

/// Returns the bytes of a stream; `None` where there is none or it is damaged.
fn stream(file: &mut File, path: &str) -> Result<Option<Vec<u8>>> {
    if !file.is_stream(path) {
        return Ok(None);
    }
    let Ok(stream) = file.open_stream(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = stream.take(embedded::left() + 1).read_to_end(&mut bytes);
    embedded::spend(bytes.len() as u64)?;
    Ok(read.is_ok().then_some(bytes))
}

/// Returns year, month and day of a day since 1970 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (days, expect) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (19_783, (2024, 3, 1))] {
            assert_eq!(civil(days), expect);
        }
    }
}
