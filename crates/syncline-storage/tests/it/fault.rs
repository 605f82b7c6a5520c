//! Failures on order.

use syncline_storage::{
    Batch, CommitError, CommitFault, Database, Direction, Durability, FaultDb, FaultScript, KeyRange, MemoryDb,
    Remains, StorageErrorKind,
};

use crate::{get, put};

fn faulty(script: FaultScript) -> FaultDb<MemoryDb> {
    FaultDb::new(MemoryDb::new(), script).unwrap()
}

fn keys(db: &dyn Database) -> Vec<String> {
    let snapshot = db.snapshot().unwrap();
    let rows = snapshot.scan(KeyRange::all(), Direction::Forward).unwrap();
    rows.map(|row| String::from_utf8(row.unwrap().0.into()).unwrap()).collect()
}

#[test]
fn a_failure_applies_nothing_and_leaves_it_open() {
    let db = faulty(FaultScript::new().at_commit(2, CommitFault::Fail(StorageErrorKind::Full)));
    db.commit(put("a", "1"), Durability::Immediate).unwrap();
    let error = db.commit(put("b", "1"), Durability::Immediate).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(!db.is_crashed());
    db.commit(put("c", "1"), Durability::Immediate).unwrap();
    assert_eq!(keys(&db), ["a", "c"]);
    assert_eq!((db.counts().commits, db.counts().faults), (3, 1));
}

#[test]
fn crashes_leave_what_they_say() {
    for (remains, expected) in [
        (Remains::Synced, &["durable"][..]),
        (Remains::Pending(0), &["durable"]),
        (Remains::Pending(1), &["durable", "eventual 1"]),
        (Remains::Pending(2), &["durable", "eventual 1", "eventual 2"]),
        (Remains::Pending(9), &["durable", "eventual 1", "eventual 2"]),
        (Remains::Applied, &["durable", "eventual 1", "eventual 2", "last 1", "last 2"]),
        (Remains::Torn(0), &["durable", "eventual 1", "eventual 2"]),
        (Remains::Torn(1), &["durable", "eventual 1", "eventual 2", "last 1"]),
    ] {
        let db = faulty(FaultScript::new().at_commit(4, CommitFault::Crash(remains)));
        db.commit(put("durable", ""), Durability::Immediate).unwrap();
        db.commit(put("eventual 1", ""), Durability::Eventual).unwrap();
        db.commit(put("eventual 2", ""), Durability::Eventual).unwrap();
        let mut last = put("last 1", "");
        last.put("last 2", "");
        let error = db.commit(last, Durability::Immediate).unwrap_err();
        assert!(matches!(error, CommitError::Unknown { .. }), "{error:?}");
        assert!(db.is_crashed());
        assert_eq!(db.snapshot().unwrap_err().kind(), StorageErrorKind::Closed);
        let error = db.commit(put("x", ""), Durability::Immediate).unwrap_err();
        assert!(error.needs_reopen() && error.nothing_applied());
        db.reopen().unwrap();
        assert_eq!(keys(&db), expected, "{remains:?}");
    }
}

#[test]
fn a_crash_between_commits_loses_what_is_not_durable() {
    for kept in 0..3 {
        let db = faulty(FaultScript::new());
        for key in ["a", "b"] {
            db.commit(put(key, ""), Durability::Eventual).unwrap();
        }
        assert_eq!(keys(&db), ["a", "b"]);
        assert!(db.disk().is_empty());
        db.crash(kept).unwrap();
        db.reopen().unwrap();
        assert_eq!(keys(&db), ["a", "b"][..kept.min(2)]);
    }
    let db = faulty(FaultScript::new());
    db.commit(put("a", ""), Durability::Eventual).unwrap();
    db.commit(Batch::new(), Durability::Immediate).unwrap();
    db.commit(put("b", ""), Durability::Eventual).unwrap();
    db.reopen().unwrap();
    assert_eq!(keys(&db), ["a"], "an empty immediate batch is a barrier");
}

#[test]
fn snapshots_die_with_their_process() {
    let db = faulty(FaultScript::new());
    db.commit(put("a", "1"), Durability::Immediate).unwrap();
    let old = db.snapshot().unwrap();
    let mut rows = old.scan(KeyRange::all(), Direction::Forward).unwrap();
    db.crash(0).unwrap();
    assert_eq!(old.get(b"a").unwrap_err().kind(), StorageErrorKind::Closed);
    db.reopen().unwrap();
    assert_eq!(old.get(b"a").unwrap_err().kind(), StorageErrorKind::Closed);
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
    assert_eq!(get(&db, "a").as_deref(), Some("1"));
}

#[test]
fn every_read_can_fail() {
    let read_all = |db: &FaultDb<MemoryDb>| -> Result<usize, StorageErrorKind> {
        let kind = |error: syncline_storage::StorageError| error.kind();
        let snapshot = db.snapshot().map_err(kind)?;
        snapshot.get(b"a").map_err(kind)?;
        let rows = snapshot.scan(KeyRange::all(), Direction::Forward).map_err(kind)?;
        Ok(rows.collect::<Result<Vec<_>, _>>().map_err(kind)?.len())
    };
    let db = faulty(FaultScript::new());
    db.commit_all(vec![put("a", ""), put("b", "")], Durability::Immediate);
    assert_eq!(read_all(&db), Ok(2));
    let reads = db.counts().reads;
    assert_eq!(reads, 5, "a snapshot, a get, a scan and two rows");
    for n in 1..=reads {
        db.set_script(FaultScript::new().at_read(n, StorageErrorKind::Io));
        assert_eq!(read_all(&db), Err(StorageErrorKind::Io));
        assert_eq!(db.counts().reads, n, "a failed scan ends");
        assert_eq!(read_all(&db), Ok(2));
    }
}

#[test]
fn several_batches_fail_as_one_transaction() {
    let batches = || {
        let mut refused = put("c", "");
        refused.require_absent("a");
        vec![put("a", ""), refused, put("b", "")]
    };
    for (fault, expected) in [
        (None, &["a", "b"][..]),
        (Some(CommitFault::Fail(StorageErrorKind::Io)), &[]),
        (Some(CommitFault::Crash(Remains::Synced)), &[]),
        (Some(CommitFault::Crash(Remains::Applied)), &["a", "b"]),
        (Some(CommitFault::Crash(Remains::Torn(1))), &["a"]),
    ] {
        let script = match fault {
            Some(fault) => FaultScript::new().at_commit(1, fault),
            None => FaultScript::new(),
        };
        let db = faulty(script);
        let results = db.commit_all(batches(), Durability::Immediate);
        let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [fault.is_some(), true, fault.is_some()]);
        if fault.is_some() {
            assert!(
                !results.iter().any(|r| matches!(r, Err(CommitError::Precondition { .. }))),
                "what a precondition saw was undone: {results:?}"
            );
        }
        db.reopen().unwrap();
        assert_eq!(keys(&db), expected, "{fault:?}");
    }
}

#[test]
fn a_failing_disk_is_a_crash() {
    let disk = FaultScript::new().at_commit(2, CommitFault::Fail(StorageErrorKind::Full));
    let db = FaultDb::new(faulty(disk), FaultScript::new()).unwrap();
    db.commit(put("a", ""), Durability::Immediate).unwrap();
    let error = db.commit(put("b", ""), Durability::Immediate).unwrap_err();
    assert!(matches!(error, CommitError::Unknown { .. }), "{error:?}");
    db.reopen().unwrap();
    assert_eq!(keys(&db), ["a"]);
}
