//! The contract between an engine and those who store in it.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{Batch, CommitError, KeyRange, Limits, StorageError};

/// When a commit is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The batch, and every batch committed before it, survives a crash of the process and of the machine once the
    /// commit has returned.
    Immediate,
    /// The batch is visible at once, and a crash may lose it as a whole, never a part of it. A crash loses no batch
    /// while it keeps a later one, and the next [`Immediate`](Self::Immediate) commit makes it durable.
    Eventual,
}

/// The order in which a scan gives its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a line has two directions")]
pub enum Direction {
    /// Least key first.
    Forward,
    /// Greatest key first.
    Reverse,
}

/// The rows of a scan, read as they are asked for. After an error the scan is over.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes), StorageError>> + Send + 'a>;

/// An ordered key-value store with atomic batches. Used as `Arc<dyn Database>` by many threads at once.
///
/// Keys are byte strings of at least one byte, ordered as unsigned bytes; values are byte strings, also empty ones.
///
/// # What an engine promises
///
/// - A commit is atomic: no snapshot, no crash and no failure ever shows a part of a batch.
/// - Commits are totally ordered. A snapshot shows all commits up to one of them; one that is taken after a commit has
///   returned shows that commit.
/// - A commit with [`Durability::Immediate`] that has returned `Ok` survives a crash.
/// - A batch whose preconditions do not hold, or that is over the [limits](Self::limits), changes nothing.
/// - An `Err` other than [`CommitError::Unknown`] means that nothing of the batch was applied, now or later.
///
/// # What it does not promise
///
/// - The calls block, an `Immediate` commit until the disk has answered. Async callers go through
///   `Blocking`.
/// - There are no transactions with reads and writes. Read a snapshot, and state as preconditions what you relied on.
/// - A snapshot may keep old pages from being reused. Drop it when done.
/// - Nothing is encrypted, and nothing but what the engine does itself protects from a disk that changes bytes.
///
/// `syncline-testkit` has `conformance::database`, one function that checks all this for an engine of your own.
pub trait Database: Send + Sync + fmt::Debug + 'static {
    /// A consistent view of all that is committed now. Later commits do not show in it. It owns what it needs and may
    /// outlive the handle it came from.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::StorageErrorKind::Closed) after a failure that needs a reopen; [`Io`](crate::StorageErrorKind::Io)
    /// and [`Corrupt`](crate::StorageErrorKind::Corrupt) from the disk.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError>;

    /// Applies `batch` as a whole, or nothing of it.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. After [`Unknown`](CommitError::Unknown) the handle may refuse every further call; open the
    /// database again.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError>;

    /// Applies several batches in order, each on its own all or nothing, and gives one result for each in the same order.
    /// The preconditions of a batch see the batches before it that succeeded. A batch that fails its preconditions or
    /// limits does not hinder the others.
    ///
    /// The default commits one by one. An engine in which a commit is dear does all in one transaction, and then a
    /// failure of that transaction is the result of every batch in it.
    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        batches.into_iter().map(|batch| self.commit(batch, durability)).collect()
    }

    /// The sizes that this engine accepts.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

impl<D: Database + ?Sized> Database for Arc<D> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        (**self).snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        (**self).commit(batch, durability)
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        (**self).commit_all(batches, durability)
    }

    fn limits(&self) -> Limits {
        (**self).limits()
    }
}

/// A consistent view of a [`Database`].
pub trait Snapshot: Send + Sync {
    /// The value of `key`, if it is there. A key that could not be stored, as the empty one, is not there.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::StorageErrorKind::Io), [`Corrupt`](crate::StorageErrorKind::Corrupt) or
    /// [`Closed`](crate::StorageErrorKind::Closed).
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// The rows of `range` in the order of their keys. Rows are read while the iterator is advanced, in memory that does
    /// not depend on how many there are. An [empty](KeyRange::is_empty) range gives no rows.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), at once or in place of a row; after that no more rows come.
    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError>;
}

impl fmt::Debug for dyn Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}
