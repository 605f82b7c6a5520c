//! The conformance suite: run by our engines, and by engines with one defect each, which it must refuse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use syncline_storage::{
    Batch, CommitError, Database, Direction, Durability, FaultDb, FaultScript, GroupCommit, KeyRange, Limits, MemoryDb,
    Op, Scan, Snapshot, StorageError, TraceDb,
};
use syncline_testkit::conformance;

#[test]
fn memory() {
    conformance::database(MemoryDb::new);
}

#[test]
fn memory_with_small_limits() {
    let limits = Limits::default().max_key_len(512).max_value_len(25_000).max_batch_len(1 << 20);
    conformance::database(|| MemoryDb::with_limits(limits));
}

#[test]
fn erased() {
    conformance::database(|| -> Arc<dyn Database> { Arc::new(MemoryDb::new()) });
}

#[test]
fn traced() {
    conformance::database(|| TraceDb::new(MemoryDb::new()));
}

#[test]
fn fault_injecting_without_faults() {
    let fresh = || FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    conformance::database_with_reopen(fresh, |db| {
        db.reopen().unwrap();
        db
    });
}

#[test]
fn grouped() {
    conformance::database(|| GroupCommit::new(MemoryDb::new()));
}

#[cfg(feature = "redb")]
mod redb {
    use syncline_storage::{RedbDb, redb::RedbOptions};
    use syncline_testkit::disk::SimDisk;

    use super::*;

    /// A database and its place, so that it can be opened again.
    struct Files {
        dir: tempfile::TempDir,
        next: Mutex<u32>,
    }

    impl Files {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), next: Mutex::new(0) }
        }

        fn path(&self) -> PathBuf {
            let mut next = self.next.lock().unwrap();
            *next += 1;
            self.dir.path().join(format!("{next}.redb"))
        }
    }

    /// Keeps its path beside it.
    #[derive(Debug)]
    struct Placed<D>(D, PathBuf);

    impl<D: Database> Database for Placed<D> {
        fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
            self.0.snapshot()
        }

        fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
            self.0.commit(batch, durability)
        }

        fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
            self.0.commit_all(batches, durability)
        }

        fn limits(&self) -> Limits {
            self.0.limits()
        }
    }

    #[test]
    fn file() {
        let files = Files::new();
        conformance::database_with_reopen(
            || {
                let path = files.path();
                Placed(RedbDb::create(&path).unwrap(), path)
            },
            |Placed(db, path)| {
                drop(db);
                Placed(RedbDb::open(&path).unwrap(), path)
            },
        );
    }

    #[test]
    fn with_every_option() {
        let options =
            RedbOptions::new().cache_bytes(1 << 20).verify_on_open(true).quick_repair(true).two_phase_commit(true);
        conformance::database(|| options.open_backend(SimDisk::new(0).backend()).unwrap());
    }

    #[test]
    fn grouped_on_a_simulated_disk() {
        conformance::database(|| GroupCommit::new(RedbDb::open_backend(SimDisk::new(0).backend()).unwrap()));
    }
}

/// What is wrong with a [`Broken`] engine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    /// None: the suite must pass it, or the others would prove nothing.
    None,
    IgnoresPreconditions,
    ChecksPreconditionsAfterTheBatch,
    SecondPreconditionIsForgotten,
    AppliesBeforeThePrecondition,
    OneFailureFailsAll,
    LaterBatchesSeeNothing,
    FirstChangeWins,
    RangeDeletesGoLast,
    NoRangeDeletes,
    SplitsBatches,
    SnapshotsAreLive,
    ForgetsEventual,
    TakesEmptyKeys,
    NoLimits,
    ReverseIsForward,
    ExcludedIsIncluded,
    CutsLongValues,
    DropsEmptyValues,
    FailsOnEmptyRanges,
}

