//! What is reconciled: ids under sort keys.

use std::{cmp::Ordering, fmt};

use crate::compare::compare_pairs;

/// What tells an item from every other: 32 bytes, the hash of all that it stands for, its sort key included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId([u8; Self::LEN]);

impl ItemId {
    /// Bytes of an id.
    pub const LEN: usize = 32;

    /// Takes the bytes of a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Its first half, by which a sketch knows it.
    #[must_use]
    pub const fn part(&self) -> IdPart {
        let mut part = [0; IdPart::LEN];
        let (half, _) = self.0.split_at(IdPart::LEN);
        part.copy_from_slice(half);
        IdPart(part)
    }
}

/// The first 16 bytes of an id: what the symbols of a sketch carry of it. Two items of a set have the same part with a
/// probability that can be neglected, unless somebody spends 2^64 hashes; then one hides the other from the sketch alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdPart([u8; Self::LEN]);

impl IdPart {
    /// Bytes of a part.
    pub const LEN: usize = 16;

    /// Takes the bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for IdPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdPart(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemId({self})")
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An id and the key it is sorted by. Items are ordered by key, then by id; several ids may stand under one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "an item is a key and an id")]
pub struct Item {
    /// The sort key, 0 to [`KEY_LEN_MAX`](Self::KEY_LEN_MAX) bytes. What differs at the same time should be close.
    pub key: Vec<u8>,
    /// The id.
    pub id: ItemId,
}

impl Item {
    /// Bytes of the longest sort key.
    pub const KEY_LEN_MAX: usize = 1_024;

    /// An item.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>, id: ItemId) -> Self {
        Self { key: key.into(), id }
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By key, then by id.
impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_pairs((&self.key, self.id.as_bytes()), (&other.key, other.id.as_bytes()))
    }
}

/// The key of a set's item hashes, shared by all who keep the set: for example derived from a namespace. It keeps those
/// who do not know it from making items whose sums collide; see [`LtHash`](crate::LtHash) for those who do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SetKey([u8; 32]);

impl SetKey {
    /// Takes 32 bytes, which should be hard to guess or at least differ from set to set.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetKey(..)")
    }
}
