//! The records of a presentation before 2007: a header of eight bytes, then content, which may be records again.
//!
//! Reference: MS-PPT 2.3.1.

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) instance: u16,
    pub(super) kind: u16,
    pub(super) content: &'a [u8],
}

/// The records that follow one another, up to the first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_first_chunk::<8>()?;
        let [v0, v1, k0, k1, l0, l1, l2, l3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let instance = u16::from_le_bytes([v0, v1]) >> 4;
        Some(Record { instance, kind: u16::from_le_bytes([k0, k1]), content })
    }
}

impl<'a> Records<'a> {
    /// Returns the content of the first record of a kind.
    pub(super) fn content(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find(|record| record.kind == kind).map(|record| record.content)
    }

    /// Returns the contents of the records of a kind.
    pub(super) fn contents(self, kind: u16) -> impl Iterator<Item = &'a [u8]> {
        self.filter(move |record| record.kind == kind).map(|record| record.content)
    }
}

/// Returns the number at a place; `None` when it is not there.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`number`], of two bytes.
pub(super) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(super) fn record(kind: u16, instance: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = (instance << 4).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(content);
    bytes
}
