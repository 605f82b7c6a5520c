//! Which items of a batch are bad: the plan of the search, apart from any cryptography.

use std::ops::Range;

/// Items of the blocks into which a batch falls when its equation does not hold.
const BLOCK: usize = 64;

/// A range of fewer items that is known to hold a bad one is checked one by one.
const LEAF: usize = 8;

/// Blocks after which the search looks back: whenever more than three quarters of them were bad, it goes on one by one.
const PROBE: usize = 4;

/// How the search finds out. Both answers follow one rule: a range is good if and only if each of its items is.
pub(super) trait Oracle {
    /// Whether all items of a range are good. Cheap per item, the more so the longer the range.
    fn is_good(&self, range: &Range<usize>) -> bool;

    /// Whether one item is good.
    fn is_good_alone(&self, index: usize) -> bool;
}

/// The bad ones of `len` items, rising.
pub(super) fn bad_items(oracle: &impl Oracle, len: usize) -> Vec<usize> {
    let mut search = Search { oracle, bad: Vec::new() };
    // A question about a range of one costs more than one about the item.
    if len < 2 {
        search.one_by_one(0..len);
    } else if !oracle.is_good(&(0..len)) {
        if len > BLOCK {
            search.by_blocks(len);
        } else {
            search.bisect(0..len);
        }
    }
    search.bad
}

struct Search<'a, O> {
    oracle: &'a O,
    bad: Vec<usize>,
}

impl<O: Oracle> Search<'_, O> {
    fn by_blocks(&mut self, len: usize) {
        let mut bad_blocks = 0;
        for (tried, start) in (0..len).step_by(BLOCK).enumerate() {
            if tried >= PROBE && 4 * bad_blocks > 3 * tried {
                return self.one_by_one(start..len);
            }
            let block = start..len.min(start + BLOCK);
            if !self.oracle.is_good(&block) {
                bad_blocks += 1;
                self.bisect(block);
            }
        }
    }

    /// Finds the bad items of a range that has some. As long as one half is good it follows the other; with both bad,
    /// more questions about ranges would not pay.
    fn bisect(&mut self, mut range: Range<usize>) {
        while range.len() >= LEAF {
            let middle = range.start + range.len() / 2;
            let (left, right) = (range.start..middle, middle..range.end);
            if self.oracle.is_good(&left) {
                // The whole is not good and the left half is, so the right one cannot be.
                range = right;
            } else if self.oracle.is_good(&right) {
                range = left;
            } else {
                break;
            }
        }
        self.one_by_one(range);
    }

    fn one_by_one(&mut self, range: Range<usize>) {
        self.bad.extend(range.filter(|index| !self.oracle.is_good_alone(*index)));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Knows the answer, and counts what is asked.
    struct Counting {
        bad: BTreeSet<usize>,
        in_ranges: Cell<usize>,
        alone: Cell<usize>,
    }

    impl Oracle for Counting {
        fn is_good(&self, range: &Range<usize>) -> bool {
            self.in_ranges.set(self.in_ranges.get() + range.len());
            self.bad.range(range.clone()).next().is_none()
        }

        fn is_good_alone(&self, index: usize) -> bool {
            self.alone.set(self.alone.get() + 1);
            !self.bad.contains(&index)
        }
    }

    /// Items asked about in ranges, and alone.
    fn cost(len: usize, bad: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let oracle = Counting { bad: bad.into_iter().collect(), in_ranges: Cell::new(0), alone: Cell::new(0) };
        let found = bad_items(&oracle, len);
        assert!(found.iter().eq(oracle.bad.iter()), "{found:?}");
        (oracle.in_ranges.get(), oracle.alone.get())
    }

    #[test]
    fn good_batches_take_one_question() {
        assert_eq!(cost(0, []), (0, 0));
        assert_eq!(cost(1, []), (0, 1));
        for len in [2, 64, 65, 1024] {
            assert_eq!(cost(len, []), (len, 0));
        }
    }

    #[test]
    fn one_bad_item_is_cheap_wherever_it_is() {
        for bad in 0..1024 {
            let (in_ranges, alone) = cost(1024, [bad]);
            assert!(in_ranges <= 2 * 1024 + 2 * 64 && alone < LEAF, "{bad}: {in_ranges} {alone}");
        }
    }

    #[test]
    fn eight_bad_items_are_cheap() {
        for shift in 0..128 {
            let (in_ranges, alone) = cost(1024, (0..8).map(|n| n * 128 + shift));
            assert!(in_ranges <= 2 * 1024 + 8 * 2 * 64 && alone < 8 * LEAF, "{shift}: {in_ranges} {alone}");
        }
    }

    #[test]
    fn batches_full_of_bad_items_are_soon_given_up() {
        assert_eq!(cost(1024, 0..1024), (1024 + PROBE * 2 * BLOCK, 1024));
        assert_eq!(cost(64, 0..64), (2 * 64, 64));
        assert_eq!(cost(2, 0..2), (2, 2));
    }

    proptest! {
        /// Every selection is found, and at no more than this.
        #[test]
        fn all_bad_items_are_found(len in 0usize..400, picks in prop::collection::btree_set(0usize..400, 0..400)) {
            let (in_ranges, alone) = cost(len, picks.into_iter().filter(|index| *index < len));
            prop_assert!(alone <= len);
            prop_assert!(in_ranges <= 4 * len);
        }
    }
}
