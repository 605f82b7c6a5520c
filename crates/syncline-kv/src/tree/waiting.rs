//! Items that rest on something that has not come yet.

use std::collections::{BTreeMap, VecDeque};

use super::limits::TreeLimits;
use crate::authority::Awaited;
use crate::item::Item;

/// Items by what they wait for, in memory: they are offered again by whoever has them, should this be lost.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by: BTreeMap<Awaited, Vec<(u64, Item)>>,
    /// The oldest first.
    order: VecDeque<(u64, Awaited)>,
    next: u64,
    items: usize,
    bytes: usize,
}

impl Waiting {
    /// Keeps an item. If there is no room, the oldest go.
    pub(super) fn keep(&mut self, limits: &TreeLimits, awaited: Awaited, item: Item) {
        let len = item.object_len();
        if len > limits.waiting_bytes || limits.waiting_items == 0 {
            return;
        }
        let same = self.by.entry(awaited).or_default();
        if same.iter().any(|(_, kept)| kept.id_bytes() == item.id_bytes()) {
            return;
        }
        same.push((self.next, item));
        self.order.push_back((self.next, awaited));
        self.next += 1;
        self.items += 1;
        self.bytes += len;
        while self.items > limits.waiting_items || self.bytes > limits.waiting_bytes {
            self.drop_oldest();
        }
    }

    /// What waited for this.
    pub(super) fn take(&mut self, awaited: &Awaited) -> Vec<Item> {
        let items: Vec<Item> = self.by.remove(awaited).unwrap_or_default().into_iter().map(|(_, item)| item).collect();
        self.items -= items.len();
        self.bytes -= items.iter().map(Item::object_len).sum::<usize>();
        if self.items == 0 {
            self.order.clear();
        }
        items
    }

    fn drop_oldest(&mut self) {
        while let Some((number, awaited)) = self.order.pop_front() {
            let Some(same) = self.by.get_mut(&awaited) else { continue };
            let Some(at) = same.iter().position(|(kept, _)| *kept == number) else { continue };
            let (_, item) = same.remove(at);
            if same.is_empty() {
                self.by.remove(&awaited);
            }
            self.items -= 1;
            self.bytes -= item.object_len();
            return;
        }
    }
}

