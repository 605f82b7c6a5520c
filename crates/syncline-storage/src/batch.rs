//! A set of changes that is applied as a whole or not at all.

use std::fmt;

use bytes::Bytes;

use crate::{KeyRange, error::Hex};

/// One change in a [`Batch`].
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an engine that skipped an operation it does not know would lose data, so a new one has to break the build"
)]
pub enum Op {
    /// Sets `key` to `value`, whatever was there.
    Put {
        /// The key; never empty.
        key: Bytes,
        /// The value; may be empty.
        value: Bytes,
    },
    /// Removes `key`, if it is there.
    Delete {
        /// The key; never empty.
        key: Bytes,
    },
    /// Removes every key of `range` that is there at this point of the batch.
    DeleteRange {
        /// The range; an empty one removes nothing.
        range: KeyRange,
    },
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "Put({}, {} bytes)", Hex(key), value.len()),
            Self::Delete { key } => write!(f, "Delete({})", Hex(key)),
            Self::DeleteRange { range } => write!(f, "DeleteRange({range:?})"),
        }
    }
}

/// What has to hold before a [`Batch`] is applied.
#[derive(Clone, PartialEq, Eq)]
pub struct Precondition {
    key: Bytes,
    expected: Option<Bytes>,
}

impl Precondition {
    /// The key that is looked at.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// The value that has to be there; `None` if the key has to be absent.
    #[must_use]
    pub fn expected(&self) -> Option<&Bytes> {
        self.expected.as_ref()
    }

    /// Whether it holds, given what is stored under the key.
    #[must_use]
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        self.expected.as_deref() == found
    }
}

impl fmt::Debug for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(value) => write!(f, "Equals({}, {} bytes)", Hex(&self.key), value.len()),
            None => write!(f, "Absent({})", Hex(&self.key)),
        }
    }
}

/// Changes and preconditions, committed as a whole or not at all.
///
/// The changes take effect in the order in which they were added, so that a later one on a key wins. The preconditions
/// are about the state *before* the batch, wherever in the batch they were added. Nothing is checked before the commit.
///
/// `Debug` shows counts, never keys or values.
///
/// ```
/// use syncline_storage::{Batch, Database, Durability, MemoryDb};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = MemoryDb::new();
/// let mut batch = Batch::new();
/// batch.require_absent("a/owner").put("a/owner", "me").put("a/count", "0");
/// db.commit(batch.clone(), Durability::Immediate)?;
///
/// let again = db.commit(batch, Durability::Immediate).unwrap_err();
/// assert_eq!(again.failed_key().map(|key| &key[..]), Some(&b"a/owner"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    preconditions: Vec<Precondition>,
    byte_len: usize,
}

impl Batch {
    /// A batch without changes. Committed with [`Immediate`](crate::Durability::Immediate) it is a barrier: all earlier
    /// commits are durable when it returns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`. The bytes are kept as given: a slice of a large buffer keeps that buffer alive for as long
    /// as a [`MemoryDb`](crate::MemoryDb) holds the row.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Put { key: key.into(), value: value.into() })
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Delete { key: key.into() })
    }

    /// Removes every key of `range` that is there at this point of the batch, those that the batch itself has put
    /// among them. The cost is that of deleting the keys one by one; the batch stays small.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        self.push(Op::DeleteRange { range })
    }

    /// Lets the commit fail unless `key` is absent before the batch.
    pub fn require_absent(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.require(key.into(), None)
    }

    /// Lets the commit fail unless `key` has exactly `value` before the batch.
    pub fn require_equals(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.require(key.into(), Some(value.into()))
    }

    /// Adds the changes and preconditions of `other` behind those that are here. Both sets of preconditions are then
    /// about the state before the whole.
    pub fn append(&mut self, mut other: Self) -> &mut Self {
        self.ops.append(&mut other.ops);
        self.preconditions.append(&mut other.preconditions);
        self.byte_len = self.byte_len.saturating_add(other.byte_len);
        self
    }

    /// Number of changes, counted as added; preconditions are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are neither changes nor preconditions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.preconditions.is_empty()
    }

    /// Bytes of all keys, values and bounds, those of preconditions included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// The changes, in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The changes, in order, without copies.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// The preconditions, in the order in which an engine checks them: the first that fails is reported.
    #[must_use]
    pub fn preconditions(&self) -> &[Precondition] {
        &self.preconditions
    }

    /// A batch of these changes, without preconditions.
    pub(crate) fn from_ops(ops: impl IntoIterator<Item = Op>) -> Self {
        let mut batch = Self::new();
        for op in ops {
            batch.push(op);
        }
        batch
    }

    fn push(&mut self, op: Op) -> &mut Self {
        let bytes = match &op {
            Op::Put { key, value } => key.len().saturating_add(value.len()),
            Op::Delete { key } => key.len(),
            Op::DeleteRange { range } => range.byte_len(),
        };
        self.byte_len = self.byte_len.saturating_add(bytes);
        self.ops.push(op);
        self
    }

    fn require(&mut self, key: Bytes, expected: Option<Bytes>) -> &mut Self {
        let value = expected.as_ref().map_or(0, Bytes::len);
        self.byte_len = self.byte_len.saturating_add(key.len()).saturating_add(value);
        self.preconditions.push(Precondition { key, expected });
        self
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .field("preconditions", &self.preconditions.len())
            .field("byte_len", &self.byte_len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_bytes() {
        let mut batch = Batch::new();
        assert!(batch.is_empty());
        batch
            .put("ab", "cde")
            .delete("f")
            .delete_range(KeyRange::all().starting_at("gh"))
            .require_absent("i")
            .require_equals("j", "kl");
        assert_eq!((batch.len(), batch.byte_len()), (3, 5 + 1 + 2 + 1 + 3));
        let mut twice = batch.clone();
        twice.append(batch);
        assert_eq!((twice.len(), twice.byte_len()), (6, 24));
        assert_eq!(twice.preconditions().len(), 4);

        let mut only_precondition = Batch::new();
        only_precondition.require_absent("a");
        assert!(!only_precondition.is_empty());
    }

    #[test]
    fn debug_shows_no_content() {
        let mut batch = Batch::new();
        batch.put("kkkk", "vvvv").require_equals("pppp", "qqqq").require_absent("rrrr");
        let shown = format!("{batch:?} {:?} {:?}", batch.ops(), batch.preconditions());
        for secret in ["vvvv", "76767676", "qqqq", "71717171"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(format!("{batch:?}"), "Batch { len: 1, preconditions: 2, byte_len: 20 }");
    }
}
