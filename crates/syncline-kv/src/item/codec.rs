//! Reading and writing bodies.

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{Reader, Writer};
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Domain, Hash, PublicKey};

use super::ItemError;

/// The fields of a body, in order.
pub(super) struct Fields<'a> {
    pub(super) reader: Reader<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], expected: u64) -> Result<Self, ItemError> {
        let mut reader = Reader::new(bytes);
        match reader.array()? {
            Some(found) if found == expected => Ok(Self { reader }),
            found => Err(ItemError::Fields { expected, found: found.unwrap_or_default() }),
        }
    }

    pub(super) fn hash(&mut self) -> Result<[u8; 32], ItemError> {
        Ok(*self.reader.byte_array()?)
    }

    pub(super) fn hash_or_null(&mut self) -> Result<Option<[u8; 32]>, ItemError> {
        if self.reader.null() { Ok(None) } else { self.hash().map(Some) }
    }

    pub(super) fn public_key(&mut self) -> Result<PublicKey, ItemError> {
        Ok(PublicKey::from_bytes(&self.hash()?)?)
    }

    pub(super) fn number(&mut self) -> Result<u64, ItemError> {
        Ok(self.reader.unsigned()?)
    }

    pub(super) fn number_or_null(&mut self) -> Result<Option<u64>, ItemError> {
        if self.reader.null() { Ok(None) } else { self.number().map(Some) }
    }

    pub(super) fn stamp(&mut self) -> Result<Hlc, ItemError> {
        self.number().map(Hlc::from_bits)
    }

    pub(super) fn time_or_null(&mut self) -> Result<Option<Timestamp>, ItemError> {
        Ok(self.number_or_null()?.map(Timestamp::from_millis))
    }

    /// A text of at most `max` bytes.
    pub(super) fn text(&mut self, field: &'static str, max: usize) -> Result<String, ItemError> {
        let text = self.reader.text()?;
        within(field, text.len(), max)?;
        String::from_utf8(text.into_owned()).map_err(|_| ItemError::Form(field))
    }

    /// The head of an array of at most `max` parts.
    pub(super) fn parts(&mut self, field: &'static str, max: usize) -> Result<usize, ItemError> {
        let parts = self.reader.array()?.ok_or(ItemError::Form(field))?;
        let count = usize::try_from(parts).unwrap_or(usize::MAX);
        within(field, count, max)?;
        Ok(count)
    }
}

pub(super) fn within(field: &'static str, found: usize, max: usize) -> Result<(), ItemError> {
    if found > max { Err(ItemError::TooLong { field, found: found as u64, max: max as u64 }) } else { Ok(()) }
}

/// Whether each part is greater than the one before it.
pub(super) fn rising<T: Ord>(field: &'static str, parts: &[T]) -> Result<(), ItemError> {
    if parts.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(ItemError::Unsorted(field)) }
}

/// Where the body ends: the length of the first item.
pub(super) fn body_len(bytes: &[u8]) -> Result<usize, ItemError> {
    Ok(Reader::new(bytes).skip()?.len())
}

/// Whether this is how the fields are written.
pub(super) fn same_bytes(body: &[u8], write: impl FnOnce(&mut Writer<'_>)) -> Result<(), ItemError> {
    if body == &encode(body.len(), write)[..] { Ok(()) } else { Err(ItemError::NotDeterministic) }
}

pub(super) fn encode(capacity: usize, write: impl FnOnce(&mut Writer<'_>)) -> Bytes {
    let mut out = BytesMut::with_capacity(capacity);
    write(&mut Writer::new(&mut out));
    out.freeze()
}

pub(super) fn number_or_null(out: &mut Writer<'_>, number: Option<u64>) {
    match number {
        Some(number) => out.unsigned(number),
        None => out.null(),
    };
}

pub(super) fn bytes_or_null(out: &mut Writer<'_>, bytes: Option<&[u8; 32]>) {
    match bytes {
        Some(bytes) => out.bytes(bytes),
        None => out.null(),
    };
}

/// The hash of the message that is signed.
pub(super) fn id_of(domain: Domain, body: &[u8]) -> Hash {
    domain.hasher().update(body).finalize()
}
