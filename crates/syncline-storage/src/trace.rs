//! A database that keeps a journal of what was asked of it.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, Op, Scan, Snapshot, StorageError, error::Hex,
};

/// How a traced commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceOutcome {
    /// It was applied.
    Applied,
    /// A precondition did not hold.
    Precondition,
    /// It failed, and nothing was applied.
    Failed,
    /// Its outcome is not known.
    Unknown,
}

/// One line of the journal. `Debug` shows keys, never values.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A snapshot was taken. Its number is in the reads from it.
    Snapshot {
        /// Counts from 1.
        snapshot: u64,
    },
    /// A key was read.
    Get {
        /// From which snapshot.
        snapshot: u64,
        /// The key.
        key: Bytes,
        /// Whether it was there; `None` if the read failed.
        found: Option<bool>,
    },
    /// A scan was begun.
    Scan {
        /// From which snapshot.
        snapshot: u64,
        /// Its range.
        range: KeyRange,
        /// Its direction.
        direction: Direction,
    },
    /// A commit returned. It stands where it returned, not where it began.
    Commit {
        /// What it changed, had it been applied.
        ops: Vec<Op>,
        /// What was asked for.
        durability: Durability,
        /// How it ended.
        outcome: TraceOutcome,
    },
    /// The caller [marked](TraceDb::mark) an effect.
    Mark {
        /// The label.
        label: Cow<'static, str>,
    },
}

impl fmt::Debug for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { snapshot } => write!(f, "Snapshot #{snapshot}"),
            Self::Get { snapshot, key, found } => write!(f, "Get {} from #{snapshot}: {found:?}", Hex(key)),
            Self::Scan { snapshot, range, direction } => write!(f, "Scan {range:?} {direction:?} from #{snapshot}"),
            Self::Commit { ops, durability, outcome } => write!(f, "Commit {durability:?} {outcome:?} {ops:?}"),
            Self::Mark { label } => write!(f, "Mark {label:?}"),
        }
    }
}

impl TraceEvent {
    /// Whether it is a successful commit that puts or deletes `key`, by itself or with a range.
    #[must_use]
    pub fn writes(&self, key: &[u8]) -> bool {
        let Self::Commit { ops, outcome: TraceOutcome::Applied, .. } = self else {
            return false;
        };
        ops.iter().any(|op| match op {
            Op::Put { key: written, .. } | Op::Delete { key: written } => written == key,
            Op::DeleteRange { range } => range.contains(key),
        })
    }

    /// Whether all commits up to here are durable once it has returned.
    fn syncs(&self) -> bool {
        matches!(self, Self::Commit { durability: Durability::Immediate, outcome: TraceOutcome::Applied, .. })
    }
}

/// Passes everything on to another [`Database`] and writes down, in order, what was asked and how it ended. Callers add
/// marks for what they do elsewhere, so that a test can tell that a write was durable before a message left.
///
/// The journal grows until it is [cleared](Self::clear); this is for tests. Commits of different threads stand in the
/// order in which they returned.
///
/// ```
/// use std::sync::Arc;
/// use syncline_storage::{Batch, Database, Durability, MemoryDb, TraceDb};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Arc::new(TraceDb::new(MemoryDb::new()));
/// let mut batch = Batch::new();
/// batch.put("vote", "for ann");
/// db.commit(batch, Durability::Immediate)?;
/// db.mark("vote sent");
/// assert!(db.is_durable_before(b"vote", "vote sent"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TraceDb<D> {
    inner: D,
    journal: Arc<Journal>,
    snapshots: AtomicU64,
}

#[derive(Default)]
struct Journal(Mutex<Vec<TraceEvent>>);

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Vec<TraceEvent>> {
        // A push leaves the journal whole wherever its thread panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: TraceEvent) {
        self.lock().push(event);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({} events)", self.lock().len())
    }
}

impl<D> TraceDb<D> {
    /// Traces `inner`, with an empty journal.
    pub fn new(inner: D) -> Self {
        Self { inner, journal: Arc::default(), snapshots: AtomicU64::new(0) }
    }

    /// The database that is traced.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Gives the database back.
    pub fn into_inner(self) -> D {
        self.inner
    }

    /// Writes down that the caller does something now: sends, answers, calls.
    pub fn mark(&self, label: impl Into<Cow<'static, str>>) {
        self.journal.push(TraceEvent::Mark { label: label.into() });
    }

    /// A copy of the journal.
    #[must_use]
    pub fn journal(&self) -> Vec<TraceEvent> {
        self.journal.lock().clone()
    }

    /// Empties the journal. Snapshots keep their numbers.
    pub fn clear(&self) {
        self.journal.lock().clear();
    }

    /// Whether a change of `key` was durable before the first mark with `label`: a successful commit wrote it, and that
    /// commit or a later one before the mark was [`Immediate`](Durability::Immediate). False if there is no such mark.
    #[must_use]
    pub fn is_durable_before(&self, key: &[u8], label: &str) -> bool {
        let journal = self.journal.lock();
        let mark =
            journal.iter().position(|event| matches!(event, TraceEvent::Mark { label: found } if found == label));
        let before = mark.and_then(|at| journal.get(..at)).unwrap_or_default();
        before
            .iter()
            .position(|event| event.writes(key))
            .and_then(|at| before.get(at..))
            .is_some_and(|rest| rest.iter().any(TraceEvent::syncs))
    }
}

impl<D: Database> Database for TraceDb<D> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        let inner = self.inner.snapshot()?;
        let number = self.snapshots.fetch_add(1, Ordering::Relaxed) + 1;
        self.journal.push(TraceEvent::Snapshot { snapshot: number });
        Ok(Box::new(TraceSnapshot { inner, number, journal: Arc::clone(&self.journal) }))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let ops = batch.ops().to_vec();
        let result = self.inner.commit(batch, durability);
        self.journal.push(committed(ops, durability, &result));
        result
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        let ops: Vec<Vec<Op>> = batches.iter().map(|batch| batch.ops().to_vec()).collect();
        let results = self.inner.commit_all(batches, durability);
        let mut journal = self.journal.lock();
        journal.extend(ops.into_iter().zip(&results).map(|(ops, result)| committed(ops, durability, result)));
        drop(journal);
        results
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

fn committed(ops: Vec<Op>, durability: Durability, result: &Result<(), CommitError>) -> TraceEvent {
    TraceEvent::Commit {
        ops,
        durability,
        outcome: match result {
            Ok(()) => TraceOutcome::Applied,
            Err(CommitError::Precondition { .. }) => TraceOutcome::Precondition,
            Err(CommitError::Unknown { .. }) => TraceOutcome::Unknown,
            Err(CommitError::Storage(_)) => TraceOutcome::Failed,
        },
    }
}

struct TraceSnapshot {
    inner: Box<dyn Snapshot>,
    number: u64,
    journal: Arc<Journal>,
}

impl Snapshot for TraceSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let result = self.inner.get(key);
        self.journal.push(TraceEvent::Get {
            snapshot: self.number,
            key: Bytes::copy_from_slice(key),
            found: result.as_ref().ok().map(Option::is_some),
        });
        result
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        self.journal.push(TraceEvent::Scan { snapshot: self.number, range: range.clone(), direction });
        self.inner.scan(range, direction)
    }
}
