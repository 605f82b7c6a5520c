//! Places in the order of items, and what lies between them.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    ops::{Add, AddAssign, Sub, SubAssign},
};

use crate::{
    ItemId, SetKey,
    compare::{compare_pairs, is_same},
};

/// A place in the order of items: before every item whose key is greater than `key`, and before every item under `key` itself
/// whose id is not less than `id_prefix`. It need not be the place of an item.
#[derive(Clone, Debug, Default, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place is a key and the beginning of an id")]
pub struct Bound {
    /// A key, or the beginning of one.
    pub key: Vec<u8>,
    /// The beginning of an id: at most 32 bytes.
    pub id_prefix: Vec<u8>,
}

impl Bound {
    /// Before everything.
    pub const MIN: Self = Self { key: Vec::new(), id_prefix: Vec::new() };

    /// Whether an item lies at or behind this place.
    #[must_use]
    pub fn is_at_or_before(&self, key: &[u8], id: &[u8]) -> bool {
        compare_pairs(self.as_pair(), (key, id)).is_le()
    }

    pub(crate) fn as_pair(&self) -> (&[u8], &[u8]) {
        (&self.key, &self.id_prefix)
    }

    /// The shortest place behind one key and id and not behind others that follow them.
    pub(crate) fn between(before: (&[u8], &[u8]), at: (&[u8], &[u8])) -> Self {
        let beginning = |before: &[u8], at: &[u8]| {
            let common = before.iter().zip(at).take_while(|(one, other)| one == other).count();
            at.get(..=common).unwrap_or(at).to_vec()
        };
        if is_same(before.0, at.0) {
            Self { key: at.0.to_vec(), id_prefix: beginning(before.1, at.1) }
        } else {
            Self { key: beginning(before.0, at.0), id_prefix: Vec::new() }
        }
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.id_prefix, &other.id_prefix) && is_same(&self.key, &other.key)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By key, then by the beginning of the id.
impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_pairs(self.as_pair(), other.as_pair())
    }
}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_pair().hash(state);
    }
}

/// The items from one place, included, to another, excluded. `None` is behind everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a span has two ends")]
pub struct Span {
    /// The first place.
    pub from: Bound,
    /// The place behind the last.
    pub to: Option<Bound>,
}

impl Span {
    /// Every item.
    pub const ALL: Self = Self { from: Bound::MIN, to: None };
}

/// How many items there are, and the sum modulo 2^256 of their hashes under the set's key.
///
/// Equal fingerprints make equal sets likely, and do not prove them: who writes items can make sums collide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a count and a sum, by definition")]
pub struct Fingerprint {
    /// How many.
    pub count: u64,
    /// The sum, least significant word first.
    pub sum: [u64; 4],
}

const ITEM_DOMAIN: &[u8; 26] = b"syncline/reconcile/item/v1";

impl Fingerprint {
    /// That of no item.
    pub const EMPTY: Self = Self { count: 0, sum: [0; 4] };

    /// That of one item: its hash is BLAKE3 keyed with the set's key.
    #[must_use]
    pub fn of(key: &SetKey, id: &ItemId) -> Self {
        const LEN: usize = ItemId::LEN + ITEM_DOMAIN.len();
        let mut input = [0; LEN];
        input[..ItemId::LEN].copy_from_slice(id.as_bytes());
        input[ItemId::LEN..].copy_from_slice(ITEM_DOMAIN);
        let hash = blake3::keyed_hash(key.as_bytes(), &input);
        let mut sum = [0; 4];
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        for (to, word) in sum.iter_mut().zip(words) {
            *to = u64::from_le_bytes(*word);
        }
        Self { count: 1, sum }
    }
}

impl Add for Fingerprint {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// The sum of both, modulo 2^64 and 2^256.
impl AddAssign for Fingerprint {
    fn add_assign(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        let mut carry = false;
        for (word, other) in self.sum.iter_mut().zip(other.sum) {
            (*word, carry) = word.carrying_add(other, carry);
        }
    }
}

impl Sub for Fingerprint {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

/// What is left without the other, modulo 2^64 and 2^256.
impl SubAssign for Fingerprint {
    fn sub_assign(&mut self, other: Self) {
        self.count = self.count.wrapping_sub(other.count);
        let mut borrow = false;
        for (word, other) in self.sum.iter_mut().zip(other.sum) {
            (*word, borrow) = word.borrowing_sub(other, borrow);
        }
    }
}