const DEFECTS: [Defect; 19] = [
    Defect::IgnoresPreconditions,
    Defect::ChecksPreconditionsAfterTheBatch,
    Defect::SecondPreconditionIsForgotten,
    Defect::AppliesBeforeThePrecondition,
    Defect::OneFailureFailsAll,
    Defect::LaterBatchesSeeNothing,
    Defect::FirstChangeWins,
    Defect::RangeDeletesGoLast,
    Defect::NoRangeDeletes,
    Defect::SplitsBatches,
    Defect::SnapshotsAreLive,
    Defect::ForgetsEventual,
    Defect::TakesEmptyKeys,
    Defect::NoLimits,
    Defect::ReverseIsForward,
    Defect::ExcludedIsIncluded,
    Defect::CutsLongValues,
    Defect::DropsEmptyValues,
    Defect::FailsOnEmptyRanges,
];

#[derive(Debug)]
struct Broken {
    inner: Arc<MemoryDb>,
    defect: Defect,
    /// How many snapshots were taken.
    snapshots: AtomicU64,
}

impl Broken {
    fn new(defect: Defect) -> Self {
        let limits = match defect {
            Defect::NoLimits => Limits::default().max_key_len(1 << 20),
            _ => Limits::default(),
        };
        Self { inner: Arc::new(MemoryDb::with_limits(limits)), defect, snapshots: AtomicU64::new(0) }
    }

    fn failed(&self, batch: &Batch) -> Option<CommitError> {
        let snapshot = self.inner.snapshot().ok()?;
        let checked = match self.defect {
            Defect::IgnoresPreconditions => 0,
            Defect::SecondPreconditionIsForgotten => 1,
            _ => usize::MAX,
        };
        let mut preconditions = batch.preconditions().iter().take(checked);
        preconditions
            .find(|precondition| {
                let found = snapshot.get(precondition.key()).ok().flatten();
                !precondition.holds(found.as_deref())
            })
            .map(|precondition| CommitError::precondition(precondition.key().clone()))
    }

    fn rewrite(&self, batch: &Batch) -> Vec<Op> {
        let mut ops = batch.ops().to_vec();
        match self.defect {
            Defect::FirstChangeWins => ops.reverse(),
            Defect::RangeDeletesGoLast => {
                ops.sort_by_key(|op| matches!(op, Op::DeleteRange { .. }));
            }
            Defect::NoRangeDeletes => ops.retain(|op| !matches!(op, Op::DeleteRange { .. })),
            Defect::DropsEmptyValues => {
                ops.retain(|op| !matches!(op, Op::Put { value, .. } if value.is_empty()));
            }
            Defect::CutsLongValues => {
                for op in &mut ops {
                    if let Op::Put { value, .. } = op {
                        value.truncate(64 << 10);
                    }
                }
            }
            _ => {}
        }
        ops
    }

