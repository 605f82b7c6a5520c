//! Jitter and choices.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). For delays, choices and nonces,
/// not for keys.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// An index into something of `len` elements; 0 if it is empty.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap_or(u64::MAX))).unwrap_or_default()
    }

    /// From zero up to `max`, both included, in whole milliseconds.
    pub(super) fn up_to(&mut self, max: Duration) -> Duration {
        Duration::from_millis(self.below(millis(max).saturating_add(1)))
    }

    /// `mean`, more or less `percent` of it; at least a millisecond.
    pub(super) fn around(&mut self, mean: Duration, percent: u8) -> Duration {
        let spread = mean.saturating_mul(u32::from(percent.min(100))) / 100;
        let early = mean.saturating_sub(spread);
        (early + self.up_to(spread.saturating_mul(2))).max(Duration::from_millis(1))
    }
}

/// Whole milliseconds, at most a year, so that sums and products of them cannot overflow.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(366 * 24 * 3_600_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bounds() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            assert!(random.below(7) < 7);
            assert!(random.up_to(Duration::from_millis(3)) <= Duration::from_millis(3));
            let around = random.around(Duration::from_millis(100), 50);
            assert!(around >= Duration::from_millis(50) && around <= Duration::from_millis(150), "{around:?}");
        }
        assert_eq!((random.below(0), random.index(0)), (0, 0));
        assert_eq!(random.around(Duration::ZERO, 50), Duration::from_millis(1));
        assert!(random.around(Duration::MAX, 100) > Duration::ZERO);
    }
}
