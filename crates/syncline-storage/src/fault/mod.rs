//! A database that fails when it is told to.

mod script;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use self::script::{CommitFault, FaultCounts, FaultScript, Remains};
use crate::{
    Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, MemoryDb, Scan, Snapshot, StorageError,
    StorageErrorKind,
};

/// A [`Database`] that fails, crashes and loses what was not durable, as its [`FaultScript`] says.
///
/// The database below is the disk: it holds what is durable. What is visible is kept in memory, with the
/// [`Eventual`](Durability::Eventual) commits that are not durable yet. After a crash every call gives
/// [`Closed`](StorageErrorKind::Closed), on old snapshots too, until [`reopen`](Self::reopen) reads the disk again.
///
/// A call of [`commit_all`](Database::commit_all) counts as one commit and fails as one, as a transaction does.
///
/// ```
/// use syncline_storage::{
///     Batch, CommitFault, Database, Durability, FaultDb, FaultScript, MemoryDb, Remains,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let script = FaultScript::new().at_commit(2, CommitFault::Crash(Remains::Synced));
/// let db = FaultDb::new(MemoryDb::new(), script)?;
/// let put = |key: &'static str| {
///     let mut batch = Batch::new();
///     batch.put(key, "x");
///     batch
/// };
/// db.commit(put("eventual"), Durability::Eventual)?;
/// assert!(db.commit(put("crash"), Durability::Immediate).unwrap_err().needs_reopen());
/// assert!(db.snapshot().is_err());
///
/// db.reopen()?;
/// assert_eq!(db.snapshot()?.get(b"eventual")?, None);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FaultDb<D> {
    disk: D,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What a reader sees: the disk and what is pending.
    visible: MemoryDb,
    /// Commits that are visible and not on the disk, in order, without their preconditions.
    pending: Vec<Batch>,
    script: FaultScript,
    counts: FaultCounts,
    open: bool,
    /// Counts the reopenings, so that snapshots from before are known.
    life: u64,
}

impl State {
    fn alive(&self, life: u64) -> Result<(), StorageError> {
        if self.open && self.life == life { Ok(()) } else { Err(StorageErrorKind::Closed.into()) }
    }

    /// Counts a read and fails it if it is its turn.
    fn read(&mut self, life: u64) -> Result<(), StorageError> {
        self.alive(life)?;
        self.counts.reads += 1;
        match self.script.read(self.counts.reads) {
            Some(kind) => {
                self.counts.faults += 1;
                Err(kind.into())
            }
            None => Ok(()),
        }
    }
}

impl<D: Database> FaultDb<D> {
    /// A database over what is on `disk`, which is read into memory.
    ///
    /// # Errors
    ///
    /// Whatever reading `disk` gives.
    pub fn new(disk: D, script: FaultScript) -> Result<Self, StorageError> {
        let state = State {
            visible: load(&disk)?,
            pending: Vec::new(),
            script,
            counts: FaultCounts::default(),
            open: true,
            life: 0,
        };
        Ok(Self { disk, state: Arc::new(Mutex::new(state)) })
    }

    /// The database that holds what is durable.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// How many calls there were, faults included.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        lock(&self.state).counts
    }

    /// Sets another script and counts from zero again.
    pub fn set_script(&self, script: FaultScript) {
        let mut state = lock(&self.state);
        state.script = script;
        state.counts = FaultCounts::default();
    }

    /// Whether it has crashed and was not reopened.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        !lock(&self.state).open
    }

    /// Crashes now, between two commits. The first `kept` of the commits that are not durable survive.
    ///
    /// # Errors
    ///
    /// Whatever writing the survivors to the disk gives.
    pub fn crash(&self, kept: usize) -> Result<(), CommitError> {
        let mut state = lock(&self.state);
        state.open = false;
        let mut survivors = std::mem::take(&mut state.pending);
        survivors.truncate(kept);
        self.sync(survivors)
    }

    /// Starts again from what is on the disk. Without a crash before, this is a crash that loses all that is not durable.
    ///
    /// # Errors
    ///
    /// Whatever reading the disk gives; it then stays closed.
    pub fn reopen(&self) -> Result<(), StorageError> {
        let mut state = lock(&self.state);
        state.open = false;
        state.pending.clear();
        state.visible = load(&self.disk)?;
        state.life += 1;
        state.open = true;
        Ok(())
    }

    /// Writes to the disk.
    fn sync(&self, batches: Vec<Batch>) -> Result<(), CommitError> {
        self.disk.commit_all(batches, Durability::Immediate).into_iter().collect()
    }

    /// Applies what can be applied and crashes, with what `remains` says on the disk.
    fn crash_in(&self, state: &mut State, batches: Vec<Batch>, remains: Remains) -> CommitError {
        let results = state.visible.commit_all(batches.clone(), Durability::Eventual);
        let applied = batches
            .into_iter()
            .zip(results)
            .filter(|(_, result)| result.is_ok())
            .map(|(batch, _)| unconditional(batch));
        let mut survivors = std::mem::take(&mut state.pending);
        match remains {
            Remains::Synced => survivors.clear(),
            Remains::Pending(kept) => survivors.truncate(kept),
            Remains::Applied => survivors.extend(applied),
            Remains::Torn(ops) => {
                let all = applied.flat_map(Batch::into_ops);
                survivors.push(Batch::from_ops(all.take(ops)));
            }
        }
        state.open = false;
        let source = match self.sync(survivors) {
            Ok(()) => StorageErrorKind::Closed.into(),
            Err(error) => StorageError::with_source(StorageErrorKind::Closed, error),
        };
        CommitError::unknown(source)
    }
}

