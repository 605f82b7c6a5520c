//! Sequence numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operation's place in its log. The first operation of a log has 0, each further one is greater by one.
///
/// ```
/// use syncline_log::SeqNum;
///
/// assert_eq!(SeqNum::new(7).checked_next(), Some(SeqNum::new(8)));
/// assert_eq!(SeqNum::MAX.checked_next(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeqNum(pub(crate) u64);

impl SeqNum {
    /// The place of a log's first operation.
    pub const ZERO: Self = Self(0);

    /// The last place that a log can have.
    pub const MAX: Self = Self(u64::MAX);

    /// The place with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next place; `None` behind [`MAX`](Self::MAX).
    #[must_use]
    pub const fn checked_next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }

    /// The place before; `None` before [`ZERO`](Self::ZERO).
    #[must_use]
    pub const fn checked_previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(previous) => Some(Self(previous)),
            None => None,
        }
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for SeqNum {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<SeqNum> for u64 {
    fn from(seq_num: SeqNum) -> Self {
        seq_num.0
    }
}
