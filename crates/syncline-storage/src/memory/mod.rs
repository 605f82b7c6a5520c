//! A database in memory.

mod node;
mod rows;
mod sorted;
mod tree;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use self::{rows::Rows, tree::Tree};
use crate::{Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, Op, Scan, Snapshot, StorageError};

/// A [`Database`] in memory. Nothing survives the value itself; both [durabilities](Durability) are the same.
///
/// It is a B+tree with shared nodes: a snapshot costs one reference count, however large the database is, and a commit
/// under a live snapshot copies only the nodes on the path to each row. Rows are kept as the [`Bytes`] that were given
/// and are read without a copy.
#[derive(Default)]
pub struct MemoryDb {
    tree: Mutex<Tree>,
    limits: Limits,
}

impl MemoryDb {
    /// An empty database with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty database with limits of one's own.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { tree: Mutex::default(), limits }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        // Nothing that runs under the lock can panic between two changes of one batch.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDb").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Database for MemoryDb {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        Ok(Box::new(MemorySnapshot(self.lock().clone())))
    }

    fn commit(&self, batch: Batch, _durability: Durability) -> Result<(), CommitError> {
        self.limits.check(&batch)?;
        apply(&mut self.lock(), batch)
    }

    fn commit_all(&self, batches: Vec<Batch>, _durability: Durability) -> Vec<Result<(), CommitError>> {
        let mut tree = self.lock();
        batches
            .into_iter()
            .map(|batch| {
                self.limits.check(&batch)?;
                apply(&mut tree, batch)
            })
            .collect()
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}

fn apply(tree: &mut Tree, batch: Batch) -> Result<(), CommitError> {
    for precondition in batch.preconditions() {
        if !precondition.holds(tree.get(precondition.key()).map(|value| &value[..])) {
            return Err(CommitError::precondition(precondition.key().clone()));
        }
    }
    for op in batch.into_ops() {
        match op {
            Op::Put { key, value } => tree.insert(key, value),
            Op::Delete { key } => {
                tree.remove(&key);
            }
            Op::DeleteRange { range } => {
                let doomed: Vec<Bytes> = Rows::forward(tree.root(), &range).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    tree.remove(&key);
                }
            }
        }
    }
    Ok(())
}

struct MemorySnapshot(Tree);

impl Snapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        let rows = match direction {
            Direction::Forward => Rows::forward(self.0.root(), &range),
            Direction::Reverse => Rows::reverse(self.0.root(), &range),
        };
        Ok(Box::new(rows.map(|(key, value)| Ok((key.clone(), value.clone())))))
    }
}
