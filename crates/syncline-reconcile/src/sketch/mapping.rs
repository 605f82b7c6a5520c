//! Which symbols an item is part of.
//!
//! An item is in symbol 0 and goes on from symbol `i` to a random later one, such that it lands at or before `j` with
//! probability `1 - ((i + 3/2) / (j + 3/2))^2` (Yang, Gilad, Alizadeh: "Practical rateless set reconciliation", SIGCOMM
//! 2024, with their alpha of 1/2).
//!
//! From that follows the probability `p(j)` of being in symbol `j >= 1`. Summed over the symbol `i` before it,
//! `p(j) = W(j) (1 / (j + 1/2)^2 - 1 / (j + 3/2)^2)` with `W(j)` the sum of `p(i) (i + 3/2)^2` over all `i < j`. `W(1)` is
//! `(3/2)^2`, and if `W(j) = (j + 1/2)^2` then `p(j) = 1 - ((j + 1/2) / (j + 3/2))^2` and
//! `W(j + 1) = (j + 1/2)^2 + p(j) (j + 3/2)^2 = (j + 3/2)^2`; so this holds for all `j`. What lies behind a symbol that the
//! item is in has the same probabilities again: whether it is in one symbol says nothing about any other.

/// The probability with which an item is in a symbol.
pub(crate) fn probability(symbol: usize) -> f64 {
    if symbol == 0 {
        return 1.0;
    }
    let at = symbol as f64;
    1.0 - ((at + 0.5) / (at + 1.5)).powi(2)
}

/// The symbols of one item, in ascending order, without end.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    state: u64,
    next: usize,
}

impl Mapping {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, next: 0 }
    }

    /// The next symbol, which [`advance`](Self::advance) leaves behind.
    pub(crate) fn peek(&self) -> usize {
        self.next
    }

    /// Goes on. Only operations that IEEE 754 rounds in one way are used, so that every machine gets the same symbols.
    pub(crate) fn advance(&mut self) {
        // 53 random bits as a fraction in (0, 1].
        let fraction = ((self.random() >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64);
        let gap = (self.next as f64 + 1.5) * (1.0 / fraction.sqrt() - 1.0);
        // Rounded up, without a call to the mathematical library. A cast of a float to an integer saturates.
        let whole = gap as usize;
        let gap = if (whole as f64) < gap { whole.saturating_add(1) } else { whole };
        self.next = self.next.saturating_add(gap.max(1));
    }

    /// A step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_ascend_and_begin_with_the_first() {
        for seed in 0..1_000 {
            let mut mapping = Mapping::new(seed);
            assert_eq!(mapping.peek(), 0);
            for _ in 0..20 {
                let before = mapping.peek();
                mapping.advance();
                assert!(mapping.peek() > before);
            }
        }
    }

    #[test]
    fn an_item_is_in_a_symbol_as_often_as_derived() {
        const ITEMS: u64 = 200_000;
        let mut hits = [0u32; 256];
        let mut both = 0u32;
        for seed in 0..ITEMS {
            let mut mapping = Mapping::new(seed.wrapping_mul(0xd134_2543_de82_ef95));
            let mut mine = [false; 256];
            while mapping.peek() < hits.len() {
                mine[mapping.peek()] = true;
                mapping.advance();
            }
            for (hit, mine) in hits.iter_mut().zip(mine) {
                *hit += u32::from(mine);
            }
            both += u32::from(mine[2] && mine[5]);
        }
        let near = |found: u32, p: f64| {
            let n = ITEMS as f64;
            let sd = (n * p * (1.0 - p)).sqrt();
            assert!((f64::from(found) - n * p).abs() <= 5.0 * sd, "{found} of {ITEMS} at {p}");
        };
        for (symbol, found) in hits.into_iter().enumerate() {
            near(found, probability(symbol));
        }
        near(both, probability(2) * probability(5));
    }
}
