//! Where the fields of an encoded header are. Coded by hand, since every received operation passes here.

use std::ops::Range;

use syncline_core::cbor::Reader;
use syncline_crypto::{Hash, PublicKey, Signature};

use super::{DecodeError, Field, SeqNum};

/// Major types of CBOR items, as in the upper three bits of the first byte.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;

/// Bytes of an encoded hash: its head of two bytes, and the hash.
const HASH_ITEM: usize = 2 + Hash::LEN;

/// The first two bytes of an encoded hash.
const HASH_HEAD: [u8; 2] = [0x58, Hash::LEN as u8];

/// The fields of a header, read or located.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) version: u64,
    pub(super) public_key: PublicKey,
    /// The signature as an item, with its head of two bytes.
    pub(super) signature: Range<usize>,
    pub(super) payload_size: u64,
    pub(super) payload_hash: Option<Hash>,
    pub(super) timestamp: u64,
    pub(super) seq_num: SeqNum,
    pub(super) backlink: Option<Hash>,
    /// The items of the array, without its head.
    pub(super) previous: Range<usize>,
    /// Where the extensions begin, which is the end of the header if it has none.
    pub(super) extensions: usize,
}

impl Layout {
    /// Reads a header in its one encoding: definite lengths, shortest heads, exactly the fields that belong there, and
    /// nothing behind it. Only the extensions may be any well-formed item.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut at = Cursor { bytes, at: 0 };
        let items = at.head(ARRAY, Field::Header)?;
        let version = at.head(UNSIGNED, Field::Version)?;
        let public_key = at.fixed(Field::PublicKey)?;
        let public_key = PublicKey::from_bytes(public_key).map_err(DecodeError::PublicKey)?;
        let signature_at = at.at;
        if bytes.get(at.at).is_some_and(|first| first >> 5 == UNSIGNED) {
            return Err(DecodeError::MissingSignature);
        }
        at.fixed::<{ Signature::LEN }>(Field::Signature)?;
        let signature = signature_at..at.at;
        let payload_size = at.head(UNSIGNED, Field::PayloadSize)?;
        let payload_hash = (payload_size > 0).then(|| at.hash(Field::PayloadHash)).transpose()?;
        let timestamp = at.head(UNSIGNED, Field::Timestamp)?;
        let seq_num = SeqNum(at.head(UNSIGNED, Field::SeqNum)?);
        let backlink = (seq_num > SeqNum::ZERO).then(|| at.hash(Field::Backlink)).transpose()?;
        let count = at.head(ARRAY, Field::Previous)?;
        let previous = at.hashes(count)?;

        let expected = 7 + u64::from(payload_hash.is_some()) + u64::from(backlink.is_some());
        let extensions = at.at;
        if items == expected + 1 {
            at.any()?;
        } else if items != expected {
            return Err(DecodeError::ItemCount { expected, found: items });
        }
        match at.rest().len() {
            0 => {}
            count => return Err(DecodeError::Trailing { count }),
        }
        Ok(Self {
            version,
            public_key,
            signature,
            payload_size,
            payload_hash,
            timestamp,
            seq_num,
            backlink,
            previous,
            extensions,
        })
    }
}

/// The hashes of the items of `previous`.
pub(super) fn hashes(items: &[u8]) -> impl ExactSizeIterator<Item = Hash> + '_ {
    let (items, _) = items.as_chunks::<HASH_ITEM>();
    items.iter().map(|item| {
        let [_, _, hash @ ..] = *item;
        Hash::from_bytes(hash)
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// A head of the given type in its shortest encoding, with a definite length. Gives its argument.
    #[inline]
    fn head(&mut self, major: u8, field: Field) -> Result<u64, DecodeError> {
        let (&first, rest) = self.rest().split_first().ok_or(DecodeError::Truncated { field })?;
        if first >> 5 != major {
            return Err(DecodeError::Type { field });
        }
        let info = first & 0x1f;
        if info < 24 {
            self.at += 1;
            return Ok(u64::from(info));
        }
        self.long_head(info, rest, field)
    }

    fn long_head(&mut self, info: u8, rest: &[u8], field: Field) -> Result<u64, DecodeError> {
        // The least argument that needs this many bytes.
        let (width, least) = match info {
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(DecodeError::NotCanonical { field }),
        };
        let bytes = rest.get(..width).ok_or(DecodeError::Truncated { field })?;
        let argument = bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        if argument < least {
            return Err(DecodeError::NotCanonical { field });
        }
        self.at += 1 + width;
        Ok(argument)
    }

    /// A byte string of exactly `N` bytes.
    fn fixed<const N: usize>(&mut self, field: Field) -> Result<&'a [u8; N], DecodeError> {
        let found = self.head(BYTES, field)?;
        if found != N as u64 {
            return Err(DecodeError::Length { field, expected: N, found });
        }
        let bytes = self.rest().first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.at += N;
        Ok(bytes)
    }

    fn hash(&mut self, field: Field) -> Result<Hash, DecodeError> {
        self.fixed(field).map(|bytes| Hash::from_bytes(*bytes))
    }

    /// `count` hashes, which may be a lie. Gives where they are.
    fn hashes(&mut self, count: u64) -> Result<Range<usize>, DecodeError> {
        let start = self.at;
        let (items, _) = self.rest().as_chunks::<HASH_ITEM>();
        let items = usize::try_from(count).ok().and_then(|count| items.get(..count));
        if let Some(items) = items.filter(|items| items.iter().all(|item| item.starts_with(&HASH_HEAD))) {
            self.at += items.len() * HASH_ITEM;
        } else {
            // Something is wrong with one of them; go one by one to say what. The bytes that are there bound the loop.
            for _ in 0..count {
                self.hash(Field::Previous)?;
            }
        }
        Ok(start..self.at)
    }

    /// Any well-formed item.
    fn any(&mut self) -> Result<(), DecodeError> {
        let rest = self.rest();
        if rest.is_empty() {
            return Err(DecodeError::Truncated { field: Field::Extensions });
        }
        self.at += Reader::new(rest).skip().map_err(DecodeError::Extensions)?.len();
        Ok(())
    }
}
