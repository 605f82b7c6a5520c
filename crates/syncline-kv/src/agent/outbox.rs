//! What waits to be pushed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::message::ITEM_HEAD_LEN;

/// After how many messages with what is urgent one of the others goes, if there is one.
const URGENT_IN_A_ROW: u8 = 4;

/// Items to push, by whom they came from: all get their turn, and the urgent ones most of the turns.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    urgent: Lane<P>,
    others: Lane<P>,
    urgent_in_a_row: u8,
    bytes: usize,
    bytes_max: usize,
}

/// Items of one sender that go into one message; one item if it is too long for any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch<P> {
    /// From whom they came; nobody for those of this node.
    pub(super) origin: Option<P>,
    pub(super) items: Vec<Bytes>,
}

impl<P: Ord + Clone> Outbox<P> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { urgent: Lane::new(), others: Lane::new(), urgent_in_a_row: 0, bytes: 0, bytes_max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds an item that is not empty. Returns how many items had to go for lack of room.
    pub(super) fn add(&mut self, origin: Option<&P>, urgent: bool, item: Bytes) -> u64 {
        self.bytes += item.len();
        let lane = if urgent { &mut self.urgent } else { &mut self.others };
        lane.add(origin.cloned(), item);
        let mut dropped = 0;
        while self.bytes > self.bytes_max {
            let Some(len) = self.others.drop_one().or_else(|| self.urgent.drop_one()) else { break };
            self.bytes -= len;
            dropped += 1;
        }
        dropped
    }

    /// Items that take `len_max` bytes together in a push, or a single one that takes more.
    pub(super) fn next(&mut self, len_max: usize) -> Option<Batch<P>> {
        let others_first = self.urgent_in_a_row >= URGENT_IN_A_ROW;
        let batch = if others_first {
            self.urgent_in_a_row = 0;
            self.others.next(len_max).or_else(|| self.urgent.next(len_max))
        } else {
            let urgent = self.urgent.next(len_max);
            self.urgent_in_a_row = if urgent.is_some() { self.urgent_in_a_row + 1 } else { 0 };
            urgent.or_else(|| self.others.next(len_max))
        }?;
        self.bytes -= batch.items.iter().map(Bytes::len).sum::<usize>();
        Some(batch)
    }
}

#[derive(Debug)]
struct Lane<P> {
    queues: BTreeMap<Option<P>, Queue>,
    /// Whose turn was last.
    last: Option<Option<P>>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Bytes>,
    bytes: usize,
}

impl<P: Ord + Clone> Lane<P> {
    fn new() -> Self {
        Self { queues: BTreeMap::new(), last: None }
    }

    fn add(&mut self, origin: Option<P>, item: Bytes) {
        let queue = self.queues.entry(origin).or_default();
        queue.bytes += item.len();
        queue.items.push_back(item);
    }

    /// Drops the oldest item of who has most. Returns its length.
    fn drop_one(&mut self) -> Option<usize> {
        let most = self.queues.iter().max_by_key(|(_, queue)| queue.bytes).map(|(origin, _)| origin.clone())?;
        self.take(&most, usize::MAX).map(|item| item.len())
    }

    fn next(&mut self, len_max: usize) -> Option<Batch<P>> {
        let after = self.last.as_ref().and_then(|last| self.queues.keys().find(|origin| *origin > last));
        let origin = after.or_else(|| self.queues.keys().next())?.clone();
        let first = self.take(&origin, usize::MAX)?;
        let mut len = ITEM_HEAD_LEN + first.len();
        let mut items = vec![first];
        while let Some(item) = len_max.checked_sub(len + ITEM_HEAD_LEN).and_then(|room| self.take(&origin, room)) {
            len += ITEM_HEAD_LEN + item.len();
            items.push(item);
        }
        self.last = Some(origin.clone());
        Some(Batch { origin, items })
    }

    /// The oldest item of a sender, if it takes no more than `room`.
    fn take(&mut self, origin: &Option<P>, room: usize) -> Option<Bytes> {
        let queue = self.queues.get_mut(origin)?;
        if queue.items.front()?.len() > room {
            return None;
        }
        let item = queue.items.pop_front()?;
        queue.bytes -= item.len();
        if queue.items.is_empty() {
            self.queues.remove(origin);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u8, len: usize) -> Bytes {
        Bytes::from(vec![n; len])
    }

    #[test]
    fn all_senders_get_their_turn_and_messages_are_filled() {
        let mut outbox = Outbox::new(1_000);
        for _ in 0..5 {
            assert_eq!(outbox.add(Some(&1), false, item(1, 10)), 0);
        }
        outbox.add(Some(&2), false, item(2, 10));
        outbox.add(None, false, item(0, 50));
        let lens = [(None, 1), (Some(1), 2), (Some(2), 1), (Some(1), 2), (Some(1), 1)];
        for (origin, count) in lens {
            let batch = outbox.next(24).unwrap();
            assert_eq!((batch.origin, batch.items.len()), (origin, count));
        }
        assert!(outbox.next(24).is_none() && outbox.is_empty());
    }

    #[test]
    fn what_is_urgent_goes_first_and_stops_nothing() {
        let mut outbox = Outbox::new(1_000);
        outbox.add(Some(&1), false, item(0, 1));
        for _ in 0..6 {
            outbox.add(Some(&2), true, item(1, 1));
        }
        let order: Vec<u8> = std::iter::from_fn(|| outbox.next(3)).map(|batch| batch.items[0][0]).collect();
        assert_eq!(order, [1, 1, 1, 1, 0, 1, 1]);
    }

    #[test]
    fn who_has_most_loses_its_oldest() {
        let mut outbox = Outbox::new(30);
        outbox.add(Some(&1), true, item(9, 5));
        outbox.add(Some(&2), false, item(1, 10));
        outbox.add(Some(&2), false, item(2, 10));
        assert_eq!(outbox.add(Some(&3), false, item(3, 5)), 0, "full");
        assert_eq!(outbox.add(Some(&3), false, item(4, 1)), 1);
        let order: Vec<u8> = std::iter::from_fn(|| outbox.next(0)).map(|batch| batch.items[0][0]).collect();
        assert_eq!(order, [9, 2, 3, 4]);
        assert_eq!(outbox.add(None, true, item(5, 31)), 1, "what never fits");
        assert!(outbox.is_empty());
    }
}
