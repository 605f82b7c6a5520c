//! Seeded randomness, so that what fails can be run again.

use std::{env, fmt, ops::Range, thread};

/// A stream of numbers that depends on its seed alone: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014). For tests, not for keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// The stream of `seed`. Streams of neighbouring seeds have nothing in common.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Self(seed);
        // Seeds are small numbers; one step spreads them.
        Self(rng.next_u64())
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0. The bias is below `end / 2^64`.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// An index into something of `len` elements; 0 if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap_or(u64::MAX))).unwrap_or_default()
    }

    /// True `times` out of `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// One of `choices`; none if it is empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len.next_multiple_of(8));
        while out.len() < len {
            out.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        out.truncate(len);
        out
    }

    /// A stream of its own, for a part whose use of numbers must not shift those of the others.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rng({:#018x})", self.0)
    }
}

/// Runs `test` once for each of `seeds`, or, if the environment variable `SEED` holds a number, for that one alone. If a
/// run panics, its seed goes to standard error, as `SEED=17`.
///
/// # Panics
///
/// If a run does, or if `SEED` is set and is no number.
pub fn for_each_seed(seeds: Range<u64>, mut test: impl FnMut(u64)) {
    for seed in from_env().map_or(seeds, |seed| seed..seed.saturating_add(1)) {
        let _printer = OnPanic(seed);
        test(seed);
    }
}

/// The number in the environment variable `SEED`, if it is set.
///
/// # Panics
///
/// If it is set and is no number.
#[must_use]
pub fn from_env() -> Option<u64> {
    let text = env::var("SEED").ok()?;
    match text.trim().parse() {
        Ok(seed) => Some(seed),
        Err(error) => panic!("SEED={text}: {error}"),
    }
}

struct OnPanic(u64);

impl Drop for OnPanic {
    #[expect(clippy::print_stderr, reason = "the seed of a failed test is of use only where the failure is shown")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with SEED={}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(1);
        let first = [rng.next_u64(), rng.next_u64()];
        let mut again = Rng::new(1);
        assert_eq!(first, [again.next_u64(), again.next_u64()]);
        assert_ne!(first[0], Rng::new(2).next_u64());
    }

    #[test]
    fn numbers_stay_below_their_end() {
        let mut rng = Rng::new(3);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[rng.index(7)] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.bytes(13).len(), 13);
        assert!(!rng.chance(0, 5) && rng.chance(5, 5));
    }
}
