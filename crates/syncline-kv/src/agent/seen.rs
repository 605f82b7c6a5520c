//! Which items have come.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_crypto::Hash;

/// The items that came or were pushed lately, by the hash of their bytes: a name that a sender claims could be another
/// item's, and keep that out.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whether the item was pushed.
    items: BTreeMap<Hash, bool>,
    /// In the order in which they came.
    order: VecDeque<(Timestamp, Hash)>,
    max: usize,
    keep: Duration,
}

impl Seen {
    pub(super) fn new(max: usize, keep: Duration) -> Self {
        Self { items: BTreeMap::new(), order: VecDeque::new(), max, keep }
    }

    /// Notes an item that came. True if it is new.
    pub(super) fn came(&mut self, now: Timestamp, item: Hash) -> bool {
        self.forget(now);
        let new = !self.items.contains_key(&item);
        if new {
            self.insert(now, item, false);
        }
        new
    }

    /// Notes that an item is pushed. True if it was not before.
    pub(super) fn pushed(&mut self, now: Timestamp, item: Hash) -> bool {
        self.forget(now);
        match self.items.get_mut(&item) {
            Some(pushed) => !std::mem::replace(pushed, true),
            None => {
                self.insert(now, item, true);
                true
            }
        }
    }

    fn insert(&mut self, now: Timestamp, item: Hash, pushed: bool) {
        self.items.insert(item, pushed);
        self.order.push_back((now, item));
        while self.order.len() > self.max {
            self.forget_first();
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| *at + self.keep <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, item)) = self.order.pop_front() {
            self.items.remove(&item);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.items.len(), self.order.len());
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_latest_for_a_while() {
        let item = |n: u8| Hash::from_bytes([n; 32]);
        let at = Timestamp::from_millis;
        let mut seen = Seen::new(2, Duration::from_millis(10));
        assert!(seen.came(at(0), item(1)) && !seen.came(at(9), item(1)));
        assert!(seen.came(at(10), item(1)), "forgotten in time");
        assert!(seen.pushed(at(10), item(1)) && !seen.pushed(at(10), item(1)));
        assert!(seen.pushed(at(10), item(2)) && !seen.came(at(10), item(2)));
        assert!(seen.came(at(10), item(3)));
        assert_eq!(seen.len(), 2);
        assert!(seen.came(at(10), item(1)), "the oldest went");
        assert!(!seen.came(at(10), item(3)));
        let mut none = Seen::new(0, Duration::from_secs(1));
        assert!(none.came(at(0), item(1)) && none.came(at(0), item(1)));
    }
}
