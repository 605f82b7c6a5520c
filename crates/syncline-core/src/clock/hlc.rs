use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Timestamp;

/// A hybrid logical timestamp: 48 bits of milliseconds, then a 16-bit counter, ordered as one integer.
///
/// It follows wall time, yet what happened after something else always has the greater timestamp, even when clocks
/// disagree (Kulkarni et al., "Logical Physical Clocks", 2014). 48 bits of milliseconds last until the year 10889.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(u64);

impl Hlc {
    /// The earliest timestamp.
    pub const ZERO: Self = Self(0);

    const COUNTER_BITS: u32 = 16;
    const MILLIS_MAX: u64 = u64::MAX >> Self::COUNTER_BITS;

    /// A timestamp from its parts; milliseconds past 48 bits saturate.
    #[must_use]
    pub const fn new(wall: Timestamp, counter: u16) -> Self {
        let millis = wall.as_millis();
        let millis = if millis > Self::MILLIS_MAX { Self::MILLIS_MAX } else { millis };
        Self((millis << Self::COUNTER_BITS) | counter as u64)
    }

    /// The timestamp as one integer, in which order is kept.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The timestamp that [`to_bits`](Self::to_bits) gave as `bits`.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The wall time of this timestamp.
    #[must_use]
    pub const fn wall(self) -> Timestamp {
        Timestamp::from_millis(self.0 >> Self::COUNTER_BITS)
    }

    /// The counter of events within one millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        // The mask of the type's width: the upper bits are the wall time.
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hlc({}.{})", self.wall().as_millis(), self.counter())
    }
}

/// Why a hybrid logical clock did not move.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HlcError {
    /// A remote timestamp lies further in the future than allowed. The clock keeps its value.
    #[error("remote timestamp is {ahead:?} ahead, {allowed:?} are allowed")]
    TooFarAhead {
        /// How far ahead of the wall clock.
        ahead: Duration,
        /// How far is allowed.
        allowed: Duration,
    },
    /// No timestamp is left above the last one.
    #[error("hybrid logical clock is exhausted")]
    Exhausted,
}

/// Gives out [`Hlc`] timestamps, each greater than all that it gave or saw.
///
/// Keep `last` in a store and pass it to [`HlcClock::resume`] after a restart, else a clock that was set back may repeat
/// timestamps.
///
/// A wall clock that was far ahead and is then set back leaves `last` ahead: this clock goes on from there, and peers refuse
/// its timestamps until their wall clocks come within their `ahead_max` of it.
///
/// ```
/// use std::time::Duration;
/// use syncline_core::clock::{HlcClock, Timestamp};
///
/// let mut clock = HlcClock::new(Duration::from_secs(60));
/// let first = clock.tick(Timestamp::from_millis(5))?;
/// let second = clock.tick(Timestamp::from_millis(5))?;
/// assert!(second > first);
/// # Ok::<(), syncline_core::clock::HlcError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HlcClock {
    last: Hlc,
    ahead_max: Duration,
}

impl HlcClock {
    /// A clock that accepts remote timestamps up to `ahead_max` ahead of the wall clock.
    #[must_use]
    pub const fn new(ahead_max: Duration) -> Self {
        Self::resume(Hlc::ZERO, ahead_max)
    }

    /// A clock whose next timestamp is greater than `last`.
    #[must_use]
    pub const fn resume(last: Hlc, ahead_max: Duration) -> Self {
        Self { last, ahead_max }
    }

    /// The greatest timestamp that was given or seen.
    #[must_use]
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// The timestamp of an event now.
    ///
    /// # Errors
    ///
    /// [`HlcError::Exhausted`] at the end of time.
    pub fn tick(&mut self, wall: Timestamp) -> Result<Hlc, HlcError> {
        // A full counter carries into the milliseconds: the clock then runs ahead of the wall for a moment.
        let after_last = self.last.0.checked_add(1).map(Hlc).ok_or(HlcError::Exhausted)?;
        self.last = after_last.max(Hlc::new(wall, 0));
        Ok(self.last)
    }

    /// Takes in a timestamp from elsewhere, so that the next [`tick`](Self::tick) is greater.
    ///
    /// # Errors
    ///
    /// [`HlcError::TooFarAhead`] if it lies more than the allowed time ahead of `wall`.
    pub fn observe(&mut self, wall: Timestamp, remote: Hlc) -> Result<(), HlcError> {
        let ahead = remote.wall().since(wall);
        if ahead > self.ahead_max {
            return Err(HlcError::TooFarAhead { ahead, allowed: self.ahead_max });
        }
        self.last = self.last.max(remote);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
