//! Writes CBOR items by hand into a buffer.

use bytes::{BufMut, BytesMut};

use super::major;

/// Bytes that are encoded as integers at a time.
const INTEGERS_CHUNK: usize = 256;

/// The first byte of an unsigned integer from 24 to 255, whose second byte is its value; also the least such value.
const ONE_BYTE_ARGUMENT: u8 = 24;

/// Appends CBOR items to a buffer, with the shortest heads and definite lengths.
///
/// The caller sees to it that an array or map gets as many items as its head says.
///
/// ```
/// use bytes::BytesMut;
/// use syncline_core::cbor::Writer;
///
/// let mut out = BytesMut::new();
/// Writer::new(&mut out).array(2).unsigned(7).bytes(&[0xaa, 0xbb]);
/// assert_eq!(&out[..], &[0x82, 0x07, 0x42, 0xaa, 0xbb]);
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self { out }
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let first = major << 5;
        // Each width is the shortest that holds the argument, so the casts keep its value.
        match argument {
            0..=23 => self.out.put_u8(first | argument as u8),
            24..=0xff => self.out.put_slice(&[first | 24, argument as u8]),
            0x100..=0xffff => {
                self.out.put_u8(first | 25);
                self.out.put_u16(argument as u16);
            }
            0x1_0000..=0xffff_ffff => {
                self.out.put_u8(first | 26);
                self.out.put_u32(argument as u32);
            }
            _ => {
                self.out.put_u8(first | 27);
                self.out.put_u64(argument);
            }
        }
        self
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(major::UNSIGNED, value)
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(major::BYTES, bytes.len() as u64);
        self.out.put_slice(bytes);
        self
    }

    /// A text string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.head(major::TEXT, text.len() as u64);
        self.out.put_slice(text.as_bytes());
        self
    }

    /// The head of an array of `len` items.
    pub fn array(&mut self, len: u64) -> &mut Self {
        self.head(major::ARRAY, len)
    }

    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: u64) -> &mut Self {
        self.head(major::MAP, len)
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.out.put_u8(if value { 0xf5 } else { 0xf4 });
        self
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.out.put_u8(0xf6);
        self
    }

    /// Bytes that are encoded already.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.out.put_slice(encoded);
        self
    }

    /// An array of the bytes as integers, as serde writes a `Vec<u8>`.
    pub fn byte_integers(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(major::ARRAY, bytes.len() as u64);
        self.out.reserve(2 * bytes.len());
        // Bytes below 24 take one byte, all others two. Whether one does is a coin toss that no branch predictor wins, so
        // the marker is always written and overwritten where it is not needed.
        let mut encoded = [0; 2 * INTEGERS_CHUNK];
        for chunk in bytes.chunks(INTEGERS_CHUNK) {
            let mut at = 0;
            for byte in chunk {
                encoded[at] = ONE_BYTE_ARGUMENT;
                at += usize::from(*byte >= ONE_BYTE_ARGUMENT);
                encoded[at] = *byte;
                at += 1;
            }
            self.out.put_slice(&encoded[..at]);
        }
        self
    }
}

#[cfg(test)]
mod tests;
