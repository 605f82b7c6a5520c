//! Reads CBOR items by hand from a slice.

use std::borrow::Cow;

use thiserror::Error;

use super::{BREAK, Head, HeadError, INDEFINITE, major};

/// Why an item could not be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes end within the item.
    #[error("bytes end within an item at {at}")]
    Truncated {
        /// Offset from the reader's start.
        at: usize,
    },
    /// The bytes are not CBOR.
    #[error("malformed cbor at byte {at}")]
    Malformed {
        /// Offset from the reader's start.
        at: usize,
    },
    /// The item is of another kind than asked for.
    #[error("expected {expected} at byte {at}, found {found:?}")]
    Unexpected {
        /// Offset from the reader's start.
        at: usize,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: Kind,
    },
    /// A number among bytes is above 255.
    #[error("a byte has the value {value} at byte {at}")]
    NotAByte {
        /// Offset from the reader's start.
        at: usize,
        /// The number.
        value: u64,
    },
    /// Items nest deeper than [`Reader::DEPTH_MAX`].
    #[error("nesting exceeds the limit at byte {at}")]
    TooDeep {
        /// Offset from the reader's start.
        at: usize,
    },
}

/// What kind of item comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An unsigned integer.
    Unsigned,
    /// A negative integer.
    Negative,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// A tag, which an item follows.
    Tag,
    /// A boolean, null, undefined, float or other simple value.
    Simple,
    /// The end of an item of indefinite length.
    Break,
}

impl Kind {
    fn of(head: Head) -> Self {
        match head.major {
            major::UNSIGNED => Self::Unsigned,
            major::NEGATIVE => Self::Negative,
            major::BYTES => Self::Bytes,
            major::TEXT => Self::Text,
            major::ARRAY => Self::Array,
            major::MAP => Self::Map,
            major::TAG => Self::Tag,
            _ if head.is_break() => Self::Break,
            _ => Self::Simple,
        }
    }
}