impl<D: Database> Database for FaultDb<D> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        let mut state = lock(&self.state);
        let life = state.life;
        state.read(life)?;
        Ok(Box::new(FaultSnapshot { inner: state.visible.snapshot()?, state: Arc::clone(&self.state), life }))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        self.commit_all(vec![batch], durability).pop().unwrap_or_else(|| Err(StorageErrorKind::Closed.into()))
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        let count = batches.len();
        let all = |error: CommitError| vec![Err(error); count];
        let mut state = lock(&self.state);
        if let Err(error) = state.alive(state.life) {
            return all(error.into());
        }
        state.counts.commits += 1;
        let fault = state.script.commit(state.counts.commits);
        state.counts.faults += u64::from(fault.is_some());
        match fault {
            Some(CommitFault::Fail(kind)) => return all(kind.into()),
            Some(CommitFault::Crash(remains)) => {
                return all(self.crash_in(&mut state, batches, remains));
            }
            None => {}
        }
        let limits = self.disk.limits();
        let (mut results, mut applied) = (Vec::with_capacity(count), Vec::new());
        for batch in batches {
            let result = limits
                .check(&batch)
                .map_err(CommitError::from)
                .and_then(|()| state.visible.commit(batch.clone(), durability));
            if result.is_ok() {
                applied.push(unconditional(batch));
            }
            results.push(result);
        }
        let any = !applied.is_empty();
        state.pending.append(&mut applied);
        if any && durability == Durability::Immediate {
            let pending = std::mem::take(&mut state.pending);
            if let Err(error) = self.sync(pending) {
                state.open = false;
                let source = StorageError::with_source(StorageErrorKind::Closed, error);
                return all(CommitError::unknown(source));
            }
        }
        results
    }

    fn limits(&self) -> Limits {
        self.disk.limits()
    }
}

struct FaultSnapshot {
    inner: Box<dyn Snapshot>,
    state: Arc<Mutex<State>>,
    life: u64,
}

impl Snapshot for FaultSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        lock(&self.state).read(self.life)?;
        self.inner.get(key)
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        lock(&self.state).read(self.life)?;
        let mut rows = Some(self.inner.scan(range, direction)?);
        Ok(Box::new(std::iter::from_fn(move || {
            let row = rows.as_mut()?.next()?;
            // A row is a read of its own, so that a scan can fail half way.
            match lock(&self.state).read(self.life) {
                Ok(()) => Some(row),
                Err(error) => {
                    rows = None;
                    Some(Err(error))
                }
            }
        })))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic of the disk under the lock leaves a state that the next reopening discards.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same changes without the preconditions, which have been checked.
fn unconditional(batch: Batch) -> Batch {
    Batch::from_ops(batch.into_ops())
}

fn load(disk: &dyn Database) -> Result<MemoryDb, StorageError> {
    let memory = MemoryDb::with_limits(disk.limits());
    for row in disk.snapshot()?.scan(KeyRange::all(), Direction::Forward)? {
        let (key, value) = row?;
        let mut batch = Batch::new();
        batch.put(key, value);
        memory
            .commit(batch, Durability::Eventual)
            .map_err(|error| StorageError::with_source(StorageErrorKind::Corrupt, error))?;
    }
    Ok(memory)
}
