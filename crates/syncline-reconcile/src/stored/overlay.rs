//! A snapshot with changes on top that are not committed yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use syncline_storage::{Batch, Direction, KeyRange, Scan, Snapshot, StorageError};

/// Reads what a batch would lead to.
pub(super) struct Overlay<'a> {
    snapshot: &'a dyn Snapshot,
    /// New values, or none for rows that go.
    rows: BTreeMap<Bytes, Option<Bytes>>,
}

type Row = (Bytes, Bytes);

impl<'a> Overlay<'a> {
    pub(super) fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self { snapshot, rows: BTreeMap::new() }
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

    pub(super) fn delete(&mut self, key: Bytes) {
        self.rows.insert(key, None);
    }

    /// The first or the last row of a range.
    pub(super) fn first(&self, range: KeyRange, direction: Direction) -> Result<Option<Row>, StorageError> {
        if range.is_empty() {
            return Ok(None);
        }
        let changed = {
            let mut rows = self.rows.range::<[u8], _>((range.lower(), range.upper()));
            let live = |(key, value): (&Bytes, &Option<Bytes>)| Some((key.clone(), value.clone()?));
            match direction {
                Direction::Forward => rows.find_map(live),
                Direction::Reverse => rows.rev().find_map(live),
            }
        };
        let stored = self.snapshot.scan(range, direction)?.find(|row| self.is_untouched(row)).transpose()?;
        Ok(match (changed, stored) {
            (Some(a), Some(b)) if (a.0 < b.0) == (direction == Direction::Forward) => Some(a),
            (Some(_), Some(b)) => Some(b),
            (a, b) => a.or(b),
        })
    }

    /// The rows of a range in ascending order.
    pub(super) fn scan(&self, range: KeyRange) -> Result<Scan<'_>, StorageError> {
        // An ordered map panics on some ranges that hold nothing.
        let range = if range.is_empty() { KeyRange::all().before(Bytes::new()) } else { range };
        let mut changed = self
            .rows
            .range::<[u8], _>((range.lower(), range.upper()))
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .peekable();
        let stored = self.snapshot.scan(range.clone(), Direction::Forward)?;
        let mut stored = stored.filter(|row| self.is_untouched(row)).peekable();
        Ok(Box::new(std::iter::from_fn(move || match (changed.peek(), stored.peek()) {
            (Some(a), Some(Ok(b))) if a.0 < b.0 => changed.next().map(Ok),
            (Some(_), None) => changed.next().map(Ok),
            _ => stored.next(),
        })))
    }

    /// Whether a row is what it was; errors are.
    fn is_untouched(&self, row: &Result<Row, StorageError>) -> bool {
        row.as_ref().map_or(true, |(key, _)| !self.rows.contains_key(key))
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