    fn apply(&self, ops: Vec<Op>) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        let has_parts = ops.len() > 1;
        for op in ops {
            match op {
                Op::Put { key, .. } | Op::Delete { key } if key.is_empty() && self.defect == Defect::TakesEmptyKeys => {
                }
                Op::Put { key, value } => drop(batch.put(key, value)),
                Op::Delete { key } => drop(batch.delete(key)),
                Op::DeleteRange { range } => drop(batch.delete_range(range)),
            }
            if self.defect == Defect::SplitsBatches {
                self.inner.commit(std::mem::take(&mut batch), Durability::Immediate)?;
                // The thread of a test has a name, those that it starts have none: only then somebody may be looking.
                if has_parts && std::thread::current().name().is_none() {
                    self.wait_for_a_look();
                }
            }
        }
        self.inner.commit(batch, Durability::Immediate)
    }

    /// Gives another thread the time to see what is half done, however slow the machine is; gives up in the end.
    fn wait_for_a_look(&self) {
        let before = self.snapshots.load(Ordering::SeqCst);
        for _ in 0..20 {
            if self.snapshots.load(Ordering::SeqCst) > before + 1 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One commit at a time, whatever the defect, except where the defect is that.
static COMMITS: Mutex<()> = Mutex::new(());

impl Database for Broken {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(BrokenSnapshot {
            live: Arc::clone(&self.inner),
            inner: self.inner.snapshot()?,
            defect: self.defect,
        }))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let turn = COMMITS.lock().unwrap_or_else(|poison| poison.into_inner());
        if !matches!(self.defect, Defect::TakesEmptyKeys | Defect::NoLimits) {
            self.limits().check(&batch)?;
        }
        if self.defect == Defect::ForgetsEventual && durability == Durability::Eventual {
            return Ok(());
        }
        let before =
            matches!(self.defect, Defect::ChecksPreconditionsAfterTheBatch | Defect::AppliesBeforeThePrecondition);
        let ops = self.rewrite(&batch);
        let failed = if self.defect == Defect::AppliesBeforeThePrecondition {
            let failed = self.failed(&batch);
            self.apply(ops)?;
            failed
        } else if before {
            let saved = self.inner.snapshot()?;
            self.apply(ops)?;
            let failed = self.failed(&batch);
            if failed.is_some() {
                restore(&self.inner, &*saved)?;
            }
            failed
        } else {
            let failed = self.failed(&batch);
            if failed.is_none() {
                self.apply(ops)?;
            }
            failed
        };
        drop(turn);
        failed.map_or(Ok(()), Err)
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        match self.defect {
            Defect::OneFailureFailsAll => {
                let failed = batches.iter().find_map(|batch| self.failed(batch));
                if let Some(error) = failed {
                    return vec![Err(error); batches.len()];
                }
            }
            Defect::LaterBatchesSeeNothing => {
                let failed: Vec<_> = batches.iter().map(|batch| self.failed(batch)).collect();
                let apply = |(batch, failed): (Batch, Option<CommitError>)| match failed {
                    Some(error) => Err(error),
                    None => self.apply(batch.into_ops()),
                };
                return batches.into_iter().zip(failed).map(apply).collect();
            }
            _ => {}
        }
        let commit = |batch| self.commit(batch, durability);
        batches.into_iter().map(commit).collect()
    }

    fn limits(&self) -> Limits {
        match self.defect {
            Defect::NoLimits => Limits::default().max_key_len(1 << 10),
            _ => self.inner.limits(),
        }
    }
}

fn restore(db: &MemoryDb, saved: &dyn Snapshot) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.delete_range(KeyRange::all());
    for row in saved.scan(KeyRange::all(), Direction::Forward)? {
        let (key, value) = row?;
        batch.put(key, value);
    }
    db.commit(batch, Durability::Immediate)
}

struct BrokenSnapshot {
    live: Arc<MemoryDb>,
    inner: Box<dyn Snapshot>,
    defect: Defect,
}

impl Snapshot for BrokenSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match self.defect {
            Defect::SnapshotsAreLive => self.live.snapshot()?.get(key),
            _ => self.inner.get(key),
        }
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        use std::ops::Bound;
        match self.defect {
            Defect::SnapshotsAreLive => {
                let rows: Vec<_> = self.live.snapshot()?.scan(range, direction)?.collect();
                Ok(Box::new(rows.into_iter()))
            }
            Defect::ReverseIsForward => self.inner.scan(range, Direction::Forward),
            Defect::ExcludedIsIncluded => {
                let own = |bound: Bound<&[u8]>| match bound {
                    Bound::Included(key) | Bound::Excluded(key) => Bound::Included(Bytes::copy_from_slice(key)),
                    Bound::Unbounded => Bound::Unbounded,
                };
                let wider = KeyRange::new(own(range.lower()), own(range.upper()));
                self.inner.scan(wider, direction)
            }
            Defect::FailsOnEmptyRanges if range.is_empty() => panic!("range start after its end"),
            _ => self.inner.scan(range, direction),
        }
    }
}

#[test]
fn the_suite_refuses_engines_with_a_defect() {
    conformance::database(|| Broken::new(Defect::None));
    for defect in DEFECTS {
        let verdict: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| {
            conformance::database(|| Broken::new(defect));
        }));
        assert!(verdict.is_err(), "the suite passes an engine with the defect {defect:?}");
    }
}
