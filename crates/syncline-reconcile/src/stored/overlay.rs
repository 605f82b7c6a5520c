//! A snapshot with changes on top that are not committed yet.

use std::collections::{BTreeMap, btree_map::Entry};

use bytes::Bytes;
use syncline_storage::{Batch, Direction, KeyRange, Snapshot, StorageError};

/// Reads what a batch would lead to.
pub(super) struct Overlay<'a> {
    snapshot: &'a dyn Snapshot,
    /// New values, or none for rows that go.
    rows: BTreeMap<Bytes, Option<Bytes>>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self { snapshot, rows: BTreeMap::new() }
    }

    pub(super) fn snapshot(&self) -> &'a dyn Snapshot {
        self.snapshot
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match self.rows.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.snapshot.get(key),
        }
    }

    pub(super) fn put(&mut self, key: Bytes, value: Bytes) {
        self.rows.insert(key, Some(value));
    }

    /// Puts a row unless there is one. Says whether it did.
    pub(super) fn put_new(&mut self, key: Bytes, value: Bytes) -> Result<bool, StorageError> {
        match self.rows.entry(key) {
            Entry::Occupied(row) if row.get().is_some() => return Ok(false),
            Entry::Occupied(mut row) => *row.get_mut() = Some(value),
            Entry::Vacant(row) => {
                if self.snapshot.get(row.key())?.is_some() {
                    return Ok(false);
                }
                row.insert(Some(value));
            }
        }
        Ok(true)
    }

    pub(super) fn delete(&mut self, key: Bytes) {
        self.rows.insert(key, None);
    }

    /// Visits the rows of a range, in no order.
    pub(super) fn for_each<E: From<StorageError>>(
        &self,
        range: KeyRange,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // An ordered map panics on some ranges that hold nothing.
        if range.is_empty() {
            return Ok(());
        }
        for (key, value) in self.rows.range::<[u8], _>((range.lower(), range.upper())) {
            if value.is_some() {
                visit(key)?;
            }
        }
        for row in self.snapshot.scan(range, Direction::Forward)? {
            let (key, _) = row?;
            if !self.rows.contains_key(&key) {
                visit(&key)?;
            }
        }
        Ok(())
    }

    /// Writes the changes.
    pub(super) fn write(self, batch: &mut Batch) {
        for (key, value) in self.rows {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
    }
}
