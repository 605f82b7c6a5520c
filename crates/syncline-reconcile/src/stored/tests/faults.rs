//! Everything is in one batch: what fails leaves nothing behind.

use syncline_storage::{CommitError, CommitFault, Remains, StorageErrorKind};

use super::*;

fn filled(script: FaultScript) -> FaultDb<MemoryDb> {
    let db = FaultDb::new(MemoryDb::new(), FaultScript::new()).unwrap();
    let batch = commit(&db, &set(), |change| (0..200).for_each(|n| change.insert(&item(n)).unwrap()));
    assert!(!batch.is_empty());
    db.commit(Batch::new(), Durability::Immediate).unwrap();
    db.set_script(script);
    db
}

fn everything(db: &dyn Database) -> Vec<(Bytes, Bytes)> {
    rows(&*db.snapshot().unwrap(), KeyRange::all())
}

fn batch_of(db: &dyn Database, n: u64) -> Batch {
    let snapshot = db.snapshot().unwrap();
    let set = set();
    let mut change = set.change(&*snapshot).unwrap();
    (n..n + 20).for_each(|n| change.insert(&item(n)).unwrap());
    let mut batch = Batch::new();
    batch.put("the caller's row", "x");
    change.write(&mut batch).unwrap();
    batch
}

#[test]
fn a_failed_commit_changes_nothing() {
    for fault in [
        CommitFault::Fail(StorageErrorKind::Full),
        CommitFault::Crash(Remains::Synced),
        CommitFault::Crash(Remains::Applied),
    ] {
        let db = filled(FaultScript::new().at_commit(1, fault));
        let before = everything(&db);
        let batch = batch_of(&db, 200);
        db.commit(batch, Durability::Immediate).unwrap_err();
        if db.is_crashed() {
            db.reopen().unwrap();
        }
        let applied = fault == CommitFault::Crash(Remains::Applied);
        assert_eq!(everything(&db) != before, applied);
        set().check(&*db.snapshot().unwrap()).unwrap();
        let count = set().view(db.snapshot().unwrap()).unwrap().len().unwrap();
        assert_eq!(count, if applied { 220 } else { 200 });
        // The set goes on.
        commit(&db, &set(), |change| change.insert(&item(1_000)).unwrap());
        set().check(&*db.snapshot().unwrap()).unwrap();
    }
}

#[test]
fn a_torn_commit_is_noticed() {
    let ops = batch_of(&filled(FaultScript::new()), 200).len();
    for kept in (1..ops).step_by(7) {
        let db = filled(FaultScript::new().at_commit(1, CommitFault::Crash(Remains::Torn(kept))));
        db.commit(batch_of(&db, 200), Durability::Immediate).unwrap_err();
        db.reopen().unwrap();
        // The first row is the caller's.
        assert_eq!(set().check(&*db.snapshot().unwrap()).is_err(), kept > 1, "{kept}");
    }
}

#[test]
fn of_two_changes_from_one_snapshot_one_fails() {
    let db = filled(FaultScript::new());
    let (first, second) = (batch_of(&db, 200), batch_of(&db, 300));
    db.commit(first, Durability::Immediate).unwrap();
    assert!(matches!(db.commit(second, Durability::Immediate), Err(CommitError::Precondition { .. })));
    set().check(&*db.snapshot().unwrap()).unwrap();
    // Also when the set was empty.
    let db = MemoryDb::new();
    let (first, second) = (batch_of(&db, 0), batch_of(&db, 100));
    db.commit(first, Durability::Immediate).unwrap();
    db.commit(second, Durability::Immediate).unwrap_err();
}

#[test]
fn a_failed_read_is_an_error_wherever_it_comes() {
    let db = filled(FaultScript::new());
    let bound = |n: u64| Bound { key: item(n).key, id_prefix: Vec::new() };
    let run = |db: &FaultDb<MemoryDb>| -> Result<(), IndexError> {
        let (set, snapshot) = (set(), db.snapshot()?);
        let mut change = set.change(&*snapshot)?;
        (200..210).try_for_each(|n| change.insert(&item(n)))?;
        change.remove(&item(3))?;
        change.write(&mut Batch::new())?;
        let view = set.view(snapshot)?;
        view.fingerprint(&Span { from: bound(1), to: None })?;
        view.select(100)?;
        view.symbols(0, 1_000)?;
        view.find(&id(9).part())?;
        set.check(&*db.snapshot()?)
    };
    run(&db).unwrap();
    let reads = db.counts().reads;
    for n in (1..=reads).step_by(usize::try_from(1 + reads / 300).unwrap()) {
        db.set_script(FaultScript::new().at_read(n, StorageErrorKind::Io));
        assert!(matches!(run(&db), Err(IndexError::Storage(_))), "read {n} of {reads}");
    }
}
