//! What comes out of a store.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;
use syncline_crypto::PublicKey;

use crate::{DecodeError, EncodedOperation, SeqNum};

/// Places of a log from one to another, both included. Empty if the first is greater than the last.
///
/// ```
/// use syncline_log::{SeqNum, SeqRange};
///
/// let range = SeqRange::new(SeqNum::new(3), SeqNum::new(9));
/// assert!(range.contains(SeqNum::new(9)) && !range.contains(SeqNum::new(10)));
/// assert_eq!(SeqRange::starting_at(SeqNum::new(3)).to, SeqNum::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a range has two ends")]
pub struct SeqRange {
    /// The first place.
    pub from: SeqNum,
    /// The last place.
    pub to: SeqNum,
}

impl SeqRange {
    /// Every place.
    pub const ALL: Self = Self { from: SeqNum::ZERO, to: SeqNum::MAX };

    /// The places from `from` to `to`.
    #[must_use]
    pub const fn new(from: SeqNum, to: SeqNum) -> Self {
        Self { from, to }
    }

    /// The places from `from` on.
    #[must_use]
    pub const fn starting_at(from: SeqNum) -> Self {
        Self { from, to: SeqNum::MAX }
    }

    /// The places behind `seq_num`; `None` if there are none.
    #[must_use]
    pub fn after(seq_num: SeqNum) -> Option<Self> {
        seq_num.checked_next().map(Self::starting_at)
    }

    /// Whether no place is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from > self.to
    }

    /// The places that are in both; `None` if none is.
    #[must_use]
    pub fn intersection(&self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (!both.is_empty()).then_some(both)
    }

    /// Whether a place is in it.
    #[must_use]
    pub fn contains(&self, seq_num: SeqNum) -> bool {
        (self.from..=self.to).contains(&seq_num)
    }
}

impl From<RangeInclusive<SeqNum>> for SeqRange {
    fn from(range: RangeInclusive<SeqNum>) -> Self {
        let (from, to) = range.into_inner();
        Self { from, to }
    }
}

/// An operation as a store keeps it. `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredOperation {
    /// Its place in the log.
    pub seq_num: SeqNum,
    /// The header's bytes, as they were appended.
    pub header: Bytes,
    /// The body. `None` if the operation has none, it was deleted, or it never came.
    pub body: Option<Bytes>,
}

impl StoredOperation {
    /// For those who implement a store.
    #[must_use]
    pub fn new(seq_num: SeqNum, header: Bytes, body: Option<Bytes>) -> Self {
        Self { seq_num, header, body }
    }

    /// Bytes of header and body.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.header.len() + self.body.as_ref().map_or(0, Bytes::len)
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the store gave other bytes than were appended.
    pub fn decode(&self) -> Result<EncodedOperation, DecodeError> {
        EncodedOperation::decode(self.header.clone(), self.body.clone())
    }
}

impl fmt::Debug for StoredOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredOperation")
            .field("seq_num", &self.seq_num)
            .field("header_len", &self.header.len())
            .field("body_len", &self.body.as_ref().map(Bytes::len))
            .finish()
    }
}

/// An operation, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Located<L> {
    /// The author.
    pub author: PublicKey,
    /// The log.
    pub log_id: L,
    /// The operation.
    pub operation: StoredOperation,
}

impl<L> Located<L> {
    /// For those who implement a store.
    #[must_use]
    pub fn new(author: PublicKey, log_id: L, operation: StoredOperation) -> Self {
        Self { author, log_id, operation }
    }
}

/// Some operations of a range, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The operations. Their places follow one another without gap.
    pub operations: Vec<StoredOperation>,
    /// Where to go on reading; `None` if the range is read to its end.
    pub next: Option<SeqNum>,
}

impl Page {
    /// For those who implement a store.
    #[must_use]
    pub fn new(operations: Vec<StoredOperation>, next: Option<SeqNum>) -> Self {
        Self { operations, next }
    }
}

/// How much a range of a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSize {
    /// Operations that are there.
    pub operations: u64,
    /// Bytes of their headers and of the bodies that are there.
    pub bytes: u64,
}

impl LogSize {
    /// For those who implement a store.
    #[must_use]
    pub fn new(operations: u64, bytes: u64) -> Self {
        Self { operations, bytes }
    }
}
