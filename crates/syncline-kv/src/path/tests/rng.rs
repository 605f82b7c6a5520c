//! Seeded choices, for tests in which proptest would draw too much.

use crate::path::Pattern;

/// SplitMix64.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// 1 to `segments` segments of 1 to `len` bytes out of these; several are `**`.
    pub(super) fn pattern(&mut self, segments: usize, len: usize, bytes: &[&str]) -> Pattern {
        loop {
            let mut text = String::new();
            for _ in 0..=self.below(segments) {
                text.push('/');
                if self.below(4) == 0 {
                    text.push_str("**");
                } else {
                    for _ in 0..=self.below(len) {
                        text.push_str(self.one_of(bytes));
                    }
                }
            }
            if let Ok(pattern) = Pattern::new(&text) {
                return pattern;
            }
        }
    }
}

/// Runs the test with `count` seeds, or with that of the environment variable `SEED`. The seed is shown if the test
/// fails.
pub(super) fn for_each_seed(count: u64, mut test: impl FnMut(&mut Rng)) {
    let seed = std::env::var("SEED").ok().map(|number| number.parse::<u64>().unwrap());
    for seed in seed.map_or(0..count, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut Rng(seed))));
        if let Err(panic) = outcome {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
