//! Items that rest on something that has not come yet.

use std::collections::BTreeMap;

use super::limits::TreeLimits;
use crate::authority::Awaited;
use crate::item::Item;

/// Items by what they wait for, in memory: they are offered again by whoever has them, should this be lost.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by: BTreeMap<Awaited, Vec<(u64, Item)>>,
    /// The oldest first.
    order: BTreeMap<u64, Awaited>,
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
        // Not by their ids: a rotation with too few of its signatures has the id of the complete one.
        if same.iter().any(|(_, kept)| *kept == item) {
            return;
        }
        same.push((self.next, item));
        self.order.insert(self.next, awaited);
        self.next += 1;
        self.items += 1;
        self.bytes += len;
        while self.items > limits.waiting_items || self.bytes > limits.waiting_bytes {
            self.drop_oldest();
        }
    }

    /// What waited for this.
    pub(super) fn take(&mut self, awaited: &Awaited) -> Vec<Item> {
        let mut items = Vec::new();
        for (number, item) in self.by.remove(awaited).unwrap_or_default() {
            self.order.remove(&number);
            self.items -= 1;
            self.bytes -= item.object_len();
            items.push(item);
        }
        items
    }

    fn drop_oldest(&mut self) {
        let Some((number, awaited)) = self.order.pop_first() else { return };
        let Some(same) = self.by.get_mut(&awaited) else { return };
        let Some(at) = same.iter().position(|(kept, _)| *kept == number) else { return };
        let (_, item) = same.remove(at);
        if same.is_empty() {
            self.by.remove(&awaited);
        }
        self.items -= 1;
        self.bytes -= item.object_len();
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::clock::Hlc;
    use syncline_crypto::{Hash, SigningKey};

    use super::*;
    use crate::item::{Endorsements, GrantId, NamespaceId, RevocationDraft, RotateDraft};

    fn item(nth: u64) -> Item {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (namespace, grant) = (NamespaceId::from_bytes([2; 32]), GrantId::from_bytes([3; 32]));
        let draft = RevocationDraft { namespace, grant, revoker: key.public_key(), stamp: Hlc::from_bits(nth) };
        Item::Revocation(draft.sign(&key).expect("signs"))
    }

    fn awaited(nth: u8) -> Awaited {
        Awaited::Grant(GrantId::from_bytes([nth; 32]))
    }

    #[test]
    fn what_was_taken_leaves_nothing_behind() {
        let (limits, mut waiting) = (TreeLimits::default(), Waiting::default());
        waiting.keep(&limits, awaited(0), item(0));
        for nth in 1..1_000 {
            waiting.keep(&limits, awaited(1), item(nth));
            assert_eq!(waiting.take(&awaited(1)).len(), 1);
        }
        assert_eq!((waiting.order.len(), waiting.items), (1, 1));
        assert_eq!(waiting.take(&awaited(0)), [item(0)]);
        assert_eq!((waiting.bytes, waiting.order.len(), waiting.by.len()), (0, 0, 0));
    }

    #[test]
    fn items_and_bytes_are_bounded_and_the_oldest_go() {
        let len = item(1_000).object_len();
        for limits in [
            TreeLimits { waiting_items: 3, ..TreeLimits::default() },
            TreeLimits { waiting_bytes: 3 * len, ..TreeLimits::default() },
        ] {
            let mut waiting = Waiting::default();
            for nth in 0..5 {
                waiting.keep(&limits, awaited(nth as u8 % 2), item(1_000 + nth));
                waiting.keep(&limits, awaited(nth as u8 % 2), item(1_000 + nth));
            }
            assert_eq!(waiting.items, 3);
            assert_eq!(waiting.take(&awaited(0)), [item(1_002), item(1_004)]);
            assert_eq!(waiting.take(&awaited(1)), [item(1_003)]);
        }
        let mut none = Waiting::default();
        none.keep(&TreeLimits { waiting_items: 0, ..TreeLimits::default() }, awaited(0), item(1_000));
        none.keep(&TreeLimits { waiting_bytes: len - 1, ..TreeLimits::default() }, awaited(0), item(1_000));
        assert_eq!((none.items, none.by.len()), (0, 0));
    }

    /// Else whoever strips signatures off and is first keeps the complete rotation away.
    #[test]
    fn a_rotation_with_too_few_signatures_does_not_stand_in_for_the_complete_one() {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let mut roots: Vec<_> = keys.iter().map(SigningKey::public_key).collect();
        roots.sort_unstable();
        let draft = RotateDraft {
            namespace: NamespaceId::from_bytes([2; 32]),
            index: 2,
            previous: Hash::from_bytes([3; 32]),
            roots,
            retired: BTreeMap::new(),
            stamp: Hlc::ZERO,
        };
        let mut endorsements = Endorsements::new(&draft).expect("a rotation");
        let rotations = keys.map(|key| {
            let unsigned = draft.unsigned(key.public_key()).expect("a rotation");
            endorsements.add(key.public_key(), key.sign(&unsigned.message()));
            Item::RootRotate(endorsements.finish().expect("signed"))
        });
        assert_eq!(rotations[0].id_bytes(), rotations[1].id_bytes());
        let mut waiting = Waiting::default();
        for rotation in rotations.iter().chain(&rotations) {
            waiting.keep(&TreeLimits::default(), awaited(0), rotation.clone());
        }
        assert_eq!(waiting.take(&awaited(0)), rotations);
    }
}