/// Reads CBOR items one after the other from a slice, without recursion and without allocating more than is there.
///
/// It accepts any well-formed CBOR; longer heads than needed and indefinite lengths too, unless a method says otherwise.
/// After an error the reader stands at the item that failed, so that another kind can be tried.
///
/// ```
/// use syncline_core::cbor::Reader;
///
/// let mut reader = Reader::new(&[0x82, 0x07, 0x42, 0xaa, 0xbb]);
/// assert_eq!(reader.array()?, Some(2));
/// assert_eq!(reader.unsigned()?, 7);
/// assert_eq!(&*reader.bytes()?, &[0xaa, 0xbb]);
/// assert!(reader.is_at_end());
/// # Ok::<(), syncline_core::cbor::ReadError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// How deep [`skip`](Self::skip) follows nested items.
    pub const DEPTH_MAX: usize = 128;

    /// A reader at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Whether all bytes are read.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn head(&self) -> Result<Head, ReadError> {
        Head::parse(self.bytes.get(self.at..).unwrap_or_default()).map_err(|err| match err {
            HeadError::Incomplete => ReadError::Truncated { at: self.at },
            HeadError::Reserved => ReadError::Malformed { at: self.at },
        })
    }

    fn unexpected(&self, expected: &'static str, head: Head) -> ReadError {
        ReadError::Unexpected { at: self.at, expected, found: Kind::of(head) }
    }

    /// The kind of the next item, which is not consumed.
    ///
    /// # Errors
    ///
    /// If there is none, or it is malformed.
    pub fn kind(&self) -> Result<Kind, ReadError> {
        self.head().map(Kind::of)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn unsigned(&mut self) -> Result<u64, ReadError> {
        let head = self.head()?;
        if head.major != major::UNSIGNED {
            return Err(self.unexpected("an unsigned integer", head));
        }
        self.at += head.len;
        Ok(head.argument)
    }

    /// The head of an array: its length, or `None` if it is indefinite, in which case [`at_break`](Self::at_break) tells
    /// its end.
    ///
    /// The length is a claim. Do not reserve memory for it.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn array(&mut self) -> Result<Option<u64>, ReadError> {
        self.container(major::ARRAY, "an array")
    }

    /// The head of a map: its number of pairs, or `None` if it is indefinite.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn map(&mut self) -> Result<Option<u64>, ReadError> {
        self.container(major::MAP, "a map")
    }

    fn container(&mut self, major: u8, expected: &'static str) -> Result<Option<u64>, ReadError> {
        let head = self.head()?;
        if head.major != major {
            return Err(self.unexpected(expected, head));
        }
        self.at += head.len;
        Ok((head.info != INDEFINITE).then_some(head.argument))
    }

    /// Consumes the end of an item of indefinite length, if it comes next.
    pub fn at_break(&mut self) -> bool {
        let is_break = self.bytes.get(self.at) == Some(&BREAK);
        self.at += usize::from(is_break);
        is_break
    }

    /// A boolean.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn bool(&mut self) -> Result<bool, ReadError> {
        let head = self.head()?;
        let value = match (head.major, head.info) {
            (major::SIMPLE, 20) => false,
            (major::SIMPLE, 21) => true,
            _ => return Err(self.unexpected("a boolean", head)),
        };
        self.at += head.len;
        Ok(value)
    }

    /// Consumes null or undefined, if it comes next.
    pub fn null(&mut self) -> bool {
        let is_null = matches!(self.bytes.get(self.at), Some(0xf6 | 0xf7));
        self.at += usize::from(is_null);
        is_null
    }

    /// Consumes any tags that come next. Their meaning is ignored.
    ///
    /// # Errors
    ///
    /// If a tag is malformed or not whole.
    pub fn skip_tags(&mut self) -> Result<(), ReadError> {
        loop {
            if self.bytes.get(self.at).is_none_or(|first| first >> 5 != major::TAG) {
                return Ok(());
            }
            self.at += self.head()?.len;
        }
    }

    /// A byte string. Chunks of one of indefinite length are joined.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>, ReadError> {
        self.string(major::BYTES, "a byte string")
    }

    /// The bytes of a text string. Whether they are UTF-8 is not checked. Chunks are joined.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn text(&mut self) -> Result<Cow<'a, [u8]>, ReadError> {
        self.string(major::TEXT, "a text string")
    }

    /// A byte string that must have exactly `N` bytes and a definite length.
    ///
    /// # Errors
    ///
    /// If the next item is anything else.
    pub fn byte_array<const N: usize>(&mut self) -> Result<&'a [u8; N], ReadError> {
        let head = self.head()?;
        if head.major == major::BYTES && head.info != INDEFINITE && head.argument == N as u64 {
            let start = self.at + head.len;
            let bytes = self.bytes.get(start..).and_then(<[u8]>::first_chunk::<N>);
            let bytes = bytes.ok_or(ReadError::Truncated { at: self.at })?;
            self.at = start + N;
            return Ok(bytes);
        }
        Err(self.unexpected("a byte string of fixed length", head))
    }

    /// Bytes written as an array of unsigned integers, as serde writes a `Vec<u8>`. Tags before it are not skipped.
    ///
    /// # Errors
    ///
    /// If the next item is anything else, or a number is above 255.
    pub fn byte_integers(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut left = self.array()?;
        // Each number takes a byte at least, so this reserves no more than what is there.
        let claimed = left.unwrap_or_default().min((self.bytes.len() - self.at) as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(claimed).unwrap_or_default());
        loop {
            if let Some(left) = &mut left {
                self.short_integers(left, &mut bytes);
            }
            match &mut left {
                Some(0) => return Ok(bytes),
                Some(left) => *left -= 1,
                None if self.at_break() => return Ok(bytes),
                None => {}
            }
            let at = self.at;
            let value = self.unsigned()?;
            bytes.push(u8::try_from(value).map_err(|_| ReadError::NotAByte { at, value })?);
        }
    }

    /// The short cut for numbers in one or two bytes, without a branch on which of both they are.
    fn short_integers(&mut self, left: &mut u64, bytes: &mut Vec<u8>) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut at = 0;
        while *left > 0 {
            let Some(first @ 0..=24) = rest.get(at) else { break };
            let wide = usize::from(*first == 24);
            let Some(value) = rest.get(at + wide) else { break };
            bytes.push(*value);
            at += 1 + wide;
            *left -= 1;
        }
        self.at += at;
    }

    fn string(&mut self, major: u8, expected: &'static str) -> Result<Cow<'a, [u8]>, ReadError> {
        let head = self.head()?;
        if head.major != major {
            return Err(self.unexpected(expected, head));
        }
        if head.info != INDEFINITE {
            return self.definite(head).map(Cow::Borrowed);
        }
        let mut chunks = *self;
        chunks.at += head.len;
        let mut joined = Vec::new();
        while !chunks.at_break() {
            let chunk = chunks.head()?;
            if chunk.major != major || chunk.info == INDEFINITE {
                return Err(ReadError::Malformed { at: chunks.at });
            }
            joined.extend_from_slice(chunks.definite(chunk)?);
        }
        *self = chunks;
        Ok(Cow::Owned(joined))
    }

    fn definite(&mut self, head: Head) -> Result<&'a [u8], ReadError> {
        let start = self.at + head.len;
        let len = usize::try_from(head.argument).map_err(|_| ReadError::Truncated { at: self.at })?;
        let bytes = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        let bytes = bytes.ok_or(ReadError::Truncated { at: self.at })?;
        self.at = start + len;
        Ok(bytes)
    }

    /// Passes over the next item with all that it contains, and returns its bytes.
    ///
    /// # Errors
    ///
    /// If it is not well-formed, not whole, or nests deeper than [`DEPTH_MAX`](Self::DEPTH_MAX).
    pub fn skip(&mut self) -> Result<&'a [u8], ReadError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let limits = super::FrameLimits::with_len_max(rest.len()).and_depth_max(Self::DEPTH_MAX);
        match super::FrameScanner::new(limits).scan(rest) {
            Ok(Some(len)) => {
                self.at += len;
                Ok(rest.get(..len).unwrap_or_default())
            }
            Ok(None) | Err(super::FrameError::TooLong { .. }) => Err(ReadError::Truncated { at: start }),
            Err(super::FrameError::TooDeep { .. }) => Err(ReadError::TooDeep { at: start }),
            Err(super::FrameError::Malformed { at }) => Err(ReadError::Malformed { at: start + at }),
        }
    }
}

#[cfg(test)]
mod tests;
