//! A database that counts the rows that are read and written.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use syncline_storage::{
    Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, Scan, Snapshot, StorageError,
};

/// Counts each row that is looked for by its key, that a scan gives, and that a commit puts or deletes.
#[derive(Debug)]
pub(super) struct Counted<D> {
    inner: D,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    touched: AtomicU64,
    /// The rows that were touched, those that are in this table if one is named, if somebody asked for that.
    watched: Mutex<Option<(Option<u8>, BTreeSet<Bytes>)>>,
}

impl Counts {
    fn touch(&self, key: &[u8]) {
        self.touched.fetch_add(1, Ordering::Relaxed);
        let mut watched = self.watched.lock().expect("nobody panics with it");
        if let Some((table, keys)) = watched.as_mut()
            && table.is_none_or(|table| key.first() == Some(&table))
        {
            keys.insert(Bytes::copy_from_slice(key));
        }
    }
}

impl<D> Counted<D> {
    pub(super) fn new(inner: D) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// Rows touched since this was last called.
    pub(super) fn take(&self) -> u64 {
        self.counts.touched.swap(0, Ordering::Relaxed)
    }

    /// Begins to note which rows are touched, of one table if one is named.
    pub(super) fn watch(&self, table: Option<u8>) {
        *self.counts.watched.lock().expect("nobody panics with it") = Some((table, BTreeSet::new()));
    }

    /// How many different ones were.
    pub(super) fn watched(&self) -> u64 {
        let mut watched = self.counts.watched.lock().expect("nobody panics with it");
        watched.take().map_or(0, |(_, keys)| keys.len() as u64)
    }
}

impl<D: Database> Database for Counted<D> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        let counts = Arc::clone(&self.counts);
        Ok(Box::new(CountedSnapshot { inner: self.inner.snapshot()?, counts }))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        for op in batch.ops() {
            match op {
                syncline_storage::Op::Put { key, .. } | syncline_storage::Op::Delete { key } => self.counts.touch(key),
                syncline_storage::Op::DeleteRange { .. } => self.counts.touch(&[]),
            }
        }
        self.inner.commit(batch, durability)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

struct CountedSnapshot {
    inner: Box<dyn Snapshot>,
    counts: Arc<Counts>,
}

impl Snapshot for CountedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.counts.touch(key);
        self.inner.get(key)
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        let counts = Arc::clone(&self.counts);
        let rows = self.inner.scan(range, direction)?;
        Ok(Box::new(rows.inspect(move |row| {
            if let Ok((key, _)) = row {
                counts.touch(key);
            }
        })))
    }
}
