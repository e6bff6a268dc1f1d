//! The weights of an ONNX file that `tools/export-minilm` wrote, read in place.
//!
//! An ONNX file is a protocol buffer (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>). Of it are
//! read `ModelProto.producer_name` (2) and `.graph` (7), `GraphProto.initializer` (5), and
//! `TensorProto.name` (8) and `.raw_data` (9). Whatever else is there is skipped; the nodes are not read,
//! because the producer's name says what they compute.

use std::collections::BTreeMap;
use std::ops::Range;
use vellum_core::{Error, ErrorKind, Result};

/// What `tools/export-minilm` writes as the producer of its graphs; another graph, another name.
const PRODUCER: &[u8] = b"vellum-export-minilm-1";

pub(crate) struct Weights<'a> {
    file: &'a [u8],
    ranges: BTreeMap<&'a [u8], Range<usize>>,
}

impl<'a> Weights<'a> {
    /// Returns the weights; `None` when another program wrote the file, or it is none.
    pub(crate) fn read(file: &'a [u8]) -> Option<Self> {
        let mut graph = None;
        let mut ours = false;
        for (number, range) in Fields::new(file, 0..file.len()) {
            match number {
                2 => ours = &file[range] == PRODUCER,
                7 => graph = Some(range),
                _ => {}
            }
        }
        let graph = graph.filter(|_| ours)?;
        let mut ranges = BTreeMap::new();
        for (_, tensor) in Fields::new(file, graph).filter(|(number, _)| *number == 5) {
            let (mut name, mut data) = (None, None);
            for (number, range) in Fields::new(file, tensor) {
                match number {
                    8 => name = Some(&file[range]),
                    9 => data = Some(range),
                    _ => {}
                }
            }
            ranges.extend(name.zip(data));
        }
        Some(Self { file, ranges })
    }

    /// Returns where the `len` bytes of `name` lie in the file.
    pub(crate) fn range(&self, name: &str, len: usize) -> Result<Range<usize>> {
        let range = self.ranges.get(name.as_bytes()).filter(|range| range.len() == len);
        range.cloned().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the model has no `{name}` of {len} bytes"))
        })
    }

    pub(crate) fn i8s(&self, name: &str, len: usize) -> Result<Vec<i8>> {
        Ok(self.file[self.range(name, len)?].iter().map(|byte| byte.cast_signed()).collect())
    }

    pub(crate) fn f32s(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let bytes = &self.file[self.range(name, 4 * len)?];
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }
}

/// The length-delimited fields of a message, as field number and range in the file.
///
/// Ends at the first byte that makes no sense, as at the end of the message.
struct Fields<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    fn new(file: &'a [u8], message: Range<usize>) -> Self {
        Self { file, at: message.start, end: message.end }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.file[..self.end].get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Steps over `len` bytes and returns where they are.
    fn skip(&mut self, len: u64) -> Option<Range<usize>> {
        let next = self.at.checked_add(usize::try_from(len).ok()?).filter(|at| *at <= self.end)?;
        let range = self.at..next;
        self.at = next;
        Some(range)
    }
}

impl Iterator for Fields<'_> {
    type Item = (u64, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.varint()?;
            match key & 7 {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.skip(8)?;
                }
                2 => {
                    let len = self.varint()?;
                    return Some((key >> 3, self.skip(len)?));
                }
                5 => {
                    self.skip(4)?;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let len = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, len], bytes].concat()
    }

    #[test]
    fn reads_named_tensors_of_our_files_only() {
        let tensor = [vec![0x10, 1], field(8, b"w"), field(9, &1.5f32.to_le_bytes())].concat();
        let graph = field(7, &[field(1, b"node"), field(5, &tensor)].concat());
        let ours = [field(2, PRODUCER), graph.clone()].concat();
        let weights = Weights::read(&ours).unwrap();
        assert_eq!(weights.f32s("w", 1).unwrap(), [1.5]);
        assert_eq!(weights.i8s("w", 4).unwrap(), [0, 0, -64, 63]);
        assert_eq!(weights.f32s("w", 2).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(weights.f32s("v", 1).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(Weights::read(&[field(2, b"pytorch"), graph].concat()).is_none());
        for cut in 0..ours.len() {
            // Damaged files are refused or lack tensors; they never panic.
            let _ = Weights::read(&ours[..cut]).map(|weights| weights.f32s("w", 1));
        }
    }
}
