//! Numbers and slices in a message.

use crate::ReconcileError;

const CUT: ReconcileError = ReconcileError::Malformed("it ends too early");

/// Takes a message apart.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), ReconcileError> {
        if self.is_empty() { Ok(()) } else { Err(ReconcileError::Malformed("it does not end where it should")) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, ReconcileError> {
        let (&first, rest) = self.rest.split_first().ok_or(CUT)?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], ReconcileError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], ReconcileError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CUT)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number in its `width` low bytes, least significant first.
    pub(crate) fn low(&mut self, width: usize) -> Result<u64, ReconcileError> {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(self.take(width)?) {
            *to = *from;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number in the fewest groups of seven bits (LEB128). Longer forms of the same number are refused.
    pub(crate) fn varint(&mut self) -> Result<u64, ReconcileError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(ReconcileError::Malformed("a number is too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(ReconcileError::Malformed("a number is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(ReconcileError::Malformed("a number is too large"))
    }

    /// How many things of `width` bytes each follow: a number that the rest of the message bears out.
    pub(crate) fn count(&mut self, width: usize) -> Result<usize, ReconcileError> {
        let count = self.varint()?;
        self.bear_out(count, width)
    }

    /// The count as a `usize`, if so many things of `width` bytes may follow.
    pub(crate) fn bear_out(&self, count: u64, width: usize) -> Result<usize, ReconcileError> {
        let room = self.rest.len() / width.max(1);
        usize::try_from(count).ok().filter(|count| *count <= room).ok_or(CUT)
    }
}

/// Appends the `width` low bytes of a number, least significant first.
pub(crate) fn put_low(out: &mut Vec<u8>, value: u64, width: usize) {
    out.extend_from_slice(value.to_le_bytes().split_at(width.min(8)).0);
}

/// Appends a number in LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a number in LEB128.
pub(crate) const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_form() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            assert_eq!(Reader::new(&out).varint().expect("it is a number"), value);
        }
        for bad in [&[0x80, 0][..], &[0xff; 10], &[0x80], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            Reader::new(bad).varint().expect_err("not a number in its shortest form");
        }
    }

    #[test]
    fn a_count_must_be_borne_out() {
        assert_eq!(Reader::new(&[2, 0, 0, 0, 0]).count(2).expect("two of two bytes"), 2);
        Reader::new(&[3, 0, 0, 0, 0]).count(2).expect_err("three of two bytes are not there");
    }
}
