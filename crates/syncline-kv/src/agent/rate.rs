//! So much per second, and so much at once.

use std::time::Duration;

use syncline_core::clock::Timestamp;

/// How much of something may happen: `burst` at once, and `per_second` in the long run.
///
/// What is counted, messages or bytes, the setting says that has this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// What is added per second. With 0 nothing happens after the first burst.
    pub per_second: u32,
    /// What may be spent at once. With 0 nothing ever happens.
    pub burst: u32,
}

impl Rate {
    /// `per_second` in the long run, `burst` at once.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// What is left of a [`Rate`]: a token bucket that counts thousandths. What costs more than a burst passes when the bucket is
/// full, and leaves a debt behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    level: i64,
    at: Timestamp,
}

impl Bucket {
    /// Full at `now`.
    pub(super) fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, level: i64::from(rate.burst) * 1_000, at: now }
    }

    fn level_at(&self, now: Timestamp) -> i64 {
        let passed = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        let gained = passed.saturating_mul(i64::from(self.rate.per_second));
        self.level.saturating_add(gained).min(i64::from(self.rate.burst) * 1_000)
    }

    /// What the level must be for `cost` to pass.
    fn needed(&self, cost: u64) -> i64 {
        i64::try_from(cost).unwrap_or(i64::MAX).min(i64::from(self.rate.burst)).saturating_mul(1_000)
    }

    /// Whether `cost` could be taken at `now`.
    pub(super) fn has(&self, now: Timestamp, cost: u64) -> bool {
        self.rate.burst > 0 && self.level_at(now) >= self.needed(cost)
    }

    /// Takes `cost`, or nothing if it is too much at `now`.
    pub(super) fn take(&mut self, now: Timestamp, cost: u64) -> bool {
        let has = self.has(now, cost);
        if has {
            self.spend(now, cost);
        }
        has
    }

    /// Takes `cost`, whatever is left.
    pub(super) fn spend(&mut self, now: Timestamp, cost: u64) {
        let cost = i64::try_from(cost).unwrap_or(i64::MAX).saturating_mul(1_000);
        self.level = self.level_at(now).saturating_sub(cost);
        self.at = now;
    }

    /// When `cost` can be taken if nothing else is; `None` for never.
    pub(super) fn ready_at(&self, now: Timestamp, cost: u64) -> Option<Timestamp> {
        let lacking = u64::try_from(self.needed(cost).saturating_sub(self.level_at(now))).unwrap_or_default();
        if self.rate.burst == 0 || (lacking > 0 && self.rate.per_second == 0) {
            return None;
        }
        Some(now + Duration::from_millis(lacking.div_ceil(u64::from(self.rate.per_second.max(1)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_burst_at_once_and_then_the_rate() {
        let mut bucket = Bucket::new(Rate::new(2, 3), at(0));
        assert!((0..3).all(|_| bucket.take(at(0), 1)));
        assert!(!bucket.take(at(499), 1));
        assert_eq!(bucket.ready_at(at(499), 1), Some(at(500)));
        assert!(bucket.take(at(500), 1) && !bucket.take(at(500), 1));
        assert!((0..3).all(|_| bucket.take(at(60_000), 1)), "full again");
        assert!(!bucket.take(at(60_000), 1), "and no fuller");
    }

    #[test]
    fn what_costs_more_than_a_burst_leaves_a_debt() {
        let mut bucket = Bucket::new(Rate::new(10, 10), at(0));
        assert!(bucket.take(at(0), 30));
        assert!(!bucket.take(at(2_000), 1));
        assert_eq!(bucket.ready_at(at(2_000), 1), Some(at(2_100)));
        assert!(bucket.take(at(2_100), 1));
    }

    #[test]
    fn nothing_is_nothing() {
        let mut never = Bucket::new(Rate::new(5, 0), at(0));
        assert!(!never.take(at(1_000_000), 0) && never.ready_at(at(0), 1).is_none());
        let mut once = Bucket::new(Rate::new(0, 1), at(0));
        assert!(once.take(at(0), 1) && !once.take(Timestamp::MAX, 1));
        assert_eq!(once.ready_at(at(5), 1), None);
    }
}
