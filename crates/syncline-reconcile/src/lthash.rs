//! The verdict on whether two sets are equal.

use std::fmt;

use crate::{ItemId, SetKey};

/// Says what the expansion of an item is for, so that no other use of the key yields the same bytes.
const ITEM_DOMAIN: &[u8] = b"syncline/reconcile/lthash/v1";
const DIGEST_DOMAIN: &str = "syncline/reconcile/lthash-digest/v1";

/// A sum of all items of a set that nobody is known to be able to make collide, not even who writes the items and knows
/// the [`SetKey`]: LtHash16 with 1 024 lanes (Bellare and Micciancio, EUROCRYPT 1997; Lewi, Kim, Maykov and Weis:
/// "Securing update propagation with homomorphic hashing", ePrint 2019/227, who put it above 200 bits).
///
/// Each item is expanded to 2 KiB with BLAKE3 keyed by the set, and lanes of 16 bits are added without carry. So it does
/// not depend on the order of the changes, an item can be taken out again, and accumulators of disjoint sets can be
/// combined.
///
/// It is a hash of *sets*. An item that is added 2^16 times is as if it had never been there, and one that is removed
/// without having been there leaves a sum that no set has: whoever keeps an accumulator refuses both.
///
/// ```
/// use syncline_reconcile::{ItemId, LtHash, SetKey};
///
/// let key = SetKey::from_bytes([7; 32]);
/// let [a, b] = [1, 2].map(|n| ItemId::from_bytes([n; 32]));
/// let mut one = LtHash::new();
/// one.add(&key, &a);
/// one.add(&key, &b);
/// let mut other = LtHash::new();
/// other.add(&key, &b);
/// assert_ne!(one.digest(), other.digest());
/// one.remove(&key, &a);
/// assert_eq!(one, other);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LtHash {
    lanes: Box<[u16; Self::LANES]>,
}

impl LtHash {
    const LANES: usize = 1_024;
    /// Bytes of an accumulator.
    pub const LEN: usize = 2 * Self::LANES;

    /// The accumulator of the empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { lanes: Box::new([0; Self::LANES]) }
    }

    /// Adds an item that is not there.
    pub fn add(&mut self, key: &SetKey, id: &ItemId) {
        self.add_all(key, std::slice::from_ref(id));
    }

    /// Adds items that are not there.
    pub(crate) fn add_all(&mut self, key: &SetKey, ids: &[ItemId]) {
        let mut expander = Expander::new(key);
        ids.iter().for_each(|id| self.change(expander.expand(id), u16::wrapping_add));
    }

    /// Takes out an item that is there.
    pub fn remove(&mut self, key: &SetKey, id: &ItemId) {
        self.change(Expander::new(key).expand(id), u16::wrapping_sub);
    }

    /// Makes this the accumulator of the union with a set that has no item in common with this one.
    pub fn combine(&mut self, other: &Self) {
        zip(&mut self.lanes, &other.lanes, u16::wrapping_add);
    }

    /// Makes this the accumulator of what is left without the items of a subset.
    pub fn subtract(&mut self, other: &Self) {
        zip(&mut self.lanes, &other.lanes, u16::wrapping_sub);
    }

    /// 32 bytes that are equal exactly if the accumulators are, up to a collision of BLAKE3.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key(DIGEST_DOMAIN, &self.to_bytes())
    }

    /// The lanes, each with its least significant byte first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (pairs, _) = bytes.as_chunks_mut::<2>();
        for (pair, lane) in pairs.iter_mut().zip(self.lanes.iter()) {
            *pair = lane.to_le_bytes();
        }
        bytes
    }

    /// The way back. Every sequence of [`LEN`](Self::LEN) bytes is an accumulator, if not of a set that anybody knows.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut this = Self::new();
        this.change(bytes, u16::wrapping_add);
        this
    }

    fn change(&mut self, bytes: &[u8; Self::LEN], op: impl Fn(u16, u16) -> u16) {
        let (pairs, _) = bytes.as_chunks::<2>();
        for (lane, pair) in self.lanes.iter_mut().zip(pairs) {
            *lane = op(*lane, u16::from_le_bytes(*pair));
        }
    }
}

impl Default for LtHash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.digest();
        write!(f, "LtHash({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// Expands ids, one after the other.
struct Expander {
    hasher: blake3::Hasher,
    bytes: [u8; LtHash::LEN],
}

impl Expander {
    fn new(key: &SetKey) -> Self {
        Self { hasher: blake3::Hasher::new_keyed(key.as_bytes()), bytes: [0; LtHash::LEN] }
    }

    fn expand(&mut self, id: &ItemId) -> &[u8; LtHash::LEN] {
        self.hasher.reset().update(id.as_bytes()).update(ITEM_DOMAIN).finalize_xof().fill(&mut self.bytes);
        &self.bytes
    }
}

fn zip(lanes: &mut [u16; LtHash::LANES], others: &[u16; LtHash::LANES], op: impl Fn(u16, u16) -> u16) {
    for (lane, other) in lanes.iter_mut().zip(others) {
        *lane = op(*lane, *other);
    }
}

#[cfg(test)]
mod tests {
    use super::LtHash;
    use crate::{
        ItemId, SetKey,
        testing::{KEY, for_each_seed, id},
    };

    fn of(ids: &[ItemId]) -> LtHash {
        let mut hash = LtHash::new();
        ids.iter().for_each(|id| hash.add(&KEY, id));
        hash
    }

    #[test]
    fn laws() {
        for_each_seed(20, |rng| {
            let ids: Vec<ItemId> = (0..20).map(|n| id(rng.next() ^ n)).collect();
            let all = of(&ids);
            assert_eq!(all, of(&ids.iter().rev().copied().collect::<Vec<_>>()));
            let (left, right) = ids.split_at(rng.below(21) as usize);
            let mut sum = of(left);
            sum.combine(&of(right));
            assert_eq!(sum, all);
            sum.subtract(&of(right));
            assert_eq!(sum, of(left));
            right.iter().for_each(|id| sum.add(&KEY, id));
            left.iter().for_each(|id| sum.remove(&KEY, id));
            assert_eq!((&sum, sum.digest()), (&of(right), of(right).digest()));
            assert_eq!(LtHash::from_bytes(&all.to_bytes()), all);
        });
    }

    #[test]
    fn another_key_or_another_item_is_another_sum() {
        let mut other = LtHash::new();
        other.add(&SetKey::from_bytes([8; 32]), &id(1));
        assert_ne!(of(&[id(1)]), other);
        assert_ne!(of(&[id(1)]).digest(), of(&[id(2)]).digest());
        assert_ne!(LtHash::new().digest(), [0; 32]);
    }

    /// Why duplicates are refused.
    #[test]
    fn copies_of_an_item_cancel() {
        let mut hash = LtHash::new();
        let mut one = of(&[id(1)]);
        for _ in 0..16 {
            hash = one.clone();
            one.combine(&hash);
        }
        assert_ne!(hash, LtHash::new());
        assert_eq!(one, LtHash::new());
    }
}
