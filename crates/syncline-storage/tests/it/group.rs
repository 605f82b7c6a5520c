//! Many threads, few fsyncs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use syncline_storage::{
    Batch, CommitError, CommitFault, Database, Durability, FaultDb, FaultScript, GroupCommit, GroupLimits, MemoryDb,
    Snapshot, StorageError, StorageErrorKind, TraceDb,
};

use crate::{get, put};

const THREADS: usize = 16;
const COMMITS: usize = 100;

/// Counts groups, and holds each until every thread that is still at work has come to the queue: as a disk does that is
/// slow enough, on any machine.
#[derive(Debug, Default)]
struct Gate {
    inner: MemoryDb,
    groups: Mutex<Vec<usize>>,
    finished: AtomicUsize,
    group_commit: OnceLock<Weak<GroupCommit<Arc<Gate>>>>,
}

impl Database for Gate {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        self.inner.commit(batch, durability)
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        self.groups.lock().unwrap().push(batches.len());
        let above = self.group_commit.get().unwrap().upgrade().unwrap();
        while above.waiting() + batches.len() + self.finished.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        self.inner.commit_all(batches, durability)
    }
}

#[test]
fn concurrent_commits_share_an_fsync() {
    let gate = Arc::new(Gate::default());
    let db = Arc::new(GroupCommit::new(Arc::clone(&gate)));
    gate.group_commit.set(Arc::downgrade(&db)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, gate) = (&db, &gate);
            scope.spawn(move || {
                for n in 0..COMMITS {
                    commit_as(&**db, thread, n);
                }
                gate.finished.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let groups = gate.groups.lock().unwrap();
    assert_eq!(groups.iter().sum::<usize>(), THREADS * COMMITS);
    // At worst the groups alternate between one thread and all others.
    assert!(groups.len() <= 2 * COMMITS + THREADS, "{} groups", groups.len());
    let applied = THREADS * COMMITS - THREADS * COMMITS / 10;
    assert_eq!(gate.inner.len(), applied, "all that was acknowledged is there");
}

/// Each tenth has a precondition that fails, on a key that only this commit names.
fn commit_as(db: &dyn Database, thread: usize, n: usize) {
    let key = format!("{thread}/{n}");
    let mut batch = Batch::new();
    batch.put(key.clone(), "x");
    if n % 10 == 9 {
        batch.require_equals(format!("no such key of {key}"), "");
    }
    let result = db.commit(batch, Durability::Immediate);
    if n % 10 == 9 {
        let failed = result.unwrap_err().failed_key().cloned();
        assert_eq!(failed.unwrap(), format!("no such key of {key}"));
        assert_eq!(get(db, &key), None);
    } else {
        result.unwrap();
        assert_eq!(get(db, &key).as_deref(), Some("x"));
    }
}

#[test]
fn a_failure_of_the_group_is_the_result_of_each() {
    for fault in [CommitFault::Fail(StorageErrorKind::Full), CommitFault::Crash(syncline_storage::Remains::Synced)] {
        let script = FaultScript::new().at_commit(1, fault);
        let db = GroupCommit::new(FaultDb::new(MemoryDb::new(), script).unwrap());
        let mut refused = put("b", "");
        refused.require_absent("a");
        let results = db.commit_all(vec![put("a", ""), refused], Durability::Immediate);
        for result in results {
            let error = result.unwrap_err();
            assert_eq!(error.is_retryable(), matches!(fault, CommitFault::Fail(_)), "{error:?}");
            assert_eq!(error.nothing_applied(), matches!(fault, CommitFault::Fail(_)));
        }
    }
}

#[test]
fn groups_keep_their_limits_and_their_order() {
    let batch = |n: usize| {
        let mut batch = Batch::new();
        batch.put(format!("{n:03}"), vec![0; 97]);
        batch
    };
    for (limits, most) in [
        (GroupLimits::default().max_batches(7), 7),
        (GroupLimits::default().max_bytes(350), 3),
        // A batch that is over the limit alone goes alone.
        (GroupLimits::default().max_bytes(10), 1),
        (GroupLimits::default().max_batches(0), 1),
    ] {
        let trace = Arc::new(TraceDb::new(Counting::default()));
        let db = GroupCommit::with_limits(Arc::clone(&trace), limits);
        let results = db.commit_all((0..50).map(batch).collect(), Durability::Immediate);
        assert_eq!(results.len(), 50);
        assert!(results.iter().all(Result::is_ok));
        let groups = trace.inner().0.lock().unwrap().clone();
        assert_eq!(groups.iter().max(), Some(&most), "{limits:?}");
        assert_eq!(groups.iter().sum::<usize>(), 50);
        assert_eq!(db.waiting(), 0);
        let order: Vec<bool> =
            trace.journal().iter().enumerate().map(|(n, event)| event.writes(format!("{n:03}").as_bytes())).collect();
        assert_eq!(order, [true; 50]);
    }
}

/// Writes down the sizes of the groups.
#[derive(Debug, Default)]
struct Counting(Mutex<Vec<usize>>);

impl Database for Counting {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        MemoryDb::new().snapshot()
    }

    fn commit(&self, _batch: Batch, _durability: Durability) -> Result<(), CommitError> {
        Ok(())
    }

    fn commit_all(&self, batches: Vec<Batch>, _durability: Durability) -> Vec<Result<(), CommitError>> {
        self.0.lock().unwrap().push(batches.len());
        vec![Ok(()); batches.len()]
    }
}

#[test]
fn eventual_commits_are_not_folded() {
    let db = GroupCommit::new(Counting::default());
    db.commit(put("a", ""), Durability::Eventual).unwrap();
    assert_eq!(db.inner().0.lock().unwrap().len(), 0);
    assert!(db.commit_all(Vec::new(), Durability::Immediate).is_empty());
    assert_eq!(db.into_inner().0.lock().unwrap().len(), 0);
}

/// Panics in its first group, and holds that until a second commit waits.
#[derive(Debug, Default)]
struct Panics {
    calls: AtomicUsize,
    group_commit: OnceLock<Weak<GroupCommit<Arc<Panics>>>>,
}

impl Database for Panics {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        MemoryDb::new().snapshot()
    }

    fn commit(&self, _batch: Batch, _durability: Durability) -> Result<(), CommitError> {
        Ok(())
    }

    fn commit_all(&self, batches: Vec<Batch>, _durability: Durability) -> Vec<Result<(), CommitError>> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let above = self.group_commit.get().unwrap().upgrade().unwrap();
            while above.waiting() == 0 {
                thread::yield_now();
            }
            panic!("on purpose");
        }
        vec![Ok(()); batches.len()]
    }
}

