//! Time as an input: nothing below the transports reads a clock by itself.

mod hlc;
mod manual;

use std::fmt::Debug;
use std::ops::Add;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use hlc::{Hlc, HlcClock, HlcError};
pub use manual::ManualClock;

/// A point in time: milliseconds since the Unix epoch, or since the start of a simulation.
///
/// ```
/// use std::time::Duration;
/// use syncline_core::clock::Timestamp;
///
/// let start = Timestamp::from_millis(1_000);
/// assert_eq!((start + Duration::from_secs(2)).as_millis(), 3_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of time.
    pub const ZERO: Self = Self(0);

    /// The last point in time, later than any deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates at [`Timestamp::MAX`]. Fractions of a millisecond round up, so that a deadline is never early.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// The current time. It may stand still or jump, unless the implementation says otherwise.
    fn now(&self) -> Timestamp;
}

/// A clock that can also wake somebody: the seam through which deadlines work without a runtime in this crate.
///
/// [`ManualClock`] is one for tests; the transports bring one for their runtime.
///
/// # Contract
///
/// - `now` never goes back.
/// - The future of `sleep_until(at)` completes once `now() >= at`, and is then dropped. It may complete late.
/// - Dropping the future cancels it.
pub trait Timer: Clock {
    /// Completes at `at`, at once if that has passed.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;
}

/// The system's wall clock: milliseconds since the Unix epoch. It may jump when the system's time is set.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit struct that has nothing to add")]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::ZERO + since_epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_rounds_up_and_saturates() {
        let start = Timestamp::from_millis(10);
        assert_eq!(start + Duration::from_nanos(1), Timestamp::from_millis(11));
        assert_eq!(start + Duration::from_millis(1), Timestamp::from_millis(11));
        assert_eq!(start + Duration::ZERO, start);
        assert_eq!(start + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::MAX + Duration::from_millis(1), Timestamp::MAX);
    }

    #[test]
    fn the_span_to_an_earlier_time_is_zero() {
        let (early, late) = (Timestamp::from_millis(3), Timestamp::from_millis(5));
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now() > Timestamp::from_millis(1_700_000_000_000));
    }
}
