//! Typed rows in a part of the key space of their own.

mod key;
mod prefix;
mod value;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
};

use bytes::{Buf, Bytes};

pub use self::{
    key::{CodecError, KeyCodec},
    prefix::KeyPrefix,
    value::ValueCodec,
};
use crate::{Batch, Direction, KeyRange, Scan, Snapshot, StorageError, StorageErrorKind};

/// The first byte of every key of a table. Which table has which is in `docs/spec/storage.md`; `0x80` and above are for
/// applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "it is one byte and stays one")]
pub struct TableId(pub u8);

/// Typed access to the rows under one [`TableId`]: how keys and values become bytes, and nothing else. It holds no
/// database; reads go to a [`Snapshot`], writes into a [`Batch`]. The order of the rows is the order of `K`.
///
/// ```
/// use syncline_storage::{Batch, Database, Direction, Durability, MemoryDb, Table, TableId};
///
/// /// Author and sequence number to a message.
/// const MESSAGES: Table<(String, u64), String> = Table::new(TableId(0x80));
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = MemoryDb::new();
/// let mut batch = Batch::new();
/// for seq in [1, 2, 300] {
///     MESSAGES.put_in(&mut batch, &("ann".into(), seq), &format!("number {seq}"));
/// }
/// db.commit(batch, Durability::Immediate)?;
///
/// let snapshot = db.snapshot()?;
/// let newest = MESSAGES
///     .scan_prefix(&*snapshot, &("ann".to_owned(),), Direction::Reverse)?
///     .next()
///     .transpose()?;
/// assert_eq!(newest, Some((("ann".into(), 300), "number 300".into())));
/// # Ok(()) }
/// ```
pub struct Table<K, V> {
    id: TableId,
    rows: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// The table whose keys begin with `id`.
    #[must_use]
    pub const fn new(id: TableId) -> Self {
        Self { id, rows: PhantomData }
    }

    /// The first byte of the keys.
    #[must_use]
    pub const fn id(&self) -> TableId {
        self.id
    }

    /// The keys of the whole table.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(&[self.id.0])
    }
}

impl<K: KeyCodec, V: ValueCodec> Table<K, V> {
    /// The bytes under which the row of `key` is stored.
    #[must_use]
    pub fn key(&self, key: &K) -> Bytes {
        // Room for a hash, a short name and two numbers without growing.
        let mut out = Vec::with_capacity(64);
        out.push(self.id.0);
        key.encode(&mut out);
        out.into()
    }

    /// The bytes of the keys that begin with the components of `prefix`.
    #[must_use]
    pub fn prefix<P: KeyPrefix<K>>(&self, prefix: &P) -> KeyRange {
        KeyRange::prefix(&self.prefix_bytes(prefix))
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`]; [`Corrupt`](StorageErrorKind::Corrupt) if the value does not decode.
    pub fn get(&self, snapshot: &dyn Snapshot, key: &K) -> Result<Option<V>, StorageError> {
        snapshot.get(&self.key(key))?.map(V::decode).transpose().map_err(corrupt)
    }

    /// Adds a [put](Batch::put) to `batch`.
    pub fn put_in(&self, batch: &mut Batch, key: &K, value: &V) {
        batch.put(self.key(key), value.encode());
    }

    /// Adds a [delete](Batch::delete) to `batch`.
    pub fn delete_in(&self, batch: &mut Batch, key: &K) {
        batch.delete(self.key(key));
    }

    /// Adds the [precondition](Batch::require_absent) that `key` is absent.
    pub fn require_absent_in(&self, batch: &mut Batch, key: &K) {
        batch.require_absent(self.key(key));
    }

    /// Adds the [precondition](Batch::require_equals) that `key` has `value`.
    pub fn require_equals_in(&self, batch: &mut Batch, key: &K, value: &V) {
        batch.require_equals(self.key(key), value.encode());
    }

    /// All rows.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan<'a>(
        &self,
        snapshot: &'a dyn Snapshot,
        direction: Direction,
    ) -> Result<TableScan<'a, K, V>, StorageError> {
        self.rows(snapshot, self.range(), direction)
    }

    /// The rows whose keys begin with the components of `prefix`: for keys `(A, B, C)` a tuple `(A,)` or `(A, B)`.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan_prefix<'a, P: KeyPrefix<K>>(
        &self,
        snapshot: &'a dyn Snapshot,
        prefix: &P,
        direction: Direction,
    ) -> Result<TableScan<'a, K, V>, StorageError> {
        self.rows(snapshot, self.prefix(prefix), direction)
    }

    /// The rows whose keys are in `range`, in the order of `K`.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan_range<'a>(
        &self,
        snapshot: &'a dyn Snapshot,
        range: impl RangeBounds<K>,
        direction: Direction,
    ) -> Result<TableScan<'a, K, V>, StorageError> {
        let keys = self.range();
        let keys = match range.start_bound() {
            Bound::Included(key) => keys.starting_at(self.key(key)),
            Bound::Excluded(key) => keys.after(self.key(key)),
            Bound::Unbounded => keys,
        };
        let keys = match range.end_bound() {
            Bound::Included(key) => keys.up_to(self.key(key)),
            Bound::Excluded(key) => keys.before(self.key(key)),
            Bound::Unbounded => keys,
        };
        self.rows(snapshot, keys, direction)
    }

    /// The rows whose keys, as [bytes](Self::key), are in `range`, which must lie within the table's [range](Self::range). For
    /// parts of the order that no value of `K` is the end of.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`]. A row of another table is [`Corrupt`](StorageErrorKind::Corrupt), or read as what it is not.
    pub fn scan_keys<'a>(
        &self,
        snapshot: &'a dyn Snapshot,
        range: KeyRange,
        direction: Direction,
    ) -> Result<TableScan<'a, K, V>, StorageError> {
        self.rows(snapshot, range, direction)
    }

    fn prefix_bytes<P: KeyPrefix<K>>(&self, prefix: &P) -> Vec<u8> {
        let mut out = vec![self.id.0];
        prefix.encode_prefix(&mut out);
        out
    }

    fn rows<'a>(
        &self,
        snapshot: &'a dyn Snapshot,
        range: KeyRange,
        direction: Direction,
    ) -> Result<TableScan<'a, K, V>, StorageError> {
        Ok(TableScan { rows: snapshot.scan(range, direction)?, row: PhantomData })
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:#04x})", self.id.0)
    }
}

/// The rows of a [`Table`], decoded as they come. A row that does not decode is
/// [`Corrupt`](StorageErrorKind::Corrupt); the rows behind it can still be read.
pub struct TableScan<'a, K, V> {
    rows: Scan<'a>,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K: KeyCodec, V: ValueCodec> Iterator for TableScan<'_, K, V> {
    type Item = Result<(K, V), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next()?.and_then(|(mut key, value)| {
            // The range of the scan lies within the table, so that the first byte is the table's.
            key.advance(1);
            let key = K::decode_all(&key).map_err(corrupt)?;
            Ok((key, V::decode(value).map_err(corrupt)?))
        }))
    }
}

impl<K, V> fmt::Debug for TableScan<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScan").finish_non_exhaustive()
    }
}

fn corrupt(error: CodecError) -> StorageError {
    StorageError::with_source(StorageErrorKind::Corrupt, error)
}