#[test]
fn a_panic_of_the_leader_does_not_stop_the_others() {
    let panics = Arc::new(Panics::default());
    let db = Arc::new(GroupCommit::new(Arc::clone(&panics)));
    panics.group_commit.set(Arc::downgrade(&db)).unwrap();
    let commit = || {
        let commit = || db.commit(put("a", ""), Durability::Immediate);
        catch_unwind(AssertUnwindSafe(commit))
    };
    let results = thread::scope(|scope| {
        let threads = [scope.spawn(commit), scope.spawn(commit)];
        threads.map(|thread| thread.join().unwrap())
    });
    let panicked = results.iter().filter(|result| result.is_err()).count();
    let succeeded = results.iter().filter(|result| matches!(result, Ok(Ok(())))).count();
    assert_eq!((panicked, succeeded), (1, 1), "{results:?}");
    db.commit(put("b", ""), Durability::Immediate).unwrap();
}

/// Panics once, in a group of two.
#[test]
fn a_panic_is_an_unknown_outcome_for_the_others_of_the_group() {
    #[derive(Debug)]
    struct Always;

    impl Database for Always {
        fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
            MemoryDb::new().snapshot()
        }

        fn commit(&self, _batch: Batch, _durability: Durability) -> Result<(), CommitError> {
            Ok(())
        }

        fn commit_all(&self, _: Vec<Batch>, _: Durability) -> Vec<Result<(), CommitError>> {
            // Too few results, as an engine with a bug gives.
            Vec::new()
        }
    }

    let results = GroupCommit::new(Always).commit_all(vec![put("a", ""), put("b", "")], Durability::Immediate);
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(matches!(result, Err(CommitError::Unknown { .. })), "{result:?}");
    }
}
